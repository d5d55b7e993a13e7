"""Decide for every customer of a candidates table by the rule of `choose_offers`, and write the records in columns.

Legend: N customers in order of id, R rows (customer and offer, `none` left out) in order of both, O the open rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.customers.reason_text import CONSENT
from promolift.core.decisions.decision_rule import (
    NONE,
    UNKNOWN_VALUE_REASON,
    OpenOffers,
    ReleaseTerms,
    best_slots,
    choose_offers,
    offer_probabilities,
)
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.tables.schemas import CLOSED_OFFER, DECISIONS, OPTION

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
INTERVAL = ("draw_start", "draw_share")  # of an arm, where offers are drawn by audience
CHOICE_SCHEMA = {
    "decision_id": pl.String, "slot": pl.Int64, "best": pl.Int64, "propensity": pl.Float64, "holdout": pl.Boolean,
    "reason": pl.String,
}  # fmt: skip
REQUIRED_COLUMNS = ("customer_id", "offer_id", "gain_cents", "cost_cents")


@dataclass(frozen=True, eq=False)
class OptionTable:
    """Every customer's options in columns, checked.

    `rows`: who (place of the customer), offer, gain_cents, cost_cents, charge_cents, draw_start and draw_share (the
    interval of an arm, missing where none is drawn), closed (why, missing if open), at (place of the row in the
    candidates given, of which there are `candidate_count`). `nones`: who and at of the rows of
    `none`. `refusals` has the reason why nothing may be sent to a customer, missing where it may.
    """

    customer_ids: pl.Series
    refusals: pl.Series
    rows: pl.DataFrame
    nones: pl.DataFrame
    candidate_count: int

    @staticmethod
    def of(candidates: pl.DataFrame, consent: pl.DataFrame) -> "OptionTable":
        """From the tables that `decide` takes. Raises InputError for impossible numbers or double rows."""
        people, listed = _checked(candidates)
        refusals = _refusals(people, consent)
        none = listed["offer"] == NONE
        rows, nones = listed.filter(~none), listed.filter(none).select("who", "at")
        rows = rows.with_columns(refusals.is_null()[rows["who"]].alias("spoken"))
        return OptionTable(people, refusals, rows, nones, listed.height)

    @property
    def open(self) -> pl.DataFrame:
        """The rows that may be given, in order."""
        return self.rows.filter(pl.col("closed").is_null() & pl.col("spoken"))

    @cached_property
    def opened(self) -> OpenOffers:
        """What is open to each customer, for `choose_offers`; an interval that is missing has no length."""
        rows = self.open
        sizes = np.bincount(rows["who"].to_numpy(), minlength=len(self.customer_ids)).tolist()
        worth_O, cost_O = (rows["gain_cents"] - rows["charge_cents"]).to_numpy(), rows["cost_cents"].to_numpy()
        draw_2O = np.stack([rows[name].fill_null(0.0).to_numpy() for name in INTERVAL])
        return OpenOffers(self.customer_ids.to_list(), self.refusals.to_list(), sizes, worth_O, cost_O, draw_2O)

    def bids(self, terms: ReleaseTerms) -> pl.DataFrame:
        """customer_id and a `Bid` for every customer of the table: what this campaign has for them."""
        best = self._rows_at(best_slots(self.opened, terms))
        worth = pl.col("gain_cents") - pl.col("charge_cents") - terms.price * pl.col("cost_cents")
        mine = best.select("who", pl.col("offer").alias("offer_id"), worth.alias("worth_cents"))
        everybody = pl.DataFrame({"who": np.arange(len(self.customer_ids)), "customer_id": self.customer_ids})
        return everybody.join(mine, on="who", how="left", maintain_order="left").select(
            "customer_id",
            pl.lit(terms.campaign_id).alias("campaign_id"),
            pl.lit(terms.priority, pl.Int64).alias("priority"),
            pl.col("offer_id").fill_null(NONE),
            pl.col("worth_cents").fill_null(0.0),
        )

    def best_offers(self, terms: ReleaseTerms) -> pl.DataFrame:
        """customer_id and offer_id of those for whom something pays, before anything is drawn."""
        given = self._rows_at(best_slots(self.opened, terms))
        return given.select(self.customer_ids[given["who"]].alias("customer_id"), pl.col("offer").alias("offer_id"))

    def _rows_at(self, slots: Sequence[int]) -> pl.DataFrame:
        """The open rows in these slots of the customers; -1 has none."""
        return self.open.filter(pl.Series(self.opened.slot_O == np.array(slots, np.int64)[self.opened.who_O]))


class DecisionBatch(NamedTuple):
    """Everybody's decision; the probability of every candidate in the order in which they came; and the places, in that
    order, of the candidates that were decided for, by customer."""

    decisions: pl.DataFrame
    prob_R: Floats
    chosen_C: Ints


def decide(candidates: pl.DataFrame, consent: pl.DataFrame, release: ReleaseTerms, ts_ms: int) -> pl.DataFrame:
    """DECISIONS for every customer of `candidates`, in order of customer_id.

    `candidates`: customer_id, offer_id, gain_cents (expected gain with the discount paid), cost_cents, and where known
    `eligible`, `why_not` and `charge_cents`; `none` needs no row. `consent`: customer_id, may_send, reason, as
    core/customers/consent.py makes it; a customer without a row there is not written to. Rules in this order: consent,
    holdout, eligibility, then the offer with the largest gain - charge - price * cost above 0, ties to the cheaper and
    then to the first offer_id. A missing gain or cost is unknown and closes the offer. Raises InputError for impossible
    numbers or double rows.
    """
    return decide_batch(OptionTable.of(candidates, consent), release, ts_ms).decisions


def decide_batch(board: OptionTable, release: ReleaseTerms, ts_ms: int) -> DecisionBatch:
    """Decide for every customer of the table: DECISIONS, and the propensity of every candidate."""
    made = choose_offers(board.opened, release, ts_ms)
    choices = pl.DataFrame(made, CHOICE_SCHEMA, orient="row")
    prob_O, none_N = offer_probabilities(board.opened, release, choices["best"].to_list())
    listed = board.open.with_columns(pl.Series("prob", prob_O))
    given = board._rows_at(choices["slot"].to_list()).select("who", "offer", "at")
    whole = choices.drop("slot", "best").with_columns(board.customer_ids, pl.int_range(pl.len()).alias("who"))
    prob_R = np.zeros(board.candidate_count)
    prob_R[listed["at"].to_numpy()] = prob_O
    prob_R[board.nones["at"].to_numpy()] = none_N[board.nones["who"].to_numpy()]
    return DecisionBatch(
        DECISIONS.conform(
        whole.join(given, on="who", how="left", maintain_order="left")
        .join(_candidates(listed, none_N, release.by_interval), on="who", how="left", maintain_order="left")
        .join(_ineligible(board), on="who", how="left", maintain_order="left")
        .with_columns(
            pl.lit(ts_ms, pl.Int64).alias("ts_ms"), pl.lit(release.seed, pl.Int64).alias("seed"),
            *(pl.lit(getattr(release, name)).alias(name) for name in ("campaign_id", "policy_id", "policy_version")),
            pl.col("offer").fill_null(NONE).alias("offer_id"),
            pl.col("ineligible").fill_null(pl.lit([], pl.List(CLOSED_OFFER))),
        )
        ),
        prob_R,
        given["at"].to_numpy(),
    )  # fmt: skip


def _candidates(listed: pl.DataFrame, none_N: Floats, by_interval: bool) -> pl.DataFrame:
    names = [field.name for field in OPTION.fields]
    listed = listed.with_columns(_interval(pl.col(name), by_interval).alias(name) for name in INTERVAL)
    none = pl.DataFrame({"who": np.arange(len(none_N), dtype=np.int64), "prob": none_N}).with_columns(
        pl.lit(NONE).alias("offer"), *(pl.lit(0.0).alias(name) for name in names if name.endswith("_cents")),
        *(_interval(pl.lit(0.0), by_interval).alias(name) for name in INTERVAL),
    )  # fmt: skip
    rows = pl.concat([listed.select("who", *names), none.select("who", *names)])
    each = rows.select("who", pl.struct(names).cast(OPTION).alias("candidates")).sort("who", maintain_order=True)
    return each.group_by("who", maintain_order=True).agg("candidates")


def _interval(number: pl.Expr, by_interval: bool) -> pl.Expr:
    """What a record holds of an interval: a missing one is empty, and without draws there are none."""
    return number.fill_null(0.0) if by_interval else pl.lit(None, pl.Float64)


def _ineligible(board: OptionTable) -> pl.DataFrame:
    rows = board.rows.filter(pl.col("closed").is_not_null() | ~pl.col("spoken"))
    refusal = pl.lit(CONSENT.removesuffix("{reason}")) + board.refusals[rows["who"]]
    reason = pl.coalesce("closed", refusal)
    each = rows.select("who", pl.struct("offer", reason.alias("reason")).cast(CLOSED_OFFER).alias("ineligible"))
    return each.group_by("who", maintain_order=True).agg("ineligible")


class _Checked(NamedTuple):
    """Customers in order of id, and their rows."""

    people: pl.Series
    rows: pl.DataFrame


def _checked(candidates: pl.DataFrame) -> _Checked:
    if missing := [name for name in REQUIRED_COLUMNS if name not in candidates.columns]:
        raise InputError(
            "column_missing",
            gettext_lazy(
                "candidates: columns {missing} are missing; it has {columns}",
                missing=missing,
                columns=candidates.columns,
            ),
        )
    known, ids = candidates.columns, ("customer_id", "offer_id")
    eligible = pl.col("eligible").fill_null(False) if "eligible" in known else pl.lit(True)
    why = pl.col("why_not").cast(pl.String) if "why_not" in known else pl.lit(None, pl.String)
    charge = pl.col("charge_cents").cast(pl.Float64).fill_null(0.0) if "charge_cents" in known else pl.lit(0.0)
    unknown = pl.any_horizontal(pl.col("gain_cents", "cost_cents").is_null())
    rows = candidates.select(
        pl.col(ids).cast(pl.String),
        pl.col("gain_cents", "cost_cents").cast(pl.Float64),
        charge.alias("charge_cents"),
        *(
            (pl.col(name).cast(pl.Float64) if name in known else pl.lit(None, pl.Float64)).alias(name)
            for name in INTERVAL
        ),
        pl.when(~eligible | why.fill_null("").ne(""))
        .then(pl.when(why.fill_null("").ne("")).then(why).otherwise(pl.lit("not eligible")))
        .when(unknown)
        .then(pl.lit(UNKNOWN_VALUE_REASON))
        .alias("closed"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("at"),
    ).sort(ids)
    _check(rows)
    rows = rows.with_columns(pl.col("customer_id").rle_id().cast(pl.Int64).alias("who"))
    people = rows["customer_id"].unique(maintain_order=True)
    return _Checked(people, rows.drop("customer_id").rename({"offer_id": "offer"}))


def _check(rows: pl.DataFrame) -> None:
    blank = pl.any_horizontal(pl.col("customer_id", "offer_id").fill_null("").eq(""))
    again = (pl.col("customer_id") == pl.col("customer_id").shift()) & (
        pl.col("offer_id") == pl.col("offer_id").shift()
    )
    odd = rows.filter(blank | again.fill_null(False))
    if odd.height:
        who = odd["customer_id"][0]
        offers = rows.filter(pl.col("customer_id").eq_missing(pl.lit(who)))["offer_id"].to_list()
        code = "value_missing" if odd.filter(blank).height else "rows_duplicate"
        raise InputError(
            code,
            gettext_lazy(
                "candidates: customer {who} has an offer twice or a missing id; offers {offers}",
                who=repr(who),
                offers=offers[:5],
            ),
        )
    number = pl.col("gain_cents", "cost_cents", "charge_cents")
    wrong = pl.col("closed").is_null() & pl.any_horizontal(~number.is_finite(), pl.col("cost_cents") < 0)
    bad = rows.filter(wrong & (pl.col("offer_id") != NONE))
    if bad.height:
        who, offer, gain, cost, charge, *_ = bad.row(0)
        what = gettext_lazy(
            "gain, cost and charge {gain}, {cost}, {charge} must be finite, the cost at least 0",
            gain=gain,
            cost=cost,
            charge=charge,
        )
        raise InputError(
            "value_invalid",
            gettext_lazy(
                "candidates: customer {who}, offer {offer}: {what}", who=repr(who), offer=repr(offer), what=what
            ),
        )


def _refusals(people: pl.Series, consent: pl.DataFrame) -> pl.Series:
    if consent["customer_id"].is_duplicated().any():
        raise InputError(
            "rows_duplicate", gettext_lazy("consent: a customer_id stands twice; two answers are no answer")
        )
    no = pl.col("reason").cast(pl.String).fill_null("").replace("", "sending is not allowed")
    said = consent.select(
        "customer_id", pl.col("may_send").alias("may"), pl.when(~pl.col("may_send")).then(no).alias("no")
    )
    found = pl.DataFrame({"customer_id": people}).join(said, on="customer_id", how="left", maintain_order="left")
    asked = pl.when(pl.col("may").is_null()).then(pl.lit(gettext_noop("no consent on record"))).otherwise(pl.col("no"))
    return found.select(asked.alias("refusal"))["refusal"]
