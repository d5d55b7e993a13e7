"""Draw the arms of every audience by known probabilities, and keep what was drawn.

An arm is a menu line; it stands for the one of its offers that is expected to add most for the customer. What draws
teach sets the shares of the next plan (`core/experiments/arm_shares.py`). Who gets an offer by predicted gains
(`predicted_offers`) draws nothing else.
"""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from promolift.core import allocation, decisions
from promolift.core.decisions.batch_decisions import OptionTable
from promolift.core.decisions.decision_rule import LineEffect, ReleaseTerms
from promolift.core.decisions.price_decisions import PriceDecisions
from promolift.core.experiments.arm_shares import LEAST
from promolift.core.experiments.audiences import PREDICTED
from promolift.core.experiments.power import detectable_effect
from promolift.foundation.hashing import hash_units
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.shop.pipeline.planning.arms_in_play import (
    LineTestPopulation,
    best_offer_per_line,
    choose_arms,
    limit_waste,
    line_costs,
    load_population,
    play_cells,
    with_new_arms,
)
from promolift.shop.pipeline.planning.partitions import (
    DecisionRecords,
    PartitionedFrame,
    PartitionStore,
    collect_records,
    record_partition,
)
from promolift.shop.pipeline.planning.predicted_offers import (
    DRAWN_COLUMNS,
    MOST_CARRIED,
    PredictedOffers,
    draw_rows,
    predicted_cells,
    predicted_draws,
    predicted_offers,
    with_earlier_cells,
)
from promolift.shop.results.line_tests import LineTestGroup, LineTestNote, add_draws, all_draws
from promolift.shop.results.work_folder.plan_inputs import plan_spans
from promolift.shop.results.work_folder.run_context import Job, Moments

CEILING_Z = 3.1  # standard errors that a ceiling lies above what is expected: one month in a thousand passes it
NOT_DRAWN = gettext_noop("the draw gave this customer something else, or nothing, to learn from it")
CLOSED = gettext_noop("closed: not in play for customers like them")
OTHER = gettext_noop("another offer fits this customer better")
SPENT = gettext_noop("the budget is spent on others")
CANDIDATE_COLUMNS = (
    "customer_id", "offer_id", "menu_id", "group", "scope", "target", "depth", "amount_cents", "basket_mean_cents",
    "gain_cents", "gain_se_cents", "cost_cents", "added_cents", "units",
)  # fmt: skip
KEY = ["customer_id", "offer_id"]
INTERVAL = ["draw_start", "draw_share"]
DRAWS = {
    "campaign_id": pl.String, "ts_ms": pl.Int64, "window_days": pl.Int64, "customer_id": pl.String, "group": pl.String,
    "arm": pl.String, "none_prob": pl.Float64, "arms": pl.List(pl.Struct({"arm": pl.String, "prob": pl.Float64})),
    "aimed": pl.Boolean, "send_ms": pl.Int64,
}  # fmt: skip
COLUMN_TYPES = {float: pl.Float64, float | None: pl.Float64, int: pl.Int64, bool: pl.Boolean}
EFFECTS = {
    name: COLUMN_TYPES.get(field.annotation, pl.String)  # type: ignore[arg-type]
    for name, field in LineEffect.model_fields.items()
}


class LineTestPlan(NamedTuple):
    """A plan with line tests: the allocation, the terms, the decisions of all customers, and the test."""

    allocated: allocation.AllocatedOffers
    terms: ReleaseTerms
    records: DecisionRecords
    note: LineTestNote
    cells: pl.DataFrame
    draws: pl.DataFrame


