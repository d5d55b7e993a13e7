"""A shop whose logs lie in a warehouse: read from it, planned, written back; the same plan as from its files."""

import json
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

pytest.importorskip("adbc_driver_manager")
from promolift.cli.application import main

TABLES = ("events", "products", "customers", "promotions")
WAREHOUSE = '\n[warehouse]\ndriver = "duckdb"\n'
LEARNED = {
    "campaign": "cmp_1", "policy": "plan", "policy_version": "1", "measure": "margin", "window_days": 28.0,
    "until_ms": 5, "answer": "better", "why": "shown", "rule": "always valid", "evidence": "randomised",
    "customers": {"policy": 90, "holdout": 10}, "gain_per_customer": 12.5, "low": 1.0, "high": None,
    "gain_total": 1125.0, "total_low": 90.0, "total_high": None, "drift": [],
}  # fmt: skip


def call(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(each) for each in arguments])
    return int(stop.value.code or 0)


@pytest.fixture(scope="module")
def folder(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files and promolift.toml; the same in a warehouse, with a promolift.toml of its own."""
    folder = tmp_path_factory.mktemp("warehouse")
    for path in own_files.iterdir():
        shutil.copy(path, folder)
    given = [part for name in TABLES for part in (f"--{name}", folder / f"{name}.csv")]
    assert call("init", *given, "--config", folder / "promolift.toml") == 0
    text = (folder / "promolift.toml").read_text(encoding="utf-8")
    with duckdb.connect(str(folder / "shop.duckdb")) as db:
        for name in TABLES:
            path = str(folder / f"{name}.csv")
            db.execute(f"create table {name} as from read_csv('{path}', all_varchar = true)")
            text = text.replace(f'path = "{name}.csv"', f'query = "select * from {name}"')
    assert text.count("query = ") == len(TABLES)
    (folder / "warehouse.toml").write_text(text + WAREHOUSE, encoding="utf-8")
    return folder


def places(folder: Path, name: str) -> list[str]:
    return ["--config", f"{folder}/{name}.toml", "--work", f"{folder}/{name}", "--out", f"{folder}/{name}-out"]


@pytest.mark.slow
def test_the_warehouse_gives_the_plan_of_the_files_and_gets_it_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROMOLIFT_WAREHOUSE", str(folder / "shop.duckdb"))
    for name in ("promolift", "warehouse"):
        assert call("run", *places(folder, name)) == 0
    plan = pl.read_parquet(folder / "promolift-out/plan.parquet")
    assert_frame_equal(pl.read_parquet(folder / "warehouse-out/plan.parquet"), plan)
    contacts = folder / "contacts.csv"
    assert call("contacts", "--out", str(contacts), *places(folder, "warehouse")[:4]) == 0
    planned = plan.filter(pl.col("status") == "offer")
    assert set(pl.read_csv(contacts, infer_schema=False)["Customer ID"]) == set(planned["customer_id"])
    (folder / "warehouse-out/learn.json").write_text(json.dumps(LEARNED), encoding="utf-8")
    for _ in "ab":
        capsys.readouterr()
        assert call("export", "--json", "--exposures", "eppo", *places(folder, "warehouse")) == 0
        counts = json.loads(capsys.readouterr().out)["rows"]
        exposed = counts["exposures"]
        assert counts == {"plan": plan.height, "decisions": counts["decisions"], "verdicts": 1, "exposures": exposed}
    with duckdb.connect(str(folder / "shop.duckdb")) as db:
        rows = db.sql("select * from promolift_plan order by customer_id").pl()
        assert rows["customer_id"].to_list() == plan["customer_id"].sort().to_list()
        assert set(rows["campaign_id"]) == {"cmp_1"}
        assert db.sql("select count(*), count(distinct decision_id) from promolift_decisions").fetchall() == [
            (counts["decisions"],) * 2
        ]
        open_offers = "select count(*) from promolift_decisions where json_array_length(candidates::json) > 1"
        assert db.sql(open_offers).fetchall()[0][0] > 0
        arms = db.sql("select variation, count(*) from promolift_exposures where experiment = 'cmp_1' group by all")
        assert sum(count for _, count in arms.fetchall()) == exposed == db.sql(
            "select count(*) from promolift_decisions where holdout is not null"
        ).fetchall()[0][0]  # fmt: skip
        verdict = db.sql("select * from promolift_verdicts").pl().row(0, named=True)
    assert (verdict["campaign_id"], verdict["policy_customers"], verdict["high"]) == ("cmp_1", 90, None)
    assert json.loads(verdict["figures"]) == LEARNED
    capsys.readouterr()
    assert call("run", *places(folder, "warehouse")) == 0
    assert capsys.readouterr().err.count("nothing changed") == 6


def test_who_is_erased_goes_from_the_copy_of_the_warehouse_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMOLIFT_WAREHOUSE", str(folder / "shop.duckdb"))
    assert call("ingest", *places(folder, "warehouse")[:4]) == 0
    tables = folder / "warehouse/tables"
    assert (tables / "pulled_events.parquet").is_file()
    assert call("erase", "nobody", *places(folder, "warehouse")[:4]) == 0
    assert not [*tables.glob("pulled_*")]


def test_what_cannot_be_exported_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROMOLIFT_WAREHOUSE", str(folder / "other.duckdb"))
    tried = {
        "plans": ("table_unknown", "plan, decisions, verdicts"), "verdicts": ("step_missing", "promolift learn"),
        "plan": ("step_missing", "promolift plan"),
    }  # fmt: skip
    for name, (code, fact) in tried.items():
        at = ["--config", folder / "warehouse.toml", "--work", folder / "empty", "--out", folder / "empty"]
        assert call("export", name, *at) == 2
        said = capsys.readouterr().err
        assert f"[{code}]" in said
        assert fact in said
