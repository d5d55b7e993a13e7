"""The server learns beside its requests, proposes and never releases unasked; a swap drops no request."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import polars as pl
import pytest
from serve_helpers import CAMPAIGN, PEOPLE, Api, released, serving
from sqlalchemy import Connection, select, update

from promolift import deliver
from promolift.config import Config
from promolift.learn.release import propose
from promolift.results.approved import approved
from promolift.serve.learning import HeardEvent, answer, learn, outcomes, read_decisions
from promolift.serve.record import spell_out
from promolift.serve.release import derive
from promolift.serve.schedule import Scheduler
from promolift.serve.things import Learned, Task
from promolift.store import Store
from promolift.store.ledger_schema import DECISIONS

POLICY = f"/v1/campaigns/{CAMPAIGN}"
DAY = 86_400_000
RULES = {"window_days": 7, "before_days": 7, "least": 3, "guardrails": {"min_effective": 2, "max_loss": 1e9}}
STRICT = {"min_effective": 1e6}
PAID_MORE = 9.0


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learn in this process, which starts faster; one test below starts the real one."""

    async def child(self: Scheduler, campaign_id: str) -> Learned:
        return await asyncio.to_thread(answer, self.task(campaign_id))

    monkeypatch.setattr(Scheduler, "_child", child)


@pytest.fixture
def lived(shop: tuple[Path, Config], folder: Path, request: pytest.FixtureRequest) -> Iterator[Api]:
    """A server whose customers were decided on twenty days ago and have bought since, those with an offer more."""
    rule = {"settings": RULES} | getattr(request, "param", {})
    with serving(folder, shop[1], learn=rule) as api:
        released(api)
        api("PUT", POLICY, {"policy": {"explore": 0.3}})
        made = {who: api.decide(who) for who in PEOPLE}
        back = update(DECISIONS).values(ts_ms=DECISIONS.c.ts_ms - 20 * DAY)
        api.server.ledger.write(lambda db, some: [db.execute(back) and None for _ in some])
        first = min(each["ts_ms"] for each in made.values()) - 20 * DAY
        now = {"type": "track", "userId": "u00", "event": "Order Completed", "messageId": "now"}
        batch: list[dict[str, Any]] = [now | {"properties": {"total": 1}}]  # so that all that came is known by today
        for number, (who, each) in enumerate(made.items()):
            for moment, more in ((first - 3 * DAY, 0.0), (first + 3 * DAY, PAID_MORE), (first + 18 * DAY, 0.0)):
                price = 5.0 + number % 3 + (more if each["offer_id"] != "none" else 0.0)
                line = {"product_id": "p-tea", "price": price, "quantity": 1}
                batch.append({"type": "track", "userId": who, "event": "Order Completed", "timestamp": iso(moment),
                              "messageId": f"{who}.{moment}", "properties": {"order_id": f"{who}.{moment}",
                                                                            "products": [line]}})  # fmt: skip
        api("POST", "/v1/batch", {"batch": batch}, 202)
        yield api


def iso(ts_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ts_ms / 1000, UTC).isoformat()


def learned(api: Api) -> Any:
    """Learn now and wait for what it says."""
    api("POST", f"{POLICY}:learn", status=202)
    end = monotonic() + 120
    while (shown := api("GET", f"{POLICY}/learning"))["status"] in ("running", "never") and monotonic() < end:
        sleep(0.1)
    return shown


def test_a_run_proposes_a_release_that_waits_for_a_person_and_the_plan_follows_them(lived: Api, folder: Path) -> None:
    before = lived("GET", POLICY)["release"]
    found = learned(lived)
    assert found["status"] == "proposed", found["why"]
    assert lived("GET", POLICY)["release"] == before  # nothing goes live by itself
    (proposed,) = [each for each in lived("GET", "/v1/releases")["data"] if each.get("status") == "proposed"]
    assert proposed["release_id"] == found["release_id"]
    assert "multiplied by" in proposed["proposal"]["changes"][0]
    assert proposed["proposal"]["based_on"] == before
    lived("POST", f"/v1/releases/{found['release_id']}:activate")
    made = lived.decide("u01")
    assert made["release_id"] == found["release_id"]
    assert lived("GET", f"/v1/decisions/{made['decision_id']}:replay")["same"]
    with Store(folder) as store:
        kept = approved(store, CAMPAIGN)
    assert kept is not None
    assert kept.recalibration is not None
    assert kept.policy_version.endswith("-next")
    assert lived("POST", f"{POLICY}:rollback")["release"] == before
    with Store(folder) as store:
        assert approved(store, CAMPAIGN) is None
    actors = {row["action"]: row["actor"] for row in lived("GET", "/v1/audit")["data"]}
    assert actors["release.propose"] == "learning"
    assert (folder / "serve" / "learn" / CAMPAIGN / "learn.html").is_file()