def plan_line_tests(
    job: Job, at: Moments, rows: PartitionedFrame, consent: pl.DataFrame, terms: ReleaseTerms, budget: int,
    shelf: PartitionStore, by_prediction: DecisionRecords | None = None, may_test: bool = True,
    fair: Sequence[allocation.Limit] = (),
) -> LineTestPlan:  # fmt: skip
    """Draw the arms of every audience within the budget; everybody's record.

    `by_prediction` are the records of those who get an offer by predicted gains, within the same budget. Where limits
    are stated, or tests are not allowed, only what has been shown to pay is given.
    """
    limits = [*map(allocation.Limit.read, job.config.plan.limits), *fair]
    people = load_population(job, at, consent)
    predicted = predicted_offers(by_prediction, people) if by_prediction is not None else None
    if predicted is not None:
        people = people.apart(predicted.offers["customer_id"], PREDICTED)
    asked = dict.fromkeys((*CANDIDATE_COLUMNS, *(column for limit in limits for column in limit.where)))
    best = rows.collect(
        lambda part: (
            best_offer_per_line(part, people)
            .filter(pl.col("group") != PREDICTED)
            .select(name for name in (*asked, "worth") if name in ("group", "worth", *part.columns))
        )
    ).sort("customer_id", "menu_id")
    lines = line_costs(best)
    before = [each for each in terms.effects if each.group in people.sizes and not each.aimed]
    begins = choose_arms(job.config.menu, lines, people, before)
    cells = play_cells(lines, people, before, begins)
    known = limit_waste(with_new_arms(cells, before, begins, "assumed"), people)
    if limits or not may_test:
        known = tuple(e if e.state == "give" else e.model_copy(update={"prob": 0.0}) for e in known)
    return _Drawing(job, at, best, terms, budget, people, limits, predicted).plan(rows, consent, known, cells, shelf)


class _InPlay(NamedTuple):
    """The allocation, and the candidates in play, each with the interval that draws it; those that limits left of a
    draw have none, since nobody knows how likely they were."""

    allocated: allocation.AllocatedOffers
    rows: pl.DataFrame


