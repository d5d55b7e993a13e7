"""Does it pay? Policies in copies of shops that share no model with promolift: one JSON object per line.

    python benchmarks/shop/earn.py --customers 3000,20000                 # 20 shops at a margin of 30 %, six months
    python benchmarks/shop/earn.py --margin 0.6 --shops 10 --months 2     # month two of shops at a margin of 60 %
    python benchmarks/shop/earn.py --nothing --shops 3 --months 4 --only promolift
    python benchmarks/shop/earn.py --teach                                # power, alarms and coverage of what draws teach
    python benchmarks/shop/earn.py --quick                                # 3 small shops, one month

Every policy lives in its own copy of each shop, with the same luck, the same arms and the same budget (1.5 % of the
revenue of the last four weeks). What it decides is judged by true expected profit over giving nothing: in the four
weeks of its offers, and with eight weeks after (`promolift.extensions.simulation.worlds.market`). `knowable` is the best arm for each cell
of recency x value by the true effects. promolift goes by its documented path: run, learn, approve.
"""

import argparse
import json
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import lightgbm
import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.core.experiments.line_effects import ArmCell, detectable_effect, estimate_arm_values
from promolift.core.experiments.surrogate import Spans, features, fit_surrogate
from promolift.extensions.simulation.offline import BUDGET_SHARE, CommandLinePath
from promolift.extensions.simulation.worlds.market import (
    ALL_CATEGORIES,
    START_MS,
    WEEK_MS,
    MarketOffers,
    MarketShop,
    SimulatedMarket,
    draw_shop,
)
from promolift.extensions.simulation.worlds.simulated_worlds import MarketWorld
from promolift.foundation.hashing import hash_units
from promolift.foundation.storage.local_store import Store
from promolift.shop.feedback.next_release import draw_outcomes, draws_as_arrays
from promolift.shop.results.line_tests import LineTestNote, all_draws
from promolift.shop.results.plan_note import PlanNote

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
ARMS = ("everything-10", "favourite-10", "favourite-20", "spend-save", "reminder")
LEARNERS = ("best fixed arm by A/B", "A/B by recency", "X-learner and knapsack", "LinTS")
JUDGED = 101  # first shop of the figures; shops below were looked at while choices were made
HISTORY_WEEKS = 52
DAY_MS = WEEK_MS // 7


class View(NamedTuple):
    """What a shop knows at the start of a month: features of every customer seen so far, N in order of their number."""

    known_N: NDArray[np.bool_]
    recency_N: Floats
    spend_N: Floats  # expected in four weeks: that of the last 16, by week
    favourite_N: Ints
    share_N: Floats  # of the favourite in all spending
    features_NF: Floats
    budget: float
    amount: float
    least: float
    large_N: Floats  # share of their orders that reach `least`


def view_of(market: SimulatedMarket) -> View:
    """From the log alone."""
    now = START_MS + market.week * WEEK_MS
    rows = market.events.with_columns(c=pl.col("product_id").str.slice(1, 1).cast(pl.Int64))
    orders = rows.group_by("customer_id", "order_id").agg(
        pl.col("ts_ms").first(), pl.col("paid_cents", "list_cents").sum()
    )
    least = float(np.round(orders["list_cents"].quantile(0.75) / 500) * 500)  # type: ignore[operator]
    age = (now - pl.col("ts_ms")) / DAY_MS
    each = orders.group_by("customer_id").agg(
        age.min().alias("recency"), age.max().alias("tenure"),
        *((age < days).sum().alias(f"orders_{days}") for days in (28, 112, 364)),
        pl.col("paid_cents").filter(age < 112).sum().alias("spend"),
        pl.col("list_cents").mean().alias("basket"), (pl.col("list_cents") >= least).mean().alias("large"),
    )  # fmt: skip
    tastes = rows.group_by("customer_id", "c").agg(pl.col("list_cents").sum())
    best = tastes.sort("customer_id", "list_cents", "c", descending=[False, True, False]).group_by("customer_id").agg(
        pl.col("c").first(), (pl.col("list_cents").first() / pl.col("list_cents").sum()).alias("share")
    )  # fmt: skip
    people = pl.DataFrame({"customer_id": market.customer_ids}).join(
        each.join(best, on="customer_id"), on="customer_id", how="left", maintain_order="left"
    )
    known = people["recency"].is_not_null().to_numpy()
    got = {name: people[name].cast(pl.Float64).fill_null(0.0).to_numpy() for name in people.columns[1:]}
    names = ("recency", "tenure", "orders_28", "orders_112", "orders_364", "spend", "basket", "large", "share")
    revenue = float(rows.filter(pl.col("ts_ms") >= now - 4 * WEEK_MS)["paid_cents"].sum())
    return View(
        known, np.where(known, got["recency"], 1e4), got["spend"] / 4, got["c"].astype(np.int64), got["share"],
        np.stack([got[name] for name in names], axis=1), BUDGET_SHARE * revenue, max(100.0, np.round(least / 1000) * 100),
        least, got["large"],
    )  # fmt: skip


