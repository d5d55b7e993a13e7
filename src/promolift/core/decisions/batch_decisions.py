"""Decide for every customer of a candidates table at once, in columns.

The same decisions as `decide_options` makes one by one. Legend: N customers in order of id, R rows (customer and offer,
`none` left out) in order of both, O the open rows, K slots: a customer's open offers in order of offer_id.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.allocation.algorithms.choice import choose
from promolift.core.decisions.decision_rule import (
    EXPLORATION_REASON,
    HOLDOUT_REASON,
    NONE,
    NOTHING_OPEN_REASON,
    NOTHING_PAYS_REASON,
    UNKNOWN_VALUE_REASON,
    ReleaseTerms,
    action_propensity,
    best_reason,
    decision_id,
    draw_action,
    in_holdout,
)
from promolift.foundation.errors import InputError
from promolift.foundation.hashing import hash_units
from promolift.foundation.tables.schemas import CLOSED_OFFER, DECISIONS, OPTION

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
INTERVAL = ("draw_start", "draw_share")  # of an arm, where offers are drawn by audience
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
    who_O: Ints
    slot_O: Ints
    size_N: Ints  # open offers; 0 for whom nothing may be sent

    @staticmethod
    def of(candidates: pl.DataFrame, consent: pl.DataFrame) -> "OptionTable":
        """From the tables that `decide` takes. Raises InputError for impossible numbers or double rows."""
        people, listed = _checked(candidates)
        refusals = _refusals(people, consent)
        none = listed["offer"] == NONE
        rows, nones = listed.filter(~none), listed.filter(none).select("who", "at")
        rows = rows.with_columns(refusals.is_null()[rows["who"]].alias("spoken"))
        who_O = rows.filter(pl.col("closed").is_null() & pl.col("spoken"))["who"].to_numpy().astype(np.int64)
        size_N = np.bincount(who_O, minlength=len(people)).astype(np.int64)
        slot_O = np.arange(len(who_O)) - np.repeat(np.cumsum(size_N) - size_N, size_N)
        return OptionTable(people, refusals, rows, nones, listed.height, who_O, slot_O, size_N)

    @property
    def open(self) -> pl.DataFrame:
        """The rows that may be given, in order."""
        return self.rows.filter(pl.col("closed").is_null() & pl.col("spoken"))

    def best(self, price: float) -> Ints:
        """Slot of each customer's best open offer at a price, -1 for none: the only place that asks the allocation."""
        shape = (len(self.customer_ids), int(self.size_N.max(initial=0)))
        gain_NK, cost_NK = np.full(shape, np.nan), np.full(shape, np.nan)
        rows = self.open
        gain_NK[self.who_O, self.slot_O] = (rows["gain_cents"] - rows["charge_cents"]).to_numpy()
        cost_NK[self.who_O, self.slot_O] = rows["cost_cents"].to_numpy()
        return choose(gain_NK, cost_NK, price).astype(np.int64)

    def likeliest(self) -> Ints:
        """Slot of the arm that each customer draws most often, the first of several, -1 for none."""
        return self._slots(self.open.with_columns(slot=pl.Series(self.slot_O)).sort(
            "who", "draw_share", "slot", descending=[False, True, False], nulls_last=True
        ))  # fmt: skip

    def drawn(self, terms: ReleaseTerms) -> Ints:
        """Slot of the arm in whose interval each customer's number lies, -1 for none."""
        unit_N = hash_units(terms.draw_key, self.customer_ids)
        unit, end = pl.Series(unit_N[self.who_O], dtype=pl.Float64), pl.col("draw_start") + pl.col("draw_share")
        rows = self.open.with_columns(slot=pl.Series(self.slot_O), unit=unit)
        return self._slots(rows.filter((pl.col("unit") >= pl.col("draw_start")) & (pl.col("unit") < end)))

    def _slots(self, rows: pl.DataFrame) -> Ints:
        """The first slot of each customer in `rows`, -1 where they have none."""
        first = rows.unique("who", keep="first", maintain_order=True)
        slot_N = np.full(len(self.customer_ids), -1, np.int64)
        slot_N[first["who"].to_numpy()] = first["slot"].to_numpy()
        return slot_N

    def bids(self, terms: ReleaseTerms) -> pl.DataFrame:
        """customer_id and a `Bid` for every customer of the table: what this campaign has for them."""
        top_N = self.likeliest() if terms.by_interval else self.best(terms.price)
        best = self.open.filter(pl.Series(self.slot_O == top_N[self.who_O]))
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

    def offers(self, slot_N: Ints) -> pl.DataFrame:
        """customer_id and offer_id of those whose slot is none of -1."""
        given = self.open.filter(pl.Series(self.slot_O == slot_N[self.who_O]))
        return given.select(self.customer_ids[given["who"]].alias("customer_id"), pl.col("offer").alias("offer_id"))


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
    people, size_N = board.customer_ids.to_list(), board.size_N
    asked_N = board.refusals.is_null().to_numpy()
    best_N = board.drawn(release) if release.by_interval else board.best(release.price)
    held_N = np.array([ask and in_holdout(who, release) for who, ask in zip(people, asked_N, strict=True)], bool)
    top_N = np.where(best_N >= 0, best_N, size_N)  # the last action is none
    at_N = np.where(held_N, size_N, top_N)
    explore_N = np.where(
        asked_N, np.where(best_N >= 0, release.exploration_share(True), release.exploration_share(False)), 0.0
    )
    for n in np.flatnonzero((explore_N > 0) & ~held_N):
        at_N[n] = draw_action(release, people[n], int(size_N[n]), int(top_N[n]))
    share_N = np.where(asked_N, release.holdout_share, 0.0)
    who_O = board.who_O
    prob_O = action_propensity(board.slot_O, size_N[who_O], top_N[who_O], explore_N[who_O], share_N[who_O])
    none_N = action_propensity(size_N, size_N, top_N, explore_N, share_N)
    if release.by_interval:
        prob_O = (1 - share_N[who_O]) * board.open["draw_share"].fill_null(0.0).to_numpy()
        none_N = np.maximum(0.0, 1.0 - np.bincount(who_O, prob_O, len(people)))
    listed = board.open.with_columns(pl.Series("prob", prob_O))
    given = listed.filter(pl.Series(board.slot_O == at_N[board.who_O])).select("who", "offer", "prob", "at")
    whole = pl.DataFrame({
        "who": np.arange(len(people), dtype=np.int64), "customer_id": board.customer_ids, "none": none_N,
        "holdout": pl.Series(held_N).set(pl.Series(~asked_N), None), "refusal": board.refusals,
        "some": size_N > 0, "is_best": at_N == top_N, "pays": best_N >= 0,
        "decision_id": pl.Series([decision_id(release, who, ts_ms) for who in people], dtype=pl.String),
    })  # fmt: skip
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
            pl.col("prob").fill_null(pl.col("none")).alias("propensity"),
            pl.col("ineligible").fill_null(pl.lit([], pl.List(CLOSED_OFFER))),
            _reason(release).alias("reason"),
        )
        ),
        prob_R,
        given["at"].to_numpy(),
    )  # fmt: skip


