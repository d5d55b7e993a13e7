"""Every draw that a campaign kept and what came of it in; what each menu line adds for each group, and the release that
follows from it, out. Windows that are over are pooled; a customer who stands in several is one cluster."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl

from promolift.config import Config
from promolift.deliver import LineEffect
from promolift.learn.ahead import Ahead, features, fit_ahead, value_between
from promolift.learn.arms import Draws, effects
from promolift.learning.judge import JudgedEvidence
from promolift.progress import quiet
from promolift.results.arms import all_draws, kept_cells
from promolift.results.job import Job, moments
from promolift.results.learned import Factor, MeasuredFactors, NextRelease
from promolift.results.plan import Plan
from promolift.sql import DAY_MS
from promolift.steps.arms import arm_effects, numbered, rules_of, spans_of
from promolift.steps.plan_rules import budget_cents
from promolift.steps.sales import daily_sales
from promolift.store import Store
from promolift.tables import Z95

NONE = "none"


@dataclass(frozen=True)
class LearnedArms:
    """What the draws of `windows` campaign windows say, over `horizon_days`."""

    effects: tuple[LineEffect, ...]
    windows: int
    horizon_days: int
    customers: int


def learn_arms(store: Store, config: Config) -> LearnedArms | None:
    """None where nothing was drawn, or no window of a draw is over."""
    drawn, cells = all_draws(store), kept_cells(store)
    if drawn is None or cells is None:
        return None
    job = Job(config, store, quiet)
    at, kept = moments(job), drawn.filter(pl.col("campaign_id") == config.plan.campaign)
    kept = sent(kept).filter(pl.col("ts_ms") + pl.col("window_days") * DAY_MS <= at.asof)
    if kept.is_empty():
        return None
    first = int(kept["ts_ms"].min())  # type: ignore[arg-type]
    sales = daily_sales(job.clean, first, config.value.margin_rate)
    ahead = fit_ahead(sales.filter(pl.col("day") < 0), 0, spans_of(job))  # knows no offer that was drawn
    rows = pl.concat([came_of(mine, sales, ahead, first) for _, mine in kept.group_by("ts_ms", maintain_order=True)])
    names = {name: cells[name].unique().sort().to_list() for name in ("arm", "group")}
    found = effects(draws_of(rows, names["arm"], names["group"]), numbered(cells))
    plan = Plan.load(store).note
    rules = rules_of(job, plan.terms, float(budget_cents(job, at)))
    done = arm_effects(cells, found, rules, plan.evidence)
    return LearnedArms(done, kept["ts_ms"].n_unique(), ahead.spans.horizon, kept["customer_id"].n_unique())


def sent(kept: pl.DataFrame) -> pl.DataFrame:
    """Draws without those of plans that another plan replaced before half of their window was over."""
    plans = kept.select("ts_ms", "window_days").unique().sort("ts_ms")
    last = pl.col("ts_ms").shift(-1)
    stays = last.is_null() | (last - pl.col("ts_ms") >= pl.col("window_days") * DAY_MS / 2)
    return kept.join(plans.filter(stays).select("ts_ms"), on="ts_ms", how="semi").sort("ts_ms", "customer_id")


def came_of(mine: pl.DataFrame, sales: pl.DataFrame, ahead: Ahead, first_ms: int) -> pl.DataFrame:
    """One window's draws with value, window, cost and orders of each customer, less what was expected of them.

    What follows the window is what was seen to follow such a window's end before any offer was drawn.
    """
    day = (int(mine["ts_ms"][0]) - first_ms) // DAY_MS
    end = day + int(mine["window_days"][0])
    before, after = features(sales, day), features(sales, end)
    people = mine["customer_id"]
    expected = ahead.expect(before)
    window = value_between(sales, people, day, end)
    rest = pl.DataFrame({"customer_id": after["customer_id"], "rest": ahead.expect(after).rest_N})
    came = sales.filter(pl.col("day").is_between(day, end, closed="left")).group_by("customer_id").agg(
        pl.col("coupon_cents").sum().alias("cost"), pl.len().cast(pl.Float64).alias("orders")
    )  # fmt: skip
    past = before.select("customer_id").with_columns(
        past_window=pl.Series(expected.window_N), past=pl.Series(expected.horizon_N)
    )
    rows = mine.with_columns(window=pl.Series(window))
    for more in (past, rest, came):  # of who never bought nothing was expected, and nothing follows
        rows = rows.join(more, on="customer_id", how="left", maintain_order="left")
    rows = rows.with_columns(pl.col("past_window", "past", "rest", "cost", "orders").fill_null(0.0))
    return rows.with_columns(value=pl.col("window") + pl.col("rest"))


def draws_of(rows: pl.DataFrame, arms: list[str], groups: list[str]) -> Draws:
    """As arrays; what was expected takes its part of the noise off (CUPED)."""
    known = rows.filter(pl.col("group").is_in(groups)).with_row_index("row")
    prob = np.zeros((known.height, len(arms)))
    each = known.select("row", "arms").explode("arms").unnest("arms").drop_nulls("arm")
    each = each.filter(pl.col("arm").is_in(arms))
    place = {name: k for k, name in enumerate(arms)}
    prob[each["row"].to_numpy(), [place[arm] for arm in each["arm"]]] = each["prob"].to_numpy()
    who = known["customer_id"].rank("dense").cast(pl.Int64).to_numpy()
    return Draws(
        arm_R=np.array([place.get(arm, -1) for arm in known["arm"]], dtype=np.int64),
        group_R=np.array([groups.index(group) for group in known["group"]], dtype=np.int64),
        who_R=who, prob_RK=prob, none_R=known["none_prob"].to_numpy(),
        value_R=_steadied(known, "value", "past"), window_R=_steadied(known, "window", "past_window"),
        cost_R=known["cost"].to_numpy(), orders_R=known["orders"].to_numpy(),
    )  # fmt: skip


def _steadied(rows: pl.DataFrame, value: str, past: str) -> np.ndarray:
    """A column less what the past says of it, by the slope among those who drew none."""
    none = rows.filter(pl.col("arm") == NONE)
    spread = float(none[past].var() or 0.0)  # type: ignore[arg-type]
    slope = float(none.select(pl.cov(value, past)).item() or 0.0) / spread if spread > 0 else 0.0
    return (rows[value] - slope * rows[past]).to_numpy()


def arm_release(
    judged: JudgedEvidence, learned: LearnedArms, hindrances: list[str], say: Callable[[float], str]
) -> NextRelease:
    """The release whose plan goes by what was learned. It is refused where the draw itself cannot be trusted."""
    old = judged.evidence.release
    version = str(int(old.policy_version) + 1) if old.policy_version.isdecimal() else f"{old.policy_version}-next"
    release = old.model_copy(
        update={"policy_version": version, "seed": old.seed + 1, "effects": learned.effects, "recalibration": None}
    )
    given, tested = ([e for e in learned.effects if e.state == state] for state in ("give", "test"))
    if given:
        what = f"{len(given)} menu lines are given to groups for which they have been shown to pay"
    elif tested:
        what = "no menu line has been shown to pay yet; what may still pay is tested further"
    else:
        what = "nothing pays and nothing more is worth learning: no offers are given any more"
    why = "; ".join(hindrances) or what
    seen = f"{learned.windows} windows and {learned.customers} customers"
    head = f"learned from {seen}, value over {learned.horizon_days} days"
    changes = (head, *(arm_words(each, say) for each in shown(learned.effects)))
    one = Factor(1.0, 1.0, 1.0, len(judged.evidence.slots))
    return NextRelease(release, MeasuredFactors(None, None, one, {}, ()), changes, None, not hindrances, why)


def shown(found: tuple[LineEffect, ...]) -> list[LineEffect]:
    """Those that are given or tested, or that draws say something of; the likeliest to pay first."""
    return sorted(
        (each for each in found if each.state != "closed" or each.n_arm), key=lambda e: (-e.pays, e.arm, e.group)
    )


def arm_words(effect: LineEffect, say: Callable[[float], str]) -> str:
    """One effect in a line: window and horizon beside each other."""
    low, high = (say(effect.net_cents + side * Z95 * effect.net_se_cents) for side in (-1, 1))
    fate = {"give": "given", "test": f"tested on {effect.share:.0%}", "closed": "closed"}[effect.state]
    return (
        f"{effect.arm} for {effect.group}: {say(effect.net_cents)} per customer over the horizon ({low} to {high}), "
        f"{say(effect.window_cents)} in the window, pays with {effect.pays:.0%} ({effect.evidence}, {effect.n_arm} "
        f"against {effect.n_none}): {fate}"
    )
