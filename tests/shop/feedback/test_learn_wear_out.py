"""What a message adds after another one is learned apart, so that wear-out shows beside the mean effect."""

import numpy as np
import polars as pl
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.decisions.decision_rule import LineEffect
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.feedback.next_release import HABITS, count_earlier_sends, effect_sentence, learned_effects
from promolift.shop.feedback.opt_outs import FOLLOW_DAYS
from promolift.shop.pipeline.planning.arms_in_play import CELLS

CUSTOMERS, WINDOW = 3000, 28
CELL = pl.DataFrame([("reminder", "all", 0.0, 100.0, 0.0, CUSTOMERS, 1000.0, False)], schema=CELLS, orient="row")


def months_of_draws(first: float, again: float, seed: int, months: int = 3) -> pl.DataFrame:
    """Draws of a reminder that adds `first` cents to who had none in the 84 days before, and `again` to all others."""
    rng, sent = np.random.default_rng(seed), np.zeros(CUSTOMERS, dtype=bool)
    parts = []
    for month in range(months):
        got = rng.random(CUSTOMERS) < 0.5
        value = rng.normal(500.0, 40.0, CUSTOMERS) + np.where(got, np.where(sent, again, first), 0.0)
        parts.append(pl.DataFrame({
            "customer_id": [f"{k:04d}" for k in range(CUSTOMERS)], "group": "all", "ts_ms": month * WINDOW * DAY_MS,
            "none_prob": 0.5, "sends": 3.0, "refused": 0.0, "arms": [[{"arm": "reminder", "prob": 0.5}]] * CUSTOMERS,
            "arm": np.where(got, "reminder", "none"), "cost": 0.0, "value": value, "window": value, "visits": 0.0,
            **dict.fromkeys(("past_window", "past", *HABITS), 0.0),
        }, schema_overrides={"ts_ms": pl.Int64}))  # fmt: skip
        sent |= got
    return pl.concat(parts)


def learned(rows: pl.DataFrame) -> LineEffect:
    (effect,) = learned_effects(CELL, rows, 0.8, "assumed")
    return effect


@cases(8)
@given(st.sampled_from([0.0, 20.0, 60.0]), st.sampled_from([-30.0, 0.0, 60.0]), st.integers(0, 999))
def test_what_a_message_adds_after_another_is_told_apart(first: float, again: float, seed: int) -> None:
    rows = months_of_draws(first, again, seed)
    found = learned(rows)
    assert found.n_again == count_earlier_sends(rows).filter((pl.col("earlier") > 0) & (pl.col("arm") != "none")).height
    assert found.again_cents is not None
    assert found.again_se_cents is not None
    assert found.drawn_cents is not None
    assert found.again_cents + found.refusal_cents == pytest.approx(again, abs=4 * found.again_se_cents)
    share = found.n_again / found.n_arm
    assert found.drawn_cents == pytest.approx(first + share * (again - first), abs=8.0)
    assert f"on {found.n_again} who had a message" in effect_sentence(found, lambda cents: f"{cents:.0f}")


def test_in_the_first_window_nobody_had_a_message_and_nothing_is_said_of_it() -> None:
    found = learned(months_of_draws(20.0, 0.0, 1, months=1))
    assert (found.again_cents, found.again_se_cents, found.n_again) == (None, None, 0)
    assert "who had a message" not in effect_sentence(found, lambda cents: f"{cents:.0f}")


@cases(40)
@given(st.lists(st.tuples(st.integers(0, 200), st.booleans()), min_size=1, max_size=8, unique_by=lambda one: one[0]))
def test_a_message_counts_for_84_days_and_never_for_itself(draws: list[tuple[int, bool]]) -> None:
    rows = pl.DataFrame([("c", day * DAY_MS, "reminder" if sent else "none") for day, sent in draws],
                        schema=["customer_id", "ts_ms", "arm"], orient="row")  # fmt: skip
    found = count_earlier_sends(rows)
    assert found["ts_ms"].to_list() == rows["ts_ms"].to_list()
    for (day, _), earlier in zip(draws, found["earlier"], strict=True):
        assert earlier == sum(sent and 0 < day - at <= FOLLOW_DAYS for at, sent in draws)
