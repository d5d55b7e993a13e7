"""A customer in; their rows gone, or left under a pseudonym, out.

Each statement is compiled once: SQLAlchemy takes longer to build the thirty of an erasure than a database to run them,
and decisions wait meanwhile.
"""

import json
from secrets import token_hex
from typing import Any

from sqlalchemy import BindParameter, Connection, Table, bindparam, delete, func, insert, literal_column, select, update

from promolift.server.ledger.limits import rename_customer
from promolift.server.ledger.schema import (
    ALIASES,
    ANSWERS,
    BOUGHT,
    CODES,
    CUSTOMERS,
    DECISIONS,
    EVENTS,
    OUTBOX,
    REDEMPTIONS,
    REJECTS,
    Query,
)

WITH_CUSTOMER = (ALIASES, EVENTS, BOUGHT, CUSTOMERS, DECISIONS, CODES, REDEMPTIONS)
FORGOTTEN = (EVENTS, BOUGHT)
KEPT = (DECISIONS, CODES, REDEMPTIONS)
WHO: BindParameter[str] = bindparam("subject")
ALIAS: BindParameter[str] = bindparam("alias")
COUNT = {table.name: Query(select(func.count()).where(table.c.customer_id == WHO)) for table in WITH_CUSTOMER}
GONE = {table: Query(delete(table).where(table.c.customer_id == WHO)) for table in (CUSTOMERS, REJECTS, ALIASES)}
MARK = Query(insert(CUSTOMERS).inline(), ["customer_id", "consent", "erased", "updated_ms"])
MOST: BindParameter[int] = bindparam("most")
PARTS = {
    table: table.c.seq.in_(select(table.c.seq).where(table.c.customer_id == WHO).limit(MOST)) for table in FORGOTTEN
}
FORGET = {table: Query(delete(table).where(part)) for table, part in PARTS.items()}
NAMELESS = {
    table: Query(update(table).where(part).values(customer_id=ALIAS, **({"body": "{}"} if "body" in table.c else {})))
    for table, part in PARTS.items()  # bodies may name them
}
MAILED = select(DECISIONS.c.decision_id).where(DECISIONS.c.customer_id == WHO)
UNSENT = Query(delete(OUTBOX).where(OUTBOX.c.channel == "email", OUTBOX.c.target.in_(MAILED)))
MADE = Query(select(CODES.c.code).where(CODES.c.customer_id == WHO, CODES.c.stocked == literal_column("0")))
RENAME = [
    Query(update(table).where(table.c.customer_id == WHO).values(customer_id=ALIAS)) for table in (DECISIONS, CODES)
]


def _said(table: Table) -> Query:
    body: Any = table.c.body
    for form in ("escaped", "plain"):  # however their id is written in it
        body = func.replace(body, bindparam(form), bindparam("quoted_alias"))
    return Query(update(table).where(table.c.customer_id == WHO).values(body=body, customer_id=ALIAS))


SAID = [_said(table) for table in (ANSWERS, OUTBOX)]


def count_rows(db: Connection, subject: str) -> dict[str, int]:
    """How many rows of each table are about a customer."""
    return {name: int(count.rows(db, subject=subject)[0][0]) for name, count in COUNT.items()}


def mark_erased(db: Connection, subject: str, now_ms: int) -> int:
    """They must not be written to, and nothing more is kept under their id; what they said of themselves goes. Of so
    many rows no part is left: 0.
    """
    GONE[CUSTOMERS].run(db, subject=subject)
    MARK.many(db, [{"customer_id": subject, "consent": 0, "erased": 1, "updated_ms": now_ms}])
    return 0


def forget_part(db: Connection, table: Table, subject: str, alias: str | None, most: int) -> int:
    """Up to `most` of their rows in a table of FORGOTTEN go, or get the `alias` and lose what names them; how many."""
    if alias is None:
        return FORGET[table].run(db, subject=subject, most=most)
    return NAMELESS[table].run(db, subject=subject, alias=alias, most=most)


def rename(db: Connection, subject: str, alias: str, erased: bool) -> None:
    """What stays gets the alias in place of the id; mails that wait, what was rejected and, unless they are `erased`,
    what is known of the customer go.
    """
    UNSENT.run(db, subject=subject)
    _recode(db, subject)
    for query in RENAME:
        query.run(db, subject=subject, alias=alias)
    rename_customer(db, subject, alias)
    forms = {"escaped": json.dumps(subject), "plain": json.dumps(subject, ensure_ascii=False)}
    for query in SAID:
        query.run(db, subject=subject, alias=alias, quoted_alias=json.dumps(alias), **forms)
    for table in (REJECTS, ALIASES) if erased else (REJECTS, ALIASES, CUSTOMERS):
        GONE[table].run(db, subject=subject)


def _recode(db: Connection, subject: str) -> None:
    """Codes made from the customer's id get other names: they lead to them, and may be given to them anew."""
    for (old,) in MADE.rows(db, subject=subject):
        new = f"cod_{token_hex(8)}"
        for table in KEPT:
            mine = table.c.customer_id == subject, table.c.code == old
            db.execute(update(table).where(*mine).values(code=new))
