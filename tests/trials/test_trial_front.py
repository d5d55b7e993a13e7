"""A trial from Python: arms by name, every figure net of what that arm and that customer cost, frames in and out."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from few_learners import few_learners

import promolift
from promolift.cli.application import main
from promolift.trials import trial as front
from promolift.trials.analysis import effect_estimates as fitting
from promolift.trials.analysis import trial_data as reading
from promolift.trials.analysis.settings import ProfitFormula, TrialSettings
from promolift.trials.trial import FittedTrial
from promolift.trials.work_folder import trial_settings

ROWS = 600
COST = {"b": 3.0, "a": 0.5}  # not in the order of the arms
MEANING: dict[str, Any] = {"treatment": "letter", "control": "none", "money": "spend", "planned": "equal",
                           "margin_rate": 0.5}  # fmt: skip


def customers() -> pl.DataFrame:
    """Letter b adds 20 to what the old spend, letter a nothing; postage is 0.2 or 30 whatever the letter."""
    rng = np.random.default_rng(7)
    letter, old = rng.choice(["none", "b", "a"], ROWS), rng.random(ROWS) < 0.5
    return pl.DataFrame(
        {
            "member": [f"m{n:04d}" for n in rng.permutation(ROWS)],
            "letter": letter,
            "old": old.astype(int),
            "score": rng.normal(size=ROWS).round(3),
            "postage": rng.choice([0.2, 30.0], ROWS),
            "spend": np.round(10 + 20 * (letter == "b") * old + rng.normal(size=ROWS), 2),
        }
    )


@pytest.fixture(autouse=True, scope="module")
def _lean() -> Iterator[None]:
    with few_learners():
        yield


@pytest.fixture(scope="module")
def fit() -> FittedTrial:
    """A letter has its own cost."""
    return promolift.Trial(customers(), cost=COST, ignore="postage", **MEANING).fit()


def holds(fit: FittedTrial, frame: pl.DataFrame) -> None:
    """Every figure is that of the arm whose name stands beside it, net of this arm's cost."""
    mean = dict(frame.group_by("letter").agg(pl.col("spend").mean()).iter_rows())
    settings = fit.note.settings
    own = {arm: COST[arm] if settings.cost == COST else frame["postage"].mean() for arm in ("a", "b")}
    net = {arm: 0.5 * (mean[arm] - mean["none"]) - own[arm] for arm in ("a", "b")}
    assert fit.effects["arm"].to_list() == ["a", "b"]
    for row in fit.effects.iter_rows(named=True):
        assert abs(row["effect"] - (mean[row["arm"]] - mean["none"])) < 1
        assert row["net"] == pytest.approx(0.5 * row["effect"] - own[row["arm"]])
    assert "postage" not in fit.note.features
    new = frame.with_columns(postage=frame["postage"].mean())
    assert [*fit.predict(new)] == ["a", "b"]
    for arm, predicted in fit.predict(new).items():
        assert abs(predicted["gain"].mean() - net[arm]) < 1
        assert (predicted["low"] < predicted["gain"]).all()
    difference = fit.predict(new)["b"]["gain"].to_numpy()[new["old"].to_numpy() == 1] - net["b"]
    assert difference.mean() > 3
    policies = dict(fit.evaluate().policies.select("policy", "value").iter_rows())
    assert [*policies][:3] == ["nobody (control none)", "everybody: a", "everybody: b"]
    for arm in ("a", "b"):
        assert abs(policies[f"everybody: {arm}"] - (0.5 * mean[arm] - own[arm])) < 0.5


def test_every_figure_is_that_of_the_arm_beside_it_and_net_of_its_cost(fit: FittedTrial) -> None:
    holds(fit, customers())


