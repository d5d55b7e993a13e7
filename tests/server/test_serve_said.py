"""Customers' own words as events: read, never kept, and acted on at once."""

import json
from collections.abc import Mapping
from typing import Any

from serve_helpers import CAMPAIGN, Api
from sqlalchemy import select

from promolift.server.decisions.experiment_results import load_experiment_rows
from promolift.server.ledger.schema import CUSTOMERS, EVENTS, REJECTS, WORDS_READ
from promolift.server.tasks.response_counts import NOT_A_RESPONSE

LATE = "My parcel has still not arrived, I have been waiting for two weeks!"
STOP = "别再给我发短信了，退订"


def say(api: Api, who: str, words: str, number: int = 1, **more: Any) -> Any:
    said = {"words": words, "may_read": True} | more
    event = {
        "type": "track",
        "event": "Chat Message",
        "userId": who,
        "messageId": f"{who}-{number}",
        "properties": said,
    }
    return api("POST", "/v1/track", event, 202)


def rows(api: Api) -> list[Mapping[str, Any]]:
    with api.server.ledger.read() as db:
        return [row._mapping for row in db.execute(select(EVENTS))]


def offered(api: Api) -> str:
    return next(who for who in (f"u{n:02d}" for n in range(40)) if api.decide(who)["offer_id"] != "none")


def test_a_complaint_closes_every_offer_for_the_configured_days_and_then_no_more(api: Api) -> None:
    who = offered(api)
    assert say(api, who, LATE)["accepted"] == 1
    made = api.decide(who, explain=True)
    assert made["offer_id"] == "none"
    assert "complained less than 1 days ago, in their own words" in {each["reason"] for each in made["ineligible"]}
    api("PUT", f"/v1/campaigns/{CAMPAIGN}", {"policy": {"live": {"complaint_days": 0}}})
    assert api.decide(who)["offer_id"] != "none"


def test_praise_and_words_that_nobody_may_read_close_nothing(api: Api) -> None:
    who = offered(api)
    say(api, who, "Great quality, thank you, I love it!")
    say(api, who, LATE, 2, may_read=False)
    assert api.decide(who)["offer_id"] != "none"
    assert sum(row["name"] == WORDS_READ for row in rows(api)) == 1


def test_who_asks_for_no_more_messages_has_refused(api: Api) -> None:
    who = offered(api)
    say(api, who, STOP)
    assert api.decide(who)["reason"] == "consent: the customer said no"
    with api.server.ledger.read() as db:
        assert db.execute(select(CUSTOMERS.c.consent).where(CUSTOMERS.c.customer_id == who)).scalar() == 0


def test_the_words_are_kept_nowhere_and_sent_twice_are_read_once(api: Api) -> None:
    who = offered(api)
    assert (say(api, who, LATE)["accepted"], say(api, who, LATE)["duplicates"]) == (1, 1)
    kept = rows(api)
    assert len(kept) == 2
    assert not any("parcel" in row["body"] for row in kept)
    about = json.loads(next(row["body"] for row in kept if row["name"] == WORDS_READ))["properties"]
    assert about["intent"] == "late"
    assert 0.5 < about["complaint_prob"] <= 1


def test_words_about_an_offer_are_feedback_and_no_uptake(api: Api) -> None:
    who = offered(api)
    made = api.decide(who)
    say(api, who, LATE, decision_id=made["decision_id"])
    mine = [row for row in rows(api) if row["decision_id"] == made["decision_id"]]
    assert {row["name"] for row in mine} <= NOT_A_RESPONSE
    assert WORDS_READ in {row["name"] for row in mine}


def test_nobody_else_writes_what_words_were_about(api: Api) -> None:
    event = {"type": "track", "event": WORDS_READ, "userId": "u01", "properties": {"complaint_prob": 1.0}}
    assert api("POST", "/v1/track", event, 202)["rejected"][0]["code"] == "event_reserved"


def test_complaints_stand_beside_the_money_of_a_test(api: Api) -> None:
    with api.server.ledger.read() as db:
        found = load_experiment_rows(db, "no such test", "USD")
    assert found.complaints.is_empty()
    assert "complained" not in found.rows(2**50).columns


def test_words_of_an_event_that_is_refused_are_kept_nowhere_either(api: Api) -> None:
    for more in ({"timestamp": "soon"}, {"userId": ""}):
        event = {"type": "track", "event": "Chat Message", "userId": "u01", "properties": {"words": LATE}} | more
        assert api("POST", "/v1/track", event, 202)["rejected_count"] == 1
    for number, words in enumerate(([LATE], {"text": LATE})):
        assert say(api, "u01", words, number)["accepted"] == 1  # type: ignore[arg-type]
    with api.server.ledger.read() as db:
        refused = db.execute(select(REJECTS.c.body)).scalars().all()
    assert len(refused) == 2
    assert not any("parcel" in body for body in (*refused, *(row["body"] for row in rows(api))))


def test_a_visitor_who_is_known_by_now_refuses_as_the_customer(api: Api) -> None:
    who = offered(api)
    api("POST", "/v1/identify", {"userId": who, "anonymousId": "a1", "messageId": "m1"}, 202)
    said = {"type": "track", "event": "Chat", "anonymousId": "a1", "properties": {"words": STOP, "may_read": True}}
    api("POST", "/v1/track", said, 202)
    assert api.decide(who)["reason"] == "consent: the customer said no"
