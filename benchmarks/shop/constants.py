"""What each constant of the policy is worth: it halved and doubled, in the same shops, out.

    python benchmarks/shop/constants.py            # twelve worlds, two seeds, 2,000 customers, four months
    python benchmarks/shop/constants.py --quick    # three worlds, one seed, 400 customers, three constants

Prints JSON lines: figure, value, se, unit, peer, peer_value, n, data. `value` is the gain with the other constant less
the gain with the product's own (the peer), paired by shop, in months of profit a shop; `se` over shops. A constant whose
differences stay within their errors decides nothing that these worlds can show.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import earn
import numpy as np
import product_policy

from promolift.core.experiments import arm_shares, audiences
from promolift.extensions.simulation.worlds.daily_worlds import WORLDS, draw_daily_shop
from promolift.shop.feedback import next_release
from promolift.shop.pipeline.planning import arms_in_play

MODULES = (arm_shares, audiences, arms_in_play, next_release, product_policy)
OTHERS: dict[str, tuple[object, object]] = {
    "FIRST_DISCOUNT": (0.25, 0.7), "FIRST_REMINDER": (0.125, 0.4), "NONE_SHARE": (0.05, 0.2),
    "SMALL_SHARE": (0.05, 0.2), "NEW_CUSTOMERS": (125, 500), "NEW_SHARE": (0.2, 0.8), "REST_BELOW": (0.025, 0.1),
    "REST_WINDOWS": (1, 4), "REMINDER_SD": (0.045, 0.18), "DISCOUNT_MEAN": (-0.25, -1.0), "DISCOUNT_SD": (0.75, 3.0),
    "PRIOR_SCALES": ((1.0,), (1.0, 4.0, 16.0, 64.0)), "SCALE_PENALTY": (1.0, 4.0), "COST_SD": (0.175, 0.7),
    "BENEFITS_ALIKE": (0.35, 0.9), "LEAST_VARIANCE": (0.25, 1.0), "REFUSAL_RATE": (0.001, 0.004),
    "ABSENT_SHARE": (0.25, 0.75), "LONG_ABSENT_SHARE": (0.125, 0.4), "REGULAR": (0.15, 0.6),
    "RHYTHM_QUANTILE": (0.125, 0.5), "EARLY_DAYS": (1, 4), "OVERDUE_DAYS": (3, 14), "MERGED_BELOW": (250, 1000),
    "ACTIVE_FROM": (1, 6), "LIKELY": (0.6, 0.95), "WASTE": (0.01, 0.04),
}  # fmt: skip
QUICK = ("NONE_SHARE", "DISCOUNT_SD", "WASTE")


@contextmanager
def constant(name: str, value: object) -> Iterator[None]:
    """Set a constant in every module that has it, until the end of the block."""
    before: list[tuple[ModuleType, object]] = [(each, getattr(each, name)) for each in MODULES if hasattr(each, name)]
    if not before:
        raise SystemExit(f"no module has a constant {name}")
    try:
        for module, _ in before:
            setattr(module, name, value)
        yield
    finally:
        for module, old in before:
            setattr(module, name, old)


def own(name: str) -> object:
    """The product's value of a constant."""
    return next(getattr(each, name) for each in MODULES if hasattr(each, name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--constants", default=",".join(OTHERS))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--customers", type=int, default=2000)
    asked = parser.parse_args()
    if asked.quick:
        asked.worlds, asked.constants = ",".join(earn.QUICK_WORLDS), ",".join(QUICK)
        asked.seeds, asked.customers = 1, 400
    worlds, names = earn.names_of(asked.worlds, list(WORLDS)), earn.names_of(asked.constants, list(OTHERS))
    variants = [(name, value) for name in names for value in OTHERS[name]]
    base, gains = list[float](), dict[tuple[str, object], list[float]]()
    for seed in range(asked.seeds):
        for world in worlds:
            begin = time.process_time()
            shop = draw_daily_shop(world, seed, asked.customers)  # type: ignore[arg-type]
            budget = earn.budget_of(shop)
            base.append(earn.live(shop, product_policy.make, seed, budget).gain)
            for name, value in variants:
                with constant(name, value):
                    found = earn.live(shop, product_policy.make, seed, budget)
                gains.setdefault((name, value), []).append(found.gain)
            print(f"{world} {seed}: {time.process_time() - begin:.0f} CPU s", file=sys.stderr, flush=True)
    data = f"{len(worlds)} worlds, {asked.seeds} seeds, {asked.customers} customers"
    for name, value in variants:
        ahead = np.array(gains[name, value]) - np.array(base)
        figure = earn.Figure(float(ahead.mean()), float(ahead.std(ddof=1)) / ahead.size**0.5)
        earn.say(f"{name} {value}", figure, "months of profit a shop", f"{name} {own(name)}", float(np.mean(base)),
                 ahead.size, data)  # fmt: skip


if __name__ == "__main__":
    main()
