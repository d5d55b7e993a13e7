"""The edges of the HTTP service that a stranger meets first: HEAD, odd names, what an erasure leaves."""

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from textwrap import indent
from time import monotonic, sleep
from typing import Any

import pytest
from answer_types import check_answer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from serve_helpers import Api, claim, coded, released, serving
from test_serve_outbox import by_hand

from promolift.server.ledger.field_types import Slug
from promolift.shop.configuration.configuration import Config

NAMES: TypeAdapter[str] = TypeAdapter(Slug)


def untyped(document: dict[str, Any]) -> list[str]:
    """The operations of an OpenAPI document whose successful JSON answer says nothing of its fields."""
    return [
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for status, answer in operation["responses"].items()
        if status.startswith("2")
        and (schema := answer.get("content", {}).get("application/json", {}).get("schema")) is not None
        and not (schema.keys() & {"$ref", "properties", "items", "anyOf", "oneOf", "allOf"})
        and not isinstance(schema.get("additionalProperties"), dict)
    ]


def test_every_json_answer_of_the_document_is_typed(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    assert untyped(document) == []
    assert len(document["paths"]) > 60


def test_an_answer_unlike_its_type_is_found(api: Api) -> None:
    keys = api("GET", "/v1/keys")
    assert check_answer(api.client.app, "GET", "/v1/keys", 200, keys)
    more, less = keys["data"][0] | {"hash": "x"}, {k: v for k, v in keys["data"][0].items() if k != "scope"}
    for wrong in (more, less, keys["data"][0] | {"revoked": 3}):
        with pytest.raises(ValidationError):
            check_answer(api.client.app, "GET", "/v1/keys", 200, {"data": [wrong]})


def test_what_is_read_by_get_is_asked_by_head_too(api: Api) -> None:
    document = api.client.get("/openapi.json").json()
    paths = [path for path, known in document["paths"].items() if "get" in known and "{" not in path]
    assert {"/health/live", "/health/ready", "/v1/campaigns"} <= {*paths}
    for path in paths:
        headers = {"authorization": f"Bearer {api.key}"}
        got, head = (api.client.request(method, path, headers=headers) for method in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["content-type"] == got.headers["content-type"]
    assert api.client.head("/v1/campaigns").status_code == 401
    assert api.client.head("/v1/track", headers=headers).status_code == 405


@given(st.text("a1_.-", max_size=5) | st.sampled_from(["", ".", "..", "...", "a" * 64, "a" * 65, "a/b", "é"]))
def test_a_name_is_no_step_of_a_path(name: str) -> None:
    try:
        NAMES.validate_python(name)
    except ValidationError:
        return
    assert name not in (".", "..")
    assert Path("/of", name).resolve() == Path("/of") / name


@pytest.mark.parametrize("name", ["%2e%2e", "%2E", "a%20b"])
def test_no_campaign_is_called_as_a_step_of_a_path(api: Api, name: str) -> None:
    headers = {"authorization": f"Bearer {api.key}"}
    reply = api.client.put(f"/v1/campaigns/{name}", json={}, headers=headers)
    assert reply.status_code == 422, reply.text


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("verb", ["erase", "anonymise"])
def test_an_erased_customers_orders_are_named_in_no_byte(
    shop: tuple[Path, Config], folder: Path, verb: str, seed: int
) -> None:
    """Order numbers lead to the customer in the shop's books; those of others stay."""
    draw = Random(seed)
    orders = [f"{draw.choice(['Bestellung-ß', '订单', 'order '])}{draw.randrange(10**9)}" for _ in range(3)]
    with serving(folder, shop[1], private_webhooks=True) as api:
        released(api)
        coded(api)
        by_hand(api)
        hook = {"url": "http://127.0.0.1:9/hook", "events": ["redemption.reserved", "redemption.confirmed"]}
        name = api("POST", "/v1/webhooks", hook, 201)["webhook_id"]
        for n, order in enumerate(orders):
            api("POST", "/v1/redemptions:reserve", claim(n, order_id=order), idempotency_key=f"r{n}")
            if draw.random() < 0.6:
                api("POST", "/v1/redemptions:confirm", {"redemption_id": f"rdm_{n}"}, idempotency_key=f"c{n}")
        api("POST", "/v1/redemptions:reserve", claim(9, customer_id="u02", order_id="theirs-1"))
        api("POST", f"/v1/privacy/u01:{verb}", {})
        kept = api("GET", "/v1/redemptions?limit=100")["data"]
        messages = api("GET", f"/v1/webhooks/{name}/messages?status=waiting")["data"]
    assert [row["order_id"] for row in kept if row["order_id"]] == ["theirs-1"]
    assert len(kept) == len(orders) + 1
    assert len(messages) > len(orders)
    assert sum("theirs-1" in each["body"] for each in messages) == 1
    whole = b"".join(path.read_bytes() for path in sorted((folder / "serve").glob("ledger.db*")))
    for order in orders:
        assert order.encode() not in whole
        assert json.dumps(order).strip('"').encode() not in whole


READING_SERVER = """
import os, time
from promolift.server.api.reader_process import new_readers
readers = new_readers()
print(readers.submit(os.getpid).result(), flush=True)
readers.submit(time.sleep, 600)
time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are looked up in /proc")
def test_a_killed_server_leaves_no_process_that_reads(tmp_path: Path) -> None:
    script = tmp_path / "reading.py"  # spawned processes import the main module anew
    script.write_text(f"if __name__ == '__main__':\n{indent(READING_SERVER, '    ')}")
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        reader = int(server.stdout.readline())
        assert is_alive(reader)
        server.kill()
    end = monotonic() + 20
    while is_alive(reader) and monotonic() < end:
        sleep(0.05)
    assert not is_alive(reader)


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and that nobody asked after is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
