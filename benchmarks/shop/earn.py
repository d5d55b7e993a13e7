"""What policies earn in twelve simulated shops, paired with the same shops left alone: one JSON object per line.

    python benchmarks/shop/earn.py                                # 12 worlds, 4 seeds, 2,000 customers
    python benchmarks/shop/earn.py --worlds pantry,fatigue --policies "nothing,knowable,LinTS" --seeds 2
    python benchmarks/shop/earn.py --months 6 --customers 10000 --seeds 1 --policies "nothing,win-back by hand,promolift"
    python benchmarks/shop/earn.py --quick                        # 3 worlds, 1 seed, 400 customers

Each policy lives in its own copy of each shop, with the same luck and the same budget: 3 % of the revenue of the last 84
days before it starts, per 28 days. Its gain in months 1 to 3 is the profit of (the policy for three windows, then nothing
for 84 days) less the profit of nothing; month 4 is (four windows, then nothing for 84 days) less (three windows, then
nothing), to the same last day. With `--months` the last month stands apart in the same way. Gains are in months of the
shop's profit without offers, so that no large shop decides. Standard errors are over seeds within each world; shares have
theirs by the delta method. With one seed there is none. What the product's policy believes is judged by `learning.py`.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from daily_policies import POLICIES as PEERS
from daily_policies import Insider, Policy, SeenShop
from numpy.typing import NDArray
from product_policy import make

from promolift.extensions.simulation.worlds.daily_shop import DAY_MS, START_MS, DailyShop, SentOffers
from promolift.extensions.simulation.worlds.daily_worlds import WORLDS, draw_daily_shop

Floats = NDArray[np.float64]
POLICIES: dict[str, Callable[[int], Policy]] = {**PEERS, "promolift": make}
WINDOW_DAYS = 28
MONTHS = 4
AFTER_DAYS = 84
BUDGET_SHARE = 0.03
OVERSPENT = 1.25  # of the budget
QUICK_WORLDS = ("fatigue", "messages repel", "nothing works")
HARMFUL_WORLDS = ("nothing works", "messages repel", "effects reverse")


class Lived(NamedTuple):
    """One policy in one shop. Gains are in months of profit, costs in cents."""

    early: float  # all months but the last
    last: float
    spent_cents: float
    budget_cents: float
    messages: float  # per customer
    profit: float  # in months, of these months without offers
    cpu_s: float

    @property
    def gain(self) -> float:
        """All months."""
        return self.early + self.last


Found = dict[tuple[str, str], list[Lived]]  # by policy and world: one for each seed


def budget_of(shop: DailyShop) -> float:
    """The budget of a window, in cents."""
    log = shop.log
    lately = log.filter(log["ts_ms"] >= START_MS + (shop.day - 84) * DAY_MS)
    return BUDGET_SHARE * float(lately["paid_cents"].sum() - lately["returned_cents"].sum()) * WINDOW_DAYS / 84


def see(shop: DailyShop, budget_cents: float) -> SeenShop:
    """What the shop knows today."""
    return SeenShop(shop.day, shop.log, shop.products, shop.customer_ids, ~shop.unsubscribed_N, shop.traits.margin,
                    budget_cents, WINDOW_DAYS)  # fmt: skip


def profit_after(shop: DailyShop, days: int, offers: SentOffers | None = None) -> float:
    """The profit since day 0 of the shop after some days; the shop lives on."""
    shop.advance(days, offers, write=False)
    return float(shop.profit_N.sum())


def live(shop: DailyShop, make: Callable[[int], Policy], seed: int, budget_cents: float, months: int = MONTHS) -> Lived:
    """Run a policy in copies of a shop; a month is a window of WINDOW_DAYS."""
    begin, n = time.process_time(), shop.behaviour.customers
    none = shop.copy()
    none_all = profit_after(none, months * WINDOW_DAYS) - float(shop.profit_N.sum())
    none_early = profit_after(none, AFTER_DAYS - WINDOW_DAYS)  # all windows but one and what follows
    month = (profit_after(none, WINDOW_DAYS) - float(shop.profit_N.sum())) / (months + AFTER_DAYS / WINDOW_DAYS)
    run, policy, messages, early, same_day = shop.copy(), make(seed), 0, 0.0, 0.0
    for window in range(months):
        if window == months - 1:
            stopped = run.copy()
            early = profit_after(stopped, AFTER_DAYS) - none_early
            same_day = profit_after(stopped, WINDOW_DAYS)
        if isinstance(policy, Insider):
            policy.shop = run
        offers = policy.plan(see(run, budget_cents))
        messages += int(((offers.send_N >= 0) & ~run.unsubscribed_N).sum())
        run.advance(WINDOW_DAYS, offers)
    spent = float((run.discount_N - shop.discount_N).sum())
    last = profit_after(run, AFTER_DAYS) - same_day
    return Lived(early / month, last / month, spent, budget_cents * months, messages / n, none_all / month,
                 time.process_time() - begin)  # fmt: skip


def live_all(
    worlds: list[str], seeds: int, customers: int, policies: dict[str, Callable[[int], Policy]], months: int = MONTHS
) -> Found:
    """Every policy in every shop."""
    found: Found = {(name, world): [] for name in policies for world in worlds}
    for seed in range(seeds):
        for world in worlds:
            begin = time.process_time()
            shop = draw_daily_shop(world, seed, customers)  # type: ignore[arg-type]
            budget = budget_of(shop)
            for name, start in policies.items():
                found[name, world].append(live(shop, start, seed, budget, months))
            each = ", ".join(f"{name} {found[name, world][-1].gain:+.3f}" for name in policies)
            print(f"{world} {seed}: {time.process_time() - begin:.1f} CPU s; {each}", file=sys.stderr, flush=True)
    return found


class Figure(NamedTuple):
    """A value with its standard error, None where one seed tells none."""

    value: float
    se: float | None


def total(parts: list[Floats]) -> Figure:
    """The sum over worlds of the mean over seeds; a part holds one world's values."""
    seeds = min(part.size for part in parts)
    spread = np.sqrt(sum(part.var(ddof=1) / part.size for part in parts)) if seeds > 1 else None
    return Figure(float(sum(part.mean() for part in parts)), None if spread is None else float(spread))


