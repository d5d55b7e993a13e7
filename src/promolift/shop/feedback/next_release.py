"""Estimate what each menu line adds for each group from a campaign's draws and their outcomes, and propose a release.

Windows that are over are pooled. A customer in several windows counts as one cluster.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.decisions.decision_rule import LineEffect
from promolift.core.experiments.arm_shares import (
    COST_SD,
    REST_BELOW,
    SMALL_SHARE,
    ArmBeliefs,
    ArmOutcomes,
    ArmPrior,
    arm_prior,
    arm_shares,
    fixed_shares,
    option_value,
    refusal_rates,
    refuser_share,
    update_beliefs,
)
from promolift.core.experiments.audiences import ACTIVE
from promolift.core.experiments.surrogate import SurrogateModel, features, fit_surrogate, value_between
from promolift.core.offers.menu import MenuItem
from promolift.foundation.evidence import Z95, IntervalEstimate, Level
from promolift.foundation.i18n.lazy_message import SEMICOLON, LazyMessage, gettext_lazy, join_messages, ngettext_lazy
from promolift.foundation.progress import no_progress
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback.decision_outcomes import DISCOUNT_BENEFITS
from promolift.shop.feedback.opt_outs import FOLLOW_DAYS, date_refusals, refused_now
from promolift.shop.feedback.policy_verdict import JudgedEvidence
from promolift.shop.results.ingest import Span
from promolift.shop.results.learned_policy import NextRelease
from promolift.shop.results.line_tests import all_draws, load_cells, refusals_per_thousand
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.plan_inputs import plan_spans
from promolift.shop.results.work_folder.run_context import Job, daily_sales, moments

Floats = NDArray[np.float64]
NONE = "none"
HABITS = ("orders_28", "orders_112", "orders_364", "recency")  # what says most of coming visits
MEASURED = 20  # customers on either side from which an effect counts as randomised
SURE_OF_ACTIVE = 0.9  # probability of paying above which the active draw a discount as all others do


@dataclass(frozen=True)
class LearnedEffects:
    """What the draws of `windows` campaign windows say, over `horizon_days`, and what following it is `expected` to add
    per customer of the groups."""

    effects: tuple[LineEffect, ...]
    expected: IntervalEstimate
    windows: int
    horizon_days: int
    customers: int


class ServedDecisions(NamedTuple):
    """Decisions that a server made of the plan's draws, and what came of them until `asof_ms`: DECISIONS, and outcomes
    as `evidence.read_outcomes` gives them."""

    decisions: pl.DataFrame
    outcomes: pl.DataFrame
    asof_ms: int


def learn_line_effects(
    store: Store, config: Config, served: ServedDecisions | None = None, said: pl.DataFrame | None = None
) -> LearnedEffects | None:
    """None where nothing was drawn, or no window of a draw is over. Without `served` the plan was sent as a list, and
    the work folder knows what came; else those count who were decided on within a window, and later orders too. `said`
    is what customers told a server about consent, as of `read_consent_updates`."""
    drawn, cells = all_draws(store), load_cells(store)
    if drawn is None or cells is None:
        return None
    job = Job(config, store, no_progress)
    at = moments(job)
    kept = drawn.filter(pl.col("campaign_id") == config.plan.campaign)
    end, asof_ms = pl.col("ts_ms") + pl.col("window_days") * DAY_MS, at.asof if served is None else served.asof_ms
    kept = drop_replaced_draws(kept)
    refusals = date_refusals(kept, refused_now(job.clean, kept["customer_id"], said), asof_ms)
    kept = kept.filter(end <= asof_ms)
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
        draw_outcomes(mine, sales, ahead, first, refusals) for _, mine in kept.group_by("ts_ms", maintain_order=True)
    )
    rows = subtract_shop_costs(rows, config.lines, cells)
    plan = Plan.load(store).note
    done = learned_effects(cells, rows, config.plan.sure, plan.evidence)
    return LearnedEffects(
        done, expected_gain(done, cells, plan.terms.holdout_share), kept["ts_ms"].n_unique(), ahead.spans.horizon,
        kept["customer_id"].n_unique(),
    )  # fmt: skip


def learned_effects(cells: pl.DataFrame, rows: pl.DataFrame, sure: float, level: Level) -> tuple[LineEffect, ...]:
    """What is believed of every cell after the draws, and the share of its audience that draws it next.

    Costs tell long before gains do, so that a prior goes by the costs that were seen: of predicted gains each is moved
    by the share of the predicted cost that came, a cell without draws of its own as all others together.
    """
    windows, rows = rows["ts_ms"].unique().sort().to_list(), count_earlier_sends(rows)
    groups = [_Group(mine, rows.filter(group=name)) for (name,), mine in cells.sort("group", "arm").partition_by(
        "group", as_dict=True, maintain_order=True).items()]  # fmt: skip
    seen = [group.seen_costs() for group in groups if group.aimed]
    predicted, came = sum(each.predicted for each in seen), sum(each.came for each in seen)
    used = came / predicted if predicted and came else 1.0
    return tuple(effect for group in groups for effect in group.effects(windows, sure, level, used))


class _CostSums(NamedTuple):
    """What those who drew were predicted to cost, and what they cost."""

    predicted: float
    came: float


class _Costs(NamedTuple):
    """What each arm costs per customer, with its standard error."""

    cost_K: Floats
    se_K: Floats


class _Refused(NamedTuple):
    """How many refused of those who drew an arm, and of those who drew nothing in its place."""

    arm: int
    none: int


class _Group:
    """The arms of one group, and the rows of those who could draw them."""

    def __init__(self, cells: pl.DataFrame, rows: pl.DataFrame) -> None:
        self.cells, self.rows, self.arms = cells, rows, cells["arm"].to_list()
        self.aimed = bool(cells["aimed"].any())
        self.value = self._outcomes("value", "past")
        self.first = update_beliefs(self._prior(cells["cost"].to_numpy()), self.value)

    def _prior(self, cost_K: Floats) -> ArmPrior:
        if not self.aimed:
            return arm_prior(cost_K, float(self.cells["monthly"][0]))
        before = np.maximum(self.cells["cost"].to_numpy(), 1e-9)
        used = np.where(self.cells["cost"].to_numpy() > 0, cost_K / before, 1.0)
        sd = self.cells["prior_se"].to_numpy() * used
        return ArmPrior(self.cells["prior"].to_numpy() * used, np.diag(np.maximum(sd, 1e-6) ** 2))

    def _outcomes(self, value: str, *past: str) -> ArmOutcomes:
        """The expected value reduces the noise (CUPED)."""
        rows = self.rows.with_row_index("row")
        prob, place = np.zeros((rows.height, len(self.arms))), {name: k for k, name in enumerate(self.arms)}
        each = rows.select("row", "arms").explode("arms").unnest("arms").drop_nulls("arm")
        each = each.filter(pl.col("arm").is_in(self.arms))
        prob[each["row"].to_numpy(), [place[arm] for arm in each["arm"]]] = each["prob"].to_numpy()
        arm_R = np.array([-1 if arm == NONE else place.get(arm, -2) for arm in rows["arm"]], dtype=np.int64)
        who_R = rows["customer_id"].rank("dense").cast(pl.Int64).to_numpy()
        return ArmOutcomes(
            arm_R, prob, rows["none_prob"].to_numpy(), who_R, _steadied(rows, value, *past), rows["cost"].to_numpy()
        )

    def seen_costs(self) -> _CostSums:
        """What those who drew were predicted to cost, and what they cost."""
        known = ~np.isnan(self.first.cost_K)
        count_K = self.first.n_K[known]
        predicted = float(self.cells["cost"].to_numpy()[known] @ count_K)
        return _CostSums(predicted, float(self.first.cost_K[known] @ count_K))

    def costs(self, all_: float) -> _Costs:
        """What each arm costs, with its standard error: expected and seen, weighted by precision. A reminder costs
        nothing, whatever else is redeemed."""
        expected = self.cells["cost"].to_numpy()
        if self.aimed:
            expected = expected * all_
        se = COST_SD * expected
        known = ~np.isnan(self.first.cost_K) & (expected > 0) & (self.first.cost_se_K > 0)
        if self.aimed:  # an offer that nobody used says nothing of what one costs
            known &= self.first.cost_K > 0
        a, b = (1 / np.where(known, each, 1.0) ** 2 for each in (se, self.first.cost_se_K))
        both = (a * expected + b * np.where(known, self.first.cost_K, 0.0)) / (a + b)
        return _Costs(np.where(known, both, expected), np.where(known, (a + b) ** -0.5, se))

    def _refusal_worth(self, found: ArmBeliefs) -> float:
        """What a refusal loses: the part of the customer's forecast margin that sends would add over the horizon, each
        as the best arm or nothing does."""
        past_R, refused_R = self.rows["past"].clip(lower_bound=0.0).to_numpy(), self.rows["refused"].to_numpy()
        share_R = past_R / past_R.mean() if past_R.any() else np.ones(past_R.size)
        sends = float(self.rows["sends"].mean() or 0.0)  # type: ignore[arg-type]
        return sends * option_value(found.mean_K, found.cov_KK) * refuser_share(share_R, refused_R)

    def _refused(self, k: int) -> _Refused:
        both_R = (self.value.prob_RK[:, k] > 0) & (self.value.none_R > 0)
        refused_R = both_R & (self.rows["refused"].to_numpy() > 0)
        arm_R = self.value.arm_R[refused_R]
        return _Refused(int((arm_R == k).sum()), int((arm_R < 0).sum()))

    def _after_another(self) -> ArmBeliefs:
        """What the draws say of those alone who had drawn a message not long before."""
        return _Group(self.cells, self.rows.filter(pl.col("earlier") > 0)).first

    def effects(self, windows: list[int], sure: float, level: Level, all_: float) -> list[LineEffect]:
        cost_K, cost_se_K = self.costs(all_)
        prior = self._prior(cost_K)
        found = update_beliefs(prior, self.value)
        rates, worth = refusal_rates(self.value, self.rows["refused"].to_numpy()), self._refusal_worth(found)
        found = found.less(rates, worth)
        window = update_beliefs(prior, self._outcomes("window", "past_window"))
        visits = update_beliefs(prior, self._outcomes("visits", "past_window", *HABITS))
        again = self._after_another().less(rates, worth)
        prob_K = self._shares(found, windows, sure)
        ratio = [self.cells[name].to_numpy() for name in ("prior", "cost")]
        return [
            LineEffect(
                arm=arm, group=self.cells["group"][0], net_cents=float(found.mean_K[k]),
                net_se_cents=float(found.sd_K[k]), window_cents=float(window.mean_K[k]),
                window_se_cents=float(window.sd_K[k]), cost_cents=float(cost_K[k]), cost_se_cents=float(cost_se_K[k]),
                pays=float(found.pays_K[k]), prob=float(prob_K[k]),
                state="closed" if prob_K[k] == 0 else "give" if self._shown(found, k, sure) else "test",
                n_arm=int(found.n_K[k]), n_none=int(found.n_none_K[k]),
                drawn_cents=_known(found.drawn_K[k]), drawn_se_cents=_known(found.drawn_se_K[k]),
                visits=_known(visits.drawn_K[k]), visits_se=_known(visits.drawn_se_K[k]),
                refused=self._refused(k).arm, refused_none=self._refused(k).none,
                refusal_cents=float(worth * rates.rate_K[k]), n_again=int(again.n_K[k]),
                again_cents=_known(again.drawn_K[k]), again_se_cents=_known(again.drawn_se_K[k]),
                evidence="randomised" if min(found.n_K[k], found.n_none_K[k]) >= MEASURED else level, aimed=self.aimed,
                gain_ratio=float(found.mean_K[k] / ratio[0][k]) if self.aimed and ratio[0][k] > 0 else None,
                cost_ratio=float(cost_K[k] / ratio[1][k]) if self.aimed and ratio[1][k] > 0 else None,
            )
            for k, arm in enumerate(self.arms)
        ]  # fmt: skip

    @staticmethod
    def _shown(found: ArmBeliefs, k: int, sure: float) -> bool:
        return bool(found.n_K[k] and found.pays_K[k] >= sure and found.mean_K[k] > 0)

    def _shares(self, found: ArmBeliefs, windows: list[int], sure: float) -> Floats:
        drawn = self.rows.explode("arms").unnest("arms", separator=":").filter(pl.col("arms:prob") > 0)
        last = dict(drawn.group_by("arms:arm").agg(pl.col("ts_ms").max()).iter_rows())
        idle_K = np.array([sum(ts > last.get(arm, -1) for ts in windows) for arm in self.arms])
        fixed_K = fixed_shares(found.pays_K, found.n_K, idle_K)
        if self.aimed:  # who gets which is chosen by what is predicted of each customer
            odds = found.pays_K**2 / (found.pays_K**2 + (1 - found.pays_K) ** 2)
            shown = np.array([self._shown(found, k, sure) for k in range(len(self.arms))])
            by_odds = np.where(shown, 1.0, np.where(found.pays_K < REST_BELOW, 0.0, np.maximum(odds, SMALL_SHARE)))
            return np.where(np.isnan(fixed_K), by_odds, fixed_K)
        if self.cells["group"][0] == ACTIVE:  # to whom discounts are dear
            dear_K = self.cells["cost"].to_numpy() > 0
            fixed_K = np.where(np.isnan(fixed_K) & dear_K & (found.pays_K <= SURE_OF_ACTIVE), SMALL_SHARE, fixed_K)
        return arm_shares(found.mean_K, found.cov_KK, fixed_K)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def expected_gain(found: tuple[LineEffect, ...], cells: pl.DataFrame, held: float) -> IntervalEstimate:
    """What giving and testing by these effects adds per customer of all groups, with its 95 % interval: all of them
    may err together."""
    sizes = dict(zip(cells.select("arm", "group").iter_rows(), cells["customers"], strict=True))
    value = doubt = 0.0
    for each in found:
        given = (1 - held) * (each.prob or 0.0) * sizes.get((each.arm, each.group), 0)
        value, doubt = value + given * each.net_cents, doubt + given * each.net_se_cents
    # customers of an audience may draw any of its arms; who has a predicted offer gets no other
    alone, shared = cells.filter("aimed"), cells.filter(~pl.col("aimed"))
    most = shared.group_by("group").agg(pl.col("customers").max())
    everybody = float(pl.concat([alone["customers"], most["customers"]]).sum()) or 1.0
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


def count_earlier_sends(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with `earlier`: how many messages their customer had drawn within `FOLLOW_DAYS` before."""
    sent = rows.filter(pl.col("arm") != NONE).select("customer_id", sent_ms="ts_ms")
    age = pl.col("ts_ms") - pl.col("sent_ms")
    found = rows.select("customer_id", "ts_ms").join(sent, on="customer_id")
    found = found.filter(age.is_between(0, FOLLOW_DAYS * DAY_MS, closed="right"))
    counts = found.group_by("customer_id", "ts_ms").agg(earlier=pl.len())
    every = rows.join(counts, on=["customer_id", "ts_ms"], how="left", maintain_order="left")
    return every.with_columns(pl.col("earlier").fill_null(0))


