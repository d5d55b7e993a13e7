"""A stranger's files, from `init` to the report, through the command line alone."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from promolift.cli.application import main
from promolift.foundation.storage.local_store import Store
from promolift.shop.results.plan import Plan


def call(*arguments: str) -> int:
    """Exit code of one command."""
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def shop(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which init and run were called."""
    folder = tmp_path_factory.mktemp("shop")
    for path in own_files.iterdir():
        shutil.copy(path, folder)
    names = ("events", "products", "customers", "promotions")
    files = [part for name in names for part in (f"--{name}", str(folder / f"{name}.csv"))]
    spoken = ["--language", "en", "--language", "zh"]
    assert call("init", *files, *spoken, "--config", str(folder / "promolift.toml")) == 0
    text = (folder / "promolift.toml").read_text(encoding="utf-8")
    (folder / "promolift.toml").write_text(
        text.replace("\nbudget_share", "\nbudget_cents = 20000\nbudget_share"), encoding="utf-8"
    )
    assert call("run", *places(folder)) == 0
    return folder


def places(folder: Path) -> list[str]:
    return ["--config", str(folder / "promolift.toml"), "--work", str(folder / "work"), "--out", str(folder / "out")]


def test_the_plan_keeps_the_budget_and_each_customer_gets_one_offer(shop: Path) -> None:
    told = pl.read_parquet(shop / "out" / "plan.parquet")
    plan = told.filter(pl.col("status") == "offer")
    assert 0 < plan.height < told.height == told["customer_id"].n_unique()
    assert plan["expected_cost_cents"].sum() <= 20_000
    coded = plan.filter(pl.col("activation") == "code")
    assert plan["code"].drop_nulls().n_unique() == coded.height == plan["code"].drop_nulls().len()
    assert (plan.filter(group="predicted")["expected_gain_cents"] > 0).all()
    assert plan["group"].is_in(["predicted", "absent", "long absent", "active", "due", "left cart"]).all()
    assert plan["group"].n_unique() > 1  # who is not known to pay draws


def test_the_headline_is_the_value_in_the_comparison_of_rules_and_what_is_drawn(shop: Path) -> None:
    with Store(shop / "work") as store:
        plan, policies = Plan.load(store), store.frame("policies")
        summary, tests = plan.summary, plan.note.tests
    assert tests
    ours = policies.filter(policy="plan", valued_by="check")
    value, low, high = (ours[name].item() + tests.gain_cents for name in ("expected_profit_cents", "low", "high"))
    assert summary.value_cents == pytest.approx(value)
    assert summary.low_cents <= low
    assert high <= summary.high_cents
    predicted = plan.note.cost_cents - tests.cost_cents
    assert ours["spend_cents"].item() == pytest.approx(predicted, rel=1e-3)  # at equal spend


def test_messages_are_written_in_both_languages_for_every_row(shop: Path) -> None:
    plan = pl.read_parquet(shop / "out" / "plan.parquet").filter(pl.col("status") == "offer")
    known = plan.filter(group="predicted")
    assert known["message_zh"].str.contains("折").all()
    assert known["message_en"].str.contains("off").all()
    assert plan["message_zh"].str.len_chars().min() > 5  # type: ignore[operator]
    assert not plan["message_en"].str.contains(r"[{}]|None|nan").any()


def test_csv_and_parquet_hold_the_same_rows(shop: Path) -> None:
    assert pl.read_csv(shop / "out" / "plan.csv").height == pl.read_parquet(shop / "out" / "plan.parquet").height


def test_the_report_is_one_file_that_asks_for_nothing(shop: Path) -> None:
    page = (shop / "out" / "report.html").read_text(encoding="utf-8")
    for word in ('src="http', 'href="http', "@import", "fetch("):
        assert word not in page.split("<script", 1)[0]
    assert "What is not known" in page or "not known" in page


