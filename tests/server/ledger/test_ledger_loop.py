"""What an event loop asks for runs in its own thread up to the commit, and is as safe as what the writer runs."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from pathlib import Path

import pytest
from error_checks import raises_code
from ledger_helpers import KINDS, LIMITS, NOW, SUPPORT, add, check_books, limit, open_ledger
from sqlalchemy import Connection, Text, bindparam, func, insert, select

from promolift.server.ledger import engines as checkpoints
from promolift.server.ledger.audit_log import list_records, put_record
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.schema import (
    DECISIONS,
    EVENTS,
    RECORDS,
    REDEMPTIONS,
    ROWS_PER_STATEMENT,
    JsonList,
    LedgerError,
    Query,
    Refused,
    execute_raw,
)


def keep(db: object, names: list[str]) -> list[str]:
    for name in names:
        if name == "bad":
            raise Refused("bad", "no")
        put_record(db, "k", name, name, NOW)  # type: ignore[arg-type]
    return names


def kept(ledger: Ledger) -> set[str]:
    with ledger.read() as db:
        return set(list_records(db, "k"))


def test_brief_changes_share_a_commit_in_the_loops_thread_and_keep_their_own_results(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []

    def note(_: object, some: list[int]) -> list[int]:
        calls.append((threading.get_ident(), len(some)))
        return [2 * number for number in some]

    async def ask() -> list[int]:
        return await asyncio.gather(*(ledger.call(note, number, brief=True) for number in range(50)))

    with open_ledger(tmp_path) as ledger:
        assert asyncio.run(ask()) == [2 * number for number in range(50)]
    assert calls == [(threading.get_ident(), 50)]


@pytest.mark.parametrize("kind", KINDS)
def test_other_changes_join_the_commit_that_brief_ones_wait_for(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def listening(connection: Connection, text: str) -> None:
        said.append(text)
        execute_raw(connection, text)

    with open_ledger(tmp_path, kind) as ledger:
        other: list[Future[str]] = []

        def brief(db: object, names: list[str]) -> list[str]:
            other.append(ledger.submit(keep, "other"))  # before the commit, whichever thread this runs in
            return keep(db, names)

        async def ask() -> str:
            return await asyncio.wait_for(ledger.call(brief, "brief", brief=True), 20)

        monkeypatch.setattr("promolift.server.ledger.ledger.execute_raw", listening)
        assert asyncio.run(ask()) == "brief"
        assert other[0].result(20) == "other"
        assert kept(ledger) == {"brief", "other"}
    assert said.count("commit") == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("alike", [True, False])
def test_a_long_row_of_other_changes_lets_brief_ones_through_and_comes_to_its_end_beside_them(
    tmp_path: Path, kind: str, alike: bool
) -> None:
    order: list[str] = []

    def slow(_: object, some: list[None]) -> list[None]:
        for _each in some:
            time.sleep(0.002)
            order.append("slow")
        return some

    def note(_: object, names: list[str]) -> list[str]:
        order.extend(names)
        return names

    async def ask() -> None:
        works = [slow if alike else partial(slow) for _ in range(100)]
        others = [ledger.call(work) for work in works]
        while not all(each.done() for each in others):
            await asyncio.wait_for(ledger.call(note, "brief", brief=True), 20)

    with open_ledger(tmp_path, kind) as ledger:
        asyncio.run(ask())
    runs = sorted(len(list(some)) for name, some in groupby(order) if name == "slow")
    assert sum(runs) == 100
    assert runs[len(runs) // 2] <= 4  # most: on a busy machine the loop itself comes late


def test_a_bad_brief_change_fails_alone(tmp_path: Path) -> None:
    async def ask() -> list[object]:
        asked = [ledger.call(keep, name, brief=True) for name in ("a", "bad", "b")]
        return await asyncio.gather(*asked, return_exceptions=True)

    with open_ledger(tmp_path) as ledger:
        good, bad, other = asyncio.run(ask())
        assert (good, other) == ("a", "b")
        assert isinstance(bad, Refused)
        assert kept(ledger) == {"a", "b"}


def test_threads_and_a_loop_take_turns_and_nobody_is_left_waiting(tmp_path: Path) -> None:
    def thread(me: int) -> None:
        for number in range(40):
            ledger.write(keep, f"thread {me} {number}", timeout=60)

    async def task(me: int) -> None:
        for number in range(40):
            await asyncio.wait_for(ledger.call(keep, f"task {me} {number}", brief=number % 4 != 3), 60)

    async def ask() -> None:
        await asyncio.gather(*(task(me) for me in range(8)), *(asyncio.to_thread(thread, me) for me in range(4)))

    with open_ledger(tmp_path) as ledger:
        asyncio.run(ask())
        assert len(kept(ledger)) == 12 * 40


def test_the_loop_goes_on_while_another_process_holds_the_file(tmp_path: Path) -> None:
    async def ask() -> str:
        other = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        other.execute("begin immediate")
        asked = ledger.call(keep, "a", brief=True)
        await asyncio.sleep(0.05)
        assert not asked.done()
        other.execute("rollback")  # a loop that waited inside the database would never come here
        other.close()
        return await asyncio.wait_for(asked, 20)

    with open_ledger(tmp_path) as ledger:
        assert ledger.write(lambda db, _: [db.exec_driver_sql("pragma busy_timeout").scalar()]) == 0
        assert asyncio.run(ask()) == "a"
        assert kept(ledger) == {"a"}


def test_a_full_disk_refuses_brief_changes_whole_and_they_go_on_when_there_is_room(tmp_path: Path) -> None:
    def pages(db: object, most: list[int]) -> list[int]:
        return [db.exec_driver_sql(f"pragma max_page_count = {n}").scalar() for n in most]  # type: ignore[attr-defined]

    async def ask(first: int) -> list[object]:
        asked = [ledger.call(keep, f"{first + n} " + "x" * 3000, brief=True) for n in range(10)]
        return await asyncio.gather(*asked, return_exceptions=True)

    with open_ledger(tmp_path) as ledger:
        ledger.write(pages, ledger.write(pages, 1) + 100)
        answers = [answer for first in range(0, 100, 10) for answer in asyncio.run(ask(first))]
        acknowledged = {answer for answer in answers if isinstance(answer, str)}
        assert all(
            isinstance(answer, LedgerError) and answer.code == "ledger_write_failed" and "full" in str(answer)
            for answer in answers
            if answer not in acknowledged
        )
        assert 0 < len(acknowledged) < 100
        ledger.write(pages, 1_000_000)
        assert all(isinstance(answer, str) for answer in asyncio.run(ask(100)))
        assert {name for name in kept(ledger) if int(name.split()[0]) < 100} == acknowledged


@pytest.mark.parametrize("brief", [True, False])
def test_a_commit_that_fails_is_told_to_all_and_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, brief: bool
) -> None:
    async def ask(names: str) -> list[object]:
        asked = [ledger.call(keep, name, brief=brief) for name in names]
        return await asyncio.gather(*asked, return_exceptions=True)

    with open_ledger(tmp_path) as ledger:

        def failing(connection: Connection, text: str) -> None:
            if text == "commit":
                raise sqlite3.OperationalError("disk I/O error")
            execute_raw(connection, text)

        monkeypatch.setattr("promolift.server.ledger.ledger.execute_raw", failing)
        for answer in asyncio.run(ask("abc")):
            assert isinstance(answer, LedgerError)
            assert answer.code == "ledger_write_failed"
            assert "disk I/O error" in str(answer)
        monkeypatch.undo()
        assert asyncio.run(ask("d")) == ["d"]
        assert kept(ledger) == {"d"}


def test_a_result_nobody_waits_for_is_told_to_who_asked_to_hear_of_it(tmp_path: Path) -> None:
    late: list[str] = []

    async def ask() -> None:
        asked = ledger.call(keep, "a", brief=True, late=late.append)
        asked.cancel()
        while not late:
            await asyncio.sleep(0.001)

    with open_ledger(tmp_path) as ledger:
        asyncio.run(asyncio.wait_for(ask(), 20))
        assert late == ["a"]
        assert kept(ledger) == {"a"}


def test_what_a_loop_left_waiting_is_kept_and_stops_nobody(tmp_path: Path) -> None:
    async def leave() -> None:
        ledger.call(keep, "left", brief=True)  # the loop ends before it comes to that

    async def ask() -> str:
        return await asyncio.wait_for(ledger.call(keep, "next", brief=True), 20)

    with open_ledger(tmp_path) as ledger:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave())
        loop.close()
        assert asyncio.run(ask()) == "next"
        assert ledger.write(keep, "thread", timeout=20) == "thread"
        assert kept(ledger) == {"left", "next", "thread"}
        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave())
        loop.close()
    with open_ledger(tmp_path) as again:
        assert kept(again) == {"left", "next", "thread"}


KILLED = """
import asyncio, sys
from pathlib import Path
from ledger_helpers import claim, open_ledger, reserve_all
ledger = open_ledger(Path(sys.argv[1]))
async def client(me):
    for number in range(100000):
        name = f"{sys.argv[2]}_{me}_{number}"
        try:
            await ledger.call(reserve_all, claim(name, 7, f"u{me}"), brief=True)
        except Exception as error:
            print("refused", type(error).__name__, flush=True)
            return
        print(f"rdm_{name}", flush=True)
