"""What the product's policy believes in twelve simulated shops, held against the truth: one JSON object per line.

    python benchmarks/shop/learning.py                    # all figures, 12 worlds, 4 seeds, 2,000 customers
    python benchmarks/shop/learning.py coverage           # do 95 % intervals hold the true effects; expected over realised
    python benchmarks/shop/learning.py stopping drift     # do arms that do not pay stop; and when effects turn round
    python benchmarks/shop/learning.py prior              # what a prior of the wrong sign costs
    python benchmarks/shop/learning.py --quick            # 1 world each, 1 seed, 400 customers, 2 futures

The true effect of an arm on an audience is the mean, over futures of the shop as it is that day, of the profit in 84 days
if the whole audience gets the arm in the first 28 of them and nobody anything afterwards, less that of the same future
without offers. Learning pools windows, so the truth of its estimate is the mean over the windows in which the arm was
drawn, weighed as `update_beliefs` weighs them. Standard errors are over seeds.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from daily_policies import KeptLuck
from earn import AFTER_DAYS, WINDOW_DAYS, Figure, budget_of, live, names_of, say, see, share, total
from numpy.typing import NDArray
from product_policy import DEPTHS, ProductPolicy, make

from promolift.core.decisions.decision_rule import LineEffect
from promolift.core.experiments.arm_shares import REMINDER_SD, SMALL_SHARE, ArmPrior, arm_prior
from promolift.core.experiments.surrogate import Floats
from promolift.extensions.simulation.worlds.daily_shop import DailyShop, SentOffers
from promolift.extensions.simulation.worlds.daily_worlds import WORLDS, draw_daily_shop
from promolift.foundation.evidence import Z95
from promolift.shop.feedback import next_release
from promolift.shop.pipeline.planning import arms_in_play

WINDOWS, DRIFT_WINDOWS = 4, 10
MONTH_3 = 2  # the plan of the third window
QUIET = {"nothing works": ("discounts", "reminders"), "messages repel": ("reminders",)}  # what does not pay there
TURNS_AFTER = 2  # windows, of effects that reverse
QUARTER = 0.25
FIGURES = ("coverage", "stopping", "drift", "prior")
TURNED = ("message_active", "message_absent", "discount_active", "discount_absent")

Cells = dict[tuple[str, str], float]  # by arm and audience


class Window(NamedTuple):
    """One plan: what was believed and shared, the audiences, and what each arm truly adds per customer."""

    given: tuple[LineEffect, ...]
    sizes: dict[str, int]
    truth: Cells

    def weight(self, each: LineEffect) -> float:
        """What the window counts for in the estimate of an arm."""
        prob = each.prob or 0.0
        none = 1 - sum(other.prob or 0.0 for other in self.given if other.group == each.group)
        return self.sizes[each.group] * prob * none / (prob + none) if prob else 0.0

    def value(self, true: bool) -> float:
        """What the plan adds over all customers, in cents: as believed, or truly."""
        return sum(
            (e.prob or 0.0) * self.sizes[e.group] * (self.truth[e.arm, e.group] if true else e.net_cents)
            for e in self.given
        )


class Watched(NamedTuple):
    """The policy in one shop. `learned[k]` is what was believed after k + 1 windows."""

    windows: list[Window]
    learned: list[tuple[LineEffect, ...]]
    month_cents: float  # profit of a month without offers

    def pooled_truth(self, arm: LineEffect, after: int) -> float | None:
        """The true effect in the first `after + 1` windows, as the estimate weighs them."""
        value = weight = 0.0
        for window in self.windows[: after + 1]:
            for each in window.given:
                if (each.arm, each.group) == (arm.arm, arm.group):
                    value += window.weight(each) * window.truth[each.arm, each.group]
                    weight += window.weight(each)
        return value / weight if weight else None


def true_effects(shop: DailyShop, policy: ProductPolicy, futures: int) -> Cells:
    """What each arm in play adds per customer of each audience, profit of 84 days in cents."""
    groups, given = policy.draws[-1].select("customer_id", "group"), policy.given[-1]
    place = {who: at for at, who in enumerate(shop.customer_ids)}
    members = {name: np.array([place[who] for who in mine["customer_id"]])
               for (name,), mine in groups.partition_by("group", as_dict=True).items()}  # fmt: skip
    everybody = np.zeros(len(place), np.bool_)
    everybody[np.concatenate(list(members.values()))] = True
    arms = sorted({each.arm for each in given})
    sums: dict[str, Floats] = {}
    for future in range(futures * bool(arms)):
        luck, none = KeptLuck(shop.copy(seed=1_000 + future).luck.key_N), np.zeros(len(place))
        for arm in ("", *arms):
            run = shop.copy()
            run.luck = luck
            send_N = np.where(everybody & (arm != ""), policy.send_day_N, -1)
            offers = replace(
                SentOffers.nobody(len(place)), send_N=send_N, depth_N=np.full(len(place), DEPTHS.get(arm, 0.0))
            )
            run.advance(WINDOW_DAYS, offers, write=False)
            run.advance(AFTER_DAYS - WINDOW_DAYS, write=False)
            if arm:
                sums[arm] = sums.get(arm, np.zeros(len(place))) + (run.profit_N - none) / futures
            else:
                none = run.profit_N
    return {(each.arm, each.group): float(sums[each.arm][members[each.group]].mean()) for each in given}


def watch(shop: DailyShop, seed: int, windows: int, futures: int, budget: float | None = None) -> Watched:
    """Run the product's policy in a copy of a shop; without futures no truth is looked at."""
    run, policy, seen, learned = shop.copy(), make(seed), [], []
    assert isinstance(policy, ProductPolicy)
    budget = budget_of(shop) if budget is None else budget
    for _ in range(windows):
        offers = policy.plan(see(run, budget))
        if policy.effects:
            learned.append(policy.effects)
        sizes = dict(policy.draws[-1].group_by("group").len().iter_rows())
        seen.append(Window(policy.given[-1], sizes, true_effects(run, policy, futures) if futures else {}))
        run.advance(WINDOW_DAYS, offers)
    learned.append(policy.learned(see(run, budget)))
    none = shop.copy()
    none.advance(windows * WINDOW_DAYS, write=False)
    return Watched(seen, learned, float((none.profit_N - shop.profit_N).sum()) / windows)