def drop_replaced_draws(kept: pl.DataFrame) -> pl.DataFrame:
    """Drop the draws of plans that another plan replaced before half of their window was over."""
    plans = kept.select("ts_ms", "window_days").unique().sort("ts_ms")
    last = pl.col("ts_ms").shift(-1)
    stays = last.is_null() | (last - pl.col("ts_ms") >= pl.col("window_days") * DAY_MS / 2)
    return kept.join(plans.filter(stays).select("ts_ms"), on="ts_ms", how="semi").sort("ts_ms", "customer_id")


def draw_outcomes(
    mine: pl.DataFrame, sales: pl.DataFrame, ahead: SurrogateModel, first_ms: int, refusals: pl.DataFrame
) -> pl.DataFrame:
    """One window's draws with value, window and cost of each customer, and what was expected of them.

    What follows the window is what was seen to follow such a window's end before any offer was drawn. `refusals` as of
    `date_refusals`; `sends` is how many sends a customer who refuses misses over the horizon.
    """
    day = (int(mine["ts_ms"][0]) - first_ms) // DAY_MS
    end = day + int(mine["window_days"][0])
    before, later = features(sales, day), features(sales, end)
    people = mine["customer_id"]
    expected = ahead.predict(before)
    window = value_between(sales, people, day, end)
    rest = pl.DataFrame({"customer_id": later["customer_id"], "rest": ahead.predict(later).rest_N})
    came = sales.filter(pl.col("day").is_between(day, end, closed="left")).group_by("customer_id").agg(
        pl.col("coupon_cents").sum().alias("cost"), pl.len().cast(pl.Float64).alias("visits"),
    )  # fmt: skip
    past = before.select("customer_id", *HABITS).with_columns(
        past_window=pl.Series(expected.window_N), past=pl.Series(expected.horizon_N)
    )
    rows = mine.with_columns(window=pl.Series(window))
    for more in (past, rest, came):  # of who never bought nothing was expected, and nothing follows
        rows = rows.join(more, on="customer_id", how="left", maintain_order="left")
    rows = rows.with_columns(pl.col(*HABITS, "past_window", "past", "rest", "cost", "visits").fill_null(0.0))
    gone = rows["customer_id"].is_in(refusals.filter(ts_ms=mine["ts_ms"][0])["customer_id"].implode())
    return rows.with_columns(
        value=pl.col("window") + pl.col("rest"), refused=gone.cast(pl.Float64),
        sends=pl.lit(ahead.spans.horizon / (end - day), pl.Float64),
    )  # fmt: skip


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
        what = ngettext_lazy(
            "{lines} menu line has been shown to pay for its group, and most of this group draw it",
            "{lines} menu lines have been shown to pay for their groups, and most of these draw them",
            len(given),
            lines=len(given),
        )
    elif tested:
        what = gettext_lazy("no menu line has been shown to pay yet; what may still pay is tested further")
    else:
        what = gettext_lazy(
            "nothing is likely to pay by what is known: every line rests, and is drawn again by a few later"
        )
    against = acceptance_blockers(judged)
    why = join_messages(SEMICOLON, *against) if against else what
    gains = given and learned.expected.value > 0
    kind: Literal["release", "test", "stop"] = "release" if gains else "test" if given or tested else "stop"
    head = gettext_lazy(
        "learned from {windows} windows and {customers} customers, value over {days} days",
        windows=learned.windows,
        customers=learned.customers,
        days=learned.horizon_days,
    )
    said = (head, *(effect_sentence(each, say) for each in effects_to_report(learned.effects)))
    return NextRelease(release, kind, learned.expected, said, not against, why)


