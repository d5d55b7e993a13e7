"""Tables of the ledger for SQLite and PostgreSQL, compiled queries, locks, and the errors that callers can meet."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple, cast

from pydantic_core import to_json
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Executable,
    Float,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    bindparam,
    func,
    inspect,
    literal_column,
)
from sqlalchemy import Sequence as DatabaseSequence
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, DropIndex

from promolift.foundation.errors import ConfigError, PromoError
from promolift.foundation.hashing import hash_int
from promolift.foundation.i18n.lazy_message import gettext_lazy

META = MetaData()
Big = BigInteger()
# Of PostgreSQL's writers, see `Ledger`: of all, and of those that have it alone. SQLite has none.
TURNS, RULES = (DatabaseSequence(name, metadata=META) for name in ("turns", "rules"))
Serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only a column of type INTEGER


class LedgerError(PromoError):
    """The ledger could not keep what it was given (disk full, closed, connection lost); nothing of it was kept."""


class Refused(PromoError):  # noqa: N818 - a verdict, not a fault
    """A rule of the ledger says no; nothing changed. `code` names the rule for machines."""


EVENTS = Table(
    "events", META,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("message_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("ts_ms", Big, nullable=False),
    Column("received_ms", Big, nullable=False),
    Column("name", Text, nullable=False),
    Column("decision_id", Text),
    Column("body", Text, nullable=False),
    Column("value_cents", Big),  # what it is worth, said with a key that may decide: a page cannot be believed
    UniqueConstraint("message_id"),
)  # fmt: skip
Index("events_customer", EVENTS.c.customer_id, EVENTS.c.ts_ms)
WORDS_READ = "Words Read"  # the name of an event that says what a customer's own words were about
IS_WORDS_READ = EVENTS.c.name == literal_column(f"'{WORDS_READ}'")
Index(
    "events_words",
    EVENTS.c.name,
    EVENTS.c.customer_id,
    EVENTS.c.ts_ms,
    sqlite_where=IS_WORDS_READ,
    postgresql_where=IS_WORDS_READ,
)
Index("events_decision", EVENTS.c.decision_id, sqlite_where=EVENTS.c.decision_id.is_not(None))

REJECTS = Table(
    "rejects", META,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("received_ms", Big, nullable=False),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("customer_id", Text, index=True),  # where it names one: what erasing looks at
)  # fmt: skip

# What was bought, one row per line of an order: closes offers on it at once.
PURCHASES = Table(
    "bought", META,
    Column("seq", Serial, primary_key=True, autoincrement=True),
    Column("customer_id", Text, nullable=False),
    Column("ts_ms", Big, nullable=False),
    Column("product_id", Text),
    Column("category", Text),
)  # fmt: skip
Index("bought_customer", PURCHASES.c.customer_id, PURCHASES.c.ts_ms)

# What the API has heard of a customer since the release: it goes before what the release says.
CUSTOMERS = Table(
    "customers", META,
    Column("customer_id", Text, primary_key=True),
    Column("person_id", Text),
    Column("consent", Integer),  # 0 no, 1 yes, 2 yes by a web page: it counts where nobody said no
    Column("personal", Integer),  # 0: they refused personal decisions; 1: they took that back
    Column("age", Text),
    Column("language", Text),
    Column("zone", Text),
    Column("erased", Integer, nullable=False, default=0),
    Column("updated_ms", Big, nullable=False),
)  # fmt: skip

# Whose the events of a visitor are whom a page did not know yet.
ALIASES = Table(
    "aliases", META,
    Column("anonymous_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False, index=True),
    Column("ts_ms", Big, nullable=False),
)  # fmt: skip

# Without the lists of offers a row is small: see server/decisions/decision_record.py, which adds them.
# Ids rise with time, so that in a table that lies in their order each row comes after the last.
DECISIONS = Table(
    "decisions", META,
    Column("decision_id", Text, primary_key=True),
    Column("ts_ms", Big, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("campaign_id", Text, nullable=False),
    Column("policy_id", Text, nullable=False),
    Column("policy_version", Text, nullable=False),
    Column("offer_id", Text, nullable=False),
    Column("propensity", Float(53), nullable=False),
    Column("candidates", Text),  # null: as the release has them, at this price and with what was closed by then
    Column("ineligible", Text),
    Column("seed", Big, nullable=False),
    Column("holdout", Integer),
    Column("reason", Text, nullable=False),
    # beyond the DECISIONS table: what a live decision adds, so that it can be replayed
    Column("release_id", Text, nullable=False),
    Column("terms", Text, nullable=False),  # JSON: how they differ from the release's own, but for what has a column
    Column("price", Float(53), nullable=False),
    Column("closed", Text),  # JSON: reason to places among their rows in the release, closed since that was made
    Column("experiment_id", Text),
    Column("variant", Text),
    Column("code", Text),
    Column("unanswered", Integer, nullable=False, default=0),
    Column("channel", Text),  # asked for, or drawn: then send_ms and send_prob say when, and how probable both were
    Column("send_ms", Big),
    Column("send_prob", Float(53)),
    Column("considered", Text),  # JSON, where several campaigns met: what each had to offer, and why this one decided
    sqlite_with_rowid=False,
)  # fmt: skip
Index("decisions_customer", DECISIONS.c.customer_id, DECISIONS.c.ts_ms)

# Decisions whose message was taken up: each counts once.
ACCEPTED_OFFERS = Table(
    "taken", META,
    Column("decision_id", Text, primary_key=True),
    Column("ts_ms", Big, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip

LIMITS = Table(
    "limits", META,
    Column("campaign_id", Text, primary_key=True),  # ALL_CAMPAIGNS: counted over all of them together
    Column("limit_id", Text, primary_key=True),
    Column("offer_id", Text, nullable=False, default=""),  # empty: all offers of the campaign
    Column("metric", Text, nullable=False),  # redemptions or discount_amount
    Column("amount", Big, nullable=False),
    Column("period", Text, nullable=False),  # total, day, week or month
    Column("per", Text, nullable=False),  # campaign, customer or natural_person
    Column("zone", Text, nullable=False),
    Column("since_ms", Big),  # a release's own: what was reserved from then on counts alone
)  # fmt: skip
USAGE = Table(
    "usage", META,
    Column("campaign_id", Text, primary_key=True),
    Column("limit_id", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("period_key", Text, primary_key=True),
    Column("held", Big, nullable=False, default=0),
    Column("spent", Big, nullable=False, default=0),
)  # fmt: skip
CODES = Table(
    "codes", META,
    Column("code", Text, primary_key=True),
    Column("campaign_id", Text, nullable=False),
    Column("offer_id", Text, nullable=False),
    Column("customer_id", Text),
    Column("status", Text, nullable=False),  # stock, issued, reserved, redeemed
    Column("stocked", Integer, nullable=False, default=0),  # 1: the shop's own code, 0: made by us
    Column("expires_ms", Big),
    Column("cap_cents", Big),  # the most its offer may take off; null: nothing is printed about it
)  # fmt: skip
Index("codes_customer", CODES.c.customer_id, CODES.c.campaign_id)  # both: or SQLite reads all codes of the campaign
UPPERCASE_CODE = func.upper(
    func.replace(CODES.c.code, literal_column("' '"), literal_column("''"))
)  # as people may type it
IS_STOCK_CODE = CODES.c.stocked == literal_column("1")
Index(
    "codes_stocked",
    CODES.c.campaign_id,
    CODES.c.offer_id,
    CODES.c.status,
    sqlite_where=IS_STOCK_CODE,
    postgresql_where=IS_STOCK_CODE,
)
Index(
    "codes_folded",
    CODES.c.campaign_id,
    CODES.c.offer_id,
    UPPERCASE_CODE,
    sqlite_where=IS_STOCK_CODE,
    postgresql_where=IS_STOCK_CODE,
)

REDEMPTIONS = Table(
    "redemptions", META,
    Column("redemption_id", Text, primary_key=True),
    Column("campaign_id", Text, nullable=False, index=True),
    Column("offer_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False, index=True),
    Column("order_id", Text),
    Column("code", Text),
    Column("decision_id", Text),
    Column("reserved_cents", Big, nullable=False),
    Column("final_cents", Big),
    Column("status", Text, nullable=False),  # reserved, confirmed, rolled_back, expired
    Column("ts_ms", Big, nullable=False),
    Column("expires_ms", Big, nullable=False),
    Column("person", Text, nullable=False),  # whom limits per natural person count it to: a person, or the customer
)  # fmt: skip
Index("redemptions_open", REDEMPTIONS.c.status, REDEMPTIONS.c.expires_ms)

ANSWERS = Table(
    "answers", META,
    Column("key", Text, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("body", Text, nullable=False),
    Column("ts_ms", Big, nullable=False, index=True),
    Column("customer_id", Text, index=True),
)  # fmt: skip
AUDIT = Table(
    "audit", META,
    Column("seq", Big, primary_key=True, autoincrement=False),
    Column("ts_ms", Big, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("old", Text, nullable=False),
    Column("new", Text, nullable=False),
    Column("hash", Text, nullable=False),
)  # fmt: skip
# Small things with an id and a JSON body: keys, campaigns, policies, releases, experiments, webhooks, pace.
RECORDS = Table(
    "things", META,
    Column("kind", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("ts_ms", Big, nullable=False),
)  # fmt: skip
OUTBOX = Table(
    "outbox", META,
    Column("delivery_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),  # webhook or email
    Column("target", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("status", Text, nullable=False),  # waiting, sent, failed, expired
    Column("attempts", Integer, nullable=False, default=0),
    Column("next_ms", Big, nullable=False),
    Column("error", Text),
    Column("ts_ms", Big, nullable=False),
    Column("customer_id", Text, index=True),
)  # fmt: skip
IS_EMAIL = OUTBOX.c.channel == literal_column("'email'")  # one lane, whichever decisions they tell of
Index("outbox_mails", OUTBOX.c.status, OUTBOX.c.next_ms, sqlite_where=IS_EMAIL, postgresql_where=IS_EMAIL)
Index("outbox_target", OUTBOX.c.channel, OUTBOX.c.target, OUTBOX.c.status, OUTBOX.c.next_ms)

# Who signs in to the console, and from where they are signed in now; no machine's key is among them.
PEOPLE = Table(
    "people", META,
    Column("name", Text, primary_key=True),
    Column("role", Text, nullable=False),  # viewer, editor, approver or admin
    Column("password", Text, nullable=False),  # scrypt, with its salt; empty: nobody can sign in by a password
    Column("language", Text, nullable=False, default="en"),
    Column("gone", Integer, nullable=False, default=0),  # 1: may not sign in any more
    Column("made_ms", Big, nullable=False),
    Column("email", Text),  # in lower case: by which a provider's sign-in finds the person
)  # fmt: skip
SESSIONS = Table(
    "sessions", META,
    Column("session", Text, primary_key=True),  # the hash of what the cookie holds
    Column("name", Text, nullable=False, index=True),
    Column("token", Text, nullable=False),  # what each form must bring
    Column("begun_ms", Big, nullable=False),
    Column("seen_ms", Big, nullable=False),
)  # fmt: skip
# Work that a person started and that outlives the page it was started from.
JOBS = Table(
    "jobs", META,
    Column("job_id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("asked", Text, nullable=False),  # JSON: what it was started with
    Column("name", Text, nullable=False),  # who started it
    Column("status", Text, nullable=False, index=True),  # running, done, failed or stopped
    Column("step", Text, nullable=False, default=""),
    Column("share", Float(53), nullable=False, default=0.0),
    Column("note", Text, nullable=False, default=""),
    Column("result", Text, nullable=False, default="{}"),
    Column("begun_ms", Big, nullable=False),
    Column("ended_ms", Big),
)  # fmt: skip


DROPPED_INDEXES = (
    Index("codes_stock"),
    Index("outbox_waiting"),
)  # earlier versions': each change had to be written in them


def make_tables(db: Connection) -> None:
    """Make missing tables and indexes. ConfigError if one is there that an earlier version made otherwise."""
    META.create_all(db)
    found = inspect(db)
    for table in META.sorted_tables:
        missing = set(table.c.keys()) - {column["name"] for column in found.get_columns(table.name)}
        if missing:
            fault = gettext_lazy(
                "its table {name} has no {missing}: an earlier version made it",
                name=table.name,
                missing=", ".join(sorted(missing)),
            )
            raise ConfigError(
                "ledger_incompatible",
                gettext_lazy(
                    "ledger: {fault}; export what you need with that version and start a new ledger", fault=fault
                ),
            )
        for index in table.indexes:
            db.execute(CreateIndex(index, if_not_exists=True))
    for index in DROPPED_INDEXES:
        db.execute(DropIndex(index, if_exists=True))


def execute_raw(db: Connection, text: str) -> None:
    """A word to the database itself, past SQLAlchemy, which would end a transaction that it did not begin."""
    driver: Any = db.connection.dbapi_connection
    driver.execute(text)
    if text.startswith("rollback"):
        transaction_cache(db).clear()


def pipelined(db: Connection) -> AbstractContextManager[object]:
    """Within it PostgreSQL gets statements one after the other without being waited for: their rows are not counted,
    and those that are asked for are there at its end."""
    driver: Any = db.connection.dbapi_connection
    return nullcontext() if db.dialect.name == "sqlite" else cast(AbstractContextManager[object], driver.pipeline())


class LockMissingError(Exception):
    """A change that runs beside others needs what it did not name: it is to be run again with everything."""


def acquire_locks(db: Connection, names: Iterable[str]) -> None:
    """Acquire all of `names` until the transaction ends. Call it before the transaction's first change."""
    mine = frozenset(names)
    if mine:  # always in the same order, so that no two wait for each other
        driver: Any = db.connection.dbapi_connection
        driver.execute(TAKE_LOCKS, [sorted(map(_number, mine))])
    db.info[LOCKS_INFO_KEY] = mine