class Held(NamedTuple):
    """Whether one interval holds the truth, and how far the truth lies from its middle in standard errors."""

    inside: bool
    away: float


def held(mean: float, se: float, truth: float) -> Held:
    """Of a normal interval of 95 %."""
    away = (truth - mean) / max(se, 1e-9)
    return Held(abs(away) <= Z95, away)


KINDS = ("posterior", "posterior of the next window", "draws alone")


def intervals(shop: Watched, kind: str) -> list[Held]:
    """All intervals of arms that were drawn."""
    found = []
    for after, learned in enumerate(shop.learned):
        for each in learned:
            if each.drawn_cents is None or each.drawn_se_cents is None:
                continue
            if kind == "posterior of the next window":
                later = shop.windows[after + 1].truth if after + 1 < len(shop.windows) else {}
                truth = later.get((each.arm, each.group))
            else:
                truth = shop.pooled_truth(each, after)
            if truth is not None and kind == "draws alone":
                found.append(held(each.drawn_cents, each.drawn_se_cents, truth))
            elif truth is not None:
                found.append(held(each.net_cents, each.net_se_cents, truth))
    return found


def report_coverage(found: dict[str, list[Watched]], data: str) -> None:
    """By world and over all; then what plans expected over what they truly added."""
    worlds = list(found)
    for kind in KINDS:
        inside: dict[str, list[Floats]] = {"hits": [], "all": []}
        for world in worlds:
            each = [intervals(shop, kind) for shop in found[world]]
            hits, count = (np.array([float(f(x)) for x in each]) for f in (lambda x: sum(h.inside for h in x), len))
            away = np.array([h.away for x in each for h in x])
            inside["hits"].append(hits)
            inside["all"].append(count)
            say(f"coverage of 95 % intervals: {kind}", share([hits], [count]), "share", "aim", 0.95, int(count.sum()),
                f"{world}, {data}", mean_z=_round(away.mean()), sd_z=_round(away.std()),
                above=_round(float((away > Z95).mean())), below=_round(float((away < -Z95).mean())))  # fmt: skip
        say(f"coverage of 95 % intervals: {kind}", pooled(inside["hits"], inside["all"]), "share", "aim", 0.95,
            int(sum(part.sum() for part in inside["all"])), f"{len(worlds)} worlds, {data}")  # fmt: skip
    for world in (*worlds, ""):
        mine = [world] if world else worlds
        expected, real = (
            [np.array([shop_value(shop, true) for shop in found[name]]) for name in mine] for true in (False, True)
        )
        say("expected over true value of plans, months 2 to 4", share(expected, real), "ratio", "true", 1.0,
            sum(part.size for part in real), f"{world or f'{len(worlds)} worlds'}, {data}",
            expected_months=_round(total(expected).value), true_months=_round(total(real).value))  # fmt: skip


def pooled(hits: list[Floats], count: list[Floats]) -> Figure:
    """One share of all worlds, each interval counting as much."""
    a, b = np.concatenate(hits), np.concatenate(count)
    if b.size < 2:
        return Figure(float(a.sum() / b.sum()), None)
    ratio = float(a.sum() / b.sum())
    return Figure(ratio, float(np.sqrt(((a - ratio * b) ** 2).sum() * b.size / (b.size - 1)) / b.sum()))


