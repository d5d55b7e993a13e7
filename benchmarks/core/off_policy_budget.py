"""Simulated logs in; how often the interval of a policy's value under a budget holds the truth, beside naive replay, out.

    python benchmarks/core/off_policy_budget.py [--quick] [--logs N]

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. Each log holds 4,000 arrivals whose needs change
over the period, offered nothing, a small or a large coupon with probabilities that hang on who they are; a coupon costs
only where it is redeemed. The truth is the mean of runs of the policy itself on new arrivals, with the money it really
spends. "stop" gives its offers until the money is gone; "paced" sets a price from what is left.
"""

import argparse
import json
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from promolift.core.experiments.off_policy.budgeted_policy import BLOCKS, PricedPolicy, budgeted_value
from promolift.core.experiments.off_policy.estimators import read_log

Floats = NDArray[np.float64]
ROWS, RUNS = 4000, 400
BUDGETS = {"stop": 1500.0, "paced": 700.0}
FACE = np.array([0.0, 1.0, 3.0])  # what a redeemed coupon costs


@dataclass(frozen=True)
class Arrivals:
    """Who came, in their order: needs, and the chance to buy under each action."""

    need_N: Floats
    buys_NA: Floats

    @staticmethod
    def drawn(rng: np.random.Generator) -> "Arrivals":
        need = rng.normal(size=ROWS) + np.linspace(-0.7, 0.7, ROWS)
        chance = 1 / (1 + np.exp(1.0 - 0.6 * need))
        lift = np.column_stack([np.zeros(ROWS), 0.05 + 0.05 * (need < 0), 0.08 + 0.2 * (need < 0)])
        return Arrivals(need, np.clip(chance[:, None] + lift, 0, 1))

    @property
    def policy(self) -> PricedPolicy:
        """What the policy believes: nearly, not quite, the truth."""
        gain = 10 * (self.buys_NA - self.buys_NA[:, :1]) * 0.8
        return PricedPolicy(gain, FACE * self.buys_NA)

    def plain(self) -> NDArray[np.int64]:
        """The action that "stop" gives."""
        return np.where(self.need_N < 0, 2, 1)


def truth(name: str, runs: int) -> float:
    """Mean reward of an arrival where the policy runs with its own money."""
    found = []
    for seed in range(runs):
        rng = np.random.default_rng([77, seed])
        people, left, earned = Arrivals.drawn(rng), BUDGETS[name], 0.0
        luck, policy = rng.random(ROWS), Arrivals.drawn(rng).policy
        mine = people.policy
        prices = policy.prices()
        curve = np.array([(policy.cost_NA[np.arange(ROWS), policy.chosen(p, 0)]).mean() for p in prices])
        ends = np.linspace(0, ROWS, BLOCKS + 1).astype(int)
        over = False
        for start, end in pairwise(ends.tolist()):
            rate = left / (ROWS - start)
            price = float(np.interp(-rate, -curve, prices))
            action = mine.chosen(price, 0)[start:end] if name == "paced" else people.plain()[start:end]
            buys = people.buys_NA[start:end]
            for at, act in enumerate(action.tolist()):
                act = 0 if over else act
                bought = luck[start + at] < buys[at, act]
                earned += 10.0 * bought
                left -= FACE[act] * bought
                over = over or left <= 0
        found.append(earned / ROWS)
    return float(np.mean(found))


def log_of(name: str, seed: int) -> tuple[bool, bool, float]:
    """Whether our interval, and that of naive replay, hold the truth of TRUTH; and the width of ours."""
    rng = np.random.default_rng([5, seed])
    people = Arrivals.drawn(rng)
    prob = np.where(people.need_N[:, None] < 0, [0.6, 0.25, 0.15], [0.3, 0.4, 0.3])
    action = (rng.random(ROWS)[:, None] >= np.cumsum(prob, axis=1)[:, :-1]).sum(axis=1)
    bought = rng.random(ROWS) < people.buys_NA[np.arange(ROWS), action]
    log = read_log(action, 10.0 * bought, prob, people.need_N[:, None])
    policy = people.policy if name == "paced" else np.eye(3)[people.plain()]
    found = budgeted_value(log, FACE[action] * bought, policy, BUDGETS[name], 0)
    true = TRUTH[name]
    return found.low <= true <= found.high, found.naive_low <= true <= found.naive_high, found.high - found.low


TRUTH: dict[str, float] = {}


def main() -> None:
    """All figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--logs", type=int, default=500)
    options = parser.parse_args()
    logs, runs = (20, 20) if options.quick else (options.logs, RUNS)
    for name in BUDGETS:
        TRUTH[name] = truth(name, runs)
        found = np.array([log_of(name, seed) for seed in range(logs)])
        ours, naive, _ = found.mean(axis=0)
        told = {
            "figure": f"off-policy value under a budget: coverage of 95 %, {name}", "value": round(float(ours), 4),
            "se": round(float(np.sqrt(ours * (1 - ours) / logs)), 4), "unit": "share", "peer": "naive replay",
            "peer_value": round(float(naive), 4), "n": logs, "data": f"{ROWS} arrivals a log, truth {TRUTH[name]:.4f}",
        }  # fmt: skip
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
