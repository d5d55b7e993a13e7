"""Estimate what each menu line adds for each group from a campaign's draws and their outcomes, and propose a release.

Windows that are over are pooled. A customer in several windows counts as one cluster.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from promolift.core.decisions.decision_rule import LineEffect
from promolift.core.experiments.line_effects import (
    ArmValue,
    Draws,
    estimate_arm_values,
    find_change_points,
    visit_weight,
)
from promolift.core.experiments.surrogate import EVERYBODY, SurrogateModel, features, fit_surrogate, value_between
from promolift.core.offers.menu import MenuItem
from promolift.foundation.evidence import Z95, IntervalEstimate
from promolift.foundation.progress import no_progress
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback.policy_verdict import JudgedEvidence
from promolift.shop.results.ingest import Span
from promolift.shop.results.learned_policy import NextRelease
from promolift.shop.results.line_tests import all_draws, load_cells
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.plan_inputs import (
    arm_effects,
    budget_cents,
    index_cells,
    line_choice_rules,
    plan_spans,
)
from promolift.shop.results.work_folder.run_context import Job, daily_sales, local_day, moments

NONE = "none"
HABITS = ("orders_28", "orders_112", "orders_364", "recency")  # what says most of coming visits
DISCOUNT_BENEFITS = ("percent_off", "amount_off", "fixed_price", "buy_x_get_y")  # seen on the receipt as a coupon


class EffectChange(NamedTuple):
    """A change of the effects since the window that began on `day`, and its probability."""

    day: date
    prob: float


@dataclass(frozen=True)
class LearnedEffects:
    """What the draws of `windows` campaign windows say, over `horizon_days`, and what following it is `expected` to add
    per customer of the groups. `changed` where the draws before some window are likelier to say nothing of now; `tests`
    are the windows since then in which a line was drawn."""

    effects: tuple[LineEffect, ...]
    expected: IntervalEstimate
    windows: int
    horizon_days: int
    customers: int
    changed: EffectChange | None = None
    tests: int = 0


class ServedDecisions(NamedTuple):
    """Decisions that a server made of the plan's draws, and what came of them until `asof_ms`: DECISIONS, and outcomes
    as `evidence.read_outcomes` gives them."""

    decisions: pl.DataFrame
    outcomes: pl.DataFrame
    asof_ms: int


def learn_line_effects(store: Store, config: Config, served: ServedDecisions | None = None) -> LearnedEffects | None:
    """None where nothing was drawn, or no window of a draw is over. Without `served` the plan was sent as a list, and
    the work folder knows what came; else those count who were decided on within a window, and later orders too."""
    drawn, cells = all_draws(store), load_cells(store)
    if drawn is None or cells is None:
        return None
    job = Job(config, store, no_progress)
    at, aimed = moments(job), bool(cells["aimed"].any())
    # what draws among the likeliest to gain say is not said of whole groups, nor the other way round
    kept = drawn.filter((pl.col("campaign_id") == config.plan.campaign) & (pl.col("aimed") == aimed))
    end = pl.col("ts_ms") + pl.col("window_days") * DAY_MS
    kept = drop_replaced_draws(kept).filter(end <= (at.asof if served is None else served.asof_ms))
    if served is not None:
        asked = served.decisions.select("customer_id", pl.col("ts_ms").alias("asked_ms")).join(kept, on="customer_id")
        inside = asked.filter(pl.col("asked_ms").is_between(pl.col("ts_ms"), end, closed="left"))
        kept = kept.join(inside, on=["ts_ms", "customer_id"], how="semi", maintain_order="left")
    if kept.is_empty():
        return None
    first = int(kept["ts_ms"].min())  # type: ignore[arg-type]
    sales = daily_sales(job, first, config.value.margin_rate)
    if served is not None:
        heard = served.outcomes.filter(pl.col("ts_ms") > (Span.load(store).last_ms or 0))
        sales = (
            pl.concat([sales, ledger_daily_sales(heard, first).select(sales.columns)])
            .group_by("customer_id", "day")
            .sum()
        )
        sales = sales.sort("customer_id", "day")
    ahead = fit_surrogate(sales.filter(pl.col("day") < 0), 0, plan_spans(job))  # knows no offer that was drawn
    rows = pl.concat(
        [draw_outcomes(mine, sales, ahead, first) for _, mine in kept.group_by("ts_ms", maintain_order=True)]
    )
    rows = subtract_shop_costs(rows, config.menu, cells)
    spread = pl.col("group").replace_strict(ahead.sd, default=ahead.sd.get(EVERYBODY, 0.0), return_dtype=pl.Float64)
    cells = cells.with_columns(pl.when(pl.col("sd") > 0).then("sd").otherwise(spread).alias("sd"))
    names = {name: cells[name].unique().sort().to_list() for name in ("arm", "group")}
    draws, known = draws_as_arrays(rows, names["arm"], names["group"]), index_cells(cells)
    since = find_change_points(draws, known)
    plan, now = Plan.load(store).note, since[0].rows_R
    tests = len(np.unique(draws.when_R[now & (draws.prob_RK > 0).any(axis=1)]))
    found = estimate_arm_values(draws, known, since, tests)
    if aimed:
        found = estimate_arm_values(draws, index_cells(scale_to_observed_cost(cells, found)), since, tests)
    rules = line_choice_rules(job, plan.terms, float(budget_cents(job, at)), tests)
    done = arm_effects(cells, found, rules, plan.evidence)
    began = rows_of_current_groups(rows, names["group"])["ts_ms"].unique().sort()
    changed = (
        EffectChange(local_day(began[since[0].since], config.shop.zone), since[0].prob) if since[0].since else None
    )
    return LearnedEffects(
        done, expected_gain(done, cells, rules.holdout_share), kept["ts_ms"].n_unique(), ahead.spans.horizon,
        kept["customer_id"].n_unique(), changed, tests,
    )  # fmt: skip


def scale_to_observed_cost(cells: pl.DataFrame, found: list[ArmValue]) -> pl.DataFrame:
    """Aimed cells with what was predicted moved by the share of the predicted cost that came: an offer that is used by
    fewer costs less and adds less. Draws tell the cost long before they tell the gain; a cell without draws of its own
    is moved as all others together."""
    seen = [each for each in found if each.drawn.se is not None]
    predicted = sum(each.cell.cost * each.drawn.n_arm for each in seen)
    came = sum(each.cost * each.drawn.n_arm for each in seen)
    if not (predicted > 0 and came > 0):
        return cells
    all_ = came / predicted
    used = [
        each.cost / each.cell.cost if each.drawn.se is not None and each.cell.cost > 0 < each.cost else all_
        for each in found
    ]
    return cells.with_columns(pl.col("prior", "prior_se", "cost") * pl.Series("used", used))


def expected_gain(found: tuple[LineEffect, ...], cells: pl.DataFrame, held: float) -> IntervalEstimate:
    """What giving and testing by these effects adds per customer of all groups, with its 95 % interval: all of them
    may err together."""
    sizes = dict(zip(cells.select("arm", "group").iter_rows(), cells["customers"], strict=True))
    tests = [each.group for each in found if each.state == "test"]
    value = doubt = 0.0
    for each in found:
        drawn = each.share / (tests.count(each.group) + 1) if each.state == "test" else float(each.state == "give")
        drawn += (1 - each.share) * each.lead
        given = (1 - held) * drawn * sizes.get((each.arm, each.group), 0)
        value, doubt = value + given * each.net_cents, doubt + given * each.net_se_cents
    everybody = float(cells.group_by("group").agg(pl.col("customers").max())["customers"].sum()) or 1.0
    mean, reach = value / everybody, Z95 * doubt / everybody
    return IntervalEstimate(mean, mean - reach, mean + reach)


def ledger_daily_sales(outcomes: pl.DataFrame, first_ms: int) -> pl.DataFrame:
    """Return what a server received after the work folder's log, in the form of `daily_sales`."""
    sign = pl.when(pl.col("kind") == "refund").then(-1).otherwise(1)
    sold = outcomes.filter(pl.col("kind").is_in(["purchase", "refund"]))
    each = sold.group_by("customer_id", ((pl.col("ts_ms") - first_ms) // DAY_MS).alias("day")).agg(
        (sign * (pl.col("revenue_cents").abs() - pl.col("goods_cents").fill_null(0))).sum().cast(pl.Float64)
        .alias("value_cents"),
        (sign * pl.col("coupon_cents")).sum().cast(pl.Float64).alias("coupon_cents"),
        (pl.col("kind") == "purchase").any().alias("bought"),
    )  # fmt: skip
    return each.filter("bought").drop("bought")


def drop_replaced_draws(kept: pl.DataFrame) -> pl.DataFrame:
    """Drop the draws of plans that another plan replaced before half of their window was over."""
    plans = kept.select("ts_ms", "window_days").unique().sort("ts_ms")
    last = pl.col("ts_ms").shift(-1)
    stays = last.is_null() | (last - pl.col("ts_ms") >= pl.col("window_days") * DAY_MS / 2)
    return kept.join(plans.filter(stays).select("ts_ms"), on="ts_ms", how="semi").sort("ts_ms", "customer_id")


def draw_outcomes(mine: pl.DataFrame, sales: pl.DataFrame, ahead: SurrogateModel, first_ms: int) -> pl.DataFrame:
    """One window's draws with value, window and cost of each customer, and what was expected of them.

    What follows the window is what was seen to follow such a window's end before any offer was drawn.
    """
    day = (int(mine["ts_ms"][0]) - first_ms) // DAY_MS
    end = day + int(mine["window_days"][0])
    before, later = features(sales, day), features(sales, end)
    people = mine["customer_id"]
    expected = ahead.predict(before)
    window = value_between(sales, people, day, end)
    rest = pl.DataFrame({"customer_id": later["customer_id"], "rest": ahead.predict(later).rest_N})
    weight = pl.Series(visit_weight(end - day))
    came = sales.filter(pl.col("day").is_between(day, end, closed="left")).group_by("customer_id").agg(
        pl.col("coupon_cents").sum().alias("cost"), pl.len().cast(pl.Float64).alias("visits"),
        pl.lit(weight).gather(pl.col("day") - day).sum().alias("soon"),
    )  # fmt: skip
    past = before.select("customer_id", *HABITS).with_columns(
        past_window=pl.Series(expected.window_N), past=pl.Series(expected.horizon_N)
    )
    rows = mine.with_columns(window=pl.Series(window))
    for more in (past, rest, came):  # of who never bought nothing was expected, and nothing follows
        rows = rows.join(more, on="customer_id", how="left", maintain_order="left")
    rows = rows.with_columns(pl.col(*HABITS, "past_window", "past", "rest", "cost", "visits", "soon").fill_null(0.0))
    return rows.with_columns(value=pl.col("window") + pl.col("rest"))


def rows_of_current_groups(rows: pl.DataFrame, groups: list[str]) -> pl.DataFrame:
    """Return the rows whose groups still exist."""
    return rows.filter(pl.col("group").is_in(groups))


def subtract_shop_costs(rows: pl.DataFrame, menu: Sequence[MenuItem], cells: pl.DataFrame) -> pl.DataFrame:
    """Value, window and cost of those who drew a line with what no receipt says: the supplier's part of what was taken
    off comes back, telling a customer costs, and what is given that is no money off costs what was expected of it."""
    lines = pl.DataFrame(
        [(item.id, item.supplier_share, item.send_cost_cents, item.benefit.type in DISCOUNT_BENEFITS) for item in menu],
        {"arm": pl.String, "part": pl.Float64, "send": pl.Float64, "off": pl.Boolean}, orient="row",
    )  # fmt: skip
    mine = rows.join(lines, on="arm", how="left", maintain_order="left")
    mine = mine.join(cells.select("arm", "group", given="cost"), on=["arm", "group"], how="left", maintain_order="left")
    off, unseen = pl.col("off").fill_null(True), pl.col("given").fill_null(0.0)
    back = pl.col("part").fill_null(0.0) * pl.col("cost")
    more = pl.when(off).then(back - pl.col("send").fill_null(0.0)).otherwise(-unseen)
    paid = pl.when(off).then(pl.col("cost") - more).otherwise(unseen)
    return mine.with_columns(pl.col("value", "window") + more, cost=paid).select(rows.columns)


def draws_as_arrays(rows: pl.DataFrame, arms: list[str], groups: list[str]) -> Draws:
    """Return the draws as arrays; the expected value reduces the noise (CUPED)."""
    known = rows_of_current_groups(rows, groups).with_row_index("row")
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
        cost_R=known["cost"].to_numpy(), visits_R=_steadied(known, "visits", "past_window", *HABITS),
        soon_R=_steadied(known, "soon", "past_window", *HABITS),
        when_R=known["ts_ms"].rank("dense").cast(pl.Int64).to_numpy() - 1,
    )  # fmt: skip