def offers_of(view: View, arm_N: Ints) -> MarketOffers:
    """Arms by their place in ARMS, -1 for none, as the market takes them; nobody unknown gets one."""
    arm = np.where(view.known_N, arm_N, -1)
    category = np.select([arm < 0, (arm == 1) | (arm == 2)], [-2, view.favourite_N], ALL_CATEGORIES)
    depth = np.select([(arm == 0) | (arm == 1), arm == 2], [0.1, 0.2], 0.0)
    spend = arm == 3
    return MarketOffers(category, depth, np.where(spend, view.amount, 0.0), np.where(spend, view.least, 0.0))


def expected_cost(view: View) -> Floats:
    """What each arm is expected to cost for each customer, N x K, by the spending of the last weeks; floor 1 cent, for
    a reminder too."""
    spend, share = np.maximum(view.spend_N, 0.03 * view.features_NF[:, 6]), view.share_N
    orders = spend / np.maximum(view.features_NF[:, 6], 1.0)
    cost = np.stack(
        [0.1 * spend, 0.1 * spend * share, 0.2 * spend * share, orders * view.large_N * view.amount, 0 * spend], axis=1
    )
    floor: Floats = np.maximum(cost, 1.0)
    return floor


@dataclass
class Past:
    """A month that is over: what was known, what was given, and what each customer then brought (margin in cents)."""

    view: View
    arm_N: Ints
    reward_N: Floats


@dataclass
class Run:
    """One policy in its own copy of a shop."""

    market: SimulatedMarket
    past: list[Past] = field(default_factory=list)


Decide = Callable[[Run, View, int], Ints]


def within(view: View, arm_N: Ints, order_N: Floats) -> Ints:
    """Arms for the first customers by `order_N` (largest first) until the expected cost is the budget."""
    cost, rows = expected_cost(view), np.arange(len(arm_N))
    mine = np.where((arm_N >= 0) & view.known_N, cost[rows, np.maximum(arm_N, 0)], 0.0)
    first = np.argsort(-np.where(mine > 0, order_N, -np.inf), kind="stable")
    kept = np.zeros(len(arm_N), dtype=bool)
    kept[first] = mine[first].cumsum() <= view.budget
    return np.where(kept & (mine > 0), arm_N, -1)


def unit(run: Run, purpose: str, month: int) -> Floats:
    """A number per customer for draws."""
    return hash_units((run.market.shop.seed, purpose, month), run.market.customer_ids)


def drawn(run: Run, view: View, month: int) -> Ints:
    """The randomised month that every learner starts with: half none, the rest evenly over the arms, within budget."""
    draw = unit(run, "arm", month)
    arm = np.where(draw < 0.5, -1, np.floor((draw - 0.5) * 2 * len(ARMS)).astype(np.int64))
    return within(view, arm, unit(run, "who", month))


def nothing(run: Run, view: View, month: int) -> Ints:
    return np.full(run.market.shop.customers, -1)


def hand(run: Run, view: View, month: int) -> Ints:
    """10 % to whoever has been away 56 days, the nearest first."""
    return within(view, np.where(view.recency_N >= 56, 0, -1), -view.recency_N)


def everybody(run: Run, view: View, month: int) -> Ints:
    return within(view, np.zeros(run.market.shop.customers, dtype=np.int64), unit(run, "who", month))


