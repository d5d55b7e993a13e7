"""A ledger with limits, and what must hold of its books at any moment."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
from sqlalchemy import URL, Connection, Engine, Table, create_engine, delete, insert, make_url, select, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.schema import CreateSchema, DropSchema

from promolift.server.ledger.audit_log import first_break
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.limits import RedemptionClaim, RedemptionTransaction, period_key, reserve
from promolift.server.ledger.migrations import open_tables
from promolift.server.ledger.schema import (
    CODES,
    CUSTOMERS,
    LIMITS,
    META,
    RECORDS,
    REDEMPTIONS,
    USAGE,
    transaction_cache,
)

POSTGRES = os.environ.get("PROMOLIFT_TEST_POSTGRES")  # such as postgresql+psycopg://user@host/empty_database
KINDS = ["sqlite", "postgresql"]
NOW = 1_764_000_000_000  # 2025-11-24 16:00 UTC

SUPPORT = Path(__file__).parent  # where processes that tests start find the helpers


def ledger_url(folder: Path, kind: str) -> str:
    """Where a test keeps its ledger; skips where PostgreSQL is wanted and none is named.

    Tests that run side by side have a schema each, so that none empties another's tables.
    """
    if kind == "sqlite":
        return f"sqlite:///{folder / 'ledger.db'}"
    if not POSTGRES:
        pytest.skip("PostgreSQL: set PROMOLIFT_TEST_POSTGRES to the URL of an empty database (.ci/run does)")
    return own_schema("test", anew=False)


def own_schema(name: str, anew: bool) -> str:
    """The URL of a schema of PostgreSQL that no other worker of this run of the tests reads, drops or waits for.

    Each worker has a database of its own: the ledger's locks hold in all schemas of one.
    """
    url, worker = make_url(str(POSTGRES)), os.environ.get("PYTEST_XDIST_WORKER", "main")
    own = url.set(database=f"{url.database}_{worker}")
    with suppress(ProgrammingError), _engine(url, isolation_level="AUTOCOMMIT") as engine, engine.connect() as db:
        db.execute(text(f'create database "{own.database}" template template0'))  # an error where it is there
    with _engine(own) as engine, engine.begin() as db:
        if anew:
            db.execute(DropSchema(name, cascade=True, if_exists=True))
        db.execute(CreateSchema(name, if_not_exists=True))
    return own.update_query_dict({"options": f"-csearch_path={name}"}).render_as_string(False)


@contextmanager
def _engine(url: URL, **options: str) -> Iterator[Engine]:
    engine = create_engine(url, **options)
    try:
        yield engine
    finally:
        engine.dispose()


def open_ledger(folder: Path, kind: str = "sqlite", empty: bool = True) -> Ledger:
    """A ledger; the PostgreSQL one is emptied, if so wanted."""
    ledger = Ledger(ledger_url(folder, kind), open_tables)
    if kind == "postgresql" and empty:
        tables = ", ".join(f'"{table.name}"' for table in META.sorted_tables if table is not RECORDS)
        unmarked = delete(RECORDS).where(RECORDS.c.kind != "ledger")  # the mark of its form stays

        def emptied(db: Connection, some: list[None]) -> list[None]:
            db.execute(text(f"truncate {tables}"))
            db.execute(unmarked)
            transaction_cache(db).clear()
            return some

        ledger.write(emptied)
    return ledger


def limit(limit_id: str, amount: int, metric: str = "discount_amount", **more: str) -> dict[str, object]:
    """A row of `limits` for the campaign c1."""
    row = {"limit_id": limit_id, "campaign_id": "c1", "offer_id": "", "metric": metric, "amount": amount}
    return row | {"period": "total", "per": "campaign", "zone": "UTC"} | more


def add(ledger: Ledger, table: Table, *rows: dict[str, object]) -> None:
    """Insert rows as they are."""

    def work(db: Connection, some: list[None]) -> list[None]:
        db.execute(insert(table), list(rows))
        transaction_cache(db).clear()
        return some

    ledger.write(work)


def claim(number: int | str, cents: int = 100, customer: str = "u1", **more: object) -> RedemptionClaim:
    """A claim on offer o1 of campaign c1."""
    given = {"redemption_id": f"rdm_{number}", "campaign_id": "c1", "offer_id": "o1", "customer_id": customer}
    return RedemptionClaim(**(given | {"amount_cents": cents, "now_ms": NOW} | more))  # type: ignore[arg-type]


def issued(code: str, **more: object) -> dict[str, object]:
    """A row of `codes`: one that was made for customer u1 and offer o1 of campaign c1."""
    return {"code": code, "campaign_id": "c1", "offer_id": "o1", "customer_id": "u1", "status": "issued"} | more


def do(ledger: Ledger, function: object, *arguments: object, **named: object) -> object:
    """One call of a money function in the writer's thread."""
    return ledger.write(lambda db, some: [function(db, *arguments, **named) for _ in some])  # type: ignore[operator]