def _steadied(rows: pl.DataFrame, value: str, *past: str) -> np.ndarray:
    """A column less what the past says of it, by the slopes among those who drew none."""
    none = rows.filter(pl.col("arm") == NONE).select(value, *past).to_numpy()
    known = rows.select(past).to_numpy()
    if not len(none):
        return rows[value].to_numpy()
    middle = none.mean(axis=0)
    slopes = np.linalg.lstsq(none[:, 1:] - middle[1:], none[:, 0] - middle[0], rcond=1e-6)[0]
    rest: np.ndarray = rows[value].to_numpy() - (known - middle[1:]) @ slopes
    return rest


def propose_release(judged: JudgedEvidence, learned: LearnedEffects, say: Callable[[float], str]) -> NextRelease:
    """Return the release that follows from the learned effects; refused if the draw cannot be trusted."""
    old = judged.evidence.release
    changed = {"policy_version": next_version(old.policy_version), "seed": old.seed + 1, "effects": learned.effects}
    release = old.model_copy(update=changed)
    given, tested = ([e for e in learned.effects if e.state == state] for state in ("give", "test"))
    if given:
        what = f"{len(given)} menu lines are given to groups for which they have been shown to pay"
    elif tested:
        what = "no menu line has been shown to pay yet; what may still pay is tested further"
    else:
        tests = f"{learned.tests} test{'s' * (learned.tests > 1)}"
        what = f"after {tests} nothing has been shown to pay: no offers are given any more"
    against = acceptance_blockers(judged)
    why = "; ".join(against) or what
    gains = given and learned.expected.value > 0
    kind: Literal["release", "test", "stop"] = "release" if gains else "test" if given or tested else "stop"
    seen = f"{learned.windows} windows and {learned.customers} customers"
    head = f"learned from {seen}, value over {learned.horizon_days} days"
    if learned.changed:
        day, prob = learned.changed
        head += f"; customers answer otherwise since {day} ({prob:.0%} likely), and draws before count so much less"
    said = (head, *(effect_sentence(each, say) for each in effects_to_report(learned.effects)))
    return NextRelease(release, kind, learned.expected, said, not against, why)


