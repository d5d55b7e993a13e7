"""A decision asked for with an Idempotency-Key races with its deadline; what counts is what the shop got."""

import time
from pathlib import Path
from typing import Any

import pytest
from serve_helpers import CAMPAIGN, Api
from sqlalchemy import select

from promolift.foundation.storage.local_store import Store
from promolift.server.ledger.schema import DECISIONS

POLICY = f"/v1/campaigns/{CAMPAIGN}"


def batch(folder: Path) -> dict[str, Any]:
    """What the plan gives each customer."""
    with Store(folder) as store:
        return dict(store.frame("decisions").select("customer_id", "offer_id").iter_rows())


def first_offered(folder: Path) -> str:
    return min(who for who, offer in batch(folder).items() if offer != "none")


def decisions(api: Api) -> list[tuple[str, int]]:
    """The offer of every decision on record, and whether nobody got it."""
    with api.server.ledger.read() as db:
        return [tuple(row) for row in db.execute(select(DECISIONS.c.offer_id, DECISIONS.c.unanswered))]


def asked_once(api: Api, who: str, key: str) -> Any:
    return api("POST", "/v1/decisions", {"customer_id": who, "campaign_id": CAMPAIGN}, idempotency_key=key)


def when_settled(api: Api, who: str, key: str) -> Any:
    """The answer to a retry, as soon as the first request no longer runs."""
    asked = {"customer_id": who, "campaign_id": CAMPAIGN}
    for _ in range(200):
        again = api("POST", "/v1/decisions", asked, status=None, idempotency_key=key)
        if again.get("code") != "running":
            return again
        time.sleep(0.02)
    raise AssertionError("the first request runs for ever")


@pytest.mark.parametrize("slow", ["before", "within"])
def test_a_keyed_decision_that_missed_its_deadline_counts_for_nothing_and_a_retry_hears_the_same(
    api: Api, folder: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    api("PUT", POLICY, {"policy": {"caps": [{"offers": 1, "days": 7}]}})
    who, ledger = first_offered(folder), api.server.ledger
    finish = ledger._finish

    def slowly(*prepared: Any) -> Any:
        time.sleep(0.3)
        return finish(*prepared)

    if slow == "before":  # the writer is busy: the decision begins when its caller has gone
        ledger.submit(lambda db, some: [time.sleep(0.3) for _ in some])
        time.sleep(0.05)
    else:
        monkeypatch.setattr(ledger, "_finish", slowly)
    monkeypatch.setattr(api.server, "settings", api.server.settings.model_copy(update={"deadline_ms": 50}))
    first = asked_once(api, who, "k")
    assert (first["offer_id"], first["decision_id"]) == ("none", None)
    assert first["reason"].startswith("timeout")
    monkeypatch.undo()
    assert when_settled(api, who, "k") == first
    assert decisions(api) == ([] if slow == "before" else [(batch(folder)[who], 1)])
    assert asked_once(api, who, "k2")["offer_id"] == batch(folder)[who]  # the cap still has its one offer
    assert asked_once(api, who, "k") == first


def test_a_retry_that_is_itself_too_late_takes_nothing_from_the_first_answer(
    api: Api, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = first_offered(folder)
    first = asked_once(api, who, "k")
    api.server.ledger.submit(lambda db, some: [time.sleep(0.3) for _ in some])
    time.sleep(0.05)
    monkeypatch.setattr(api.server, "settings", api.server.settings.model_copy(update={"deadline_ms": 50}))
    assert asked_once(api, who, "k")["reason"].startswith("timeout")
    monkeypatch.undo()
    assert when_settled(api, who, "k") == first
    assert decisions(api) == [(first["offer_id"], 0)]


def test_answers_are_counted_once_whether_in_time_or_not(
    api: Api, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(api.server.metrics, "count_decision", lambda answer: counted.append(answer.offer_id))
    who = first_offered(folder)
    offer = asked_once(api, who, "k")["offer_id"]
    api.server.ledger.submit(lambda db, some: [time.sleep(0.3) for _ in some])
    time.sleep(0.05)
    monkeypatch.setattr(api.server, "settings", api.server.settings.model_copy(update={"deadline_ms": 50}))
    asked_once(api, who, "late")
    when_settled(api, who, "late")
    assert counted == [offer, "none"]
