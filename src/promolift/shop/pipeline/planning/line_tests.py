"""Decide which menu lines are given, tested or closed in each group of customers, and draw the tests.

An arm is a menu line. It stands for the one of its offers that is expected to add most for the customer. Before the
first test the response model gives the prior of what an arm adds for a group; after it the draws update the prior
(`core/experiments/line_effects.py`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import polars as pl

from promolift.core import allocation, decisions
from promolift.core.decisions.batch_decisions import OptionTable
from promolift.core.decisions.decision_rule import LineEffect, ReleaseTerms
from promolift.core.decisions.price_decisions import PriceDecisions
from promolift.core.experiments.arm_choice import CEILING_Z
from promolift.core.experiments.line_effects import (
    POWER_Z,
    PRIOR_COST_SD,
    PRIOR_VISITS,
    PRIOR_VISITS_SD,
    ArmValue,
    Draws,
    customers_needed,
    detectable_effect,
    estimate_arm_values,
)
from promolift.core.experiments.surrogate import SurrogateModel, features, fit_surrogate
from promolift.foundation.hashing import hash_units
from promolift.shop.configuration.configuration import PRICE_SENSITIVITY_GROUP
from promolift.shop.pipeline.planning.partitions import (
    DecisionRecords,
    PartitionedFrame,
    PartitionStore,
    collect_records,
    record_partition,
)
from promolift.shop.results.line_tests import LineTestGroup, LineTestNote, add_draws, all_draws, targeted_ratios
from promolift.shop.results.segments import segment_members
from promolift.shop.results.work_folder.plan_inputs import (
    MONTHS,
    arm_effects,
    index_cells,
    line_choice_rules,
    plan_spans,
)
from promolift.shop.results.work_folder.run_context import Job, Moments, daily_sales

LEAST_SHARE = 0.05  # of what is wanted; where no more fits under the ceiling nothing that costs is given
EFFECT_PRIOR_SD = (
    0.35  # s.d. of what a discount brings back, as a share of what it costs; of visits it is what is assumed
)
TARGETED_PRIOR_SD = 0.5  # s.d. of what comes of gains that were predicted, as a share of them
NOT_YET = "not bought yet"
DEAL_SEEKERS, OTHERS = "price sensitive", "less price sensitive"
NOT_DRAWN = "not in this test"
CLOSED = "closed: by what is known it does not pay for customers like them"
OTHER = "another offer fits this customer better"
SPENT = "the budget is spent on others"
CANDIDATE_COLUMNS = (
    "customer_id", "offer_id", "menu_id", "group", "scope", "target", "depth", "amount_cents", "basket_mean_cents",
    "gain_cents", "gain_se_cents", "cost_cents", "added_cents", "units",
)  # fmt: skip
CELLS = {
    "arm": pl.String, "group": pl.String, "prior": pl.Float64, "prior_se": pl.Float64, "contact_se": pl.Float64,
    "cost": pl.Float64, "customers": pl.Int64, "sd": pl.Float64, "contact": pl.Float64, "aimed": pl.Boolean,
}  # fmt: skip
DRAWS = {
    "campaign_id": pl.String, "ts_ms": pl.Int64, "window_days": pl.Int64, "customer_id": pl.String, "group": pl.String,
    "arm": pl.String, "none_prob": pl.Float64, "arms": pl.List(pl.Struct({"arm": pl.String, "prob": pl.Float64})),
    "aimed": pl.Boolean,
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


class LineTestPopulation(NamedTuple):
    """Every eligible customer who has bought: customer_id, group; what is expected of groups; and how many
    customers a group would need for halves by price sensitivity (`SplitGroups`)."""

    groups: pl.DataFrame
    ahead: SurrogateModel
    base: Mapping[str, tuple[float, float]]
    halves: int | None = None


def load_population(job: Job, at: Moments, consent: pl.DataFrame) -> LineTestPopulation:
    """Load the groups of eligible customers and what each group is expected to bring."""
    sales = daily_sales(job, at.asof, job.config.value.margin_rate)
    ahead, known = fit_surrogate(sales, 0, plan_spans(job)), features(sales, 0)
    expected = ahead.predict(known)
    rows = known.select("customer_id", "group").with_columns(
        window=pl.Series(expected.window_N), horizon=pl.Series(expected.horizon_N)
    )
    halves, names = None, [name for name in job.config.plan.groups if name != PRICE_SENSITIVITY_GROUP]
    if job.config.plan.groups:
        profiles = job.profiled.profiles(at.asof)
    if PRICE_SENSITIVITY_GROUP in job.config.plan.groups:
        ahead, rows, halves = split_groups(job, ahead, rows, profiles)
    if names:
        ahead, rows = group_by_segment(ahead, rows, segment_members(job, profiles), names)
    means = rows.group_by("group").agg(pl.col("window", "horizon").mean())
    base = {group: (window, horizon) for group, window, horizon in means.iter_rows()}
    may = consent.filter("may_send").select("customer_id")
    base[NOT_YET] = (0.0, 0.0)
    groups = may.join(rows, on="customer_id", how="left").select("customer_id", pl.col("group").fill_null(NOT_YET))
    return LineTestPopulation(groups.sort("customer_id"), ahead, base, halves)


class GroupedCustomers(NamedTuple):
    """What is expected of groups, and everybody's group: rows of customer_id and group, and more."""

    ahead: SurrogateModel
    rows: pl.DataFrame


