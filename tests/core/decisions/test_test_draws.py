"""A release in which only those for whom nothing pays draw: what is given is given, and all can be replayed."""

import polars as pl
import pytest

from promolift.core import decisions as deliver

TERMS = deliver.ReleaseTerms(
    campaign_id="c", policy_id="trial", policy_version="1", price=0.0, seed=3, holdout_share=0.2, explore=1.0,
    explore_where="nothing pays",
)  # fmt: skip


def rows() -> pl.DataFrame:
    """Even customers have an offer that pays, odd ones two that are charged more than they are worth."""
    sure = [(f"c{i:03d}", "good", 50.0, 10.0, 0.0) for i in range(0, 600, 2)]
    drawn = [(f"c{i:03d}", offer, 50.0, 10.0, 51.0) for i in range(1, 600, 2) for offer in ("one", "two")]
    names = ["customer_id", "offer_id", "gain_cents", "cost_cents", "charge_cents"]
    return pl.DataFrame([*sure, *drawn], schema=names, orient="row")


def consent() -> pl.DataFrame:
    return pl.DataFrame({"customer_id": [f"c{i:03d}" for i in range(600)], "may_send": True, "reason": None})


def test_who_is_given_does_not_draw_and_who_draws_does_so_evenly() -> None:
    decisions = deliver.decide(rows(), consent(), TERMS, 0)
    free = decisions.filter(~pl.col("holdout"))
    even = pl.col("customer_id").str.slice(1).cast(pl.Int64) % 2 == 0
    assert set(free.filter(even)["offer_id"]) == {"good"}
    assert set(free.filter(even)["propensity"]) == {0.8}
    counts = dict(free.filter(~even)["offer_id"].value_counts().iter_rows())
    assert min(counts.values()) > 0.7 * max(counts.values())
    assert set(counts) == {"one", "two", "none"}
    given = free.filter(~even & (pl.col("offer_id") != "none"))["propensity"]
    assert given.unique().to_list() == pytest.approx([0.8 / 3])
    chances = decisions.select(pl.col("candidates").list.eval(pl.element().struct.field("prob")).list.sum())
    assert chances.to_series().to_list() == pytest.approx([1.0] * 600)


def test_each_record_can_be_made_again() -> None:
    decisions = deliver.decide(rows(), consent(), TERMS, 0)
    for record in decisions.iter_rows(named=True):
        assert deliver.replay_decision(record, TERMS) == record
