"""Erase one customer from a work folder: rows of tables, raw rows that were set aside, and texts in notes."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import polars as pl

from promolift.foundation.errors import PromoError
from promolift.foundation.files.table_files import open_file
from promolift.foundation.files.workbook import split_sheet
from promolift.foundation.privacy.identifier_search import IdentifierSearch, TextCell, find_contacts
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.remote_storage import PARTS, brought
from promolift.shop.configuration.configuration import Config

RELEASES = Path("serve", "releases")  # never change: a release's id is a hash of its files
ERASED = "[erased]"


def source_files(config: Config | None) -> list[Path]:
    """Return the shop's own files that the settings name."""
    return list(dict.fromkeys(split_sheet(path).file for path in _table_paths(config)))


def _table_paths(config: Config | None) -> list[Path]:
    """The shop's own tables: files, or sheets of workbooks."""
    files = config.data.files.values() if config else ()
    return list(dict.fromkeys(Path(path) for file in files for path in file.paths))


def identify_customer(
    store: Store, customer_id: str, config: Config | None, contacts: Iterable[str] = ()
) -> IdentifierSearch:
    """Return the search for a customer by the id and by the e-mail addresses and phone numbers known of the customer.

    They are read from the customer's rows in the work folder and in the shop's own files; `contacts` are further ones.
    One that other customers have, too, is left out; where it fills a field of the customer's, a text that mentions it
    makes it nobody else's.
    """
    files = config.data.files.values() if config else ()
    columns = frozenset(name for file in files for name in file.mapping.sources("customer_id"))
    search = IdentifierSearch(customer_id, frozenset({*contacts, *find_contacts(customer_id)}), columns)
    with TemporaryDirectory() as copies:
        tables = [*_tables(store, config, Path(copies))]
        named = [search.contacts_in(rows) for rows in tables]
        found = set(search.contacts).union(*(each for each, _ in named))
        own = set(search.contacts).union(*(each for _, each in named))
        shared = set[str]().union(*(search.shared_contacts(rows, found, own) for rows in tables if found))
    return IdentifierSearch(customer_id, frozenset(found - shared), columns)


def _tables(store: Store, config: Config | None, copies: Path) -> Iterator[duckdb.DuckDBPyRelation]:
    """Every table of the work folder, and those of the shop's own files that are still there."""
    for path in _parquet_files(store):
        yield store.connection.read_parquet(str(path), hive_partitioning=False)
    for path in _table_paths(config):
        with suppress(PromoError, duckdb.Error):
            yield open_file(store.connection, path, copies).rows


def erase_customer(store: Store, search: IdentifierSearch) -> dict[str, int]:
    """Delete every row that names the customer from all tables but those of releases, and what notes say of them.

    Returns how many rows went, by table, and how many texts of each note. StepError while a step writes there.
    """
    gone = store.forget(search.customer_id)
    for path in _parquet_files(store):
        rows = store.connection.read_parquet(str(path), hive_partitioning=False, file_row_number=True)
        tests = search.rows(rows.project("* exclude (file_row_number)"))
        named = rows.filter(" or ".join(tests.values()) or "false").project("file_row_number")
        if places := [number for (number,) in named.fetchall()]:
            mine = pl.int_range(pl.len()).is_in(places)
            name = _table_name(store, path)
            gone[name] = gone.get(name, 0) + store.delete_rows(path, mine)
    for path in sorted(brought(store.root / "notes").glob("*.json")):
        name = path.stem
        note = store.load_json(name)
        masked = list[str]()
        cleaned = _masked(note, search, masked)
        if masked:
            store.save_json(name, cleaned)
            gone[f"notes.{name}"] = len(masked)
    if store.remote and gone:
        store.remote.publish(kept_s=0)
    return gone


def mask_customer(value: Any, search: IdentifierSearch) -> Any:
    """Return a JSON value with `[erased]` in place of each text and key that names the customer."""
    return _masked(value, search, [])


def _parquet_files(store: Store) -> Iterator[Path]:
    for part in PARTS:
        brought(store.root / part)
    for path in sorted(store.root.rglob("*.parquet")):
        place = path.relative_to(store.root)
        if place.parts[0] != "tmp" and not place.is_relative_to(RELEASES):
            yield path


def _table_name(store: Store, path: Path) -> str:
    place = path.relative_to(store.root)
    if place.parts[0] == "tables":
        return place.stem if len(place.parts) == 2 else place.parts[1]
    return place.with_suffix("").as_posix()


def _masked(value: Any, search: IdentifierSearch, masked: list[str]) -> Any:
    """A JSON value whose texts do not name the customer; each that did goes into `masked`."""
    named = search.find_cells(_texts(value))
    return _without(value, named, masked) if named else value


def _texts(value: Any, key: str = "") -> Iterator[TextCell]:
    """Each text of a JSON value with the key it stands under, and each key with none."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield TextCell("", name)
            yield from _texts(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, key)
    elif isinstance(value, str):
        yield TextCell(key, value)


def _without(value: Any, named: Collection[TextCell], masked: list[str], key: str = "") -> Any:
    if isinstance(value, dict):
        return {
            (ERASED if TextCell("", name) in named else name): _without(item, named, masked, name)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_without(item, named, masked, key) for item in value]
    if isinstance(value, str) and TextCell(key, value) in named:
        masked.append(value)
        return ERASED
    return value
