"""Several processes on one PostgreSQL: each waits only for those who have the same customer, campaign or key, and an
earlier version, which knows one lock alone, for all.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from ledger_helpers import LIMITS, NOW, POSTGRES, add, check_books, claim, ledger_url, limit, open_ledger
from sqlalchemy import Connection, create_engine, select, text

from promolift.server.ledger.audit_log import AuditAction, append_audit, first_break
from promolift.server.ledger.ledger import MAX_LOCKS, Ledger
from promolift.server.ledger.limits import ALL_CAMPAIGNS, all_limits, redemption_locks, reserve, set_limits
from promolift.server.ledger.migrations import open_tables
from promolift.server.ledger.schema import (
    AUDIT,
    EVENTS,
    LEDGER_LOCK,
    Refused,
    campaign_lock,
    customer_lock,
    no_locks,
    require_lock,
)

pytestmark = pytest.mark.skipif(not POSTGRES, reason="PostgreSQL: set PROMOLIFT_TEST_POSTGRES (.ci/run does)")
SOON_S, LONG_S = 0.3, 20.0
EARLIER = f"with mine as materialized (select pg_advisory_xact_lock({LEDGER_LOCK})) select nextval('turns') from mine"


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Ledger, Ledger]]:
    """Two writers on one ledger, as two processes have them."""
    with open_ledger(tmp_path, "postgresql") as one, Ledger(ledger_url(tmp_path, "postgresql"), open_tables) as other:
        yield one, other
        check_books(one)


def named(*names: str) -> Callable[[Connection, list[Any]], Sequence[str]]:
    return lambda _, __: names


class Paused:
    """A change that has begun and waits within its transaction."""

    def __init__(self, ledger: Ledger, locks: Any) -> None:
        self.began, self.goes_on = threading.Event(), threading.Event()
        self.done = ledger.submit(self.work, None, locks)
        assert self.began.wait(LONG_S)

    def work(self, _: Connection, some: list[None]) -> list[None]:
        self.began.set()
        assert self.goes_on.wait(LONG_S)
        return some

    def end(self) -> None:
        self.goes_on.set()
        self.done.result(LONG_S)


def waits(ledger: Ledger, locks: Any) -> bool:
    """Whether a change with these locks has to wait; it is over when the one it waits for is."""
    return not _over(ledger.submit(lambda _, some: some, None, locks))


def goes_on(ledger: Ledger, locks: Any) -> bool:
    """Whether a change with these locks is over beside the one that is paused, however busy the machine is."""
    ledger.submit(lambda _, some: some, None, locks).result(LONG_S)
    return True


def _over(future: Any) -> bool:
    try:
        future.result(SOON_S)
    except TimeoutError:
        return False
    return True


def test_only_who_has_the_same_waits(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    held = Paused(one, named("c:a", "u:1"))
    assert goes_on(other, no_locks)
    assert goes_on(other, named("c:b", "u:2"))
    assert waits(other, named("c:b", "u:1"))
    held.end()
    held = Paused(one, named("c:a"))
    assert waits(other, None)  # all of it
    held.end()
    held = Paused(one, None)
    assert waits(other, no_locks)
    held.end()
    held = Paused(one, named("c:a"))
    several = [other.submit(lambda _, some: some, None, locks) for locks in (named("c:b"), None)]
    several[0].result(LONG_S)
    assert not _over(several[1])  # it has all to itself
    held.end()


def test_an_earlier_version_waits_for_all_and_all_for_it(two: tuple[Ledger, Ledger], tmp_path: Path) -> None:
    one, other = two
    engine = create_engine(ledger_url(tmp_path, "postgresql"))
    taken, held = threading.Event(), Paused(one, named("c:a"))

    def earlier() -> None:
        with engine.begin() as db:
            db.execute(text(EARLIER))
            taken.set()
            assert over.wait(LONG_S)

    over, thread = threading.Event(), threading.Thread(target=earlier)
    thread.start()
    assert not taken.wait(SOON_S)
    held.end()
    assert taken.wait(LONG_S)
    assert waits(other, named("c:b"))
    over.set()
    thread.join()
    engine.dispose()


def test_what_a_change_needs_and_did_not_name_it_gets_with_everything(two: tuple[Ledger, Ledger]) -> None:
    runs: list[list[int]] = []

    def work(db: Connection, some: list[int]) -> list[int]:
        runs.append(list(some))
        append_audit(db, NOW, AuditAction("test", "begin", "x"))
        require_lock(db, campaign_lock("c1"))
        return [2 * number for number in some]

    assert two[0].submit(work, 1, named("c:other")).result(LONG_S) == 2
    assert runs == [[1], [1]]
    with two[0].read() as db:
        assert len(db.execute(select(AUDIT)).all()) == 1  # what was begun first was undone
    assert two[0].submit(work, 1, named("c:c1")).result(LONG_S) == 2
    assert len(runs) == 3
    many = [customer_lock(str(n)) for n in range(MAX_LOCKS + 1)]
    assert two[0].submit(work, 1, named(*many)).result(LONG_S) == 2
    assert len(runs) == 4  # so many are everything at once


def reserved(db: Connection, some: list[Any]) -> list[str]:
    """What became of each claim."""
    found = []
    for each in some:
        try:
            found.append(str(reserve(db, each)["status"]))
        except Refused as refusal:
            found.append(refusal.code)
    return found


def locks(db: Connection, some: list[Any]) -> set[str]:
    return redemption_locks(db, {each.campaign_id for each in some}) | {
        customer_lock(each.customer_id) for each in some
    }


@pytest.mark.parametrize("together", [True, False])
def test_two_writers_at_once_keep_one_chain_and_every_limit(two: tuple[Ledger, Ledger], together: bool) -> None:
    limits = [limit(f"l{c}", 7 * 100 + 3, campaign_id=c) for c in "abc"]
    limits += [limit("all", 7 * 250 + 6, campaign_id=ALL_CAMPAIGNS)] * together
    add(two[0], LIMITS, *limits, limit("each", 7 * 20, campaign_id="a", per="customer"))

    def client(ledger: Ledger, me: str) -> None:
        for number in range(150):
            who, campaign = f"u{number % 9}", "abc"[(number + len(me)) % 3]
            wish = claim(f"{me}_{number}", 7, who, campaign_id=campaign)
            told.append(ledger.submit(reserved, wish, locks).result(LONG_S))

    told: list[str] = []
    threads = [threading.Thread(target=client, args=(two[n % 2], f"{'x' * n}")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told.count("reserved") == (250 if together else 300)
    assert set(told) == {"reserved", "limit_reached"}
    with two[0].read() as db:
        assert first_break(db) is None


def test_what_was_read_counts_no_longer_once_somebody_beside_has_written(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    add(one, LIMITS, limit("l1", 20))
    turn, goes_on = threading.Event(), threading.Event()

    def late(db: Connection, some: list[Any]) -> set[str]:
        turn.set()  # its turn is counted, and it has nothing to itself yet
        assert goes_on.wait(LONG_S)
        return locks(db, some)

    def waiting(ledger: Ledger, name: str) -> Any:
        """A claim whose turn is counted and that is not made yet."""
        turn.clear(), goes_on.clear()
        asked = ledger.submit(reserved, claim(name, 5), late)
        assert turn.wait(LONG_S)
        return asked

    def made(ledger: Ledger, name: str, alone: bool = False) -> str:
        return str(ledger.submit(reserved, claim(name, 5), None if alone else locks).result(LONG_S))

    early = waiting(other, "a")
    assert made(one, "b") == "reserved"
    goes_on.set()
    assert early.result(LONG_S) == "reserved"  # between two turns of the first writer that follow on each other
    assert made(one, "c", alone=True) == "reserved"
    early = waiting(one, "d")
    assert made(other, "e") == "reserved"
    goes_on.set()
    assert early.result(LONG_S) == "limit_reached"


def test_a_rule_that_another_changes_counts_at_once(two: tuple[Ledger, Ledger]) -> None:
    one, other = two

    def seen(ledger: Ledger) -> list[int]:
        found = ledger.submit(
            lambda db, some: [[r["amount"] for r in all_limits(db, "c1")] for _ in some], None, no_locks
        )
        return list(found.result(LONG_S))

    for turn in range(1, 6):
        new = {k: v for k, v in limit("l1", turn).items() if k != "campaign_id"}
        one.write(lambda db, some, new=new: [set_limits(db, "c1", [new], NOW) for _ in some])
        assert seen(one) == seen(other) == seen(one) == seen(other) == [turn]


def test_a_row_that_comes_to_light_late_is_passed_over_by_no_reader(two: tuple[Ledger, Ledger]) -> None:
    one, other = two
    inserted, goes_on = threading.Event(), threading.Event()
    row = {"customer_id": "u", "ts_ms": 1, "received_ms": 1, "name": "x", "body": "{}"}

    def insert(db: Connection, some: list[str]) -> list[None]:
        db.execute(EVENTS.insert(), [row | {"message_id": each} for each in some])
        if some == ["early"]:
            inserted.set()
            assert goes_on.wait(LONG_S)
        return [None for _ in some]

    def last(db: Connection) -> int:
        return max(db.execute(select(EVENTS.c.seq)).scalars(), default=0)

    early = one.submit(insert, "early", named("u:1"))
    assert inserted.wait(LONG_S)
    other.submit(insert, "late", named("u:2")).result(LONG_S)
    with other.read() as db:
        late = last(db)
    found: list[int] = []
    reader = threading.Thread(target=lambda: found.append(other.settled(last)))
    reader.start()
    reader.join(SOON_S)
    assert not found  # it waits for the one that has a lower number
    goes_on.set()
    early.result(LONG_S)
    reader.join(LONG_S)
    with one.read() as db:
        assert (found[0], len(db.execute(select(EVENTS)).all())) == (late, 2)
