"""The server learns beside its requests, proposes and changes nothing that is live; a swap drops no request."""

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import polars as pl
import pytest
from serve_helpers import CAMPAIGN, PEOPLE, Api, derived, released, serving
from sqlalchemy import select, update

from promolift.core.decisions import LineEffect
from promolift.foundation.storage.local_store import Store
from promolift.server.ledger.outcomes import LedgerEvent, read_outcomes
from promolift.server.ledger.records import LearningProposal, LearningTask
from promolift.server.ledger.schema import DECISIONS
from promolift.server.tasks.learning_schedule import LearningScheduler
from promolift.server.tasks.learning_task import read_decisions, run_task
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.learned_policy import NO_DRAWS
from promolift.shop.results.work_folder.active_release import load_approved_release

POLICY = f"/v1/campaigns/{CAMPAIGN}"
DAY = 86_400_000
RULES = {"window_days": 7, "before_days": 7, "least": 3}
EFFECT = LineEffect(
    arm="cut-10", group="all customers", net_cents=5.0, net_se_cents=1.0, window_cents=2.0, window_se_cents=1.0,
    cost_cents=1.0, pays=0.99, state="give", share=1.0, n_arm=30, n_none=30, evidence="randomised",
)  # fmt: skip
PAID_MORE = 9.0


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learn in this process, which starts faster; one test below starts the real one."""

    async def child(self: LearningScheduler, campaign_id: str) -> LearningProposal:
        return await asyncio.to_thread(run_task, self.task(campaign_id))

    monkeypatch.setattr(LearningScheduler, "_child", child)


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


def test_what_was_decided_is_judged_in_a_process_of_its_own_and_without_draws_nothing_is_proposed(
    lived: Api, folder: Path
) -> None:
    before = lived("GET", POLICY)["release"]
    found = learned(lived)
    assert (found["status"], found["why"]) == ("nothing proposed", NO_DRAWS)
    assert lived("GET", POLICY)["release"] == before
    assert (folder / "serve" / "learn" / CAMPAIGN / "learn.html").is_file()
    assert not (folder / "serve" / "learn" / CAMPAIGN / "proposal.json").exists()


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("trusted", [False, True])
def test_what_draws_taught_waits_for_the_next_plan_or_is_approved_where_that_is_allowed(
    shop: tuple[Path, Config], folder: Path, alone: bool, trusted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def child(self: LearningScheduler, _: str) -> LearningProposal:
        terms = self.server.decider.ensure(before).terms.model_copy(update={"effects": (EFFECT,)})
        return LearningProposal(release=terms, why="it pays", within_guardrails=trusted)

    monkeypatch.setattr(LearningScheduler, "_child", child)
    with serving(folder, shop[1], learn={"release": alone}) as api:
        before = released(api)
        found = learned(api)
        assert found["status"] == ("approved" if alone and trusted else "proposed")
        assert ("promolift learn approve --out" in found["why"]) != (alone and trusted)
        assert api("GET", POLICY)["release"] == before  # who gets what is a plan's work
    with Store(folder) as store:
        assert (load_approved_release(store, CAMPAIGN) is not None) == (alone and trusted)


def test_where_nothing_can_be_told_the_reason_is_kept_and_nothing_is_proposed(here: None, api: Api) -> None:
    api.decide("u01")
    assert api("GET", f"{POLICY}/learning")["status"] == "never"
    found = learned(api)
    assert found["status"] == "nothing proposed"
    assert "no order is known" in found["why"]
    api("POST", "/v1/campaigns/nothing:learn", status=404)


def test_a_learning_process_that_dies_is_told_and_harms_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("promolift.server.tasks.learning_schedule.sys.executable", "/bin/false")
    found = learned(api)
    assert found["status"] == "failed"
    assert api.decide("u01")["decision_id"]


@pytest.mark.parametrize("hours", [24.0, 1e-7])
def test_a_run_starts_by_itself_once_in_so_many_hours(
    shop: tuple[Path, Config], folder: Path, hours: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promolift.server.tasks.learning_schedule.CHECK_EVERY_S", 0.0)
    monkeypatch.setattr("promolift.server.api.server.TASK_EVERY_S", 0.02)
    runs: list[str] = []

    async def child(_: Any, campaign_id: str) -> LearningProposal:
        runs.append(campaign_id)
        return LearningProposal(why="nothing to tell")

    monkeypatch.setattr("promolift.server.tasks.learning_schedule.LearningScheduler._child", child)
    with serving(folder, shop[1], learn={"every_hours": hours}) as api:
        released(api)
        end = monotonic() + 20
        while len(runs) < (1 if hours > 1 else 3) and monotonic() < end:
            sleep(0.02)
        sleep(0.3)
    assert set(runs) == {CAMPAIGN}
    assert len(runs) == 1 if hours > 1 else len(runs) >= 3


def test_decisions_carry_the_effects_of_their_release_to_the_next_run_and_to_no_answer(api: Api, folder: Path) -> None:
    base = api("GET", POLICY)["release"]
    terms = api.server.decider.ensure(base).terms
    api.decide("u02")
    next_ = derived(folder, base, terms.model_copy(update={"effects": (EFFECT,), "policy_version": "2"}))
    api("POST", f"/v1/releases/{next_}:activate")
    api.decide("u01")
    with api.server.ledger.read() as db:
        frame = read_decisions(db, LearningTask(ledger="", work=folder, campaign_id=CAMPAIGN))
        short = db.execute(select(DECISIONS.c.terms)).scalars().all()
    assert not any("net_cents" in each for each in short)  # not in every record
    found = [[each["arm"] for each in json.loads(text)["effects"]] for text in frame["terms"]]
    assert found == [[], ["cut-10"]]
    rows = pl.read_csv(api("GET", "/v1/exports/decisions.csv").content)  # what `promolift learn --decisions` reads
    assert [len(json.loads(each)["effects"]) for each in rows["terms"]] == [0, 1]
    with Store(folder) as store:
        assert load_approved_release(store, CAMPAIGN) is not None  # what is live is what the next plan starts from
    api("POST", f"{POLICY}:rollback")
    with Store(folder) as store:
        assert load_approved_release(store, CAMPAIGN) is None


def test_no_request_is_dropped_while_releases_are_swapped_and_rolled_back(api: Api, folder: Path) -> None:
    first = api("GET", POLICY)["release"]
    terms = api.server.decider.ensure(first).terms.model_copy(update={"price": 9.0, "policy_version": "2"})
    second = derived(folder, first, terms)
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
    def event(name: str, **properties: Any) -> LedgerEvent:
        return LedgerEvent("u", 5, 6, name, json.dumps({"properties": properties}))

    lines = [{"product_id": "a", "price": 3.5, "quantity": 2}, {"sku": 7, "price": "3.00"}, {"product_id": "free"}, "x"]
    found = read_outcomes(
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
    assert read_outcomes([event("Order Completed", total=500)], "JPY")["revenue_cents"].to_list() == [500]
    assert read_outcomes([], "EUR").schema == pl.Schema(found.schema)
