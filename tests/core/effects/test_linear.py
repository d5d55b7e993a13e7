import numpy as np
import pytest
from effect_trials import by_arm, draw, trial

from promolift.core.effects.trial_arrays import CachedRows
from promolift.core.effects.uplift.linear_learners import (
    build_design,
    fit_additive,
    fit_basis,
    fit_linear,
    fit_ridge,
    inverse_link,
    link,
    outcome_family,
)
from promolift.core.effects.uplift.nuisance import subset_trial


def test_a_basis_flags_what_is_missing_and_bends_at_quantiles() -> None:
    x = np.array([[0.0, 5.0], [1.0, 5.0], [np.nan, 5.0], [2.0, 5.0]])
    basis = fit_basis(x)
    assert basis.source_P.tolist() == [0, 0]  # the constant column is dropped; a feature and its flag
    assert np.isnan(basis.knot_P[0])
    assert np.isposinf(basis.knot_P[1])
    z = basis.columns(x)
    assert z[:, 0].tolist() == [1.0] * 4
    assert z[2, 1] == pytest.approx(0)  # missing sits at the average
    assert z[2, 2] > 1 > 0 > z[0, 2]
    smooth = fit_basis(np.random.default_rng(0).normal(size=(500, 1)))
    assert len(smooth.source_P) == 6


def test_a_customer_beyond_all_training_is_not_extrapolated() -> None:
    rng = np.random.default_rng(0)
    basis = fit_basis(rng.normal(size=(1000, 1)))
    assert basis.columns(np.array([[50.0]]))[0, 1] == basis.columns(np.array([[500.0]]))[0, 1] < 4


def test_the_shrunk_fit_is_the_ridge_it_says() -> None:
    rng = np.random.default_rng(1)
    z, beta = rng.normal(size=(300, 5)), np.array([2.0, 1, -1, 0.5, 0])
    y = z @ beta + rng.normal(size=300)
    group = np.array([-1, 0, 0, 0, 0])
    found, variance = fit_ridge(z.T @ z, z.T @ y, group, np.array([0.1]))
    ridge = np.linalg.solve(z.T @ z + np.diag([1e-8, *[1 / variance[0]] * 4]), z.T @ y)
    np.testing.assert_allclose(found, ridge, rtol=1e-3)
    assert variance[0] == pytest.approx((beta[1:] ** 2).mean(), rel=0.5)


def test_variances_are_the_fixed_point_of_the_evidence() -> None:
    rng = np.random.default_rng(3)
    z = rng.normal(size=(60, 6))
    gram, pull = z.T @ z / 9, z.T @ (z @ rng.normal(size=6) + 3 * rng.normal(size=60)) / 9  # noise of variance 9
    beta, variance = fit_ridge(gram, pull, np.zeros(6, dtype=np.int64), np.array([1.0]))
    cov = np.linalg.inv(gram + np.eye(6) / variance[0])
    assert variance[0] == pytest.approx((beta @ beta) / (6 - np.trace(cov) / variance[0]), rel=0.01)
    assert variance[0] > 1.1 * (beta @ beta) / 6  # shrunk coefficients alone would understate it


def test_a_group_of_noise_shrinks_to_nothing_and_a_held_one_is_zero() -> None:
    rng = np.random.default_rng(2)
    z = rng.normal(size=(500, 8))
    y = 3 * z[:, 0] + rng.normal(size=500)
    found, variance = fit_ridge(z.T @ z, z.T @ y, np.array([0, 1, 1, 1, 1, 1, 1, -2]), np.array([0.1, 0.1]))
    assert found[0] == pytest.approx(3, abs=0.15)
    assert variance[1] < 0.02 < 1 < variance[0]
    assert np.abs(found[1:7]).max() < 0.1
    assert found[7] == 0