def next_version(version: str) -> str:
    """Return the version that follows; versions never change."""
    return str(int(version) + 1) if version.isdecimal() else f"{version}-next"


def acceptance_blockers(judged: JudgedEvidence) -> list[str]:
    """Return the reasons why a release must not be accepted automatically, whatever the figures."""
    found = []
    if not judged.main.ratio.ok:
        found.append("the sample ratio is broken, so no figure of these decisions can be trusted")
    if not judged.evidence.salt_known:
        found.append("the holdout was not drawn by the salt that is known, so the next one could not be the same")
    if judged.evidence.measure != "margin":
        found.append("only revenue was measured, and more revenue can be less profit")
    return found


def effects_to_report(found: tuple[LineEffect, ...]) -> list[LineEffect]:
    """Return the effects that are given, tested or drawn; the most likely to pay first."""
    return sorted(
        (each for each in found if each.state != "closed" or each.n_arm), key=lambda e: (-e.pays, e.arm, e.group)
    )


def effect_sentence(effect: LineEffect, say: Callable[[float], str]) -> str:
    """Describe one effect in a line, over the window and over the horizon."""
    low, high = (say(effect.net_cents + side * Z95 * effect.net_se_cents) for side in (-1, 1))
    drawn = "" if effect.drawn_cents is None or effect.drawn_se_cents is None else (
        f" ({say(effect.drawn_cents)} by the draws alone, {say(effect.drawn_cents - Z95 * effect.drawn_se_cents)} to "
        f"{say(effect.drawn_cents + Z95 * effect.drawn_se_cents)})"
    )  # fmt: skip
    fate = {"give": "given", "test": f"tested on {effect.share:.0%}", "closed": "closed"}[effect.state]
    fate += ", given to all others of the group" * effect.lead
    more = "" if effect.visits is None or effect.visits_se is None else (
        f", {effect.visits:+.2f} visits ({effect.visits - Z95 * effect.visits_se:+.2f} to "
        f"{effect.visits + Z95 * effect.visits_se:+.2f})"
    )  # fmt: skip
    return (
        f"{effect.arm} for {effect.group}: {say(effect.net_cents)} per customer over the horizon ({low} to {high})"
        f"{drawn}, {say(effect.window_cents)} in the window{more}; adds {say(effect.net_cents + effect.cost_cents)} "
        f"before its cost of {say(effect.cost_cents)}, pays with {effect.pays:.0%} ({effect.evidence}, {effect.n_arm} "
        f"against {effect.n_none}): {fate}"
    )