class _Drawing:
    """What a draw of arms goes by."""

    def __init__(
        self, job: Job, at: Moments, best: pl.DataFrame, terms: ReleaseTerms, budget: int, people: LineTestPopulation,
        limits: Sequence[allocation.Limit], predicted: PredictedOffers | None,
    ) -> None:  # fmt: skip
        self.job, self.at, self.best, self.terms = job, at, best, terms
        self.people, self.limits, self.predicted = people, limits, predicted
        share = job.config.plan.test_share
        spent, room = (predicted.cost_cents(), share * budget) if predicted is not None else (0.0, 0.0)
        self.left = budget - spent  # for what draws are expected to cost
        self.most = self.left + room  # what they cost but for one month in a thousand
        policy = {"policy_id": "trial", "price": 0.0} if predicted is None else {}
        self.own_terms = terms.model_copy(
            update={"explore": 0.0, "explore_where": "nothing pays", "draws": "audience",
                    "draw_ms": None if limits else at.asof, **policy}
        )  # fmt: skip

    def plan(
        self, rows: PartitionedFrame, consent: pl.DataFrame, known: tuple[LineEffect, ...], cells: pl.DataFrame,
        shelf: PartitionStore,
    ) -> LineTestPlan:  # fmt: skip
        """The draw, everybody's decisions, and what is kept of both."""
        arms = add_learned_effects(join_effects(self.best, known)).join(
            pl.DataFrame([self.people.groups["customer_id"], self._units()]), on="customer_id", maintain_order="left"
        )
        part = affordable_share(arms, self.left, self.most, 1 - self.terms.holdout_share)
        known = tuple(e.model_copy(update={"prob": part * (e.prob or 0.0)}) if e.cost_cents else e for e in known)
        dear = pl.col("arm_cost") > 0
        arms = arms.with_columns(prob=pl.when(dear).then(part * pl.col("prob")).otherwise("prob"))
        few = (pl.col("prob").sum() < LEAST).over("menu_id", "group") & pl.lit(part < 1)
        arms = arms.with_columns(prob=pl.when(few).then(0.0).otherwise("prob"))  # who teach nothing for their cost
        left = {(arm, group) for arm, group in arms.filter(pl.col("prob") > 0).select("menu_id", "group").iter_rows()}
        known = tuple(e if (e.arm, e.group) in left else e.model_copy(update={"prob": 0.0}) for e in known)
        found, in_play = self._drawn(arms)
        others = tuple(e for e in self.terms.effects if e.aimed or e.group not in self.people.sizes)
        own_terms = self.own_terms.model_copy(update={"effects": (*known, *others)})
        columns = ["gain_now", "cost_now", "net_se_cents", "level", "prob", "group", "menu_id"]
        known_now = arms.select(*KEY, *columns).join(
            in_play.select(*KEY, *INTERVAL, in_play=pl.lit(True)), on=KEY, how="left"
        )
        if self.predicted is not None:
            given = predicted_draws(self.predicted.offers).with_columns(in_play=pl.lit(True))
            known_now = pl.concat([known_now, given], how="diagonal_relaxed")
            cells = pl.concat([cells, predicted_cells(self.predicted.offers)])

        def draw(number: int, mine: pl.DataFrame) -> PriceDecisions:
            before = self.predicted.records.rows.part(number).drop("prob", "open") if self.predicted else mine
            marked = _mark_in_play(before, known_now, close_others=self.predicted is None)
            return PriceDecisions(
                marked, decisions.decide_batch(OptionTable.of(marked, consent), own_terms, self.at.asof)
            )

        name = "given" if self.terms.effects else "test"
        made = collect_records(
            (record_partition(draw(n, part), shelf, name, n) for n, part in enumerate(rows)), shelf, name
        )
        draws = draw_rows(self.job, self.at, self._shares(known_now), known_now, made.assignments).select(list(DRAWS))
        if self.limits:  # which cut draws: their propensities are not known
            draws = draws.clear()
        note = self._note(arms, made, own_terms.effects).model_copy(update={"replaced": self._replaced(draws)})
        return LineTestPlan(found, own_terms, made, note, cells, draws)

    def _replaced(self, draws: pl.DataFrame) -> int:
        """For how many customers an earlier plan of this campaign and moment drew something else."""
        if (before := all_draws(self.job.store)) is None:
            return 0
        mine = before.filter(campaign_id=self.job.config.plan.campaign, ts_ms=self.at.asof)
        both = mine.select("customer_id", then="arm").join(draws.select("customer_id", "arm"), on="customer_id")
        replaced: int = both.filter(pl.col("then") != pl.col("arm")).height
        return replaced

    def _units(self) -> pl.Series:
        key = self.own_terms.model_copy(update={"draw_ms": self.at.asof}).draw_key
        return pl.Series("unit", hash_units(key, self.people.groups["customer_id"]))

    def _held(self, customer_ids: pl.Series) -> pl.Series:
        return pl.Series([decisions.in_holdout(who, self.terms) for who in customer_ids], dtype=pl.Boolean)

    def _allocated(self, rows: pl.DataFrame, budget: float) -> allocation.AllocatedOffers:
        held = self._held(rows["customer_id"])
        free = rows.filter(~held).with_columns(
            gain_cents=pl.col("gain_now"), cost_cents=pl.col("cost_now"), eligible=pl.lit(True)
        )
        columns = [name for name in self.best.columns if name != "worth"]
        return allocation.plan(free.select(*columns, "eligible"), budget, self.limits, seed=self.job.config.plan.seed)

    def _drawn(self, arms: pl.DataFrame) -> _InPlay:
        """The arms that each customer may draw: shares lie beside each other on the unit interval."""
        upper = pl.col("prob").cum_sum().over("customer_id")
        arms = arms.sort("customer_id", "menu_id").with_columns(draw_start=upper - pl.col("prob"), draw_share="prob")
        end = pl.col("draw_start") + pl.col("draw_share")
        mine = arms.filter((pl.col("unit") >= pl.col("draw_start")) & (pl.col("unit") < end))
        found = self._allocated(mine.filter(pl.col("gain_now") > 0), self.most)
        if not self.limits:
            return _InPlay(found, arms.filter(pl.col("prob") > 0))
        within = mine.join(found.chosen.select(KEY), on=KEY, how="semi")
        return _InPlay(found, within.with_columns(pl.lit(None, pl.Float64).alias(name) for name in INTERVAL))

    def _shares(self, arms: pl.DataFrame) -> pl.DataFrame:
        """customer_id, group, send_ms, arms and none_prob: the propensities of each, the holdout counted in."""
        rest = 1 - self.terms.holdout_share
        each = arms.filter(pl.col("prob") > 0).group_by("customer_id").agg(
            pl.struct(pl.col("menu_id").alias("arm"), (rest * pl.col("prob")).alias("prob")).alias("arms"),
            (1 - rest * pl.col("prob").sum()).alias("none_prob"),
        )  # fmt: skip
        nobody = pl.lit([], pl.List(pl.Struct({"arm": pl.String, "prob": pl.Float64})))
        return self.people.groups.select("customer_id", "group", "send_ms").join(
            each, on="customer_id", how="left", maintain_order="left"
        ).with_columns(pl.col("arms").fill_null(nobody), pl.col("none_prob").fill_null(1.0))  # fmt: skip

    def _note(self, arms: pl.DataFrame, made: DecisionRecords, known: tuple[LineEffect, ...]) -> LineTestNote:
        sent = arms.join(made.assignments.filter(pl.col("offer_id") != "none"), on=KEY, how="inner")
        tested = []
        for (group,), mine in sent.partition_by("group", as_dict=True).items():
            name, sizes = str(group), dict(mine["menu_id"].value_counts().iter_rows())
            none = self.people.sizes[name] - mine.height
            names = tuple(sorted(sizes))
            shares = {each.arm: each.prob or 0.0 for each in known if each.group == name}
            tested.append(
                LineTestGroup(
                    group=name, arms=names, shares=tuple(shares.get(arm, 0.0) for arm in names),
                    counts=tuple(sizes[arm] for arm in names), treated=mine.height, none=none,
                    detectable_cents=detectable_effect(self.people.sd[name], min(sizes.values()), none),
                )
            )  # fmt: skip
        se = sent.group_by("menu_id", "group").agg(pl.col("net_se_cents").sum())["net_se_cents"]
        return LineTestNote(
            tested=tuple(sorted(tested, key=lambda each: each.group)), targeted=made.chosen.height - sent.height,
            largest=max(self.people.sizes.values(), default=0), cost_cents=float(sent["cost_now"].sum()),
            ceiling_cents=cost_ceiling(sent), gain_cents=float(sent["gain_now"].sum()),
            gain_se_cents=float((se**2).sum()) ** 0.5, budget_cents=float(self.most),
            window_days=self.job.config.plan.window_days, horizon_days=plan_spans(self.job).horizon, effects=known,
            tests=self.people.windows,
        )  # fmt: skip


