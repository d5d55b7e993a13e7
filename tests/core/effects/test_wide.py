"""Wide and long trials: what bounds the cost, that it takes nothing from narrow ones, and that it is said."""

import numpy as np
import pytest
from effect_trials import by_arm, draw
from effect_trials import trial as draw_trial

from promolift.core.effects import trial_arrays as trials
from promolift.core.effects.trial_arrays import CachedRows, TrialArrays
from promolift.core.effects.uplift import linear_learners, nuisance, uplift_model
from promolift.core.effects.uplift.average_effects import average_effects
from promolift.core.effects.uplift.learner_selection import EffectSettings
from promolift.core.effects.uplift.linear_learners import (
    MAX_COLUMNS,
    build_design,
    fit_additive,
    fit_basis,
    fit_linear,
    screen_columns,
)
from promolift.core.effects.uplift.nuisance import fold_count
from promolift.core.effects.uplift.uplift_model import fit_effects, training_rows

LEAN = EffectSettings(rich=("multiplicative",), folds=2)


def plain(x: np.ndarray, arm: np.ndarray, y: np.ndarray) -> TrialArrays:
    keys = np.random.default_rng(0).integers(0, 2**63, len(y)).astype(np.uint64)
    return TrialArrays(x, arm, y, np.full((len(y), 2), 0.5), keys, ())


@pytest.mark.parametrize(
    ("features", "columns"),
    [(1, 6), (23, 138), (24, 96), (35, 140), (36, 72), (70, 140), (71, 71), (160, 160)],
    ids=["one", "all knots", "three", "three at most", "one knot", "one at most", "none", "to be screened"],
)
def test_a_wide_basis_has_fewer_knots_and_a_narrow_one_all_of_them(features: int, columns: int) -> None:
    basis = fit_basis(np.random.default_rng(0).normal(size=(300, features)))
    assert len(basis.source_P) == columns
    assert np.unique(basis.source_P).tolist() == list(range(features))  # every feature itself stays


def test_the_knot_that_is_left_is_the_middle_one_and_flags_of_missing_values_stay() -> None:
    x = np.random.default_rng(0).normal(size=(1001, 50))
    x[::9] = np.nan
    basis = fit_basis(x)
    assert len(basis.source_P) == 100  # with a knot each it would be 150
    assert np.isposinf(basis.knot_P).sum() == 50
    inner = fit_basis(x[1::9][:, :40]).knot_P
    np.testing.assert_allclose(inner[np.isfinite(inner)], np.median(x[1::9][:, :40], axis=0))


def test_screening_keeps_what_the_target_hangs_on_and_nothing_is_screened_below_the_limit() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(2000, MAX_COLUMNS + 60))
    x[:, 3] = 0.0  # never a column
    psi = np.column_stack([x[:, 150] + rng.normal(size=2000), x[:, 7] + rng.normal(size=2000)])
    basis = screen_columns(fit_basis(x), x, psi)
    assert len(basis.source_P) == MAX_COLUMNS
    assert {7, 150} <= set(basis.source_P.tolist())
    assert (np.diff(basis.source_P) > 0).all()
    few = fit_basis(x[:, :MAX_COLUMNS])
    assert screen_columns(few, x[:, :MAX_COLUMNS], psi) is few


@pytest.mark.parametrize("sign", [1, -1])
def test_a_modifier_that_does_not_move_the_outcome_itself_survives_screening(
    sign: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear_learners, "MAX_COLUMNS", 5)
    rng = np.random.default_rng(2)
    x, half = rng.normal(size=(1500, 60)), np.repeat([0, 1], 1500)
    x = np.vstack([x, x])
    y = sign * 4 * (half - 0.5) * x[:, 33]  # opposite slopes: no tie over both arms
    noisy = y + 0.5 * x[:, :12].sum(axis=1) + 0.3 * rng.normal(size=3000)  # twelve others have one
    design = build_design(by_arm(plain(x, half, noisy)), "real")
    assert len(design.basis.source_P) == 5
    assert 33 in design.basis.source_P
    assert np.corrcoef(fit_linear(design).gain(CachedRows(x))[:, 0], sign * x[:, 33])[0, 1] > 0.9
    made = by_arm(plain(x, half, y))
    psi = (2 * made.outcome_N * (2 * made.arm_N - 1))[:, None]
    assert (
        np.corrcoef(fit_additive(build_design(made, "real"), psi).gain(CachedRows(x))[:, 0], sign * x[:, 33])[0, 1]
        > 0.9
    )


