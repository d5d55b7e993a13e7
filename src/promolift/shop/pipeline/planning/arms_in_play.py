"""Choose the arms of every audience: which menu line is tried first, what it costs, and what begins with this plan.

A test begins where it costs little, with one discount and one reminder beside nothing. One benefit is added at a time;
a reminder begins small among the active, and discounts to them come last. What offers may cost where they do not pay is
a small part of the margin.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
import scipy

from promolift.core.decisions.decision_rule import LineEffect
from promolift.core.experiments.arm_shares import (
    COST_SD,
    FIRST_REMINDER,
    LEAST,
    NEW_CUSTOMERS,
    NEW_SHARE,
    NONE_SHARE,
    SMALL_SHARE,
    arm_prior,
    first_shares,
)
from promolift.core.experiments.audiences import (
    ACTIVE,
    DUE,
    EARLY_DAYS,
    FIRST_AUDIENCES,
    LEFT_CART,
)
from promolift.core.experiments.surrogate import EVERYBODY, SurrogateModel, features, fit_surrogate
from promolift.core.offers.menu import MenuItem
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.play_costs import rank_discounts, share_off
from promolift.shop.pipeline.planning.play_audiences import find_audiences
from promolift.shop.results.line_tests import all_draws
from promolift.shop.results.segments import load_play_members
from promolift.shop.results.work_folder.plan_inputs import plan_spans
from promolift.shop.results.work_folder.run_context import Job, Moments, daily_sales

MONTH_DAYS = 28
RECENT_DAYS = 84  # over which the shop's monthly margin is read
ACTIVE_FROM = 3  # windows of tests after which a discount is tried on the active
LIKELY = 0.8  # probability that the discounts drawn so far pay, one at least, from which a deeper one begins
DEEPER = 0.02  # by which a second discount is deeper at least
WASTE = 0.02  # of the margin that is expected in the window: what offers may cost where they do not pay
CELLS = {
    "arm": pl.String, "group": pl.String, "prior": pl.Float64, "prior_se": pl.Float64, "cost": pl.Float64,
    "customers": pl.Int64, "monthly": pl.Float64, "aimed": pl.Boolean,
}  # fmt: skip


class Arm(NamedTuple):
    """A menu line in an audience."""

    line: str
    group: str


class LineTestPopulation(NamedTuple):
    """Every customer who may be written to: customer_id, group (their audience), `worth`, the margin that is expected
    of them in the window, and send_ms, when a reminder of what is due goes out. By group: customers, a customer's
    monthly margin, and the spread of one customer's value. `windows` is how many windows were tested before; `plays`
    are the lines that the shop's own plays try on their audiences, the first to be tried first."""

    groups: pl.DataFrame
    sizes: Mapping[str, int]
    monthly: Mapping[str, float]
    sd: Mapping[str, float]
    windows: int
    plays: Mapping[str, tuple[str, ...]] = {}

    def apart(self, customer_ids: pl.Series, group: str) -> "LineTestPopulation":
        """The same with some customers in a group of their own."""
        mine = pl.col("customer_id").is_in(customer_ids.implode())
        groups = self.groups.with_columns(group=pl.when(mine).then(pl.lit(group)).otherwise("group"))
        return self._replace(groups=groups, sizes=dict(groups["group"].value_counts().iter_rows()))


def load_population(job: Job, at: Moments, consent: pl.DataFrame) -> LineTestPopulation:
    """Load the audiences of those who may be written to."""
    spans, sales = plan_spans(job), daily_sales(job, at.asof, job.config.value.margin_rate)
    ahead, known = fit_surrogate(sales, 0, spans), features(sales, 0)
    expected = ahead.predict(known)
    rows = known.select("customer_id", "group").with_columns(
        variance=_spread(ahead, known) ** 2, worth=pl.Series(expected.window_N).clip(lower_bound=0.0),
        horizon=pl.Series(expected.horizon_N),
    ).drop("group")  # fmt: skip
    plays = job.config.plays
    groups = load_play_members(job.store) if plays else find_audiences(job, at, consent, sales)
    groups = groups.join(rows, on="customer_id", how="left").with_columns(pl.col("worth").fill_null(0.0))
    by = groups.group_by("group").agg(pl.len(), pl.col("variance").mean().sqrt(), pl.col("horizon").mean())
    shop = float(sales.filter(pl.col("day") >= -RECENT_DAYS)["value_cents"].sum()) * MONTH_DAYS / RECENT_DAYS
    monthly = max(shop / max(known.height, 1), 0.0)
    own = {group: horizon * MONTH_DAYS / spans.horizon for group, horizon in by.select("group", "horizon").iter_rows()
           if group in (ACTIVE, DUE, LEFT_CART) and horizon is not None}  # fmt: skip
    tried = {play.group: tuple(line.id for line in play.lines(job.config.menu, job.config.shop.currency))
             for play in reversed(plays)}  # fmt: skip
    sizes = dict(by.select("group", "len").iter_rows())
    return LineTestPopulation(
        groups.select("customer_id", "group", "worth", send_ms=send_ms(at)).sort("customer_id"), sizes,
        {group: max(own.get(group, monthly), 0.0) for group in sizes},
        {group: sd or monthly for group, sd in by.select("group", "variance").iter_rows()}, tests_before(job, at),
        tried,
    )  # fmt: skip


