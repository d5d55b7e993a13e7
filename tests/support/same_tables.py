"""A small shop in four shards; its work folder after some steps by one engine or another."""

from pathlib import Path

import polars as pl
import pytest

from promolift.cli.application import main
from promolift.foundation.executors.executor import ExecutorSettings
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.pipeline.pipeline import run_steps
from promolift.shop.results.work_folder.run_context import Job

RAY = [  # marks of what runs on raylets
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # sockets that Ray leaves open
]
NODE = {"num_cpus": 1, "memory": 2 * 10**9, "object_store_memory": 100 * 2**20}
STEPS = ("ingest", "profile", "effect", "plan", "message", "evaluate")


def settings(files: Path, folder: Path) -> Config:
    named = [
        part for name in ("events", "products", "promotions") for part in (f"--{name}", str(files / f"{name}.csv"))
    ]
    with pytest.raises(SystemExit):
        main(["init", *named, "--consent", "yes", "--config", str(folder / "promolift.toml")])
    config = load_config(folder / "promolift.toml")
    data = config.data.model_copy(update={"shards": 4})
    plan = config.plan.model_copy(update={"asof": "2024-09-20", "budget_cents": 20_000})
    encoder = config.encoder.model_copy(update={"depth": 1, "epochs": 1})  # where torch is there
    return config.model_copy(update={"data": data, "plan": plan, "encoder": encoder})


def ran(
    config: Config, work: Path | str, engine: ExecutorSettings | None = None, steps: tuple[str, ...] = STEPS
) -> Path:
    changed = config.model_copy(update={"engine": engine or ExecutorSettings()})
    with Store(work, threads=config.data.threads) as store:
        run_steps(Job(changed, store, lambda *_: None), steps)
    return Path(work)


def tables(work: Path) -> dict[str, pl.DataFrame]:
    paths = sorted((work / "tables").rglob("*.parquet"))
    return {str(path.relative_to(work)): pl.read_parquet(path) for path in paths}


def assert_same(mine: Path, other: Path) -> None:
    """To the bit: every table, shard by shard, and every note."""
    one, two = tables(mine), tables(other)
    assert [*one] == [*two]
    assert not [name for name in one if not one[name].equals(two[name])]
    for note in sorted((mine / "notes").glob("*.json")):
        assert note.read_bytes() == (other / "notes" / note.name).read_bytes(), note.name
