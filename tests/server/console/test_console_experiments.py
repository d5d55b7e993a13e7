"""A test is drafted, started, paused and stopped by who may; what it shows is what the ledger's decisions say."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from console_helpers import CONFIG, Shop, opened
from serve_helpers import derived
from sqlalchemy import insert

from promolift.core.experiments.experiment_design import assign_arms
from promolift.foundation.time.clock import DAY_MS
from promolift.server.decisions import experiment_results
from promolift.server.ledger.records import StoredExperiment
from promolift.server.ledger.schema import DECISIONS, EVENTS
from promolift.shop.pipeline.release import read_manifest, release_id_of
from promolift.shop.results.plan_note import PlanTests

CAMPAIGN = CONFIG.plan.campaign
HERE = f"/v1/campaigns/{CAMPAIGN}"


@pytest.fixture
def live(folder: Path) -> Iterator[Shop]:
    """A server whose plan decides."""
    with opened(folder, demo=True) as found:
        yield found


def another(shop: Shop) -> str:
    """A second release of the campaign."""
    release = shop.api("GET", HERE)["release"]
    terms = shop.server.decider.ensure(release).terms
    other = derived(shop.server.settings.work, release, terms.model_copy(update={"price": terms.price + 1}))
    shop.api("POST", f"/v1/releases/{other}:activate")
    shop.api("POST", f"{HERE}:rollback")
    return other


def drafted(shop: Shop, person: str = "editor", **more: str) -> str:
    """The name of a draft."""
    editor = shop.person(person)
    page = editor.json("/tests/new")
    form = {"question": "Do offers pay?", "a": page["releases"][0], "holdout": "0.5", "planned": "600"} | more
    editor.post("/tests/draft", **form)
    return str(editor.json("/tests")["drafts"][0]["experiment"]["design"]["name"])


def test_a_plan_that_draws_is_a_test_on_the_screen_of_tests_too(live: Shop, folder: Path) -> None:
    viewer = live.person("viewer")
    assert viewer.json("/tests")["drawn"] == ""
    name = live.api("GET", HERE)["release"]
    home = folder / "serve" / "releases"
    plan = read_manifest(home / name, name)
    drawn = plan.plan.model_copy(update={"tests": PlanTests(customers=7, gain_cents=1.0, cost_cents=1.0)})
    text = plan.model_copy(update={"plan": drawn}).text()
    shutil.copytree(home / name, home / release_id_of(text))
    (home / release_id_of(text) / "manifest.json").write_text(text, "utf-8")
    live.api("POST", f"/v1/releases/{release_id_of(text)}:activate")
    assert "7 customers" in viewer.json("/tests")["drawn"]
    assert "No test is running" not in viewer.get("/tests")


def came(shop: Shop, test: str, more_cents: int, customers: int = 2000) -> None:
    """Customers of a test, decided on over ten days, of whom those with an offer spend more."""
    now, kept = shop.server.clock.now_ms(), f"{CAMPAIGN}/{test}"
    with shop.server.ledger.read() as db:
        tested = StoredExperiment.load(db, kept)
    people = [f"c{n:05d}" for n in range(customers)]
    arms, rng = assign_arms(people, tested.experiment.design), np.random.default_rng(1)
    shared = {"campaign_id": CAMPAIGN, "policy_id": "p", "policy_version": "1", "offer_id": "none", "propensity": 1.0,
              "seed": 1, "reason": "x", "release_id": "r", "terms": "{}", "price": 1.0,
              "experiment_id": test}  # fmt: skip
    rows, events = [], []
    for n, (who, arm) in enumerate(zip(people, arms, strict=True)):
        at = now - int(rng.uniform(0.1, 10) * DAY_MS)
        rows.append(shared | {"decision_id": f"dec_{at:011x}{n:06x}", "ts_ms": at, "customer_id": who, "variant": arm,
                              "holdout": int(arm == "holdout"), "unanswered": 0})  # fmt: skip
        if rng.random() < 0.5:
            total = rng.gamma(4, 10) + (more_cents / 100 if arm != "holdout" else 0)
            event = {"message_id": f"m{n}", "ts_ms": at, "received_ms": at, "customer_id": who}
            events.append(event | {"name": "Order Completed", "body": json.dumps({"properties": {"total": total}})})

    def write(db: Any, some: list[None]) -> list[None]:
        db.execute(insert(DECISIONS), rows)
        db.execute(insert(EVENTS), events)
        tested.model_copy(update={"begun_ms": now - 10 * DAY_MS}).save(db, kept, now)
        return some

    shop.server.ledger.write(write)


def test_a_draft_changes_nothing_and_an_approver_starts_it(live: Shop) -> None:
    name, asked = drafted(live), {"customer_id": "u007", "campaign_id": CAMPAIGN, "explain": True}
    assert live.api("GET", HERE).get("experiment") is None
    live.person("editor").post(f"/tests/{name}/start", 403)
    approver = live.person("approver")
    approver.post(f"/tests/{name}/start")
    assert live.api("POST", "/v1/decisions", asked)["variant"] in ("a", "holdout")
    running = approver.json("/tests")
    assert (running["now"]["experiment"]["question"], running["drafts"]) == ("Do offers pay?", [])
    assert running["result"]["customers"] == 1
    second = drafted(live)
    approver.post(f"/tests/{second}/start", 422)


def test_while_it_is_paused_nobody_is_split_and_the_arms_stay(live: Shop) -> None:
    name, approver = drafted(live), live.person("approver")
    approver.post(f"/tests/{name}/start")
    arms = [live.api("POST", "/v1/decisions", {"customer_id": f"u{n:03d}"})["variant"] for n in range(20)]
    approver.post("/tests/pause", paused="yes")
    assert live.api("POST", "/v1/decisions", {"customer_id": "u001"})["variant"] is None
    assert "paused" in approver.get("/tests")
    approver.post("/tests/pause", paused="no")
    again = [live.api("POST", "/v1/decisions", {"customer_id": f"u{n:03d}"})["variant"] for n in range(20)]
    assert again == arms
    approver.post("/tests/stop")
    assert live.api("GET", HERE)["experiment"] is None
    past = approver.json("/tests")["past"]
    assert [each["experiment"]["design"]["name"] for each in past] == [name]
    assert past[0]["ended_ms"] >= past[0]["begun_ms"]
    assert approver.json(f"/tests/{name}")["result"]["customers"] == 20
    approver.get("/tests/never", 404)
    actions = [row["action"] for row in live.api("GET", "/v1/audit?limit=1000")["data"]]
    assert [each for each in actions if each.startswith("experiment.")] == [
        "experiment.draft", "experiment.put", "experiment.pause", "experiment.put", "experiment.stop",
    ]  # fmt: skip


def test_what_is_shown_is_what_came_and_the_winner_decides_for_all(live: Shop) -> None:
    other = another(live)
    name, approver = drafted(live, a=other), live.person("approver")
    approver.post(f"/tests/{name}/start")
    approver.post("/tests/win", 422)
    came(live, name, more_cents=1500)
    page = approver.json("/tests")
    result = page["result"]
    first = result["verdicts"][0]
    assert (first["arm"], first["answer"], result["winner"], page["answer"]) == ("a", "higher", "a", "higher")
    assert first["low"] < 750 < first["high"]
    assert [day["customers"] for day in result["by_day"]] == sorted(day["customers"] for day in result["by_day"])
    assert result["by_day"][-1]["lift"] == pytest.approx(first["lift"])
    assert result["days_left"] == 0
    api = live.api("GET", f"{HERE}/experiment")
    assert api["verdicts"] == result["verdicts"]
    approver.post("/tests/win")
    assert live.api("GET", HERE)["release"] == other
    assert live.api("GET", HERE)["experiment"] is None
    assert live.api("GET", f"{HERE}/experiments")["data"][0]["ended_ms"]


def test_where_many_decisions_are_read_the_page_comes_first(live: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    name, approver = drafted(live), live.person("approver")
    approver.post(f"/tests/{name}/start")
    came(live, name, more_cents=1500)
    here = approver.json("/tests")["result"]
    monkeypatch.setattr(experiment_results, "SLOW_AFTER_DECISIONS", 100)
    page = approver.json("/tests")
    assert (page["reading"], page["result"]) == (True, None)
    assert f"/console/tests/{name}?part=shown" in approver.get("/tests")
    there = approver.json(f"/tests/{name}?part=shown")["result"]  # read in a process of its own
    assert there["verdicts"][0]["lift"] == pytest.approx(here["verdicts"][0]["lift"])
    assert "Make the winner decide" in approver.get(f"/tests/{name}?part=shown")


def test_a_broken_guardrail_and_groups_are_said(live: Shop, folder: Path) -> None:
    from promolift.server.decisions.experiment_results import spend_segments

    groups = spend_segments(folder)
    assert groups is not None
    assert groups["segment"].n_unique() > 1
    assert spend_segments(folder / "nothing") is None
    name, approver = drafted(live, outcome="bought"), live.person("approver")
    approver.post(f"/tests/{name}/start")
    came(live, name, more_cents=-1500)
    page = approver.json("/tests")
    assert page["design"]["primary"] == "bought"
    assert page["result"]["broken"]
    assert "guardrail is broken" in approver.get("/tests")


def test_the_wizard_shows_what_a_test_would_show(live: Shop) -> None:
    editor = live.person("editor")
    page = editor.json("/tests/new")
    release = page["releases"][0]
    assert page["given"]["a"] == release
    found = [line["found"]["customers"] for line in page["lines"]]
    assert found == sorted(found)
    asked = f"/tests/new?part=power&a={release}&holdout=0&control=holdout"
    assert "hold customers out" in editor.get(asked)
    shown = live.api("POST", f"{HERE}/experiment:power", {"arms": {"a": 1.0}, "holdout_share": 0.5})["data"]
    assert [row["days"] for row in shown] == [7, 14, 28, 56, 84]
    assert all(not row["enough"] for row in shown)  # 110 customers
    editor.post("/tests/draft", 422, question="?", holdout="0.1")
    editor.post("/tests/draft", 422, a=release, holdout="0.1")
    editor.post("/tests/draft", 422, a=release, question="?", holdout="much")
    live.person("viewer").post("/tests/draft", 403)


def test_a_question_is_text_and_never_markup(live: Shop) -> None:
    drafted(live, question="<script>alert(1)</script>")
    page = live.person("viewer").get("/tests")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_where_two_pairs_of_eyes_are_asked_for_nobody_starts_their_own(folder: Path) -> None:
    with opened(folder, demo=True, console={"two_eyes": True}) as shop:
        name = drafted(shop, "approver")
        approver = shop.person("approver")
        assert "Yes, start" not in approver.get("/tests")
        approver.post(f"/tests/{name}/start", 422)
        shop.person("admin").post(f"/tests/{name}/start")
