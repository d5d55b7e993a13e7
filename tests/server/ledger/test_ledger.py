"""The ledger keeps all it acknowledged, in groups, and one bad change fails alone."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from error_checks import raises_code
from ledger_helpers import (
    CODES,
    KINDS,
    LIMITS,
    NOW,
    POSTGRES,
    SUPPORT,
    add,
    check_books,
    claim,
    issued,
    ledger_url,
    limit,
    open_ledger,
    own_schema,
    reserve_all,
)
from sqlalchemy import Connection, create_engine, func, insert, select, text, update

from promolift.foundation.errors import ConfigError
from promolift.foundation.hashing import HASHED_FIELDS, chain_hash
from promolift.server.ledger.audit_log import (
    AuditAction,
    HttpResponse,
    append_audit,
    delete_record,
    first_break,
    get_record,
    list_records,
    put_record,
    run_once,
)
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.limits import RedemptionTransaction
from promolift.server.ledger.migrations import open_tables
from promolift.server.ledger.schema import ANSWERS, AUDIT, RECORDS, REDEMPTIONS, USAGE, LedgerError, Refused


@pytest.fixture(params=KINDS)
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path, request.param) as opened:
        yield opened


def call(ledger: Ledger, function: object, *arguments: object) -> object:
    return ledger.write(lambda db, some: [function(db, *arguments) for _ in some])  # type: ignore[operator]


def test_changes_that_wait_together_share_a_commit_and_keep_their_own_results(ledger: Ledger) -> None:
    begun, gate, calls = threading.Event(), threading.Event(), []

    def wait(_: object, some: list[object]) -> list[object]:
        begun.set()
        gate.wait(10)
        return some

    def note(db: object, some: list[int]) -> list[int]:
        calls.append(len(some))
        return [number * 2 for number in some]

    ledger.submit(wait)
    assert begun.wait(10)
    futures = [ledger.submit(note, number) for number in range(200)]
    gate.set()
    assert [future.result(10) for future in futures] == [2 * number for number in range(200)]
    assert sum(calls) == 200
    assert len(calls) <= 20  # the more the quicker they are; a busy machine is slow


def test_a_bad_change_fails_alone_and_leaves_nothing(ledger: Ledger) -> None:
    def keep(db: object, some: list[str]) -> list[None]:
        for name in some:
            db.execute(insert(RECORDS).values(kind="k", id=name, body="1", ts_ms=0))  # type: ignore[attr-defined]
            if name == "bad":
                raise Refused("bad", "no")
        return [None for _ in some]

    gate = threading.Event()
    ledger.submit(lambda _, some: [gate.wait(10) for _ in some])
    futures = {name: ledger.submit(keep, name) for name in ("a", "bad", "b", "a")}
    twice = ledger.submit(keep, "b")
    gate.set()
    with pytest.raises(Refused):
        futures["bad"].result(10)
    with raises_code("ledger_write_failed", kind=LedgerError):
        twice.result(10)
    with ledger.read() as db:
        assert sorted(db.execute(select(RECORDS.c.id).where(RECORDS.c.kind == "k")).scalars()) == ["a", "b"]


def test_a_closed_ledger_has_kept_what_waited_and_takes_no_more(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path)
    futures = [ledger.submit(lambda db, some: [put_record(db, "k", str(n), n, 0) for n in some], n) for n in range(50)]
    ledger.close()
    assert all(future.done() for future in futures)
    with raises_code("ledger_closed", kind=LedgerError):
        ledger.submit(reserve_all, claim(1))
    with open_ledger(tmp_path) as again, again.read() as db:
        assert len(list_records(db, "k")) == 50


@pytest.mark.parametrize("kind", KINDS)
def test_closing_lets_readers_end_and_leaves_no_connection_open(tmp_path: Path, kind: str) -> None:
    ledger = open_ledger(tmp_path, kind)
    with ThreadPoolExecutor(1) as threads:
        with ledger.read() as db:
            used, failures = db.connection.dbapi_connection, db.dialect.dbapi.Error
            closing = threads.submit(ledger.close)
            with pytest.raises(TimeoutError):
                closing.result(0.2)
            assert db.execute(text("select 1")).scalar() == 1
            with raises_code("ledger_closed", kind=LedgerError), ledger.read():
                pass
        closing.result(10)
    with pytest.raises(failures):
        used.execute("select 1")


CUT = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid = :pid"


def test_a_connection_that_the_server_ended_loses_no_later_change(tmp_path: Path) -> None:
    def mine(db: Connection, some: list[str]) -> list[int]:
        return [db.execute(text("select pg_backend_pid()")).scalar_one() for _ in some]

    def cut(db: Connection, some: list[str]) -> list[str]:
        put_record(db, "k", "half", 1, NOW)
        db.execute(text("select pg_terminate_backend(pg_backend_pid())"))
        return some

    with open_ledger(tmp_path, "postgresql") as ledger:
        for _ in range(2):
            with ledger.read() as db:
                db.execute(text(CUT), {"pid": ledger.write(mine)})
            assert ledger.write(lambda db, some: [put_record(db, "k", "whole", 1, NOW) or "kept" for _ in some]) in (
                "kept",
                1,
            )
            with raises_code("ledger_write_failed", kind=LedgerError):
                ledger.write(cut)
        with ledger.read() as db:
            assert set(list_records(db, "k")) == {"whole"}


def test_a_writer_sees_what_came_before_its_turn_whatever_the_database_has_as_default(tmp_path: Path) -> None:
    if not POSTGRES:
        pytest.skip("PostgreSQL: set PROMOLIFT_TEST_POSTGRES to the URL of an empty database (.ci/run does)")
    url = own_schema("isolated", anew=True)
    with Ledger(
        url.replace("-csearch_path", "-cdefault_transaction_isolation=serializable%20-csearch_path"), open_tables
    ) as ledger:
        with ledger.read() as db:
            assert db.execute(text("show transaction_isolation")).scalar_one() == "serializable"
        how = call(ledger, lambda db: db.execute(text("show transaction_isolation")).scalar_one())
        assert how == "read committed"


def test_plans_made_while_a_table_was_empty_do_not_read_it_whole_later(tmp_path: Path) -> None:
    if not POSTGRES:
        pytest.skip("PostgreSQL: set PROMOLIFT_TEST_POSTGRES to the URL of an empty database (.ci/run does)")
    here = "pg_stat_xact_user_tables where schemaname = current_schema()"
    read = text(f"select relname, seq_tup_read + idx_tup_fetch from {here}")
    with Ledger(own_schema("plans", anew=True), open_tables) as ledger:
        add(ledger, LIMITS, limit("l", 10**6, per="customer"), limit("all", 10**6))
        add(ledger, CODES, *(issued(f"K{n}", customer_id=None) for n in range(600)))

        def money(db: Connection, some: list[range]) -> list[dict[str, int]]:
            before = dict(map(tuple, db.execute(read)))
            for numbers in some:
                with RedemptionTransaction(db, NOW) as books:
                    books.look_up([f"rdm_{n}" for n in numbers], [f"K{n}" for n in numbers], [f"u{n}" for n in numbers])
                    for n in numbers:
                        books.reserve(claim(n, 1, f"u{n}", code=f"K{n}"))
                with RedemptionTransaction(db, NOW) as books:
                    books.look_up([f"rdm_{n}" for n in numbers], (), ())
                    for n in numbers:
                        books.confirm(f"rdm_{n}", None)
            return [{name: rows - before[name] for name, rows in db.execute(read)} for _ in some]

        found = [ledger.write(money, range(20 * at, 20 * at + 20)) for at in range(30)]
    for name in ("redemptions", "usage", "codes", "limits"):
        assert found[-1][name] <= 2 * found[1][name], name


def test_an_impossible_place_is_an_error_for_people() -> None:
    with raises_code("ledger_unavailable", "/nowhere/at/all/ledger.db", kind=ConfigError):
        Ledger("sqlite:////nowhere/at/all/ledger.db", open_tables)


@pytest.mark.parametrize("kind", KINDS)
def test_a_ledger_of_an_earlier_version_is_refused_and_left_as_it_is(tmp_path: Path, kind: str) -> None:
    with open_ledger(tmp_path, kind) as ledger:
        call(ledger, lambda db: db.execute(text("alter table decisions drop column closed")))
    try:
        with raises_code("ledger_incompatible", "decisions", "closed", kind=ConfigError):
            Ledger(ledger_url(tmp_path, kind), open_tables)
    finally:
        engine = create_engine(ledger_url(tmp_path, kind))
        with engine.begin() as db:
            db.execute(text("drop table decisions"))
        engine.dispose()


def test_a_full_disk_refuses_whole_and_the_ledger_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with open_ledger(tmp_path) as ledger:
        add(ledger, LIMITS, limit("l1", 10**9))
        pages = call(ledger, lambda db: db.exec_driver_sql("pragma page_count").scalar())
        call(ledger, lambda db: db.exec_driver_sql(f"pragma max_page_count = {pages + 8}").scalar())
        kept, lost = [], []
        for number in range(400):
            try:
                ledger.write(reserve_all, claim(number))
                kept.append(f"rdm_{number}")
            except LedgerError as error:
                lost.append(error)
        assert kept
        assert lost
        assert all(error.code == "ledger_write_failed" and "full" in str(error) for error in lost)
        call(ledger, lambda db: db.exec_driver_sql("pragma max_page_count = 1000000").scalar())
        ledger.write(reserve_all, claim("after"))
        with ledger.read() as db:
            assert set(db.execute(select(REDEMPTIONS.c.redemption_id)).scalars()) == {*kept, "rdm_after"}
        check_books(ledger)


KILLED = """
import sys, threading
from ledger_helpers import claim, open_ledger, reserve_all
from pathlib import Path
ledger, lock = open_ledger(Path(sys.argv[1]), sys.argv[3], empty=False), threading.Lock()
def client(me):
    for number in range(100000):
        name = f"{sys.argv[2]}_{me}_{number}"
        try:
            ledger.write(reserve_all, claim(name, 7, f"u{me}"))
        except Exception as error:
            with lock: print("refused", type(error).__name__, flush=True)
            return
        with lock: print(f"rdm_{name}", flush=True)