def shop_value(shop: Watched, true: bool) -> float:
    """What the plans from the second window on add, in months of profit: as believed, or truly."""
    return sum(window.value(true) for window in shop.windows[1:]) / shop.month_cents


def drawn_share(window: Window, discounts: bool) -> float:
    """The largest share of an audience that draws arms of this kind."""
    by: dict[str, float] = {}
    for each in window.given:
        if (DEPTHS[each.arm] > 0) == discounts:
            by[each.group] = by.get(each.group, 0.0) + (each.prob or 0.0)
    return max(by.values(), default=0.0)


def mean_share(window: Window, discounts: bool) -> float:
    """The share of all customers who may be written to that draws arms of this kind."""
    mine = sum(
        (each.prob or 0.0) * window.sizes[each.group] for each in window.given if (DEPTHS[each.arm] > 0) == discounts
    )
    return mine / max(sum(window.sizes.values()), 1)


def report_stopping(seeds: list[int], customers: int, worlds: list[str]) -> None:
    """In shops where messages, or messages and discounts, do not pay: who still draws them in months 3 and 4."""
    for world in worlds:
        shops = [watch(draw_daily_shop(world, seed, customers), seed, WINDOWS, 0) for seed in seeds]  # type: ignore[arg-type]
        data = f"{world}, seeds {seeds[0]} to {seeds[-1]}, {customers} customers"
        for what in QUIET[world]:
            for month in (MONTH_3, MONTH_3 + 1):
                largest, mean = (
                    np.array([each(shop.windows[month], what == "discounts") for shop in shops])
                    for each in (drawn_share, mean_share)
                )
                for who, share_S in (("a tenth of each audience", largest), ("a tenth of all customers", mean)):
                    small = (share_S <= SMALL_SHARE + 1e-9).astype(float)
                    say(f"shops in which {who} at most draws {what}, month {month + 1}", total([small]), "share", "aim", 0.9,
                        len(shops), data, mean_share=_round(float(share_S.mean())))  # fmt: skip


def turned_round(shop: DailyShop) -> DailyShop:
    """The same shop whose offers harm until the day on which they begin to work."""
    made = shop.copy()
    for name in TURNED:
        setattr(made.behaviour, name, -getattr(made.behaviour, name))
    return made


def months_after(flags: NDArray[np.bool_]) -> Floats:
    """By shop: windows after the turn until a flag first holds, of the columns of windows; NaN where it never does."""
    later = flags[:, TURNS_AFTER:]
    return np.where(later.any(axis=1), later.argmax(axis=1), np.nan)


def report_drift(seeds: list[int], customers: int, windows: int) -> None:
    """Offers that begin to harm, and offers that begin to work: who draws them, and for how long."""
    shops = [draw_daily_shop("effects reverse", seed, customers) for seed in seeds]
    data = f"effects reverse, seeds {seeds[0]} to {seeds[-1]}, {customers} customers, {windows} windows"
    for label, goal, start in (("begin to harm", "a tenth of every audience at most", DailyShop.copy),
                               ("begin to work", "a quarter of an audience", turned_round)):  # fmt: skip
        seen = [watch(start(shop), seed, windows, 0, budget_of(shop)) for seed, shop in zip(seeds, shops, strict=True)]
        for what, discounts in (("discounts", True), ("reminders", False)):
            largest = np.array([[drawn_share(w, discounts) for w in each.windows] for each in seen])
            drew = np.array([[mean_share(w, discounts) for w in each.windows] for each in seen])
            months = months_after(largest <= SMALL_SHARE + 1e-9 if label == "begin to harm" else largest >= QUARTER)
            known = months[~np.isnan(months)]
            say(f"offers {label} after month {TURNS_AFTER}: months until {what} are drawn by {goal}",
                total([known]) if known.size else Figure(float("nan"), None), "months", "", None, len(seeds), data,
                never=int(np.isnan(months).sum()), of_customers_by_month=[_round(float(x)) for x in drew.mean(axis=0)],
                largest_by_month=[_round(float(x)) for x in largest.mean(axis=0)])  # fmt: skip


def wrong_prior(cost_K: Floats, monthly_margin_cents: float) -> ArmPrior:
    """The prior with its means turned round: a discount gains half of its cost, a message one standard deviation."""
    right = arm_prior(cost_K, monthly_margin_cents)
    return ArmPrior(REMINDER_SD * monthly_margin_cents - right.mean_K, right.cov_KK)


@contextmanager
def believing(prior: Callable[[Floats, float], ArmPrior]) -> Iterator[None]:
    """Plan and learn by another prior."""
    with patch.object(next_release, "arm_prior", prior), patch.object(arms_in_play, "arm_prior", prior):
        yield


