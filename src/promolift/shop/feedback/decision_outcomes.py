"""Join decision records with clean events: each customer's window with its spend, and the offers open to the customer.

Legend: N decisions (the first of each customer), K open offers, A = K + 1 actions, the last is no offer.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import duckdb
import numpy as np
import polars as pl
from duckdb import DuckDBPyRelation as Relation
from numpy.typing import NDArray
from pydantic import Field

from promolift.core.decisions.decision_rule import ReleaseTerms, in_holdout
from promolift.core.experiments.experiment_design import HOLDOUT
from promolift.core.experiments.outcome_join import JoinedOutcomes, JoinSettings, join_outcomes
from promolift.foundation.errors import InputError, StepError, SupportError
from promolift.foundation.files.table_files import open_file
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings
from promolift.foundation.sql import bind, fetch_frame, quote_identifier
from promolift.foundation.storage.local_store import Store
from promolift.foundation.tables.schemas import CLOSED_OFFER, DECISIONS, OPTION
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import LEAST_HELD_OUT, PlanNote

Floats = NDArray[np.float64]
NONE = "none"
DISCOUNT_BENEFITS = ("percent_off", "amount_off", "fixed_price", "buy_x_get_y")  # seen on the receipt as a coupon
VALUES = ("revenue_cents", "coupon_cents", "goods_cents")
AMOUNTS = ("gain_cents", "cost_cents", "charge_cents")
EVENT_TYPES = {
    "customer_id": "varchar", "ts_ms": "bigint", "kind": "varchar", "product_id": "varchar", "order_id": "varchar",
    "quantity": "double", "revenue_cents": "bigint", "list_cents": "bigint", "coupon_cents": "bigint",
    "arrived_ms": "bigint",
}  # fmt: skip
REQUIRED_COLUMNS = ("customer_id", "ts_ms", "kind", "revenue_cents")
OUTCOMES = """
select e.customer_id, e.ts_ms, e.kind, e.order_id, e.arrived_ms, e.revenue_cents,
    coalesce(e.coupon_cents, 0)::bigint as coupon_cents,
    p.cost_cents is not null and e.quantity is not null as known_cost,
    round(coalesce(abs(e.quantity) * p.cost_cents, (1 - $rate) * abs(e.list_cents)))::bigint as goods_cents
from typed e left join products p using (product_id)
where e.customer_id in (select customer_id from decided)
"""


class LearnSettings(Settings):
    """How decisions are judged; see [learning.md](learning.md)."""

    window_days: float = Field(
        default=28.0,
        gt=0,
        le=366,
        description="Days after a decision in which what a customer does counts as its outcome.",
    )
    before_days: float = Field(
        default=56.0,
        gt=0,
        description="Days before a decision whose spending steadies the comparison (CUPED): it changes the noise, not "
        "the answer.",
    )
    least: int = Field(
        default=LEAST_HELD_OUT,
        ge=2,
        description="Customers in each arm below which nothing is said, of all or of a group.",
    )
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5, description="Error rate of verdicts and intervals: 0.05 for intervals of 95 %."
    )
    looks: int = Field(default=14, ge=1, description="Moments of the window at which the page draws the gain so far.")


LEAST_OF_TEST = 2  # customers in each arm where draws tell beside the holdout, which gives no verdict so small


@dataclass(frozen=True, eq=False)
class FirstDecisions:
    """The first decision of every customer whose window is over. Closed slots have offer -1, gain NaN, probability 0.

    `reward_N` is what the customer was worth in the window, `before_N` in the weeks before.
    """

    offers: tuple[str, ...]
    customer_id: pl.Series
    offer_NK: NDArray[np.int64]
    gain_NK: Floats
    cost_NK: Floats
    charge_NK: Floats
    prob_NA: Floats
    action_N: NDArray[np.int64]
    held_N: NDArray[np.bool_]
    start_N: NDArray[np.int64]
    reward_N: Floats
    before_N: Floats

    def __len__(self) -> int:
        """Customers."""
        return len(self.action_N)

    @property
    def logged_N(self) -> Floats:
        """The propensity of what was decided."""
        logged: Floats = self.prob_NA[np.arange(len(self)), self.action_N]
        return logged


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a verdict needs. `measure` is margin or revenue, `why` how it was counted; `arm` the policy judged.

    `customers` has a row per customer with complete windows: arm, value, value_before, orders, coupon_cents.
    """

    settings: LearnSettings
    decisions: pl.DataFrame
    outcomes: pl.DataFrame
    joined: JoinedOutcomes
    customers: pl.DataFrame
    slots: FirstDecisions
    release: ReleaseTerms
    salt_known: bool
    measure: str
    why: str
    asof_ms: int