def require_lock(db: Connection, name: str) -> None:
    """Raise LockMissingError in a shared transaction that does not hold this lock."""
    held = db.info.get(LOCKS_INFO_KEY)
    if held is not None and name not in held:
        raise LockMissingError(name)


def acquired_locks(db: Connection) -> frozenset[str] | None:
    """Return the locks of this transaction; None for all."""
    found: frozenset[str] | None = db.info.get(LOCKS_INFO_KEY)
    return found


def locked_campaigns(db: Connection) -> list[str] | None:
    """Return the campaigns that this transaction has locked; None for all of them."""
    mine = acquired_locks(db)
    return (
        None if mine is None else [each.removeprefix(CAMPAIGN_LOCK) for each in mine if each.startswith(CAMPAIGN_LOCK)]
    )


def no_locks(_: Connection, __: list[Any]) -> frozenset[str]:
    """Return the locks of work that only reads, or touches only rows of its own."""
    return frozenset()


def customer_lock(customer_id: str) -> str:
    """Return the name of the lock on a customer's offers and statements."""
    return f"u:{customer_id}"


def campaign_lock(campaign_id: str) -> str:
    """Return the name of the lock on a campaign's limits, pace and stock of codes."""
    return f"{CAMPAIGN_LOCK}{campaign_id}"


