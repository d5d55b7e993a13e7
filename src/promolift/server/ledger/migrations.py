"""Upgrade a ledger of an earlier version to the present tables with all its data, or refuse it.

The steps run in the transaction that opens the ledger, on SQLite and PostgreSQL alike: a kill in the middle leaves the
ledger as it was. There is no downgrade, so keep a backup.

Servers of two versions may share a ledger during an upgrade. So a step expands or contracts, never both. An expanding
step adds tables, indexes and nullable columns; code of the previous schema version keeps working on such a ledger. A
contracting step, or one that changes the meaning of a column, comes a version later, when no running code needs what
goes. It names the oldest version that can work on its result (`oldest`) and is refused while an older server is alive.
A server that finds itself too old drains and ends.
"""

import json
import os
import re
import socket
from collections.abc import Callable
from time import time
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Table, insert, inspect, select, text, update
from sqlalchemy.schema import CreateColumn

from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.version import __version__
from promolift.server.ledger.audit_log import damaged_record, delete_record, get_record, list_records, put_record
from promolift.server.ledger.limits import recount_usage
from promolift.server.ledger.schema import (
    ANSWERS,
    CODES,
    CUSTOMERS,
    DECISIONS,
    EVENTS,
    LIMITS,
    OUTBOX,
    PEOPLE,
    RECORDS,
    REJECTS,
    USAGE,
    make_tables,
)

SCHEMA_VERSION = 6
ALIVE_MS = 20_000  # since a server was heard of last
SERVER_KIND = "server"  # things of the ledger: who serves it
UNSTORABLE_CHARACTERS = re.compile("[\0\ud800-\udfff]")  # halves of characters, and what PostgreSQL takes in no text
ROWS_PER_BATCH = 5000  # rows that are read at a time
PENDING_REFUSALS = (
    "refusals"  # a thing of the ledger: after which event refusals of personal decisions may be in events alone
)
REFUSALS_VERSION = 4  # the form whose servers keep them


def open_tables(db: Connection) -> None:
    """Make a new ledger's tables, or bring an older one's up to the present.

    ConfigError for a later one's that this version cannot work on, and while servers run that could not go on.
    """
    found = inspect(db)
    marked = get_record(db, "ledger", "schema") if found.has_table(RECORDS.name) else None
    if marked is not None and not (isinstance(marked, dict) and isinstance(marked.get("version"), int)):
        raise damaged_record("ledger", "schema")
    version = marked["version"] if marked else SCHEMA_VERSION
    if marked is None and found.has_table("redemptions"):  # the first version left no mark
        version = 1 if "cells" in {column["name"] for column in found.get_columns("redemptions")} else 2
    if version > SCHEMA_VERSION:
        if is_outdated(db):
            fault = gettext_lazy(
                "a later version of promolift made it (form {version}, this one knows {schema_version})",
                version=version,
                schema_version=SCHEMA_VERSION,
            )
            raise ConfigError(
                "ledger_too_new",
                gettext_lazy("ledger: {fault}; use that version, or the backup from before", fault=fault),
            )
        return
    for step in (MIGRATION_STEPS[form] for form in range(version, SCHEMA_VERSION)):
        if late := [who for who, form in live_servers(db).items() if form < step.oldest]:
            fault = gettext_lazy("servers of an earlier version serve it: {late}", late=", ".join(sorted(late)))
            raise ConfigError(
                "servers_too_old",
                gettext_lazy(
                    "ledger: {fault}; end them, or bring them to the version before this one first", fault=fault
                ),
            )
        step.work(db)
    make_tables(db)
    mark = {"version": SCHEMA_VERSION, "oldest": max(step.oldest for step in MIGRATION_STEPS.values())}
    if marked != mark:
        put_record(db, "ledger", "schema", mark, round(time() * 1000))


def is_outdated(db: Connection) -> bool:
    """Return whether this version cannot work on the ledger's schema."""
    marked = get_record(db, "ledger", "schema") or {"version": SCHEMA_VERSION}
    return int(marked.get("oldest", marked["version"])) > SCHEMA_VERSION


def record_heartbeat(db: Connection, name: str) -> None:
    """Record that a server is alive, and its schema version."""
    here = {"form": SCHEMA_VERSION, "code": __version__, "host": socket.gethostname(), "pid": os.getpid()}
    put_record(db, SERVER_KIND, name, here | {"seen_ms": _now_ms(db)}, 0)


def live_servers(db: Connection) -> dict[str, int]:
    """Return the schema version of each server with a recent heartbeat; forget the others."""
    found, now_ms = {}, _now_ms(db)
    for name, said in list_records(db, SERVER_KIND).items():
        if now_ms - said["seen_ms"] < ALIVE_MS:
            found[f"{said['host']}:{said['pid']}"] = int(said["form"])
        else:
            delete_record(db, SERVER_KIND, name)
    return found


