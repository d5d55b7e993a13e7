"""What libraries and browsers send as they send it, in whatever packing; retries that run once, whoever sends them."""

import gzip
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from error_checks import raises_code
from serve_helpers import CAMPAIGN, Api, released, serving
from sqlalchemy import select

from promolift.server.api.server import Server
from promolift.server.ledger.schema import ANSWERS, RECORDS
from promolift.server.ledger.secrets import AUTHENTICATED_PREFIX, seal, unseal
from promolift.shop.configuration.configuration import Config

EVENT = {"type": "track", "userId": "u01", "event": "Product Viewed"}
BATCH = json.dumps({"batch": [EVENT]}).encode()
SHOP = "https://shop.example"


def send(api: Api, content: bytes, **headers: str) -> Any:
    sent = {"authorization": f"Bearer {api.key}"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return api.client.post("/v1/batch", content=content, headers=sent)


@pytest.mark.parametrize("kind", ["", "application/x-www-form-urlencoded", "application/json", "text/plain"])
def test_a_gzip_body_is_read_whatever_a_library_says_of_its_type(api: Api, kind: str) -> None:
    more = {"content_type": kind} if kind else {}
    assert send(api, gzip.compress(BATCH), content_encoding="gzip", **more).status_code == 202


def test_clients_that_take_nothing_but_200_get_it(api: Api) -> None:
    assert send(api, BATCH, user_agent="analytics-python/2.1.9").status_code == 200
    assert send(api, BATCH, user_agent="Mozilla").status_code == 202


def test_every_member_of_a_gzip_body_counts_and_a_cut_or_endless_one_is_refused(api: Api) -> None:
    half = len(BATCH) // 2
    two = gzip.compress(BATCH[:half]) + gzip.compress(BATCH[half:])
    assert send(api, two, content_encoding="gzip").json()["accepted"] == 1
    for bad in (gzip.compress(BATCH)[:-9], two[:-1], gzip.compress(BATCH) + b"more", gzip.compress(b"") * 50_00):
        told = send(api, bad, content_encoding="gzip")
        assert (told.status_code, told.json()["code"]) == (400, "gzip_invalid")
    assert send(api, gzip.compress(b" " * 999_999) * 2, content_encoding="gzip").status_code == 413
    for other in ("br", "deflate", "gzip, gzip"):
        told = send(api, BATCH, content_encoding=other)
        assert (told.status_code, told.json()["code"]) == (415, "encoding_unknown")
        assert told.headers["accept-encoding"] == "gzip, identity"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_body_that_is_cut_is_not_taken_for_the_whole(api: Api, anyio_backend: str) -> None:
    sent: list[Any] = []
    parts = iter([{"type": "http.request", "body": BATCH, "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(parts)

    async def keep(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {api.key}".encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/batch", "headers": headers, "query_string": b""}
    await api.client.app(scope, receive, keep)
    assert sent[0]["status"] == 400
    assert json.loads(sent[1]["body"])["code"] == "body_cut"


@pytest.fixture
def browsed(shop: tuple[Path, Config], folder: Path) -> Iterator[Api]:
    with serving(folder, shop[1], origins=[SHOP]) as api:
        released(api)
        yield api


def test_pages_of_a_named_origin_may_send_events_and_ask_for_nothing_else(browsed: Api) -> None:
    ask = {"origin": SHOP, "access-control-request-method": "POST"}
    told = browsed.client.options("/v1/track", headers=ask)
    assert told.status_code == 204
    assert told.headers["access-control-allow-origin"] == SHOP
    assert "authorization" in told.headers["access-control-allow-headers"]
    assert browsed.client.options("/v1/track", headers=ask | {"origin": "https://other.example"}).status_code == 403
    assert browsed.client.options("/v1/decisions", headers=ask).status_code == 401
    reply = send(browsed, BATCH, origin=SHOP)
    assert (reply.status_code, reply.headers["access-control-allow-origin"]) == (202, SHOP)
    assert "access-control-allow-origin" not in send(browsed, BATCH, origin="https://other.example").headers


def test_changes_with_a_key_run_once_and_no_secret_is_kept_open(api: Api) -> None:
    hook = {"url": "https://93.184.216.34/", "events": ["redemption.reserved"]}
    posts = {"/v1/keys": {"scope": "write", "name": "n"}, "/v1/webhooks": hook, "/v1/privacy/u01:erase": None,
             "/v1/privacy/u02:anonymise": None, f"/v1/campaigns/{CAMPAIGN}:learn": None}  # fmt: skip
    for path, body in posts.items():
        first = api("POST", path, body, None, idempotency_key="k")
        assert "request_id" not in first, first  # no refusal
        (api.server.settings.work / "more.txt").write_text("x" * len(path))  # an erasure would search this, too
        assert api("POST", path, body, None, idempotency_key="k") == first
    made = api("POST", "/v1/keys", {"scope": "write", "name": "n"}, 201, idempotency_key="k")
    assert Api(api.client, made["key"])("POST", "/v1/track", EVENT, 202)
    assert len(api("GET", "/v1/keys")["data"]) == 2
    assert len(api("GET", "/v1/webhooks")["data"]) == 1
    secret = api("POST", "/v1/webhooks", hook, 201, idempotency_key="k")["secret"]
    assert secret.startswith("whsec_")
    with api.server.ledger.read() as db:
        kept = [*db.execute(select(ANSWERS.c.body)).scalars(), *db.execute(select(RECORDS.c.body)).scalars()]
    assert not [text for text in kept if made["key"] in text or secret in text]


def test_what_is_sealed_is_read_with_its_key_alone() -> None:
    sealed = seal("key", "whsec_说")
    assert "whsec" not in sealed
    assert unseal("key", sealed) == "whsec_说"
    assert seal("key", "whsec_说") != sealed
    assert unseal("key", "whsec_plain") == "whsec_plain"
    with raises_code("seal_broken"):
        unseal("other", sealed)


@pytest.mark.parametrize("seed", range(20))
def test_a_sealed_text_that_was_changed_anywhere_is_refused(seed: int) -> None:
    draw = Random(seed)
    text = "".join(draw.choice("aé说 ") for _ in range(draw.randrange(60)))
    sealed = seal("key", text)
    at = draw.randrange(len(AUTHENTICATED_PREFIX), len(sealed.rstrip("=")) - 1)  # the last sign has bits without use
    other = draw.choice([c for c in "ABCdef012+/" if c != sealed[at]])
    for changed in (
        sealed[:at] + other + sealed[at + 1 :],
        sealed[:at] + sealed[at + 1 :],
        sealed[:-8],
        sealed + "AAAA",
    ):
        with raises_code("seal_broken"):
            unseal("key", changed)


def test_what_an_earlier_version_sealed_is_read_yet() -> None:
    """By that version, with the key "key": the text "whsec_说"."""
    kept = "sealed:En6bjUq2EUOj4sRkTzCKRD89eL5Im5BkHg=="
    assert unseal("key", kept) == "whsec_说"


@pytest.mark.parametrize("who", ["-1", "=1+1", "@x", "+86", "'=x"])
def test_ids_come_back_from_an_export_as_they_were(api: Api, who: str) -> None:
    order = {"order_id": who, "products": [{"product_id": who, "price": 1}]}
    sent = {"userId": who, "event": "Order Completed", "messageId": who, "properties": order}
    api("POST", "/v1/track", sent, 202)
    for kind, read in (("csv", pl.read_csv), ("parquet", pl.read_parquet)):
        rows = read(io.BytesIO(api("GET", f"/v1/exports/purchases.{kind}").content))
        assert rows.select(pl.col("customer_id", "order_id", "product_id").cast(pl.String)).row(0) == (who,) * 3


def test_ready_says_what_is_missing_and_a_failed_load_is_tried_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    server: Server = api.server
    monkeypatch.setattr("promolift.server.decisions.decisions.RELOAD_AFTER_S", 0.0)
    (release_id,) = server.decider.releases
    place = server.settings.work / "serve" / "releases" / release_id
    place.rename(place.with_name("away"))
    server.decider.releases = {}
    end = time.monotonic() + 30
    while (told := api.client.get("/health/ready")).status_code == 200 and time.monotonic() < end:
        time.sleep(0.02)  # what is missing is looked for every second
    assert (told.status_code, told.json()["why"]) == (503, [f"release {release_id} is not loaded"])
    assert api.decide("u01")["reason"].startswith("release")
    place.with_name("away").rename(place)
    end = time.monotonic() + 30
    while api.client.get("/health/ready").status_code != 200 and time.monotonic() < end:
        time.sleep(0.02)
    assert api.client.get("/health/ready").status_code == 200


def test_a_release_that_nobody_needs_is_unloaded(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    server: Server = api.server
    (release_id,) = server.decider.releases
    server.decider.releases = server.decider.releases | {"rel_old": server.decider.releases[release_id]}
    server.decider.refresh_releases({release_id, "rel_old"})
    assert set(server.decider.releases) == {release_id, "rel_old"}
    monkeypatch.setattr("promolift.server.decisions.decisions.UNLOAD_AFTER_S", -1.0)
    server.decider.refresh_releases({release_id})
    assert set(server.decider.releases) == {release_id}


def test_what_a_path_allows_and_what_needs_no_key_is_told_rightly(api: Api) -> None:
    reply = api.client.request(
        "PATCH", f"/v1/campaigns/{CAMPAIGN}/experiment", headers={"authorization": f"Bearer {api.key}"}
    )
    assert (reply.status_code, reply.headers["allow"]) == (405, "DELETE, GET, PUT")
    document = api.client.get("/openapi.json").json()
    assert document["paths"]["/health/ready"]["get"]["security"] == []
    assert "security" not in document["paths"]["/v1/keys"]["get"]