def share(ours: list[Floats], theirs: list[Floats]) -> Figure:
    """The ratio of two totals, nan where the second is not above its own standard error."""
    below = total(theirs)
    if below.value <= (below.se or 0.0) or below.value < 1e-6:
        return Figure(float("nan"), None)
    ratio = total(ours).value / below.value
    rest = total([a - ratio * b for a, b in zip(ours, theirs, strict=True)])
    return Figure(ratio, None if rest.se is None else rest.se / below.value)


def values(found: Found, name: str, worlds: list[str], part: str) -> list[Floats]:
    """One array of seeds for each world."""
    return [np.array([getattr(each, part) for each in found[name, world]]) for world in worlds]


def labels(months: int) -> dict[str, str]:
    """Spans in words, and the fields of `Lived` that hold them."""
    early = f"months 1 to {months - 1}" if months > 2 else "month 1"
    return {early: "early", f"month {months}": "last", f"months 1 to {months}": "gain"}


def report(found: Found, worlds: list[str], names: list[str], against: str, data: str, months: int = MONTHS) -> None:
    """By world, then in the sum."""
    yardstick = "knowable" if "knowable" in names else ""
    seeds = len(found[names[0], worlds[0]])
    for name in names:
        for world in worlds:
            of_world(found, name, world, yardstick, f"{world}, {data}", months)
        everywhere(found, name, worlds, yardstick, f"{len(worlds)} worlds, {data}", months)
        if against in names and name != against:
            pairs = zip(values(found, name, worlds, "gain"), values(found, against, worlds, "gain"), strict=True)
            say(f"gain over {against}, months 1 to {months}, paired: {name}", total([a - b for a, b in pairs]), "months of profit",
                against, 0.0, seeds * len(worlds), f"{len(worlds)} worlds, {data}")  # fmt: skip


