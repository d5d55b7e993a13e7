"""Offers drawn by the shares of audiences: what is written down is how likely it was, whatever is closed since."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.decisions import (
    Option,
    OptionTable,
    ReleaseTerms,
    decide,
    record_decision,
    replay_decision,
    withheld_offers,
)
from promolift.foundation.hashing import hash_units
from promolift.foundation.tables.schemas import DECISIONS

COLUMNS = ["offer_id", "gain_cents", "cost_cents", "why_not", "charge_cents", "draw_start", "draw_share"]


def terms(seed: int = 0, **changes: Any) -> ReleaseTerms:
    known: dict[str, Any] = {
        "campaign_id": "c", "policy_id": "trial", "policy_version": "1", "price": 0.0, "seed": seed,
        "draws": "audience", "draw_ms": 1_700_000_000_000,
    }  # fmt: skip
    return ReleaseTerms(**known | changes)


def market(count: int, seed: int) -> pl.DataFrame:
    """Up to four arms a customer, whose intervals fill up to nine tenths; some were closed when the plan was made."""
    rows = []
    for number in range(count):
        gain, share, closed, much = (
            hash_units((seed, name, number), range(4)) for name in ("gain", "share", "shut", "all")
        )
        share = share / share.sum() * 0.9 * much[0]
        start = np.cumsum(share) - share
        rows += [
            (f"c{number}", f"o{k}", 100 * gain[k] - 50, 10.0, "resting" if closed[k] < 0.2 else None, 0.0,
             start[k], share[k])
            for k in range(int(much[1] * 4.99))
        ]  # fmt: skip
    return pl.DataFrame(rows, schema=["customer_id", *COLUMNS], orient="row").cast({"why_not": pl.String})


def consent(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select("customer_id").unique().with_columns(
        may_send=pl.col("customer_id") != "c5", reason=pl.lit("the customer said no")
    )  # fmt: skip


@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.1, 0.5]))
@cases(30)
def test_records_hold_the_interval_that_was_drawn_and_can_be_made_again(seed: int, held: float) -> None:
    rows, release = market(40, seed), terms(seed, holdout_share=held)
    whole = decide(rows, consent(rows), release, 5)
    names = whole["customer_id"].to_list()
    parts = [rows.filter(pl.col("customer_id").is_in(some)).reverse() for some in (names[:13], names[13:])]
    assert pl.concat(decide(part, consent(rows), release, 5) for part in parts).equals(whole)
    for row in DECISIONS.check(whole).iter_rows(named=True):
        assert replay_decision(row, release) == row
        mine = rows.filter(pl.col("customer_id") == row["customer_id"]).select(COLUMNS)
        refusal = "the customer said no" if row["customer_id"] == "c5" else None
        alone = record_decision(row["customer_id"], [Option(*each) for each in mine.rows()], refusal, release, 5)
        assert alone._asdict() == row
        prob = {each["offer"]: each["prob"] for each in row["candidates"]}
        assert sum(prob.values()) == pytest.approx(1.0, abs=1e-12)
        assert row["propensity"] == prob[row["offer_id"]]
        for each in row["candidates"]:
            if each["offer"] != "none":
                assert each["prob"] == (1 - held) * each["draw_share"]


@given(st.integers(0, 2**32), st.integers(0, 3))
@cases(20)
def test_what_is_closed_since_leaves_everybody_else_their_offer(seed: int, closed: int) -> None:
    rows, release = market(40, seed), terms(seed)
    then = decide(rows, consent(rows), release, 5)["offer_id"]
    shut = pl.when(pl.col("offer_id") == f"o{closed}").then(pl.lit("used up")).otherwise("why_not")
    now = decide(rows.with_columns(why_not=shut), consent(rows), release, 6)["offer_id"]
    assert now.to_list() == ["none" if each == f"o{closed}" else each for each in then]


def test_the_logged_probability_is_the_frequency_and_each_plan_draws_anew() -> None:
    each = [("a", 0.0, 0.3), ("b", 0.3, 0.15)]
    rows = pl.DataFrame(
        [(f"k{n}", offer, -5.0, 1.0, None, -6.0, start, share) for n in range(8000) for offer, start, share in each],
        schema=["customer_id", *COLUMNS], orient="row",
    )  # fmt: skip
    made = [decide(rows, consent(rows), terms(holdout_share=0.1, draw_ms=moment), 5) for moment in (1, 2)]
    for decided in made:
        share = dict(decided["offer_id"].value_counts(normalize=True).rows())
        listed = dict(decided.select("offer_id", "propensity").unique().rows())
        assert listed == pytest.approx({"a": 0.27, "b": 0.135, "none": 0.595})
        assert share == pytest.approx(listed, abs=0.02)
    both = (made[0]["offer_id"] == "a") & (made[1]["offer_id"] == "a")
    assert both.mean() == pytest.approx(0.9 * 0.3**2, abs=0.015)  # the holdout stays, the draw does not


def test_campaigns_meet_with_what_is_drawn_most_often_before_anything_is_drawn() -> None:
    rows = pl.DataFrame(
        [(f"k{n}", offer, gain, 1.0, None, gain - 1.0, start, share)
         for n in range(50) for offer, gain, start, share in (("a", 9.0, 0.0, 0.1), ("b", -3.0, 0.1, 0.6))],
        schema=["customer_id", *COLUMNS], orient="row",
    )  # fmt: skip
    bids = OptionTable.of(rows, consent(rows)).bids(terms())
    assert set(bids["offer_id"]) == {"b"}
    assert set(bids["worth_cents"]) == {1.0}


@given(st.integers(0, 2**32))
@cases(20)
def test_what_was_withheld_is_the_arm_on_whose_interval_the_customer_falls(seed: int) -> None:
    rows, release = market(40, seed), terms(seed, holdout_share=0.5)
    made = decide(rows, consent(rows), release, 5)
    free = decide(rows, consent(rows), release.model_copy(update={"holdout_share": 0.0}), 5)
    held = made.filter(pl.col("holdout"))["customer_id"]
    wanted = free.filter(pl.col("customer_id").is_in(held.implode()), pl.col("offer_id") != "none")
    assert withheld_offers(made, release).equals(wanted.select("customer_id", "ts_ms", "offer_id").sort("customer_id"))
