import json

import numpy as np
import polars as pl
import pytest
from effect_trials import draw
from error_checks import raises_code

from promolift.core.effects.uplift.diagnostics import diagnose
from promolift.core.effects.uplift.learner_selection import EffectSettings
from promolift.core.effects.uplift.uplift_model import EffectModel, fit_effects
from promolift.foundation.errors import SupportError

LEAN = EffectSettings(rich=("multiplicative", "dr-trees"), folds=3)


@pytest.fixture(scope="module")
def turning() -> EffectModel:
    x, arm, y, _ = draw(4000, 1, "turning", arms=3)
    return fit_effects(x, arm, y, settings=LEAN)


def test_gains_follow_the_truth_where_customers_differ(turning: EffectModel) -> None:
    x, _, _, gain = draw(3000, 2, "turning", arms=3)
    effect = turning.predict(x)
    assert ((effect.gain_NK - gain) ** 2).mean() < 0.25 * gain.var()
    assert np.median(np.abs(effect.gain_NK - gain) / effect.se_NK) < 3
    assert turning.verdict.answer == "stack"


def test_the_policy_withholds_the_offer_where_it_harms(turning: EffectModel) -> None:
    x, _, _, gain = draw(3000, 2, "turning", arms=3)
    policy = turning.policy(x)
    value = np.column_stack([np.zeros(len(gain)), gain])
    got = value[np.arange(len(policy)), policy].mean()
    assert got > value.mean(axis=0).max() + 0.8 * (value.max(axis=1).mean() - value.mean(axis=0).max())
    assert (policy[x["spend"].to_numpy() < -0.5] == 0).mean() > 0.9


def test_without_any_effect_the_answer_is_none_and_everybody_gets_the_average() -> None:
    x, arm, y, _ = draw(3000, 3, "none", arms=3)
    model = fit_effects(x, arm, y, settings=LEAN)
    effect = model.predict(x[:50])
    assert model.chosen == "none"
    assert (effect.gain_NK == model.average.gain_K).all()
    assert (effect.se_NK == model.average.se_K).all()
    assert (model.policy(x) == model.best_arm).all()
    assert "No difference between customers was detected" in model.explain()


def test_the_policy_keeps_the_best_fixed_arm_unless_the_bound_is_passed(turning: EffectModel) -> None:
    x, arm, y, _ = draw(4000, 1, "turning", arms=3)
    careful = fit_effects(x, arm, y, settings=LEAN.model_copy(update={"bound": 1000.0, "lead": 1000.0}))
    assert (careful.policy(x) == careful.best_arm).all()
    assert careful.predict(x).gain_NK.std(axis=0).min() > 0.05  # the gains are still there: only the claim is not


def test_the_order_of_rows_changes_nothing() -> None:
    x, arm, y, _ = draw(1500, 4, "turning")
    x = pl.concat([x, x[:200]])  # customers who look alike but did not do alike
    arm, y = np.r_[arm, arm[:200]], np.r_[y, 1 - y[:200]]
    order = np.random.default_rng(0).permutation(len(arm))
    first, second = fit_effects(x, arm, y, settings=LEAN), fit_effects(x[order], arm[order], y[order], settings=LEAN)
    assert first.explain() == second.explain()
    np.testing.assert_array_equal(first.predict(x).gain_NK, second.predict(x).gain_NK)


def test_another_seed_folds_anew_and_the_same_one_repeats() -> None:
    x, arm, y, _ = draw(1000, 5, "turning")
    lean = EffectSettings(rich=("multiplicative",), folds=2)
    other = fit_effects(x, arm, y, settings=lean.model_copy(update={"seed": 1})).predict(x).gain_NK
    assert (
        fit_effects(x, arm, y, settings=lean).predict(x).gain_NK
        == fit_effects(x, arm, y, settings=lean).predict(x).gain_NK
    ).all()
    assert (fit_effects(x, arm, y, settings=lean).predict(x).gain_NK != other).any()


