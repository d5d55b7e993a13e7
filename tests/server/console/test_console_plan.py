"""The plan in a browser without a browser: what another budget brings, drafts, approval, what decides, roll back."""

import json
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from console_helpers import CONFIG, SAME, Person, Shop, opened
from sqlalchemy import insert

from promolift.foundation.i18n.formatting import MoneyFormat
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.server.ledger.records import Campaign
from promolift.server.ledger.schema import JOBS
from promolift.shop.pipeline.release import build_release, read_manifest, release_id_of
from promolift.shop.reports.chapters.planned_audiences import AUDIENCES_SHOWN, planned_audiences
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job


def draft(person: Person) -> str:
    """Save the plan as it stands; the release."""
    budget = str(person.json("/plan")["budget"])
    person.post("/plan/draft", budget=budget, note="as planned")
    return str(person.json("/plan")["releases"][0]["release_id"])


def stamps(folder: Path) -> dict[Path, int]:
    """When each file of the plan was written."""
    return {path: path.stat().st_mtime_ns for part in ("tables", "notes") for path in (folder / part).rglob("*")}


def test_the_screen_says_what_the_plan_says(shop: Shop, folder: Path) -> None:
    said = shop.person("viewer").json("/plan")
    with Store(folder) as store:
        plan = Plan.load(store)
        assert said["budget"] == plan.note.budget_cents
        assert said["numbers"][0]["value"] == str(plan.note.treated)
        assert said["what_if"]["treated"] == pytest.approx(plan.curve.what_if(plan.note.budget_cents).treated, rel=1e-3)  # type: ignore[union-attr]
        assert {"frontier", "policies", "mix"} <= {block.get("id") for block in said["blocks"]}


def test_the_audiences_of_a_plan_add_up_to_it_and_none_is_too_small_to_be_printed(told: Path, tmp_path: Path) -> None:
    shutil.copytree(told, tmp_path / "work")
    with Store(tmp_path / "work") as store:
        plan = Plan.load(store)
        for least in (0, 2, 5, 9, 20, 1000):
            privacy = CONFIG.privacy.model_copy(update={"least_cell": least})
            job = Job(CONFIG.model_copy(update={"privacy": privacy}), store, lambda *_: None)
            found = planned_audiences(job, plan)
            assert sum(each.treated for each in found) == plan.note.treated
            assert sum(each.cost_cents for each in found) == pytest.approx(plan.note.cost_cents)
            assert sum(each.gain.value for each in found if each.gain) == pytest.approx(plan.note.gain_cents)
            assert all(each.gain.low <= each.gain.value <= each.gain.high for each in found if each.gain)
            assert len(found) <= AUDIENCES_SHOWN + 1
            assert all(each.treated >= min(least, plan.note.treated) for each in found)
            for each in found:
                numbers = [number for _, number in each.lines if number is not None]
                assert not numbers or (sum(numbers) == each.treated and min(numbers) >= least)