def of_world(found: Found, name: str, world: str, yardstick: str, data: str, months: int) -> None:
    """One policy in one world: gain, share of what could be known, spend, messages, loss where offers harm."""
    lived = found[name, world]
    for label, part in list(labels(months).items())[:2]:
        known = total(values(found, yardstick, [world], part)).value if yardstick else None
        say(f"gain, {label}: {name}", total(values(found, name, [world], part)), "months of profit", yardstick, known,
            len(lived), data)  # fmt: skip
    if yardstick and name != yardstick:
        both = share(values(found, name, [world], "gain"), values(found, yardstick, [world], "gain"))
        say(f"share of the knowable gain: {name}", both, "share", yardstick, 1.0, len(lived), data)
    spent = np.array([each.spent_cents / max(each.budget_cents, 1.0) for each in lived])
    known = None
    if yardstick:
        known = float(np.mean([each.spent_cents / max(each.budget_cents, 1.0) for each in found[yardstick, world]]))
    say(f"spend over budget: {name}", total([spent]), "share", yardstick, known, len(lived), data,
        overspent=bool(spent.mean() > OVERSPENT))  # fmt: skip
    say(f"messages in {months} months: {name}", total(values(found, name, [world], "messages")), "per customer", "", None,
        len(lived), data)  # fmt: skip
    if world in HARMFUL_WORLDS:
        loss = -np.array([each.gain / each.profit for each in lived])
        say(f"loss against nothing: {name}", total([loss]), f"share of the {months} months' profit", "nothing", 0.0,
            len(lived), data)  # fmt: skip


def everywhere(found: Found, name: str, worlds: list[str], yardstick: str, data: str, months: int) -> None:
    """One policy in the sum over worlds, and its worst world."""
    n = sum(len(found[name, world]) for world in worlds)
    for label, part in labels(months).items():
        ours = values(found, name, worlds, part)
        theirs = values(found, yardstick, worlds, part) if yardstick else []
        say(f"total gain, {label}: {name}", total(ours), "months of profit", yardstick,
            total(theirs).value if yardstick else None, n, data)  # fmt: skip
        if yardstick and name != yardstick:
            say(f"share of the total knowable gain, {label}: {name}", share(ours, theirs), "share", yardstick, 1.0, n,
                data)  # fmt: skip
    gains = [total(values(found, name, [world], "gain")) for world in worlds]
    worst = int(np.argmin([each.value for each in gains]))
    say(f"worst world: {name}", gains[worst], "months of profit", "nothing", 0.0, n, data, world=worlds[worst])
    over = [world for world in worlds
            if sum(x.spent_cents for x in found[name, world]) > OVERSPENT * sum(x.budget_cents for x in found[name, world])]  # fmt: skip
    say(f"worlds in which spend exceeds the budget by more than a quarter: {name}", Figure(float(len(over)), None), "worlds",
        "", None, len(worlds), data, worlds=over)  # fmt: skip
    cpu = np.array([each.cpu_s for world in worlds for each in found[name, world]])
    say(f"CPU of a shop: {name}", Figure(float(cpu.mean()), None), "CPU s", "", None, n, data)


def say(
    figure: str, found: Figure, unit: str, peer: str, peer_value: float | None, n: int, data: str, **more: object
) -> None:  # fmt: skip
    """Print one line."""

    def rounded(number: float | None) -> float | None:
        return None if number is None or not np.isfinite(number) else round(number, 4)

    line = {"figure": figure, "value": rounded(found.value), "se": rounded(found.se), "unit": unit, "peer": peer,
            "peer_value": rounded(peer_value), "n": n, "data": data}  # fmt: skip
    print(json.dumps(line | more), flush=True)


def names_of(text: str, known: list[str]) -> list[str]:
    """Names separated by commas."""
    names = [each.strip() for each in text.split(",")]
    unknown = [each for each in names if each not in known]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--worlds", default=",".join(WORLDS))
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--months", type=int, default=MONTHS)
    parser.add_argument("--against", default="win-back by hand", help="the policy that all others are compared with")
    asked = parser.parse_args()
    if asked.quick:
        asked.worlds, asked.seeds, asked.customers = ",".join(QUICK_WORLDS), 1, 400
    worlds, names = names_of(asked.worlds, list(WORLDS)), names_of(asked.policies, list(POLICIES))
    begin = time.process_time()
    found = live_all(worlds, asked.seeds, asked.customers, {name: POLICIES[name] for name in names},
                     asked.months)  # fmt: skip
    report(found, worlds, names, asked.against, f"{asked.seeds} seeds, {asked.customers} customers", asked.months)
    print(f"{time.process_time() - begin:.0f} CPU s", file=sys.stderr)


if __name__ == "__main__":
    main()