def test_a_model_comes_back_from_its_parts_the_same(turning: EffectModel) -> None:
    x, *_ = draw(300, 6, "turning", arms=3)
    arrays, manifest = turning.to_parts()
    again = EffectModel.from_parts(arrays, json.loads(json.dumps(manifest)))
    np.testing.assert_array_equal(again.predict(x).gain_NK, turning.predict(x).gain_NK)
    np.testing.assert_array_equal(again.predict(x).se_NK, turning.predict(x).se_NK)
    assert again.explain() == turning.explain()
    assert (again.policy(x) == turning.policy(x)).all()


def test_parts_that_name_an_unknown_class_or_lack_an_array_are_refused(turning: EffectModel) -> None:
    arrays, manifest = turning.to_parts()
    with raises_code("model_invalid", "'Popen'"):
        EffectModel.from_parts(arrays, {"format": 1, "model": {"class": "Popen", "number": 0, "fields": {}}})
    with raises_code("model_incomplete", "'a"):
        EffectModel.from_parts({}, manifest)
    with raises_code("file_version_unsupported", "format 7", "format 1"):
        EffectModel.from_parts(arrays, {**manifest, "format": 7})


def test_unequal_propensities_are_undone_where_the_naive_average_is_fooled() -> None:
    x, _, _, _ = draw(8000, 7, "none")
    rng = np.random.default_rng(7)
    prob = 1 / (1 + np.exp(-1.5 * x["spend"].to_numpy()))
    arm = (rng.uniform(size=len(prob)) < prob).astype(int)
    y = (rng.uniform(size=len(prob)) < 1 / (1 + np.exp(1.2 - 0.9 * x["spend"].to_numpy()))).astype(float)
    naive = y[arm == 1].mean() - y[arm == 0].mean()
    assert naive > 0.15
    lean = EffectSettings(rich=(), folds=2)
    for given in (prob, np.column_stack([1 - prob, prob]), "estimate"):
        model = fit_effects(x, arm, y, propensity_NK=given, settings=lean)
        assert abs(model.average.gain_K[0]) < 3 * model.average.se_K[0] < 0.1


def test_what_nobody_checked_is_assumed_and_says_so() -> None:
    x, arm, y, _ = draw(900, 11)
    lean = EffectSettings(rich=(), folds=2)
    model = fit_effects(x, arm, y, settings=lean)
    effect = model.predict(x[:3])
    assert (model.level, effect.level) == ("assumed", "assumed")
    assert effect.reason.startswith("unverified")
    assert "Evidence: assumed (unverified" in model.explain()
    checked = fit_effects(x, arm, y, diagnosis=diagnose(x, arm, planned_A=[0.5, 0.5]), settings=lean)
    assert checked.level == checked.predict(x[:3]).level == "randomised"
    assert "unverified" not in checked.explain()


def test_arms_that_chose_themselves_never_say_randomised() -> None:
    x, _, y, _ = draw(3000, 12)
    chose = (np.random.default_rng(12).uniform(size=3000) < 1 / (1 + np.exp(-1.0 * x["spend"].to_numpy()))).astype(int)
    lean = EffectSettings(rich=(), folds=2)
    assert fit_effects(x, chose, y, settings=lean).level == "assumed"
    stated = diagnose(x, chose, planned_A=[0.5, 0.5])
    assert stated.level != "randomised"
    if stated.level is not None:
        assert fit_effects(x, chose, y, diagnosis=stated, settings=lean).level == "adjusted"
    else:
        with raises_code(stated.refusal, *stated.reasons, kind=SupportError):
            fit_effects(x, chose, y, diagnosis=stated, settings=lean)


