"""Work in the background, from a shop's files to a release: it ends, and a reload or a restart finds it."""

from pathlib import Path
from time import sleep
from typing import Any

import pytest
from console_helpers import Person, opened, set_up

from promolift.shop.configuration.configuration import load_config


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