@pytest.mark.parametrize("lived", [{"release": True}], indirect=True)
def test_only_where_the_settings_say_so_a_proposal_within_the_guardrails_goes_live(
    here: None, lived: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promolift.learning.next.hindrances", lambda _: [])
    good = "promolift.learning.next.propose"
    monkeypatch.setattr(good, lambda *given: replace(propose(*given), accepted=True))
    found = learned(lived)
    assert found["status"] == "released", found["why"]
    assert lived("GET", POLICY)["release"] == found["release_id"]
    again = learned(lived)  # from the same decisions
    assert (again["status"], "went live" in again["why"]) == ("nothing proposed", True)


@pytest.mark.parametrize("lived", [{"release": True, "settings": RULES | {"guardrails": STRICT}}], indirect=True)
def test_a_proposal_outside_the_guardrails_waits_even_then(here: None, lived: Api) -> None:
    before = lived("GET", POLICY)["release"]
    found = learned(lived)
    assert found["status"] == "proposed"
    assert "needed" in found["why"]
    assert lived("GET", POLICY)["release"] == before


def test_where_nothing_can_be_told_the_reason_is_kept_and_nothing_is_proposed(here: None, api: Api) -> None:
    api.decide("u01")
    assert api("GET", f"{POLICY}/learning")["status"] == "never"
    found = learned(api)
    assert found["status"] == "nothing proposed"
    assert "no order is known" in found["why"]
    api("POST", "/v1/campaigns/nothing:learn", status=404)


def test_a_learning_process_that_dies_is_told_and_harms_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promolift.serve.schedule.sys.executable", "/bin/false")
    found = learned(api)
    assert found["status"] == "failed"
    assert api.decide("u01")["decision_id"]


@pytest.mark.parametrize("hours", [24.0, 1e-7])
def test_a_run_starts_by_itself_once_in_so_many_hours(
    shop: tuple[Path, Config], folder: Path, hours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promolift.serve.schedule.LOOK_S", 0.0)
    monkeypatch.setattr("promolift.serve.server.PULSE_S", 0.02)
    runs: list[str] = []

    async def child(_: Any, campaign_id: str) -> Learned:
        runs.append(campaign_id)
        return Learned(why="nothing to tell")

    monkeypatch.setattr("promolift.serve.schedule.Scheduler._child", child)
    with serving(folder, shop[1], learn={"every_hours": hours}) as api:
        released(api)
        end = monotonic() + 20
        while len(runs) < (1 if hours > 1 else 3) and monotonic() < end:
            sleep(0.02)
        sleep(0.3)
    assert set(runs) == {CAMPAIGN}
    assert len(runs) == 1 if hours > 1 else len(runs) >= 3


def test_decisions_carry_what_their_release_had_learned_to_the_next_run(api: Api, folder: Path) -> None:
    base = api("GET", POLICY)["release"]
    terms = api.server.decider.ensure(base).terms
    again = deliver.Recalibration(ratio=0.5, low=0.4, high=0.6)
    api.decide("u02")
    next_ = derive(folder, base, terms.model_copy(update={"recalibration": again, "policy_version": "2"}))
    api("POST", f"/v1/releases/{next_}:activate")
    api.decide("u01")
    with api.server.ledger.read() as db:
        frame = read_decisions(db, Task(ledger="", work=folder, campaign_id=CAMPAIGN))
        short = db.execute(select(DECISIONS.c.terms)).scalars().all()
    assert not any("ratio" in each for each in short)  # not in every record
    found = [json.loads(each)["recalibration"] for each in frame["terms"]]
    assert [each and each["ratio"] for each in found] == [None, 0.5]
    rows = pl.read_csv(api("GET", "/v1/exports/decisions.csv").content)  # what `promolift learn --decisions` reads
    assert [json.loads(each)["recalibration"] for each in rows["terms"]] == found


def test_what_is_learned_is_put_on_top_of_what_is_live(here: None, lived: Api, folder: Path) -> None:
    base = lived("GET", POLICY)["release"]
    first = learned(lived)["release_id"]
    ratio = lived.server.decider.ensure(first).terms.recalibration.ratio
    half = deliver.Recalibration(ratio=0.5, low=0.5, high=0.5)
    terms = lived.server.decider.ensure(base).terms.model_copy(update={"recalibration": half})
    other = derive(folder, base, terms)

    def change(db: Connection, some: list[None]) -> list[None]:
        for who in PEOPLE:  # the lists stay those of the decisions, as if that release had made them
            spell_out(db, who, lived.server.decider.ensure)
        for decision_id, kept in db.execute(select(DECISIONS.c.decision_id, DECISIONS.c.terms)).all():
            made_by = json.dumps(json.loads(kept) | {"recalibration": half.model_dump()})
            mine = update(DECISIONS).where(DECISIONS.c.decision_id == decision_id)
            db.execute(mine.values(release_id=other, terms=made_by))
        return some

    lived.server.ledger.write(change)
    found = learn(Task(ledger=lived.server.settings.ledger_url, work=folder, campaign_id=CAMPAIGN,
                       settings=lived.server.settings.learn.settings))  # fmt: skip
    assert found.release.recalibration.ratio == pytest.approx(0.5 * ratio)


def test_no_request_is_dropped_while_releases_are_swapped_and_rolled_back(api: Api, folder: Path) -> None:
    first = api("GET", POLICY)["release"]
    terms = api.server.decider.ensure(first).terms.model_copy(update={"price": 9.0, "policy_version": "2"})
    second = derive(folder, first, terms)
    answers: list[tuple[int, str | None, str]] = []
    stop = threading.Event()

    def shopper(me: int) -> None:
        headers = {"authorization": f"Bearer {api.key}"}
        number = me
        while not stop.is_set():
            body = {"customer_id": PEOPLE[number % len(PEOPLE)], "campaign_id": CAMPAIGN}
            reply = api.client.post("/v1/decisions", json=body, headers=headers)
            answers.append((reply.status_code, reply.json()["release_id"], reply.json()["reason"]))
            number += 7

    threads = [threading.Thread(target=shopper, args=(me,)) for me in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        sleep(0.2)
        api("POST", f"/v1/releases/{second}:activate")
        sleep(0.2)
        assert api("POST", f"{POLICY}:rollback")["release"] == first
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status, *_ in answers} == {200}
    assert set(Counter(release for _, release, _ in answers)) == {first, second}
    assert not [reason for *_, reason in answers if reason.startswith(("failure", "timeout", "release"))]


def test_orders_and_refunds_become_clean_rows_by_hand_checked_sums() -> None:
    def event(name: str, **properties: Any) -> HeardEvent:
        return HeardEvent("u", 5, 6, name, json.dumps({"properties": properties}))

    lines = [{"product_id": "a", "price": 3.5, "quantity": 2}, {"sku": 7, "price": "3.00"}, {"product_id": "free"}, "x"]
    found = outcomes(
        [
            event("Order Completed", order_id="o1", products=lines, discount=1),
            event("Order Completed", order_id=2, total=12.34, products=[]),
            event("Order Refunded", order_id="o1", products=lines[:1]),
            event("Order Completed", products="nonsense"),
            event("Product Viewed", price=3),
            event("Order Completed", price=float("1e300")),
        ],
        "EUR",
    )
    wanted = [
        ("u", 5, "purchase", "a", "o1", 2.0, 630, 700, 70, 6),
        ("u", 5, "purchase", "7", "o1", 1.0, 270, 300, 30, 6),
        ("u", 5, "purchase", None, "2", None, 1234, 1234, 0, 6),
        ("u", 5, "refund", "a", "o1", 2.0, -700, -700, 0, 6),
    ]
    assert found.rows() == wanted
    assert outcomes([event("Order Completed", total=500)], "JPY")["revenue_cents"].to_list() == [500]
    assert outcomes([], "EUR").schema == pl.Schema(found.schema)