def test_the_cost_of_a_customer_is_theirs_alone() -> None:
    frame = customers()
    fit = promolift.Trial(frame, cost="postage", **MEANING).fit()
    holds(fit, frame)
    dear = fit.predict(frame.with_columns(postage=pl.col("postage") + 2))
    for arm, cheap in fit.predict(frame).items():
        assert (cheap["gain"] - dear[arm]["gain"]).to_numpy() == pytest.approx(2)
    # b adds 10 in profit to the old: those with cheap postage are worth it, the average customer is not
    ours = fit.evaluate().policies.row(-1, named=True)
    assert ours["best_fixed"] == "nobody (control none)"
    assert ours["lead_low"] > 0
    worth = frame["old"] * (frame["postage"] < 1)
    assert ours["treated"] == pytest.approx(worth.mean(), abs=0.03)
    plan = fit.plan(budget=1000)
    assert plan["cost"].unique().to_list() == [0.2]
    assert set(plan["member"]) <= set(frame.filter(pl.col("postage") < 1)["member"])
    assert plan.note.treated == pytest.approx(worth.sum(), abs=15)
    for text in (str(fit), fit.explain(), str(fit.evaluate()), str(plan)):
        assert "net of postage of each customer treated, margin 50" in text


def swapped(frame: pl.DataFrame, arms: tuple[str, ...]) -> pl.DataFrame:
    return BY_NAME(frame, (arms[0], *arms[:0:-1]))


def forgotten(*given: Any) -> Any:
    cost_NA = COSTS(*given)
    cost_NA[:, -1] = 0
    return cost_NA


