"""A server over a ledger that has lived starts, and does its first round of duties, as one over a new ledger does."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
from ledger_helpers import KINDS, ledger_url, open_ledger
from serve_helpers import CAMPAIGN, PEOPLE, Api, claim, coded, released, serving
from sqlalchemy import insert, text

from promolift.foundation.time.clock import Clock
from promolift.server.delivery.outbox import Outbox
from promolift.server.events.events import store_events
from promolift.server.ledger import engines, ledger
from promolift.server.ledger.audit_log import AuditAction, append_audit
from promolift.server.ledger.event_rows import OFFER_MESSAGE, ParsedEvents, event_row
from promolift.server.ledger.migrations import open_tables
from promolift.server.ledger.schema import EVENTS, REDEMPTIONS, transaction_cache
from promolift.server.settings import ServeSettings
from promolift.server.tasks import response_counts
from promolift.server.tasks.response_counts import TextCounter
from promolift.shop.configuration.configuration import Config

MANY = 30_000
NUMBERS = ("create temp table if not exists many as with recursive c(n) as "
           f"(select 1 union all select n + 1 from c where n < {MANY}) select n from c")  # fmt: skip
STEP = 100  # instructions of SQLite's machine that are counted as one
# What a shop leaves behind, each as often as MANY: `n` numbers the rows.
LIVED = f"""
insert into decisions select 'dec_' || printf('%012d', n), n, 'c' || n, campaign_id, policy_id, policy_version,
  offer_id, propensity, candidates, ineligible, seed, holdout, reason, release_id, terms, price, closed, experiment_id,
  variant, null, 0, channel, send_ms, send_prob, considered from decisions, many limit {MANY};
insert into events select null, 'm' || n, 'c' || n, n, n, '{OFFER_MESSAGE}', 'dec_' || printf('%012d', n),
  '{json.dumps({"text_id": "t", "benefit": "percent_off"})}', null from many;
insert into events select null, 'v' || n, 'c' || n, n, n, 'Product Viewed', null, '{{}}', null from many;
insert into redemptions select 'old_' || n, campaign_id, offer_id, 'c' || n, null, null, 'dec_' || printf('%012d', n),
  5, 5, 'confirmed', n, n, 'c' || n from redemptions, many limit {MANY};
insert into outbox select 'msg_' || n, 'webhook', 'whk', '{{}}', 'sent', 1, n, null, n, null from many;
insert into codes select 'X' || n, '{CAMPAIGN}', 'off_y', 'c' || n, 'redeemed', 0, null, null from many;
insert into answers select 'k' || n, 'd', 200, '{{}}', ts_ms, null from redemptions, many limit {MANY};
insert into rejects select null, n, 'x', 'x', '{{}}', null from many;
insert into audit select n + 1000, n, 'api', 'confirm', 'old_' || n, 'null', 'null', 'x' from many;
"""


@contextmanager
def counting(patch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How much SQLite does meanwhile, on all connections that are opened."""
    steps, set_up = [0], engines._set_up

    def step() -> None:
        steps[0] += 1

    def counted(connection: Any, record: object) -> None:
        set_up(connection, record)
        connection.set_progress_handler(step, STEP)

    with patch.context() as patched:
        patched.setattr(engines, "_set_up", counted)
        yield steps


def begun(folder: Path, config: Config, patch: pytest.MonkeyPatch) -> int:
    """What a start and one round of all duties ask of the ledger."""
    with counting(patch) as steps, serving(folder, config) as api:
        assert api("GET", "/health/ready")["status"] == "ready"
        round_of_duties(api)
    return steps[0]


def round_of_duties(api: Api) -> None:
    async def whole() -> None:
        for duty in api.server.tasks.all:
            await duty.work()

    asyncio.run(whole())


def lived(db: Any, some: list[None]) -> list[None]:
    return filled(db, some, LIVED)


def filled(db: Any, some: list[None], statements: str) -> list[None]:
    for statement in (NUMBERS, *statements.strip().split(";\n")):
        db.execute(text(statement.rstrip(";").replace(":", "\\:")))
    return some