def _now_ms(db: Connection) -> int:
    """By the clock that all servers of the ledger share."""
    if db.dialect.name == "sqlite":
        return round(time() * 1000)
    return int(db.execute(text("select (extract(epoch from clock_timestamp()) * 1000)::bigint")).scalar_one())


def _from_1(db: Connection) -> None:
    """Values and customers in columns of their own; limits that belong to their campaign; cells that are sums."""
    _add(db, EVENTS, EVENTS.c.value_cents)
    _add(db, CODES, CODES.c.cap_cents)
    for table in (ANSWERS, OUTBOX, REJECTS):
        _add(db, table, table.c.customer_id)
    for table, key in ((ANSWERS, ANSWERS.c.key), (OUTBOX, OUTBOX.c.delivery_id), (REJECTS, REJECTS.c.seq)):
        _name_customers(db, table, key)
    feedback = select(EVENTS.c.seq, EVENTS.c.body).where(EVENTS.c.decision_id.is_not(None))
    for seq, body in db.execute(feedback).all():
        said = json.loads(body)
        if said.keys() == {"value_cents"}:  # as feedback wrote it: a page's events say more
            db.execute(update(EVENTS).where(EVENTS.c.seq == seq).values(value_cents=said["value_cents"]))
    db.execute(text("alter table redemptions add column person text not null default ''"))
    known = "(select person_id from customers c where c.customer_id = redemptions.customer_id)"
    db.execute(text(f"update redemptions set person = coalesce({known}, customer_id)"))
    db.execute(text("alter table redemptions drop column cells"))
    limits = [dict(row) for row in db.execute(text("select * from limits")).mappings()]
    for table in (LIMITS, USAGE):
        db.execute(text(f"drop table {table.name}"))
        table.create(db)
    for limit in limits:
        db.execute(insert(LIMITS).values(**limit))
        recount_usage(db, limit, round(time() * 1000))


def _from_2(db: Connection) -> None:
    """What decisions say of the channel, the moment of sending, and the campaigns that met."""
    for name in ("channel", "send_ms", "send_prob", "considered"):
        _add(db, DECISIONS, DECISIONS.c[name])


def _from_3(db: Connection) -> None:
    """What customers say of personal decisions. A server of form 3 may go on for a while and keeps it as events alone:
    others look for it there (promolift.server.events.events).
    """
    _add(db, CUSTOMERS, CUSTOMERS.c.personal)
    put_record(db, "ledger", PENDING_REFUSALS, {"after": 0}, round(time() * 1000))


def _from_4(db: Connection) -> None:
    """Limits that count from a moment on: the budget of a release."""
    if "since_ms" not in {column["name"] for column in inspect(db).get_columns(LIMITS.name)}:
        _add(db, LIMITS, LIMITS.c.since_ms)  # the first step makes the table anew


def _from_5(db: Connection) -> None:
    """E-mail addresses of the console's people."""
    found = inspect(db)
    if found.has_table(PEOPLE.name) and "email" not in {one["name"] for one in found.get_columns(PEOPLE.name)}:
        _add(db, PEOPLE, PEOPLE.c.email)


def _add(db: Connection, table: Table, column: Column[Any]) -> None:
    db.execute(text(f"alter table {table.name} add column {CreateColumn(column).compile(dialect=db.dialect)}"))


def _name_customers(db: Connection, table: Table, key: Column[int] | Column[str]) -> None:
    for name, body in db.execute(select(key, table.c.body)).all():
        who = find_customer_id(body)
        if who is not None:
            db.execute(update(table).where(key == name).values(customer_id=who))


def find_customer_id(body: str) -> str | None:
    """The customer whom an answer, a message or an event tells of; None for an id that no database keeps."""
    try:
        said = json.loads(body)
    except ValueError:
        return None
    for part in (said, said.get("data") if isinstance(said, dict) else None):
        for name in ("customer_id", "userId", "anonymousId"):
            if isinstance(part, dict) and part.get(name) not in (None, ""):
                who = str(part[name])[:256]
                return None if UNSTORABLE_CHARACTERS.search(who) else who
    return None


class MigrationStep(NamedTuple):
    """A step up from one form: its work, and the oldest form whose code can work on what it leaves."""

    work: Callable[[Connection], None]
    oldest: int


MIGRATION_STEPS = {
    1: MigrationStep(_from_1, oldest=2),
    2: MigrationStep(_from_2, oldest=2),
    3: MigrationStep(_from_3, oldest=2),
    4: MigrationStep(_from_4, oldest=2),
    5: MigrationStep(_from_5, oldest=2),
}
assert set(MIGRATION_STEPS) == set(range(1, SCHEMA_VERSION)), "every version but the present needs a step up"
