"""A ledger that the first version made goes on with all its data, or not at all; a later one's is refused."""

import json
import os
from pathlib import Path

import pytest
from error_checks import raises_code
from ledger_helpers import (
    KINDS,
    NOW,
    POSTGRES,
    SUPPORT,
    check_books,
    confirm,
    do,
    ledger_url,
    open_ledger,
    own_schema,
    rollback,
)
from sqlalchemy import Connection, create_engine, insert, inspect, select, text

from promolift.foundation.errors import ConfigError
from promolift.server.events.pending_refusals import apply_pending_refusals
from promolift.server.ledger import migrations
from promolift.server.ledger.audit_log import get_record, put_record
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.migrations import (
    ALIVE_MS,
    MIGRATION_STEPS,
    PENDING_REFUSALS,
    SCHEMA_VERSION,
    SERVER_KIND,
    MigrationStep,
    is_outdated,
    live_servers,
    open_tables,
    record_heartbeat,
)
from promolift.server.ledger.schema import ANSWERS, CUSTOMERS, EVENTS, META, OUTBOX, RECORDS, REJECTS, USAGE

OLD = """
insert into events (message_id, customer_id, ts_ms, received_ms, name, decision_id, body) values
 ('m1', 'u1', 1, 1, 'Conversion', 'dec_1', '{"value_cents": 70}'),
 ('m2', 'u1', 1, 1, 'Conversion', 'dec_1', '{"value_cents": 9000, "type": "track"}');
insert into rejects (received_ms, code, detail, body) values (1, 'x', 'x', '{"userId": 7}'), (1, 'x', 'x', '{"cut');
insert into customers (customer_id, person_id, erased, updated_ms) values ('u1', 'p', 0, 0);
insert into limits values ('l1', 'c1', '', 'discount_amount', 300, 'total', 'natural_person', 'UTC');
insert into limits values ('l2', 'c1', 'o2', 'redemptions', 5, 'total', 'campaign', 'UTC');
insert into usage values ('l1', 'p', '', 100, 40), ('l9', 'p', '', 7, 7);
insert into redemptions values
 ('r1', 'c1', 'o1', 'u1', null, null, null, 100, null, 'reserved', NOW, LATE, '[["l1", "p", ""]]'),
 ('r2', 'c1', 'o1', 'u1', null, null, null, 60, 40, 'confirmed', NOW, LATE, '[["l1", "p", ""]]');
insert into answers values ('k', 'd', 200, '{"customer_id":"u1"}', 1);
insert into things values ('campaign', 'c1', '{"paused":false}', 1);
insert into outbox values ('msg_1', 'webhook', 'w', '{"data":{"customer_id":"u1"}}', 'waiting', 0, 1, null, 1);
""".replace("NOW", str(NOW)).replace("LATE", str(NOW + 900_000))


def made_by_1(folder: Path, kind: str) -> str:
    """The URL of a ledger as the first version left it."""
    url = own_schema("test_old", anew=True) if kind == "postgresql" and POSTGRES else ledger_url(folder, kind)
    schema = (SUPPORT / f"ledger_1_{kind}.sql").read_text(encoding="ascii")
    engine = create_engine(url)
    with engine.begin() as db:
        for statement in (schema + OLD).split(";\n"):
            if statement.strip():
                db.exec_driver_sql(statement)
    engine.dispose()
    return url


@pytest.mark.parametrize("kind", KINDS)
def test_a_ledger_of_the_first_version_goes_on_with_its_money_and_its_data(tmp_path: Path, kind: str) -> None:
    url = made_by_1(tmp_path, kind)
    for _ in range(2):  # the second time there is nothing to do
        with Ledger(url, open_tables) as ledger, ledger.read() as db:
            assert {c["name"] for c in inspect(db).get_columns("redemptions")} == set(
                META.tables["redemptions"].c.keys()
            )
            used = [tuple(row) for row in db.execute(select(USAGE.c.subject, USAGE.c.held, USAGE.c.spent))]
            assert used == [("p", 100, 40)]
            assert list(db.execute(select(EVENTS.c.value_cents).order_by(EVENTS.c.seq)).scalars()) == [70, None]
            assert list(db.execute(select(REJECTS.c.customer_id).order_by(REJECTS.c.seq)).scalars()) == ["7", None]
            assert db.execute(select(ANSWERS.c.customer_id)).scalar_one() == "u1"
            assert db.execute(select(OUTBOX.c.customer_id)).scalar_one() == "u1"
            assert get_record(db, "campaign", "c1") == {"paused": False}
    with Ledger(url, open_tables) as ledger:
        do(ledger, confirm, "r1", 30, NOW)
        do(ledger, rollback, "r2", NOW)
        check_books(ledger)
        with ledger.read() as db:
            assert db.execute(select(USAGE.c.held, USAGE.c.spent)).one() == (0, 30)