@pytest.mark.parametrize("sparse", [False, True])
def test_the_gram_matrix_by_arms_gives_the_fit_of_the_full_design(sparse: bool) -> None:
    """With no penalty left to matter, Newton on Kronecker blocks is plain logistic regression of each arm."""
    x, arm, y, _ = draw(4000, 3, "turning", arms=3)
    made = by_arm(trial(x, arm, y))
    model = fit_linear(build_design(made, "binary"), sparse=sparse)
    mu_NA = model.mean(model.basis.columns(made.x_NF))
    for a in range(3):
        mine = made.arm_N == a
        assert mu_NA[mine, a].mean() == pytest.approx(made.outcome_N[mine].mean(), abs=2e-3)  # free intercepts
    assert model.coef_MP[1, 0] == 0  # "any treatment" has no intercept beside those of each treatment


def test_interactions_are_found_where_they_are_and_vanish_where_not() -> None:
    x, arm, y, gain = draw(6000, 4, "segment")
    made = trial(x, arm, y)
    found = fit_linear(build_design(by_arm(made), "binary")).gain(CachedRows(made.x_NF))
    assert ((found - gain) ** 2).mean() < 0.15 * gain.var()
    x, arm, y, _ = draw(6000, 5, "none")
    made = trial(x, arm, y)
    assert fit_linear(build_design(by_arm(made), "binary")).gain(CachedRows(made.x_NF)).std() < 0.02


def test_a_fit_without_a_fold_is_the_fit_to_the_other_rows() -> None:
    x, arm, y, _ = draw(3000, 8, "turning")
    made = by_arm(trial(x, arm, y))
    fold = np.arange(3000) % 3
    order = np.lexsort((made.arm_N, fold))
    ready, fold = subset_trial(made, order), fold[order]
    held = fit_linear(build_design(ready, "binary", fold), 1, sparse=True)
    alone = fit_linear(build_design(by_arm(subset_trial(ready, fold != 1)), "binary"), sparse=True)
    gap = held.gain(CachedRows(made.x_NF)) - alone.gain(CachedRows(made.x_NF))
    assert gap.std() < 0.15 * alone.gain(CachedRows(made.x_NF)).std()
    every = fit_linear(build_design(ready, "binary", fold), None, sparse=True)
    assert (
        np.abs(every.gain(CachedRows(made.x_NF)) - held.gain(CachedRows(made.x_NF))).max() > 0.01
    )  # a fold does move it


def test_sparse_interactions_beat_dense_ones_where_one_feature_matters() -> None:
    rng = np.random.default_rng(6)
    x, arm = rng.normal(size=(2000, 40)), rng.integers(0, 2, 2000)
    gain = 2.0 * x[:, 0]
    y = x[:, 1] + arm * gain + rng.normal(size=2000)
    import polars as pl

    made = trial(pl.DataFrame(x), arm, y)
    design = build_design(by_arm(made), "real")
    error = {s: np.mean((fit_linear(design, sparse=s).gain(CachedRows(x))[:, 0] - gain) ** 2) for s in (False, True)}
    assert error[True] < 0.5 * error[False] < 0.1 * gain.var()


def test_scores_regressed_give_the_line_they_lie_on() -> None:
    x, arm, y, _ = draw(3000, 7)
    made = by_arm(trial(x, arm, y))
    spend = made.x_NF[:, 0]
    psi = np.column_stack([1 + 2 * spend, 1 - spend]) + np.random.default_rng(0).normal(size=(3000, 2))
    got = fit_additive(build_design(made, "binary"), psi).gain(CachedRows(made.x_NF))
    middle = np.abs(spend) < 1.5
    np.testing.assert_allclose(got[middle, 0], 1 + 2 * spend[middle], atol=0.35)
    np.testing.assert_allclose(got[middle, 1], 1 - spend[middle], atol=0.35)


def test_families_and_links() -> None:
    assert outcome_family(np.array([0.0, 1.0])) == "binary"
    assert outcome_family(np.array([0.0, 12.5])) == "count"
    assert outcome_family(np.array([-1.0, 2.0])) == "real"
    for family in ("binary", "count", "real"):
        assert inverse_link(link(np.array([0.3]), family), family)[0] == pytest.approx(0.3)
