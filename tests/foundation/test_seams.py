"""What an extension registers changes what the core does, by one small extension. test_extension.py has the rest."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from error_checks import raises_code
from small_story import small_story

from promolift.foundation import extension
from promolift.foundation.errors import ConfigError, StepError
from promolift.foundation.executors.executor import ExecutorSettings, open_executor
from promolift.foundation.extension import Extension, PipelineStep, ReportChapter
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.pages import blocks
from promolift.foundation.progress import no_progress
from promolift.foundation.release_policy import ExactRelease, Released, clip_rows, open_release_policy
from promolift.foundation.settings import Settings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.remote_storage import on_this_machine, storage_at, url_of
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.pipeline import fingerprint, run_steps
from promolift.shop.reports.chapters.summary import build_chapters
from promolift.shop.results.work_folder.run_context import Job

LOYALTY = Extension(
    "loyalty",
    settings={"loyalty": "test_seams:LoyaltySettings"},
    steps=(PipelineStep("loyalty", "test_seams:count_members", after="ingest"),),
    sources={"till": "test_seams:open_till"},
    chapters=(
        ReportChapter("members", "test_seams:build_members", after="budget"),
        ReportChapter("last", "test_seams:build_last", after="no such chapter"),
    ),
    executors={"backwards": "test_seams:open_backwards"},
    storages={"attic": "test_seams:Attic"},
    release_policy="test_seams:open_rounding",
)
DATA = {"source": "till"}


class LoyaltySettings(Settings):
    points: int = 1


def count_members(job: Job) -> None:
    runs = job.store.load_json("members")["runs"] if job.store.has_json("members") else 0
    points = job.config.section(LoyaltySettings).points
    job.store.save_json("members", {"rows": len(job.clean.events().fetchall()), "points": points, "runs": runs + 1})


def open_till(connection: duckdb.DuckDBPyConnection, config: Config) -> dict[str, RawTable]:
    points = config.section(LoyaltySettings).points
    rows = connection.sql(
        f"select n as _row, 'c' || n % 3 as who, 'p1' as what, '2026-01-0' || n as at, {points} as paid"
        " from range(1, 7) r (n)"
    )
    columns = {"customer_id": "who", "product_id": "what", "time": "at", "amount": "paid"}
    mapping = {"table": "events", "columns": columns, "constants": {"kind": "purchase"}, "currency": "USD"}
    return {"events": RawTable(rows, "till", 6, mapping)}


def build_members(story: Any) -> blocks.Chapter | None:
    return blocks.Chapter("members", "Members", "Who are the members?", "", [])


def build_last(story: Any) -> blocks.Chapter | None:
    return blocks.Chapter("last", "Last", "What comes last?", "", []) if story.plan.treated else None


class Backwards:
    """Runs the shards from the last to the first."""

    def map(self, task: Callable[[int], Any], shards: Sequence[int], store: Any = None) -> Iterator[Any]:
        found = {shard: task(shard) for shard in reversed(shards)}
        return (found[shard] for shard in shards)


@contextmanager
def open_backwards(settings: ExecutorSettings) -> Iterator[Backwards]:
    yield Backwards()


class Attic:
    """A storage of one URL scheme, whose work folders are folders of this machine."""

    @staticmethod
    def open_bucket(url: str, remedy: str) -> tuple[str, str]:
        return url, remedy


class Rounding:
    """Releases whole numbers only, and knows the revenue."""

    is_exact = False

    def noise_sd(self, purpose: str, clip: float, releases: int = 1) -> float:
        return 0.3 * clip

    def release(self, purpose: str, name: str, total_V: Any, clip: float, releases: int = 1) -> Released:
        return Released(np.round(total_V), self.noise_sd(purpose, clip))

    def known_figure(self, name: str) -> float | None:
        return 12.0 if name == "revenue_cents" else None


def open_rounding(config: Config, store: Store) -> Rounding | None:
    return Rounding() if config.section(LoyaltySettings).points > 1 else None


@pytest.fixture
def loyalty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extension is installed beside promolift's own."""
    some = (*(each for each in extension.extensions() if each.name != "privacy"), LOYALTY)
    extension.check_conflicts(some)
    monkeypatch.setattr(extension, "extensions", lambda: some)


def config(**parts: Any) -> Config:
    return Config.parse({"data": DATA} | parts, "promolift.toml")


def test_a_section_without_its_extension_is_unknown() -> None:
    with raises_code("setting_unknown", "loyalty", kind=ConfigError):
        Config.parse({"data": {"source": "complete-journey"}, "loyalty": {}}, "promolift.toml")
    with raises_code("setting_invalid", "data.source", "'files'", kind=ConfigError):
        config()


@pytest.mark.usefixtures("loyalty")
def test_a_registered_section_is_kept_and_validated() -> None:
    assert config().section(LoyaltySettings) == LoyaltySettings()
    stated = config(loyalty={"points": 3})
    assert stated.section(LoyaltySettings).points == 3
    assert isinstance(stated, Config)
    assert pickle.loads(pickle.dumps(stated)).section(LoyaltySettings).points == 3
    assert Config.parse(stated.model_dump(mode="json"), "again").section(LoyaltySettings).points == 3
    with raises_code("setting_unknown", "promolift.toml", "loyalty", "'points'", kind=ConfigError):
        config(loyalty={"pionts": 3})
    with raises_code("setting_invalid", "loyalty.points", kind=ConfigError):
        config(loyalty={"points": "many"})