def send_ms(at: Moments) -> pl.Expr:
    """When the message to a customer who is due goes out; missing for all others, to whom it goes at once."""
    days = (pl.col("due_day") - EARLY_DAYS).clip(lower_bound=0)
    return pl.when(pl.col("group") == DUE).then(at.asof + days * DAY_MS).cast(pl.Int64)


def _spread(ahead: SurrogateModel, known: pl.DataFrame) -> pl.Series:
    usual = ahead.sd.get(EVERYBODY, 0.0)
    return known["group"].replace_strict(ahead.sd, default=usual, return_dtype=pl.Float64)


def best_offer_per_line(rows: pl.DataFrame, people: LineTestPopulation) -> pl.DataFrame:
    """One open candidate per customer and menu line, that which is expected to add most, with the customer's group."""
    known = rows.filter(pl.col("eligible") & (pl.col("offer_id") != "none")).drop_nulls(["gain_cents", "cost_cents"])
    best = known.sort(
        "customer_id", "menu_id", "added_cents", "offer_id", descending=[False, False, True, False]
    ).unique(["customer_id", "menu_id"], keep="first", maintain_order=True)
    return best.join(people.groups, on="customer_id").sort("customer_id", "menu_id")


def line_costs(best: pl.DataFrame) -> pl.DataFrame:
    """menu_id, group, cost and customers of every line in every audience.

    Who has long been away is expected to buy nothing by their own rhythm, and an offer to cost nothing: it costs at
    least what it costs of the margin of all other customers, by the margin that is expected of these.
    """
    by = best.group_by("menu_id", "group").agg(
        pl.col("cost_cents").mean().alias("cost"), pl.col("worth").mean(), pl.len().alias("customers")
    )
    rate = pl.col("cost").dot("customers") / pl.col("worth").dot("customers")
    by = by.with_columns(rate=rate.over("menu_id").fill_nan(0.0))
    dear = pl.when(pl.col("rate").is_finite()).then(pl.col("rate") * pl.col("worth")).otherwise(0.0)
    return by.select("menu_id", "group", pl.max_horizontal("cost", dear).alias("cost"), "customers").sort(
        "group", "menu_id"
    )


def choose_arms(
    menu: Sequence[MenuItem], lines: pl.DataFrame, people: LineTestPopulation, known: Sequence[LineEffect]
) -> dict[Arm, float]:
    """The arms that begin with this plan, and the share of their audience that draws each.

    `lines` as of `line_costs`, `known` what was learned before. One benefit at a time: a second discount begins where
    the first is likely to pay. Of the active a few draw a reminder; their discount comes last, or where no other test
    can begin. An audience of the shop's own plays tries what these state, in their order. What fewer than `LEAST`
    customers would draw teaches nothing and does not begin, nor does a second discount that is expected to cost more
    than a customer's whole monthly margin: it would take the budget of all others.
    """
    begins: dict[Arm, float] = {}
    depth = {item.id: share_off(item) or 0.0 for item in menu}
    reminders = [item.id for item in menu if item.benefit.type == "reminder"]
    size = {group: count for group, count in people.sizes.items() if count >= 2 * LEAST}
    stated = people.plays
    for group in (each for each in dict.fromkeys((*stated, *FIRST_AUDIENCES)) if each in size):
        mine = lines.filter(group=group)
        open_to = mine["menu_id"].to_list()
        given = [each for each in stated.get(group, reminders) if each in open_to and each in reminders][:1]
        ranked = rank_discounts(menu, mine, group)
        if group in stated:
            ranked = [each for each in stated[group] if each in open_to and each not in reminders]
        first = [*ranked[:1] * (group in stated or group not in (LEFT_CART, DUE)), *given]
        before = {each.arm: each for each in known if each.group == group}
        if not before:
            shares = first_shares(np.array([arm not in reminders for arm in first], dtype=np.bool_))
            begins |= {Arm(arm, group): float(share) for arm, share in zip(first, shares, strict=True)}
            continue
        tried = [each for each in before.values() if each.arm not in reminders]
        if not tried or size[group] < NEW_CUSTOMERS or any(not e.n_arm for e in tried):
            continue
        deepest = max(depth.get(each.arm, 0.0) for each in tried)
        deeper = sorted((arm for arm in ranked if depth[arm] >= deepest + DEEPER), key=lambda arm: depth[arm])
        if group in stated:
            deeper = [arm for arm in ranked if arm not in before]
        cheap = set(mine.filter(pl.col("cost") <= people.monthly[group])["menu_id"])
        deeper = [arm for arm in deeper if arm in cheap]
        if deeper and max(each.pays for each in tried) >= LIKELY:
            begins[Arm(deeper[0], group)] = min(NEW_SHARE, max(SMALL_SHARE, NEW_CUSTOMERS / size[group]))
    begins = {arm: share for arm, share in begins.items() if share * size[arm.group] >= LEAST}
    alone = not (begins or known)  # then the active draw as many as it takes to learn from
    share = max(SMALL_SHARE, min(FIRST_REMINDER, LEAST / size.get(ACTIVE, 1))) if alone else SMALL_SHARE
    if ACTIVE not in stated and share * size.get(ACTIVE, 0) >= LEAST:
        mine = lines.filter(group=ACTIVE)
        before = {each.arm: each for each in known if each.group == ACTIVE}
        begin_discount = (people.windows >= ACTIVE_FROM or alone) and before.keys() <= set(reminders)
        first = [*rank_discounts(menu, mine, ACTIVE)[:1] * begin_discount,
                 *[each for each in reminders if each in mine["menu_id"]][:1]]  # fmt: skip
        begins |= {Arm(arm, ACTIVE): share for arm in first if arm not in before}
    return begins


