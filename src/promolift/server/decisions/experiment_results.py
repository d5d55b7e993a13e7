"""Compute the result of a test of releases from the ledger: comparisons, daily series, groups and remaining days."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from pydantic import BaseModel
from sqlalchemy import Connection, create_engine, func, select

from promolift.core.experiments.arm_sums import OutlierCap, sum_by_group
from promolift.core.experiments.experiment_design import ALL_CUSTOMERS, HOLDOUT, Analysis, Design, Verdict, analyse
from promolift.core.experiments.lift import Metric
from promolift.foundation.errors import PromoError, SupportError
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS, HOUR_MS
from promolift.server.ledger.event_rows import is_complaint
from promolift.server.ledger.outcomes import OUTCOME_KINDS, LedgerEvent
from promolift.server.ledger.outcomes import read_outcomes as bought
from promolift.server.ledger.records import StoredExperiment
from promolift.server.ledger.schema import DECISIONS, EVENTS, WORDS_READ
from promolift.shop.results.work_folder.work_tables import ProfileTables

VALUE_METRIC, BOUGHT_METRIC = (
    Metric(name="value_cents", value="value_cents", unit="minor units"),
    Metric(name="bought", value="bought"),
)
COMPLAINT_METRIC = Metric(name="complained", value="complained")  # in their own words, read; the fewer the better
SLOW_AFTER_DECISIONS = 10_000  # decisions that are read beside the requests, in another process
DECISION_HOURS = 24  # after which a test without customers has no data
OUTCOME_HOURS, OUTCOME_CUSTOMERS = 72, 100  # after which, and of so many, an order or feedback is expected
LATE_OUTCOME_HOURS = 14 * 24  # after which one is expected of any number
MAX_DAILY_POINTS = 14  # moments of a test at which its interval is drawn


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
    outcome that does not decide is shown to be lower. `with_outcome`: customers of whom an order or feedback came in.
    """

    experiment_id: str
    sample_ratio: LazyMessage
    sample_ratio_ok: bool
    verdicts: list[dict[str, Any]]
    text: str
    outcome: str
    customers: int
    with_outcome: int
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
    caps: dict[str, OutlierCap]
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


def load_experiment_rows(db: Connection, experiment_id: str, currency: str) -> ExperimentRows:
    """Load what the ledger knows of a test.

    It is `value_cents` of the feedback and of events sent with a decide key; where there is none, the money of orders
    since the first decision, winsorised: anybody can read a web page's key and make up an order.
    """
    mine = DECISIONS.c.experiment_id == experiment_id, DECISIONS.c.unanswered == 0
    arms = select(DECISIONS.c.customer_id, DECISIONS.c.variant, func.min(DECISIONS.c.ts_ms)).where(*mine)
    arms = arms.group_by(DECISIONS.c.customer_id, DECISIONS.c.variant)
    people = _frame(db.execute(arms), customer_id=pl.String, arm=pl.String, since_ms=pl.Int64)
    words = select(EVENTS.c.customer_id, EVENTS.c.ts_ms, EVENTS.c.body).where(EVENTS.c.name == WORDS_READ)
    words = words.where(EVENTS.c.customer_id.in_(select(DECISIONS.c.customer_id).where(*mine)))
    angry = (row[:2] for row in db.execute(words) if is_complaint(row[2]))
    complaints = _frame(angry, customer_id=pl.String, ts_ms=pl.Int64)
    said = select(DECISIONS.c.customer_id, EVENTS.c.ts_ms, EVENTS.c.value_cents)
    said = said.select_from(EVENTS.join(DECISIONS, EVENTS.c.decision_id == DECISIONS.c.decision_id))
    said = said.where(*mine, EVENTS.c.value_cents.is_not(None))
    money = _frame(db.execute(said), customer_id=pl.String, ts_ms=pl.Int64, cents=pl.Float64)
    if money.height:
        return ExperimentRows(people, money, "feedback", {}, complaints)
    who = select(DECISIONS.c.customer_id).where(*mine)
    orders = select(*(EVENTS.c[name] for name in LedgerEvent._fields))
    orders = orders.where(EVENTS.c.customer_id.in_(who), EVENTS.c.name.in_(OUTCOME_KINDS))
    paid = bought((LedgerEvent(*row) for row in db.execute(orders)), currency)
    since = paid.join(people.select("customer_id", "since_ms"), on="customer_id")
    money = since.filter(pl.col("ts_ms") >= pl.col("since_ms")).select(
        "customer_id", "ts_ms", pl.col("revenue_cents").cast(pl.Float64).alias("cents")
    )
    sums = money.group_by("customer_id").agg(pl.col("cents").sum())["cents"]
    high = sums.quantile(0.99) if money.height else None
    caps = {} if high is None else {"value_cents": OutlierCap("99th percentile of all arms together", high=high)}
    return ExperimentRows(people, money, "orders", caps, complaints)