BY_NAME, COSTS = fitting.name_arms, reading.treatment_costs
FAULTS = {
    "names of effects swapped": ((fitting, "name_arms", swapped), COST),
    "a cost forgotten": ((reading, "treatment_costs", forgotten), COST),
    "policies before cost": (
        (ProfitFormula, "profit", lambda self, outcome_N, arm_N: self.profit_before_cost(outcome_N, arm_N)),
        COST,
    ),
    "a cost as a feature": ((TrialSettings, "cost_columns", ()), "postage"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (where, name, wrong), cost = FAULTS[fault]
    monkeypatch.setattr(where, name, wrong)
    frame = customers() if isinstance(cost, str) else customers().drop("postage")
    with pytest.raises(AssertionError):
        holds(promolift.Trial(frame, cost=cost, **MEANING).fit(), customers())


def test_a_plan_names_customers_and_treatments_and_keeps_the_budget(fit: FittedTrial) -> None:
    plan, frame = fit.plan(budget=200), customers()
    assert plan.frame.columns == ["member", "treatment", "gain", "low", "high", "cost", "evidence"]
    assert plan["cost"].to_list() == [COST[arm] for arm in plan["treatment"]]
    assert 190 < plan["cost"].sum() <= 200
    chosen = frame.filter(pl.col("member").is_in(plan["member"].implode()))
    assert chosen["old"].mean() > 0.95
    free, ours = fit.plan(), fit.evaluate().policies.row(-1, named=True)
    assert free.note.treated / ROWS == pytest.approx(ours["treated"], abs=0.05)  # the policy itself: no budget
    assert free.note.budget == pytest.approx(free.note.cost)
    assert fit.results.plan is not plan


def test_what_is_returned_answers_print_and_a_notebook(fit: FittedTrial) -> None:
    plan, said = fit.plan(budget=200), "net of 3 (b) and 0.5 (a) a customer treated, margin 50"
    for each in (fit.trial.check(), fit, fit.evaluate(), plan):
        assert "<table" in each._repr_html_()
        assert "treatment 1" not in str(each)
        assert "arm 1" not in str(each)
    for text in (str(fit), str(fit.evaluate()), str(plan), fit.explain()):
        assert said in text
    assert "Treated: b" in str(plan)
    assert "their costs of 0.5 (a), 3 (b) taken off" in fit.explain()
    assert "none 1" in str(fit.trial)
    assert fit.evaluate().calibration.columns == ["outcome", "arm", "groups", "inside"]


def test_the_page_is_that_of_the_command_line(tmp_path: Path) -> None:
    customers().drop("postage").write_csv(tmp_path / "t.csv")
    said = ["treatment=letter", "control=none", "money=spend", "planned=equal", "cost.a=0.5", "cost.b=3", "budget=200"]
    for verb in (["fit", str(tmp_path / "t.csv"), *said], ["evaluate"], ["report", "--out", str(tmp_path / "out")]):
        with pytest.raises(SystemExit) as end:
            main(["effect", *verb, "--work", str(tmp_path / "w")])
        assert not end.value.code
    meaning = MEANING | {"margin_rate": 1.0}
    fit = promolift.Trial(tmp_path / "t.csv", cost=COST, budget=200, **meaning).fit()
    plan = fit.plan()
    page = fit.report(tmp_path / "mine" / "trial.html").read_text("utf-8")
    assert page == (tmp_path / "out/trial.html").read_text("utf-8").replace(
        "$0.50 (a) and $3.00 (b)", "$3.00 (b) and $0.50 (a)"
    )
    assert "net of $3.00 (b) and $0.50 (a) a customer treated" in page
    assert pl.read_parquet(tmp_path / "out/plan.parquet").equals(plan.frame)


def test_rows_are_read_and_diagnosed_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = {"read": 0, "diagnose": 0}

    def counted(name: str, plain: Any) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            calls[name] += 1
            return plain(*given, **more)

        return call

    monkeypatch.setattr(front, "read_trial", counted("read", front.read_trial))
    monkeypatch.setattr(front.diagnostics, "diagnose", counted("diagnose", front.diagnostics.diagnose))
    fit = promolift.Trial(customers(), cost="postage", **MEANING).fit()
    fit.report(tmp_path / "trial.html")
    assert calls == {"read": 1, "diagnose": 1}


def test_frames_of_every_kind_and_files_are_the_same_trial(tmp_path: Path) -> None:
    frame = customers()
    frame.write_csv(tmp_path / "t.csv", separator=";")
    frame.write_parquet(tmp_path / "t.parquet")
    given = [frame, frame.lazy(), frame.to_pandas(), frame.to_arrow(), frame.to_dict(as_series=False),
             tmp_path / "t.csv", str(tmp_path / "t.parquet")]  # fmt: skip
    for each in given:
        data = promolift.Trial(each, cost="postage", rates=[], **MEANING).data
        assert data.features.cast(pl.Float64).equals(frame.select("old", "score").cast(pl.Float64)), type(each)
        assert data.arms == ("none", "a", "b")
        assert (data.cost_NA[:, 1] == frame["postage"].to_numpy()).all()
        assert data.who is not None
        assert data.who.to_list() == frame["member"].to_list()


def test_ids_stay_as_they_are_written(tmp_path: Path) -> None:
    frame = customers().with_columns(member=pl.Series([f"00{n}" for n in range(ROWS)]))
    frame.write_csv(tmp_path / "t.csv")
    for each in (frame, tmp_path / "t.csv"):
        who = promolift.Trial(each, cost="postage", **MEANING).data.who
        assert who is not None
        assert who[3] == "003"


def test_treatments_that_are_numbers_or_yes_and_no_are_named_as_in_the_file() -> None:
    frame = customers().with_columns(letter=pl.col("letter").replace_strict({"none": 0, "a": 1, "b": 2}))
    meaning = MEANING | {"control": 0}
    assert promolift.Trial(frame, cost={1: 0.5, 2: 3}, **meaning).data.arms == ("0", "1", "2")
    assert promolift.Trial(
        frame.with_columns(pl.col("letter") * 1.0), cost={1.0: 1, 2.0: 2}, **meaning
    ).data.cost_NA.tolist() == [[0, 1, 2]]
    sent = frame.with_columns(letter=pl.col("letter") > 0)
    assert promolift.Trial(sent, **(MEANING | {"control": False})).data.arms == ("false", "true")


@pytest.mark.parametrize(
    ("change", "code", "facts"),
    [
        ({"treatmnt": "letter"}, "setting_unknown", ["'treatment'"]),
        ({"cost": -1}, "setting_invalid", ["cost = -1"]),
        ({"cost": {"a": 1, "b": "dear"}}, "column_unknown", ["'dear'", "cost"]),
        ({"cost": "postage", "features": ["old", "postage"]}, "setting_invalid", ["cost", "'postage'"]),
        ({"cost": "spend"}, "setting_invalid", ["cost", "'spend'"]),
        ({"money": "spent"}, "column_unknown", ["data: ", "'spent'", "money", "'spend'"]),
        ({"rates": "spedn"}, "column_unknown", ["'spedn'", "rates", "'spend'"]),
        ({"cost": "postag"}, "column_unknown", ["'postag'", "cost", "'postage'"]),
        ({"cost": "score"}, "value_invalid", ["cost 'score'"]),
        ({"cost": {"a": 1}}, "cost_missing", ["cost", "'b'"]),
        ({"cost": {"a": 1, "b": 2, "c": 3}}, "arm_unknown", ["cost of 'c'", "letter", "a, b"]),
        ({"cost": {"a": 1, "b": 2, "none": 3}}, "arm_unknown", ["cost of 'none'"]),
        ({"control": "noone"}, "control_unknown", ["control 'noone'", "letter", "a, b, none"]),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_at_once(change: dict[str, Any], code: str, facts: list[str]) -> None:
    with raises_code(code, *facts):
        promolift.Trial(customers(), **(MEANING | change))


def test_new_customers_are_read_as_those_of_the_trial_were(fit: FittedTrial, tmp_path: Path) -> None:
    frame = customers().head(20)
    frame.write_csv(tmp_path / "new.csv")
    plain = fit.predict(frame)["b"]
    assert fit.predict(tmp_path / "new.csv")["b"].equals(plain)
    assert fit.predict(frame.cast(pl.String))["b"].equals(plain)
    with raises_code("column_missing", "new: ", "'score'", "'scores'"):
        fit.predict(frame.rename({"score": "scores"}))
    with raises_code("column_type_wrong", "'score'", "'much'"):
        fit.predict(frame.with_columns(score=pl.lit("much")))
    moments = frame.with_columns(pl.Series("at", range(20)).cast(pl.Datetime("ms")))
    again = reading.match_features(moments.with_columns(pl.col("at").cast(pl.Datetime("ns"))), moments.select("at"))
    assert again["at"].dtype == pl.Datetime("ms")


def test_a_trial_that_supports_nothing_says_why() -> None:
    lost = customers().filter((pl.col("letter") != "b") | (pl.col("score") < 0))
    trial = promolift.Trial(lost, cost=1, **MEANING)
    assert trial.check().level is None
    assert str(trial.check()).startswith("Evidence: none: sample ratio mismatch")
    with raises_code("effect_not_identified", "data: ", "191, 211, 99"):
        trial.fit()
    rare = pl.concat([lost.filter(pl.col("letter") != "b"), customers().filter(pl.col("letter") == "b").head(20)])
    with raises_code("effect_not_identified", "20 customers of b"):
        promolift.Trial(rare, **(MEANING | {"planned": None})).fit()


def test_where_nothing_is_known_of_customers_all_get_the_average(tmp_path: Path) -> None:
    frame = customers().select("member", "letter", "spend", "postage")
    fit = promolift.Trial(frame, cost="postage", **MEANING).fit()
    effect = dict(fit.effects.select("arm", "effect").iter_rows())
    predicted = fit.predict(frame.select("postage"))["b"]
    assert predicted["gain"].to_numpy() == pytest.approx(0.5 * effect["b"] - frame["postage"].to_numpy())
    with raises_code("customer_features_missing"):
        fit.plan()
    assert "all would be treated alike" in fit.report(tmp_path / "t.html").read_text("utf-8")


def test_costs_are_said_alike_in_words_and_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    pairs = ["treatment=t", "control=0", "money=m"]
    for words, text, cost in (
        (["cost=0.5"], "cost = 0.5", 0.5),
        (["cost.A b=0.5", "cost.0.2=1"], 'cost = { "A b" = 0.5, "0.2" = 1 }', {"A b": 0.5, "0.2": 1.0}),
        (["cost=postage"], 'cost = "postage"', "postage"),
    ):
        file.write_text(f'[trial]\ntreatment = "t"\ncontrol = "0"\nmoney = "m"\n{text}\n', "utf-8")
        assert trial_settings(None, [*pairs, *words]) == trial_settings(file, ())
        assert trial_settings(file, ()).cost == cost
