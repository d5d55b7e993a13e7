"""A trial from its file to effects, judgement, plan and page; what is no trial is refused with the reason."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.cli.application import main
from promolift.foundation.pages.rendering import render_page
from promolift.foundation.storage.local_store import Store
from promolift.trials import work_folder
from promolift.trials.analysis.effect_estimates import depth_curves
from promolift.trials.analysis.results import TrialFit, TrialResults
from promolift.trials.analysis.settings import TrialSettings
from promolift.trials.analysis.trial_data import read_trial
from promolift.trials.page import build_trial_page
from promolift.trials.work_folder import trial_settings

HILLSTROM = Path(__file__).parents[2].parent / "shared/data/hillstrom.csv"
SETTINGS = TrialSettings(
    name="Two letters", treatment="letter", control="none", rates=("came",), money="spent", placebos=("before",),
    planned="equal", cost=0.5, margin_rate=0.5, budget=375,
)  # fmt: skip


def write(path: Path, rows: int = 1500, change: Callable[[pl.DataFrame], pl.DataFrame] = lambda f: f) -> Path:
    """Letter b triples the visits of the old; letter a does nothing; spending follows visits."""
    rng = np.random.default_rng(5)
    old, town = rng.random(rows) < 0.5, rng.choice(["north", "south", "west"], rows)
    letter = rng.choice(["none", "a", "b"], rows)
    came = rng.random(rows) < 0.2 + 0.4 * ((letter == "b") & old)
    frame = pl.DataFrame(
        {
            "who": [f"k{n:05d}" for n in range(rows)],
            "letter": letter,
            "old": old.astype(int),
            "town": town,
            "score": rng.normal(size=rows).round(3),
            "before": rng.poisson(3, rows),
            "came": came.astype(int),
            "spent": np.round(came * rng.gamma(4, 5, rows), 2),
        }
    )
    change(frame).write_csv(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("trial")
    with Store(work / "work") as store:
        work_folder.fit(store, write(work / "trial.csv"), SETTINGS, lambda *told: None)
        work_folder.evaluate(store, lambda *told: None)
        work_folder.report(store, work / "out", lambda *told: None)
    return work


def test_average_effects_are_the_true_ones_and_drawn_by_lot(folder: Path) -> None:
    with Store(folder / "work") as store:
        found, effects = TrialFit.load(store), store.frame("trial_effects")
    assert found.level == "randomised"
    assert "who" not in found.features
    rows = {(r["outcome"], r["arm"]): r for r in effects.iter_rows(named=True)}
    truth = {("came", "a"): 0.0, ("came", "b"): 0.2, ("spent", "b"): 4.0}
    for key, true in truth.items():
        assert rows[key]["low"] - 0.5 * rows[key]["se"] < true < rows[key]["high"] + 0.5 * rows[key]["se"], key


def test_those_who_gain_are_found_and_judged_unseen(folder: Path) -> None:
    with Store(folder / "work") as store:
        qini, explained = store.frame("trial_qini"), work_folder.explain(store, lambda *told: None).text
    b = qini.filter((pl.col("outcome") == "came") & (pl.col("arm") == "b") & (pl.col("by") == "effect"))
    assert b["low"].item() > 0
    assert "b adds" in explained
    assert "treatment 2" not in explained


def test_the_plan_keeps_the_budget_and_writes_to_those_who_gain(folder: Path) -> None:
    plan = pl.read_parquet(folder / "out/plan.parquet")
    assert 0 < plan["cost"].sum() <= 1500 * 0.5 / 2 + 1e-9
    assert plan["treatment"].unique().to_list() == ["b"]
    assert set(plan["evidence"]) == {"randomised"}
    written = pl.read_csv(folder / "trial.csv").filter(pl.col("who").is_in(plan["who"].implode()))
    assert written["old"].mean() > 0.7
    page = (folder / "out/trial.html").read_text("utf-8")
    assert page.count('class="badge randomised"') >= 8


def test_depths_drawn_by_lot_become_a_curve(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    past, depth = rng.gamma(2, 1, 3000), rng.choice([0, 0.1, 0.2, 0.3], 3000)
    spent = rng.poisson(past * (1 + 3 * depth))
    pl.DataFrame({"past": past, "depth": depth, "spent": spent}).write_csv(tmp_path / "t.csv")
    said = ["treatment=depth", "control=0", "money=spent", "planned=equal", "dose=true"]
    settings = trial_settings(None, said)
    data = read_trial(tmp_path / "t.csv", settings)
    curve = depth_curves(data, "randomised")
    deep = {r["segment"]: r for r in curve.filter(pl.col("depth") > 0.29).iter_rows(named=True)}
    assert deep["everybody"]["low"] < 0.3 * 3 * 2 < deep["everybody"]["high"]
    assert deep["lowest third"]["gain"] < 0.5 * deep["highest third"]["gain"]
    paid = depth_curves(read_trial(tmp_path / "t.csv", settings.model_copy(update={"cost": 0.7})), "randomised")
    assert paid["gain"].to_numpy() == pytest.approx(curve["gain"].to_numpy() - 0.7)
    with raises_code("dose_not_randomised", "planned="):
        depth_curves(data, "adjusted")
    with raises_code("dose_not_numeric", "a, b, c"):
        depth_curves(replace(data, arms=("none", "a", "b", "c")), "randomised")


def test_a_trial_that_lost_customers_of_one_arm_is_refused(tmp_path: Path) -> None:
    def lose(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.filter(~((pl.col("letter") == "b") & (pl.col("came") == 0) & (pl.col("score") > 0)))

    with Store(tmp_path / "w") as store, raises_code("effect_not_identified"):
        work_folder.fit(store, write(tmp_path / "t.csv", change=lose), SETTINGS, lambda *told: None)


def test_letters_sent_to_the_old_alone_have_no_effect_to_read(tmp_path: Path) -> None:
    def best(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(letter=pl.when(pl.col("old") == 1).then(pl.lit("b")).otherwise(pl.lit("none")))

    open_ = SETTINGS.model_copy(update={"planned": None})
    with Store(tmp_path / "w") as store, raises_code("effect_not_identified"):
        work_folder.fit(store, write(tmp_path / "t.csv", change=best), open_, lambda *told: None)


def test_what_was_not_drawn_by_lot_is_adjusted_and_says_how_strong_a_hidden_cause_must_be(tmp_path: Path) -> None:
    def chosen(frame: pl.DataFrame) -> pl.DataFrame:
        rng = np.random.default_rng(8)
        sent = rng.random(frame.height) < np.where(frame["old"] == 1, 0.65, 0.35)
        came = rng.random(frame.height) < 0.15 + 0.2 * frame["old"].to_numpy() + 0.3 * sent
        letters = pl.Series("letter", np.where(sent, "b", "none"))
        return frame.with_columns(letters, pl.Series("came", came.astype(int))).drop("spent", "before")

    known = {"features": ("old", "town", "score")}
    settings = SETTINGS.model_copy(update={"planned": None, "money": None, "placebos": ()} | known)
    with Store(tmp_path / "w") as store:
        notes = work_folder.fit(store, write(tmp_path / "t.csv", 1200, chosen), settings, lambda *told: None)
        page = render_page(build_trial_page(TrialResults.load(store)))
        effect = store.frame("trial_effects").row(0, named=True)
    assert notes.figures["level"] == "adjusted"
    assert effect["low"] < 0.3 < effect["high"]  # the plain difference of means is 0.36
    assert max(notes.figures["hidden"].values()) > 1.5
    assert "Hidden causes" in page
    assert 'class="badge randomised"' not in page


@pytest.mark.parametrize(
    ("change", "code", "facts"),
    [
        ({"treatment": "post"}, "column_unknown", ["'post'"]),
        ({"control": "nobody"}, "control_unknown", ["'nobody'", "letter"]),
        ({"rates": ("spent",), "money": None}, "outcome_not_binary", ["'spent'"]),
        ({"money": "town"}, "column_type_wrong", ["'town'"]),
        ({"planned": (0.5, 0.5)}, "planned_shares_invalid", ["planned: 2 ", "for 3 "]),
    ],
)
def test_columns_that_mean_something_else_are_told(
    tmp_path: Path, change: dict[str, object], code: str, facts: list[str]
) -> None:
    settings = SETTINGS.model_copy(update=change)
    with Store(tmp_path / "w") as store, raises_code(code, *facts):
        work_folder.fit(store, write(tmp_path / "t.csv", 300), settings, lambda *told: None)


def test_settings_say_what_is_missing(tmp_path: Path) -> None:
    with raises_code("setting_missing", "treatment"):
        trial_settings(None, ["control=none", "rates=x"])
    with raises_code("setting_invalid", "rates", "money"):
        trial_settings(None, ["treatment=t", "control=none"])
    with raises_code("option_invalid", "'treatment'"):
        trial_settings(None, ["treatment"])
    with raises_code("setting_unknown", "'treatmnt'", "'treatment'"):
        trial_settings(None, ["treatmnt=t"])
    with raises_code("setting_invalid", "planned"):
        trial_settings(None, ["treatment=t", "control=none", "rates=x", "planned=half"])
    said = trial_settings(None, ["treatment=t", "control=none", "rates=x,y", "planned=0.5,0.5", "cost=0.2"])
    assert (said.rates, said.planned, said.cost) == (("x", "y"), (0.5, 0.5), 0.2)
    (tmp_path / "s.toml").write_text("[shop]\n")
    with raises_code("setting_missing", "s.toml", "[trial]"):
        trial_settings(tmp_path / "s.toml", ())
    with Store(tmp_path / "w") as store, raises_code("step_missing", "'trial'"):
        work_folder.evaluate(store, lambda *told: None)


def verb(*words: str) -> int:
    """The exit code of a command line."""
    with pytest.raises(SystemExit) as done:
        main([*words])
    return int(done.value.code or 0)


def test_the_verbs_go_from_file_to_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, work = write(tmp_path / "t.csv", 900, lambda f: f.drop("spent")), ["--work", str(tmp_path / "w")]
    options = ["treatment=letter", "control=none", "rates=came", "planned=equal", "--json"]
    assert verb("effect", "fit", str(path), *options, *work) == 0
    assert json.loads(capsys.readouterr().out)["level"] == "randomised"
    assert verb("effect", "explain", *work) == 0
    assert verb("effect", "report", "--out", str(tmp_path / "out"), *work) == 0
    assert "no outcome is money" in (tmp_path / "out/trial.html").read_text("utf-8")
    assert verb("demo", "--data", "hillstrom", "--path", str(tmp_path / "gone.csv")) == 2
    said = capsys.readouterr().err
    assert "[file_not_found]" in said
    assert "gone.csv" in said


@pytest.mark.skipif(not HILLSTROM.exists(), reason="needs hillstrom.csv in ../shared/data")
def test_the_file_of_the_demo_is_read_as_its_settings_say() -> None:
    settings = trial_settings(Path(work_folder.__file__).parent / "hillstrom.toml", ())
    data = read_trial(HILLSTROM, settings)
    assert data.arms == ("No E-Mail", "Mens E-Mail", "Womens E-Mail")
    assert len(data.arm_N) == 64_000
    assert data.features.columns == [
        "recency",
        "history_segment",
        "history",
        "mens",
        "womens",
        "zip_code",
        "newbie",
        "channel",
    ]
