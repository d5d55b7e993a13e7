"""How much a richer member weighs: the least that will do, and judged by those who had no say in it."""

import numpy as np
import pytest

from promolift.core.customers.forecasts.model_weights import (
    GROWN,
    WEIGHTS,
    ModelWeight,
    choose_weight,
    is_still_valid,
    paired_difference,
    smallest_sufficient_weight,
)


def test_the_least_weight_within_one_standard_error_of_the_best():
    noise = np.random.default_rng(1).normal(size=400)
    better = np.stack([0.5 + 0 * noise, 0.3 + 0.01 * noise, 0.2 + 0.2 * noise, 0.2 + 0.2 * noise, 0.4 + 0 * noise], 1)
    assert smallest_sufficient_weight(better, np.arange(400)) == 2  # as good as the third, of less weight
    close = np.stack([0.5 + noise, 0.5 + noise - 0.01 * (noise > 0) + 0.01 * (noise < 0)], axis=1)
    assert smallest_sufficient_weight(close, np.arange(400)) == 0
    assert smallest_sufficient_weight(np.ones((9, len(WEIGHTS))), np.arange(9)) == 0


def test_rows_of_one_customer_are_one_witness():
    gap = np.repeat([0.4, -0.2, 0.1, 0.3], 50)
    alone, together = paired_difference(gap, np.arange(200)), paired_difference(gap, np.repeat(np.arange(4), 50))
    assert together.mean == alone.mean == pytest.approx(0.15)
    assert together.se == pytest.approx(alone.se * 50**0.5)


def test_each_half_of_the_customers_gets_the_weight_that_the_other_chose():
    first = np.arange(200) < 100
    loss = np.where(first[:, None], np.linspace(0.6, 0.2, 5), np.linspace(0.2, 0.5, 5))
    found = choose_weight(loss, np.arange(200), first)
    assert (found.at, set(found.at_R[first]), set(found.at_R[~first])) == (4, {0}, {4})
    assert set(choose_weight(loss[60:], np.arange(60, 200), first[60:]).at_R) == {0}  # 40 choose nothing; 100 choose 0


def test_a_verdict_holds_for_its_time_and_its_log():
    note = ModelWeight(weight=0.0, why="", n=9, judged_ms=1_000, log_rows=100)
    assert is_still_valid(note, 1_000, 50, 100)
    assert is_still_valid(note, 1_049, 50, int(100 * GROWN) - 1)
    assert not is_still_valid(note, 1_050, 50, 100)
    assert not is_still_valid(note, 1_000, 50, int(100 * GROWN))
    assert not is_still_valid(note, 999, 50, 100)
    assert not is_still_valid(note.model_copy(update={"weight": 0.5}), 1_000, 50, 100)
    assert not is_still_valid(note.model_copy(update={"judged_ms": None}), 1_000, 50, 100)
    assert not is_still_valid(None, 1_000, 50, 100)
