"""A write key stands in a web page, where anybody reads it: what may be done with it harms nobody."""

import json
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import Any

import pytest
from serve_helpers import CAMPAIGN, PEOPLE, Api, claim, coded
from sqlalchemy import func, select

from promolift.server.events.events import MAX_EVENTS_PER_SLOT, store_events
from promolift.server.ledger.event_rows import OFFER_MESSAGE, ParsedEvents, event_row
from promolift.server.ledger.schema import EVENTS, PURCHASES

POLICY = f"/v1/campaigns/{CAMPAIGN}"


@pytest.fixture
def page(api: Api) -> Api:
    """The same server with a web page's key."""
    return Api(api.client, api("POST", "/v1/keys", {"scope": "write", "name": "page"}, 201)["key"])


def experiment(api: Api) -> dict[str, Any]:
    """Everybody decided on in an experiment; their decisions by customer."""
    release = api("GET", POLICY)["release"]
    design = {"name": "t", "arms": {"a": 0.5, "b": 0.5}, "planned_customers": 60, "primary": "value_cents", "least": 2}
    api("PUT", f"{POLICY}/experiment", {"design": design, "releases": {"a": release, "b": release}})
    return {who: api.decide(who) for who in PEOPLE}


def event(who: str, name: str = "Conversion", **more: Any) -> dict[str, Any]:
    return {"type": "track", "userId": who, "event": name} | more


def test_a_page_gives_no_outcome_a_value_and_an_order_made_up_is_winsorised(api: Api, page: Api) -> None:
    made = experiment(api)
    for number, who in enumerate(PEOPLE):
        order = {"order_id": number, "total": 10 + number % 5}
        page("POST", "/v1/track", event(who, "Order Completed", properties=order), 202)
    before = api("GET", f"{POLICY}/experiment")
    forged = event("u01", value_cents=60_000_000, properties={"decision_id": made["u01"]["decision_id"]})
    page("POST", "/v1/track", forged, 202)
    again = api("GET", f"{POLICY}/experiment")
    assert before["outcome"] == again["outcome"] == "orders"
    assert again["verdicts"] == before["verdicts"]
    page("POST", "/v1/track", event("u01", "Order Completed", properties={"order_id": "x", "total": 600_000}), 202)
    capped = api("GET", f"{POLICY}/experiment")
    assert "capped" in capped["text"] or "99th" in json.dumps(capped)
    assert "60000000" not in json.dumps(capped)
    api("POST", "/v1/track", forged, 202)  # with a key that may decide it counts
    assert api("GET", f"{POLICY}/experiment")["outcome"] == "feedback"


def test_a_page_cannot_flood_a_customer_and_what_is_older_is_not_counted(api: Api, page: Api) -> None:
    many = [event("u01", "Product Viewed", messageId=f"m{n}") for n in range(MAX_EVENTS_PER_SLOT + 50)]
    told = page("POST", "/v1/batch", {"batch": many}, 202)
    assert (told["accepted"], told["rejected_count"]) == (MAX_EVENTS_PER_SLOT, 50)
    assert told["rejected"][0]["code"] == "too_many_events"
    assert page("POST", "/v1/track", event("u02", messageId="other"), 202)["accepted"] == 1
    old = [event("u01", messageId=f"o{n}", timestamp="2025-01-01T00:00:00Z") for n in range(300)]
    assert page("POST", "/v1/batch", {"batch": old}, 202)["accepted"] == 300
    assert (
        api("POST", "/v1/batch", {"batch": [event("u01", messageId=f"s{n}") for n in range(300)]}, 202)["accepted"]
        == 300
    )
    lines = [{"product_id": f"p{n}"} for n in range(MAX_EVENTS_PER_SLOT + 1)]
    order = event("u03", "Order Completed", properties={"products": lines}, timestamp="2025-01-01T00:00:00Z")
    assert page("POST", "/v1/track", order, 202)["rejected"][0]["code"] == "too_many_events"
    with api.server.ledger.read() as db:
        assert db.execute(select(func.count()).select_from(PURCHASES)).scalar_one() == 0


def test_what_no_export_can_hold_is_refused_at_the_door(api: Api, page: Api, tmp_path: Path) -> None:
    texts = ['"\\ud800"', "1" * 400, "-" + "9" * 20, "1e400", '{"\\udc00": 1}']
    headers = {"authorization": f"Bearer {page.key}", "content-type": "application/json"}
    for number, text in enumerate(texts):
        form = '{"userId": "u01", "event": "Order Completed", "properties": {"price": PRICE, "order_id": "o"}}'
        sent = form.replace("PRICE", text)
        reply = page.client.post("/v1/track", content=sent.encode(), headers=headers)
        assert reply.status_code in (202, 400), (number, reply.text)
        if reply.status_code == 202:
            (refused,) = reply.json()["rejected"]
            assert refused["code"] in ("text_invalid", "number_invalid"), text
    fine = {"price": 2**53, "order_id": "12345678901234567890"}
    assert page("POST", "/v1/track", event("u01", "Order Completed", properties=fine), 202)["accepted"] == 1
    for table in ("events", "purchases", "rejects"):
        for kind in ("csv", "parquet"):
            assert api("GET", f"/v1/exports/{table}.{kind}").content


def test_one_event_that_cannot_be_taken_costs_no_other_its_place(api: Api, page: Api) -> None:
    """A customer's id of half a character, or of what PostgreSQL cannot keep, in a field that no event needs."""
    batch = [{"type": "track", "event": "x", "customer_id": who} for who in ("\ud800", "a\0b")] + [event("u01")]
    sent = json.dumps({"batch": batch}).encode()  # escaped: half a character has no bytes of its own
    told = page.client.post("/v1/batch", content=sent, headers={"authorization": f"Bearer {page.key}"}).json()
    assert (told["accepted"], told["rejected_count"]) == (1, 2)
    assert len(api("GET", "/v1/exports/rejects.jsonl").text.splitlines()) == 2