def request_key_lock(key: str) -> str:
    """Return the name of the lock on an Idempotency-Key."""
    return f"k:{key}"


def _number(name: str) -> int:
    return hash_int(name) - 2**63  # as PostgreSQL has 64 bits with a sign


def clear_shared_cache(kept: dict[Any, Any]) -> None:
    """Forget of a memo what those beside may change: all but the rules, which change in nobody's company."""
    for name in [name for name in kept if not isinstance(name, tuple)]:
        del kept[name]


LEDGER_LOCK = 7_063_518  # any number of our own; PostgreSQL's advisory lock on everything, shared by those beside
CHAIN_LOCK = LEDGER_LOCK + 1  # of the audit log, which is one chain: taken last, and for the shortest time
TAKE_LOCKS = "select pg_advisory_xact_lock(each) from unnest(%s::bigint[]) each"
LOCKS_INFO_KEY = "promolift locks"
CAMPAIGN_LOCK = "c:"


def transaction_cache(db: Connection) -> dict[Any, Any]:
    """What the writer has read and nobody else has changed since; empty outside of one of its transactions.

    Whoever writes such a thing clears it; so does undoing a savepoint or a transaction.
    """
    found: dict[Any, Any] = db.info.get(CACHE_INFO_KEY, {})
    return found