def reminders(run: Run, view: View, month: int) -> Ints:
    """A reminder without a discount to everybody, every month."""
    return within(view, np.full(run.market.shop.customers, ARMS.index("reminder")), unit(run, "who", month))


def likeliest(run: Run, view: View, month: int) -> Ints:
    """10 % to those who are expected to spend most."""
    return within(view, np.zeros(run.market.shop.customers, dtype=np.int64), view.spend_N)


def lift(past: Iterable[Past], arm: int, mask: Callable[[View], NDArray[np.bool_]]) -> tuple[float, float]:
    """Difference of means and its standard error over all past months."""
    gave, none = [], []
    for month in past:
        mine = mask(month.view) & month.view.known_N
        gave.append(month.reward_N[mine & (month.arm_N == arm)])
        none.append(month.reward_N[mine & (month.arm_N < 0)])
    a, b = np.concatenate(gave), np.concatenate(none)
    if min(len(a), len(b)) < 20:
        return -1.0, 1.0
    return float(a.mean() - b.mean()), float(np.sqrt(a.var() / len(a) + b.var() / len(b)))


def best_arm(past: list[Past], mask: Callable[[View], NDArray[np.bool_]]) -> int:
    found = [lift(past, arm, mask)[0] for arm in range(len(ARMS))]
    return int(np.argmax(found)) if max(found) > 0 else -1


def fixed(run: Run, view: View, month: int) -> Ints:
    """A/B test in the first month, then its best arm for as many as the budget pays."""
    if month == 0:
        return drawn(run, view, month)
    arm = best_arm(run.past[:1], lambda v: v.known_N)
    return within(view, np.full(run.market.shop.customers, arm), unit(run, "who", month))


def by_recency(run: Run, view: View, month: int) -> Ints:
    """The same within groups of recency."""
    if month == 0:
        return drawn(run, view, month)
    arm = np.full(run.market.shop.customers, -1)
    for low, high in ((0, 28), (28, 56), (56, 1e4)):

        def mask(v: View, low: float = low, high: float = high) -> NDArray[np.bool_]:
            return (v.recency_N >= low) & (v.recency_N < high)

        arm[mask(view)] = best_arm(run.past[:1], mask)
    return within(view, arm, unit(run, "who", month))


def knapsack(view: View, gain_NK: Floats) -> Ints:
    """Each customer's best arm that gains, by gain over cost until the budget is spent."""
    arm = gain_NK.argmax(axis=1)
    rows = np.arange(len(arm))
    top = gain_NK[rows, arm]
    return within(view, np.where(top > 0, arm, -1), top / expected_cost(view)[rows, arm])


def x_learner(run: Run, view: View, month: int) -> Ints:
    """X-learner (Kuenzel et al. 2019) with LightGBM on all past months, then the knapsack."""
    if month == 0:
        return drawn(run, view, month)
    x = np.concatenate([p.view.features_NF[p.view.known_N] for p in run.past])
    arm = np.concatenate([p.arm_N[p.view.known_N] for p in run.past])
    y = np.concatenate([p.reward_N[p.view.known_N] for p in run.past])
    plain = trees(x[arm < 0], y[arm < 0])
    gain = np.full((run.market.shop.customers, len(ARMS)), -1.0)
    for k in range(len(ARMS)):
        mine = arm == k
        if mine.sum() < 30:
            continue
        treated = trees(x[mine], y[mine])
        one = trees(x[mine], y[mine] - plain.predict(x[mine]))
        two = trees(x[arm < 0], treated.predict(x[arm < 0]) - y[arm < 0])
        share = mine.sum() / (mine.sum() + (arm < 0).sum())
        gain[:, k] = share * two.predict(view.features_NF) + (1 - share) * one.predict(view.features_NF)
    return knapsack(view, gain)


def trees(x: Floats, y: Floats) -> lightgbm.LGBMRegressor:
    model = lightgbm.LGBMRegressor(
        n_estimators=60, num_leaves=7, min_child_samples=20, learning_rate=0.08, n_jobs=1, verbose=-1
    )
    return model.fit(x, y)