def test_a_time_that_no_calendar_has_is_refused_and_breaks_no_export(api: Api, page: Api) -> None:
    order = event("u01", "Order Completed", properties={"order_id": "o", "total": 5}, timestamp="0001-01-01T00:00:00Z")
    for sent in (order, order | {"sentAt": "9999-12-31T23:59:59Z"}, order | {"timestamp": "1969-12-31T23:59:59Z"}):
        (refused,) = page("POST", "/v1/track", sent, 202)["rejected"]
        assert (refused["pointer"], refused["code"]) == ("/timestamp", "timestamp_invalid")
    page("POST", "/v1/track", order | {"timestamp": "1970-01-01T00:00:00Z"}, 202)
    row = event_row("m", "u01", -(10**15), 1, "Order Completed", json.dumps(order))  # as an earlier version took it
    api.server.ledger.write(store_events, ParsedEvents(events=[row], places=[0]))
    assert api("GET", "/v1/exports/purchases.csv").text.count("1970-01-01T00:00:00") == 2


def test_a_page_withdraws_a_consent_and_does_not_give_it_back(api: Api, page: Api) -> None:
    def say(by: Api, who: str, consent: bool) -> str:
        by("POST", "/v1/identify", {"userId": who, "traits": {"consent": consent}}, 202)
        return str(api.decide(who)["reason"])

    assert say(page, "u07", True).startswith("consent")  # the shop's own data say no
    assert not say(page, "u01", True).startswith("consent")
    assert say(page, "u01", False).startswith("consent")
    assert say(page, "u01", True).startswith("consent")
    assert not say(api, "u01", True).startswith("consent")
    assert not say(page, "new-customer", True).startswith("consent")


@pytest.mark.parametrize("known", [True, False])
def test_a_page_does_not_keep_a_withdrawal_out_that_the_shop_tells_of_later(api: Api, page: Api, known: bool) -> None:
    def say(by: Api, ago_s: int, **traits: Any) -> None:
        at = datetime.fromtimestamp(time() - ago_s, UTC).isoformat()
        by("POST", "/v1/identify", {"userId": "u01", "traits": traits, "timestamp": at}, 202)

    if known:
        say(api, 7200, consent=True)
    say(page, 0, language="en")
    say(page, 0, consent=True)
    say(api, 3600, consent=False)
    assert api.decide("u01")["reason"].startswith("consent")
    say(api, 5400, consent=True)  # before they withdrew it
    assert api.decide("u01")["reason"].startswith("consent")
    say(api, 0, consent=True)
    assert not api.decide("u01")["reason"].startswith("consent")


def test_a_page_makes_no_child_older_and_nobody_another_person(api: Api, page: Api) -> None:
    def say(by: Api, who: str, **traits: str) -> str:
        by("POST", "/v1/identify", {"userId": who, "traits": traits}, 202)
        return str(api.decide(who)["reason"])

    young = "consent: may be younger than 18"
    assert say(page, "u01", age="12") == young  # the shop knows none
    assert say(page, "u01", age="30") != young
    assert say(api, "u01", age="12") == young
    assert say(page, "u01", age="30") == young
    assert say(api, "u01", age="18") != young
    person = {"limit_id": "once", "metric": "redemptions", "amount": 1, "per": "natural_person"}
    api("PATCH", POLICY, {"limits": [person]})
    coded(api)
    api("POST", "/v1/redemptions:reserve", claim(1, customer_id="u02"))
    say(page, "u02", personId="somebody else")
    assert api("POST", "/v1/redemptions:reserve", claim(2, customer_id="u02"), None)["code"] == "limit_reached"
    say(api, "u03", personId="u02")
    assert api("POST", "/v1/redemptions:reserve", claim(3, customer_id="u03"), None)["code"] == "limit_reached"


def test_new_events_of_an_erased_customer_are_refused_and_kept_nowhere(api: Api, page: Api) -> None:
    api("POST", "/v1/privacy/u01:erase")
    batch = [event("u02"), event("u01", "Order Completed", properties={"products": [{"sku": "p"}]})]
    batch += [{"type": "identify", "userId": "u01", "traits": {"consent": True}}]
    for by in (page, api):
        told = by("POST", "/v1/batch", {"batch": batch}, 202)
        assert [(each["index"], each["code"]) for each in told["rejected"]] == [
            (1, "customer_erased"),
            (2, "customer_erased"),
        ]
    with api.server.ledger.read() as db:
        assert set(db.execute(select(EVENTS.c.customer_id)).scalars()) == {"u02"}
    assert api.decide("u01")["reason"].startswith("consent")


def test_a_page_cannot_write_what_the_server_alone_writes(api: Api, page: Api) -> None:
    forged = event("u01", OFFER_MESSAGE, properties={"decision_id": "dec_1", "text_id": ["x"], "benefit": {}})
    for by in (page, api):
        (refused,) = by("POST", "/v1/track", forged, 202)["rejected"]
        assert (refused["pointer"], refused["code"]) == ("/event", "event_reserved")
    row = event_row("m", "u01", 1, 1, OFFER_MESSAGE, "{}", decision_id="dec_1")  # as an earlier version took it
    api.server.ledger.write(store_events, ParsedEvents(events=[row], places=[0]))
    api.server.count_texts(0.0)
    assert api.server.texts.tallies == ()
