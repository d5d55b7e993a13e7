"""Data that make expectations explode: rare flags, codes for missing, point masses, heavy tails, odd units."""

import numpy as np
import polars as pl
import pytest
from drawn import cases
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.effects.trial_arrays import Floats, Ints, TrialArrays, row_keys
from promolift.core.effects.uplift.average_effects import adjusted_means
from promolift.core.effects.uplift.learner_selection import EffectSettings
from promolift.core.effects.uplift.linear_learners import build_design, fit_basis, fit_linear
from promolift.core.effects.uplift.uplift_model import fit_effects

LEAN = EffectSettings(rich=("response", "additive", "multiplicative-sparse", "t-trees", "dr-trees"), folds=2)


def donations(n: int, seed: int) -> tuple[pl.DataFrame, Ints, Floats]:
    """Letters to former donors: 2 % give, a few of them much; flags that a handful carry; codes; a point mass."""
    rng = np.random.default_rng(seed)
    last = np.exp(rng.normal(3.5, 1, n))
    flags = {f"flag{i}": (rng.uniform(size=n) < share).astype(int) for i, share in enumerate((0.0004, 0.001, 0.01))}
    age = np.where(rng.uniform(size=n) < 0.05, -999.0, rng.normal(60, 12, n))
    months = np.where(rng.uniform(size=n) < 0.7, 0.0, rng.exponential(12, n))
    gives = rng.uniform(size=n) < 1 / (1 + np.exp(4.2 - 0.25 * np.log(last) - 1.5 * flags["flag0"]))
    arm = rng.integers(0, 3, n)
    gift = np.where(gives, np.round(last * np.exp(rng.normal(0, 0.7, n)), 2), 0.0)
    gift[np.flatnonzero(gives)[:2]] = 1500.0
    return pl.DataFrame({"last": last, "age": age, "months": months, **flags}), arm, gift


def test_rare_money_beside_rare_flags_and_codes_is_expected_where_it_was_seen() -> None:
    x, arm, y = donations(9000, 1)
    model = fit_effects(x, arm, y, settings=LEAN)
    plain = np.array([y[arm == a].mean() - y[arm == 0].mean() for a in (1, 2)])
    assert np.abs(model.average.gain_K - plain).max() < 0.5 * model.average.se_K.max()
    gains = model.predict(x).gain_NK
    assert np.abs(gains - model.average.gain_K).max() < 20 * y.mean()
    expected = model.predict_outcomes(x)
    assert expected.max() < y.max()
    assert np.abs(expected.mean(axis=0) - y.mean()).max() < 0.5 * y.mean()


def test_a_flag_of_a_handful_moves_no_linear_predictor_far() -> None:
    """Without a floor under its scale, 8 carriers who all gave much reach a mean of thousands."""
    rng = np.random.default_rng(2)
    n = 8000
    flag = np.zeros(n)
    flag[:18] = 1.0
    y = np.where(rng.uniform(size=n) < 0.02, rng.exponential(20, n), 0.0)
    y[:18] = 60.0
    x = np.column_stack([flag, rng.normal(size=(n, 3))])
    arm = np.arange(n) % 2
    order = np.argsort(arm, kind="stable")
    trial = TrialArrays(x[order], arm[order], y[order], np.full((n, 2), 0.5), row_keys(x, 0), ())
    model = fit_linear(build_design(trial, "count"), sparse=True)
    wild = np.array([[1.0, 9.0, -9.0, 9.0]])
    assert model.mean(model.basis.columns(wild)).max() <= y.max()
    assert np.abs(model.eta(model.basis.columns(x))).max() < 12


@pytest.mark.parametrize("code", [-999.0, -1.0e6, 99_999.0])
def test_a_code_for_missing_is_no_amount(code: float) -> None:
    rng = np.random.default_rng(3)
    age = rng.normal(50, 10, 3000)
    age[::20] = code
    basis = fit_basis(age[:, None])
    assert basis.code_F[0] == code
    z = basis.columns(age[:, None])
    known = np.r_[age, 30.0, 70.0][:, None]
    assert np.ptp(basis.columns(known)[:, 1]) < 8  # the code does not stretch the scale
    assert z[0, 1] == pytest.approx(0, abs=0.2)
    assert np.isnan(fit_basis(np.r_[np.zeros(900), rng.exponential(5, 2100)][:, None]).code_F[0])  # nought is a value


def test_a_learner_that_contradicts_the_doubly_robust_average_leaves_and_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from promolift.core.effects.uplift import uplift_model

    gains = uplift_model.predict_gains

    def planted(*given: object) -> Floats:
        found = gains(*given)  # type: ignore[arg-type]
        found[:, :, 3] += 50.0
        return found

    monkeypatch.setattr(uplift_model, "predict_gains", planted)
    x, arm, y = donations(4000, 4)
    model = fit_effects(x, arm, y, settings=LEAN)
    assert model.stray == ("additive",)
    assert "Left out" in model.explain()
    assert "additive" in model.explain().split("Left out")[1]