def lin_ts(run: Run, view: View, month: int) -> Ints:
    """Linear Thompson sampling on standardised features, a model per arm and one for none."""
    if month == 0:
        return drawn(run, view, month)
    x = np.concatenate([p.view.features_NF[p.view.known_N] for p in run.past])
    arm = np.concatenate([p.arm_N[p.view.known_N] for p in run.past])
    y = np.concatenate([p.reward_N[p.view.known_N] for p in run.past])
    middle, spread = x.mean(axis=0), x.std(axis=0) + 1e-9

    def design(some: Floats) -> Floats:
        return np.hstack([np.ones((len(some), 1)), (some - middle) / spread])

    rng = np.random.default_rng(1000 * run.market.shop.seed + month)
    value = []
    for k in range(-1, len(ARMS)):
        a, b = design(x[arm == k]), y[arm == k]
        precision = np.eye(a.shape[1]) / 1e6 + a.T @ a / y.var()
        mean = np.linalg.solve(precision, a.T @ b / y.var())
        value.append(design(view.features_NF) @ rng.multivariate_normal(mean, np.linalg.inv(precision)))
    return knapsack(view, np.stack(value[1:], axis=1) - value[0][:, None])


def true_gain(run: Run, view: View) -> tuple[Floats, Floats]:
    """True horizon gain and cost of each arm for each customer, N x K."""
    found = [run.market.gain(offers_of(view, np.full(run.market.shop.customers, k))) for k in range(len(ARMS))]
    return np.stack([each.horizon_N for each in found], 1), np.stack([each.cost_N for each in found], 1)


def oracle(run: Run, view: View, month: int) -> Ints:
    """Each customer's best arm by the truth, within the true budget."""
    gain, cost = true_gain(run, view)
    gain = np.where(view.known_N[:, None], gain, -1.0)
    return spent(view, gain.argmax(axis=1), gain, cost)


def spent(view: View, arm: Ints, gain: Floats, cost: Floats) -> Ints:
    rows = np.arange(len(arm))
    top, paid = gain[rows, arm], np.maximum(cost[rows, arm], 1e-9)
    first = np.argsort(-top / paid)
    good = top[first] > 0
    kept = np.zeros(len(arm), dtype=bool)
    kept[first] = good & (np.where(good, paid[first], 0.0).cumsum() <= view.budget)
    return np.where(kept, arm, -1)


def knowable(run: Run, view: View, month: int) -> Ints:
    """The best arm of each cell of recency x value by the true effects."""
    gain, cost = true_gain(run, view)
    half = view.spend_N > np.median(view.spend_N[view.known_N])
    mean, paid, arm = np.full_like(gain, -1.0), cost.copy(), np.zeros(len(gain), dtype=np.int64)
    for low, high in ((0, 14), (14, 28), (28, 56), (56, 112), (112, 1e4)):
        for rich in (True, False):
            cell = (view.recency_N >= low) & (view.recency_N < high) & (half == rich) & view.known_N
            if cell.any():
                mean[cell], paid[cell] = gain[cell].mean(axis=0), cost[cell].mean(axis=0)
    arm = mean.argmax(axis=1)
    return spent(view, arm, mean, paid)


class Cells(NamedTuple):
    """Of one plan's menu lines and groups that draws had measured: value over the horizon by the draws alone, its s.e.,
    the same as believed, the truth."""

    drawn_I: list[float]
    drawn_se_I: list[float]
    net_I: list[float]
    net_se_I: list[float]
    true_I: list[float]