def group_by_segment(
    ahead: SurrogateModel, rows: pl.DataFrame, mine: pl.DataFrame, names: Sequence[str]
) -> GroupedCustomers:
    """Whoever belongs to one of the segments `names` is in the first of them instead. `mine`: customer_id, and segments
    as a list."""
    first = pl.coalesce(pl.when(pl.col("segments").list.contains(name)).then(pl.lit(name)) for name in names)
    own = mine.select("customer_id", first.alias("own"))
    return _regrouped(ahead, rows.join(own, on="customer_id", how="left", maintain_order="left"))


class SplitGroups(NamedTuple):
    """As `GroupedCustomers`; `needs` is how many customers the smallest group would need where none is halved, 0 where
    nobody's price sensitivity is known, None where some are halved."""

    ahead: SurrogateModel
    rows: pl.DataFrame
    needs: int | None


def split_groups(job: Job, ahead: SurrogateModel, rows: pl.DataFrame, profiles: pl.DataFrame) -> SplitGroups:
    """Groups that are large enough in halves by price sensitivity; once drawn by halves, a group stays halved."""
    if profiles["price_sensitivity"].is_null().all():
        return SplitGroups(ahead, rows, 0)
    drawn, least = all_draws(job.store), sizes_needed_to_split(ahead, rows)
    before = set() if drawn is None else set(drawn.filter(campaign_id=job.config.plan.campaign)["group"])
    sizes = dict(rows["group"].value_counts().iter_rows())
    split = {group for group in least if sizes[group] >= least[group] or f"{group}, {DEAL_SEEKERS}" in before}
    return SplitGroups(*split_by_price(ahead, rows, profiles, split), None if split else min(least.values(), default=0))


def sizes_needed_to_split(ahead: SurrogateModel, rows: pl.DataFrame) -> dict[str, int]:
    """How many customers each group needs for halves of it to be told apart: each shows within MONTHS windows, half of
    it drawn, an effect as large as what is assumed of a letter."""
    means = rows.group_by("group").agg(pl.col("window").mean())
    smallest = {group: contact_effect(ahead, group, max(window, 0.0)).whole for group, window in means.iter_rows()}
    return {group: int(4 * customers_needed(ahead.sd.get(group, 0.0), max(small, 1.0)) / MONTHS) + 1
            for group, small in smallest.items()}  # fmt: skip


def split_by_price(
    ahead: SurrogateModel, rows: pl.DataFrame, profiles: pl.DataFrame, split: Collection[str]
) -> GroupedCustomers:
    """The groups in `split` in halves by their middle price sensitivity; who has none stays where they are."""
    known = rows.join(profiles.select("customer_id", "price_sensitivity"), on="customer_id", how="left",
                      maintain_order="left")  # fmt: skip
    price = pl.col("price_sensitivity")
    half = pl.when(price > price.median().over("group")).then(pl.lit(DEAL_SEEKERS)).otherwise(pl.lit(OTHERS))
    own = pl.when(pl.col("group").is_in(list(split)) & price.is_not_null()).then(pl.format("{}, {}", "group", half))
    return _regrouped(ahead, known.with_columns(own.alias("own")).drop("price_sensitivity"))


