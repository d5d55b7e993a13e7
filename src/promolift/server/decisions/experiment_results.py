"""The ledger and a test in; its verdicts as of now and day by day, its groups, and how long it still needs, out."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from pydantic import BaseModel
from sqlalchemy import Connection, create_engine, func, select

from promolift.core.experiments.arm_sums import Cap, sums_by
from promolift.core.experiments.experiment_design import HOLDOUT, WHOLE, Analysis, Design, Verdict, analyse
from promolift.core.experiments.lift import Metric
from promolift.foundation.errors import PromoError
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.units import DAY_MS
from promolift.server.ledger.event_rows import complains
from promolift.server.ledger.outcomes import KINDS, HeardEvent
from promolift.server.ledger.outcomes import outcomes as bought
from promolift.server.ledger.records import KeptTest
from promolift.server.ledger.schema import DECISIONS, EVENTS, READ
from promolift.shop.results.work_folder.work_tables import Profiled

VALUE, BOUGHT = (
    Metric(name="value_cents", value="value_cents", unit="minor units"),
    Metric(name="bought", value="bought"),
)
COMPLAINED = Metric(name="complained", value="complained")  # in their own words, read; the fewer the better
MANY = 10_000  # decisions that are read beside the requests, in another process
LOOKS = 14  # moments of a test at which its interval is drawn


class ExperimentDay(BaseModel):
    """The primary outcome of one arm over the control as it stood at the end of a day, with its always-valid interval;
    null where nothing could be compared yet."""

    ts_ms: int
    arm: str
    customers: int
    lift: float | None
    low: float | None
    high: float | None


class ExperimentResult(BaseModel):
    """What a test shows: every verdict with its rule, the primary outcome first; by day; how many days it still needs
    at the pace of the last week, null where nobody came.

    `winner`: an arm that is shown to beat the control, or the control that is shown to beat every arm. `broken`: the
    outcome that does not decide is shown to be lower.
    """

    experiment_id: str
    sample_ratio: str
    sample_ratio_ok: bool
    verdicts: list[dict[str, Any]]
    text: str
    outcome: str
    customers: int
    days_left: float | None
    winner: str | None
    broken: bool
    by_day: list[ExperimentDay]


class ExperimentRows(NamedTuple):
    """customer_id, arm, since_ms of each customer of a test; customer_id, ts_ms, cents of what they were worth; where
    that is from, and what bounds it."""

    people: pl.DataFrame
    money: pl.DataFrame
    source: str
    caps: dict[str, Cap]
    complaints: pl.DataFrame  # customer_id, ts_ms

    def rows(self, until_ms: int) -> pl.DataFrame:
        """customer_id, arm, value_cents, bought as they stood at a moment, and complained where anybody did; nothing
        heard is a value of 0.
        """
        people = self.people.filter(pl.col("since_ms") <= until_ms)
        sums = (
            self.money.filter(pl.col("ts_ms") <= until_ms)
            .group_by("customer_id")
            .agg(value_cents=pl.col("cents").sum())
        )
        rows = people.join(sums, on="customer_id", how="left").with_columns(pl.col("value_cents").fill_null(0.0))
        rows = rows.with_columns(bought=(pl.col("value_cents") > 0).cast(pl.Float64))
        if self.complaints.is_empty():
            return rows
        said = self.complaints.filter(pl.col("ts_ms") <= until_ms).join(people, on="customer_id")
        who = said.filter(pl.col("ts_ms") >= pl.col("since_ms"))["customer_id"].unique().implode()
        return rows.with_columns(complained=pl.col("customer_id").is_in(who).cast(pl.Float64))


def heard(db: Connection, experiment_id: str, currency: str) -> ExperimentRows:
    """What the ledger knows of a test.

    It is `value_cents` of the feedback and of events sent with a decide key; where there is none, the money of orders
    since the first decision, winsorised: anybody can read a web page's key and make up an order.
    """
    mine = DECISIONS.c.experiment_id == experiment_id, DECISIONS.c.unanswered == 0
    arms = select(DECISIONS.c.customer_id, DECISIONS.c.variant, func.min(DECISIONS.c.ts_ms)).where(*mine)
    arms = arms.group_by(DECISIONS.c.customer_id, DECISIONS.c.variant)
    people = _frame(db.execute(arms), customer_id=pl.String, arm=pl.String, since_ms=pl.Int64)
    words = select(EVENTS.c.customer_id, EVENTS.c.ts_ms, EVENTS.c.body).where(EVENTS.c.name == READ)
    words = words.where(EVENTS.c.customer_id.in_(select(DECISIONS.c.customer_id).where(*mine)))
    angry = (row[:2] for row in db.execute(words) if complains(row[2]))
    complaints = _frame(angry, customer_id=pl.String, ts_ms=pl.Int64)
    said = select(DECISIONS.c.customer_id, EVENTS.c.ts_ms, EVENTS.c.value_cents)
    said = said.select_from(EVENTS.join(DECISIONS, EVENTS.c.decision_id == DECISIONS.c.decision_id))
    said = said.where(*mine, EVENTS.c.value_cents.is_not(None))
    money = _frame(db.execute(said), customer_id=pl.String, ts_ms=pl.Int64, cents=pl.Float64)
    if money.height:
        return ExperimentRows(people, money, "feedback", {}, complaints)
    who = select(DECISIONS.c.customer_id).where(*mine)
    orders = select(*(EVENTS.c[name] for name in HeardEvent._fields))
    orders = orders.where(EVENTS.c.customer_id.in_(who), EVENTS.c.name.in_(KINDS))
    paid = bought((HeardEvent(*row) for row in db.execute(orders)), currency)
    since = paid.join(people.select("customer_id", "since_ms"), on="customer_id")
    money = since.filter(pl.col("ts_ms") >= pl.col("since_ms")).select(
        "customer_id", "ts_ms", pl.col("revenue_cents").cast(pl.Float64).alias("cents")
    )
    sums = money.group_by("customer_id").agg(pl.col("cents").sum())["cents"]
    high = sums.quantile(0.99) if money.height else None
    caps = {} if high is None else {"value_cents": Cap("99th percentile of all arms together", high=high)}
    return ExperimentRows(people, money, "orders", caps, complaints)


def many(db: Connection, tested: KeptTest) -> bool:
    """Whether so many decisions were made since it began that reading them takes long."""
    since = select(DECISIONS.c.decision_id).where(DECISIONS.c.decision_id >= f"dec_{tested.begun_ms or 0:011x}")
    return len(db.execute(since.limit(MANY)).all()) == MANY


def read_result(ledger: str, work: Path, tested: str, currency: str, now_ms: int) -> ExperimentResult:
    """The same in a process of its own; `tested` is JSON."""
    engine, test = create_engine(ledger), KeptTest.model_validate_json(tested)
    try:
        with engine.connect() as db:
            found = heard(db, test.experiment.design.name, currency)
    finally:
        engine.dispose()
    return result(found, test, now_ms, past_groups(work))


def _frame(rows: Iterable[Any], **schema: Any) -> pl.DataFrame:
    return pl.DataFrame([tuple(row) for row in rows], schema, orient="row")


def result(found: ExperimentRows, tested: KeptTest, now_ms: int, groups: pl.DataFrame | None) -> ExperimentResult:
    """Verdicts on what customers were worth and on how many bought, of all and of each group."""
    until_ms = min(now_ms, tested.ended_ms or now_ms)
    design = judged_by(tested.experiment.design)
    rows = found.rows(until_ms)
    analysis = analysed(rows, design, found.caps, groups)
    primary = [v for v in analysis.verdicts if v.metric == design.primary and v.segment == WHOLE]
    rest, best = [v for v in analysis.verdicts if v not in primary], winner(primary, design.control)
    primary.sort(key=lambda v: (v.arm != best, v.arm == HOLDOUT))  # what is asked about first
    since = until_ms - min(7 * DAY_MS, max(DAY_MS, until_ms - (tested.begun_ms or 0)))
    pace = rows.filter(pl.col("since_ms") > since).height / max((until_ms - since) / DAY_MS, 1.0)
    left = max(0, design.planned_customers - rows.height) / pace if pace else None
    return ExperimentResult(
        experiment_id=design.name, sample_ratio=analysis.ratio.rule, sample_ratio_ok=analysis.ratio.ok,
        verdicts=[plain(v) for v in (*primary, *rest)], text=str(analysis), outcome=found.source,
        customers=rows.height, days_left=left,
        winner=best, broken=broken(rest),
        by_day=list(by_day(found, design, tested.begun_ms or 0, until_ms)),
    )  # fmt: skip


def winner(primary: list[Verdict], control: str) -> str | None:
    """The arm that is shown to be best."""
    higher = [v for v in primary if v.answer == "higher" and v.lift]
    if higher:
        return max(higher, key=lambda v: v.lift.lift if v.lift else 0.0).arm
    return control if primary and all(v.answer == "lower" for v in primary) else None


def broken(rest: list[Verdict]) -> bool:
    """Whether a guardrail is: the outcome beside the primary one is shown to be lower, or complaints to be more."""
    return any(v.segment == WHOLE and v.answer == ("higher" if v.metric == COMPLAINED.name else "lower") for v in rest)


def judged_by(design: Design) -> Design:
    """The design with an outcome that the ledger knows; any other name stands for the money."""
    known = design.primary in (VALUE.name, BOUGHT.name)
    return design if known else design.model_copy(update={"primary": VALUE.name})


def analysed(rows: pl.DataFrame, design: Design, caps: dict[str, Cap], groups: pl.DataFrame | None = None) -> Analysis:
    """All outcomes; those that are not primary are guardrails."""
    metrics = [metric for metric in (VALUE, BOUGHT, COMPLAINED) if metric.name in rows.columns]
    columns = [metric.name for metric in metrics]
    segments = None
    if groups is not None:
        known = rows.join(groups, on="customer_id", how="inner")
        segments = sums_by(known, columns, ("arm", "segment"), caps) if known.height else None
    return analyse(sums_by(rows, columns, caps=caps), metrics, design, segments)


def plain(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON, the parts of the lift beside it; what is not known is left out."""
    (row,) = Analysis(None, (verdict,)).frame().to_dicts()  # type: ignore[arg-type]
    return {name: value for name, value in row.items() if value is not None}