class Promolift(CommandLinePath):
    """The product by its documented path, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ceilings: list[float] = []
        self.tests: list[tuple[str, ...]] = []  # of every month the lines that were tested
        self.given: list[int] = []  # and how many got an offer
        self.cpu: list[float] = []
        self.cells = Cells([], [], [], [], [])

    def __call__(self, run: Run, view: View, month: int) -> Ints:
        market, before = run.market, cpu_now()
        chosen = self.decide(MarketWorld.of(market), view.budget).select("customer_id", "menu_id", "target")
        self.cpu.append(cpu_now() - before)
        number = {name: place for place, name in enumerate(market.customer_ids)}
        arm = np.full(market.shop.customers, -1)
        for who, menu, target in chosen.iter_rows():
            arm[number[who]] = ARMS.index(menu)
            if target is not None:
                view.favourite_N[number[who]] = int(target.split()[-1])
        self.given.append(chosen.height)
        self._look(run, view)
        return arm

    def _look(self, run: Run, view: View) -> None:
        """What the plan stated, and the truth of what it had learned. A plan that aims by predictions states its budget
        alone, and what it learns is not of whole groups."""
        with Store(self.folder / "work") as store:
            drawn = PlanNote.load(store).drawn and LineTestNote.has(store)
            note, draws = LineTestNote.load(store) if drawn else None, all_draws(store)
        self.ceilings.append(view.budget if note is None else note.ceiling_cents)
        if note is None:
            self.tests.append(())
            return
        self.tests.append(tuple(sorted({arm for group in note.tested for arm in group.arms})))
        measured = [each for each in note.effects if each.evidence == "randomised" and not each.aimed]
        if draws is None or not measured:
            return
        now = draws.filter(pl.col("ts_ms") == draws["ts_ms"].max()).select("customer_id", "group")
        people = pl.DataFrame({"customer_id": run.market.customer_ids})
        group = people.join(now, on="customer_id", how="left", maintain_order="left")["group"].to_numpy()
        for name in {each.arm for each in measured}:
            every = run.market.gain(offers_of(view, np.full(len(group), ARMS.index(name)))).horizon_N
            for each in (one for one in measured if one.arm == name):
                mine = group == each.group
                if mine.sum() >= 30:
                    said = (each.drawn_cents, each.drawn_se_cents, each.net_cents, each.net_se_cents)
                    for kept, value in zip(self.cells, (*said, every[mine].mean()), strict=True):
                        kept.append(float(value))


def cpu_now() -> float:
    """CPU seconds of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


POLICIES: dict[str, Decide] = {
    "nothing": nothing, "hand rule": hand, "best fixed arm by A/B": fixed, "A/B by recency": by_recency,
    "X-learner and knapsack": x_learner, "LinTS": lin_ts, "likeliest buyers": likeliest, "10 % for everybody": everybody,
    "reminder to everybody": reminders,
    "knowable": knowable, "oracle": oracle,
}  # fmt: skip


class Lived(NamedTuple):
    """What a policy truly added in each month, in cents: in the window, with the horizon, and what its offers cost."""

    window_M: Floats
    horizon_M: Floats
    cost_M: Floats
    budget_M: Floats
    redeemed_M: Floats  # what offers happened to cost


def live(start: SimulatedMarket, decide: Decide, months: int) -> Lived:
    """One policy through its months."""
    run, rows = Run(start.copy()), []
    for month in range(months):
        view = view_of(run.market)
        arm = np.where(view.known_N, decide(run, view, month), -1)
        offers = offers_of(view, arm)
        worth, before = [float(each.sum()) for each in run.market.gain(offers)], run.market.week
        run.market.advance(4, offers)
        since = pl.col("ts_ms") >= START_MS + before * WEEK_MS
        rows.append([*worth, view.budget, float(run.market.events.filter(since)["coupon_cents"].sum())])
        run.past.append(Past(view, arm, margin_since(run.market, before)))
    return Lived(*np.array(rows).T)


def margin_since(market: SimulatedMarket, week: int) -> Floats:
    """Each customer's margin since the start of a week, what offers cost taken off."""
    rows = market.events.filter(pl.col("ts_ms") >= START_MS + week * WEEK_MS)
    each = rows.group_by("customer_id").agg(
        (pl.col("paid_cents").sum() - (1 - market.shop.margin) * pl.col("list_cents").sum()).alias("m")
    )
    people = pl.DataFrame({"customer_id": market.customer_ids})
    return people.join(each, on="customer_id", how="left", maintain_order="left")["m"].fill_null(0.0).to_numpy()


class Everything(NamedTuple):
    """Every policy's months in every shop, and promolift's own records."""

    lived: dict[str, list[Lived]]
    made: list[Promolift]


