"""Work in the background, from a shop's files to a release: it ends, and a reload or a restart finds it."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any

import pytest
from console_helpers import Person, opened, set_up

from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import load_config
from promolift.shop.results.plan import Plan

KILLS = 20
JOB = """
import sys, time
from pathlib import Path
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.next_version import next_version
root, number = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
with Store(root) as store:
    store.lock()
    with next_version(root) as draft, Store(draft) as made:
        made.save("chosen", made.frame("all_chosen").head(number))
        for table in ("candidates", "decisions", "frontier", "policies", "messages"):
            time.sleep(0.1)
            made.save(table, made.frame(table))
        made.save_json("plan", made.load_json("plan") | {"budget_cents": number, "treated": number})
"""  # writes a plan of `number` customers as a job does, within no time


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


def plan_of(viewer: Person) -> tuple[int, int, int]:
    """The budget that the page says, and its customers with an offer by the plan's note and by its offers."""
    page = viewer.json("/plan")
    treated = sum(int(row[2].replace(",", "")) for row in page["audiences"]["rows"])
    return page["budget"], int(page["numbers"][0]["value"].replace(",", "")), treated


@pytest.mark.slow
def test_a_job_that_is_killed_leaves_a_whole_plan_and_the_next_one_works(folder: Path) -> None:
    """Each version has a budget of its own and as many customers with an offer, so that a mixture shows."""
    with Store(folder) as store:
        store.save("all_chosen", store.frame("chosen"))
    chance, known = Random(7), list[tuple[int, int, int]]()

    def start(number: int) -> "subprocess.Popen[str]":
        child = subprocess.Popen([sys.executable, "-c", JOB, folder, str(number)], stdout=subprocess.PIPE, text=True)
        assert child.stdout
        child.stdout.readline()  # its modules are imported
        child.stdout.close()
        return child

    with opened(folder) as shop:
        viewer, began = shop.person("viewer"), monotonic()
        child = start(3)
        began = monotonic()
        assert child.wait() == 0
        took_s = monotonic() - began
        assert plan_of(viewer) == (3, 3, 3)
        for number in range(4, 4 + KILLS):
            child = start(number)
            sleep(took_s * chance.uniform(0.0, 1.1))
            if number % 3 == 0:
                assert len({*plan_of(viewer)}) == 1  # read while it is written
            child.kill()
            child.wait()
            known.append(plan_of(viewer))
            with Store(folder) as store:
                plan = Plan.load(store)
                assert {*known[-1]} == {plan.note.budget_cents, plan.note.treated, plan.chosen.height}
        assert start(4 + KILLS).wait() == 0
        assert plan_of(viewer) == (4 + KILLS,) * 3
        assert not (folder / "switch").exists()
    kept = sum(before == after for before, after in pairwise(known))
    print(f"{KILLS} kills: {kept} left the version before, {KILLS - 1 - kept} came after the switch")
    assert kept