@cases(25)
@given(st.integers(0, 2**32 - 1), st.data())
def test_no_effect_is_larger_than_outcomes_differ(seed: int, data: st.DataObject) -> None:
    """Any types, codes, skews, sizes and units: an answer within what was seen, and no warning or traceback."""
    rng = np.random.default_rng(seed)
    n = data.draw(st.integers(140, 500))
    unit = 10.0 ** data.draw(st.integers(-9, 9))
    columns = {}
    for i in range(data.draw(st.integers(1, 4))):
        kind = data.draw(st.sampled_from(["normal", "heavy", "code", "mass", "rare", "text", "gone", "same", "huge"]))
        values = rng.normal(size=n)
        match kind:
            case "heavy":
                values = rng.standard_cauchy(n) ** 3
            case "code":
                values[rng.uniform(size=n) < 0.1] = -999
            case "mass":
                values[rng.uniform(size=n) < 0.8] = 0
            case "rare":
                values = (rng.uniform(size=n) < 0.01).astype(float)
            case "same":
                values = np.full(n, 7.0)
            case "huge":
                values = values * 1e300
        column = pl.Series(f"c{i}", values)
        if kind == "text":
            column = pl.Series(f"c{i}", rng.choice(["a", "b", "ü", ""], n))
        if kind == "gone":
            column = pl.Series(f"c{i}", values).set(pl.Series(rng.uniform(size=n) < 0.9), None)
        columns[f"c{i}"] = column
    arms = data.draw(st.integers(2, 3)) if n > 300 else 2
    arm = rng.permutation(np.arange(n) % arms)
    y = {
        "binary": (rng.uniform(size=n) < 0.1).astype(float), "same": np.full(n, 3.0), "real": rng.normal(size=n) - 5,
        "money": (rng.uniform(size=n) < 0.05) * np.exp(rng.normal(0, 2, n)), "one": np.eye(n)[3],
        "heavy": rng.standard_cauchy(n), "count": rng.poisson(2, n).astype(float),
    }[data.draw(st.sampled_from(["binary", "same", "real", "money", "one", "heavy", "count"]))]  # fmt: skip
    y = y if np.isin(y, (0, 1)).all() else y * unit
    model = fit_effects(pl.DataFrame(columns), arm, y, settings=LEAN)
    effect = model.predict(pl.DataFrame(columns))
    reach = float(np.ptp(y)) * (1 + 1e-9) + 1e-300
    assert np.isfinite(effect.gain_NK).all()
    assert np.isfinite(effect.se_NK).all()
    assert np.abs(model.average.gain_K).max() <= reach
    assert np.abs(effect.gain_NK).max() <= 2 * reach
    assert model.explain()


def test_the_average_is_never_noisier_than_the_plain_difference() -> None:
    """1,000 of 10,000 treated, 0.7 % respond: features that predict nothing take nothing away."""
    errors = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        n = 4000
        x = rng.normal(size=(n, 12))
        arm = (rng.uniform(size=n) < 0.1).astype(int)
        y = (rng.uniform(size=n) < 0.02).astype(float)
        share = np.tile([1 - arm.mean(), arm.mean()], (n, 1))
        trial = TrialArrays(x, arm, y, share, row_keys(x, 0), ())
        errors.append((adjusted_means(trial, y).gain_K[0], y[arm == 1].mean() - y[arm == 0].mean()))
    ours, plain = np.sqrt(np.mean(np.square(errors), axis=0))
    assert ours < 1.02 * plain


def test_the_past_explains_what_is_left_of_the_noise() -> None:
    """Amounts with a heavy tail whose past explains 99 %: as precise as least squares, whatever the tail."""
    rng = np.random.default_rng(5)
    n = 3000
    past = np.exp(rng.normal(3, 1.5, n))
    arm = rng.integers(0, 2, n)
    y = past * np.exp(rng.normal(0, 0.02, n)) + 1.0 * arm
    trial = TrialArrays(past[:, None], arm, y, np.full((n, 2), 0.5), row_keys(past[:, None], 0), ("past",))
    found = adjusted_means(trial, y)
    design = np.column_stack([np.ones(n), arm, past])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    assert found.se_K[0] < 1.1 * 2 * residual.std() / np.sqrt(n)
    assert abs(found.gain_K[0] - 1.0) < 3 * found.se_K[0]


def test_clusters_carry_the_error_and_few_of_them_widen_it() -> None:
    held, naive = [], []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        shop = np.repeat(np.arange(40), 30)
        arm = rng.permutation(np.arange(40) % 2)[shop]
        x = rng.normal(size=(1200, 2))
        y = rng.normal(size=40)[shop] + x[:, 0] + rng.normal(size=1200)
        trial = TrialArrays(x, arm, y, np.full((1200, 2), 0.5), row_keys(x, 0), ())
        found, plain = adjusted_means(trial, y, cluster_N=shop), adjusted_means(trial, y)
        held.append(abs(found.gain_K[0]) <= found.reach_K[0])
        naive.append(abs(plain.gain_K[0]) <= plain.reach_K[0])
    assert np.mean(held) > 0.89
    assert np.mean(naive) < 0.6
