"""Trials as people have them: pandas frames, text, categories, days in any order, amounts, gaps, arms by name."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from error_checks import raises_code

import promolift
from promolift.core import effects as effect
from promolift.foundation.files.column_types import infer_types
from promolift.foundation.frames import as_frame

N = 400
MEANING: dict[str, Any] = {"treatment": "offer", "control": "none", "money": "spend", "planned": "equal"}


def people(**more: object) -> pl.DataFrame:
    """Two arms by a lot; the letter adds 2."""
    rng = np.random.default_rng(5)
    letter = rng.random(N) < 0.5
    spend = np.round(2000 + 2 * letter + rng.normal(size=N), 2)
    columns = {"offer": np.where(letter, "letter", "none"), "age": rng.integers(20, 70, N), "spend": spend}
    return pl.DataFrame({**columns, **more})


@pytest.mark.parametrize(
    ("texts", "values"),
    [
        (["1,234.50", "12.00", "NA", "5"], [1234.5, 12, None, 5]),
        (["1.234,5", "7", "8,25", ""], [1234.5, 7, 8.25, None]),
        (["$1,234", "€3", "(5.00)", "-3 "], [1234, 3, -5, -3]),
        (["10%", "5.5 %", "0%", None], [0.1, 0.055, 0, None]),
        (["1 234,5", "2 000 000", "3", "4"], [1234.5, 2e6, 3, 4]),
        (["USD 12.50", "EUR 3", "¥4", "5"], [12.5, 3, 4, 5]),
    ],
)
def test_amounts_are_read_as_people_write_them(texts: list[str], values: list[float | None]) -> None:
    assert infer_types(pl.DataFrame({"a": texts})).frame["a"].to_list() == [
        v if v is None else pytest.approx(v) for v in values
    ]


@pytest.mark.parametrize(
    "texts", [["ABC12", "X1"], ["20-29", "50+"], ["1.2.3", "2.0.1"], ["none", "a"], ["12 34", "5"]]
)
def test_what_is_no_amount_stays_text(texts: list[str]) -> None:
    found = infer_types(pl.DataFrame({"a": texts})).frame["a"]
    assert found.to_list() == texts


def test_days_are_read_in_the_order_that_fits_all_and_a_guess_is_told() -> None:
    days = infer_types(pl.DataFrame({"eu": ["31/01/2026", "02/03/2026"], "us": ["01/31/2026", "02/03/2026"]}))
    assert [str(v)[:10] for v in days.frame["eu"]] == ["2026-01-31", "2026-03-02"]
    assert [str(v)[:10] for v in days.frame["us"]] == ["2026-01-31", "2026-02-03"]
    assert days.doubts == ()
    either = infer_types(pl.DataFrame({"at": ["01/02/2026", "03/04/2026"], "amount": ["1,234", "2,000"]}))
    assert "at: no value tells day from month; read as" in either.doubts[0]
    assert "amount: '1,234' is read as 1234" in either.doubts[1]
    moments = infer_types(pl.DataFrame({"at": ["2026-01-02 10:00", "2026-01-02T11:00:30Z", "2026-02-03", None]})).frame[
        "at"
    ]
    assert moments.dtype.is_temporal()
    assert moments.null_count() == 1


def test_a_pandas_frame_keeps_its_text_categories_days_and_names() -> None:
    frame = people().to_pandas()
    frame["city"] = pd.Categorical(np.where(frame["age"] > 40, "Rome", "Oslo"))
    frame["joined"] = pd.date_range("2025-01-01", periods=N, freq="h")
    frame["mixed"] = [1 if n % 2 else "one" for n in range(N)]
    frame["gone"] = pd.array([None if n % 7 == 0 else n % 5 for n in range(N)], dtype="Int64")
    frame.index = pd.Index([f"c{n}" for n in range(N)], name="member")
    data = promolift.Trial(frame, **MEANING).data
    assert data.features.columns == ["age", "city", "joined", "mixed", "gone"]
    assert data.who.to_list()[:2] == ["c0", "c1"]
    assert data.features["city"].dtype == pl.String
    assert data.features["mixed"].unique().sort().to_list() == ["1", "one"]
    text = frame.assign(spend=[f"{v:,.2f}" for v in frame["spend"]])
    assert (promolift.Trial(text, **MEANING).data.outcomes["spend"] == data.outcomes["spend"]).all()
    twice = pd.concat([frame["age"], frame["age"]], axis=1)
    with raises_code("column_duplicate", "'age'"):
        as_frame(twice)


@pytest.mark.parametrize("kind", ["Polars", "lazy Polars", "pandas", "Arrow", "DuckDB", "columns"])
def test_a_table_is_taken_from_wherever_it_is(kind: str) -> None:
    frame = people().head(50)
    held = {
        "Polars": lambda: frame, "lazy Polars": frame.lazy, "pandas": frame.to_pandas, "Arrow": frame.to_arrow,
        "DuckDB": lambda: duckdb.from_arrow(frame.to_arrow()), "columns": lambda: frame.to_dict(as_series=False),
    }  # fmt: skip
    assert as_frame(held[kind]()).equals(frame)


def test_the_core_takes_pandas_and_arms_by_name() -> None:
    frame = people(city=np.where(np.arange(N) % 3, "Rome", "Oslo")).to_pandas()
    few = effect.EffectSettings(rich=("additive",), folds=2)
    model = effect.fit_effects(frame[["age", "city"]], frame["offer"], frame["spend"], control="none", settings=few)
    plain = effect.fit_effects(frame[["age", "city"]], (frame["offer"] == "letter") * 1, frame["spend"], settings=few)
    assert model.average.gain_K == pytest.approx(plain.average.gain_K)
    assert "letter adds" in model.explain()
    assert "city = Rome" in model.encoder.names
    with raises_code("control_missing", "control=", "letter", "none"):
        effect.fit_effects(frame[["age"]], frame["offer"], frame["spend"])
    with raises_code("control_unknown", "'non'", "letter, none"):
        effect.fit_effects(frame[["age"]], frame["offer"], frame["spend"], control="non")


def gaps(where: np.ndarray) -> pl.DataFrame:
    frame = people()
    return frame.with_columns(spend=pl.when(pl.Series(where)).then(None).otherwise(pl.col("spend")))


def test_missing_outcomes_are_counted_by_arm_and_treated_by_a_stated_rule(tmp_path: Path) -> None:
    few = gaps(np.arange(N) % 50 == 7)
    trial = promolift.Trial(few, **MEANING)
    assert trial.data.doubts[0].startswith("customers without spend: 8 (")
    assert "in letter; rows 8, 58, 108, ...): left out" in trial.data.doubts[0]
    assert len(trial.data.arm_N) == N - 8
    assert trial.data.who.to_list()[6:9] == [7, 9, 10]  # rows keep their numbers in the file
    many = gaps(np.arange(N) % 5 == 0)
    many.write_csv(tmp_path / "t.csv")
    with raises_code("outcomes_missing", "t.csv", "80", "spend", "in none", "in letter", "missing=zero"):
        promolift.Trial(tmp_path / "t.csv", **MEANING)
    zero = promolift.Trial(many, missing="zero", **MEANING).data
    assert (zero.outcomes["spend"] == 0).sum() == 80
    assert "counted as 0, as stated" in zero.doubts[0]
    assert len(promolift.Trial(many, missing="leave_out", **MEANING).data.arm_N) == N - 80
    uneven = gaps((people()["offer"] == "letter").to_numpy() & (np.arange(N) % 12 == 0))
    with raises_code("outcomes_missing_unevenly", "spend", "letter"):
        promolift.Trial(uneven, **MEANING)


@pytest.mark.parametrize("planned", [None, {"a": (0.3, 0.7), "b": (0.7, 0.3)}])
def test_a_trial_without_a_qini_curve_has_a_page(tmp_path: Path, planned: Any) -> None:
    rng = np.random.default_rng(2)
    tier = np.where(rng.random(N) < 0.5, "a", "b")
    offer = rng.random(N) < np.where(tier == "a", 0.7, 0.3)
    frame = pl.DataFrame(
        {"offer": np.where(offer, "x", "none"), "tier": tier, "age": rng.random(N), "spend": rng.random(N) + offer}
    )
    more = {"features": ("tier", "age")} if planned is None else {"strata": "tier"}
    fit = promolift.Trial(frame, cost=0.1, **(MEANING | {"planned": planned} | more)).fit()
    assert fit.evaluate().qini.is_empty()
    assert "a Qini curve" in fit.report(tmp_path / "t.html").read_text("utf-8")


def test_features_that_are_the_same_for_all_give_everybody_the_average(tmp_path: Path) -> None:
    fit = promolift.Trial(people().with_columns(age=pl.lit(3)), **MEANING).fit()
    assert not fit.note.apart
    assert fit.report(tmp_path / "t.html").exists()
    alike = people().with_columns(age=pl.lit(3))
    assert promolift.Trial(alike, **(MEANING | {"planned": None})).fit().note.level == "adjusted"
    constant = effect.fit_effects(
        np.zeros((N, 2)), (people()["offer"] == "letter").to_numpy() * 1, people()["spend"].to_numpy()
    )
    assert constant.chosen == "none"


def test_without_a_shown_gain_the_plan_and_the_policy_are_nobody() -> None:
    rng = np.random.default_rng(8)
    arms = rng.choice(["none", "five", "ten", "twenty"], 2000)
    frame = pl.DataFrame(
        {"offer": arms, "age": rng.random(2000), "size": rng.random(2000), "spend": rng.exponential(20, 2000)}
    )
    fit = promolift.Trial(frame, cost={"five": 0.1, "ten": 0.1, "twenty": 0.1}, **MEANING).fit()
    plan, ours = fit.plan(), fit.evaluate().policies.row(-1, named=True)
    assert plan.note.treated == 0
    assert ours["treated"] == 0
    assert "No treatment is shown to add more than it costs" in str(plan)


def test_a_percentage_costs_what_is_bought() -> None:
    rng = np.random.default_rng(9)
    arm = rng.choice(["none", "twenty", "post"], 3000)
    old = rng.random(3000) < 0.5
    spend = np.round(
        np.maximum(100 + 10 * (arm == "twenty") + 40 * (arm == "post") * old + rng.normal(0, 5, 3000), 0), 2
    )
    frame = pl.DataFrame(
        {"id": np.arange(3000), "offer": arm, "old": old, "postage": np.where(old, 1.0, 2.0), "spend": spend}
    )
    fit = promolift.Trial(frame, cost={"twenty": "20%", "post": "postage"}, margin_rate=0.5, **MEANING).fit()
    net = dict(fit.effects.select("arm", "net").iter_rows())
    assert net["twenty"] == pytest.approx(0.5 * 10 - 0.2 * 110, abs=0.6)  # the discount is given to all that is bought
    assert net["post"] == pytest.approx(0.5 * 20 - 1.5, abs=0.6)
    assert "20 % of what is bought (twenty)" in str(fit)
    policies = dict(fit.evaluate().policies.select("policy", "value").iter_rows())
    assert policies["everybody: twenty"] - policies["nobody (control none)"] == pytest.approx(-17, abs=1)
    plan = fit.plan()
    assert plan.frame.columns[0] == "id"
    assert plan["treatment"].unique().to_list() == ["post"]
    assert plan.note.treated == pytest.approx(old.sum(), abs=30)
    assert plan["cost"].mean() == pytest.approx(1.0, abs=0.05)
    given = promolift.Trial(frame.drop("postage"), cost={"twenty": "2%", "post": 9}, **MEANING).fit().plan(budget=500)
    assert 400 < given["cost"].sum() <= 500.01
    twenty = given.frame.filter(pl.col("treatment") == "twenty")
    assert twenty["cost"].mean() == pytest.approx(0.02 * 110, abs=0.2)


def three(effects: tuple[float, float], rows: int = 900, **more: Any) -> promolift.Trial:
    rng = np.random.default_rng(21)
    arm = rng.choice(["control", "1:1", "2:1"], rows)
    gift = rng.normal(10, 1, rows) + effects[0] * (arm == "1:1") + effects[1] * (arm == "2:1")
    frame = pl.DataFrame({"match": arm, "age": rng.integers(20, 70, rows), "gift": gift})
    said = {"treatment": "match", "control": "control", "money": "gift", "planned": "equal"}
    return promolift.Trial(frame, **(said | more))


def test_every_pair_of_arms_is_compared_all_at_once() -> None:
    fit = three((0.6, 0.65)).fit()
    pairs = {(row["arm"], row["against"]): row for row in fit.pairs.iter_rows(named=True)}
    assert {frozenset(pair) for pair in pairs} == {
        frozenset(pair) for pair in (("1:1", "control"), ("2:1", "control"), ("1:1", "2:1"))
    }
    close = next(row for pair, row in pairs.items() if "control" not in pair)
    assert not close["shown"]
    assert close["low"] < 0 < close["effect"] < close["high"]
    assert f"{close['arm']} is not shown to beat {close['against']}: by" in str(fit)
    assert f"Best by gift: {close['arm']}, then {close['against']} (" in str(fit)
    alone = fit.effects.filter(pl.col("arm") == "1:1").row(0, named=True)
    both = pairs["1:1", "control"]
    assert both["effect"] == pytest.approx(alone["effect"])
    assert both["high"] - both["low"] == pytest.approx(
        1.22 * (alone["high"] - alone["low"]), rel=0.01
    )  # Sidak, 3 pairs
    assert both["shown"]
    assert both["p_holm"] >= alone["p"]


def test_pairs_are_net_of_both_arms_costs() -> None:
    pairs = three((0.6, 1.2), cost={"1:1": 0.1, "2:1": 0.9}, budget=50).fit().pairs
    row = pairs.filter(pl.col("arm") == "1:1", pl.col("against") == "2:1").row(0, named=True)
    assert row["effect"] == pytest.approx(-0.6, abs=0.25)
    assert row["net"] == pytest.approx(row["effect"] + 0.8)  # the dearer arm gives more and is worth less
    assert row["net_low"] == pytest.approx(row["low"] + 0.8)


def test_no_pair_is_shown_where_nothing_differs() -> None:
    from promolift.trials.analysis.effect_estimates import build_trial_arrays, estimate_pairs

    wrong = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        arm = rng.integers(0, 4, 400)
        frame = pl.DataFrame({"offer": [f"a{a}" for a in arm], "spend": rng.normal(size=400)})
        data = promolift.Trial(frame, **(MEANING | {"control": "a0"})).data
        wrong += bool(
            estimate_pairs(build_trial_arrays(data, np.full((400, 4), 0.25)), data, "randomised")["shown"].any()
        )
    assert wrong <= 9  # 5 of 100 are expected, six tests each


def test_the_plan_within_a_budget_is_judged_as_it_was_made() -> None:
    rng = np.random.default_rng(11)
    offer, keen = rng.random(1200) < 0.5, rng.random(1200) < 0.3
    spend = 10 + 8 * offer * keen + rng.normal(size=1200)
    frame = pl.DataFrame({"offer": np.where(offer, "letter", "none"), "keen": keen.astype(int), "spend": spend})
    fit = promolift.Trial(frame, cost=1, budget=120, **MEANING).fit()
    policies = {row["policy"]: row for row in fit.evaluate().policies.iter_rows(named=True)}
    judged, plan = policies["plan within 120"], fit.plan().note
    assert plan.treated == 120
    assert judged["treated"] == pytest.approx(0.1, abs=0.01)
    assert judged["added_low"] < plan.gain < judged["added_high"]
    assert [*policies][-1] == "recommended"
    assert policies["recommended"]["treated"] == pytest.approx(keen.mean(), abs=0.03)


def test_a_ranking_that_earns_no_more_is_left_and_the_budget_goes_to_customers_drawn_at_random() -> None:
    rng = np.random.default_rng(12)
    offer = rng.random(2000) < 0.5
    spend = 10 + 4 * offer + rng.normal(size=2000)  # the same for everybody: age tells nothing
    frame = pl.DataFrame({"offer": np.where(offer, "letter", "none"), "age": rng.random(2000), "spend": spend})
    fit = promolift.Trial(frame, cost=1, **MEANING).fit()
    plan = fit.plan(budget=1000)
    assert plan.note.treated == 1000
    assert "Who is treated was drawn at random: no ranking of customers was shown to earn more" in str(plan)
    policies = {row["policy"]: row for row in fit.evaluate(budget=1000).policies.iter_rows(named=True)}
    everybody, nobody = policies["everybody: letter"]["value"], policies["nobody (control none)"]["value"]
    assert policies["recommended"]["value"] == everybody  # what is judged is what plans, not what each half would do
    assert policies["plan within 1000"]["value"] == pytest.approx((everybody + nobody) / 2, abs=0.15)
    assert policies["plan within 1000"]["treated"] == pytest.approx(0.5, abs=0.01)
    assert "plan within 1000" not in {row["policy"] for row in fit.evaluate().policies.iter_rows(named=True)}


def test_an_arm_too_small_to_be_judged_is_named(tmp_path: Path) -> None:
    frame = people()
    rare = pl.concat([frame.filter(pl.col("offer") == "none"), frame.filter(pl.col("offer") == "letter").head(70)])
    fit = promolift.Trial(rare, **(MEANING | {"planned": None})).fit()
    with raises_code("arm_too_small", "letter", "70", "50", "125"):
        fit.evaluate()
    assert "has not run" in fit.report(tmp_path / "t.html").read_text("utf-8")