def is_slow(db: Connection, tested: StoredExperiment) -> bool:
    """Return whether so many decisions were made since the test began that reading them takes long."""
    since = select(DECISIONS.c.decision_id).where(DECISIONS.c.decision_id >= f"dec_{tested.begun_ms or 0:011x}")
    return len(db.execute(since.limit(SLOW_AFTER_DECISIONS)).all()) == SLOW_AFTER_DECISIONS


def read_experiment(ledger: str, work: Path, tested: str, currency: str, now_ms: int) -> ExperimentResult:
    """Analyse a test in a separate process; `tested` is JSON."""
    engine, test = create_engine(ledger), StoredExperiment.model_validate_json(tested)
    try:
        with engine.connect() as db:
            found = load_experiment_rows(db, test.experiment.design.name, currency)
    finally:
        engine.dispose()
    return analyse_experiment(found, test, now_ms, spend_segments(work))


def _frame(rows: Iterable[Any], **schema: Any) -> pl.DataFrame:
    return pl.DataFrame([tuple(row) for row in rows], schema, orient="row")


def analyse_experiment(
    found: ExperimentRows, tested: StoredExperiment, now_ms: int, groups: pl.DataFrame | None
) -> ExperimentResult:
    """Compare what customers were worth and how many bought, over all and by group. NoCustomersError where none is."""
    until_ms = min(now_ms, tested.ended_ms or now_ms)
    design = with_known_outcome(tested.experiment.design)
    rows = found.rows(until_ms)
    if rows.is_empty():
        raise NoCustomersError("too_few_customers", gettext_lazy("sample ratio: no customer in any arm"))
    analysis = analyse_outcomes(rows, design, found.caps, groups)
    primary = [v for v in analysis.verdicts if v.metric == design.primary and v.segment == ALL_CUSTOMERS]
    rest, best = [v for v in analysis.verdicts if v not in primary], winning_arm(primary, design.control)
    primary.sort(key=lambda v: (v.arm != best, v.arm == HOLDOUT))  # what is asked about first
    since = until_ms - min(7 * DAY_MS, max(DAY_MS, until_ms - (tested.begun_ms or 0)))
    pace = rows.filter(pl.col("since_ms") > since).height / max((until_ms - since) / DAY_MS, 1.0)
    left = max(0, design.planned_customers - rows.height) / pace if pace else None
    return ExperimentResult(
        experiment_id=design.name, sample_ratio=analysis.ratio.rule, sample_ratio_ok=analysis.ratio.ok,
        verdicts=[verdict_json(v) for v in (*primary, *rest)], text=str(analysis), outcome=found.source,
        customers=rows.height, with_outcome=found.money["customer_id"].n_unique(), days_left=left,
        winner=best, broken=guardrail_broken(rest),
        by_day=list(primary_by_day(found, design, tested.begun_ms or 0, until_ms)),
    )  # fmt: skip


class MissingData(NamedTuple):
    """A running test that has no data: customers assigned so far, and hours since it began."""

    customers: int
    hours: int


class NoCustomersError(SupportError):
    """Nobody was assigned to the test yet, so that nothing can be compared."""