def join_effects(best: pl.DataFrame, known: Sequence[LineEffect]) -> pl.DataFrame:
    """Candidates with what is known of their line and group, and `prob`, the share that draws it. Lines of which
    nothing is known are not in play."""
    table = pl.DataFrame([each.model_dump() for each in known], schema=EFFECTS)
    own = table.select(
        pl.col("arm").alias("menu_id"), "group", "net_cents", "net_se_cents", "prob", "state",
        pl.col("cost_cents").alias("arm_cost"), pl.col("cost_se_cents").alias("arm_cost_se"),
        pl.col("evidence").alias("level"),
    )  # fmt: skip
    before = pl.when(pl.col("state") == "closed").then(0.0).otherwise(1.0)  # of earlier versions, which kept no share
    return best.join(own, on=["menu_id", "group"], how="left").with_columns(
        prob=pl.when(pl.col("state").is_null()).then(0.0).otherwise(pl.coalesce("prob", before))
    )


def affordable_share(arms: pl.DataFrame, budget: float, most: float, sent: float) -> float:
    """The part of their shares that arms which cost anything may keep, so that they are expected to cost the budget at
    most, and cost no more than `most` in all but one month in a thousand. `sent` is the share of customers who are not
    held out."""

    def ceiling(part: float) -> float:
        return cost_ceiling(arms.with_columns(weight=part * sent * pl.col("prob")))

    expected = sent * float(arms.select((pl.col("prob") * pl.col("cost_now")).sum()).item() or 0.0)
    high = min(1.0, budget / expected) if expected > 0 else 1.0
    if (whole := ceiling(high)) <= most:
        return high
    low, high = 0.0, min(high, most / whole * 2 * high)
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if ceiling(middle) > most else (middle, high)
    return low


def _mark_in_play(rows: pl.DataFrame, known_now: pl.DataFrame, close_others: bool) -> pl.DataFrame:
    """Candidates with the numbers of their line and group, open where they may be drawn. With `close_others` all others
    are closed, and say why; else they stay as a choice by predicted gains has left them."""
    marked = rows.join(known_now.drop("group", "menu_id"), on=KEY, how="left", maintain_order="left")
    open_, none = pl.col("in_play").fill_null(False), pl.col("offer_id") == "none"
    why = (
        pl.when(pl.col("prob").is_null()).then(pl.lit(OTHER)).when(pl.col("prob") > 0).then(pl.lit(NOT_DRAWN))
        .otherwise(pl.lit(CLOSED))
    )  # fmt: skip
    closed = pl.col("eligible") & ~open_ & ~none & pl.lit(close_others)
    marked = marked.with_columns(
        pl.when(closed).then(why).when(open_).then(None).otherwise("why_not").alias("why_not"),
        ((pl.col("eligible") & ~closed) | open_).alias("eligible"),
        pl.coalesce("gain_now", "gain_cents").alias("gain_cents"),
        pl.coalesce("cost_now", "cost_cents").alias("cost_cents"),
        pl.coalesce("net_se_cents", "gain_se_cents").alias("gain_se_cents"),
        pl.coalesce("level", "evidence").alias("evidence"),
    )
    charge = pl.lit(0.0) if close_others else pl.col("charge_cents")
    return marked.with_columns(
        # what was drawn is given, whatever is believed of it
        charge_cents=pl.when(open_).then(pl.min_horizontal("gain_cents", pl.lit(0.0)) - 1.0).otherwise(charge),
        added_cents=pl.when(pl.col("gain_now").is_not_null()).then(pl.col("gain_cents") + pl.col("cost_cents"))
        .otherwise("added_cents"),
    ).drop("gain_now", "cost_now", "net_se_cents", "level", "prob", "in_play")  # fmt: skip