def _regrouped(ahead: SurrogateModel, rows: pl.DataFrame) -> GroupedCustomers:
    """With `own` as the group of who has one: of it is expected what is of the groups that they come from."""
    old = pl.col("group")
    figures = rows.drop_nulls("own").select(
        "own", (old.replace_strict(ahead.sd, default=0.0, return_dtype=pl.Float64) ** 2).alias("var"),
        *(old.replace_strict(each, default=0.0, return_dtype=pl.Float64).alias(name)
          for name, each in (("away", ahead.away), ("comeback", ahead.comeback))),
    ).group_by("own").agg(pl.col("var").mean().sqrt().alias("sd"), pl.col("away", "comeback").mean())  # fmt: skip
    more = {name: dict(figures.select("own", name).iter_rows()) for name in ("sd", "away", "comeback")}
    known = replace(ahead, **{name: getattr(ahead, name) | found for name, found in more.items()})
    return GroupedCustomers(known, rows.with_columns(pl.coalesce("own", "group").alias("group")).drop("own"))


def best_offer_per_line(rows: pl.DataFrame, people: LineTestPopulation) -> pl.DataFrame:
    """One open candidate per customer and menu line, that which is expected to add most, with the customer's group."""
    known = rows.filter(pl.col("eligible") & (pl.col("offer_id") != "none")).drop_nulls(["gain_cents", "cost_cents"])
    best = known.sort(
        "customer_id", "menu_id", "added_cents", "offer_id", descending=[False, False, True, False]
    ).unique(["customer_id", "menu_id"], keep="first", maintain_order=True)
    return best.join(people.groups, on="customer_id").sort("customer_id", "menu_id")


def prior_cells(best: pl.DataFrame, people: LineTestPopulation) -> pl.DataFrame:
    """CELLS: what each arm is believed to add for each group before any draw.

    The response model says what an arm adds among those who come: it is read from shelf prices, which nobody sees who
    stays away. That an offer also brings some to come is assumed (VISITS): by the shop's own share of such customers
    who came without any, and what those who came were worth over the horizon beyond those who did not. Only of those
    who would have stayed away is it one visit more; of others it is one that comes earlier.
    """
    means = best.group_by("menu_id", "group").agg(
        pl.col("added_cents").mean().alias("added"),
        pl.col("cost_cents").mean().alias("cost"), pl.len().alias("customers"),
        pl.col("gain_se_cents").mean().alias("se"),
    )  # fmt: skip
    window = pl.Series("window", [people.base[group][0] for group in means["group"]], dtype=pl.Float64)
    # who has long been away is expected to buy nothing by their own rhythm; by what such groups did, some return
    rate = [pl.col(name).dot("customers") / pl.col("worth").dot("customers") for name in ("added", "cost")]
    means = means.with_columns(window.clip(lower_bound=0.0).alias("worth")).with_columns(
        rate[0].over("menu_id").alias("added_rate"), rate[1].over("menu_id").alias("cost_rate")
    )
    means = means.with_columns(
        pl.max_horizontal("added", pl.col("added_rate").fill_nan(0.0) * pl.col("worth")).alias("added"),
        pl.max_horizontal("cost", pl.col("cost_rate").fill_nan(0.0) * pl.col("worth")).alias("cost"),
    )
    found = []
    for row in means.sort("menu_id", "group").iter_rows(named=True):
        group, horizon = row["group"], people.base[row["group"]][1]
        contact = contact_effect(people.ahead, group, row["worth"])
        prior = row["added"] - row["cost"] + contact.mean
        prior_se = ((EFFECT_PRIOR_SD * row["cost"]) ** 2 + (row["se"] or 0.0) ** 2) ** 0.5 + 1e-6
        sd = people.ahead.sd.get(group, 0.0) or max(horizon, row["cost"], 1.0)
        size = (row["cost"], row["customers"], sd)
        found.append((row["menu_id"], group, prior, prior_se, contact.se, *size, contact.mean, False))
    return pl.DataFrame(found, schema=CELLS, orient="row")