def next_version(version: str) -> str:
    """Return the version that follows; versions never change."""
    return str(int(version) + 1) if version.isdecimal() else f"{version}-next"


def acceptance_blockers(judged: JudgedEvidence) -> list[LazyMessage]:
    """Return the reasons why a release must not be accepted automatically, whatever the figures."""
    found = []
    if not judged.main.ratio.ok:
        found.append(gettext_lazy("the sample ratio is broken, so no figure of these decisions can be trusted"))
    if not judged.evidence.salt_known:
        found.append(
            gettext_lazy("the holdout was not drawn by the salt that is known, so the next one could not be the same")
        )
    if judged.evidence.measure != "margin":
        found.append(gettext_lazy("only revenue was measured, and more revenue can be less profit"))
    return found


def effects_to_report(found: tuple[LineEffect, ...]) -> list[LineEffect]:
    """Return the effects that are given, tested or drawn; the most likely to pay first."""
    return sorted(
        (each for each in found if each.state != "closed" or each.n_arm), key=lambda e: (-e.pays, e.arm, e.group)
    )


def effect_sentence(effect: LineEffect, say: Callable[[float], str]) -> LazyMessage:
    """Describe one effect in a line, over the window and over the horizon."""
    low, high = (say(effect.net_cents + side * Z95 * effect.net_se_cents) for side in (-1, 1))
    drawn = "" if effect.drawn_cents is None or effect.drawn_se_cents is None else gettext_lazy(
        " ({drawn} by the draws alone, {low} to {high})",
        drawn=say(effect.drawn_cents), low=say(effect.drawn_cents - Z95 * effect.drawn_se_cents),
        high=say(effect.drawn_cents + Z95 * effect.drawn_se_cents),
    )  # fmt: skip
    share = f"{effect.share if effect.prob is None else effect.prob:.0%}"
    fate = {
        "give": gettext_lazy("shown to pay, drawn by {share}", share=share),
        "test": gettext_lazy("tested on {share}", share=share),
        "closed": gettext_lazy("rests"),
    }[effect.state]
    more = "" if effect.visits is None or effect.visits_se is None else gettext_lazy(
        ", {visits} visits ({low} to {high})",
        visits=f"{effect.visits:+.2f}", low=f"{effect.visits - Z95 * effect.visits_se:+.2f}",
        high=f"{effect.visits + Z95 * effect.visits_se:+.2f}",
    )  # fmt: skip
    return gettext_lazy(
        "{arm} for {group}: {net} per customer over the horizon ({low} to {high}){drawn}, {window} in the "
        "window{more}; "
        "adds {gross} before its cost of {cost}, pays with {pays} ({evidence}, {n_arm} against {n_none}){again}"
        "{refusals}: {fate}",
        arm=effect.arm, group=effect.group, net=say(effect.net_cents), low=low, high=high, drawn=drawn,
        window=say(effect.window_cents), more=more, gross=say(effect.net_cents + effect.cost_cents),
        cost=say(effect.cost_cents), pays=f"{effect.pays:.0%}", evidence=LazyMessage.of(effect.evidence, {}),
        n_arm=effect.n_arm, n_none=effect.n_none, again=_again_clause(effect, say),
        refusals=_refusal_clause(effect, say), fate=fate,
    )  # fmt: skip


def _again_clause(effect: LineEffect, say: Callable[[float], str]) -> str:
    if effect.again_cents is None or effect.again_se_cents is None:
        return ""
    low, high = (say(effect.again_cents + side * Z95 * effect.again_se_cents) for side in (-1, 1))
    return gettext_lazy(
        ", {again} ({low} to {high}) on {n} who had a message within {days} days",
        again=say(effect.again_cents), low=low, high=high, n=effect.n_again, days=FOLLOW_DAYS,
    )  # fmt: skip


def _refusal_clause(effect: LineEffect, say: Callable[[float], str]) -> str:
    if (rates := refusals_per_thousand(effect)) is None:
        return ""
    arm, none = (f"{each.value:.1f} ({each.low:.1f} to {each.high:.1f})" for each in rates)
    return gettext_lazy(
        ", of 1,000 who got it {arm} refuse further messages, of 1,000 who got nothing {none}, a loss of {loss} per "
        "customer that is taken off",
        arm=arm, none=none, loss=say(effect.refusal_cents),
    )  # fmt: skip