def test_an_extension_cannot_take_a_section_of_promolift(monkeypatch: pytest.MonkeyPatch) -> None:
    greedy = Extension("greedy", settings={"plan": "test_seams:LoyaltySettings"})
    monkeypatch.setattr(extension, "extensions", lambda: (greedy, LOYALTY))
    with raises_code("extension_conflict", "[plan]", kind=ConfigError):
        config()


@pytest.mark.usefixtures("loyalty")
def test_a_source_is_read_and_a_step_runs_behind_its_step_until_nothing_changed(tmp_path: Path) -> None:
    def ran(**parts: Any) -> Any:
        with Store(tmp_path / "work") as store:
            run_steps(Job(config(**parts), store, no_progress), ["ingest"])
            return store.load_json("members")

    assert ran() == {"rows": 6, "points": 1, "runs": 1}
    assert ran() == {"rows": 6, "points": 1, "runs": 1}
    assert ran(loyalty={"points": 2}) == {"rows": 6, "points": 2, "runs": 2}
    with Store(tmp_path / "work") as store:
        changed = Job(config(loyalty={"points": 3}), store, no_progress)
        with raises_code("step_missing", "loyalty", "promolift ingest", kind=StepError):
            run_steps(changed, ["profile"])


@pytest.mark.usefixtures("loyalty")
def test_settings_of_an_extension_count_from_its_step_on() -> None:
    one, two = config(), config(loyalty={"points": 2})
    assert fingerprint(one, "ingest") == fingerprint(two, "ingest")
    assert fingerprint(one, "loyalty") != fingerprint(two, "loyalty")
    assert fingerprint(one, "profile") != fingerprint(two, "profile")


@pytest.mark.parametrize("step", [PipelineStep("extra", "x:y"), PipelineStep("plan", "x:y", after="ingest"),
                                  PipelineStep("extra", "x:y", before="nothing")])  # fmt: skip
def test_a_step_without_a_place_is_refused(monkeypatch: pytest.MonkeyPatch, step: PipelineStep) -> None:
    some = (*extension.extensions(), Extension("lost", steps=(step,)))
    monkeypatch.setattr(extension, "extensions", lambda: some)
    with raises_code("extension_broken", "lost", step.name, kind=ConfigError):
        fingerprint(Config.parse({"data": {"source": "complete-journey"}}, "test"), "ingest")


@pytest.mark.usefixtures("loyalty")
def test_a_chapter_stands_behind_the_one_that_it_names_or_last() -> None:
    slugs = [chapter.slug for chapter in build_chapters(small_story())]
    assert slugs[slugs.index("budget") + 1] == "members"
    assert slugs[-1] == "last"
    assert "last" not in [chapter.slug for chapter in build_chapters(small_story({"treated": 0}))]


@pytest.mark.usefixtures("loyalty")
def test_an_executor_is_found_by_its_kind() -> None:
    ran: list[int] = []

    def task(shard: int) -> int:
        ran.append(shard)
        return 10 * shard

    with open_executor(ExecutorSettings(kind="backwards")) as executor:
        assert executor is not None
        assert [*executor.map(task, [0, 1, 2])] == [0, 10, 20]
    assert ran == [2, 1, 0]
    with raises_code("setting_invalid", "kind", "'local'", "'ray'", "'backwards'", kind=ConfigError):
        ExecutorSettings.parse({"kind": "unknown"}, "promolift.toml")


@pytest.mark.usefixtures("loyalty")
def test_a_storage_is_found_by_the_scheme_of_its_url() -> None:
    assert url_of("attic:/shop") == "attic://shop"  # as a Path prints it
    assert url_of("cellar://shop") is None
    assert storage_at("attic://shop").open_bucket("attic://shop", "wait") == ("attic://shop", "wait")
    for refused in (storage_at, on_this_machine):
        with raises_code("url_scheme_unknown", "cellar", "attic", "s3", kind=ConfigError):
            refused("cellar://shop")


@pytest.mark.usefixtures("loyalty")
def test_figures_are_released_as_they_are_unless_the_settings_ask_an_extension(tmp_path: Path) -> None:
    with Store(tmp_path / "work") as store:
        exact = open_release_policy(config(), store)
        assert isinstance(exact, ExactRelease)
        assert exact.release("price", "costs", np.array([1.4]), 1.0) == (np.array([1.4]), 0.0)
        assert exact.known_figure("revenue_cents") is None
        policy = Job(config(loyalty={"points": 2}), store, no_progress).release_policy
        assert policy.release("price", "costs", np.array([1.4]), 2.0) == (np.array([1.0]), 0.6)
        assert policy.known_figure("revenue_cents") == 12.0


@pytest.mark.usefixtures("loyalty")
def test_a_privacy_budget_without_its_extension_stops_and_releases_nothing(tmp_path: Path) -> None:
    with Store(tmp_path / "work") as store:
        job = Job(config(privacy={"epsilon": 1.0}), store, no_progress)
        with raises_code("extra_missing", "privacy.epsilon", kind=ConfigError):
            job.release_policy  # noqa: B018


def test_a_row_is_shortened_to_the_clip_and_never_lengthened() -> None:
    rows = clip_rows(np.array([[3.0, 4.0], [0.3, 0.4], [np.nan, np.inf]]), 1.0)
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]])
