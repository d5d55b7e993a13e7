"""Hours at which customers answer are found where there are any, and nobody's own are made up of a send or two."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from promolift.core.decisions import SendSlot, fit_response_hours, hour_of_week
from promolift.core.decisions.response_hours import MAX_WAIT_HOURS, MIN_ANSWERS, WEEK_HOURS

MONDAY = round(datetime(2026, 1, 5, tzinfo=UTC).timestamp() * 1000)


def log(sends: int, evening: float, seed: int = 0, people: int = 50) -> pl.DataFrame:
    """Half of the customers answer at 20 o'clock alone, the others at 8; both get sends at drawn hours."""
    rng = np.random.default_rng(seed)
    who, hour = rng.integers(0, people, sends), rng.integers(0, WEEK_HOURS, sends)
    wait = (np.where(who % 2, 20, 8) - hour % 24) % 24
    hit = rng.random(sends) < evening * np.exp(-wait / 6)
    answered = pl.Series([int(w) if h else None for w, h in zip(wait, hit, strict=True)], dtype=pl.Int64)
    return pl.DataFrame({"customer_id": [f"u{w}" for w in who], "channel": rng.choice(["email", "push"], sends),
                         "hour": hour, "answered": answered})  # fmt: skip


def test_each_customers_own_hour_is_found() -> None:
    found = fit_response_hours(log(6000, 0.8))
    assert found is not None
    slots = [SendSlot("email", MONDAY + hour * 3_600_000) for hour in (7, 13, 19)]
    for who, best in (("u1", 19), ("u3", 19), ("u2", 7), ("u4", 7)):
        assert hour_of_week(found.rank(who, slots, "UTC")[0].send_ms, "UTC") == best
    assert 0 < found.probability("u1", "email", 3) < found.probability("u1", "email", 19) < 1


def test_whom_nothing_was_sent_is_taken_for_the_average() -> None:
    found = fit_response_hours(log(6000, 0.8))
    assert found is not None
    new = found.probability("nobody", "email", 19)
    own = [found.probability(f"u{n}", "email", 19) for n in range(50)]
    assert min(own) < new < max(own)


def test_customers_who_are_alike_keep_factors_near_one() -> None:
    rng = np.random.default_rng(1)
    rows = log(3000, 0.0).with_columns(answered=pl.Series(np.where(rng.random(3000) < 0.3, 2, -1)))
    found = fit_response_hours(rows.with_columns(pl.when(pl.col("answered") >= 0).then("answered")))
    assert found is not None
    assert np.abs(found.own_UH - 1).max() < 0.5
    assert found.probability("u1", "push", 10) == pytest.approx(0.3, abs=0.06)


def test_probabilities_add_up_to_what_was_answered() -> None:
    rows = log(6000, 0.5)
    found = fit_response_hours(rows)
    assert found is not None
    said = [found.probability(who, channel, hour) for who, channel, hour, _ in rows.head(1500).iter_rows()]
    assert np.mean(said) == pytest.approx(rows.head(1500)["answered"].is_not_null().mean(), rel=0.12)


def test_few_answers_teach_nothing_and_late_ones_are_none() -> None:
    rows = log(6000, 0.8)
    assert fit_response_hours(rows.drop_nulls("answered").head(MIN_ANSWERS - 1)) is None
    assert fit_response_hours(rows.with_columns(pl.col("answered") + MAX_WAIT_HOURS)) is None


def test_slots_on_a_channel_that_nothing_was_sent_on_stay_as_they_stand() -> None:
    found = fit_response_hours(log(6000, 0.8))
    assert found is not None
    slots = [SendSlot("sms", MONDAY), SendSlot("email", MONDAY + 19 * 3_600_000)]
    assert found.rank("u1", slots, "UTC") == slots