for me in range(16): threading.Thread(target=client, args=(me,), daemon=True).start()
threading.Event().wait(60)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_process_loses_nothing_it_acknowledged_and_never_overspends(tmp_path: Path, kind: str) -> None:
    with open_ledger(tmp_path, kind) as ledger:
        add(ledger, LIMITS, limit("l1", 7 * 1500 + 3), limit("l2", 10**6, metric="redemptions", per="customer"))
    acknowledged: set[str] = set()
    for life in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path), str(life), kind],
            stdout=subprocess.PIPE, text=True, cwd=SUPPORT,
        )  # fmt: skip
        assert process.stdout
        for line in process.stdout:
            if line.startswith("rdm_"):
                acknowledged.add(line.strip())
            if line.startswith("refused") or len(acknowledged) > (life + 1) * 150:
                break
        process.kill()
        acknowledged |= {line.strip() for line in process.stdout if line.startswith("rdm_") and line.endswith("\n")}
        process.stdout.close()
        process.wait()
        with open_ledger(tmp_path, kind, empty=False) as ledger:
            with ledger.read() as db:
                assert acknowledged <= set(db.execute(select(REDEMPTIONS.c.redemption_id)).scalars())
            check_books(ledger)
    assert len(acknowledged) > 450


def test_two_processes_on_one_postgresql_share_a_limit_and_neither_passes_it(tmp_path: Path) -> None:
    with open_ledger(tmp_path, "postgresql") as ledger:
        add(ledger, LIMITS, limit("l1", 7 * 200 + 3))
        both = [
            subprocess.Popen(
                [sys.executable, "-c", KILLED, str(tmp_path), f"process{me}", "postgresql"],
                stdout=subprocess.PIPE, text=True, cwd=SUPPORT,
            )
            for me in range(2)
        ]  # fmt: skip
        kept = []
        for process in both:
            assert process.stdout
            for line in process.stdout:
                if line.startswith("refused"):
                    break
                kept.append(line.strip())
            process.kill()
            process.stdout.close()
            process.wait()
        with ledger.read() as db:
            assert set(kept) <= set(db.execute(select(REDEMPTIONS.c.redemption_id)).scalars())
            assert db.execute(select(func.sum(USAGE.c.held))).scalar_one() == 7 * 200
        check_books(ledger)


