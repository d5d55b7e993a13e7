"""A trial from its file to effects and a plan, by the browser alone; what its columns mean is a person's word."""

import re
from pathlib import Path
from time import sleep

import numpy as np
import polars as pl
import pytest
from console_helpers import Person, Shop, opened
from workbook_files import write_workbook

ROWS = 1200


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A letter adds 3 to what old customers spend."""
    rng = np.random.default_rng(7)
    letter, old = rng.choice(["none", "letter"], ROWS), rng.random(ROWS) < 0.5
    spend = np.round(10 + 3 * (letter == "letter") * old + rng.gamma(1, 1, ROWS), 2)
    columns = {"member": [f"m{n:05d}" for n in range(ROWS)], "arm": letter, "old": old.astype(int), "spend": spend}
    path = tmp_path_factory.mktemp("trial") / "Spring <b>trial.csv"
    pl.DataFrame(columns).write_csv(path)
    return path


def mapped(person: Person, **more: str) -> dict[str, str]:
    """The form of the columns, with some meanings said."""
    form = {"planned": "equal", "control": "none", "cost": "0.5"}
    for place, column in enumerate(person.json("/trials/Spring_b_trial/columns")["columns"]):
        means = more.get(column["name"], column["meaning"])
        form |= {f"column_{place}": column["name"], f"meaning_{place}": means}
    return form


def test_a_file_is_sent_and_its_columns_are_guessed(shop: Shop, file: Path) -> None:
    editor = shop.person("editor")
    assert "No trial was sent yet" in editor.get("/trials")
    editor.send("/trials/upload", file)
    assert editor.json("/trials")["trials"][0]["name"] == "Spring_b_trial"
    page = editor.json("/trials/Spring_b_trial/columns")
    meanings = {each["name"]: each["meaning"] for each in page["columns"]}
    assert meanings == {"member": "ignore", "arm": "treatment", "old": "features", "spend": "features"}
    assert page["control"] == "none"
    editor.send("/trials/upload", file)
    assert [each["name"] for each in editor.json("/trials")["trials"]] == ["Spring_b_trial", "Spring_b_trial_2"]
    shop.person("viewer").get("/trials/Spring_b_trial/columns", 403)


def test_the_sheet_of_a_workbook_is_chosen_before_its_columns(shop: Shop, file: Path, tmp_path: Path) -> None:
    members = [line.split(",") for line in file.read_text().splitlines()[:60]]
    path = write_workbook(tmp_path / "book.xlsx", {"Notes": [["remark"], *[["made by hand"]] * 9], "Members": members})
    editor = shop.person("editor")
    editor.send("/trials/upload", path)
    page = editor.json("/trials/book/columns")
    assert [choice["value"] for choice in page["sheets"]["choices"]] == ["Notes", "Members"]
    editor.post("/trials/book/sheet", 422, sheet="Others")
    editor.post("/trials/book/sheet", sheet="Members")
    meanings = {each["name"]: each["meaning"] for each in editor.json("/trials/book/columns")["columns"]}
    assert meanings == {"member": "ignore", "arm": "treatment", "old": "features", "spend": "features"}


def test_a_wrong_mapping_says_why_and_stays_in_the_form(shop: Shop, file: Path) -> None:
    editor = shop.person("editor")
    editor.send("/trials/upload", file)
    back = {"back": "/trials/Spring_b_trial/columns"}
    page = editor.post("/trials/Spring_b_trial/fit", 422, **mapped(editor), **back).text
    assert "no outcome: name columns as rates, counts or money" in page
    assert re.search(r'name="cost"[^>]* value="0.5"', page)
    assert editor.json("/trials/Spring_b_trial/columns")["said"] == {}
    twice = mapped(editor, spend="treatment")
    editor.post("/trials/Spring_b_trial/fit", 422, **twice)


def test_only_files_of_trials_are_given_out(shop: Shop, file: Path) -> None:
    editor = shop.person("editor")
    editor.send("/trials/upload", file)
    for path in ("/trials/Spring_b_trial/files/mapping.json", "/trials/..%2f/files/plan.csv", "/trials/none"):
        editor.get(path, 404)
    editor.post("/trials/Spring_b_trial/remove", 403)
    approver = shop.person("approver")
    approver.post("/trials/..%2f..%2fserve/remove", 404)
    approver.post("/trials/Spring_b_trial/remove")
    assert approver.json("/trials")["trials"] == []
    assert not (shop.server.settings.work / "trials" / "Spring_b_trial").exists()


@pytest.mark.slow
def test_work_goes_on_past_a_reload_and_a_restart_of_the_server_says_what_became_of_it(
    folder: Path, file: Path
) -> None:
    with opened(folder) as shop:
        editor = shop.person("editor")
        editor.send("/trials/upload", file)
        editor.post("/trials/Spring_b_trial/fit", **mapped(editor, spend="money"))
        assert "Working" in editor.get(f"/jobs/{editor.json('/trials/Spring_b_trial')['job']['job_id']}")
        again = shop.person("viewer")  # another browser sees the same work
        assert again.json("/trials/Spring_b_trial")["job"]["status"] == "running"
    with opened(folder) as shop:  # the server ended in the middle
        editor = shop.person("editor")
        job = editor.json("/trials/Spring_b_trial")["job"]
        assert (job["status"], "finished steps are kept" in job["note"]) == ("stopped", True)
        assert "could not be read" in editor.get("/trials/Spring_b_trial")
        editor.post("/trials/Spring_b_trial/fit", **mapped(editor, spend="money"))
        assert ended(editor)["job"]["status"] == "done"
    with opened(folder) as shop:  # what was found is there after the next start
        viewer = shop.person("viewer")
        page = viewer.json("/trials/Spring_b_trial?chapter=effects")
        assert page["job"]["status"] == "done"
        assert [each["id"] for each in page["blocks"] if each["kind"] == "figure"] == ["effect-0"]
        row = page["blocks"][0]["spec"]["rows"][0]
        assert row["value"] == pytest.approx(150, abs=30)  # half of them are old; minor units
        for slug, _ in page["chapters"]:
            assert len(viewer.get(f"/trials/Spring_b_trial?chapter={slug}")) < 60_000
        plan = viewer.get("/trials/Spring_b_trial/files/plan.csv")
        assert "letter" in plan
        assert "<!doctype html>" in viewer.get("/trials/Spring_b_trial/files/trial.html").lower()
        editor = shop.person("editor")
        editor.get("/trials/Spring_b_trial")
        editor.post("/trials/Spring_b_trial/plan", budget="50")
        assert ended(editor)["job"]["status"] == "done"
        assert editor.json("/trials/Spring_b_trial")["budget"] == 50
        fewer = viewer.get("/trials/Spring_b_trial/files/plan.csv")
        assert len(fewer.splitlines()) == 101  # at 0.5 each
        editor.post("/trials/Spring_b_trial/plan", 422, budget="much")


def ended(person: Person) -> dict[str, dict[str, str]]:
    """The page of the trial once its work has ended."""
    for _ in range(600):
        page: dict[str, dict[str, str]] = person.json("/trials/Spring_b_trial")
        if page["job"]["status"] != "running":
            return page
        sleep(0.5)
    raise AssertionError("it never ended")
