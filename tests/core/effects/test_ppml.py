"""The estimator recovers what made the data, says how sure it is, and refuses where nothing varies."""

import numpy as np
import polars as pl
from error_checks import raises_code

from promolift.core.effects.offer_value.discount_response import dense_codes, fit_ppml
from promolift.foundation.errors import SupportError
from promolift.foundation.hashing import hash_units


def world(
    seed: int, people: int = 60, weeks: int = 30, beta: float = 0.8
) -> tuple[np.ndarray, np.ndarray, list, np.ndarray]:
    """Poisson counts whose depth is correlated with both fixed effects, so that a naive slope is wrong."""
    person, week = np.divmod(np.arange(people * weeks), weeks)
    u = hash_units(seed, range(people * weeks))
    depth = np.clip(0.2 * u + 0.2 * (week % 3 == 0) + 0.1 * (person % 2), 0, 1)
    mean = np.exp(1.0 + 0.8 * (person % 2) + 0.5 * (week % 3 == 0) + beta * depth)
    rng = np.random.default_rng(seed)
    return (
        rng.poisson(mean).astype(float),
        depth,
        [person.astype(np.int64), week.astype(np.int64)],
        person.astype(np.int64),
    )


def test_the_interval_covers_the_true_response_and_the_naive_slope_does_not() -> None:
    hits = 0
    for seed in range(40):
        y, depth, effects, people = world(seed)
        fit = fit_ppml(y, depth[:, None], effects, [people])
        hits += abs(fit.beta_K[0] - 0.8) <= 1.96 * fit.se_K[0]
    assert hits >= 34  # 38 expected at 95 %; fewer than 34 has probability below 0.2 %
    y, depth, _, _ = world(0)
    naive = np.polyfit(depth, np.log(y + 1), 1)[0]
    assert naive > 1.5


def test_group_totals_are_reproduced() -> None:
    y, depth, effects, people = world(3)
    fit = fit_ppml(y, depth[:, None], effects, [people])
    for group in effects:
        np.testing.assert_allclose(np.bincount(group, weights=fit.mu_M), np.bincount(group, weights=y), rtol=1e-3)


def test_a_regressor_that_the_fixed_effects_explain_is_refused() -> None:
    y, _, effects, people = world(1)
    weekly = (effects[1] % 3 == 0).astype(float)
    with raises_code("no_variation", kind=SupportError):
        fit_ppml(y, weekly[:, None], effects, [people])


def test_too_few_customers_give_no_error_bar_and_so_no_answer() -> None:
    y, depth, effects, people = world(1, people=6)
    with raises_code("too_few_clusters", "6", "10", kind=SupportError):
        fit_ppml(y, depth[:, None], effects, [people])


def test_codes_number_the_combinations_densely_in_order() -> None:
    frame = pl.DataFrame({"a": ["y", "x", "y"], "b": [1, 1, 1]})
    assert dense_codes(frame, "a", "b").tolist() == [1, 0, 1]


def test_shocks_shared_by_a_group_widen_the_interval() -> None:
    y, depth, effects, people = world(4)
    shock = np.exp(np.random.default_rng(1).standard_normal(30) * 0.5)
    jumpy = np.round(y * shock[effects[1]])
    weekly = depth * 0 + (effects[1] % 4 == 0) * 0.3 + 0.01 * depth
    narrow = fit_ppml(jumpy, weekly[:, None], effects[:1], [people])
    wide = fit_ppml(jumpy, weekly[:, None], effects[:1], [people, effects[1]])
    assert wide.se_K[0] > 1.5 * narrow.se_K[0]
    assert wide.beta_K[0] == narrow.beta_K[0]