def test_screened_columns_are_chosen_without_the_fold_that_they_are_judged_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise alone, and more columns than are kept: chosen on all rows, they would tell the judging rows apart."""
    monkeypatch.setattr(linear_learners, "MAX_COLUMNS", 4)
    monkeypatch.setattr(nuisance, "MAX_COLUMNS", 4)
    z = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x, arm, y = rng.normal(size=(600, 60)), rng.integers(0, 2, 600), rng.normal(size=600)
        z.append(fit_effects(x, arm, y, settings=EffectSettings(rich=("additive",), folds=2)).verdict.z_C[2])
    assert abs(np.mean(z)) < 3 * 1.2 / np.sqrt(12)


def test_where_no_feature_varies_everybody_gets_the_average() -> None:
    rng = np.random.default_rng(0)
    arm = rng.integers(0, 2, 400)
    y = (rng.uniform(size=400) < 0.3 + 0.2 * arm).astype(float)
    model = fit_effects(np.ones((400, 2)), arm, y, settings=LEAN)
    assert model.chosen == "none"
    assert (model.predict(np.ones((3, 2))).gain_NK == model.average.gain_K).all()
    assert model.average.gain_K[0] == pytest.approx(y[arm == 1].mean() - y[arm == 0].mean(), abs=0.01)


def test_few_rows_teach_all_judge_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    x, arm, y, gain = draw(6000, 1, "turning")
    full = fit_effects(x, arm, y, settings=LEAN)
    assert full.learned is None
    assert "learned from" not in full.explain()
    monkeypatch.setattr(
        uplift_model, "MAX_TRAINING_CELLS", 15_000
    )  # 6 numbers: spend, member, two regions and other, age
    heard: list[float] = []
    learned: list[int] = []
    fitted = uplift_model.fit_nuisance
    watched = lambda rows, *more: (learned.append(len(rows.arm_N)), fitted(rows, *more))[1]  # noqa: E731
    monkeypatch.setattr(uplift_model, "fit_nuisance", watched)
    some = fit_effects(x, arm, y, settings=LEAN, on_progress=heard.append)
    assert heard == sorted(heard)
    assert heard[-1] == 1.0
    assert some.learned == sum(learned) == 2500
    assert some.rows == 6000
    assert "learned from 2500 of them" in some.explain()
    assert some.average.se_K[0] == pytest.approx(full.average.se_K[0], rel=0.05)  # all rows are in the average
    assert ((some.predict(x).gain_NK - gain) ** 2).mean() < 0.3 * gain.var()
    again = uplift_model.EffectModel.from_parts(*some.to_parts())
    assert again.learned == 2500


def test_rows_that_teach_are_all_of_few_and_enough_of_a_rare_arm(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = np.arange(4000) % 40 == 0
    trial = plain(np.ones((4000, 2)), arm.astype(np.int64), np.zeros(4000))
    assert training_rows(trial) == 4000
    monkeypatch.setattr(uplift_model, "MAX_TRAINING_CELLS", 1000)
    assert training_rows(trial) == 2000  # 500 hold 13 of the rare arm, 1000 hold 25, 2000 hold 50


def test_predicting_in_chunks_is_predicting_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    x, arm, y, _ = draw(1500, 4, "turning")
    model = fit_effects(x, arm, y, settings=LEAN)
    whole = model.predict(x)
    assert whole.gain_NK.std() > 0.01
    monkeypatch.setattr(trials, "CHUNK_ROWS", 400)
    np.testing.assert_allclose(model.predict(x).gain_NK, whole.gain_NK, rtol=1e-9)
    assert fit_effects(x, arm, y, settings=LEAN).chosen == pytest.approx(model.chosen)


@pytest.mark.parametrize(
    ("rows", "features", "folds"),
    [(39_999, 40, 5), (40_000, 40, 3), (39_999, 41, 3), (12_000, 70, 5), (20_000, 200, 2)],
)
def test_wide_rows_are_refitted_as_seldom_as_many_rows(rows: int, features: int, folds: int) -> None:
    trial = plain(np.zeros((rows, features)), np.zeros(rows, dtype=np.int64), np.zeros(rows))
    assert fold_count(trial) == folds


def test_averages_and_the_basis_of_a_long_trial_are_taken_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    x, arm, y, _ = draw(1500, 4, "turning")
    trial = draw_trial(x, arm, y)
    x_NF = trial.x_NF
    whole, basis = average_effects(trial, {"y": y}, "randomised"), fit_basis(x_NF)
    monkeypatch.setattr(trials, "CHUNK_ROWS", 400)
    widest, columns = [0], linear_learners.Basis.columns

    def watched(self: linear_learners.Basis, x_NF: np.ndarray, spare: int = 0) -> np.ndarray:
        widest[0] = max(widest[0], len(x_NF))
        return columns(self, x_NF, spare)

    monkeypatch.setattr(linear_learners.Basis, "columns", watched)
    parted = average_effects(trial, {"y": y}, "randomised")
    assert 0 < widest[0] <= 400
    for name in ("control_mean", "effect", "se"):
        np.testing.assert_allclose(parted[name].to_numpy(), whole[name].to_numpy(), rtol=1e-9)
    np.testing.assert_allclose(fit_basis(x_NF).scale_P, basis.scale_P, rtol=1e-9)
