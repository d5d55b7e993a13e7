"""Search everything that promolift wrote and all that the shop names for an erased customer, and say what is left.

An erasure deletes what it may delete; the shop's own files, releases, archives and backups it only searches. What is
found there is returned with a code that says what to do about it.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.privacy.identifier_search import (
    CELLS_AT_ONCE,
    NOTHING_SEARCHED,
    Finding,
    IdentifierSearch,
    Searched,
    find_contacts,
    is_distinctive,
)
from promolift.foundation.storage.artifacts import remembered_outputs
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.remote_storage import on_this_machine, url_of
from promolift.server.settings import ServeSettings
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.work_folder.customer_erasure import identify_customer, mask_customer, source_files

DEFAULT_OUTPUTS = ("promolift-report", "learn-report", "evidence.zip")  # where commands write when no place is named
LEDGER_LOGS = ("-wal", "-shm", "-journal")
MARK_COLUMN = ", table customers, column customer_id"
SMALL_LEDGER_BYTES = 64 << 20  # it is written anew in a part of a second
FREE_PAGES = ", free pages"


class Remainder(NamedTuple):
    """Where the customer still stands, how often, and what to do about it (a key of REMEDIES)."""

    place: str
    times: int
    remedy: str


class ErasureReport(NamedTuple):
    """Where a customer was searched for: each place with its files and bytes; what is left; what is retained on
    purpose; what could not be read.
    """

    searched: tuple[tuple[str, int, int], ...]
    left: tuple[Remainder, ...]
    retained: tuple[str, ...]
    unread: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """As values of JSON."""
        return {
            "searched": [{"place": place, "files": files, "bytes": size} for place, files, size in self.searched],
            "left": [each._asdict() for each in self.left],
            "retained": [*self.retained],
            "unread": [*self.unread],
        }


LEDGER_DATABASE = gettext_noop("the ledger's database")
REMEDIES = {
    "source": gettext_noop(
        "one of the shop's own files: delete the customer there, or the next ingest reads the rows again"
    ),
    "ledger": gettext_noop("erase the customer in the server, too: POST /v1/privacy/ID:erase"),
    "record": gettext_noop("a note or setting that a person wrote in the server: change it there"),
    "audit": gettext_noop(
        "the audit log cannot be changed; whoever keeps it must know that this row names the customer"
    ),
    "free_pages": gettext_noop(
        "deleted rows that the file still holds: run `promolift erase` again while no server runs"
    ),
    "release": gettext_noop("make a new release and activate it; `promolift ledger purge` deletes old ones"),
    "temporary": gettext_noop("another run is working; erase again when it has ended"),
    "backup": gettext_noop("delete the backup, or let it expire"),
    "output": gettext_noop("written by promolift: delete it, or run the command again that wrote it"),
    "other": gettext_noop("delete it"),
}


def search_places(
    root: Path, settings: ServeSettings, search: IdentifierSearch, sources: Iterable[Path], also: Iterable[Path] = ()
) -> ErasureReport:
    """Search the work folder `root`, the ledger, releases, what was written elsewhere, the shop's files and `also`."""
    home = root.absolute()
    own = [each.absolute() for each in sources]
    written = [each.absolute() for each in (*remembered_outputs(root), *map(Path, DEFAULT_OUTPUTS))]
    further = [each.absolute() for each in also]
    places = [home, *_ledger_files(settings), *_shared_releases(settings), *written, *own, *further]
    searched, whole = list[tuple[str, int, int]](), NOTHING_SEARCHED
    for place in dict.fromkeys(places):
        inside = any(place.is_relative_to(Path(done)) for done, _, _ in searched)
        if place.exists() and not inside:
            found = search.search(place)
            searched.append((str(place), found.files, found.bytes))
            whole += found
    if settings.ledger and not settings.ledger.startswith("sqlite"):
        found = _search_database(settings.ledger, search)
        searched.append((LEDGER_DATABASE, found.files, found.bytes))
        whole += found
    retained, left = list[str](), []
    for finding in whole.findings:
        if _is_erased_mark(finding, search.customer_id):
            retained.append(search.mask(finding.place))
        else:
            remedy = _remedy(finding.place, home, own, written, settings)
            left.append(Remainder(search.mask(finding.place), finding.times, remedy))
    return ErasureReport(tuple(searched), tuple(left), tuple(retained), tuple(map(search.mask, whole.unread)))