def add_learned_effects(arms: pl.DataFrame) -> pl.DataFrame:
    """Candidates with the gain, cost and standard error of the cost that their line and group have, by customer.

    A customer's own share of it counts for half: who looks cheapest costs more than it looks, and where money is short
    would be given first. Nobody is believed to bring more than `MOST_CARRIED` times what the mean customer brings,
    whatever they cost.
    """
    middle = pl.col("cost_cents").mean().over("menu_id", "group")
    own = 0.5 + 0.5 * pl.when(middle > 0).then(pl.col("cost_cents") / middle).otherwise(1.0)
    return arms.with_columns(
        gain_now=pl.col("net_cents") * own.clip(upper_bound=MOST_CARRIED), cost_now=pl.col("arm_cost") * own,
        cost_se_now=pl.col("arm_cost_se") * own,
    )  # fmt: skip


def cost_ceiling(given: pl.DataFrame) -> float:
    """What offers cost at most but for one month in a thousand, in minor units: `given` has a row per customer with an
    offer, or, with `weight`, per customer who gets it with this probability.

    Every order of theirs costs its share or its amount, and orders come as they like (twice a Poisson's variance, since
    baskets differ). Costs that are only assumed may be too low all together, those that draws showed each by itself.
    """
    if given.is_empty():
        return 0.0
    weight = pl.col("weight") if "weight" in given.columns else pl.lit(1.0)
    order = pl.coalesce(pl.col("depth") * pl.col("basket_mean_cents"), "amount_cents", pl.lit(0.0))
    by = given.group_by("menu_id", "group", shown=(pl.col("level") == "randomised").fill_null(False)).agg(
        (pl.col("cost_now", "cost_se_now") * weight).sum(), noise=(2 * weight * pl.col("cost_now") * order).sum()
    )
    shown, doubt = by["shown"], by["cost_se_now"]
    spread = float(doubt.filter(~shown).sum()) ** 2 + float((doubt.filter(shown) ** 2).sum())
    return float(by["cost_now"].sum() + CEILING_Z * (spread + float(by["noise"].sum())) ** 0.5)


def save_predicted_draws(job: Job, at: Moments, made: DecisionRecords) -> None:
    """What a plan by predicted gains alone drew, the holdout against those who got it, kept as a test's draws are.
    Nothing is kept where nobody could get anything."""
    if not job.clean.has_events or job.clean.lacks_amounts:
        return
    may = (pl.col("prob") > 0) & (pl.col("offer_id") != "none")
    offered = made.rows.collect(lambda part: part.filter(may).select(*DRAWN_COLUMNS, "prob"))
    if offered.is_empty():
        return
    arm = pl.col("menu_id").alias("arm")
    each = offered.sort("customer_id", "offer_id").group_by("customer_id", arm).agg(pl.col("prob").sum())
    shares = each.group_by("customer_id").agg(
        pl.struct("arm", "prob").alias("arms"), (1 - pl.col("prob").sum()).alias("none_prob")
    ).with_columns(group=pl.lit(PREDICTED), send_ms=pl.lit(None, pl.Int64))  # fmt: skip
    draws = draw_rows(job, at, shares, offered, made.assignments).select(list(DRAWS)).sort("customer_id")
    job.store.save("arms", with_earlier_cells(job, predicted_cells(offered)))
    add_draws(job.store, draws, made.assignments["customer_id"])


def save_line_tests(job: Job, made: LineTestPlan) -> None:
    """Save what was believed of the arms, and append this plan's draws to all earlier ones."""
    if (cells := with_earlier_cells(job, made.cells)).height:
        job.store.save("arms", cells)
    add_draws(job.store, made.draws, made.records.assignments["customer_id"])
    made.note.keep(job.store)
