"""Erase a customer's rows, or keep them under a pseudonym.

Each statement is compiled once, because SQLAlchemy takes longer to build the statements of an erasure than a database
to run them, and decisions wait meanwhile.
"""

import json
import re
from secrets import token_hex
from typing import Any

from sqlalchemy import (
    BindParameter,
    Connection,
    Table,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)

from promolift.server.ledger.limits import rename_customer
from promolift.server.ledger.schema import (
    ALIASES,
    ANSWERS,
    CODES,
    CUSTOMERS,
    DECISIONS,
    EVENTS,
    OUTBOX,
    PURCHASES,
    REDEMPTIONS,
    REJECTS,
    ROWS_PER_STATEMENT,
    Query,
)

CUSTOMER_TABLES = (ALIASES, EVENTS, PURCHASES, CUSTOMERS, DECISIONS, CODES, REDEMPTIONS)
ERASED_TABLES = (EVENTS, PURCHASES)
PSEUDONYMISED_TABLES = (DECISIONS, CODES, REDEMPTIONS)
SUBJECT_PARAMETER: BindParameter[str] = bindparam("subject")
ALIAS_PARAMETER: BindParameter[str] = bindparam("alias")
COUNT_ROWS = {
    table.name: Query(select(func.count()).where(table.c.customer_id == SUBJECT_PARAMETER)) for table in CUSTOMER_TABLES
}
DELETE_ROWS = {
    table: Query(delete(table).where(table.c.customer_id == SUBJECT_PARAMETER))
    for table in (CUSTOMERS, REJECTS, ALIASES)
}
INSERT_ERASED_MARK = Query(insert(CUSTOMERS).inline(), ["customer_id", "consent", "erased", "updated_ms"])
BATCH_SIZE_PARAMETER: BindParameter[int] = bindparam("most")
ROW_BATCHES = {
    table: table.c.seq.in_(
        select(table.c.seq).where(table.c.customer_id == SUBJECT_PARAMETER).limit(BATCH_SIZE_PARAMETER)
    )
    for table in ERASED_TABLES
}
DELETE_BATCH = {table: Query(delete(table).where(part)) for table, part in ROW_BATCHES.items()}
PSEUDONYMISE_BATCH = {
    table: Query(
        update(table).where(part).values(customer_id=ALIAS_PARAMETER, **({"body": "{}"} if "body" in table.c else {}))
    )
    for table, part in ROW_BATCHES.items()  # bodies may name them
}
CUSTOMER_DECISIONS = select(DECISIONS.c.decision_id).where(DECISIONS.c.customer_id == SUBJECT_PARAMETER)
DELETE_EMAILS = Query(delete(OUTBOX).where(OUTBOX.c.channel == "email", OUTBOX.c.target.in_(CUSTOMER_DECISIONS)))
SELECT_GENERATED_CODES = Query(
    select(CODES.c.code).where(CODES.c.customer_id == SUBJECT_PARAMETER, CODES.c.stocked == literal_column("0"))
)
DROP_ORDERS = Query(update(REDEMPTIONS).where(REDEMPTIONS.c.customer_id == SUBJECT_PARAMETER).values(order_id=null()))
ORDER_IN_BODY = re.compile(r'"order_id":\s*"(?:[^"\\]|\\.)*"')
BODIES = [
    (Query(select(key, body).where(subject == SUBJECT_PARAMETER)),
     Query(update(table).where(key == bindparam("at")).values(body=bindparam("text"))))
    for table in (ANSWERS, OUTBOX)
    for key, body, subject in [(*table.primary_key, table.c.body, table.c.customer_id)]
]  # fmt: skip
SET_ALIAS = [
    Query(update(table).where(table.c.customer_id == SUBJECT_PARAMETER).values(customer_id=ALIAS_PARAMETER))
    for table in (DECISIONS, CODES)
]