def describe(gone: Mapping[str, int], search: IdentifierSearch, report: ErasureReport) -> Iterator[str]:
    """Say in sentences what was erased, where the customer was searched for, and what is left."""
    tables = ", ".join(gone) or gettext("no table knew them")
    yield gettext("erased: {rows} rows ({tables})", rows=f"{sum(gone.values()):,}", tables=tables)
    if search.contacts:
        yield gettext(
            "searched for the id and {contacts} e-mail addresses and phone numbers of the customer",
            contacts=len(search.contacts),
        )
    else:
        yield gettext("searched for the id; no e-mail address or phone number of the customer is known")
    if not is_distinctive(search.customer_id):
        yield gettext("the id is short: it counts in customer columns and after their names only")
    for place, files, size in report.searched:
        place = gettext(LEDGER_DATABASE) if place == LEDGER_DATABASE else place
        yield gettext("searched: {place}, {files} files, {size} bytes", place=place, files=f"{files:,}",
                      size=f"{size:,}")  # fmt: skip
    for place in report.retained:
        yield gettext("kept on purpose: {place}: the mark that nobody may write to the customer", place=place)
    for place in report.unread:
        yield gettext("not searched: {place}", place=place)
    for place, times, remedy in report.left:
        yield gettext("left: {place} ({times}); {remedy}", place=place, times=f"{times:,}",
                      remedy=gettext(REMEDIES[remedy]))  # fmt: skip
    if not report.left:
        yield gettext("left: nothing")


def ledger_contacts(settings: ServeSettings, customer_id: str) -> set[str]:
    """Return the e-mail addresses and phone numbers in a ledger's rows about a customer, without those that rows of
    other customers have, too; one that fills a field of the customer's is no other's where a text mentions it."""
    path = _ledger_files(settings)
    if path and not path[0].is_file():
        return set()
    from sqlalchemy import create_engine, select
    from sqlalchemy.exc import SQLAlchemyError

    from promolift.server.ledger.schema import EVENTS, OUTBOX, REJECTS

    engine, found, own = create_engine(settings.ledger_url), set[str](), set[str]()
    try:
        with engine.connect() as db:
            for table in (EVENTS, OUTBOX, REJECTS):
                for (body,) in db.execute(select(table.c.body).where(table.c.customer_id == customer_id)):
                    found |= find_contacts(body)
                    own |= find_contacts(body, whole=True)
            for contact in list(found):
                theirs = EVENTS.c.customer_id != customer_id, EVENTS.c.body.icontains(contact, autoescape=True)
                others = db.execute(select(EVENTS.c.body).where(*theirs).limit(100))
                if any(contact in find_contacts(body, whole=contact in own) for (body,) in others):
                    found.remove(contact)
    except SQLAlchemyError:
        return set()
    finally:
        engine.dispose()
    return found


def identify(_: str, work: Path, customer_id: str, settings: ServeSettings, config: Config | None) -> IdentifierSearch:
    """Return the search for a customer of a server, in a process of its own."""
    with Store(work) as store:
        return identify_customer(store, customer_id, config, ledger_contacts(settings, customer_id))


def find_rejects(ledger: str, _: Path, search: IdentifierSearch) -> list[int]:
    """Return the numbers of rejected events that name the customer anywhere, in a process of its own."""
    from sqlalchemy import create_engine, select

    from promolift.server.ledger.schema import REJECTS

    engine = create_engine(ledger)
    try:
        with engine.connect() as db:
            rows = db.execution_options(yield_per=5000).execute(select(REJECTS.c.seq, REJECTS.c.detail, REJECTS.c.body))
            return [seq for seq, *texts in rows if any(map(search.in_any_reading, texts))]
    finally:
        engine.dispose()


def mask_mentions(ledger: str, _: Path, search: IdentifierSearch) -> list[dict[str, object]]:
    """Return the events of other customers that name the customer, without what names the customer, in a process of
    its own: `at` is the event's number.
    """
    from sqlalchemy import create_engine, select

    from promolift.server.ledger.schema import EVENTS

    engine, found = create_engine(ledger), list[dict[str, object]]()
    texts = (EVENTS.c.message_id, EVENTS.c.name, EVENTS.c.body)
    try:
        with engine.connect() as db:
            others = select(EVENTS.c.seq, *texts).where(EVENTS.c.customer_id != search.customer_id)
            for seq, message_id, name, body in db.execution_options(yield_per=5000).execute(others):
                if any(map(search.in_any_reading, (message_id, name, body))):
                    said = json.dumps(mask_customer(json.loads(body), search), ensure_ascii=False)
                    key = f"erased-{seq}" if search.in_any_reading(message_id) else message_id
                    found.append({"at": seq, "message_id": key, "name": mask_customer(name, search), "body": said})
    finally:
        engine.dispose()
    return found


