"""Which evidence level a comparison earns, and how strong a hidden cause must be: diagnose, E-values."""

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from scipy import stats

from promolift.core.effects.trial_arrays import holm_adjust, row_keys
from promolift.core.effects.uplift import diagnostics as module
from promolift.core.effects.uplift import diagnostics as room
from promolift.core.effects.uplift.average_effects import e_value
from promolift.core.effects.uplift.diagnostics import diagnose, max_smd, weighted_means
from promolift.core.effects.uplift.nuisance import estimate_propensity
from promolift.foundation.errors import SupportError


def shop(n=3000, seed=1, **keep):
    """Features with a category and missing values, spend before, and arms drawn as asked."""
    rng = np.random.default_rng(seed)
    recency, spend = rng.integers(1, 13, n).astype(float), rng.gamma(2.0, 50.0, n)
    city = rng.choice(["north", "south", "west"], n)
    features = pl.DataFrame(
        {
            "recency": recency,
            "spend": spend,
            "city": city,
            "age": np.where(rng.random(n) < 0.2, np.nan, rng.normal(40, 9, n)),
        }
    )
    share = keep.get("share", np.tile([0.5, 0.3, 0.2], (n, 1)))
    arm = (rng.random(n)[:, None] >= np.cumsum(share, axis=1)[:, :-1]).sum(axis=1)
    return features, arm, spend


def by_recency(n=3000, seed=1, strength=0.5):
    """Two arms, the offer going mostly to those who bought lately."""
    recency = shop(n, seed)[0]["recency"].to_numpy()
    p = 1 / (1 + np.exp(strength * (recency - 6)))
    return shop(n, seed, share=np.column_stack([1 - p, p]))


def test_arms_drawn_with_stated_shares_are_randomised() -> None:
    features, arm, spend = shop()
    found = diagnose(features, arm, planned_A=[0.5, 0.3, 0.2], placebos={"spend before": spend})
    assert found.level == found.require() == "randomised"
    assert [c.name for c in found.checks] == ["sample ratio", "balance", "unpredictable"]
    assert found.balance.height == 2 * 7  # recency, spend, three cities, age, age is missing; "other" is constant
    assert found.placebos.height == 2
    assert found.overlap.trimmed == 0


def test_the_same_data_are_only_adjusted_unless_somebody_states_the_shares() -> None:
    features, arm, _ = shop()
    found = diagnose(features, arm)
    assert found.level == "adjusted"
    assert "not recorded may still differ" in found.reasons[-1]


def test_lost_customers_refuse_everything() -> None:
    features, arm, _ = shop()
    keep = ~((arm == 1) & (np.arange(len(arm)) % 5 == 0))  # one in five of arm 1 never arrived
    found = diagnose(features.filter(pl.Series(keep)), arm[keep], planned_A=[0.5, 0.3, 0.2])
    assert found.level is None
    assert "sample ratio mismatch" in found.reasons[0]
    with raises_code("sample_ratio_mismatch", *(str(size) for size in np.bincount(arm[keep])), kind=SupportError):
        found.require()


def test_arms_that_followed_a_feature_are_not_randomised_though_so_stated() -> None:
    features, arm, _ = by_recency(strength=0.15)
    found = diagnose(features, arm, planned_A=[1 - arm.mean(), arm.mean()])
    assert found.level == "adjusted"  # the features that drove it are there, and balance after weighting
    assert "features differ between arms" in found.reasons[0]


def test_trees_see_what_means_do_not() -> None:
    features, _, _ = shop(8000)
    middle = (features["recency"].to_numpy() - 6.5) ** 2 < 9.5  # the mean is nearly the same inside and outside
    arm = (np.random.default_rng(3).random(8000) < np.where(middle, 0.65, 0.35)).astype(int)
    checks = {c.name: c for c in diagnose(features, arm, planned_A=[1 - arm.mean(), arm.mean()]).checks}
    assert checks["balance"].passed
    assert not checks["unpredictable"].passed