def test_a_second_run_changes_nothing_and_a_changed_budget_redoes_only_what_depends_on_it(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (shop / "out" / "plan.csv").read_bytes()
    assert call("run", *places(shop), "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (shop / "out" / "plan.csv").read_bytes() == before
    assert summary["step"] == "report"
    assert summary["cost_cents"] <= summary["budget_cents"] == 20_000
    assert summary["bound"]["gap"] < 0.2  # a tenth of the budget is for draws


def test_another_budget_and_a_limit_need_only_the_plan_again(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = places(shop)[:4]
    limit = "few: count[menu_id=category-10|category-20] <= 3"
    assert call("plan", *work, "--budget", "9000", "--limit", limit, "--json") == 0
    told = capsys.readouterr()
    assert "profile" not in told.err
    smaller = json.loads(told.out)
    assert smaller["cost_cents"] <= smaller["budget_cents"] == 9_000
    chosen = pl.read_parquet(shop / "work" / "tables" / "chosen.parquet")
    assert chosen["menu_id"].is_in(["category-10", "category-20"]).sum() <= 3
    assert call("plan", *work, "--limit", "stock: cuont <= 3") == 2
    said = capsys.readouterr().err
    assert "[setting_invalid]" in said
    assert "cuont" in said
    assert call("run", *places(shop)) == 0


def test_a_cautious_plan_takes_surer_offers_and_still_tells_what_is_expected(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = shop / "promolift.toml"
    plain = file.read_text(encoding="utf-8")
    work = places(shop)[:4]
    assert call("plan", *work, "--json") == 0
    free = json.loads(capsys.readouterr().out)
    try:
        file.write_text(plain.replace("[plan]", '[plan]\nrisk = { rule = "lower", z = 1.0 }'), encoding="utf-8")
        assert call("plan", *work, "--json") == 0
        careful = json.loads(capsys.readouterr().out)
        most = free["promised_cents"] or free["value_cents"]
        assert careful["bound"]["bounded_cents"] < careful["value_cents"] <= most * 1.02  # own luck taken off
        assert careful["cost_cents"] <= careful["budget_cents"]
    finally:
        file.write_text(plain, encoding="utf-8")
    assert call("run", *places(shop)) == 0


def test_every_decision_is_recorded_and_can_be_replayed(shop: Path) -> None:
    from promolift.core.decisions import ReleaseTerms, replay_decision

    decisions = pl.read_parquet(shop / "work" / "tables" / "decisions.parquet")
    notes = json.loads((shop / "work" / "notes" / "plan.json").read_text(encoding="utf-8"))
    release = ReleaseTerms.model_validate(notes["terms"])
    assert decisions.height == notes["customers"]
    for row in decisions.head(60).iter_rows(named=True):
        assert replay_decision(row, release) == row


def test_the_held_out_get_nothing(shop: Path) -> None:
    decisions = pl.read_parquet(shop / "work" / "tables" / "decisions.parquet")
    held = decisions.filter(pl.col("holdout"))
    assert 0.03 < held.height / decisions.height < 0.2
    assert held["offer_id"].unique().to_list() == ["none"]


def test_steps_can_be_run_one_by_one_and_say_what_is_missing(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work = ["--config", str(shop / "promolift.toml"), "--work", str(tmp_path / "w"), "--out", str(tmp_path / "o")]
    assert call("plan", *work) == 2
    said = capsys.readouterr().err
    assert "[step_missing]" in said
    assert "promolift ingest" in said
    assert call("ingest", *work) == 0
    assert call("profile", *work) == 0
    assert call("report", *work) == 2


def test_health_says_what_can_be_done(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = places(shop)[:4]
    assert call("health", *place, "--json") == 0
    health = json.loads(capsys.readouterr().out)
    assert {ability["level"] for ability in health["abilities"]} <= {"yes", "partly", "no"}
    events = next(table for table in health["tables"] if table["table"] == "events")
    assert events["accepted"] + sum(events["rejected"].values()) == events["read"]