def test_every_later_edit_of_the_audit_log_is_seen(ledger: Ledger) -> None:
    for number in range(5):
        call(ledger, append_audit, NOW + number, AuditAction("me", "did", f"s{number}"), None, {"n": number})
    with ledger.read() as db:
        assert first_break(db) is None
    edits = (
        (update(AUDIT).where(AUDIT.c.seq == 3).values(new='{"n":9}'), 3),
        (update(AUDIT).where(AUDIT.c.seq == 2).values(actor="you"), 2),
        (text("delete from audit where seq = 1"), 1),
    )
    for statement, broken in edits:
        call(ledger, lambda db, do=statement: db.execute(do) and None)
        with ledger.read() as db:
            assert first_break(db) == broken


def test_a_row_forged_together_with_its_own_hash_breaks_the_next(ledger: Ledger) -> None:
    for number in range(4):
        call(ledger, append_audit, NOW + number, AuditAction("me", "did", f"s{number}"), None, {"n": number})

    def forge(db: object) -> None:
        first, second = db.execute(select(AUDIT).order_by(AUDIT.c.seq).limit(2)).mappings()  # type: ignore[attr-defined]
        plain = {name: second[name] for name in HASHED_FIELDS} | {"actor": "you"}
        forged = update(AUDIT).where(AUDIT.c.seq == 2).values(actor="you", hash=chain_hash(first["hash"], plain))
        db.execute(forged)  # type: ignore[attr-defined]

    call(ledger, forge)
    with ledger.read() as db:
        assert first_break(db) == 3