def targeted_cells(best: pl.DataFrame) -> pl.DataFrame:
    """CELLS of a plan that gives by predicted gains: the prior is 1 +/- TARGETED_PRIOR_SD times the prediction."""
    by = best.group_by("menu_id", "group").agg(
        pl.col("gain_cents", "cost_cents", "gain_se_cents").mean(), pl.col("customer_id").n_unique()
    )
    return by.sort("menu_id", "group").select(
        pl.col("menu_id").alias("arm"), "group", pl.col("gain_cents").alias("prior"),
        ((TARGETED_PRIOR_SD * pl.col("gain_cents")) ** 2 + pl.col("gain_se_cents").fill_null(0.0) ** 2 + 1e-6).sqrt()
        .alias("prior_se"), contact_se=pl.lit(0.0), cost=pl.col("cost_cents").clip(lower_bound=0.0),
        customers=pl.col("customer_id").cast(pl.Int64), sd=pl.lit(0.0), contact=pl.lit(0.0),
        aimed=pl.lit(True),
    )  # fmt: skip


class ContactEffect(NamedTuple):
    """What being written to is believed to add over the horizon, per customer, with its s.d.; and if all were new."""

    mean: float
    se: float
    whole: float


def contact_effect(ahead: SurrogateModel, group: str, worth: float) -> ContactEffect:
    """Assumed: it raises the odds of coming by VISITS, more often or less. For who stays away in the share a of windows
    that is VISITS a (1 - a) visits, each worth what those who came by themselves were worth beyond those who did not;
    for who comes all the time, half of VISITS of what a window brings. Only the share who would have stayed away is
    counted as new: others come earlier, and buy less later. The doubt, VISITS_DOUBT, is of all of it."""
    away = ahead.away.get(group, 0.0)
    whole = max(away * (1 - away) * ahead.comeback.get(group, 0.0), worth / 2)
    return ContactEffect(away * PRIOR_VISITS * whole, PRIOR_VISITS_SD * whole, PRIOR_VISITS * whole)


def prior_effects(cells: pl.DataFrame) -> list[ArmValue]:
    """Effects of the cells before any draw."""
    nobody = np.zeros(0, dtype=np.int64)
    arms = cells["arm"].n_unique()
    none = np.zeros(0)
    empty = Draws(nobody, nobody, nobody, np.zeros((0, arms)), none, none, none, none, none, none, nobody)
    return estimate_arm_values(empty, index_cells(cells))


def plan_line_tests(
    job: Job, at: Moments, rows: PartitionedFrame, consent: pl.DataFrame, terms: ReleaseTerms, budget: int, level: str,
    shelf: PartitionStore, may_test: bool = True, fair: Sequence[allocation.Limit] = (),
) -> LineTestPlan:  # fmt: skip
    """What is known to pay is given, what may pay is drawn where that is allowed, within the budget; everybody's
    record."""
    limits = [*map(allocation.Limit.read, job.config.plan.limits), *fair]
    may_test = may_test and not limits  # draws keep no limits
    people = load_population(job, at, consent)
    asked = dict.fromkeys((*CANDIDATE_COLUMNS, *(column for limit in limits for column in limit.where)))
    best = rows.collect(
        lambda part: best_offer_per_line(part, people).select(
            name for name in asked if name in ("group", *part.columns)
        )
    ).sort("customer_id", "menu_id")
    aimed = any(each.aimed for each in terms.effects)
    best = best.filter(pl.col("gain_cents") > 0) if aimed else best
    cells = pl.DataFrame(schema=CELLS) if aimed else prior_cells(best, people)
    known = terms.effects or arm_effects(cells, prior_effects(cells), line_choice_rules(job, terms, budget), level)
    share = 1.0
    while True:
        made = _drawn(job, at, rows, best, consent, terms, budget, known, people, share, shelf, may_test, limits)
        if made.note.ceiling_cents <= budget or share == 0:
            return made if aimed else made._replace(cells=cells)
        share *= min(0.95, budget / made.note.ceiling_cents)  # what was drawn may cost more than the budget
        share = share if share >= LEAST_SHARE else 0.0


