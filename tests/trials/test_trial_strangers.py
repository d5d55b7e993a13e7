"""Trial files of strangers: what came after the treatment, customers twice, ids, words for 0 and 1, shares by group."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.foundation.pages.rendering import render_page
from promolift.foundation.storage.local_store import Store
from promolift.trials import work_folder
from promolift.trials.analysis import trial_data as rows
from promolift.trials.analysis.evaluation import _places
from promolift.trials.analysis.results import TrialResults
from promolift.trials.analysis.settings import TrialSettings
from promolift.trials.page import build_trial_page
from promolift.trials.work_folder import trial_settings

N = 600


def quiet(*_: object) -> None:
    """No progress."""


def table(**more: object) -> pl.DataFrame:
    """A lot of two arms among customers with an age; the offer adds 20 points to buying."""
    rng = np.random.default_rng(3)
    offer, age = rng.random(N) < 0.5, rng.integers(20, 70, N)
    bought = rng.random(N) < 0.3 + 0.2 * offer
    columns = {"offer": np.where(offer, "yes", "no"), "age": age, "bought": bought.astype(int)}
    return pl.DataFrame({**columns, **more})


def read(folder: Path, frame: pl.DataFrame, **more: object) -> rows.TrialData:
    frame.write_csv(folder / "t.csv")
    base = {"treatment": "offer", "control": "no", "rates": ("bought",), "planned": "equal"}
    return rows.read_trial(folder / "t.csv", TrialSettings.parse(base | more, "t"))


def test_a_feature_that_only_the_treated_have_is_refused_with_both_remedies(tmp_path: Path) -> None:
    frame = table()
    seen = (frame["offer"] == "yes") & (frame["age"] > 50)
    reached = frame.with_columns(reach=seen.cast(pl.Int8))
    with raises_code("feature_reveals_treatment", "'reach'", "'0'", "ignore=reach"):
        read(tmp_path, reached)
    assert read(tmp_path, reached, ignore=("reach",)).features.columns == ["age"]
    assert "reach" in read(tmp_path, reached, planned=None).features.columns  # no lot is claimed: overlap decides
    rare = frame.with_columns(reach=pl.Series([1] + [0] * (N - 1)))
    assert "reach" in read(tmp_path, rare).features.columns  # one customer may be in one arm by chance


def test_other_outcomes_of_the_file_are_left_out_with_a_word(tmp_path: Path) -> None:
    more = table().with_columns(conversion=pl.col("bought"), Exposure=pl.lit(1), is_clicked=pl.lit(0), visits_before=2)
    found = read(tmp_path, more)
    assert found.features.columns == ["age", "visits_before"]
    assert "afterwards: conversion, Exposure, is_clicked (features=... takes them)" in found.doubts[0]
    assert read(tmp_path, more, features=("age", "conversion")).features.columns == ["age", "conversion"]


def test_what_sounds_or_acts_like_an_outcome_is_asked_after(tmp_path: Path) -> None:
    frame = table()
    visits = frame["bought"] * 3 + (frame["age"] > 68)
    word = pl.when(pl.col("bought") == 1).then(pl.lit("gone")).otherwise(pl.lit("here"))
    more = frame.with_columns(total_ads=pl.col("age"), visits_before=pl.col("age"), x=visits, past_x=visits, w=word)
    found = read(tmp_path, more)
    assert found.features.columns == ["age", "total_ads", "visits_before", "past_x"]
    left, asked = found.doubts  # all at once, never one at a time
    assert "left out since they all but tell the outcome, as only what came afterwards does: x, w (features=" in left
    assert "known before the treatment: total_ads, past_x?" in asked  # the past may tell as much
    assert "ignore=total_ads,past_x" in asked
    stated = {"features": ("age", "x")}  # whoever lists the features has answered
    assert read(tmp_path, frame.with_columns(x=visits), **stated).doubts == ()


def test_a_refusal_tells_what_is_doubtful_about_the_columns(tmp_path: Path) -> None:
    frame = table(outcome_before=3, y_cfactual=2).with_columns(
        age=pl.when(pl.col("offer") == "yes").then(70).otherwise(20)
    )
    frame.with_columns(y_cfactual=pl.col("age") * 1.5).write_csv(tmp_path / "t.csv")
    settings = trial_settings(None, ["treatment=offer", "control=no", "rates=bought"])
    with Store(tmp_path / "w") as store, raises_code("effect_not_identified", "y_cfac"):
        work_folder.fit(store, tmp_path / "t.csv", settings, quiet)


def test_names_of_customers_are_no_features(tmp_path: Path) -> None:
    draw = np.random.default_rng(1).permutation(10**6)[:N]
    frame = table(row=np.arange(N), user_id=draw, token=[f"k{n}" for n in draw], income_cents=draw + 7)
    found = read(tmp_path, frame)
    assert found.features.columns == ["age", "income_cents"]  # distinct amounts are no names
    assert found.doubts == ("left out as names of customers: row, user_id, token",)


def test_a_customer_in_two_rows_is_refused(tmp_path: Path) -> None:
    frame = table(user_id=[min(n, N - 30) for n in range(N)])
    with raises_code("repeats_not_declared", "600", "571", "'user_id'", "1 of them"):
        read(tmp_path, frame)
    assert read(tmp_path, frame, ignore=("user_id",)).features.columns == ["age"]
    assert "account" in read(tmp_path, table(account=[n % 2 for n in range(N)])).features.columns  # no name


@pytest.mark.parametrize(("yes", "no"), [("True", "False"), ("yes", "no"), ("Y", "N"), ("是", "否")])
def test_yes_and_no_are_a_rate(tmp_path: Path, yes: str, no: str) -> None:
    frame = table()
    words = frame.with_columns(bought=pl.when(pl.col("bought") == 1).then(pl.lit(yes)).otherwise(pl.lit(no)))
    assert (read(tmp_path, words).outcomes["bought"] == frame["bought"].to_numpy()).all()
    with raises_code("column_type_wrong", "'bought'", "maybe"):
        read(tmp_path, words.with_columns(bought=pl.lit("maybe")))


def groups() -> pl.DataFrame:
    """Gold customers buy more and are offered more often: comparing all with all finds an effect that is not there."""
    rng = np.random.default_rng(4)
    gold = rng.random(2000) < 0.5
    offer = rng.random(2000) < np.where(gold, 0.8, 0.2)
    bought = rng.random(2000) < np.where(gold, 0.7, 0.2)
    tier, given = np.where(gold, "gold", "base"), np.where(offer, "yes", "no")
    return pl.DataFrame({"offer": given, "tier": tier, "bought": bought.astype(int)})


def test_shares_that_differ_between_groups_are_a_lot_within_them(tmp_path: Path) -> None:
    groups().write_csv(tmp_path / "t.csv")
    pairs = ["treatment=offer", "control=no", "rates=bought"]
    settings = trial_settings(None, [*pairs, "strata=tier", "planned.gold=0.2,0.8", "planned.base=0.8,0.2"])
    assert settings.planned == {"gold": (0.2, 0.8), "base": (0.8, 0.2)}
    with Store(tmp_path / "w") as store:
        notes = work_folder.fit(store, tmp_path / "t.csv", settings, quiet)
        effect = store.frame("trial_effects").row(0, named=True)
        assert work_folder.evaluate(store, quiet).figures["qini"] == []  # fair only where chances are the same for all
    assert notes.figures["level"] == "randomised"
    assert effect["low"] < 0 < effect["high"]
    assert effect["high"] < 0.15  # the plain difference of means is 0.3
    later = groups().with_columns(margin=pl.col("bought") * 9 - (pl.col("offer") == "yes"))
    later.write_csv(tmp_path / "t.csv")
    with Store(tmp_path / "w") as store:
        spoilt = work_folder.fit(store, tmp_path / "t.csv", settings, quiet)
    assert spoilt.figures["level"] == "randomised"  # what tells the outcome is no feature
    assert "all but tell the outcome, as only what came afterwards does: margin" in spoilt.figures["doubts"][0]
    stated = settings.model_copy(update={"features": ("tier", "margin")})
    # The group differs most between arms, but as planned: the column that does not is named. It tells the arm, too.
    with (
        Store(tmp_path / "w") as store,
        raises_code("effect_not_identified", "'margin': "),
    ):
        work_folder.fit(store, tmp_path / "t.csv", stated, quiet)
    with raises_code("planned_shares_missing", "'gold'", "planned.gold"):
        rows.read_trial(tmp_path / "t.csv", settings.model_copy(update={"planned": {"base": (0.8, 0.2)}}))
    with raises_code("planned_shares_invalid", "planned: 3 ", "for 2 "):
        rows.read_trial(tmp_path / "t.csv", settings.model_copy(update={"planned": {"base": (0.8, 0.1, 0.1)}}))
    with raises_code("setting_invalid", "strata"):
        trial_settings(None, [*pairs, "strata=tier", "planned=equal"])


def test_a_lot_that_hung_on_a_feature_names_it_and_is_not_called_a_lot(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    age = rng.integers(20, 70, 1500)
    offer = rng.random(1500) < np.where(age > 45, 0.6, 0.4)
    told = {"offer": np.where(offer, "yes", "no"), "age": age, "noise": rng.normal(size=1500)}
    frame = pl.DataFrame({**told, "bought": (rng.random(1500) < 0.4).astype(int)})
    frame.write_csv(tmp_path / "t.csv")
    settings = trial_settings(None, ["treatment=offer", "control=no", "rates=bought", "planned=equal"])
    with Store(tmp_path / "w") as store:
        notes = work_folder.fit(store, tmp_path / "t.csv", settings, quiet)
    assert notes.figures["level"] == "adjusted"
    assert any("furthest apart, in standard deviations: 'age': " in reason for reason in notes.figures["reasons"])
    assert any(reason.startswith("not randomised as stated") for reason in notes.figures["reasons"])


def test_a_trial_that_knows_nothing_of_its_customers_has_an_average_effect(tmp_path: Path) -> None:
    table(client_id=[f"c{n}" for n in range(N)]).drop("age").write_csv(tmp_path / "t.csv")
    settings = trial_settings(None, ["treatment=offer", "control=no", "rates=bought", "planned=equal"])
    with Store(tmp_path / "w") as store:
        notes = work_folder.fit(store, tmp_path / "t.csv", settings, quiet)
        effect = store.frame("trial_effects").row(0, named=True)
        assert notes.figures["level"] == "randomised"
        assert effect["low"] < 0.2 < effect["high"]
        assert "points (" in notes.text
        assert work_folder.explain(store, quiet).text == notes.text
        with raises_code("customer_features_missing"):
            work_folder.evaluate(store, quiet)
        work_folder.report(store, tmp_path / "out", quiet)
        assert "Left out as names of customers: client_id" in render_page(build_trial_page(TrialResults.load(store)))


def test_too_many_depths_are_to_be_rounded(tmp_path: Path) -> None:
    frame = table().with_columns(offer=pl.int_range(N) / 10)
    with raises_code("arm_count_invalid", "600", "2 to 30"):
        read(tmp_path, frame, control="0")


def test_what_nobody_can_have_known_is_left_out_with_a_word(tmp_path: Path) -> None:
    """Columns of benchmark files: the outcome under the other arm, its expectation, the effect itself."""
    known = {"y0": 1, "y1": 2, "mu0": 3, "mu1": 4, "y_cfactual": 5, "ycf": 6, "ite": 7, "tau": 8, "true_effect": 9}
    found = read(tmp_path, table(**known))
    assert found.features.columns == ["age"]
    assert found.doubts == (
        f"left out since nobody can have known them before the treatment: {', '.join(known)} (features=... takes them)",
    )
    assert read(tmp_path, table(y0=1, tau_days=2)).features.columns == ["age", "y0", "tau_days"]  # y0 may be a baseline
    assert read(tmp_path, table(ite=1), features=("age", "ite")).features.columns == ["age", "ite"]


def test_a_column_that_is_the_outcome_of_one_arm_is_left_out_whichever_arm_it_is(tmp_path: Path) -> None:
    frame = table()
    noise = pl.Series(np.random.default_rng(5).integers(0, 2, N))
    for arm in ("yes", "no"):
        told = frame.with_columns(x=pl.when(pl.col("offer") == arm).then(pl.col("bought")).otherwise(noise))
        found = read(tmp_path, told)
        assert found.features.columns == ["age"]
        assert "all but tell the outcome" in "".join(found.doubts)


def test_words_within_words_do_not_sound_late(tmp_path: Path) -> None:
    innocent = dict.fromkeys(("propensity", "postcode", "postal_code", "opening_balance"), 1)
    assert read(tmp_path, table(**innocent)).doubts == ()
    assert "opened, post_test?" in "".join(read(tmp_path, table(opened=1, post_test=2)).doubts)


def test_a_judgement_by_models_of_a_sample_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promolift.core.effects.uplift.uplift_model.MAX_TRAINING_CELLS", 200)
    table().write_csv(tmp_path / "t.csv")
    settings = trial_settings(None, ["treatment=offer", "control=no", "rates=bought", "planned=equal"])
    with Store(tmp_path / "w") as store:
        work_folder.fit(store, tmp_path / "t.csv", settings, quiet)
        heard: list[float] = []
        found = work_folder.evaluate(store, lambda _, share, __: heard.append(share))
        page = render_page(build_trial_page(TrialResults.load(store)))
    said = "models of bought learned from 200 of about 300 customers of the other half, drawn by hash"
    assert said in found.text
    assert said in page
    assert found.figures["learned"] == {"bought": 200}
    assert sum(0.05 < share < 0.85 for share in heard) >= 4  # folds of both halves are heard as they end
    assert heard == sorted(heard)


def test_halves_are_ranked_each_by_itself_and_constants_rank_nobody() -> None:
    """The half whose models learned the larger average shows the smaller one: by level it ranks worse than chance."""
    half = np.arange(1001) % 2
    assert (_places(np.where(half, 0.3, 0.06), half) == 0.5).all()
    score = np.random.default_rng(0).normal(size=1001)
    np.testing.assert_array_equal(_places(score, half), _places(score + 100 * half, half))
    for part in (0, 1):
        assert (np.argsort(_places(score, half)[half == part]) == np.argsort(score[half == part])).all()
