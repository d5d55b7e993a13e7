"""The plan of many customers, made shard by shard on disk, is the plan made in memory at once."""

from pathlib import Path

import polars as pl
import pytest

from promolift.cli.application import main
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import load_config
from promolift.shop.pipeline.pipeline import run_steps
from promolift.shop.pipeline.steps import evaluate, plan
from promolift.shop.results.evaluation import Evaluation
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job


@pytest.fixture(scope="module")
def job(own_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A small shop in four shards, as far as its effects."""
    folder = tmp_path_factory.mktemp("parts")
    files = [part for name in ("events", "products") for part in (f"--{name}", str(own_files / f"{name}.csv"))]
    with pytest.raises(SystemExit):
        main(["init", *files, "--consent", "yes", "--config", str(folder / "promolift.toml")])
    config = load_config(folder / "promolift.toml")
    config = config.model_copy(update={"data": config.data.model_copy(update={"shards": 4})})
    made = Job(config, Store(folder / "work"), lambda *_: None, folder / "out")
    run_steps(made, ["ingest", "profile", "effect"])
    assert len(made.clean.shards) == 4
    return made


def kept(job: Job, name: str) -> pl.DataFrame:
    rows = job.store.frame(name)
    return rows.sort([key for key in ("customer_id", "offer_id") if key in rows.columns])


def with_plan(job: Job, proposals: str, **changes: object) -> Job:
    parts = {
        "offer": job.config.offer.model_copy(update={"proposals": proposals}),
        "plan": job.config.plan.model_copy(update=changes),
    }
    return Job(job.config.model_copy(update=parts), job.store, job.tell, job.out)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"budget_cents": 20_000}, marks=pytest.mark.slow),
        pytest.param({"test_share": 0.1, "budget_cents": 60_000}, marks=pytest.mark.slow),
        {"budget_cents": 20_000, "limits": ("count <= 30",)},
    ],
)
def test_shards_give_the_plan_of_all_at_once(
    job: Job, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object]
) -> None:
    mine = with_plan(job, "none", **changes)
    run_steps(mine, ["plan"], again=True)  # the next one replaces no other draw than its own
    run_steps(mine, ["plan"], again=True)
    whole, note = {name: kept(job, name) for name in ("candidates", "chosen", "decisions")}, Plan.load(job.store).note
    if "limits" not in changes:
        assert note.tests  # predicted and drawn offers stand in one plan
    assert whole["chosen"].height > 5
    monkeypatch.setattr(plan, "CUSTOMERS_IN_MEMORY", 20)
    run_steps(mine, ["plan"], again=True)
    assert Plan.load(job.store).note == note
    for name, rows in whole.items():
        assert kept(job, name).select(rows.columns).equals(rows), name


def test_lines_beyond_the_menu_are_chosen_by_some_and_offered_to_all(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = with_plan(job, "grid", budget_cents=20_000)
    monkeypatch.setattr(plan, "CUSTOMERS_IN_MEMORY", 100)
    monkeypatch.setattr(evaluate, "COMPARED", 100)
    run_steps(mine, ["plan", "message", "evaluate", "report"], again=True)
    made, stated = Plan.load(job.store), {item.id for item in mine.config.menu}
    beyond = {item.id for item in made.note.menu} - stated
    assert beyond
    rows = kept(job, "candidates").filter(pl.col("menu_id").is_in(list(beyond)))
    assert rows["customer_id"].n_unique() > 110
    assert float(made.chosen["cost_cents"].sum()) <= 20_000
    compared = Evaluation.load(job.store).policies
    assert compared is not None