def _reason(release: ReleaseTerms) -> pl.Expr:
    """The rule that settled it, as `decide._reason` says it of one customer."""
    return (
        pl.when(pl.col("refusal").is_not_null())
        .then(pl.format("consent: {}", pl.col("refusal").fill_null("")))
        .when(pl.col("holdout"))
        .then(pl.lit(HOLDOUT_REASON))
        .when(~pl.col("some"))
        .then(pl.lit(NOTHING_OPEN_REASON))
        .when(~pl.col("is_best"))
        .then(pl.lit(EXPLORATION_REASON))
        .when(pl.col("pays") | pl.lit(release.by_interval))
        .then(pl.lit(best_reason(release)))
        .otherwise(pl.lit(NOTHING_PAYS_REASON))
    )


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
    refusal = pl.format("consent: {}", board.refusals[rows["who"]])
    reason = pl.coalesce("closed", refusal)
    each = rows.select("who", pl.struct("offer", reason.alias("reason")).cast(CLOSED_OFFER).alias("ineligible"))
    return each.group_by("who", maintain_order=True).agg("ineligible")


class _Checked(NamedTuple):
    """Customers in order of id, and their rows."""

    people: pl.Series
    rows: pl.DataFrame


def _checked(candidates: pl.DataFrame) -> _Checked:
    if missing := [name for name in REQUIRED_COLUMNS if name not in candidates.columns]:
        raise InputError("column_missing", f"candidates: columns {missing} are missing; it has {candidates.columns}")
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
        raise InputError(code, f"candidates: customer {who!r} has an offer twice or a missing id; offers {offers[:5]}")
    number = pl.col("gain_cents", "cost_cents", "charge_cents")
    wrong = pl.col("closed").is_null() & pl.any_horizontal(~number.is_finite(), pl.col("cost_cents") < 0)
    bad = rows.filter(wrong & (pl.col("offer_id") != NONE))
    if bad.height:
        who, offer, gain, cost, charge, *_ = bad.row(0)
        what = f"gain, cost and charge {gain}, {cost}, {charge} must be finite, the cost at least 0"
        raise InputError("value_invalid", f"candidates: customer {who!r}, offer {offer!r}: {what}")


def _refusals(people: pl.Series, consent: pl.DataFrame) -> pl.Series:
    if consent["customer_id"].is_duplicated().any():
        raise InputError("rows_duplicate", "consent: a customer_id stands twice; two answers are no answer")
    no = pl.col("reason").cast(pl.String).fill_null("").replace("", "sending is not allowed")
    said = consent.select(
        "customer_id", pl.col("may_send").alias("may"), pl.when(~pl.col("may_send")).then(no).alias("no")
    )
    found = pl.DataFrame({"customer_id": people}).join(said, on="customer_id", how="left", maintain_order="left")
    asked = pl.when(pl.col("may").is_null()).then(pl.lit("no consent on record")).otherwise(pl.col("no"))
    return found.select(asked.alias("refusal"))["refusal"]
