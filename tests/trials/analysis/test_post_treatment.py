"""No effect is weighted or adjusted by a consequence of the treatment, whatever its column is called."""

import re
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.catalogue import use_locale
from promolift.foundation.i18n.lazy_message import render_message
from promolift.trials.analysis.effect_estimates import build_trial_arrays, estimate_averages
from promolift.trials.trial import Trial

Floats = NDArray[np.float64]
LASTING = (
    "recency", "recency_days", "tier", "tenure", "city", "region", "zip", "language", "newbie", "history",
    "purchase_history", "post_code", "member tier", "priority", "preview", "old", "城市", "地区", "历史订单", "x",
)  # fmt: skip
DATED = ("spend_before", "prior_orders", "previous spend", "baseline", "以前消费", "过去订单")
STATED_ERROR = 0.05  # of intervals that may miss the truth


class DrawnTrial(NamedTuple):
    """Customers with what was known before, what they did, and `late`, a consequence of it; `truth` is the effect."""

    frame: pl.DataFrame
    truth: float


def drawn_trial(seed: int, *, lot: bool) -> DrawnTrial:
    """A rate or money, a small or a large effect; `late` is a number, a yes or no or a category, with noise.

    Without a `lot`, customers with many earlier visits and older ones are treated more often and buy more often.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.choice([2000, 5000]))
    age, visits = rng.integers(18, 80, n), rng.poisson(3, n)
    share = 1 / (1 + np.exp(-(visits - 3) / 3 - (age - 49) / 40))
    treated = rng.random(n) < (0.5 if lot else share)
    buys_N2 = np.clip(0.1 + 0.03 * visits + age / 400, 0, 0.8)[:, None] + np.array([0.0, rng.uniform(0.0, 0.09)])
    luck, amount = rng.random(n), rng.gamma(4, 5, n) if rng.random() < 0.4 else np.ones(n)
    bought = luck < np.where(treated, buys_N2[:, 1], buys_N2[:, 0])
    noise, kind = rng.normal(size=n), rng.integers(3)
    level = bought * rng.uniform(1.0, 2.5) + noise
    late = [np.round(100 - 20 * level), level > 1, np.array(["low", "mid", "high"])[np.digitize(level, [0.3, 1.5])]]
    frame = {"offer": np.where(treated, "yes", "no"), "age": age, "visits_before": visits, "late": late[kind],
             "y": np.round(bought * amount, 2)}  # fmt: skip
    return DrawnTrial(pl.DataFrame(frame), float(np.mean((buys_N2[:, 1] - buys_N2[:, 0]) * amount)))


class FoundEffect(NamedTuple):
    """The average effect on y with its interval, and the trial that it was estimated from."""

    effect: float
    low: float
    high: float
    trial: Trial


def estimate(frame: pl.DataFrame, **meaning: object) -> FoundEffect:
    trial = Trial(frame, treatment="offer", control="no", **{"counts": "y", **meaning})
    assigned = trial.assignment()
    data = trial.analysed.subset(trial.overlap_rows)
    row = estimate_averages(build_trial_arrays(data, assigned.prob_NA), data, assigned.level).row(0, named=True)
    return FoundEffect(row["effect"], row["low"], row["high"], trial)


def a_name_alone_adjusts_nothing(seeds: range) -> None:
    """In a lot the effect is the one without the consequence; where nothing was drawn, it is too, or somebody is
    asked.
    """
    missed, refusals = 0, list[tuple[bool, str, SupportError]]()
    for seed in seeds:
        name = LASTING[seed % len(LASTING)]
        for lot in (True, False):
            frame, truth = drawn_trial(seed, lot=lot)
            planned = {"planned": "equal"} if lot else {}
            without = estimate(frame.drop("late"), **planned)
            missed += not without.low <= truth <= without.high
            try:
                found = estimate(frame.rename({"late": name}), **planned)
            except SupportError as refused:
                refusals.append((lot, name, refused))
                continue
            assert name not in found.trial.analysed.before, (seed, name)
            assert found.effect == pytest.approx(without.effect, rel=1e-9), (seed, name)
    cases = 2 * len(seeds)
    assert missed <= STATED_ERROR * cases + 2 * np.sqrt(STATED_ERROR * cases), missed
    for lot, name, refused in refusals:
        assert not lot, name
        assert refused.code == "effect_not_identified"
        assert name in str(refused)
    assert (
        len(refusals) >= len(seeds) // 4
    )  # a consequence that follows the outcome closely does differ between the arms


def test_a_name_alone_adjusts_nothing() -> None:
    a_name_alone_adjusts_nothing(range(4))


@pytest.mark.slow
def test_a_name_alone_adjusts_nothing_in_many_drawn_trials() -> None:
    a_name_alone_adjusts_nothing(range(100, 160))


def a_dated_name_does_not_outweigh_the_lot(seeds: range) -> None:
    """Adjusting by a consequence that claims to be of before moves the effect by no more than chance, or is not done;
    what truly was known before is adjusted by.
    """
    moved = missed = given_up = 0  # moved: beyond the interval of the effect as drawn
    for seed in seeds:
        name = DATED[seed % len(DATED)]
        frame, truth = drawn_trial(seed, lot=True)
        frame = frame.drop("age").rename({"late": name})
        honest = estimate(frame.drop(name), planned="equal")
        plain = estimate(frame.drop(name, "visits_before"), planned="equal")
        found = estimate(frame, planned="equal")
        given_up += "visits_before" not in honest.trial.analysed.before
        missed += not honest.low <= truth <= honest.high
        if name not in found.trial.analysed.before:
            assert any(name in text for text in (*found.trial.check().doubts, *found.trial.check().reasons)), seed
        if not set(found.trial.analysed.before) & {name, "visits_before"}:
            assert found.effect == pytest.approx(plain.effect, rel=1e-9), (seed, name)
        moved += abs(found.effect - plain.effect) > (plain.high - plain.low) / 2
    most = STATED_ERROR * len(seeds) + 2 * np.sqrt(STATED_ERROR * len(seeds))
    assert missed <= most, missed
    assert given_up <= most, given_up
    assert moved == 0


def test_a_dated_name_does_not_outweigh_the_lot() -> None:
    a_dated_name_does_not_outweigh_the_lot(range(4))


@pytest.mark.slow
def test_a_dated_name_does_not_outweigh_the_lot_in_many_drawn_trials() -> None:
    a_dated_name_does_not_outweigh_the_lot(range(200, 280))


def test_who_states_the_features_is_adjusted_by_them() -> None:
    frame, _ = drawn_trial(5, lot=True)
    stated = estimate(frame, planned="equal", features=("age", "visits_before", "late"))
    assert stated.trial.analysed.before == ("age", "visits_before", "late")


def test_a_past_that_all_but_tells_the_outcome_adjusts_nothing_until_it_is_stated() -> None:
    frame, _ = drawn_trial(6, lot=True)
    told = frame.drop("late").with_columns(past_spend=pl.col("y") + pl.col("age") / 1e6)
    found = estimate(told, planned="equal")
    assert "past_spend" in found.trial.data.features.columns
    assert "past_spend" not in found.trial.data.before
    assert any("ignore=past_spend" in doubt for doubt in found.trial.check().doubts)
    assert found.effect == pytest.approx(estimate(told.drop("past_spend"), planned="equal").effect)


def test_what_is_doubtful_of_columns_is_said_in_chinese_too() -> None:
    frame, _ = drawn_trial(8, lot=True)
    more = frame.with_columns(
        conversion=pl.lit(1), tau=pl.lit(2.0), told=pl.col("y") * 2, past_told=pl.col("y") * 3,
        spend_before=pl.col("y") + pl.Series(np.random.default_rng(1).normal(0, 2, frame.height)),
        courier=pl.when(pl.col("y") > 0).then(pl.lit("van")),
    ).with_row_index("user_id")  # fmt: skip
    data = Trial(more, treatment="offer", control="no", counts="y", planned="equal").analysed
    assert len(data.doubts) > 4
    with use_locale("zh"):
        said = " ".join(render_message(doubt) for doubt in data.doubts)
    assert set(re.findall("[A-Za-z_]{3,}", said)) <= {"features", "ignore", *more.columns}, said


FIXED = ("age", "gender", "education", "marital_status", "年龄")


def a_fixed_name_weighs_only_what_the_arms_were_drawn_by(seeds: range) -> None:
    """Where a lot was broken on what no offer can change, that weighs; a consequence under such a name never does."""
    for seed in seeds:
        name = FIXED[seed % len(FIXED)]
        frame, _ = drawn_trial(seed, lot=True)
        frame = frame.drop("age")
        plain = estimate(frame.drop("late"), planned="equal")
        found = estimate(frame.rename({"late": name}), planned="equal")
        assert abs(found.effect - plain.effect) <= (plain.high - plain.low) / 2, (seed, name)
        assert found.trial.check().level in ("randomised", "assumed"), (seed, name)
        broken, _ = drawn_trial(seed, lot=False)
        broken = broken.select("offer", "y", pl.col("visits_before").alias(name))
        assert estimate(broken, planned="equal").trial.check().level == "adjusted", (seed, name)


def test_a_fixed_name_weighs_only_what_the_arms_were_drawn_by() -> None:
    a_fixed_name_weighs_only_what_the_arms_were_drawn_by(range(204, 208))


@pytest.mark.slow
def test_a_fixed_name_weighs_only_what_the_arms_were_drawn_by_in_many_trials() -> None:
    a_fixed_name_weighs_only_what_the_arms_were_drawn_by(range(200, 260))