def live_all(asked: argparse.Namespace, seeds: Iterable[int], margin: float, months: int) -> Everything:
    """Each policy in its own copy of each shop."""
    found = Everything({}, [])
    for seed in seeds:
        start = SimulatedMarket(shop_of(seed, size_of(seed, asked.customers), margin, asked.nothing))
        start.advance(HISTORY_WEEKS)
        for name, decide in POLICIES.items():
            if asked.only is None or name in asked.only:
                found.lived.setdefault(name, []).append(live(start, decide, months))
        if asked.only is None or "promolift" in asked.only:
            folder = Path(tempfile.mkdtemp())
            made = Promolift(folder)
            found.lived.setdefault("promolift", []).append(live(start, made, months))
            found.made.append(made)
            shutil.rmtree(folder)
            if asked.tell:
                print(f"--- shop {seed}", *made.summaries, sep="\n")
        say(shop=seed, customers=start.shop.customers, margin=margin, cpu=cpu_now(),
            horizon={name: [round(float(x) / 100) for x in each[-1].horizon_M] for name, each in found.lived.items()},
            window={name: [round(float(x) / 100) for x in each[-1].window_M] for name, each in found.lived.items()})  # fmt: skip
    return found


def size_of(seed: int, ends: str) -> int:
    """A shop's customers: between two ends, log-uniform by its number; one end alone is the size of all."""
    low, high = (int(end) for end in (ends.split(",") * 2)[:2])
    return round(low * (high / low) ** float(hash_units(("customers", low, high), [str(seed)])[0]))


def shop_of(seed: int, customers: int, margin: float, nothing: bool) -> MarketShop:
    """A shop by its number; where `nothing` pays, customers hardly see prices and letters keep them away."""
    shop = draw_shop(seed, customers, margin)
    return shop._replace(price=0.3, remind=-0.1) if nothing else shop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="3 shops of 1,500 customers, one month, promolift and two peers"
    )
    parser.add_argument("--shops", type=int, default=20)
    parser.add_argument("--customers", default="3000,20000", help="of every shop, or two ends: log-uniform by number")
    parser.add_argument("--months", type=int, default=6)
    parser.add_argument("--first", type=int, default=JUDGED, help="number of the first shop")
    parser.add_argument("--margin", type=float, default=0.3)
    parser.add_argument("--only", nargs="*", default=None, help="policies by name")
    parser.add_argument("--nothing", action="store_true", help="shops in which no offer pays")
    parser.add_argument("--teach", action="store_true", help="only power, alarms and coverage of learning")
    parser.add_argument("--tell", action="store_true", help="print what promolift said")
    asked = parser.parse_args()
    if asked.teach:
        teaching(200)
        return
    if asked.quick:
        asked.shops, asked.months, asked.customers = 3, 1, "1500"
        asked.only = ["promolift", "hand rule", "best fixed arm by A/B"]
    seeds = range(asked.first, asked.first + asked.shops)
    found = live_all(asked, seeds, asked.margin, asked.months)
    report(found, f"second world, margin {asked.margin:.0%}, {asked.months} months"
           + (", nothing pays" if asked.nothing else ""))  # fmt: skip


def report(found: Everything, data: str) -> None:
    """Sums per shop over nothing, in major units, with the standard error over shops; then what was promised."""
    totals = {
        name: {part: np.array([getattr(each, f"{part}_M") for each in lived]) / 100 for part in ("window", "horizon")}
        for name, lived in found.lived.items()
    }
    for name, lived in found.lived.items():
        spent_share = float(np.mean([each.cost_M.sum() / each.budget_M.sum() for each in lived]))
        for part, per in totals[name].items():
            compare(f"true profit over nothing, {part}: {name}", per.sum(axis=1), data,
                    by_month=[round(float(x)) for x in per.mean(axis=0)], spent=spent_share)  # fmt: skip
    if "promolift" not in totals:
        return
    ours, months = totals["promolift"], totals["promolift"]["horizon"].shape[1]
    for name in (*LEARNERS, "hand rule", "reminder to everybody"):
        if name in totals:
            compare(f"promolift over {name}, horizon, paired by shop", (ours["horizon"] - totals[name]["horizon"]).sum(axis=1),
                    data, peer=name)  # fmt: skip
            compare(f"promolift over {name} in month {months}, horizon", (ours["horizon"] - totals[name]["horizon"])[:, -1],
                    data, peer=name)  # fmt: skip
    if months > 3:
        compare("true profit over nothing after month 3, window: promolift", ours["window"][:, 3:].sum(axis=1), data)
    if "knowable" in totals:
        share_of("knowable", ours["horizon"][:, -1], totals["knowable"]["horizon"][:, -1], months, data)
    simple = [totals[name]["window"] for name in ("10 % for everybody", "hand rule") if name in totals]
    if len(simple) == 2 and months > 1:
        best = max(simple, key=lambda each: float(each[:, 1].mean()))
        share_of(
            "the better of 10 % for everybody and the hand rule, window", ours["window"][:, 1], best[:, 1], 2, data
        )
    promised(found, data)


