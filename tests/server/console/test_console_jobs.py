"""Work in the background, from a shop's files to a release: it ends, and a reload or a restart finds it."""

from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any

import pytest
from console_helpers import Person, opened, set_up

from promolift.foundation.hashing import sha256_of_file
from promolift.shop.configuration.configuration import load_config

KILLS = 20


def ended(person: Person, job_id: str) -> dict[str, Any]:
    """The job, once it does not run any more."""
    for _ in range(1200):
        found: dict[str, Any] = person.json(f"/jobs/{job_id}")["job"]
        if found["status"] != "running":
            return found
        sleep(0.5)
    raise AssertionError("it never ended")


@pytest.mark.slow
def test_files_are_read_and_planned_across_restarts(own_files: Path, tmp_path: Path) -> None:
    file, work = tmp_path / "promolift.toml", tmp_path / "work"
    with opened(work, None, file=file) as shop:
        editor = shop.person("editor")
        set_up(editor, *(own_files / f"{table}.csv" for table in ("events", "products", "customers")))
        editor.post("/data/run")
        first = editor.json("/data")["job"]["job_id"]
        assert shop.person("viewer").json(f"/jobs/{first}")["job"]["status"] == "running"  # anybody sees it
        editor.post("/data/run", 422)  # one at a time
    with opened(work, load_config(file), file=file) as shop:  # the server ended in the middle
        editor = shop.person("editor")
        assert editor.json(f"/jobs/{first}")["job"]["status"] == "stopped"
        editor.post("/data/run")
        run = ended(editor, editor.json("/data")["job"]["job_id"])
        assert (run["status"], run["note"]) == ("done", "")
    with opened(work, load_config(file), file=file) as shop:  # what was made is there after the next start
        editor, approver = shop.person("editor"), shop.person("approver")
        page = editor.json("/plan")
        editor.post("/plan/draft", budget=str(round(page["top"] / 2)))
        job = ended(editor, editor.json("/plan")["job"]["job_id"])
        assert job["status"] == "done"
        editor.post(f"/plan/take/{job['job_id']}")
        release = job["result"]["release_id"]
        assert [each["by"] for each in editor.json("/plan")["releases"] if each["release_id"] == release] == ["editor"]
        approver.get("/plan")
        approver.post(f"/releases/{release}/activate")


def results(folder: Path) -> dict[Path, str]:
    """The files of a plan and what it stands on, by their hashes."""
    parts = [path for part in ("tables", "notes", "models") for path in (folder / part).rglob("*")]
    return {path: sha256_of_file(path) for path in [*parts, folder / "steps.json"] if path.is_file()}


@pytest.mark.slow
def test_a_job_that_is_killed_leaves_a_whole_plan_and_the_next_one_works(folder: Path) -> None:
    chance, whole = Random(7), results(folder)
    with opened(folder) as shop:
        editor, jobs = shop.person("editor"), shop.app.console.jobs
        viewer = shop.person("viewer")

        def plan(budget: int) -> str:
            editor.get("/plan")
            editor.post("/plan/draft", budget=str(budget))
            return str(editor.json("/plan")["job"]["job_id"])

        def shown() -> tuple[Any, ...]:
            page = viewer.json("/plan")
            return page["budget"], page["head"], page["audiences"], page["numbers"]

        started, before = monotonic(), shown()
        assert ended(editor, plan(before[0] + 1))["status"] == "done"
        took_s, made, before = monotonic() - started, 0, shown()
        whole = results(folder)
        for number in range(KILLS):
            job_id = plan(5000 + number)
            until = monotonic() + took_s * chance.uniform(0.2, 1.1)
            seen = []
            while monotonic() < until and jobs.running:
                seen.append(shown())
                sleep(0.05)
            jobs._child.kill()
            made += ended(editor, job_id)["status"] == "done"
            after = shown()
            assert {repr(page) for page in [*seen, after]} <= {repr(before), repr(after)}
            assert after == before or after[0] == 5000 + number
            assert (results(folder) == whole) == (after == before)
            whole, before = results(folder), after
        assert made < KILLS
        last = ended(editor, plan(7777))
        assert last["status"] == "done"
        assert shown()[0] == 7777
        assert not (folder / "switch").exists()
        editor.post(f"/plan/take/{last['job_id']}")
