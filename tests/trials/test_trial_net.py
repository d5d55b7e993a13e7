"""Trials whose treatment earns less than it costs: all that speaks of a trial says so, from the same numbers."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code

from promolift.core.effects.uplift import learner_selection, uplift_model
from promolift.foundation.pages.rendering import render_page
from promolift.foundation.storage.local_store import Store
from promolift.trials import work_folder
from promolift.trials.analysis.results import TrialEvaluationNote, TrialFit, TrialPlanNote, TrialResults
from promolift.trials.analysis.settings import TrialSettings
from promolift.trials.page import build_trial_page

ROWS, WORTH = 3000, 10.0  # customers; what one purchase brings
NOBODY = "nobody (control none)"
SETTINGS = TrialSettings(
    name="A letter that costs", treatment="letter", control="none", rates=("bought",), money="amount",
    planned=(0.4, 0.6), cost=1.0,
)  # fmt: skip

# values of nobody, everybody and the recommended of `few` by the last version that knew no net values (2d3850d)
GROSS = {
    "amount": [1.1493508907087626, 1.7727363256252793, 1.7727363256252793],
    "bought": [0.11595945529064126, 0.17636000752592568, 0.17636000752592568],
}


def quiet(*_: object) -> None:
    """No progress."""


def frame(keen: float, others: float) -> pl.DataFrame:
    """A letter adds this much to the chance of buying, 10 % without it, of the keen fifth and of the others."""
    rng = np.random.default_rng(11)
    is_keen, letter = rng.random(ROWS) < 0.2, rng.random(ROWS) < 0.6
    bought = rng.random(ROWS) < 0.1 + letter * np.where(is_keen, keen, others)
    return pl.DataFrame(
        {
            "letter": np.where(letter, "letter", "none"),
            "keen": is_keen.astype(int),
            "age": rng.integers(20, 80, ROWS),
            "noise": rng.normal(size=ROWS).round(3),
            "bought": bought.astype(int),
            "amount": WORTH * bought,
        }
    )


@dataclass(frozen=True)
class Told:
    """A trial from file to page, and all that was said of it."""

    frame: pl.DataFrame
    results: TrialResults
    evaluated: str
    explained: str
    page: str

    def policies(self, outcome: str) -> dict[str, dict[str, float]]:
        """Policies of one outcome by name."""
        assert self.results.evaluation
        rows = self.results.evaluation.policies.filter(pl.col("outcome") == outcome)
        return {row["policy"]: row for row in rows.iter_rows(named=True)}


def tell(folder: Path, data: pl.DataFrame, settings: TrialSettings) -> Told:
    """Run all verbs."""
    data.write_csv(folder / "t.csv")
    with Store(folder / "w") as store:
        work_folder.fit(store, folder / "t.csv", settings, quiet)
        evaluated, explained = work_folder.evaluate(store, quiet).text, work_folder.explain(store, quiet).text
        work_folder.report(store, folder / "out", quiet)
        page = (folder / "out/trial.html").read_text("utf-8")
        return Told(data, TrialResults.load(store), evaluated, explained, page)


@pytest.fixture(scope="module")
def loss(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """Everybody gains 0.5 by a letter that costs 1."""
    return tell(tmp_path_factory.mktemp("loss"), frame(keen=0.05, others=0.05), SETTINGS)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """The keen fifth gain 3.5, the others nothing, by a letter that costs 1."""
    return tell(tmp_path_factory.mktemp("few"), frame(keen=0.35, others=0.0), SETTINGS)


def test_where_everybody_gains_less_than_it_costs_nobody_is_recommended(loss: Told) -> None:
    money = loss.results.fitted.effects.row(1, named=True)
    assert money["effect"] > 0 > money["net"]
    policies = loss.policies("amount")
    assert policies["everybody: letter"]["lead"] < 0
    assert policies["recommended"]["treated"] == 0
    assert loss.results.plan
    assert loss.results.plan.note.treated == 0
    for text in (loss.evaluated, loss.page):
        assert f"Recommended: {NOBODY}" in text
        assert "beats everybody" not in text
    assert f"Best for everybody alike: {NOBODY}. No group proved better off" in loss.explained
    for text in (loss.evaluated, loss.explained, loss.page.replace("$1.00", "1")):
        assert "net of 1 a customer treated, margin 100" in text


def test_where_a_few_pay_all_say_the_few(few: Told) -> None:
    ours, planned = few.policies("amount")["recommended"], few.results.plan
    assert few.policies("amount")["everybody: letter"]["lead"] < 0
    assert ours["best_fixed"] == NOBODY
    assert ours["lead_low"] > 0
    assert 0.17 < ours["treated"] < 0.23
    assert f"Best for everybody alike: {NOBODY}. Better: those treated whom the ranking by" in few.explained
    for text in (few.evaluated, few.page):
        assert re.search(rf"The recommended policy treats 2\d.% of customers and beats {re.escape(NOBODY)}", text)
    assert planned
    truth = 2.5 * few.frame["keen"].sum()  # all keen customers treated, nobody else
    assert ours["added_low"] < truth < ours["added_high"]
    assert planned.note.low < truth < planned.note.high
    chosen = few.frame["keen"].to_numpy()[planned["row"].to_numpy() - 1]
    assert chosen.mean() > 0.95


def test_fixed_policies_are_worth_the_net_means_of_their_arms(few: Told, loss: Told) -> None:
    for told in (few, loss):
        treated = told.frame.filter(pl.col("letter") == "letter")["amount"] - SETTINGS.cost
        plain = {NOBODY: told.frame.filter(pl.col("letter") == "none")["amount"], "everybody: letter": treated}
        for name, values in plain.items():
            row = told.policies("amount")[name]
            error = float(np.std(values.to_numpy()) / np.sqrt(len(values)))
            assert abs(row["value"] - values.to_numpy().mean()) < 0.5 * error
            nobody = told.policies("amount")[NOBODY]["value"]
            assert row["added"] == pytest.approx(ROWS * (row["value"] - nobody))


def test_an_outcome_that_is_no_money_is_told_before_cost_and_recommends_nothing(few: Told) -> None:
    rate, money = few.policies("bought"), few.policies("amount")
    assert rate["recommended"]["treated"] == money["recommended"]["treated"]
    told = "Before cost, so nothing is recommended by it: amount decides."
    assert told in few.page
    assert told in few.evaluated
    by_rate = few.explained.split("\n\n")[2]
    assert by_rate.startswith("bought, before cost: ")
    assert "Best for everybody" not in by_rate
    assert "decided" in by_rate


def test_margin_and_cost_halved_together_halve_every_value(few: Told, tmp_path: Path) -> None:
    half = tell(tmp_path, few.frame, SETTINGS.model_copy(update={"margin_rate": 0.5, "cost": 0.5}))
    for name, row in few.policies("amount").items():
        other = half.policies("amount")[name]
        assert other["value"] == pytest.approx(row["value"] / 2, rel=0.01)  # trees are not quite free of the unit
        assert other["treated"] == pytest.approx(row["treated"], abs=0.01)
    assert "net of 0.5 a customer treated, margin 50" in half.explained
    assert "net of $0.50 a customer treated, margin 50" in half.page


def test_without_cost_and_with_full_margin_all_is_as_it_was(few: Told, tmp_path: Path) -> None:
    free = tell(tmp_path, few.frame, SETTINGS.model_copy(update={"cost": 0.0}))
    for outcome, values in GROSS.items():
        told = [row["value"] for row in free.policies(outcome).values()]
        assert told == pytest.approx(values, rel=5e-3)  # expected outcomes take noise away, each its own
    assert "Best for everybody alike: letter." in free.explained
    assert "net of" not in free.page + free.explained + free.evaluated


def test_a_cost_moves_gains_by_itself_and_teaches_nothing() -> None:
    data = frame(keen=0.35, others=0.0)
    given = (data.select("keen", "age"), (data["letter"] == "letter").to_numpy(), data["amount"].to_numpy())
    gross, net = (
        uplift_model.fit_effects(
            *given, settings=learner_selection.EffectSettings(rich=("additive",), folds=2), cost_NK=cost
        )
        for cost in (0.0, 0.8)
    )
    asked = data.select("keen", "age")
    assert (gross.verdict.weight_C == net.verdict.weight_C).all()
    assert net.predict(asked).gain_NK == pytest.approx(gross.predict(asked).gain_NK - 0.8)
    assert net.predict(asked).se_NK == pytest.approx(gross.predict(asked).se_NK)
    assert (gross.best_arm, net.best_arm) == (1, 0)
    again = uplift_model.EffectModel.from_parts(*net.to_parts())
    assert again.cost_K == 0.8
    assert "its cost of 0.8 taken off" in again.explain(("none", "letter"))


def test_cut_amounts_do_not_face_the_whole_cost() -> None:
    """A tenth of buyers spend 40 times as much: cut off, the letter would seem to earn less than it costs."""
    rng = np.random.default_rng(3)
    treated = rng.random(20_000) < 0.5
    bought = rng.random(20_000) < np.where(treated, 0.4, 0.2)
    amount = bought * np.where(rng.random(20_000) < 0.1, 40.0, 1.0)  # the letter adds 0.2 x 4.9 = 0.98
    lean = learner_selection.EffectSettings(rich=(), folds=2)
    for cost, best in ((0.6, 1), (1.4, 0)):
        model = uplift_model.fit_effects(rng.normal(size=(20_000, 1)), treated, amount, settings=lean, cost_NK=cost)
        assert model.best_arm == best


def test_a_trial_that_knows_nothing_of_its_customers_tells_the_net_effect_too(tmp_path: Path) -> None:
    frame(keen=0.05, others=0.05).select("letter", "bought", "amount").write_csv(tmp_path / "t.csv")
    with Store(tmp_path / "w") as store:
        work_folder.fit(store, tmp_path / "t.csv", SETTINGS, quiet)
        explained, page = (
            work_folder.explain(store, quiet).text,
            render_page(build_trial_page(TrialResults.load(store))),
        )
    assert re.search(r"net of 1 a customer treated, margin 100.%: -0\.\d+ \(-", explained)
    assert "net of $1.00 a customer treated" in page
    assert "all would be treated alike" in page


def test_a_new_fit_forgets_what_was_judged_and_planned_of_the_old_one(tmp_path: Path) -> None:
    frame(keen=0.35, others=0.0).select("letter", "keen", "amount").write_csv(tmp_path / "t.csv")
    settings = SETTINGS.model_copy(update={"rates": ()})
    with Store(tmp_path / "w") as store:
        for note, said in (
            (TrialFit, "effect fit"),
            (TrialEvaluationNote, "effect evaluate"),
            (TrialPlanNote, "effect report"),
        ):
            with raises_code("step_missing", f"promolift {said}"):
                note.load(store)
        work_folder.fit(store, tmp_path / "t.csv", settings, quiet)
        work_folder.evaluate(store, quiet)
        work_folder.report(store, tmp_path / "out", quiet)
        assert TrialResults.load(store).evaluation
        work_folder.fit(store, tmp_path / "t.csv", settings.model_copy(update={"cost": 0.1}), quiet)
        found = TrialResults.load(store)
        assert (found.evaluation, found.plan) == (None, None)
        assert "<code>promolift effect evaluate</code> has not run" in render_page(
            build_trial_page(TrialResults.load(store))
        )