def read_decisions(source: Path | pl.DataFrame | None, store: Store | None) -> pl.DataFrame:
    """DECISIONS, with `terms` where a server kept them, from a table, a file or the work folder; StepError if there are
    none.
    """
    file = source if isinstance(source, Path) else None
    if isinstance(source, pl.DataFrame):
        frame = source
    elif source is None:
        if store is None or not PlanNote.has(store):
            raise StepError(
                "option_missing",
                gettext_lazy("learn: no decisions; give --decisions FILE.parquet, or --work with a finished plan"),
            )
        frame = Plan.load(store).decisions
    else:
        with TemporaryDirectory() as copies, duckdb.connect() as connection:
            frame = fetch_frame(open_file(connection, source, Path(copies)).rows).drop("_row")
    if missing := [c.name for c in DECISIONS.columns if c.required and c.name not in frame.columns]:
        raise InputError(
            "column_missing",
            gettext_lazy(
                "{file}: columns {missing} are missing; see the DECISIONS table",
                file=file or "decisions",
                missing=missing,
            ),
        )
    terms = frame["terms"] if "terms" in frame.columns else pl.lit(None, pl.String)  # a server's records have them
    return DECISIONS.check(DECISIONS.conform(parse_list_columns(frame, file))).with_columns(terms.alias("terms"))


def parse_list_columns(frame: pl.DataFrame, file: Path | None) -> pl.DataFrame:
    """Return decisions with list columns, where a CSV or an older file holds lists as JSON."""
    kinds = {"candidates": pl.List(OPTION), "ineligible": pl.List(CLOSED_OFFER)}
    texts = [name for name in kinds if frame.schema[name] == pl.String]
    try:
        return frame.with_columns(pl.col(name).str.json_decode(kinds[name]) for name in texts)
    except pl.exceptions.ComputeError as error:
        first = str(error).splitlines()[0]
        raise InputError(
            "value_invalid",
            gettext_lazy(
                "{file}: {texts} are not JSON lists ({first}); export them again",
                file=file or "decisions",
                texts=texts,
                first=first,
            ),
        ) from None


def read_outcomes(
    events: Relation, products: pl.DataFrame | None, decisions: pl.DataFrame, rate: float | None
) -> pl.DataFrame:
    """The decided customers' events with `goods_cents`: what the goods cost the shop, by product or by margin rate."""
    if missing := [name for name in REQUIRED_COLUMNS if name not in events.columns]:
        raise InputError(
            "column_missing",
            gettext_lazy(
                "events: columns {missing} are missing; clean events have {required_columns}",
                missing=missing,
                required_columns=list(REQUIRED_COLUMNS),
            ),
        )
    catalogue = pl.DataFrame(schema={"product_id": pl.String, "cost_cents": pl.Int64}) if products is None else products
    with duckdb.connect() as connection:
        connection.register("typed", _typed(events))
        connection.register("products", catalogue.select("product_id", "cost_cents").to_arrow())
        connection.register("decided", decisions.select("customer_id").unique().to_arrow())
        return fetch_frame(connection.sql(bind(OUTCOMES, rate=rate)))


def _typed(events: Relation) -> Any:
    """The columns that are used, with their types; in CSV all is text and empty is missing."""
    texts = {
        name: f"nullif({quote_identifier(name)}::varchar, '')" if name in events.columns else "null"
        for name in EVENT_TYPES
    }
    columns = ", ".join(
        f"cast({texts[name]} as {kind}) as {quote_identifier(name)}" for name, kind in EVENT_TYPES.items()
    )
    try:
        return events.project(columns).to_arrow_table()
    except duckdb.Error as error:
        raise InputError(
            "value_invalid",
            gettext_lazy(
                "events: {splitlines}; run `promolift ingest` to clean raw logs", splitlines=str(error).splitlines()[0]
            ),
        ) from None