def test_another_budget_is_tried_without_a_trace(shop: Shop, folder: Path) -> None:
    viewer = shop.person("viewer")
    before = {
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and "serve" not in path.parts
    }
    with Store(folder) as store:
        frontier = Plan.load(store).frontier
    for row in frontier.gather_every(max(1, frontier.height // 7)).iter_rows(named=True):
        found = viewer.json(f"/plan/what-if?budget={row['budget_cents']}")["what_if"]
        for name in ("gain_cents", "cost_cents", "treated"):
            assert found[name] == pytest.approx(row[name])
    assert viewer.json("/plan/what-if?budget=nonsense")["what_if"]["budget_cents"] == CONFIG.plan.budget_cents
    assert viewer.json("/plan/what-if?budget=1e300")["what_if"]["budget_cents"] == frontier["budget_cents"].max()
    after = {
        path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and "serve" not in path.parts
    }
    assert after == before


def test_a_slider_that_moves_is_answered_in_time(shop: Shop) -> None:
    viewer = shop.person("viewer")
    viewer.get("/plan/what-if?budget=1000")
    took = []
    for budget in range(1000, 20_000, 1900):
        started = time.perf_counter()
        viewer.get(f"/plan/what-if?budget={budget}")
        took.append(time.perf_counter() - started)
    assert sorted(took)[len(took) // 2] < 0.15


def test_from_a_draft_to_what_decides(shop: Shop) -> None:
    editor, approver = shop.person("editor"), shop.person("approver")
    release = draft(editor)
    line = editor.json("/plan")["releases"][0]
    assert (line["status"], line["by"], line["note"], line["live"]) == ("draft", "editor", "as planned", False)
    editor.post(f"/releases/{release}/ask")
    assert "A release waits for a yes" in approver.get("/")
    approver.post(f"/releases/{release}/approve")
    approver.post(f"/releases/{release}/activate")
    assert approver.json("/plan")["releases"][0]["status"] == "live"
    with Store(shop.server.settings.work) as store:
        who, offer = Plan.load(store).chosen.select("customer_id", "offer_id").row(0)
    answer = shop.api("POST", "/v1/decisions", {"customer_id": who, "campaign_id": CONFIG.plan.campaign})
    assert answer["offer_id"] == offer


def test_a_draft_that_nobody_asked_about_waits_for_nobody(shop: Shop) -> None:
    editor = shop.person("editor")
    release = draft(editor)
    assert editor.json("/")["summary"]["waiting"] == []
    editor.post(f"/releases/{release}/ask")
    assert editor.json("/")["summary"]["waiting"] == [release]


def test_of_many_who_approve_at_once_one_is_heard(shop: Shop) -> None:
    people = [shop.person(name) for name in ("approver", "admin") * 4]
    release = draft(people[0])

    def say_yes(each: Person) -> int:
        path = f"/console/releases/{release}/approve"
        return each.client.post(path, data={"token": each.token}, headers=SAME).status_code

    with ThreadPoolExecutor(len(people)) as pool:
        told = list(pool.map(say_yes, people))
    assert sorted(told) == [303] + [422] * (len(people) - 1)


def test_with_two_pairs_of_eyes_nobody_approves_a_draft_of_their_own(folder: Path) -> None:
    with opened(folder, console={"two_eyes": True}) as shop:
        approver, admin = shop.person("approver"), shop.person("admin")
        release = draft(approver)
        assert "[own_work]" in approver.post(f"/releases/{release}/approve", 422).text
        assert "[not_approved]" in approver.post(f"/releases/{release}/activate", 422).text
        assert "[not_approved]" in admin.post(f"/releases/{release}/activate", 422).text
        admin.post(f"/releases/{release}/approve")
        approver.post(f"/releases/{release}/activate")
        assert approver.json("/plan")["releases"][0]["approved_by"] == "admin"


def test_a_bad_release_is_rolled_back_from_today(shop: Shop) -> None:
    approver = shop.person("approver")
    first = draft(approver)
    approver.post(f"/releases/{first}/activate")
    with shop.server.ledger.read() as db:
        from promolift.server.ledger.records import Campaign

        campaign = Campaign.load(db, CONFIG.plan.campaign)

    def another(db: object, some: list[None]) -> list[None]:
        campaign.with_release(first).model_copy(update={"previous": first}).save(db, CONFIG.plan.campaign, 1)  # type: ignore[arg-type]
        return some

    shop.server.ledger.write(another)
    assert "Roll back now" in approver.get("/")
    assert "Roll back now" not in shop.person("viewer").get("/")
    approver.post("/roll-back")


def test_today_shows_the_release_that_decides_after_a_roll_back_too(shop: Shop, folder: Path) -> None:
    approver, campaign = shop.person("approver"), CONFIG.plan.campaign
    first = draft(approver)
    approver.post(f"/releases/{first}/activate")

    def expected() -> Any:
        return next(each["value"] for each in approver.json("/")["tiles"] if each["label"] == "The plan expects")

    with Store(folder) as store:
        own = Plan.load(store).summary
    cash = MoneyFormat(CONFIG.shop.currency)
    assert expected() == cash(own.value_cents, sign=True)
    home = folder / "serve" / "releases"
    assert own.value_cents is not None
    more = own.model_copy(update={"value_cents": own.value_cents + 98_765})
    text = read_manifest(home / first, first).model_copy(update={"summary": more}).text()
    shutil.copytree(home / first, home / release_id_of(text))
    (home / release_id_of(text) / "manifest.json").write_text(text, "utf-8")

    def another(db: Any, some: list[None]) -> list[None]:
        Campaign.load(db, campaign).with_release(release_id_of(text)).save(db, campaign, 1)
        return some

    shop.server.ledger.write(another)
    assert expected() == cash(own.value_cents + 98_765, sign=True)
    approver.post("/roll-back")
    assert expected() == cash(own.value_cents, sign=True)


def test_today_says_until_when_it_waits_and_draws_what_was_spent(shop: Shop, folder: Path) -> None:
    with Store(folder) as store:
        learned = Plan.load(store).summary.learned
    assert learned is not None
    assert learned.known_ms is not None
    clock = shop.server.clock
    clock.behind_ms, clock._last_ms = 0, 0
    clock.behind_ms = clock.now_ms() - learned.known_ms + DAY_MS
    approver = shop.person("approver")
    assert approver.json("/")["blocks"] == []
    release = draft(approver)
    approver.post(f"/releases/{release}/activate")
    said = "The first result is due on"
    page = approver.json("/")
    assert said in page["big"]["sentence"]
    assert [each["id"] for each in page["blocks"]] == ["spend"]
    clock.behind_ms -= 2 * DAY_MS
    assert said not in shop.person("viewer").json("/")["big"]["sentence"]


def test_a_draft_that_is_frozen_already_is_not_taken_from_its_maker(shop: Shop) -> None:
    editor, admin = shop.person("editor"), shop.person("admin")
    draft(editor)
    draft(admin)
    assert [(each["by"], each["status"]) for each in admin.json("/plan")["releases"]] == [("editor", "draft")]


def test_releases_are_compared_by_what_they_were_frozen_with(shop: Shop) -> None:
    editor = shop.person("editor")
    release = draft(editor)
    rows = editor.json(f"/plan/compare?a={release}&b={release}")["rows"]
    assert all(row["same"] for row in rows)
    assert rows[0]["a"] == "$90.00"
    editor.get("/plan/compare?a=x&b=..%2F..", 422)


def test_without_a_shop_the_plan_says_how_to_start(folder: Path) -> None:
    with opened(folder, None) as shop:
        assert shop.person("viewer").json("/plan")["first"] == "/data"
        assert shop.person("editor").json("/plan")["first"] == "/data/setup"


def test_work_in_the_background_is_told_of_stopped_and_seen_after_a_restart(shop: Shop, folder: Path) -> None:
    editor = shop.person("editor")
    editor.post("/plan/draft", budget="5000")
    job = editor.json("/plan")["job"]["job_id"]
    assert "[job_running]" in editor.post("/plan/draft", 422, budget="6000").text
    assert "progress" in editor.get(f"/jobs/{job}")
    editor.post(f"/jobs/{job}/stop")
    assert ended(editor, job)["status"] == "stopped"
    assert "did not finish" in editor.get("/plan")
    editor.get("/jobs/none", 422)


def test_work_that_a_server_left_running_is_said_to_have_stopped(folder: Path) -> None:
    with opened(folder) as shop:
        editor = shop.person("editor")
        editor.post("/plan/draft", budget="5000")
        job = editor.json("/plan")["job"]["job_id"]
        with opened(folder) as again:
            assert "ended meanwhile" in again.person("editor").json(f"/jobs/{job}")["job"]["note"]
        editor.post(f"/jobs/{job}/stop")
        ended(editor, job)


def test_what_a_job_made_is_the_draft_of_who_started_it_whoever_takes_it(folder: Path) -> None:
    with opened(folder, console={"two_eyes": True}) as shop:
        with Store(folder) as store:
            release = build_release(store)
        done = {"kind": "plan", "asked": '{"budget_cents": 9000}', "name": "approver", "status": "done", "begun_ms": 1}

        def finished(db: Any, some: list[None]) -> list[None]:
            db.execute(insert(JOBS).values(job_id="job_1", result=json.dumps({"release_id": release}), **done))
            return some

        shop.server.ledger.write(finished)
        approver, editor = shop.person("approver"), shop.person("editor")
        assert "Save it as a draft" in editor.get("/plan")
        editor.post("/plan/take/job_1")
        assert "Save it as a draft" not in editor.get("/plan")
        (line,) = editor.json("/plan")["releases"]
        assert (line["release_id"], line["status"], line["by"]) == (release, "draft", "approver")
        assert "[own_work]" in approver.post(f"/releases/{release}/approve", 422).text


def ended(person: Person, job: str) -> dict[str, object]:
    """The job, once it does not run any more."""
    for _ in range(300):
        found = person.json(f"/jobs/{job}")["job"]
        if found["status"] != "running" and found["ended_ms"]:
            return dict(found)
        time.sleep(0.1)
    raise AssertionError(found)


def test_what_pages_keep_open_is_closed_with_the_server(folder: Path) -> None:
    with opened(folder) as shop:
        shop.person("viewer").get("/plan")
        assert [*(folder / "tmp").iterdir()]
    assert [*(folder / "tmp").iterdir()] == []
