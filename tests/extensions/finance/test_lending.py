"""Laws of the trade `finance`: exclusions, budget and band hold, and every refusal has a reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from error_checks import raises_code
from trade_files import bank

from promolift.cli.application import main
from promolift.extensions.finance.lending import run_lending
from promolift.extensions.finance.results import LendingResults, LendingSettings
from promolift.extensions.finance.setup import guess_roles
from promolift.shop.configuration.configuration import load_config
from promolift.shop.configuration.extension_sections import read_project
from promolift.shop.ingest.setup.extension_setup import TradeAnswers, start_project


def settings(path: Path, **more: Any) -> LendingSettings:
    stated = {
        "path": path.name, "customer": "cliente", "taken": "acepta", "taken_yes": "si", "defaulted": "impago",
        "defaulted_yes": "si", "amount": "importe", "months": "plazo", "rate": "tasa", "income": "ingreso",
        "protected": ["edad", "sexo"], "loss_share": 0.3,
        "terms": [{"id": "low", "rate": 0.06}, {"id": "high", "rate": 0.12}],
        "exclude": [{"name": "minors", "where": "edad < 18"}], "payment_share": 0.2, "rate_randomised": True,
    }  # fmt: skip
    return LendingSettings.parse(stated | more, "test")


def verb(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*words])
    assert ended.value.code in (0, None)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> LendingResults:
    folder = tmp_path_factory.mktemp("bank")
    return run_lending(settings(bank(folder)), folder)


def test_every_customer_has_terms_or_a_reason(found: LendingResults) -> None:
    plan = found.plan
    assert plan.height == found.decided_rows
    assert (plan["terms"].is_null() == plan["refused"].is_not_null()).all()
    refused = plan.filter(pl.col("refused").is_not_null())
    assert refused["why"].is_not_null().all()
    risky = refused.filter(pl.col("refused") == "loss_expected")
    assert risky["why"].str.contains("above all: ").mean() > 0.9
    assert not risky["why"].str.contains("sexo|edad|zona").any()


def test_hard_exclusions_hold_whatever_they_earn(found: LendingResults, tmp_path: Path) -> None:
    rows = pl.read_csv(bank(tmp_path), separator=";").rename({"cliente": "customer_id"})
    plan = found.plan.join(rows, on="customer_id")
    offered = plan.filter(pl.col("terms").is_not_null())
    assert offered["edad"].min() >= 18
    month = offered["rate"] / 12
    paid = offered["importe"] * month / (1 - (1 + month).pow(-1 * offered["plazo"]))
    assert (paid <= 0.2 * offered["ingreso"] + 1e-6).all()
    assert {"vulnerable", "affordability"} <= set(plan["refused"].drop_nulls())


def test_the_plan_keeps_its_budget_and_earns_what_it_says(found: LendingResults) -> None:
    offered = found.plan.filter(pl.col("terms").is_not_null())
    assert offered["cost_cents"].sum() <= found.budget_cents + 1e-6
    assert offered["gain_cents"].sum() == pytest.approx(found.gain_cents)
    low, high = found.worth["plan"].low, found.worth["plan"].high
    assert low < found.gain_cents < high


def test_take_up_falls_with_the_rate_and_is_randomised_only_where_it_is_said(
    found: LendingResults, tmp_path: Path
) -> None:
    assert found.evidence == "randomised"
    path = bank(tmp_path)
    asked = pl.read_csv(path, separator=";").head(200)
    asked.write_csv(tmp_path / "new.csv", separator=";")
    mean = []
    for rate in (0.06, 0.12):
        terms = [{"id": "one", "rate": rate}]
        one = run_lending(settings(path, applicants="new.csv", terms=terms, rate_randomised=False), tmp_path)
        assert (one.evidence, one.held_out) == ("adjusted", False)
        mean.append(one.plan["take_up"].mean())
    assert mean[0] - mean[1] == pytest.approx(0.15, abs=0.08)  # 0.76 - 0.61, as the file was made


def test_a_rate_nobody_was_offered_is_closed(tmp_path: Path) -> None:
    path = bank(tmp_path)
    found = run_lending(settings(path, terms=[{"id": "dear", "rate": 0.3}]), tmp_path)
    assert found.plan["terms"].null_count() == found.decided_rows
    assert "rate_untried" in set(found.plan["refused"])


def test_a_feature_that_stands_for_a_group_is_left_out_and_the_band_holds_at_a_price(found: LendingResults) -> None:
    assert found.left_out["zona"].startswith("stands for sexo=")
    assert found.left_out["sexo"] == "protected"
    assert found.gap is not None


def test_the_band_holds_at_a_stated_price(tmp_path: Path) -> None:
    path = bank(tmp_path)
    rng = np.random.default_rng(5)
    frame = pl.read_csv(path, separator=";")
    frame = frame.with_columns(ingreso=pl.col("ingreso") * pl.when(pl.col("sexo") == "m").then(0.7).otherwise(1.2))
    frame.with_columns(x=pl.Series(rng.normal(size=frame.height))).write_csv(path, separator=";")
    free = run_lending(settings(path, proxy_bound=1.0), tmp_path)
    band = 0.5 * (free.free_gap or 0)
    fair = run_lending(settings(path, proxy_bound=1.0, band=band), tmp_path)
    assert fair.free_gap == pytest.approx(free.free_gap)
    assert (fair.gap or 0) <= band + 1e-9
    assert fair.price_cents > 0
    assert fair.gain_cents + fair.price_cents == pytest.approx(free.gain_cents)


def test_what_the_file_cannot_say_is_named(found: LendingResults) -> None:
    said = " ".join(found.unknown)
    assert "reject inference" in said
    assert "without an offer" in said


def test_money_at_risk_without_a_record_of_defaults_is_refused() -> None:
    with raises_code("setting_invalid", "`defaulted`"):
        LendingSettings.parse({"path": "x", "taken": "y", "amount": "sum", "terms": [{"id": "a"}]}, "test")


@pytest.mark.parametrize(
    ("more", "code", "fact"),
    [
        ({"taken": "aceptaa"}, "column_unknown", "'acepta'"),
        ({"taken_yes": "yes"}, "value_not_found", "'no' or 'si'"),
        ({"amount": "canal"}, "column_type_wrong", "'canal'"),
        ({"customer": "sexo"}, "rows_duplicate", "'sexo'"),
    ],
)
def test_a_wrong_column_is_answered_with_the_file_and_what_it_has(
    more: dict[str, Any], code: str, fact: str, tmp_path: Path
) -> None:
    path = bank(tmp_path, 200)
    with raises_code(code, fact):
        run_lending(settings(path, **more), tmp_path)


def test_init_reads_a_bank_of_another_language_and_run_writes_plan_and_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, config, out = bank(tmp_path, 1500), tmp_path / "promolift.toml", tmp_path / "out"
    verb("init", "--trade", "finance", "--events", str(path), "--config", str(config))
    made = read_project(config).settings
    assert isinstance(made, LendingSettings)
    assert (made.taken, made.taken_yes, made.defaulted, made.amount) == ("acepta", "si", "impago", "importe")
    assert made.protected == ("edad", "sexo")
    assert [each.where for each in made.exclude] == ['"edad" < 18']
    capsys.readouterr()
    verb("run", "--config", str(config), "--out", str(out), "--json")
    figures = json.loads(capsys.readouterr().out)
    assert figures["offered"] == pl.read_csv(out / "plan.csv")["terms"].drop_nulls().len()
    page = (out / "report.html").read_text("utf-8")
    assert "Who is offered nothing" in page
    assert "Borrowing money costs money" in page


def test_a_bank_that_protects_no_column_and_counts_terms_in_words_is_planned_for(tmp_path: Path) -> None:
    path = bank(tmp_path, 1500)
    rows = pl.read_csv(path, separator=";").with_columns(plazo=pl.format(" {} meses", "plazo"))
    rows.drop("edad", "sexo", "zona").write_csv(path, separator=";")
    start_project("finance", [path], tmp_path / "p.toml", False, TradeAnswers({}))
    made = read_project(tmp_path / "p.toml").settings
    assert isinstance(made, LendingSettings)
    assert (made.months, made.protected) == ("plazo", ())
    found = run_lending(made, tmp_path)
    assert found.gap is None
    assert set(found.plan["months"]) <= {12.0, 24.0, 36.0}


def test_other_verbs_say_that_a_trade_is_run(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[finance]\npath = "x.csv"\n')
    with raises_code("file_kind_mismatch", "p.toml", "[finance]", "`promolift run`"):
        load_config(tmp_path / "p.toml")


def test_chinese_columns_are_read_and_spoken(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    pl.DataFrame({
        "客户编号": range(400), "年龄": rng.integers(18, 70, 400), "职业": rng.choice(["工人", "教师"], 400),
        "月份": np.repeat(["一月", "二月"], 200), "是否办理": rng.choice(["是", "否"], 400, p=[0.3, 0.7]),
    }).write_csv(tmp_path / "存款.csv")  # fmt: skip
    start_project("finance", [tmp_path / "存款.csv"], tmp_path / "p.toml", False, TradeAnswers({}))
    made = read_project(tmp_path / "p.toml").settings
    assert isinstance(made, LendingSettings)
    assert (made.taken, made.taken_yes, made.period, made.language, made.currency) == (
        "是否办理",
        "是",
        "月份",
        "zh",
        "CNY",
    )


def test_an_unknown_trade_role_or_column_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    path = bank(tmp_path, 200)
    for said, trade, code, fact in (
        ({}, "bank", "trade_unknown", "shop, retail, ads, finance"),
        ({"who": "sexo"}, "finance", "column_role_unknown", "who=sexo"),
        ({"taken": "acept"}, "finance", "column_unknown", "'acepta'"),
    ):  # fmt: skip
        with raises_code(code, fact):
            start_project(trade, [path], tmp_path / "p.toml", False, TradeAnswers(said))


def test_a_feature_named_default_is_no_outcome_where_the_outcome_stands_last() -> None:
    frame = pl.DataFrame({"default": ["yes", "no"] * 50, "housing": ["a", "b"] * 50, "y": ["no", "yes"] * 50})
    assert {(each.role, each.column) for each in guess_roles(frame, {})} == {("taken", "y")}


@pytest.mark.parametrize("seed", range(4))
def test_codes_of_age_bands_are_no_ages_and_a_rule_that_refuses_most_asks(seed: int, tmp_path: Path) -> None:
    draw = np.random.default_rng(seed)
    header, codes = ("edad", "Alter", "age_band", "年龄段")[seed], int(draw.integers(2, 10))
    rows = pl.read_csv(bank(tmp_path), separator=";").head(400)
    coded = rows.with_columns(pl.Series("edad", draw.integers(1, codes + 1, rows.height))).rename({"edad": header})
    coded.write_csv(tmp_path / "coded.csv", separator=";")
    made = start_project(
        "finance", [tmp_path / "coded.csv"], tmp_path / "p.toml", False, TradeAnswers.of([], None, None)
    )
    assert made.figures["exclude"] == []
    assert repr(header) in made.text
    rule = {"name": "minors", "where": f'"{header}" < 18'}
    stated = settings(tmp_path / "coded.csv", exclude=[rule], protected=[header, "sexo"])
    with raises_code("rule_refuses_most", "'minors'", "400 of 400"):
        run_lending(stated, tmp_path)


def test_an_income_in_other_units_asks_too_and_a_confirmed_rule_holds(tmp_path: Path) -> None:
    rows = pl.read_csv(bank(tmp_path), separator=";")
    rows.with_columns(pl.col("ingreso") / 1000).write_csv(tmp_path / "thousands.csv", separator=";")
    with raises_code("rule_refuses_most", "'affordability'"):
        run_lending(settings(tmp_path / "thousands.csv"), tmp_path)
    found = run_lending(settings(tmp_path / "thousands.csv", confirmed=["affordability"]), tmp_path)
    assert set(found.plan["refused"].drop_nulls()) <= {"affordability", "vulnerable"}