def test_a_start_reads_no_more_of_a_ledger_that_has_lived(
    shop: tuple[Path, Config], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(folder, shop[1]) as api:
        released(api)
        coded(api)
        for who in PEOPLE[:4]:
            api.decide(who)
        api("POST", "/v1/redemptions:reserve", claim(1))
        api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_1"})
        while api.server.count_texts(0.0):
            pass
    empty = begun(folder, shop[1], monkeypatch)
    with serving(folder, shop[1]) as api:
        api.server.ledger.write(lived)
        while api.server.count_texts(0.0):
            pass
    assert begun(folder, shop[1], monkeypatch) <= 1.2 * empty + 200  # reading each row once would be 2,000 and more


BACKLOG = """
insert into outbox select 'w' || n || k, 'webhook', 'whk_' || (n % 3), '{}', 'waiting', 1, 9000 + n, null, n, null
  from many, (select 1 as k union all select 2 union all select 3);
insert into outbox select 's' || n, 'webhook', 'whk_9', '{}', 'sent', 1, n, null, n, null from many;
insert into outbox select 'm' || n, 'email', 'dec_' || n,
  '{"to": "a@b.c", "subject": "s", "text": "t"}', 'waiting', 1, 9000 + n, null, n, null from many;
insert into outbox select 'p' || n, 'email', 'dec_' || n, '{}', 'sent', 1, n, null, n, null from many;
"""


def due_at(folder: Path, patch: pytest.MonkeyPatch, now_ms: int) -> tuple[list[tuple[str, str]], int, int]:
    """Whom anything is due for at a moment, what it takes to see that, and what it takes to take the first of all."""
    with counting(patch) as steps, open_ledger(folder) as book:
        clock = Clock(5000, wall=lambda: now_ms, steady=lambda: now_ms)
        sender = Outbox(book, ServeSettings(work=folder), clock, "key")
        steps[0] = 0
        lanes, looked = sender._due(), steps[0]
        book.write(lambda db, _: [[sender._take(db, lane) for lane in lanes]])
        return sorted(map(tuple, lanes)), looked, steps[0] - looked


def test_what_is_due_is_found_without_reading_what_waits_or_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_ledger(tmp_path) as book:
        book.write(lambda db, some: filled(db, some, BACKLOG))
    lanes, looked, _ = due_at(tmp_path, monkeypatch, 8000)
    assert lanes == []
    assert looked < 20
    lanes, looked, taken = due_at(tmp_path, monkeypatch, 9002)
    assert lanes == [("email", ""), ("webhook", "whk_1"), ("webhook", "whk_2")]
    assert looked < 20
    assert taken < 200
    lanes, looked, taken = due_at(tmp_path, monkeypatch, 10**9)
    assert lanes == [("email", ""), *(("webhook", f"whk_{n}") for n in range(3))]
    assert looked < 20
    assert taken < 4 * 200 * 3  # BATCH messages of each, and a bit


def told(book: ledger.Ledger, name: str, *decisions: int, text_id: str = "t") -> None:
    """An event of each decision; the server's own says which text it was answered with."""
    said = json.dumps({"text_id": text_id, "benefit": "percent_off"} if name == OFFER_MESSAGE else {})
    rows = [event_row(f"{name} {n}", "c", n, n, name, said, decision_id=f"dec_{n}") for n in decisions]
    book.write(store_events, ParsedEvents(events=rows, places=[*range(len(rows))]))


def confirmed(book: ledger.Ledger, number: int) -> None:
    row = {"redemption_id": f"rdm_{number}", "campaign_id": "c1", "offer_id": "o", "customer_id": "c", "person": "c",
           "decision_id": f"dec_{number}", "reserved_cents": 5, "final_cents": 5, "status": "confirmed", "ts_ms": 1,
           "expires_ms": 2}  # fmt: skip

    def work(db: Any, some: list[None]) -> list[None]:
        db.execute(insert(REDEMPTIONS), [row])
        append_audit(db, 1, AuditAction("api", "confirm", row["redemption_id"]))
        return some

    book.write(work)


def counted(book: ledger.Ledger, counter: TextCounter) -> dict[str, tuple[int, int]]:
    while counter.refresh(book, 1, 0.0):
        pass
    return {text_id: (shown, taken) for text_id, _, shown, taken in counter.tallies}


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_counted_a_part_at_a_time_over_restarts_and_beside_another_process(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shown eleven times; taken up by three clicks and two redemptions, one of a decision that was clicked on."""
    monkeypatch.setattr(response_counts, "ROWS_PER_ROUND", 4)
    with open_ledger(tmp_path, kind) as book:
        mine = TextCounter(tmp_path)
        told(book, OFFER_MESSAGE, *range(10))
        told(book, OFFER_MESSAGE, *range(10, 20), text_id="other")
        told(book, "Click", 1, 2)
        told(book, "Promotion Viewed", 3, 4)
        assert mine.refresh(book, 1, 0.0)
        assert mine.tallies == ()  # nothing is said of a part
        assert counted(book, mine) == {"other": (10, 0), "t": (10, 2)}
        told(book, "Page Viewed", 2)
        confirmed(book, 2)
        confirmed(book, 5)
        told(book, OFFER_MESSAGE, 20)
        other, write = TextCounter(tmp_path), book.write
        assert other.tallies == mine.tallies

        def later(*given: Any) -> Any:  # the other has read when the first counts the same part
            monkeypatch.setattr(book, "write", write)
            mine.refresh(book, 1, 0.0)
            return write(*given)

        monkeypatch.setattr(book, "write", later)
        assert counted(book, other) == {"other": (10, 0), "t": (11, 3)}
        assert counted(book, mine) == {"other": (10, 0), "t": (11, 3)}
    with ledger.Ledger(ledger_url(tmp_path, kind), open_tables) as book:
        book.write(lambda db, some: [db.execute(EVENTS.delete().where(EVENTS.c.ts_ms == 0)) and None for _ in some])
        told(book, "Click", 5, 6, 11)
        assert counted(book, TextCounter(tmp_path)) == {"other": (10, 1), "t": (11, 4)}


def test_a_decision_reads_no_more_where_many_codes_are_left_in_stock(
    shop: tuple[Path, Config], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    with counting(monkeypatch) as steps, serving(folder, shop[1]) as api:
        released(api)
        offers = {made["offer_id"]: made["customer_id"] for made in map(api.decide, PEOPLE)}
        offer, who = next(pair for pair in offers.items() if pair[0] != "none")
        for number in (10, MANY):
            columns = f"'S' || n || '-{number}', '{CAMPAIGN}', '{offer}', null, 'stock', 1, null, null"
            fill = f"insert into codes select {columns} from many where n <= {number}"
            for statement in (NUMBERS, fill, "delete from codes where status = 'issued'"):
                api.server.ledger.write(lambda db, some, it=statement: [db.execute(text(it)) and None for _ in some])
            api.server.ledger.write(
                lambda db, some: [transaction_cache(db).clear() for _ in some]
            )  # written past what it knows
            before = steps[0]
            assert api.decide(who)["code"].startswith("S")
            asked.append(steps[0] - before)
    assert asked[1] <= asked[0] + 50  # reading each code once would be 3,000 and more