def test_chances_that_differ_by_row_may_be_stated() -> None:
    n = 3000
    rich = shop(n)[0]["spend"].to_numpy() > 100
    share = np.where(rich[:, None], [0.3, 0.7], [0.7, 0.3])
    features, arm, _ = shop(n, share=share)
    assert diagnose(features, arm, planned_A=share).level == "randomised"
    flat = diagnose(features, arm, planned_A=[1 - arm.mean(), arm.mean()])
    assert flat.level == "adjusted"


def test_weighting_removes_what_is_recorded() -> None:
    features, arm, _ = by_recency(strength=0.3)
    found = diagnose(features, arm)
    recency = found.balance.filter(pl.col("feature") == "recency").row(0, named=True)
    assert found.level == "adjusted"
    assert abs(recency["before"]) > 0.5
    assert abs(recency["after"]) < 0.1


def test_a_placebo_that_moves_refuses() -> None:
    features, arm, spend = by_recency(strength=0.3)
    hidden = np.where(arm == 1, spend + 20, spend)  # the chosen had bought more, which no feature tells
    found = diagnose(features.drop("spend"), arm, placebos={"spend before": hidden, "noise": np.sin(np.arange(3000))})
    assert found.level is None
    assert found.reasons == (found.reasons[0],)
    assert "placebo 'spend before' differs by" in found.reasons[0]


def test_no_overlap_no_effect() -> None:
    features, _, _ = shop()
    arm = (features["recency"].to_numpy() > 6).astype(int)
    found = diagnose(features, arm)
    assert found.level is None
    assert found.overlap.trimmed > 0.5
    assert found.reasons[0].startswith("no overlap")
    with raises_code("no_overlap", kind=SupportError):
        found.require()


def test_a_handful_of_treated_is_no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "MIN_PROB", 0.001)
    features, _, _ = shop()
    arm = (np.arange(3000) % 60 == 0).astype(int)
    found = diagnose(features, arm)
    assert "the 50 customers of arm 1 are worth" in " ".join(found.reasons)
    with raises_code("arm_too_small", "arm 1", "1 customers"):
        diagnose(features, (np.arange(3000) == 7).astype(int), planned_A=[0.999, 0.001])


def test_small_arms_may_differ_by_what_chance_alone_does() -> None:
    assert [max_smd(0.1, se) for se in (0.01, 0.08, 0.5)] == [0.1, 0.16, 0.25]
    rng = np.random.default_rng(4)
    features = pl.DataFrame({f"x{k}": rng.normal(size=400) for k in range(4)})
    arm = (rng.random(400) < 0.35).astype(int)
    found = diagnose(features, arm)
    assert 0.1 < found.balance["after"].abs().max() < 0.2  # by chance, and beyond the limit of large arms
    assert found.level == "adjusted"


def test_input_that_makes_no_sense_is_named() -> None:
    features, arm, spend = shop()
    with raises_code("propensity_zero", "planned_A"):
        diagnose(features, arm, planned_A=[0.5, 0.5, 0.0])
    with raises_code("propensity_invalid", "propensity_NA", "3 arms"):
        diagnose(features, arm, propensity_NA=np.full((3000, 3), 0.5))
    with raises_code("arm_count_invalid", "treatment_N", "up to 2", "for 2"):
        diagnose(features, arm, planned_A=[0.5, 0.5])
    with raises_code("shapes_differ", "2999", "3000"):
        diagnose(features, arm, placebos={"spend": spend[1:]})
    with raises_code("arm_count_invalid", "treatment_N", "up to 0"):
        diagnose(features, np.zeros(3000))


def test_row_order_changes_nothing() -> None:
    features, arm, _ = by_recency(800)
    moved = np.random.default_rng(4).permutation(800)
    one, two = diagnose(features, arm), diagnose(features[moved], arm[moved])
    np.testing.assert_allclose(one.prob_NA[moved], two.prob_NA, atol=1e-4)
    assert (one.level, one.balance["feature"].to_list()) == (two.level, two.balance["feature"].to_list())


def test_estimated_chances_are_near_the_true_ones() -> None:
    features, arm, _ = by_recency(20_000, strength=0.4)
    recency = features["recency"].to_numpy()
    found = estimate_propensity(recency[:, None], arm, row_keys(recency[:, None], 1))
    assert np.abs(found[:, 1] - 1 / (1 + np.exp(0.4 * (recency - 6)))).max() < 0.05