def _drawn(
    job: Job, at: Moments, rows: PartitionedFrame, best: pl.DataFrame, consent: pl.DataFrame, terms: ReleaseTerms,
    budget: int, known: tuple[LineEffect, ...], people: LineTestPopulation, part: float, shelf: PartitionStore,
    may_test: bool, limits: Sequence[allocation.Limit],
) -> LineTestPlan:  # fmt: skip
    who = people.groups["customer_id"]
    units = pl.Series("unit", hash_units((job.config.plan.seed, terms.seed, "test", at.asof), who))
    arms = _known_of(best, known, part).join(pl.DataFrame([who, units]), on="customer_id", maintain_order="left")
    arms = add_learned_effects(arms)
    dear = pl.col("arm_cost") > 0
    test = (pl.col("state") == "test") & ~(dear & pl.lit(part == 0)) & pl.lit(may_test)
    in_test = test & (pl.col("unit") < pl.col("share"))
    leads = test & pl.col("lead") & ~in_test
    give = arms.filter(((pl.col("state") == "give") | leads) & (pl.col("gain_now") > 0))
    held = pl.Series([decisions.in_holdout(who, terms) for who in give["customer_id"]], dtype=pl.Boolean)
    free = give.filter(~held).with_columns(
        gain_cents=pl.col("gain_now"), cost_cents=pl.col("cost_now"), eligible=pl.lit(True)
    )
    found = allocation.plan(free.select(*best.columns, "eligible"), part * budget, limits, seed=job.config.plan.seed)
    kept = pl.concat(
        [found.chosen.select("customer_id", "offer_id"), give.filter(held).select("customer_id", "offer_id")]
    )
    paid = give.join(kept, on=["customer_id", "offer_id"], how="semi").select(
        "customer_id", "offer_id", open_as=pl.lit("give")
    )
    tested = arms.filter(in_test).select("customer_id", "offer_id", open_as=pl.lit("test"))
    numbers = arms.select("customer_id", "offer_id", "gain_now", "cost_now", "net_se_cents", "level", "state")
    own_terms = terms.model_copy(
        update={"policy_id": "trial", "price": 0.0, "explore": 1.0 if tested.height else 0.0,
                "explore_where": "nothing pays", "effects": known}
    )  # fmt: skip
    known_now = numbers.join(pl.concat([paid, tested]), on=["customer_id", "offer_id"], how="left")

    def draw(mine: pl.DataFrame) -> PriceDecisions:
        marked = _marked(mine, known_now)
        return PriceDecisions(marked, decisions.decide_batch(OptionTable.of(marked, consent), own_terms, at.asof))

    name = "given" if terms.effects else "test"
    made = collect_records((record_partition(draw(part), shelf, name, n) for n, part in enumerate(rows)), shelf, name)
    arms = arms.with_columns(pl.when(test | (pl.col("state") != "test")).then("state").otherwise(pl.lit("closed")))
    draws = arm_propensities(job, at, arms, paid, own_terms, people)
    note = _note(job, at, arms, paid, made, budget, known, people)
    cells = arms.join(pl.concat([paid, tested]), on=["customer_id", "offer_id"], how="semi")
    return LineTestPlan(found, own_terms, made, note, targeted_cells(cells), _with_arms(draws, made.assignments, arms))


def _known_of(best: pl.DataFrame, known: Sequence[LineEffect], part: float) -> pl.DataFrame:
    """Candidates with what is known of their line and group; of what costs anything, `part` of its share draws."""
    table = pl.DataFrame([each.model_dump() for each in known], schema=EFFECTS)
    costs = pl.col("cost_cents").filter(state="test").max().over("group") > 0  # what is free is not drawn less
    more = targeted_ratios(known)  # what is believed of lines and groups that never drew
    return best.join(
        table.select(
            pl.col("arm").alias("menu_id"), "group", "net_cents", "net_se_cents", "state", "lead",
            (pl.when(costs).then(part).otherwise(1.0) * pl.col("share")).alias("share"),
            pl.col("cost_cents").alias("arm_cost"), pl.col("cost_se_cents").alias("arm_cost_se"),
            "gain_ratio", "cost_ratio", pl.col("evidence").alias("level"),
        ),
        on=["menu_id", "group"], how="left",
    ).with_columns(
        pl.col("state").fill_null("give" if more else "closed"), pl.col("lead").fill_null(False),
        pl.coalesce("gain_ratio", pl.lit(more.gain if more else None, pl.Float64)).alias("gain_ratio"),
        pl.coalesce("cost_ratio", pl.lit(more.cost if more else None, pl.Float64)).alias("cost_ratio"),
    )  # fmt: skip


def _with_arms(draws: pl.DataFrame, given: pl.DataFrame, arms: pl.DataFrame) -> pl.DataFrame:
    """Draws with the arm that each customer got, "none" where that is no arm."""
    got = given.select("customer_id", "offer_id").join(
        arms.select("customer_id", "offer_id", arm="menu_id"), on=["customer_id", "offer_id"], how="left"
    )
    return draws.join(got, on="customer_id").with_columns(pl.col("arm").fill_null("none")).select(list(DRAWS))