def by_day(found: ExperimentRows, design: Design, begun_ms: int, until_ms: int) -> Iterable[ExperimentDay]:
    """The primary outcome as it stood at up to LOOKS moments, whole days apart."""
    days = max(1, -(-(until_ms - begun_ms) // DAY_MS))
    step = -(-days // LOOKS) * DAY_MS
    for moment in [*range(begun_ms + step, until_ms, step), until_ms]:
        rows = found.rows(moment)
        if not rows.height:
            continue
        for v in analysed(rows, design, found.caps).verdicts:
            if v.metric == design.primary:
                lift = v.lift.lift if v.lift else None
                yield ExperimentDay(ts_ms=moment, arm=v.arm, customers=rows.height, lift=lift, low=v.low, high=v.high)


def past_groups(work: Path) -> pl.DataFrame | None:
    """customer_id, segment by what customers spent in the year before; None where the work folder has no profiles."""
    try:
        with Store(work) as store:
            rows = Profiled(store).yearly
    except (PromoError, OSError):
        return None
    known = rows.filter(pl.col("asof_ms") == pl.col("asof_ms").max())
    spent = pl.col("revenue_52w_cents").fill_null(0)
    middle = known.filter(spent > 0)["revenue_52w_cents"].median()
    half = pl.when(spent > middle).then(pl.lit("upper half of those who bought")).otherwise(
        pl.lit("lower half of those who bought")
    )  # fmt: skip
    none = pl.lit("bought nothing in the year before")
    return known.select("customer_id", segment=pl.when(spent > 0).then(half).otherwise(none))