def play_cells(
    lines: pl.DataFrame,
    people: LineTestPopulation,
    known: Sequence[LineEffect],
    begins: Mapping[Arm, float],
) -> pl.DataFrame:
    """CELLS of the arms in play: those that were learned of and those that begin."""
    pairs = sorted({*begins, *(Arm(each.arm, each.group) for each in known)})
    cost = {(arm, group): (cost, count) for arm, group, cost, count in lines.iter_rows()}
    rows = []
    for arm, group in (pair for pair in pairs if pair in cost):
        price, count = cost[arm, group]
        prior = arm_prior(np.array([price]), people.monthly[group])
        sd = float(prior.cov_KK[0, 0]) ** 0.5
        rows.append((arm, group, float(prior.mean_K[0]), sd, price, count, people.monthly[group], False))
    return pl.DataFrame(rows, schema=CELLS, orient="row")


def with_new_arms(
    cells: pl.DataFrame, known: Sequence[LineEffect], begins: Mapping[Arm, float], level: str
) -> tuple[LineEffect, ...]:
    """The effects that are known, and those of the arms that begin, as believed before any draw."""
    new: dict[str, float] = {}
    for arm, share in begins.items():
        new[arm.group] = new.get(arm.group, 0.0) + share
    room = {group: 1 - NONE_SHARE - share for group, share in new.items()}
    taken = dict.fromkeys(new, 0.0)
    for each in known:
        taken[each.group] = taken.get(each.group, 0.0) + (each.prob or 0.0)
    less = {group: min(1.0, max(left, 0.0) / max(taken.get(group, 0.0), 1e-9)) for group, left in room.items()}
    before = {
        Arm(each.arm, each.group): each.model_copy(update={"prob": less.get(each.group, 1.0) * (each.prob or 0.0)})
        for each in known
    }
    found = []
    for row in cells.iter_rows(named=True):
        pair, mean, sd = Arm(row["arm"], row["group"]), row["prior"], row["prior_se"]
        found.append(before.get(pair) or LineEffect(
            arm=row["arm"], group=row["group"], net_cents=mean, net_se_cents=sd, window_cents=mean,
            window_se_cents=sd, cost_cents=row["cost"], cost_se_cents=COST_SD * row["cost"],
            pays=float(scipy.stats.norm.cdf(mean / sd)), state="test", prob=begins.get(pair, 0.0), evidence=level,
        ))  # fmt: skip
    return tuple(found)


def limit_waste(effects: tuple[LineEffect, ...], people: LineTestPopulation) -> tuple[LineEffect, ...]:
    """The effects with smaller shares of what costs anything, so that the costs of arms, each weighted by the
    probability that it does not pay, are at most `WASTE` of the margin that is expected in the window."""
    waste = sum(
        (each.prob or 0.0) * each.cost_cents * people.sizes.get(each.group, 0) * (1 - each.pays) for each in effects
    )
    part = min(1.0, WASTE * float(people.groups["worth"].sum()) / waste) if waste > 0 else 1.0
    return tuple(e.model_copy(update={"prob": part * (e.prob or 0.0)}) if e.cost_cents else e for e in effects)


def tests_before(job: Job, at: Moments) -> int:
    """Windows of this campaign before this moment in which a line was drawn."""
    if (drawn := all_draws(job.store)) is None:
        return 0
    mine = (pl.col("campaign_id") == job.config.plan.campaign) & (pl.col("ts_ms") < at.asof) & ~pl.col("aimed")
    return drawn.filter(mine & (pl.col("arms").list.len() > 0))["ts_ms"].n_unique()