def promised(found: Everything, data: str) -> None:
    """Ceilings, losses, coverage, tests and CPU of promolift."""
    lived, n = found.lived["promolift"], len(found.made)
    kept = np.array([c <= m for each, made in zip(lived, found.made, strict=True)
                     for c, m in zip(each.redeemed_M, made.ceilings, strict=True)])  # fmt: skip
    say(figure="months in which offers cost no more than the ceiling stated", value=float(kept.mean()), se=None,
        unit="share", peer="", peer_value=None, n=len(kept), data=data)  # fmt: skip
    within = [float(-each.horizon_M.sum()) <= float(each.budget_M.sum()) for each in lived]
    say(figure="shops whose true loss is within the budget stated", value=float(np.mean(within)), se=None, unit="share",
        peer="", peer_value=None, n=n, data=data)  # fmt: skip
    dear = [[any(arm != "reminder" for arm in arms) for arms in made.tests] for made in found.made]
    say(figure="months in which discounts were tested", value=float(np.mean([sum(each) for each in dear])), se=None,
        unit="months a shop", peer="", peer_value=None, n=n, data=data,
        cost=round(float(np.mean([each.cost_M.sum() for each in lived])) / 100, 2),
        ceiling=round(float(np.mean([sum(made.ceilings) for made in found.made])) / 100, 2))  # fmt: skip
    if "nothing pays" in data:
        stops = [not any(made.given[2:]) for made in found.made]
        say(figure="shops in which nobody gets an offer after two tests", value=float(np.mean(stops)), se=None,
            unit="share", peer="", peer_value=None, n=n, data=data)  # fmt: skip
    drawn, drawn_se, net, net_se, true = (
        np.concatenate([getattr(made.cells, name) for made in found.made]) for name in Cells._fields
    )
    for what, value, se in (("by the draws alone", drawn, drawn_se), ("as believed", net, net_se)):
        if len(value):
            say(figure=f"95 % intervals of effects {what} that hold the true effect, lines by group and month",
                value=float((np.abs(value - true) <= 1.96 * se).mean()), se=None, unit="share", peer="",
                peer_value=None, n=len(value), data=data)  # fmt: skip
    cpu = [second for made in found.made for second in made.cpu[1:]]
    if cpu:
        say(figure="a month of promolift: ingest, learn, approve, run", value=float(np.mean(cpu)), se=None, unit="CPU s",
            peer="", peer_value=None, n=len(cpu), data=data, most=round(max(cpu), 1))  # fmt: skip


def compare(figure: str, per_shop: Floats, data: str, peer: str = "nothing", **more: object) -> None:
    """A mean over shops with its standard error and 95 % interval."""
    n = len(per_shop)
    se = float(per_shop.std(ddof=1) / np.sqrt(n)) if n > 1 else None
    reach = float(scipy.stats.t.ppf(0.975, n - 1)) * se if se is not None else None
    mean = float(per_shop.mean())
    ends = None if reach is None else [round(mean - reach), round(mean + reach)]
    say(figure=figure, value=mean, se=se, unit="dollars a shop", peer=peer, peer_value=0.0, n=n, data=data,
        interval=ends, **more)  # fmt: skip