CACHE_INFO_KEY = "promolift"
ROWS_PER_STATEMENT = 100
NAMED_PARAMETER = re.compile(r"%\((\w+)\)s")
# As a list the texts find rows by an index; as a query PostgreSQL may read the whole table beside it instead.
LIST_SUBQUERY = re.compile(r"in (\(select jsonb_array_elements_text\(cast\(%s(?:::\w+)? as jsonb\)\)\))")
CONSTANT_TYPES = (str, int, float)  # what a parameter may be fixed to


class _Compiled(NamedTuple):
    """A statement as its driver reads it, what picks its parameters in their order, and those that are fixed."""

    text: str
    pick: Callable[[Mapping[str, Any]], Sequence[Any]]
    fixed: Mapping[str, Any]
    columns: Sequence[str]  # of the rows it finds
    row: str  # what an insert has for one row; empty for all else

    def bind(self, values: Mapping[str, Any]) -> Sequence[Any]:
        """Values in the order of the parameters."""
        return self.pick({**self.fixed, **values} if self.fixed else values)


class Query:
    """A statement with named parameters (`bindparam`), compiled once for each kind of database.

    SQLAlchemy builds and reads a statement anew at every call, which takes ten times as long as SQLite needs to run it.
    Values go to the driver as they are: text, numbers, None.
    """

    def __init__(self, statement: Executable, columns: Sequence[str] | None = None, then: str = "") -> None:
        """Nothing is compiled yet. An insert has all columns or those given; `then` is what follows its values."""
        self._statement, self._columns, self._then = statement, columns, then
        self._ready: dict[str, _Compiled] = {}

    def execute(self, db: Connection, **values: Any) -> Any:
        """Run it and return the driver's cursor; inside `pipelined`, read its rows only after the block."""
        ready = self._ready.get(db.dialect.name) or self._compile(db.dialect)
        driver: Any = db.connection.dbapi_connection
        return driver.execute(ready.text, ready.bind(values))

    def read(self, db: Connection, asked: Any) -> list[dict[str, Any]]:
        """Its rows by column."""
        rows = list(asked)
        return [dict(zip(self._ready[db.dialect.name].columns, row, strict=True)) for row in rows] if rows else []

    def rows(self, db: Connection, **values: Any) -> Sequence[Sequence[Any]]:
        """Run it; its rows as tuples."""
        return list(self.execute(db, **values))

    def dicts(self, db: Connection, **values: Any) -> list[dict[str, Any]]:
        """Run it; its rows by column."""
        return self.read(db, self.execute(db, **values))

    def first(self, db: Connection, **values: Any) -> dict[str, Any] | None:
        """Run it; its first row by column, None for none."""
        return next(iter(self.dicts(db, **values)), None)

    def run(self, db: Connection, **values: Any) -> int:
        """Run a change; how many rows it touched."""
        ready = self._ready.get(db.dialect.name) or self._compile(db.dialect)
        driver: Any = db.connection.dbapi_connection
        return int(driver.execute(ready.text, ready.bind(values)).rowcount)

    def many(self, db: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Insert all rows, which have all columns; how many were new. BLOCK rows go in one statement.

        Python's interpreter is given back once for each statement, and may have to be waited for afterwards. PostgreSQL
        gets a block as one JSON text: for each parameter its driver takes as long as SQLite for a row.
        """
        ready = self._ready.get(db.dialect.name) or self._compile(db.dialect)
        driver: Any = db.connection.dbapi_connection
        blocks = [rows[first : first + ROWS_PER_STATEMENT] for first in range(0, len(rows), ROWS_PER_STATEMENT)]
        if db.dialect.name != "sqlite":
            texts = (to_json([*map(_without_booleans, block)]).decode() for block in blocks)
            return sum(driver.execute(ready.text, [text]).rowcount for text in texts)
        # SQLite keeps few statements ready: there the last ones go one by one
        last = [ready.bind(row) for row in blocks.pop()] if blocks and len(blocks[-1]) < ROWS_PER_STATEMENT else []
        text = ready.text.replace(ready.row, ", ".join([ready.row] * ROWS_PER_STATEMENT), 1)
        new: int = sum(driver.execute(text, [*chain.from_iterable(map(ready.bind, each))]).rowcount for each in blocks)
        return new + (int(driver.executemany(ready.text, last).rowcount) if last else 0)

    def _compile(self, dialect: Dialect) -> "_Compiled":
        compiled: Any = self._statement.compile(dialect=dialect, column_keys=self._columns)  # type: ignore[attr-defined]
        fixed = {name: value for name, value in compiled.params.items() if type(value) in CONSTANT_TYPES}
        text, names = str(compiled), compiled.positiontup
        if names is None:  # psycopg takes parameters by place, too
            text, names = (
                LIST_SUBQUERY.sub(r"= any (array\1)", NAMED_PARAMETER.sub("%s", text)),
                NAMED_PARAMETER.findall(text),
            )
            text = text.replace("json_each(%s) n", "jsonb_array_elements_text(cast(%s as jsonb)) n(value)")
        into, _, row = text.partition(" VALUES ")
        if row and dialect.name != "sqlite":
            table = self._statement.table.name  # type: ignore[attr-defined]
            text = f"{into} select {', '.join(names)} from json_populate_recordset(null::{table}, %s::json)"
        selected = getattr(self._statement, "selected_columns", None)
        columns = [*map(str, selected.keys())] if selected is not None else []
        pick = itemgetter(*names) if len(names) > 1 else lambda values: [values[name] for name in names]
        self._ready[dialect.name] = ready = _Compiled(text + self._then, pick, fixed, columns, row)
        return ready


def _without_booleans(row: Mapping[str, Any]) -> dict[str, Any]:
    """True is 1 and False is 0, as in SQLite: PostgreSQL makes no number of a JSON boolean."""
    return {name: int(value) if value is True or value is False else value for name, value in row.items()}


class JsonList(ColumnElement[str]):
    """The texts of a JSON list, for `column.op("in")(JsonList("people"))`: one parameter, however many they are."""

    inherit_cache = True

    def __init__(self, name: str) -> None:
        """The list is given as JSON in the parameter `name`."""
        self.parameter = bindparam(name, type_=Text())


def json_list(texts: Iterable[str]) -> str:
    """Encode texts as the value of a `JsonList` parameter."""
    return to_json(list(texts)).decode()


@compiles(JsonList, "sqlite")
def _in_sqlite(element: JsonList, compiler: Any, **options: Any) -> str:
    return f"(select value from json_each({compiler.process(element.parameter, **options)}))"


@compiles(JsonList)
def _in_postgresql(element: JsonList, compiler: Any, **options: Any) -> str:
    return f"(select jsonb_array_elements_text(cast({compiler.process(element.parameter, **options)} as jsonb)))"