def find_missing_data(found: ExperimentResult | None, tested: StoredExperiment, now_ms: int) -> MissingData | None:
    """Return that nobody was assigned to a running test, or that no outcome of its customers came in; else None.

    A few customers may buy nothing for some days: of them an outcome is waited for longer. `found` is None where nobody
    was assigned (NoCustomersError).
    """
    customers = found.customers if found else 0
    if tested.begun_ms is None or tested.ended_ms is not None or tested.experiment.paused:
        return None
    hours = (now_ms - tested.begun_ms) // HOUR_MS
    patience = OUTCOME_HOURS if customers >= OUTCOME_CUSTOMERS else LATE_OUTCOME_HOURS if customers else DECISION_HOURS
    return None if (found and found.with_outcome) or hours < patience else MissingData(customers, hours)


def winning_arm(primary: list[Verdict], control: str) -> str | None:
    """Return the arm that is shown to be best."""
    higher = [v for v in primary if v.answer == "higher" and v.lift]
    if higher:
        return max(higher, key=lambda v: v.lift.lift if v.lift else 0.0).arm
    return control if primary and all(v.answer == "lower" for v in primary) else None


def guardrail_broken(rest: list[Verdict]) -> bool:
    """Whether a guardrail is: the outcome beside the primary one is shown to be lower, or complaints to be more."""
    return any(
        v.segment == ALL_CUSTOMERS and v.answer == ("higher" if v.metric == COMPLAINT_METRIC.name else "lower")
        for v in rest
    )


def with_known_outcome(design: Design) -> Design:
    """The design with an outcome that the ledger knows; any other name stands for the money."""
    known = design.primary in (VALUE_METRIC.name, BOUGHT_METRIC.name)
    return design if known else design.model_copy(update={"primary": VALUE_METRIC.name})


def analyse_outcomes(
    rows: pl.DataFrame, design: Design, caps: dict[str, OutlierCap], groups: pl.DataFrame | None = None
) -> Analysis:
    """All outcomes; those that are not primary are guardrails."""
    metrics = [metric for metric in (VALUE_METRIC, BOUGHT_METRIC, COMPLAINT_METRIC) if metric.name in rows.columns]
    columns = [metric.name for metric in metrics]
    segments = None
    if groups is not None:
        known = rows.join(groups, on="customer_id", how="inner")
        segments = sum_by_group(known, columns, ("arm", "segment"), caps) if known.height else None
    return analyse(sum_by_group(rows, columns, caps=caps), metrics, design, segments)


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """A verdict as JSON, the parts of the lift beside it; what is not known is left out."""
    (row,) = Analysis(None, (verdict,)).frame().to_dicts()  # type: ignore[arg-type]
    return {name: value for name, value in row.items() if value is not None}


def primary_by_day(found: ExperimentRows, design: Design, begun_ms: int, until_ms: int) -> Iterable[ExperimentDay]:
    """The primary outcome as it stood at up to LOOKS moments, whole days apart."""
    days = max(1, -(-(until_ms - begun_ms) // DAY_MS))
    step = -(-days // MAX_DAILY_POINTS) * DAY_MS
    for moment in [*range(begun_ms + step, until_ms, step), until_ms]:
        rows = found.rows(moment)
        if not rows.height:
            continue
        for v in analyse_outcomes(rows, design, found.caps).verdicts:
            if v.metric == design.primary:
                lift = v.lift.lift if v.lift else None
                yield ExperimentDay(ts_ms=moment, arm=v.arm, customers=rows.height, lift=lift, low=v.low, high=v.high)


def spend_segments(work: Path) -> pl.DataFrame | None:
    """customer_id, segment by what customers spent in the year before; None where the work folder has no profiles."""
    try:
        with Store(work) as store:
            rows = ProfileTables(store).yearly
    except (PromoError, OSError):
        return None
    known = rows.filter(pl.col("asof_ms") == pl.col("asof_ms").max())
    spent = pl.col("revenue_52w_cents").fill_null(0)
    middle = known.filter(spent > 0)["revenue_52w_cents"].median()
    half = pl.when(spent > middle).then(pl.lit(gettext_noop("upper half of those who bought"))).otherwise(
        pl.lit(gettext_noop("lower half of those who bought"))
    )  # fmt: skip
    none = pl.lit(gettext_noop("bought nothing in the year before"))
    return known.select("customer_id", segment=pl.when(spent > 0).then(half).otherwise(none))