def join_evidence(
    decisions: pl.DataFrame, outcomes: pl.DataFrame, release: ReleaseTerms | None, settings: LearnSettings
) -> Evidence:
    """Join decisions with outcomes. SupportError without a holdout, a complete window or enough customers."""
    if not decisions["holdout"].any():
        raise SupportError(
            "holdout_missing",
            gettext_lazy(
                "learn: none of {height} decisions was held out, so what the offers added is not known; "
                "set plan.holdout_share (0.1 is usual) before the next plan",
                height=decisions.height,
            ),
        )
    if outcomes.is_empty():
        raise SupportError(
            "ids_unmatched",
            gettext_lazy("learn: none of the decided customers has an event; are these the events of the same shop?"),
        )
    asof_ms = -(-(int(outcomes["ts_ms"].max()) + 1) // DAY_MS) * DAY_MS  # type: ignore[arg-type]
    join = JoinSettings(window_days=settings.window_days, before_days=settings.before_days, values=VALUES)
    joined = join_outcomes(decisions, outcomes, join, asof_ms)
    _windows_over(joined, decisions, settings, asof_ms)
    measured = _measure(outcomes)
    windows = add_outcome_value(joined.windows, measured.by)
    joined = JoinedOutcomes(windows, joined.decision_counts, joined.outcome_counts, joined.changed_arm)
    customers = joined.customers()
    last = decisions.filter(pl.col("ts_ms") <= asof_ms).sort("ts_ms", "decision_id").row(-1, named=True)
    arm = str(last["policy_id"])
    _enough(customers, arm, LEAST_OF_TEST if arm == "trial" else settings.least)
    first = windows.filter((pl.col("window") == 0) & pl.col("arm").is_in([arm, HOLDOUT]))
    slots = _slots(decisions.filter(pl.col("policy_id") == arm), first)
    terms = _terms(last, slots, release)
    salt_known = [in_holdout(who, terms) for who in slots.customer_id] == slots.held_N.tolist()
    return Evidence(
        settings, decisions, outcomes, joined, customers, slots, terms, salt_known, measured.by, measured.why, asof_ms
    )


def _windows_over(joined: JoinedOutcomes, decisions: pl.DataFrame, settings: LearnSettings, asof_ms: int) -> None:
    if joined.windows.height:
        return
    first = int(decisions.filter(pl.col("holdout").is_not_null())["ts_ms"].min())  # type: ignore[arg-type]
    days = (first + settings.window_days * DAY_MS - asof_ms) / DAY_MS
    raise SupportError(
        "outcome_window_open",
        gettext_lazy(
            "learn: no window of {window_days} days is over: the first ends {days} days after "
            "the last day of the events; ingest again then, or give a shorter --window-days that "
            "you would have chosen before",
            window_days=f"{settings.window_days:g}",
            days=f"{days:.1f}",
        ),
    )


def _enough(customers: pl.DataFrame, arm: str, least: int) -> None:
    sizes = {name: int((customers["arm"] == name).sum()) for name in (arm, HOLDOUT)}
    if min(sizes.values()) < least:
        text = ", ".join(f"{name} {count}" for name, count in sizes.items())
        raise SupportError(
            "too_few_customers",
            gettext_lazy(
                "learn: too few customers with a complete window: {text}; {least} are needed in each arm",
                text=text,
                least=least,
            ),
        )
    if not customers["orders"].sum():
        raise SupportError(
            "too_few_outcomes",
            gettext_lazy("learn: nobody bought anything in a window; are these the events of the same shop?"),
        )


class _Measure(NamedTuple):
    """What customers are judged by, margin or revenue, and how it was counted."""

    by: str
    why: str


def _measure(outcomes: pl.DataFrame) -> _Measure:
    """Margin where the cost of every row is known or stated, else revenue."""
    rows = outcomes.filter(pl.col("kind").is_in(["purchase", "refund"]))
    sold, known, gone = rows.height, int(rows["known_cost"].sum()), rows["goods_cents"].null_count()
    if gone:
        return _Measure("revenue", f"the cost of {gone} of {sold} rows sold is not known and no margin rate is stated")
    if known == sold:
        return _Measure("margin", "revenue less the cost of each product")
    return _Measure(
        "margin", f"{sold - known} of {sold} rows sold have no product cost: the stated margin rate stands in"
    )


def add_outcome_value(windows: pl.DataFrame, measure: str) -> pl.DataFrame:
    """Add `value` and, if history was joined, `value_before`, by the measure."""
    ends = [end for end in ("", "_before") if f"revenue_cents{end}" in windows.columns]
    less = {end: pl.col(f"goods_cents{end}") if measure == "margin" else pl.lit(0) for end in ends}
    values = [(pl.col(f"revenue_cents{end}") - less[end]).cast(pl.Float64).alias(f"value{end}") for end in ends]
    return windows.with_columns(values).drop(f"goods_cents{end}" for end in ends)


def _slots(decisions: pl.DataFrame, windows: pl.DataFrame) -> FirstDecisions:
    """First decisions as arrays. InputError if probabilities do not sum to 1 or are not those logged."""
    opened_by = windows.select("customer_id", "value", "value_before", pl.col("start_ms").alias("ts_ms"))
    first = (
        decisions.filter(pl.col("holdout").is_not_null())
        .join(opened_by, on=["customer_id", "ts_ms"], how="inner")
        .sort("customer_id", "decision_id")
        .unique("customer_id", keep="first", maintain_order=True)
        .with_row_index("row")
    )
    rows = (
        first.select("row", pl.col("candidates").alias("options"))
        .explode("options")
        .unnest("options")
        .drop_nulls("offer")
    )
    opened = rows.filter(pl.col("offer") != NONE).with_columns(slot=pl.int_range(pl.len()).over("row"))
    names = opened["offer"].unique().sort()
    n, k = first.height, opened.group_by("row").len()["len"].cast(pl.Int64).to_list()
    shape, at = (n, max(k, default=1)), (opened["row"].to_numpy(), opened["slot"].to_numpy())
    number = {name: place for place, name in enumerate(names)}
    prob = np.zeros((n, shape[1] + 1))
    prob[at] = opened["prob"].to_numpy()
    none = rows.filter(pl.col("offer") == NONE)
    prob[none["row"].to_numpy(), shape[1]] = none["prob"].to_numpy()
    slot = {(row, offer): place for row, offer, place in opened.select("row", "offer", "slot").iter_rows()}
    gain, cost, charge = (_put(np.full(shape, np.nan), at, opened[name].fill_null(0.0)) for name in AMOUNTS)
    found = FirstDecisions(
        offers=tuple(names),
        customer_id=first["customer_id"],
        offer_NK=_put(np.full(shape, -1.0), at, [number[name] for name in opened["offer"]]).astype(np.int64),
        gain_NK=gain,
        cost_NK=cost,
        charge_NK=charge,
        prob_NA=prob,
        action_N=np.array([slot.get(key, shape[1]) for key in first.select("row", "offer_id").iter_rows()], np.int64),
        held_N=first["holdout"].to_numpy(),
        start_N=first["ts_ms"].to_numpy(),
        reward_N=first["value"].to_numpy(),
        before_N=first["value_before"].to_numpy(),
    )
    _check(found, first)
    return found


def _put(array: Floats, at: Any, values: Any) -> Floats:
    array[at] = np.asarray(values, dtype=np.float64)
    return array


def _check(slots: FirstDecisions, first: pl.DataFrame) -> None:
    wrong = np.abs(slots.prob_NA.sum(axis=1) - 1) > 1e-6
    wrong |= (np.abs(slots.logged_N - first["propensity"].to_numpy()) > 1e-6) | (slots.logged_N <= 0)
    if wrong.any():
        key = first["decision_id"][int(np.flatnonzero(wrong)[0])]
        raise InputError(
            "propensity_invalid",
            gettext_lazy(
                "decisions: in {sum} of {slots} the probabilities do not sum to 1, are 0 for what was "
                "given, or differ from the logged propensity, first {key}; they cannot be those that were "
                "drawn with",
                sum=int(wrong.sum()),
                slots=len(slots),
                key=key,
            ),
        )


def _terms(row: Mapping[str, Any], slots: FirstDecisions, release: ReleaseTerms | None) -> ReleaseTerms:
    """The release in force, by its last decision."""
    shares = _shares(slots)
    release = ReleaseTerms(**json.loads(row["terms"])) if row.get("terms") else release
    same = release is not None and all(
        getattr(release, name) == row[name] for name in ("campaign_id", "policy_id", "policy_version", "seed")
    )
    if release is not None and same:
        terms = release
        own = _Shares(release.holdout_share, release.explore)
        shares = own if release.by_interval else shares or own  # arms have shares of their own
    else:
        terms = ReleaseTerms(
            campaign_id=row["campaign_id"], policy_id=row["policy_id"], policy_version=row["policy_version"],
            seed=row["seed"], price=0.0,
        )  # fmt: skip
    if shares is None:
        raise InputError(
            "holdout_share_unknown",
            gettext_lazy(
                "decisions: the planned share of the holdout cannot be read from the propensities (no "
                "decision with two open offers); run learn on the work folder of the plan, which keeps it"
            ),
        )
    return terms.model_copy(update={"holdout_share": shares.holdout, "explore": shares.explored})


class _Shares(NamedTuple):
    """Which share of decisions was held out, and which explored."""

    holdout: float
    explored: float


def _shares(slots: FirstDecisions) -> _Shares | None:
    """The shares read from the probabilities: all offers but the best one have equally little.

    With holdout h, exploration e and K open offers: a weak offer e (1 - h) / (K + 1), none h more than that.
    """
    open_NK = slots.offer_NK >= 0
    size = open_NK.sum(axis=1)
    offered = slots.prob_NA[:, :-1]
    low = np.where(open_NK, offered, np.inf).min(axis=1, initial=np.inf)
    clear = (size >= 2) & (offered.max(axis=1, initial=0.0) > low + 1e-9)
    if not clear.any():
        return None
    share = float(np.median(slots.prob_NA[clear, -1] - low[clear]))
    share = min(max(share, 0.0), 0.99)
    explored = float(np.median(low[clear] * (size[clear] + 1))) / (1 - share)
    return _Shares(round(share, 9), round(min(explored, 1.0), 9))