def test_the_same_key_and_payload_run_once_and_another_payload_is_refused(ledger: Ledger) -> None:
    runs = []

    def ask(db: object, key: str, payload: object, at: int = NOW) -> object:
        return run_once(db, key, payload, at, lambda: HttpResponse(200 + len(runs), runs.append(1) or {"n": len(runs)}))  # type: ignore[arg-type]

    assert call(ledger, ask, "k1", {"a": 1, "b": 2}) == ((200, {"n": 1}), None)
    assert call(ledger, ask, "k1", {"b": 2, "a": 1}) == ((200, {"n": 1}), None)
    assert "another payload" in str(call(ledger, ask, "k1", {"a": 2})[1])  # type: ignore[index]
    assert call(ledger, ask, "k2", {"a": 1})[0] == (201, {"n": 2})  # type: ignore[index]
    day_later = NOW + 24 * 3_600_000 + 1
    assert call(ledger, ask, "k1", {"a": 2}, day_later) == ((202, {"n": 3}), None)
    with ledger.read() as db:
        assert db.execute(select(ANSWERS.c.key)).scalars().all() == ["k1"]


def test_an_answer_and_its_change_are_kept_together_or_not_at_all(ledger: Ledger) -> None:
    def half(db: object) -> object:
        run_once(db, "k", 1, NOW, lambda: HttpResponse(200, put_record(db, "thing", "x", 1, NOW)))  # type: ignore[arg-type]
        raise Refused("later", "something after it failed")

    with raises_code("later", kind=Refused):
        call(ledger, half)
    with ledger.read() as db:
        assert get_record(db, "thing", "x") is None
        assert not db.execute(select(ANSWERS)).all()


def test_small_things_are_kept_replaced_listed_and_forgotten(ledger: Ledger) -> None:
    assert call(ledger, put_record, "k", "a", {"名": 1}, NOW) is None
    assert call(ledger, put_record, "k", "a", {"名": 2}, NOW) == {"名": 1}
    call(ledger, put_record, "k", "b", None, NOW)
    with ledger.read() as db:
        assert list_records(db, "k") == {"a": {"名": 2}, "b": None}
        assert json.loads(db.execute(select(RECORDS.c.body).where(RECORDS.c.id == "a")).scalar_one()) == {"名": 2}
    assert call(ledger, delete_record, "k", "a") == {"名": 2}
    with ledger.read() as db:
        assert list(list_records(db, "k")) == ["b"]