def _marked(rows: pl.DataFrame, known_now: pl.DataFrame) -> pl.DataFrame:
    """Candidates with the numbers of their line and group, what is given or drawn, and why all others are closed."""
    marked = rows.join(known_now, on=["customer_id", "offer_id"], how="left", maintain_order="left")
    open_ = pl.col("open_as").is_not_null()
    none = pl.col("offer_id") == "none"
    why = (
        pl.when(pl.col("state").is_null()).then(pl.lit(OTHER)).when(pl.col("state") == "closed").then(pl.lit(CLOSED))
        .when(pl.col("state") == "test").then(pl.lit(NOT_DRAWN)).otherwise(pl.lit(SPENT))
    )  # fmt: skip
    return marked.with_columns(
        pl.when(pl.col("eligible") & ~open_ & ~none).then(why).otherwise("why_not").alias("why_not"),
        (pl.col("eligible") & (open_ | none)).alias("eligible"),
        pl.coalesce("gain_now", "gain_cents").alias("gain_cents"),
        pl.coalesce("cost_now", "cost_cents").alias("cost_cents"),
        pl.coalesce("net_se_cents", "gain_se_cents").alias("gain_se_cents"),
        pl.coalesce("level", "evidence").alias("evidence"),
    ).with_columns(
        # no price closes what is drawn: charged more than it is worth, it is given by draws alone
        pl.when(pl.col("open_as") == "test").then(pl.max_horizontal("gain_cents", pl.lit(0.0)) + 1.0).otherwise(0.0)
        .fill_null(0.0).alias("charge_cents"),
        pl.when(pl.col("gain_now").is_not_null()).then(pl.col("gain_cents") + pl.col("cost_cents"))
        .otherwise("added_cents").alias("added_cents"),
    ).drop("gain_now", "cost_now", "net_se_cents", "level", "state", "open_as")  # fmt: skip


def add_learned_effects(arms: pl.DataFrame) -> pl.DataFrame:
    """Candidates with the gain, cost and standard error of the cost that their line and group have, by customer.

    A customer's own share of it counts for half: who looks cheapest costs more than it looks, and where money is short
    would be given first. Where what was predicted is what was drawn, each prediction is moved by the ratio that came.
    """
    middle = pl.col("cost_cents").mean().over("menu_id", "group")
    doubt = (pl.col("arm_cost_se") / pl.col("arm_cost").clip(lower_bound=1e-9)).fill_null(PRIOR_COST_SD)
    own = 0.5 + 0.5 * pl.when(middle > 0).then(pl.col("cost_cents") / middle).otherwise(1.0)
    dearer = pl.col("cost_ratio") * pl.col("cost_cents")
    return arms.with_columns(
        gain_now=pl.coalesce(pl.col("gain_ratio") * pl.col("gain_cents"), pl.col("net_cents") * own),
        cost_now=pl.coalesce(dearer, pl.col("arm_cost") * own),
        cost_se_now=pl.coalesce(dearer * doubt, pl.col("arm_cost_se") * own),
    )


def cost_ceiling(given: pl.DataFrame) -> float:
    """What offers cost at most but for one month in a thousand, in minor units: `given` has a row per customer with an
    offer.

    Every order of theirs costs its share or its amount, and orders come as they like (twice a Poisson's variance, since
    baskets differ). Costs that are only assumed may be too low all together, those that draws showed each by itself.
    """
    if given.is_empty():
        return 0.0
    order = pl.coalesce(pl.col("depth") * pl.col("basket_mean_cents"), "amount_cents", pl.lit(0.0))
    by = given.group_by("menu_id", "group", shown=(pl.col("level") == "randomised").fill_null(False)).agg(
        pl.col("cost_now", "cost_se_now").sum(), noise=(2 * pl.col("cost_now") * order).sum()
    )
    shown, doubt = by["shown"], by["cost_se_now"]
    spread = float(doubt.filter(~shown).sum()) ** 2 + float((doubt.filter(shown) ** 2).sum())
    return float(by["cost_now"].sum() + CEILING_Z * (spread + float(by["noise"].sum())) ** 0.5)


