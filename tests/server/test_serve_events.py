"""Events: none lost, duplicates counted, bad ones kept aside with their place."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from serve_helpers import Api
from sqlalchemy import func, select

from promolift.server.api.routes.export import encode_table
from promolift.server.decisions import eligibility
from promolift.server.events.events import EVENTS_PER_TURN, parse_events, parse_events_async
from promolift.server.ledger.outcomes import OUTCOME_KINDS, LedgerEvent, read_outcomes
from promolift.server.ledger.schema import EVENTS, PURCHASES, REJECTS

RECEIVED = 1_767_600_000_000
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3), max_leaves=8)  # fmt: skip
LINE = st.dictionaries(st.sampled_from(["product_id", "sku", "price", "quantity", "category"]), JSON)
ORDER = st.fixed_dictionaries(
    {}, optional={"products": st.lists(LINE, max_size=3) | JSON, "total": JSON, "discount": JSON}
)
KEYS = st.sampled_from(["type", "userId", "messageId", "event", "properties", "traits", "timestamp", "products"])
ORDERS = st.fixed_dictionaries({"type": st.just("track"), "userId": st.just("u"), "event": st.just("x"),
                                "properties": ORDER | LINE})  # fmt: skip


def stored(api: Api, table: Any = EVENTS) -> int:
    with api.server.ledger.read() as db:
        return int(db.execute(select(func.count()).select_from(table)).scalar_one())


def track(number: int, **more: Any) -> dict[str, Any]:
    return {"type": "track", "event": "Product Viewed", "userId": "u01", "messageId": f"m{number}"} | more


def test_accepted_duplicates_and_rejected_are_counted_and_rejected_ones_kept(api: Api) -> None:
    batch = [track(1), track(2), track(1), {"type": "track", "event": "x"}, 5, track(3, type="nonsense")]
    shown = api("POST", "/v1/batch", {"batch": batch}, 202)
    assert (shown["accepted"], shown["duplicates"], shown["rejected_count"]) == (2, 1, 3)
    assert [each["index"] for each in shown["rejected"]] == [3, 4, 5]
    assert [each["pointer"] for each in shown["rejected"]] == ["/userId", "", "/type"]
    assert api("POST", "/v1/batch", {"batch": batch}, 202)["accepted"] == 0
    assert (stored(api), stored(api, REJECTS)) == (2, 6)


def test_a_dry_run_changes_nothing(api: Api) -> None:
    shown = api("POST", "/v1/batch?dry_run=true", {"batch": [track(1), 5]}, 202)
    assert (shown["accepted"], shown["rejected_count"], shown["dry_run"]) == (1, 1, True)
    assert (stored(api), stored(api, REJECTS)) == (0, 0)


def test_others_have_their_turn_while_a_large_request_is_read() -> None:
    sent = [track(n) if n % 7 else {"type": "track"} for n in range(5 * EVENTS_PER_TURN)]

    async def both() -> tuple[Any, int]:
        reading, turns = asyncio.ensure_future(parse_events_async(sent, None, RECEIVED)), 0
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        return reading.result(), turns

    read, turns = asyncio.run(both())
    assert read == parse_events(sent, None, RECEIVED)
    assert turns >= 5


def test_event_time_is_corrected_for_the_devices_clock() -> None:
    late = track(1, timestamp="2026-01-01T00:00:00Z")
    found = parse_events([late], "2026-01-01T00:00:10Z", RECEIVED)  # sent 10 s later by the same wrong clock
    assert found.events[0]["ts_ms"] == RECEIVED - 10_000
    assert parse_events([late], None, RECEIVED).events[0]["ts_ms"] == 1_767_225_600_000
    assert parse_events([track(1)], None, RECEIVED).events[0]["ts_ms"] == RECEIVED
    ahead = parse_events([track(1, timestamp="2030-01-01T00:00:00+08:00")], None, RECEIVED)
    assert (ahead.events[0]["ts_ms"], ahead.repaired) == (RECEIVED, 1)


def test_names_of_other_vocabularies_are_understood() -> None:
    events = [track(1, event="purchase", properties={"products": [{"sku": 7, "category": "tea"}, {}, "x"]})]
    found = parse_events([*events, {"type": "page", "anonymousId": "a1"}], None, RECEIVED)
    assert [each["name"] for each in found.events] == ["Order Completed", "Page Viewed"]
    assert [(each["product_id"], each["category"]) for each in found.bought] == [("7", "tea")]


def test_an_event_without_message_id_is_still_taken_once(api: Api) -> None:
    event = {"userId": "u01", "event": "Product Viewed", "timestamp": "2026-01-01T00:00:00Z"}
    counts = [api("POST", "/v1/track", event, 202)["accepted"] for _ in range(2)]
    assert counts == [1, 0]


def test_a_visitor_who_says_who_they_are_takes_their_events_along_and_nobody_elses(api: Api) -> None:
    def sent(**more: Any) -> dict[str, Any]:
        order = {"order_id": "o", "products": [{"product_id": "p-tea"}]}
        return {"type": "track", "event": "Order Completed", "properties": order} | more

    before = [sent(anonymousId="a1"), sent(anonymousId="a1", userId="u05"), sent(userId="a1", messageId="own")]
    api("POST", "/v1/batch", {"batch": before}, 202)
    api("POST", "/v1/identify", {"userId": "u01", "anonymousId": "a1", "traits": {}}, 202)
    api("POST", "/v1/identify", {"userId": "u02", "anonymousId": "a1", "traits": {}}, 202)  # the first word counts
    api("POST", "/v1/track", sent(anonymousId="a1", messageId="later"), 202)
    with api.server.ledger.read() as db:
        events = db.execute(
            select(EVENTS.c.customer_id).where(EVENTS.c.name == "Order Completed").order_by(EVENTS.c.seq)
        )
        assert list(events.scalars()) == ["u01", "u05", "a1", "u01"]
        assert sorted(db.execute(select(PURCHASES.c.customer_id)).scalars())[-3:] == ["u01", "u01", "u05"]
    api("POST", "/v1/privacy/u01:erase")
    assert api("POST", "/v1/privacy/u01:export")["tables"]["aliases"] == []


@given(st.lists(st.dictionaries(KEYS | st.text(max_size=5), JSON, max_size=6) | ORDERS | JSON, max_size=4), JSON)
def test_no_json_at_all_breaks_the_reader(events: list[Any], sent: Any) -> None:
    found = parse_events(events, sent, RECEIVED)
    assert len(found.events) + len(found.rejected) == len(events)
    for row in found.events:
        assert row["customer_id"].isprintable()
        assert row["ts_ms"] <= RECEIVED
        json.dumps(row).encode()
        for name in (eligibility.PRODUCT_VIEWED, eligibility.PRODUCT_REMOVED, "Cart Viewed", "Order Completed"):
            eligibility.summarise_events([(row["customer_id"], row["ts_ms"], name, row["body"])])
        for name in OUTCOME_KINDS:
            read_outcomes([LedgerEvent(row["customer_id"], row["ts_ms"], RECEIVED, name, row["body"])], "EUR")


def test_gzip_bodies_are_read_and_a_bomb_is_not_unpacked(api: Api) -> None:
    def send(body: bytes) -> int:
        headers = {"authorization": f"Bearer {api.key}", "content-encoding": "gzip", "content-type": "application/json"}
        return api.client.post("/v1/batch", content=body, headers=headers).status_code

    assert send(gzip.compress(json.dumps({"batch": [track(1)]}).encode())) == 202
    assert send(gzip.compress(b" " * 50_000_000)) == 413
    assert send(b"no gzip") == 400
    assert stored(api) == 1


def test_purchases_are_exported_in_columns_the_next_ingest_reads(api: Api, tmp_path: Path) -> None:
    line = {"product_id": "p1", "category": "tea", "quantity": 2, "price": 3.5}
    order = {"order_id": "o1", "products": [line, {"product_id": "=cmd()", "price": 1}]}
    api("POST", "/v1/track", track(1, event="Order Completed", properties=order), 202)
    (tmp_path / "x.csv").write_bytes(api("GET", "/v1/exports/purchases.csv?spreadsheet=true").content)
    (tmp_path / "x.parquet").write_bytes(api("GET", "/v1/exports/purchases.parquet").content)
    rows = pl.read_csv(tmp_path / "x.csv")
    assert rows.select("customer_id", "order_id", "product_id", "quantity", "price").rows() == [
        ("u01", "o1", "p1", 2.0, 3.5), ("u01", "o1", "'=cmd()", 1.0, 1.0),
    ]  # fmt: skip
    assert pl.read_parquet(tmp_path / "x.parquet")["product_id"].to_list() == ["p1", "=cmd()"]
    assert stored(api, PURCHASES) == 2


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_cell_of_a_csv_for_people_starts_a_formula(start: str) -> None:
    text = encode_table(pl.DataFrame({"a": [f"{start}1+cmd()", "plain"]}), "csv", True).decode()
    assert text.splitlines()[1].lstrip('"').startswith("'")
    assert "'plain" not in text


def test_pages_of_an_export_join_to_the_whole(api: Api, tmp_path: Path) -> None:
    api("POST", "/v1/batch", {"batch": [track(n) for n in range(25)]}, 202)
    seen, after = [], "0"
    while after:
        reply = api("GET", f"/v1/exports/events.parquet?after={after}&limit=10")
        (tmp_path / "page.parquet").write_bytes(reply.content)
        seen += pl.read_parquet(tmp_path / "page.parquet")["message_id"].to_list()
        after = reply.headers["x-next"]
    assert seen == [f"m{n}" for n in range(25)]


def test_the_ledger_is_its_users_alone(api: Api) -> None:
    folder = api.server.settings.work / "serve"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.glob("ledger.db*")} == {0o600}
