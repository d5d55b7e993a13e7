"""After an erasure over HTTP a customer is nowhere, and what is left is named."""

import json
from base64 import b64encode
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from serve_helpers import CAMPAIGN, Api, released, serving
from sqlalchemy import select

from promolift.foundation.privacy.identifier_search import IdentifierSearch
from promolift.foundation.storage.local_store import Store
from promolift.server.ledger.schema import DECISIONS, EVENTS
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


@pytest.mark.parametrize("seed", range(3))
def test_events_of_others_stay_without_what_names_the_erased_customer(api: Api, folder: Path, seed: int) -> None:
    """Over drawn places and codings: the rest of such an event stays as it was, and other events untouched."""
    draw, who = Random(seed), f"zorrilla-QX{seed}"
    forms = [who, f"para {who}, gracias", f"https://x.es/?m={quote(f' {who}')}", b64encode(who.encode()).decode(),
             who.encode().hex(), json.dumps({"quién": who}), who.upper(), f"→ {who} ←"]  # fmt: skip
    sent: list[dict[str, Any]] = [{"type": "identify", "userId": who, "messageId": "w", "traits": {"age": 40}}]
    for n in range(20):
        said: Any = draw.choice(forms)
        said = draw.choice([said, [said, "b"], {"a": {"b": said}}, {who: 1}])
        told = {"product_id": "p-tea", "n": n, draw.choice(["nota", "客户", "to"]): said}
        name, key = draw.choice([f"Called {who}", "Product Viewed"]), draw.choice([f"m{n}", f"{who}-{n}"])
        sent.append({"type": "track", "userId": f"u{30 + n % 7}", "event": name, "messageId": key, "properties": told})
    sent.append({"type": "track", "userId": "u40", "event": "Product Viewed", "messageId": "free",
                 "properties": {"product_id": "p-tea", "nota": f"{who}9"}})  # fmt: skip
    api("POST", "/v1/batch", {"batch": sent}, None)
    report = api("POST", f"/v1/privacy/{who}:erase", {})
    assert {each["remedy"] for each in report["left"]} <= {"release"}
    with api.server.ledger.read() as db:
        rows = db.execute(select(EVENTS.c.message_id, EVENTS.c.body).where(EVENTS.c.customer_id.like("u%"))).all()
    bodies = [json.loads(body)["properties"] for _, body in rows]
    assert sorted(each["n"] for each in bodies if "n" in each) == [*range(20)]
    assert {each["product_id"] for each in bodies} == {"p-tea"}
    free = [json.loads(body)["properties"]["nota"] for key, body in rows if key == "free"]
    assert free == [f"{who}9"]
    search = IdentifierSearch(who)
    assert not any(search.in_any_reading(text) for row in rows for text in row)


@pytest.mark.parametrize("seed", range(3))
def test_an_address_in_a_text_of_others_goes_and_one_that_they_have_themselves_stays(api: Api, seed: int) -> None:
    """Over drawn texts: a mention makes an address nobody's, a field of their own makes it a household's."""
    draw, mail = Random(seed), f"Zora{seed}@Example.org"
    forms = ["por favor escriban a {}", "{} 请联系", "<{}>", "{}, {} again", "call me or mail {}."]
    texts = [draw.choice(forms).replace("{}", draw.choice([mail, mail.lower(), mail.upper()])) for _ in range(12)]
    sent: list[dict[str, Any]] = [
        {"type": "identify", "userId": "zora", "messageId": "z", "traits": {"email": mail}},
        {"type": "identify", "userId": "home", "messageId": "h", "traits": {"email": f"home{seed}@example.org"}},
        {"type": "identify", "userId": "u33", "messageId": "h2", "traits": {"email": f"home{seed}@example.org"}},
    ]
    sent += [{"type": "track", "userId": f"u{30 + n % 5}", "event": "Product Viewed", "messageId": f"t{n}",
              "properties": {"product_id": "p-tea", "nota": text}} for n, text in enumerate(texts)]  # fmt: skip
    api("POST", "/v1/batch", {"batch": sent}, None)
    for who in ("zora", "home"):
        report = api("POST", f"/v1/privacy/{who}:erase", {})
        assert {each["remedy"] for each in report["left"]} <= {"release"}
    with api.server.ledger.read() as db:
        bodies = " ".join(db.execute(select(EVENTS.c.body)).scalars()).lower()
    assert mail.lower() not in bodies
    assert bodies.count("p-tea") >= 12
    assert f"home{seed}@example.org" in bodies


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
