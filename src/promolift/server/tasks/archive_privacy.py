"""Keep customers' ids and contacts out of an archive of evidence: mask what may be masked, find what is left.

The archive goes to people outside of the shop. Its tables hold pseudonyms; other files hold texts in which raw data may
stand: rows that were set aside, notes of people, names that the shop gave.
"""

import io
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import polars as pl

from promolift.foundation.hashing import HASHED_FIELDS
from promolift.foundation.privacy.identifier_patterns import ESCAPES
from promolift.foundation.privacy.identifier_search import (
    IdentifierSearch,
    find_contacts,
    is_distinctive,
    without_endings,
)
from promolift.foundation.privacy.redaction import redact
from promolift.foundation.storage.local_store import Store
from promolift.shop.results.work_folder.work_tables import CleanTables

RUN = r"[A-Za-z0-9]+"  # of an id: it stands as a whole wherever the id does
MASKED, KEY_FILE = "[masked]", "evidence.key"  # the file holds the key of the pseudonyms, in the work folder
MASKABLE = ("subject", "old", "new")  # fields of an audit row
CUSTOMER_ID_COLUMN = "customer_id"
CATALOGUE_COLUMNS = ("product_id", "category", "type", "name")


class KnownCustomers(NamedTuple):
    """Every customer id that the shop or its server knows, and contacts that rows of customers hold.

    `ids` has the columns customer_id, distinctive, and run: letters and digits that stand as a whole in the id.
    """

    ids: pl.DataFrame
    contacts: frozenset[str]

    @classmethod
    def of(cls, store: Store, served: Iterable[str]) -> "KnownCustomers":
        """Those of a work folder, and ids that a server knows. Ids that are names in the catalogue, too, tell nobody
        apart there: they count in columns of customers alone."""
        clean, ids, contacts, names = CleanTables(store), {*served}, set[str](), set[str]()
        if clean.has_events:
            ids |= {who for (who,) in clean.events().project(CUSTOMER_ID_COLUMN).distinct().fetchall() if who}
        if clean.rejected is not None:
            contacts = {each for (raw,) in clean.rejected.project("raw").fetchall() for each in find_contacts(raw)}
        for row in clean.people.iter_rows(named=True):
            ids.add(row[CUSTOMER_ID_COLUMN])
            contacts |= {each for column, value in row.items() for each in find_contacts(value, column)}
        if clean.has_products:
            some = clean.catalogue.select(pl.col(CATALOGUE_COLUMNS).cast(pl.String))
            names = {value for column in some for value in column if value}
        return cls.listed(ids - names, contacts.union(*map(find_contacts, ids)))

    @classmethod
    def listed(cls, ids: Iterable[str], contacts: Iterable[str] = ()) -> "KnownCustomers":
        """Those of a list of ids and one of contacts, as `find_contacts` returns them."""
        listed = sorted(ids)
        frame = pl.DataFrame({
            CUSTOMER_ID_COLUMN: pl.Series(listed, dtype=pl.String),
            "distinctive": pl.Series([is_distinctive(who) for who in listed], dtype=pl.Boolean),
        })  # fmt: skip
        runs = pl.col(CUSTOMER_ID_COLUMN).str.extract(f"({RUN})").alias("run")
        return cls(frame.with_columns(runs), frozenset(contacts))

    def named_in(self, text: str) -> list[IdentifierSearch]:
        """Those whom a text names, as searches that find and mask them."""
        runs = {*re.findall(RUN, text), *re.findall(RUN, re.sub(ESCAPES, " ", text))}
        short = re.search("customer|user|anonymous|person|subject", text, re.IGNORECASE) is not None
        ids = self.ids if short else self.ids.filter("distinctive")
        some = ids.filter(pl.col("run").is_in(runs))[CUSTOMER_ID_COLUMN].to_list()
        other = ids.filter(pl.col("run").is_null())[CUSTOMER_ID_COLUMN]
        if other.len():
            some += pl.Series([text]).str.extract_many(other, overlapping=True)[0].unique().to_list()
        found = [search for who in some if (search := IdentifierSearch(who)).in_text(text)]
        if contacts := find_contacts(text) & self.contacts:
            found.append(IdentifierSearch(min(contacts), frozenset(contacts)))
        return found

    def mask(self, text: str) -> str:
        """A text without them."""
        for search in self.named_in(text):
            text = search.mask(text)
        return text