def share_of(name: str, ours: Floats, theirs: Floats, month: int, data: str) -> None:
    """A ratio of means over shops, its error by the delta method."""
    ratio = float(ours.mean() / theirs.mean())
    rest = ours - ratio * theirs
    se = float(rest.std(ddof=1) / np.sqrt(len(rest)) / abs(theirs.mean())) if len(rest) > 1 else None
    say(figure=f"promolift as a share of {name}, month {month}", value=ratio, se=se, unit="share", peer=name,
        peer_value=1.0, n=len(rest), data=data)  # fmt: skip


def teaching(repetitions: int) -> None:
    """What a test states, checked on a shop's own outcomes: a month without offers is drawn anew 200 times, once with
    nothing added to who drew the arm and once with the smallest effect that was stated, per group."""
    sizes, margin = Spans(28, 84), 0.3
    found: list[bool] = []
    alarms: list[bool] = []
    covered = count = 0
    for seed in (JUDGED, JUDGED + 1):
        market = SimulatedMarket(draw_shop(seed, 8000, margin))
        market.advance(HISTORY_WEEKS)
        first = START_MS + market.week * WEEK_MS
        market.advance(4)
        sales = sales_of(market, first)
        ahead = fit_surrogate(sales.filter(pl.col("day") < 0), 0, sizes)
        known = features(sales, 0).select("customer_id", "group")
        base = draw_outcomes(known.with_columns(ts_ms=pl.lit(first), window_days=pl.lit(28)), sales, ahead, first)
        groups = sorted(known["group"].unique())
        for repetition in range(repetitions // 2):
            takes = hash_units(("teach", seed, repetition), base["customer_id"].to_list()) < 0.5
            stated = {g: detectable_effect(ahead.sd[g], *halves(base, takes, g)) for g in groups}
            for effect in (0.0, 1.0):
                added = base["group"].replace_strict(stated, return_dtype=pl.Float64).to_numpy() * effect * takes
                rows = base.with_columns(
                    pl.Series("arm", np.where(takes, "a", "none")), none_prob=pl.lit(0.5),
                    arms=pl.lit([{"arm": "a", "prob": 0.5}]), value=pl.col("value") + added,
                )  # fmt: skip
                cells = [ArmCell(0, k, 0.0, 1e6, 0.0, 0.0, 1000, ahead.sd[g]) for k, g in enumerate(groups)]
                for each in estimate_arm_values(draws_as_arrays(rows, ["a"], groups), cells):
                    z, truth = each.drawn.value / (each.drawn.se or np.inf), effect * stated[groups[each.cell.group]]
                    (found if effect else alarms).append(abs(z) > 1.96)
                    covered, count = covered + (abs(each.net - truth) <= 1.96 * each.net_se), count + 1
    data = f"second world, 2 shops of 8,000, months without offers, {repetitions} repetitions, eight groups"
    for figure, values in (
        ("power at the smallest effect stated (80 % promised)", found), ("alarms where nothing was added", alarms),
    ):  # fmt: skip
        rate = float(np.mean(values))
        say(figure=figure, value=rate, se=float(np.sqrt(rate * (1 - rate) / len(values))), unit="share", peer="",
            peer_value=None, n=len(values), data=data)  # fmt: skip
    say(figure="95 % intervals that hold the truth, prior wide", value=covered / count, se=None, unit="share", peer="",
        peer_value=None, n=count, data=data)  # fmt: skip


def halves(base: pl.DataFrame, takes: NDArray[np.bool_], group: str) -> tuple[float, float]:
    mine = (base["group"] == group).to_numpy()
    return float((mine & takes).sum()), float((mine & ~takes).sum())


def sales_of(market: SimulatedMarket, first_ms: int) -> pl.DataFrame:
    """Each customer's margin by day, as the product counts it."""
    day = (pl.col("ts_ms") - first_ms) // DAY_MS
    margin = pl.col("paid_cents").sum() - (1 - market.shop.margin) * pl.col("list_cents").sum()
    each = market.events.group_by("customer_id", day.alias("day")).agg(
        margin.cast(pl.Float64).alias("value_cents"), pl.col("coupon_cents").sum().cast(pl.Float64)
    )
    return each.sort("customer_id", "day")


def say(**figure: object) -> None:
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in figure.items()}), flush=True)


if __name__ == "__main__":
    main()