def arm_propensities(
    job: Job, at: Moments, arms: pl.DataFrame, paid: pl.DataFrame, terms: ReleaseTerms, people: LineTestPopulation
) -> pl.DataFrame:
    """Return each customer's propensities of all arms before any draw, including the choice of test participants."""
    size = pl.len().over("customer_id")
    rest = 1 - terms.holdout_share
    given = arms.join(paid.select("customer_id", "offer_id"), on=["customer_id", "offer_id"], how="semi")
    takes, leads = pl.col("share"), pl.col("lead").cast(pl.Float64)
    drawn_by_arm = pl.concat([
        arms.filter(pl.col("state") == "test").with_columns(prob=rest * (takes / (size + 1) + (1 - takes) * leads)),
        given.filter(pl.col("state") == "give").with_columns(prob=pl.lit(rest)),
    ])  # fmt: skip
    each = drawn_by_arm.group_by("customer_id").agg(
        pl.struct(pl.col("menu_id").alias("arm"), "prob").alias("arms"), (1 - pl.col("prob").sum()).alias("none_prob")
    )
    nobody = pl.lit([], pl.List(pl.Struct({"arm": pl.String, "prob": pl.Float64})))
    return people.groups.join(each, on="customer_id", how="left", maintain_order="left").with_columns(
        pl.col("arms").fill_null(nobody), pl.col("none_prob").fill_null(1.0),
        campaign_id=pl.lit(job.config.plan.campaign), ts_ms=pl.lit(at.asof),
        window_days=pl.lit(job.config.plan.window_days, pl.Int64), aimed=pl.lit(any(e.aimed for e in terms.effects)),
    )  # fmt: skip


def save_targeted_draws(job: Job, at: Moments, made: DecisionRecords) -> None:
    """What a plan drew that gives by predicted gains, the holdout against those who got it, kept as a test's draws are.
    Nothing is kept where nobody could get anything."""
    if not job.clean.has_events or job.clean.lacks_amounts:
        return
    sales = daily_sales(job, at.asof, job.config.value.margin_rate)
    asked = ("customer_id", "offer_id", "menu_id", "gain_cents", "cost_cents", "gain_se_cents", "prob")
    may = (pl.col("prob") > 0) & (pl.col("offer_id") != "none")
    offered = made.rows.collect(lambda part: part.filter(may).select(asked)).sort("customer_id", "offer_id")
    best = offered.join(features(sales, 0).select("customer_id", "group"), on="customer_id", how="left").with_columns(
        pl.col("group").fill_null(NOT_YET)
    )
    if best.is_empty():
        return
    each = best.group_by("customer_id", "group", pl.col("menu_id").alias("arm")).agg(pl.col("prob").sum())
    got = made.assignments.join(made.chosen.select("customer_id", "menu_id"), on="customer_id", how="left")
    drawn = each.group_by("customer_id", "group").agg(
        pl.struct("arm", "prob").alias("arms"), (1 - pl.col("prob").sum()).alias("none_prob")
    ).join(got.select("customer_id", pl.col("menu_id").fill_null("none").alias("arm")), on="customer_id")  # fmt: skip
    drawn = drawn.with_columns(
        campaign_id=pl.lit(job.config.plan.campaign), ts_ms=pl.lit(at.asof), aimed=pl.lit(True),
        window_days=pl.lit(job.config.plan.window_days, pl.Int64),
    )  # fmt: skip
    job.store.save("arms", targeted_cells(best))
    add_draws(job.store, drawn.select(list(DRAWS)).sort("customer_id"), made.assignments["customer_id"])