def mask_health(note: dict[str, Any], known: KnownCustomers) -> dict[str, Any]:
    """The health report without the rows that were set aside, whose numbers stay, and without personal data."""
    tables = [
        {**table, "first": {reason: [[row, MASKED] for row, _ in rows] for reason, rows in table["first"].items()}}
        for table in note["tables"]
    ]
    return dict(_mapped({**note, "tables": tables}, lambda text: redact(known.mask(text))))


def mask_audit_row(row: dict[str, Any], known: KnownCustomers) -> dict[str, Any]:
    """A row of the audit log whose fields do not name customers. `masked` lists the fields that did; the hash stays
    that of the whole row, so that the chain goes on."""
    hidden = [name for name in MASKABLE if known.named_in(row[name]) or find_contacts(row[name])]
    return {**row, **dict.fromkeys(hidden, MASKED), "masked": hidden} if hidden else row


def find_audit_faults(chain: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with rows of an archive's audit log beside their chain: `masked` is not believed.

    It may name fields that `mask_audit_row` masks and that are masked; no row has a field of its own, or names anybody
    by an e-mail address or a phone number.
    """
    for row in chain:
        masked = row.get("masked")
        if {*row} - {"masked"} != {*HASHED_FIELDS, "hash"}:
            yield f"row {row.get('seq')} has not the fields of an audit row"
        elif masked is not None and not (
            isinstance(masked, list) and masked and all(name in MASKABLE and row[name] == MASKED for name in masked)
        ):
            yield f"row {row['seq']} states fields as masked that are not, or may not be"
        elif any(find_contacts(row[name]) for name in MASKABLE):
            yield f"row {row['seq']} holds an e-mail address or a phone number"


def find_names(files: Mapping[str, bytes], known: KnownCustomers) -> Iterator[str]:
    """Yield the places in an archive's files that name a customer without a pseudonym; not the names themselves."""
    for name, content in files.items():
        if known.named_in(without_endings(name)):
            yield "the name of a file"
        if name.endswith(".parquet"):
            for column, texts in _columns(pl.read_parquet(io.BytesIO(content))):
                if known.named_in("\n".join(texts)):
                    yield f"{name}, column {column}"
        elif known.named_in(content.decode()):
            yield name


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with every text, keys included, changed."""
    if isinstance(value, Mapping):
        return {change(str(name)): _mapped(item, change) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mapped(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


class _ColumnTexts(NamedTuple):
    column: str
    texts: list[str]


def _columns(frame: pl.DataFrame) -> Iterator[_ColumnTexts]:
    """The different texts of each column, fields of lists and structs by name."""
    for series in frame:
        if isinstance(series.dtype, pl.List):
            yield from _columns(pl.DataFrame({series.name: series.explode()}))
        elif isinstance(series.dtype, pl.Struct):
            fields = _columns(series.struct.unnest())
            yield from (_ColumnTexts(f"{series.name}.{name}", texts) for name, texts in fields)
        elif series.dtype == pl.String:
            yield _ColumnTexts(series.name, series.drop_nulls().unique().to_list())


def pseudonymise_rows(rows: pl.DataFrame, named: Callable[[str], str], erased: set[str]) -> pl.DataFrame:
    """Return rows under pseudonyms, sorted by them, without those of erased customers."""
    rows = rows.filter(~pl.col("customer_id").is_in(sorted(erased)))
    people = rows["customer_id"].unique().to_list()
    names = {who: named(who) for who in people}
    rows = rows.with_columns(pl.col("customer_id").replace_strict(names, return_dtype=pl.String))
    return rows.sort([name for name in ("customer_id", "offer_id", "decision_id") if name in rows.columns])


def pseudonymise_ids(ids: pl.Series, named: Callable[[str], str]) -> pl.Series:
    """Return pseudonyms of the ids of decisions, which are hashes of the customer's id, by the same key."""
    return pl.Series("decision_id", [f"dec_{named(each)[4:]}" for each in ids], dtype=pl.String)


def pseudonym_key(store: Store) -> str:
    """Return the work folder's own key of pseudonyms; it is made at the first call."""
    path = store.root / KEY_FILE
    if not path.exists():
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
    return path.read_text(encoding="ascii")