def test_sample_ratio_by_hand() -> None:
    arm = np.repeat([0, 1], [60, 40])
    even = np.tile([0.5, 0.5], (100, 1))
    found = module.sample_ratio_test(arm, even, 0.001)
    assert found.statistic == pytest.approx(10**2 / 50 + 10**2 / 50)
    assert found.p == pytest.approx(stats.chi2.sf(4.0, 1))
    three = np.repeat([0, 1, 2], [50, 30, 40])
    expected = 120 * np.array([0.4, 0.4, 0.2])
    found = module.sample_ratio_test(three, np.tile([0.4, 0.4, 0.2], (120, 1)), 0.001)
    assert found.statistic == pytest.approx(((np.array([50, 30, 40]) - expected) ** 2 / expected).sum())


def test_small_samples_use_the_exact_distribution() -> None:
    found = module.sample_ratio_test(np.array([0] * 8), np.tile([0.5, 0.5], (8, 1)), 0.001)
    assert found.p == pytest.approx(2 / 256)
    assert "exact" in found.meaning
    three = module.sample_ratio_test(np.array([0, 1, 2]), np.tile([1 / 3] * 3, (3, 1)), 0.001)
    assert three.p == pytest.approx(1.0)


@pytest.mark.parametrize("varying", [False, True])
def test_tests_of_stated_shares_reject_true_ones_as_rarely_as_they_say(varying: bool) -> None:
    rng, found = np.random.default_rng(5), []
    for seed in range(60):
        x = rng.normal(size=(600, 4))
        x[:, 0] = np.exp(x[:, 0])
        share = np.where(varying & (x[:, [1]] > 0), [0.2, 0.3, 0.5], [0.5, 0.3, 0.2])
        arm = (rng.random(600)[:, None] >= np.cumsum(share, axis=1)[:, :-1]).sum(axis=1)
        checks = [
            module.sample_ratio_test(arm, share, 0.1),
            module.covariate_balance_test(x, arm, share, 0.1, seed),
            *module.arm_prediction_test(x, arm, share, 0.1, seed),
        ]
        found.append([c.passed for c in checks])
    assert (np.mean(found, axis=0) > 0.8).all()
    assert (np.mean(found, axis=0)[:2] < 0.99).all()


def test_few_rows_draw_the_stated_arms_anew() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(40, 5))
    even = np.tile([0.5, 0.5], (40, 1))
    fair = module.covariate_balance_test(x, rng.integers(0, 2, 40), even, 0.001, 1)
    foul = module.covariate_balance_test(x, (x[:, 0] > 0).astype(int), even, 0.001, 1)
    assert fair.passed
    assert not foul.passed
    assert foul.p >= 1 / 4000


def test_weighted_means_by_hand() -> None:
    arm, prob = np.array([0, 0, 1, 1]), np.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25]])
    mean, part = weighted_means(np.array([1.0, 4.0, 2.0, 8.0]), arm, prob)
    np.testing.assert_allclose(mean, [(2 * 1 + 4 * 4) / 6, (2 * 2 + 4 * 8) / 6])
    np.testing.assert_allclose(part.sum(axis=0), 0, atol=1e-12)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm_adjust(np.array([0.04, 0.01, 0.03])), [0.06, 0.03, 0.06])
    np.testing.assert_allclose(holm_adjust(np.array([0.9, 0.8])), [1.0, 1.0])


def test_e_values_of_the_paper() -> None:
    # VanderWeele & Ding 2017: maternal smoking, RR 3.9 (1.8, 8.7): the limit's is 3.0; breast feeding, RR 0.80: 1.81
    assert e_value(np.log(1.8) / 0.91, 0.0, 1.0) == pytest.approx(3.0)
    for difference in (np.log(0.8) / 0.91, -np.log(0.8) / 0.91):
        assert e_value(difference, 0.0, 1.0) == pytest.approx(1.81, abs=0.01)
    assert e_value(0.5, 0.3, 1.0) == 1.0  # the interval holds none
    assert e_value(1.0, 0.25, 2.0) == pytest.approx(e_value(1.0 - 1.959964 * 0.25, 0.0, 2.0), abs=1e-6)