def _note(
    job: Job, at: Moments, arms: pl.DataFrame, paid: pl.DataFrame, made: DecisionRecords, budget: int,
    known: tuple[LineEffect, ...], people: LineTestPopulation,
) -> LineTestNote:  # fmt: skip
    got = made.assignments
    sent = arms.join(got.filter(pl.col("offer_id") != "none"), on=["customer_id", "offer_id"], how="inner")
    drawn = arms.filter(pl.col("state") == "test").join(got, on=["customer_id", "offer_id"], how="left")
    tested, spent = [], 0.0
    for (group,), mine in drawn.partition_by("group", as_dict=True).items():
        able = arms.filter(pl.col("group") == group)["customer_id"].n_unique()
        given = mine.filter(pl.col("holdout").is_not_null())
        names = tuple(sorted(given["menu_id"].unique()))
        if not (treated := given.height):
            continue
        spent += float(given["cost_now"].sum())
        each = float(given["menu_id"].value_counts()["count"].min())  # type: ignore[arg-type]  # of what fewest drew
        # worth knowing: an effect as large as what an arm costs, or, of one that costs nothing, as what is assumed
        price = float(mine["arm_cost"].max())  # type: ignore[arg-type]
        smallest = price or contact_effect(people.ahead, str(group), max(people.base[str(group)][0], 0.0)).whole
        sd = people.ahead.sd.get(str(group), 0.0)
        tested.append(
            LineTestGroup(
                group=str(group), arms=names, treated=treated, none=able - treated,
                detectable_cents=detectable_effect(sd, each, able - treated),
                needed=customers_needed(sd, max(smallest, 1.0)),
                even=int(2 / (1 / each + 1 / max(able - treated, 1))),
            )
        )  # fmt: skip
    most = int(people.groups["group"].value_counts()["count"].max() or 0) if people.groups.height else 0  # type: ignore[arg-type]
    return LineTestNote(
        tested=tuple(sorted(tested, key=lambda t: t.group)), cost_cents=spent, largest=most,
        given=paid.join(arms.filter(state="give"), on=["customer_id", "offer_id"], how="semi").height,
        ceiling_cents=cost_ceiling(sent), habit_flip=habit_flip(sent, people),
        budget_cents=float(budget),
        window_days=job.config.plan.window_days, horizon_days=plan_spans(job).horizon, effects=known,
        assumed_visits=None if any(each.n_arm for each in known) else PRIOR_VISITS,
        visits_flip=visits_flip(sent, people), halves=people.halves,
        tests=tests_before(job, at), shown_cents=detectable_gain(known),
    )  # fmt: skip


def detectable_gain(effects: Sequence[LineEffect]) -> float | None:
    """The smallest gain per customer, in minor units, that the draws of some menu line, its groups together, would have
    shown with 80 % power at 5 %; None where nothing drew."""
    drew: dict[str, list[tuple[int, float]]] = {}
    for each in effects:
        if each.drawn_se_cents:
            drew.setdefault(each.arm, []).append((each.n_arm, each.drawn_se_cents))
    errors = [np.sqrt(sum((n * se) ** 2 for n, se in mine)) / sum(n for n, _ in mine) for mine in drew.values()]
    return float(POWER_Z * min(errors)) if errors else None


def tests_before(job: Job, at: Moments) -> int:
    """Windows of this campaign before this moment in which a line was drawn."""
    if (drawn := all_draws(job.store)) is None:
        return 0
    mine = (pl.col("campaign_id") == job.config.plan.campaign) & (pl.col("ts_ms") < at.asof)
    return drawn.filter(mine & (pl.col("arms").list.len() > 0))["ts_ms"].n_unique()


def visits_flip(sent: pl.DataFrame, people: LineTestPopulation) -> float | None:
    """How much an offer would have to raise the odds of coming, as VISITS is assumed to, for all that is given to be
    worth nothing; None where it is worth something without."""
    by = sent.group_by("group").agg(pl.col("gain_now").sum(), pl.len())
    visits = sum(
        count * contact_effect(people.ahead, group, max(people.base[group][0], 0.0)).mean
        for group, count in by.select("group", "len").iter_rows()
    )
    rest = float(by["gain_now"].sum()) - visits
    return -PRIOR_VISITS * rest / visits if rest < 0 < visits else None


def habit_flip(sent: pl.DataFrame, people: LineTestPopulation) -> float | None:
    """By what share an offer would have to lower what those who use it bring after the window for all discounts
    together to be worth nothing; None where nothing discounted is given or expected to gain."""
    dear = sent.filter(pl.col("cost_now") > 0).group_by("group").agg(pl.col("gain_now").sum(), pl.len())
    gain = float(dear["gain_now"].sum())
    after = sum(
        count * (1 - people.ahead.away.get(group, 0.0)) * max(people.base[group][1] - people.base[group][0], 0.0)
        for group, count in dear.select("group", "len").iter_rows()
    )
    return gain / after if gain > 0 and after > 0 else None


def save_line_tests(job: Job, made: LineTestPlan) -> None:
    """Save the priors before any draw, and append this plan's draws to all earlier ones."""
    if made.cells.height:
        job.store.save("arms", made.cells)
    add_draws(job.store, made.draws, made.records.assignments["customer_id"])
    made.note.keep(job.store)