def test_known_propensities_are_used_although_the_outcome_model_is_wrong() -> None:
    """The features know nothing of what moves both propensity and outcome: only the propensities can correct it."""
    rng = np.random.default_rng(8)
    hidden = rng.uniform(size=6000) < 0.5
    prob = np.where(hidden, 0.8, 0.2)
    arm = (rng.uniform(size=6000) < prob).astype(int)
    y = 10.0 * hidden + rng.normal(size=6000)
    x = pl.DataFrame({"nothing": rng.normal(size=6000)})
    model = fit_effects(x, arm, y, propensity_NK=prob, settings=EffectSettings(rich=(), folds=2))
    assert y[arm == 1].mean() - y[arm == 0].mean() > 5
    assert abs(model.average.gain_K[0]) < 3 * model.average.se_K[0] < 1.5


def test_intervals_of_the_average_hold_the_truth_about_as_often_as_they_say() -> None:
    lean = EffectSettings(rich=(), folds=2)
    held = []
    for seed in range(20):
        x, arm, y, _ = draw(400, 100 + seed, "segment")
        average = fit_effects(x, arm, y, settings=lean).average
        held.append(abs(average.gain_K[0] - 0.1608) < 1.96 * average.se_K[0])
        assert 0.7 < average.se_K[0] / np.sqrt(4 * y.var() / 400) < 1.1
    assert sum(held) >= 16  # 19 expected; fewer than 16 has probability 0.3 %


def test_money_with_a_whale_keeps_its_head() -> None:
    x, arm, y, _ = draw(3000, 9, "same")
    money = y * 20.0
    money[arm == 1] += np.where(np.arange((arm == 1).sum()) == 0, 50_000.0, 0.0)
    model = fit_effects(x, arm, money, settings=LEAN)
    assert model.chosen == "none" or set(model.chosen) == {"proportional"}
    assert np.abs(model.predict(x).gain_NK - model.average.gain_K).max() < 20  # nobody is told of thousands
    assert model.average.se_K[0] > 10  # one large amount: the average is not known, and says so


def test_one_whale_does_not_decide_which_arm_is_best_for_everybody() -> None:
    x, arm, y, _ = draw(3000, 9, "same")
    money = y * 20.0
    money[np.flatnonzero((arm == 0) & (y > 0))[0]] = 50_000.0
    model = fit_effects(x, arm, money, settings=EffectSettings(rich=(), folds=2))
    assert model.average.gain_K[0] < -10  # the large amount was in control
    assert model.best_arm == 1


@pytest.mark.parametrize(
    ("change", "code", "facts"),
    [
        ({"treatment_N": np.r_[np.zeros(190), np.ones(10)]}, "arm_too_small", ("treatment", "[190, 10]")),
        ({"treatment_N": np.zeros(200)}, "arm_too_small", ("treatment", "[200]")),
        ({"treatment_N": np.tile([0, 0.5], 100)}, "treatment_invalid", ("treatment",)),
        ({"treatment_N": np.tile([0, 1], 99)}, "shapes_differ", ("200, 198 and 200",)),
        ({"outcome_N": np.full(200, np.nan)}, "value_not_finite", ("outcome", "200 of 200")),
        ({"propensity_NK": np.full(200, 1.2)}, "propensity_invalid", ("propensity",)),
        ({"propensity_NK": np.full((200, 4), 0.2)}, "shapes_differ", ("propensity", "(200, 4)")),
        ({"propensity_NK": "guess"}, "value_invalid", ("propensity",)),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(
    change: dict[str, object], code: str, facts: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(0)
    given = {"features_NF": rng.normal(size=(200, 2)), "treatment_N": np.tile([0, 1], 100), "outcome_N": np.ones(200)}
    with raises_code(code, *facts):
        fit_effects(**(given | change))  # type: ignore[arg-type]


def test_a_column_of_the_training_must_be_there(turning: EffectModel) -> None:
    with raises_code("column_missing", "'member'"):
        turning.predict(pl.DataFrame({"spend": [1.0], "region": ["north"], "age": [1.0]}))


def test_an_outcome_that_never_varies_gives_no_effect_and_no_error() -> None:
    x, arm, _, _ = draw(600, 10)
    model = fit_effects(x, arm, np.ones(600), settings=LEAN)
    assert model.chosen == "none"
    assert abs(model.average.gain_K[0]) < 1e-3