def shape(ledger: Ledger) -> tuple[object, object]:
    """Columns of every table, with type and whether they may be null, and the names of all indexes."""
    indexes = "select indexname from pg_indexes where schemaname = current_schema()"
    if ledger.sqlite:
        indexes = "select name from sqlite_master where type = 'index' and sql is not null"
    with ledger.read() as db:
        found = inspect(db)
        columns = {
            (table, column["name"]): (str(column["type"]), column["nullable"])
            for table in found.get_table_names()
            for column in found.get_columns(table)
        }
        return columns, set(db.execute(text(indexes)).scalars())


@pytest.mark.parametrize("kind", KINDS)
def test_a_ledger_brought_up_has_the_form_of_a_new_one(tmp_path: Path, kind: str) -> None:
    with Ledger(made_by_1(tmp_path, kind), open_tables) as old:
        brought_up = shape(old)
    (tmp_path / "new").mkdir()
    with open_ledger(tmp_path / "new", kind) as new:
        assert brought_up == shape(new)


def test_what_fails_half_way_leaves_the_ledger_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = made_by_1(tmp_path, "sqlite")
    monkeypatch.setattr("promolift.server.ledger.migrations.recount_usage", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Ledger(url, open_tables)
    monkeypatch.undo()
    engine = create_engine(url)
    with engine.connect() as db:
        assert json.loads(db.execute(text("select cells from redemptions where redemption_id = 'r1'")).scalar_one())
    engine.dispose()
    Ledger(url, open_tables).close()


def test_a_later_versions_ledger_is_refused(tmp_path: Path) -> None:
    url = ledger_url(tmp_path, "sqlite")
    with Ledger(url, open_tables) as ledger:
        do(ledger, put_record, "ledger", "schema", {"version": SCHEMA_VERSION + 1}, NOW)
    with raises_code("ledger_too_new", str(SCHEMA_VERSION + 1), str(SCHEMA_VERSION), kind=ConfigError):
        Ledger(url, open_tables)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty ledger of this version."""
    kind = request.param
    url = own_schema("test_next", anew=True) if kind == "postgresql" and POSTGRES else ledger_url(tmp_path, kind)
    Ledger(url, open_tables).close()
    return url


def test_what_customers_say_of_personal_decisions_comes_to_a_ledger_of_form_3(url: str) -> None:
    with Ledger(url, open_tables) as old:
        known = {"customer_id": "u1", "consent": 0, "erased": 0, "updated_ms": NOW}
        do(old, lambda db: db.execute(insert(CUSTOMERS).values(**known)) and None)
        do(old, lambda db: db.execute(text("alter table customers drop column personal")) and None)
        do(old, put_record, "ledger", "schema", {"version": 3, "oldest": 2}, NOW)
    with Ledger(url, open_tables) as new, new.read() as db:
        assert tuple(db.execute(select(CUSTOMERS.c.consent, CUSTOMERS.c.personal)).one()) == (0, None)
        assert get_record(db, "ledger", "schema")["version"] == SCHEMA_VERSION


def say(db: Connection, who: str, ts_ms: int, name: str, personal: object) -> None:
    """An event as a server of form 3 keeps it."""
    part = "traits" if name == "identify" else "properties"
    body = json.dumps({"userId": who, part: {"personal": personal}}, separators=(",", ":"))
    row = {"message_id": f"{who} {ts_ms}", "customer_id": who, "ts_ms": ts_ms, "received_ms": NOW, "name": name}
    db.execute(insert(EVENTS).values(body=body, **row))


def test_refusals_that_servers_of_form_3_kept_as_events_count_until_the_last_of_them_has_ended(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(ledger: Ledger) -> dict[str, int | None]:
        with ledger.read() as db:
            return dict(tuple(row) for row in db.execute(select(CUSTOMERS.c.customer_id, CUSTOMERS.c.personal)))

    monkeypatch.setattr("promolift.server.events.pending_refusals.ROWS_PER_BATCH", 3)
    with Ledger(url, open_tables) as old:
        do(old, say, "u1", NOW, "identify", False)
        do(old, say, "u2", NOW, "Consent Updated", False)
        do(old, say, "u3", NOW, "identify", False)
        do(old, say, "u4", NOW, "identify", True)
        do(old, say, "u5", NOW, "Order Completed", False)
        known = {"customer_id": "u2", "consent": 1, "erased": 0, "updated_ms": NOW + 9}
        do(old, lambda db: db.execute(insert(CUSTOMERS).values(**known)) and None)
        do(old, lambda db: db.execute(text("alter table customers drop column personal")) and None)
        do(old, put_record, "ledger", "schema", {"version": 3, "oldest": 2}, NOW)
        do(old, record_heartbeat, "srv")
        with old.read() as db:
            late = get_record(db, SERVER_KIND, "srv") | {"form": 3}
        do(old, put_record, SERVER_KIND, "srv", late, NOW)
    with Ledger(url, open_tables) as new:
        back = {"customer_id": "u3", "personal": 1, "erased": 0, "updated_ms": NOW + 1}  # taken back since
        do(new, lambda db: db.execute(insert(CUSTOMERS).values(**back)) and None)
        assert new.write(apply_pending_refusals) == 2
        assert new.write(apply_pending_refusals) == 0
        assert refused(new) == {"u1": 0, "u2": 0, "u3": 1}
        do(new, say, "u6", NOW, "identify", False)  # to the old one, beside
        do(new, say, "u3", NOW + 2, "identify", False)
        assert new.write(apply_pending_refusals) == 0
        assert refused(new) == {"u1": 0, "u2": 0, "u3": 0, "u6": 0}
        with new.read() as db:
            assert get_record(db, "ledger", PENDING_REFUSALS), "more of it may come"
        do(new, put_record, SERVER_KIND, "srv", late | {"seen_ms": late["seen_ms"] - ALIVE_MS}, NOW)
        assert new.write(apply_pending_refusals) == 0
        with new.read() as db:
            assert get_record(db, "ledger", PENDING_REFUSALS) is None
        assert new.write(apply_pending_refusals) == 0


def next_version(monkeypatch: pytest.MonkeyPatch, oldest: int, sql: str) -> None:
    """As if this were the version after, with a step of its own."""
    monkeypatch.setattr(migrations, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    monkeypatch.setitem(
        MIGRATION_STEPS, SCHEMA_VERSION, MigrationStep(lambda db: db.execute(text(sql)) and None, oldest)
    )


def test_a_ledger_that_was_expanded_is_served_by_the_version_before_too(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger(url, open_tables) as before:
        do(before, record_heartbeat, "srv")
        with monkeypatch.context() as patched:
            next_version(patched, SCHEMA_VERSION, "alter table decisions add column more text")
            with Ledger(url, open_tables) as after:
                do(after, put_record, "k", "after", 1, NOW)
        do(before, put_record, "k", "before", 1, NOW)
    with Ledger(url, open_tables) as again, again.read() as db:  # the version before can be started anew
        assert get_record(db, "ledger", "schema") == {"version": SCHEMA_VERSION + 1, "oldest": SCHEMA_VERSION}
        assert (get_record(db, "k", "after"), get_record(db, "k", "before")) == (1, 1)
        assert "more" in {column["name"] for column in inspect(db).get_columns("decisions")}
        assert not is_outdated(db)


def test_nothing_is_taken_away_while_a_server_needs_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(url, open_tables) as before:
        do(before, record_heartbeat, "srv")
        with monkeypatch.context() as patched:
            next_version(patched, SCHEMA_VERSION + 1, "alter table decisions drop column considered")
            with raises_code("servers_too_old", str(os.getpid()), kind=ConfigError):
                Ledger(url, open_tables)
            with before.read() as db:
                assert get_record(db, "ledger", "schema")["version"] == SCHEMA_VERSION
                (said,) = db.execute(select(RECORDS.c.body).where(RECORDS.c.kind == SERVER_KIND)).scalars()
            late = json.loads(said)
            do(before, put_record, SERVER_KIND, "srv", late | {"seen_ms": late["seen_ms"] - ALIVE_MS}, NOW)
            monkeypatch.setattr(migrations, "make_tables", lambda _: None)  # this one's still has the column
            Ledger(url, open_tables).close()
        with before.read() as db:
            assert is_outdated(db)
            assert not live_servers(db)
    with raises_code("ledger_too_new", str(SCHEMA_VERSION + 1), str(SCHEMA_VERSION), kind=ConfigError):
        Ledger(url, open_tables)