def prior_gap(shop: DailyShop, seed: int, windows: int) -> Floats:
    """By month: the mean over customers of how far the shares of arms move if the same draws are read by the wrong
    prior. The shares are those that learning gives, before waste and budget cut them."""
    run, policy, budget, gaps = shop.copy(), make(seed), budget_of(shop), []
    assert isinstance(policy, ProductPolicy)
    for _ in range(windows):
        offers = policy.plan(see(run, budget))
        run.advance(WINDOW_DAYS, offers)
        seen, sizes = see(run, budget), dict(policy.draws[-1].group_by("group").len().iter_rows())
        right = {(e.arm, e.group): e.prob or 0.0 for e in policy.learned(seen)}
        with believing(wrong_prior):
            wrong = {(e.arm, e.group): e.prob or 0.0 for e in policy.learned(seen)}
        moved: dict[str, float] = {}
        for (arm, group), prob in right.items():
            moved[group] = moved.get(group, 0.0) + abs(prob - wrong[arm, group])
        gaps.append(sum(moved.get(group, 0.0) * size for group, size in sizes.items()) / max(sum(sizes.values()), 1))
    return np.array(gaps)


def report_prior(worlds: list[str], seeds: list[int], customers: int) -> None:
    """What the wrong prior costs, paired with the right one, and how far shares by both differ after each month."""
    costs, gaps = [], []
    data = f"seeds {seeds[0]} to {seeds[-1]}, {customers} customers"
    for world in worlds:
        shops = [draw_daily_shop(world, seed, customers) for seed in seeds]  # type: ignore[arg-type]
        right = [live(shop, make, seed, budget_of(shop)) for seed, shop in zip(seeds, shops, strict=True)]
        with believing(wrong_prior):
            wrong = [live(shop, make, seed, budget_of(shop)) for seed, shop in zip(seeds, shops, strict=True)]
        costs.append(np.array([(a.gain - b.gain) / a.profit for a, b in zip(right, wrong, strict=True)]))
        gaps.append(np.array([prior_gap(shop, seed, WINDOWS) for seed, shop in zip(seeds, shops, strict=True)]))
        say("cost of a prior of the wrong sign", total(costs[-1:]), "share of the four months' profit", "aim", 0.01,
            len(seeds), f"{world}, {data}", shares_moved_after_month=[_round(float(x)) for x in gaps[-1].mean(axis=0)])  # fmt: skip
    every, n = np.concatenate(gaps), len(worlds) * len(seeds)
    mean = total(costs)
    say("cost of a prior of the wrong sign, mean of worlds",
        Figure(mean.value / len(worlds), None if mean.se is None else mean.se / len(worlds)),
        "share of the four months' profit", "aim", 0.01, n, f"{len(worlds)} worlds, {data}")  # fmt: skip
    for month in range(WINDOWS):
        moved = every[:, month]
        say(f"shops in which shares differ by a tenth of customers at most, read after month {month + 1}",
            total([(moved <= SMALL_SHARE).astype(float)]), "share", "", None, n, f"{len(worlds)} worlds, {data}",
            mean_difference=_round(float(moved.mean())))  # fmt: skip


def _round(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", nargs="*", default=FIGURES, help=", ".join(FIGURES))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--futures", type=int, default=10)
    parser.add_argument("--windows", type=int, default=DRIFT_WINDOWS, help="of drift")
    asked = parser.parse_args()
    if asked.quick:
        asked.worlds, asked.seeds, asked.customers, asked.futures, asked.windows = "fatigue", 1, 400, 2, 4
    worlds, figures = names_of(asked.worlds, list(WORLDS)), names_of(",".join(asked.figures), list(FIGURES))
    seeds = list(range(asked.first_seed, asked.first_seed + asked.seeds))
    begin = time.process_time()
    if "coverage" in figures:
        found: dict[str, list[Watched]] = {world: [] for world in worlds}
        for world in worlds:
            for seed in seeds:
                shop = draw_daily_shop(world, seed, asked.customers)  # type: ignore[arg-type]
                found[world].append(watch(shop, seed, WINDOWS, asked.futures))
            print(f"{world}: {time.process_time() - begin:.0f} CPU s", file=sys.stderr, flush=True)
        report_coverage(found, f"seeds {seeds[0]} to {seeds[-1]}, {asked.customers} customers, {asked.futures} futures")
    if "stopping" in figures:
        report_stopping(seeds, asked.customers, [world for world in QUIET if world in worlds or asked.quick])
    if "drift" in figures:
        report_drift(seeds, asked.customers, asked.windows)
    if "prior" in figures:
        report_prior(worlds, seeds, asked.customers)
    print(f"{time.process_time() - begin:.0f} CPU s", file=sys.stderr)


if __name__ == "__main__":
    main()
