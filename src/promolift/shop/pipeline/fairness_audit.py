"""Compare what groups of customers are offered and paid, and test whether the group itself changes decisions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import polars as pl

from promolift.core.customers.comparison_groups import LOYALTY
from promolift.core.decisions.decision_rule import NOTHING_OPEN_REASON
from promolift.core.experiments.group_gaps import ANGLE_PREFIX, GapMeasure, find_proxies, group_gaps
from promolift.core.experiments.prediction_metrics import wilson_interval
from promolift.foundation import sql
from promolift.foundation.i18n.catalogue import pgettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.sql import bind, fetch_frame
from promolift.foundation.time.clock import WEEK_MS
from promolift.shop.results.fairness import FairnessNote, Swap
from promolift.shop.results.messages import Messages
from promolift.shop.results.plan import Plan
from promolift.shop.results.segments import fairness_group_columns
from promolift.shop.results.work_folder.run_context import Job, Moments, moments
from promolift.shop.results.work_folder.work_tables import CleanTables, CustomerSubset

MATCHING_COLUMNS = ("basket_mean_cents", "basket_sd_cents", "basket_lines_mean", "orders_16w", "category_count")
ANGLES_COMPARED = 3  # angles: each more is a comparison more, and hides others
MEASURES: tuple[GapMeasure, ...] = ("offers", "value", "refused", "price", "discount")
# what was paid, over what everybody paid for the same products in the same four weeks
PRICES = """
with sold as (
    select customer_id, product_id, ts_ms // $month as weeks, sum(quantity)::double as quantity,
        sum(revenue_cents)::double as cents
    from events where kind = 'purchase' and quantity > 0 and revenue_cents >= 0 and product_id is not null
        and ts_ms >= $since and ts_ms < $asof group by all
), usual as (
    select product_id, weeks, sum(cents) / sum(quantity) as price from sold group by all having count(*) >= 3
)
select customer_id, sum(cents) / nullif(sum(quantity * price), 0) as price
from sold join usual using (product_id, weeks) group by customer_id order by customer_id
"""


@dataclass(frozen=True)
class SwappedJob(Job):
    """A job to which customers told something else; what is kept of them stays as it is."""

    people: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def clean(self) -> CleanTables:
        found = CleanTables(self.store)
        found.__dict__["people"] = self.people
        return found


Decide = Callable[[Job, Moments, Plan, CustomerSubset], pl.DataFrame]


def audit_fairness(job: Job, decide: Decide) -> FairnessNote:
    """The report on the plan in the work folder; kept there. `decide` gives customer_id and offer_id of some customers
    by a job's settings and data, at the plan's prices.
    """
    at, plan, asked = moments(job), Plan.load(job.store), job.config.fairness
    profiles = job.profiled.profiles(at.asof)
    groups = fairness_group_columns(job, profiles)
    columns = [name for name in groups.columns if name != "customer_id"]
    known = [name for name in profiles.columns if name not in columns and name not in ("customer_id", "asof_ms")]
    kinds = profiles.schema
    features = [name for name in known if kinds[name].is_numeric() or kinds[name] == pl.String]
    rows = profiles.select("customer_id", *features).join(groups, on="customer_id", maintain_order="left")
    rows = rows.join(measure_treatment(job, at, plan), on="customer_id", how="left", maintain_order="left").sort(
        "customer_id"
    )
    rows = rows.with_columns(discount=pl.col("discount_share"))
    alike = tuple(name for name in MATCHING_COLUMNS if name in features)
    reasons = message_angle_columns(job, plan)
    rows = rows.join(reasons, on="customer_id", how="left", maintain_order="left")
    gaps = group_gaps(rows, columns, (*MEASURES, *reasons.columns[1:]), alike, asked.least_customers)
    own = [gap for gap in gaps if not gap.group.startswith(LOYALTY)]
    job.tell(pgettext_noop("step", "fairness"), 0.5, gettext_lazy("swaps"))
    swappable = [name for name in columns if name in job.clean.people.columns]
    return FairnessNote(
        campaign=plan.note.terms.campaign_id, currency=plan.note.shop.currency, customers=rows.height,
        columns=tuple(columns), gaps=tuple(gaps), swaps=tuple(audit_swaps(job, at, plan, swappable, decide)),
        proxies=tuple(find_proxies(rows, own, [name for name in features if name != "discount_share"], alike)),
    ).keep(job.store)  # fmt: skip


def measure_treatment(job: Job, at: Moments, plan: Plan) -> pl.DataFrame:
    """customer_id, offers (0 or 1), value (what the shop gives, minor units), refused (0 or 1) of those who may be
    written to and are not held out, and price of everybody who bought.
    """
    decided = plan.decided("customer_id", "offer_id", "holdout", "reason").filter(pl.col("holdout").eq(False))
    worth = plan.chosen.select("customer_id", pl.col("subsidy_cents").fill_null(0.0).alias("value"))
    rows = decided.join(worth, on="customer_id", how="left").select(
        "customer_id",
        (pl.col("offer_id") != "none").cast(pl.Float64).alias("offers"),
        pl.when(pl.col("offer_id") != "none").then(pl.col("value")).otherwise(0.0).fill_null(0.0).alias("value"),
        (pl.col("reason") == NOTHING_OPEN_REASON).cast(pl.Float64).alias("refused"),
    )
    query = bind(PRICES, since=at.asof - 52 * WEEK_MS, asof=at.asof, month=4 * WEEK_MS)
    paid = fetch_frame(sql.run_select(query, events=job.clean.events()))
    return rows.join(paid, on="customer_id", how="full", coalesce=True)


def message_angle_columns(job: Job, plan: Plan) -> pl.DataFrame:
    """customer_id, and a column for each of the angles that most messages have: 1 for who reads it, 0 for who reads
    another, null for who reads none.
    """
    sent = Messages.load(job.store).rows if Messages.has(job.store) else pl.DataFrame()
    if "angle" not in sent.columns:
        return pl.DataFrame(schema={"customer_id": pl.String})
    mine = plan.chosen.select("customer_id", "offer_id")  # messages may be of a plan before
    rows = (
        sent.drop_nulls("angle")
        .join(mine, on=["customer_id", "offer_id"], how="semi")
        .unique("customer_id", maintain_order=True)
    )
    counts = rows.filter(pl.col("angle") != "generic")["angle"].value_counts()
    often = counts.sort("count", "angle", descending=[True, False])["angle"][:ANGLES_COMPARED]
    columns = ((pl.col("angle") == name).cast(pl.Float64).alias(f"{ANGLE_PREFIX}{name}") for name in often)
    return rows.select("customer_id", *columns)


def audit_swaps(job: Job, at: Moments, plan: Plan, columns: Sequence[str], decide: Decide) -> list[Swap]:
    """Whether decisions change where one column alone has another value, of the customers of one shard."""
    some, found = job.profiled.parts[0], list[Swap]()
    if not columns or plan.note.drawn or plan.note.terms.effects:  # offers are drawn by group, whoever is in it
        return []
    before = decide(job, at, plan, some)
    for column in columns:
        people = job.clean.people.with_columns(swap_values(job.clean.people[column]))
        after = decide(SwappedJob(job.config, job.store, job.tell, job.out, people=people), at, plan, some)
        both = before.join(after, on="customer_id", how="inner", suffix="_after").join(
            job.clean.people.select("customer_id"), on="customer_id", how="semi"
        )
        if not both.height:
            continue
        changed = int((both["offer_id"] != both["offer_id_after"]).sum())
        low, high = wilson_interval(changed, both.height)
        found.append(Swap(column=column, customers=both.height, changed=changed, low=low, high=high))
    return found


def swap_values(column: pl.Series) -> pl.Series:
    """Each value as another one of the column's, the next in their order; who gave none gets the first."""
    values = column.drop_nulls().unique().sort().to_list()
    new = dict(zip(values, [*values[1:], *values[:1]], strict=True))
    return column.replace_strict(new, default=values[0] if values else None, return_dtype=column.dtype)