def confirm(db: Connection, redemption_id: str, amount_cents: int | None, now_ms: int) -> object:
    """One confirmation."""
    with RedemptionTransaction(db, now_ms) as books:
        return books.confirm(redemption_id, amount_cents)


def rollback(db: Connection, redemption_id: str, now_ms: int, amount_cents: int | None = None) -> object:
    """One cancellation, or the return of a part."""
    with RedemptionTransaction(db, now_ms) as books:
        return books.rollback(redemption_id, amount_cents=amount_cents)


def reserve_all(db: Connection, claims: list[RedemptionClaim]) -> list[object]:
    """The work of a reservation, for `submit`."""
    return [reserve(db, each) for each in claims]


def check_books(ledger: Ledger, strict: bool = True) -> None:
    """`usage` is the sum of the redemptions that count in it, no limit is passed, and the audit chain holds.

    Not `strict`: a limit may have been stated lower than what was spent already.
    """
    with ledger.read() as db:
        limits = {(row["campaign_id"], row["limit_id"]): row for row in db.execute(select(LIMITS)).mappings()}
        held, spent = Counter[object](), Counter[object]()
        columns = {"customer": "customer_id", "natural_person": "person"}
        for row in db.execute(select(REDEMPTIONS)).mappings():
            for name, limit in limits.items():
                if name[0] not in ("*", row["campaign_id"]) or limit["offer_id"] not in ("", row["offer_id"]):
                    continue
                period = period_key(limit["period"], row["ts_ms"], limit["zone"])
                whose = name[0] if limit["per"] == "campaign" else row[columns[limit["per"]]]
                cell, one = (*name, whose, period), limit["metric"] == "redemptions"
                if row["status"] == "reserved":
                    held[cell] += 1 if one else row["reserved_cents"]
                elif row["status"] == "confirmed":
                    spent[cell] += 1 if one else row["final_cents"]
        for row in db.execute(select(USAGE)).mappings():
            cell = (row["campaign_id"], row["limit_id"], row["subject"], row["period_key"])
            assert (row["held"], row["spent"]) == (held[cell], spent[cell]), cell
            assert row["held"] + row["spent"] >= 0
            if strict:
                assert row["held"] + row["spent"] <= limits[cell[:2]]["amount"]
        codes = select(REDEMPTIONS.c.code).where(REDEMPTIONS.c.status.in_(["reserved", "confirmed"]))
        used = Counter(code for code in db.execute(codes).scalars() if code)
        assert not [code for code, times in used.items() if times > 1]
        assert first_break(db) is None


__all__ = ["CODES", "CUSTOMERS", "KINDS", "LIMITS", "NOW", "POSTGRES", "add", "check_books", "claim", "confirm", "do",
           "issued", "ledger_url", "limit", "open_ledger", "own_schema", "reserve_all",
           "rollback"]  # fmt: skip
