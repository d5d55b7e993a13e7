"""A ledger of an earlier version in; the same with all its data in the present tables, or refused, out.

The steps run in the transaction that opens the ledger, on SQLite and PostgreSQL alike: a kill in the middle leaves it
as it was. There is no way down: an earlier version refuses a later ledger, so keep the backup from before.
"""

import json
import re
from collections.abc import Callable
from time import time
from typing import Any

from sqlalchemy import Column, Connection, Table, insert, inspect, select, text, update
from sqlalchemy.schema import CreateColumn

from promolift.errors import ConfigError
from promolift.store.ledger_audit import get, put
from promolift.store.ledger_money import recount
from promolift.store.ledger_schema import (
    ANSWERS,
    CODES,
    DECISIONS,
    EVENTS,
    LIMITS,
    OUTBOX,
    REJECTS,
    THINGS,
    USAGE,
    make_tables,
)

VERSION = 3
UNKEPT = re.compile("[\0\ud800-\udfff]")  # halves of characters, and what PostgreSQL takes in no text
PART = 5000  # rows that are read at a time


def open_tables(db: Connection) -> None:
    """Make a new ledger's tables, or bring an older one's up to the present. ConfigError for a later one's."""
    found = inspect(db)
    marked = get(db, "ledger", "schema") if found.has_table(THINGS.name) else None
    version = marked["version"] if marked else VERSION
    if marked is None and found.has_table("redemptions"):  # the first version left no mark
        version = 1 if "cells" in {column["name"] for column in found.get_columns("redemptions")} else 2
    if version > VERSION:
        fault = f"a later version of promolift made it (form {version}, this one knows {VERSION})"
        raise ConfigError(f"ledger: {fault}; use that version, or the backup from before")
    for step in range(version, VERSION):
        STEPS[step](db)
    make_tables(db)
    if marked != {"version": VERSION}:
        put(db, "ledger", "schema", {"version": VERSION}, round(time() * 1000))


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


STEPS: dict[int, Callable[[Connection], None]] = {1: _from_1, 2: _from_2}
assert set(STEPS) == set(range(1, VERSION)), "every version but the present needs a step up"