def search_after_erasure(
    _: str, work: Path, search: IdentifierSearch, settings: ServeSettings, config: Config | None
) -> dict[str, object]:
    """Empty the ledger's log, then search everything, in a process of its own; the report as values of JSON.

    A small ledger that still holds the customer in free pages is written anew, for which decisions wait a moment.
    """
    empty_log(settings)
    report = search_places(work, settings, search, source_files(config))
    small = all(path.stat().st_size <= SMALL_LEDGER_BYTES for path in _ledger_files(settings) if path.is_file())
    if small and any(each.remedy == "free_pages" for each in report.left):
        remove_free_pages(settings)
        report = search_places(work, settings, search, source_files(config))
    return report.to_json()


def remove_free_pages(settings: ServeSettings) -> None:
    """Write a ledger in a file anew without the pages of deleted rows, and empty its log. Nothing happens if a server
    holds it."""
    for path in _ledger_files(settings)[:1]:
        if path.is_file():
            with closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as db:
                try:
                    db.execute("vacuum")
                    db.execute("pragma wal_checkpoint(truncate)")
                except sqlite3.OperationalError:
                    return


def empty_log(settings: ServeSettings) -> None:
    """Copy the write-ahead log of a ledger in a file back and empty it: it holds the rows as they were before."""
    for path in _ledger_files(settings)[:1]:
        if path.is_file():
            with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as db:
                db.execute("pragma wal_checkpoint(truncate)").fetchall()


def _ledger_files(settings: ServeSettings) -> list[Path]:
    """The ledger's file and those beside it; none where a database server keeps it."""
    url = settings.ledger_url
    if not url.startswith("sqlite:///"):
        return []
    path = Path(url.removeprefix("sqlite:///").split("?")[0]).absolute()
    return [path, *(path.with_name(path.name + end) for end in LEDGER_LOGS)]


def _shared_releases(settings: ServeSettings) -> Iterator[Path]:
    if settings.releases is not None and url_of(settings.releases) is None:
        yield on_this_machine(settings.releases).absolute()


def _remedy(place: str, home: Path, own: list[Path], written: list[Path], settings: ServeSettings) -> str:
    path = Path(place.partition("!")[0].partition(", ")[0].removesuffix(" (its name)"))
    ledger = _ledger_files(settings)
    if path in ledger or place.startswith("table "):
        if "table things, " in place or "table audit, " in place:
            return "record" if "table things, " in place else "audit"
        return "free_pages" if place.endswith(FREE_PAGES) or path in ledger[1:] else "ledger"
    if path in own:
        return "source"
    if any(path.is_relative_to(each) for each in (home / "serve" / "releases", *_shared_releases(settings))):
        return "release"
    if path.name == "ledger.db" or ("releases" in path.parts and not path.is_relative_to(home)):
        return "backup"
    if path.is_relative_to(home / "tmp"):
        return "temporary"
    return "output" if any(path.is_relative_to(each) for each in (home, *written)) else "other"


def _is_erased_mark(finding: Finding, customer_id: str) -> bool:
    """Whether it is the mark of a ledger that nobody may write to this customer any more: all that is kept by id."""
    place, found, _ = finding.place.partition(MARK_COLUMN)
    if not found or "!" in place:
        return False
    try:
        with closing(sqlite3.connect(f"{Path(place).as_uri()}?mode=ro", uri=True)) as db:
            asked = "select count(*), sum(erased) from customers where customer_id = ?"
            rows, erased = db.execute(asked, [customer_id]).fetchone()
    except sqlite3.Error:
        return False
    return bool(rows == erased == finding.times)


def _search_database(url: str, search: IdentifierSearch) -> Searched:
    """Search every column of a ledger on a database server."""
    from sqlalchemy import create_engine, select
    from sqlalchemy.exc import SQLAlchemyError

    from promolift.server.ledger.schema import CUSTOMERS, META

    found, size, tables = [], 0, META.sorted_tables
    engine = create_engine(url)
    try:
        with engine.connect() as db:
            for table in tables:
                counts = dict.fromkeys(table.c.keys(), 0)
                rows = db.execution_options(yield_per=CELLS_AT_ONCE).execute(select(table)).mappings()
                for some in rows.partitions(CELLS_AT_ONCE):
                    for name in counts:
                        marks = table is CUSTOMERS and name == "customer_id"
                        size += sum(len(row[name]) if isinstance(row[name], str) else 8 for row in some)
                        texts = (row[name] for row in some if not (marks and row["erased"]))
                        counts[name] += search.count_cells(name, (each for each in texts if isinstance(each, str)))
                found += [Finding(f"table {table.name}, column {name}", n) for name, n in counts.items() if n]
    except SQLAlchemyError as error:
        return Searched(0, 0, (), (f"the ledger's database: {str(error).splitlines()[0]}",))
    finally:
        engine.dispose()
    return Searched(len(tables), size, tuple(found), ())