async def main():
    await asyncio.gather(*(client(me) for me in range(16)))
asyncio.run(main())
"""


def test_a_killed_loop_loses_nothing_it_acknowledged_and_never_overspends(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        add(ledger, LIMITS, limit("l1", 7 * 400 + 3))
    acknowledged: set[str] = set()
    for life in range(3):
        command = [sys.executable, "-c", KILLED, str(tmp_path), str(life)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SUPPORT)
        assert process.stdout
        for line in process.stdout:
            if line.startswith("refused") or len(acknowledged) > (life + 1) * 100:
                break
            acknowledged.add(line.strip())
        process.kill()
        acknowledged |= {line.strip() for line in process.stdout if line.startswith("rdm_") and line.endswith("\n")}
        process.stdout.close()
        process.wait()
        with open_ledger(tmp_path) as ledger:
            with ledger.read() as db:
                assert acknowledged <= set(db.execute(select(REDEMPTIONS.c.redemption_id)).scalars())
            check_books(ledger)
    assert len(acknowledged) > 200


def test_the_log_is_copied_back_beside_the_commits_and_never_grows_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_EVERY_S", 0.0)
    monkeypatch.setattr(checkpoints, "LONG_WAL_PAGES", 40)
    with open_ledger(tmp_path) as ledger:
        for number in range(600):
            ledger.write(keep, f"{number} " + "x" * 3000)
        log = (tmp_path / "ledger.db-wal").stat().st_size
        assert (tmp_path / "ledger.db").stat().st_size > 1_000_000
        assert log < 6_000_000  # each commit writes about 16 kB: 10 MB in all; a busy machine copies late
        assert len(kept(ledger)) == 600


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_gives_the_same_rows_and_counts_on_both_databases(tmp_path: Path, kind: str) -> None:
    columns = [column.name for column in EVENTS.c if column.name != "seq"]
    new = Query(insert(EVENTS).inline(), columns, " on conflict (message_id) do nothing")
    query = Query(
        select(EVENTS.c.message_id, EVENTS.c.ts_ms)
        .where(
            EVENTS.c.customer_id.op("in")(JsonList("people")), EVENTS.c.name == "x", EVENTS.c.ts_ms > bindparam("since")
        )
        .order_by(EVENTS.c.ts_ms)
    )

    def row(number: int) -> dict[str, object]:
        mine = {"message_id": f"m{number}", "customer_id": f"u'{number % 3}", "ts_ms": number, "received_ms": 0}
        return mine | {"name": "x", "decision_id": None, "body": "{}", "value_cents": None}

    many = 2 * ROWS_PER_STATEMENT + 37
    with open_ledger(tmp_path, kind) as ledger:
        assert ledger.write(lambda db, _: [new.many(db, [row(n) for n in range(many)])]) == many
        again = [row(n) for n in range(ROWS_PER_STATEMENT, many + 20)]  # the last 20 are new
        assert ledger.write(lambda db, _: [new.many(db, again)]) == 20
        assert ledger.write(lambda db, _: [new.many(db, [])]) == 0
        with ledger.read() as db:
            assert db.execute(select(func.count()).select_from(EVENTS)).scalar() == many + 20
            assert db.execute(select(func.count()).where(RECORDS.c.kind != "ledger")).scalar() == 0
            found = query.rows(db, people='["u\'1", "u\'2", "nobody"]', since=250)
        assert [tuple(each) for each in found] == [(f"m{n}", n) for n in range(251, many + 20) if n % 3]


@pytest.mark.parametrize("kind", KINDS)
def test_a_yes_is_1_and_what_json_would_change_comes_back_as_it_was(tmp_path: Path, kind: str) -> None:
    new = Query(insert(DECISIONS).inline())
    texts = {name: 'a"\\ 汉\n\u2028' for name, column in DECISIONS.c.items() if isinstance(column.type, Text)}
    numbers = {"ts_ms": 2**53 + 1, "propensity": 0.1, "seed": -(2**63), "price": 1e-300, "unanswered": 0}
    rows = [
        {
            **dict.fromkeys(DECISIONS.c.keys()),
            **texts,
            **numbers,
            "decision_id": f"dec_{n}",
            "holdout": n == 1,
            "code": None,
        }
        for n in range(3)
    ]
    with open_ledger(tmp_path, kind) as ledger:
        assert ledger.write(lambda db, _: [new.many(db, rows)]) == 3
        with ledger.read() as db:
            found = db.execute(select(DECISIONS).order_by(DECISIONS.c.decision_id)).mappings()
            assert [dict(row) for row in found] == rows


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", [AssertionError("no"), SystemExit(1), StopIteration(), pytest.fail.Exception("no")])
@pytest.mark.parametrize("brief", [True, False])
def test_whatever_a_change_raises_is_its_callers_and_the_writer_goes_on(
    tmp_path: Path, kind: str, fault: BaseException, brief: bool
) -> None:
    def fail(db: object, some: list[None]) -> list[None]:
        raise fault

    async def ask() -> list[object]:
        late = ledger.call(fail, None, brief, late=fail)  # type: ignore[arg-type]
        late.cancel()
        asked = [ledger.call(fail, None, brief), ledger.call(keep, "good", brief)]
        return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 20)

    with open_ledger(tmp_path, kind) as ledger:
        failed, good = asyncio.run(ask())
        assert isinstance(failed, BaseException)
        assert good == "good"
        with pytest.raises((type(fault), RuntimeError)):
            ledger.write(fail, None, 20)
        assert ledger.write(keep, "more", 20) == "more"


def test_a_writer_that_fails_itself_tells_all_who_wait_and_all_who_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with open_ledger(tmp_path) as ledger:
        monkeypatch.setattr(ledger, "_finish", lambda *_: 1 / 0)
        monkeypatch.setattr(ledger, "_commit", lambda *_: 1 / 0)
        with raises_code("ledger_write_failed", kind=LedgerError):
            ledger.write(keep, "a", 20)
        with raises_code("ledger_stopped", kind=LedgerError):
            ledger.write(keep, "b", 20)
        assert "the ledger's writer ended" in caplog.text
