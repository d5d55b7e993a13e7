"""A ledger of an earlier version in; the same with all its data in the present tables, or refused, out.

The steps run in the transaction that opens the ledger, on SQLite and PostgreSQL alike: a kill in the middle leaves it
as it was. There is no way down, so keep the backup from before.

Servers of two versions may share a ledger while one follows the other. So a step expands or contracts, never both. One
that expands adds tables, indexes, and columns that may be null: code of the form before goes on beside it, and is
opened on such a ledger, too. One that contracts, or changes what a column means, comes a version later, when no code
that is still in use needs what goes: it says which form that is (`oldest`), and is refused while a server of an
earlier one is alive. A server that finds itself older than that drains and ends.
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
from promolift.foundation.version import __version__
from promolift.server.ledger.audit_log import drop, every, get, put
from promolift.server.ledger.limits import recount
from promolift.server.ledger.schema import (
    ANSWERS,
    CODES,
    CUSTOMERS,
    DECISIONS,
    EVENTS,
    LIMITS,
    OUTBOX,
    REJECTS,
    THINGS,
    USAGE,
    make_tables,
)

VERSION = 4
ALIVE_MS = 20_000  # since a server was heard of last
SERVER = "server"  # things of the ledger: who serves it
UNKEPT = re.compile("[\0\ud800-\udfff]")  # halves of characters, and what PostgreSQL takes in no text
PART = 5000  # rows that are read at a time
UNHEARD = "refusals"  # a thing of the ledger: after which event refusals of personal decisions may be in events alone
HEARS = 4  # the form whose servers keep them


def open_tables(db: Connection) -> None:
    """Make a new ledger's tables, or bring an older one's up to the present.

    ConfigError for a later one's that this version cannot work on, and while servers run that could not go on.
    """
    found = inspect(db)
    marked = get(db, "ledger", "schema") if found.has_table(THINGS.name) else None
    version = marked["version"] if marked else VERSION
    if marked is None and found.has_table("redemptions"):  # the first version left no mark
        version = 1 if "cells" in {column["name"] for column in found.get_columns("redemptions")} else 2
    if version > VERSION:
        if outdated(db):
            fault = f"a later version of promolift made it (form {version}, this one knows {VERSION})"
            raise ConfigError("ledger_too_new", f"ledger: {fault}; use that version, or the backup from before")
        return
    for step in (STEPS[form] for form in range(version, VERSION)):
        if late := [who for who, form in alive(db).items() if form < step.oldest]:
            fault = f"servers of an earlier version serve it: {', '.join(sorted(late))}"
            raise ConfigError(
                "servers_too_old", f"ledger: {fault}; end them, or bring them to the version before this one first"
            )
        step.work(db)
    make_tables(db)
    mark = {"version": VERSION, "oldest": max(step.oldest for step in STEPS.values())}
    if marked != mark:
        put(db, "ledger", "schema", mark, round(time() * 1000))


def outdated(db: Connection) -> bool:
    """Whether the ledger has a form that this version cannot work on."""
    marked = get(db, "ledger", "schema") or {"version": VERSION}
    return int(marked.get("oldest", marked["version"])) > VERSION


def pulse(db: Connection, name: str) -> None:
    """Note that a server is alive, and of which form it is."""
    here = {"form": VERSION, "code": __version__, "host": socket.gethostname(), "pid": os.getpid()}
    put(db, SERVER, name, here | {"seen_ms": _now_ms(db)}, 0)


def alive(db: Connection) -> dict[str, int]:
    """The servers that were heard of lately, by host and process, and of which form each is; others are forgotten."""
    found, now_ms = {}, _now_ms(db)
    for name, said in every(db, SERVER).items():
        if now_ms - said["seen_ms"] < ALIVE_MS:
            found[f"{said['host']}:{said['pid']}"] = int(said["form"])
        else:
            drop(db, SERVER, name)
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
        recount(db, limit, round(time() * 1000))


def _from_2(db: Connection) -> None:
    """What decisions say of the channel, the moment of sending, and the campaigns that met."""
    for name in ("channel", "send_ms", "send_prob", "considered"):
        _add(db, DECISIONS, DECISIONS.c[name])


def _from_3(db: Connection) -> None:
    """What customers say of personal decisions. A server of form 3 may go on for a while and keeps it as events alone:
    others look for it there (promolift.server.events.events).
    """
    _add(db, CUSTOMERS, CUSTOMERS.c.personal)
    put(db, "ledger", UNHEARD, {"after": 0}, round(time() * 1000))


def _add(db: Connection, table: Table, column: Column[Any]) -> None:
    db.execute(text(f"alter table {table.name} add column {CreateColumn(column).compile(dialect=db.dialect)}"))


def _name_customers(db: Connection, table: Table, key: Column[int] | Column[str]) -> None:
    for name, body in db.execute(select(key, table.c.body)).all():
        who = named_in(body)
        if who is not None:
            db.execute(update(table).where(key == name).values(customer_id=who))


def named_in(body: str) -> str | None:
    """The customer whom an answer, a message or an event tells of; None for an id that no database keeps."""
    try:
        said = json.loads(body)
    except ValueError:
        return None
    for part in (said, said.get("data") if isinstance(said, dict) else None):
        for name in ("customer_id", "userId", "anonymousId"):
            if isinstance(part, dict) and part.get(name) not in (None, ""):
                who = str(part[name])[:256]
                return None if UNKEPT.search(who) else who
    return None


class StepUp(NamedTuple):
    """A step up from one form: its work, and the oldest form whose code can work on what it leaves."""

    work: Callable[[Connection], None]
    oldest: int


STEPS = {1: StepUp(_from_1, oldest=2), 2: StepUp(_from_2, oldest=2), 3: StepUp(_from_3, oldest=2)}
assert set(STEPS) == set(range(1, VERSION)), "every version but the present needs a step up"
