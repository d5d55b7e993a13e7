"""After an erasure over HTTP a customer is nowhere, and what is left is named."""

import json
from pathlib import Path
from typing import Any

import polars as pl
from serve_helpers import CAMPAIGN, Api, released, serving
from sqlalchemy import select

from promolift.foundation.privacy.identifier_search import IdentifierSearch
from promolift.foundation.storage.local_store import Store
from promolift.server.ledger.schema import DECISIONS
from promolift.shop.configuration.configuration import Config

WHO = "u09"
MAIL, PHONE, OTHER_MAIL = "marker.ada+7@erase.example", "+44 7911 123456", "somebody.else@erase.example"


def bytes_with(folder: Path, *texts: str) -> list[str]:
    """Every file below a folder whose bytes hold one of the texts."""
    found = []
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        raw = path.read_bytes().lower()
        found += [path.name for text in texts if text.lower().encode() in raw]
    return found


def speak(api: Api) -> None:
    """Plant the customer's e-mail and phone wherever an event may carry them."""
    traits = {"email": MAIL, "phone": PHONE, "consent": True, "address": {"note": f"mail {MAIL}"}}
    sent: list[dict[str, Any]] = [
        {"type": "identify", "userId": WHO, "messageId": "i", "traits": traits},
        {"type": "track", "userId": WHO, "messageId": "t", "event": "Product Viewed",
         "properties": {"product_id": "p-tea", "note": PHONE}, "context": {"traits": {"email": MAIL}}},
        {"type": "track", "messageId": "r", "event": "Order Completed", "anonymousId": "dev-1",
         "timestamp": "no time", "properties": {"email": MAIL}},
        {"type": "track", "userId": "u10", "messageId": "o", "event": "Product Viewed",
         "properties": {"product_id": "p-tea", "seller": OTHER_MAIL}},
        {"type": "track", "userId": WHO, "messageId": "s", "event": "Product Viewed",
         "properties": {"product_id": "p-tea", "seller": OTHER_MAIL}},
    ]  # fmt: skip
    api("POST", "/v1/batch", {"batch": sent}, None, idempotency_key="batch-1")
    made = api.decide(WHO)
    api("POST", "/v1/feedback", {"events": [{"kind": "purchase", "message_id": "f", "customer_id": WHO,
        "decision_id": made["decision_id"], "value_cents": 100}]}, None)  # fmt: skip
    api("POST", "/v1/decisions", {"customer_id": WHO, "campaign_id": CAMPAIGN}, idempotency_key="d-1")


def test_an_erasure_sent_again_is_answered_as_the_first_one(shop: tuple[Path, Config], folder: Path) -> None:
    """Also where the folder changed since, and though the e-mail address is known of nobody any more."""
    with serving(folder, shop[1]) as api:
        speak(api)
        (folder / "old-export.csv").write_text(f"id,mail\n1,{MAIL}\n")
        first = api("POST", f"/v1/privacy/{WHO}:erase", idempotency_key="k")
        assert any("old-export.csv" in each["place"] for each in first["left"])
        (folder / "new.csv").write_text("more")
        assert api("POST", f"/v1/privacy/{WHO}:erase", idempotency_key="k") == first
        taken = api.server._take_key(f"/v1/privacy/{WHO}:erase\nk\nwhole")  # it is being searched for yet
        assert api("POST", f"/v1/privacy/{WHO}:erase", status=409, idempotency_key="k")["code"] == "running"
        api.server._free_key(taken)


def test_an_erased_customer_stands_in_no_byte_that_the_server_wrote(shop: tuple[Path, Config], folder: Path) -> None:
    raw = json.dumps({"user_id": WHO, "m": MAIL})
    with serving(folder, shop[1]) as api:
        released(api)
        speak(api)
        (folder / "notes" / "health.json").write_text(json.dumps({"first": [[1, raw]]}))
        with Store(folder) as store:
            store.save("rejected", pl.DataFrame({"row": [1, 2], "raw": [raw, json.dumps({"mail": MAIL})]}))
        report = api("POST", f"/v1/privacy/{WHO}:erase", {})
        again = api("POST", f"/v1/privacy/{WHO}:erase", {})
    # afterwards, since a process that closes a file drops the locks of its own database there
    assert bytes_with(folder, MAIL, PHONE) == []
    searched = IdentifierSearch(WHO, frozenset({MAIL, "447911123456"})).search(folder)
    assert searched.unread == ()
    found = [each.place.removeprefix(f"{folder}/") for each in searched.findings]
    mark = "serve/ledger.db, table customers, column customer_id"
    assert [each for each in found if not each.startswith("serve/releases/")] == [mark]
    assert report["retained"] == [f"{folder / mark}"]
    assert {each["remedy"] for each in report["left"]} == {"release"}
    assert str(folder) in [each["place"] for each in report["searched"]]
    assert report["rows"]["work.rejected"] == 2
    assert again["left"] == report["left"]


def test_what_others_have_too_stays_with_them(api: Api, folder: Path) -> None:
    speak(api)
    api("POST", f"/v1/privacy/{WHO}:erase", {})
    kept = json.dumps(api("POST", "/v1/privacy/u10:export", {})["tables"]["events"])
    assert OTHER_MAIL in kept


def test_a_note_that_names_them_is_left_and_said(api: Api) -> None:
    speak(api)
    day = {"first": "2026-01-01", "last": "2026-01-01"}
    api("POST", "/v1/annotations", day | {"text": f"mail of {MAIL}"}, 201)
    report = api("POST", f"/v1/privacy/{WHO}:erase", {})
    assert {each["remedy"] for each in report["left"]} - {"free_pages"} == {"release", "record", "audit"}
    assert MAIL not in json.dumps(report)


def test_a_decision_asked_for_after_an_erasure_is_none_and_is_not_kept(api: Api, folder: Path) -> None:
    released(api)
    api("POST", f"/v1/privacy/{WHO}:erase", {})
    made = api("POST", "/v1/decisions", {"customer_id": WHO, "campaign_id": CAMPAIGN})
    assert made["offer_id"] == "none"
    with api.server.ledger.read() as db:
        assert db.execute(select(DECISIONS.c.customer_id).where(DECISIONS.c.customer_id == WHO)).all() == []