def _said(table: Table) -> Query:
    body: Any = table.c.body
    for form in ("escaped", "plain"):  # however their id is written in it
        body = func.replace(body, bindparam(form), bindparam("quoted_alias"))
    return Query(
        update(table).where(table.c.customer_id == SUBJECT_PARAMETER).values(body=body, customer_id=ALIAS_PARAMETER)
    )


REPLACE_ID_IN_BODY = [_said(table) for table in (ANSWERS, OUTBOX)]


def count_rows(db: Connection, subject: str) -> dict[str, int]:
    """Count the rows of each table about a customer."""
    return {name: int(count.rows(db, subject=subject)[0][0]) for name, count in COUNT_ROWS.items()}


def mark_erased(db: Connection, subject: str, now_ms: int) -> int:
    """They must not be written to, and nothing more is kept under their id; what they said of themselves goes. Of so
    many rows no part is left: 0.
    """
    DELETE_ROWS[CUSTOMERS].run(db, subject=subject)
    INSERT_ERASED_MARK.many(db, [{"customer_id": subject, "consent": 0, "erased": 1, "updated_ms": now_ms}])
    return 0


def erase_batch(db: Connection, table: Table, subject: str, alias: str | None, most: int) -> int:
    """Up to `most` of their rows in a table of FORGOTTEN go, or get the `alias` and lose what names them; how many."""
    if alias is None:
        return DELETE_BATCH[table].run(db, subject=subject, most=most)
    return PSEUDONYMISE_BATCH[table].run(db, subject=subject, alias=alias, most=most)


def delete_rejects(db: Connection, seqs: list[int]) -> int:
    """Delete rejected events by their numbers. Of so many no part is left: 0."""
    for first in range(0, len(seqs), ROWS_PER_STATEMENT):
        db.execute(delete(REJECTS).where(REJECTS.c.seq.in_(seqs[first : first + ROWS_PER_STATEMENT])))
    return 0


def replace_mentions(db: Connection, masked: list[dict[str, object]]) -> int:
    """Replace events of others that named an erased customer, by their number `at`. Of so many no part is left: 0."""
    if masked:
        texts: dict[str, BindParameter[str]] = {name: bindparam(name) for name in ("message_id", "name", "body")}
        db.execute(update(EVENTS).where(EVENTS.c.seq == bindparam("at")).values(**texts), masked)
    return 0


def replace_customer_id(db: Connection, subject: str, alias: str, erased: bool) -> None:
    """What stays gets the alias in place of the id; mails that wait, what was rejected and, unless they are `erased`,
    what is known of the customer go.
    """
    DELETE_EMAILS.run(db, subject=subject)
    _recode(db, subject)
    _drop_orders(db, subject)
    for query in SET_ALIAS:
        query.run(db, subject=subject, alias=alias)
    rename_customer(db, subject, alias)
    forms = {"escaped": json.dumps(subject), "plain": json.dumps(subject, ensure_ascii=False)}
    for query in REPLACE_ID_IN_BODY:
        query.run(db, subject=subject, alias=alias, quoted_alias=json.dumps(alias), **forms)
    for table in (REJECTS, ALIASES) if erased else (REJECTS, ALIASES, CUSTOMERS):
        DELETE_ROWS[table].run(db, subject=subject)


def _drop_orders(db: Connection, subject: str) -> None:
    """Order numbers go from redemptions, kept answers and messages: they lead to the customer in the shop's books."""
    DROP_ORDERS.run(db, subject=subject)
    for rows, write in BODIES:
        for at, body in rows.rows(db, subject=subject):
            if (text := ORDER_IN_BODY.sub('"order_id":null', body)) != body:
                write.run(db, at=at, text=text)


def _recode(db: Connection, subject: str) -> None:
    """Codes made from the customer's id get other names: they lead to them, and may be given to them anew."""
    for (old,) in SELECT_GENERATED_CODES.rows(db, subject=subject):
        new = f"cod_{token_hex(8)}"
        for table in PSEUDONYMISED_TABLES:
            mine = table.c.customer_id == subject, table.c.code == old
            db.execute(update(table).where(*mine).values(code=new))
