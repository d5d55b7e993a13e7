"""Step 1: clean the raw files, and store the clean tables, the rejected rows and the health report."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import time
from typing import NamedTuple

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.core.customers.consent import personalisation_consent
from promolift.core.customers.sensitive_topics import SENSITIVE_TOPIC_NAMES, sensitive_columns, sensitive_products
from promolift.extensions.media import catalogue_step
from promolift.foundation.errors import InputError
from promolift.foundation.extension import load_reference, registered
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.files.table_files import open_file
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.formatting import money
from promolift.foundation.i18n.lazy_message import gettext_lazy, list_messages
from promolift.foundation.sql import quote_identifier, run_select, sql_literal
from promolift.foundation.storage.local_store import Store, shards_for
from promolift.foundation.storage.table_writing import TableDraft
from promolift.foundation.tables.schemas import CUSTOMERS, EVENTS, PRODUCTS
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.configuration.configuration import RawFile
from promolift.shop.configuration.settings import CleanRules, Processing
from promolift.shop.ingest.cleaning.data_health import health
from promolift.shop.ingest.cleaning.data_summary import ShardSums, shard_sums, summarise
from promolift.shop.ingest.cleaning.event_cleaning import (
    CleanedTable,
    JudgedShard,
    add_catalogue_price,
    clean_shard_events,
    partition_events,
    rejected_rows,
)
from promolift.shop.ingest.cleaning.id_spellings import find_spellings
from promolift.shop.ingest.cleaning.overlapping_files import MergedFiles, merge_files
from promolift.shop.ingest.cleaning.row_counts import first_rows
from promolift.shop.ingest.cleaning.sql_casts import NULL_TEXTS
from promolift.shop.ingest.cleaning.table_cleaning import (
    clean_coupons,
    clean_customers,
    clean_exposures,
    clean_products,
    clean_redemptions,
    clean_shelf,
    clean_words,
    latest_values,
)
from promolift.shop.ingest.cleaning.table_join import join_rows, order_lines
from promolift.shop.pipeline import customer_texts
from promolift.shop.results.ingest import Counts, Health, Span
from promolift.shop.results.work_folder.run_context import Job, map_shards

CLEANERS = {
    "customers": clean_customers,
    "products": clean_products,
    "exposures": clean_exposures,
    "redemptions": clean_redemptions,
    "coupons": clean_coupons,
    "shelf": clean_shelf,
    "words": clean_words,
}
ORDER = sorted(EVENTS.schema, key=lambda name: ("customer_id", "ts_ms", name).index(name))
REPEATS_WARNING_SHARE = 0.001  # of the rows: fewer equal ones are not spoken of
SMALL = ("customers", "products", "exposures", "redemptions", "coupons")
ALLOW = gettext_noop("privacy.sensitive_allowed takes it in")
REPEATED = gettext_noop("in another file of events, too")
MAX_TWO_CUSTOMERS = 0.01  # of the orders: so many of two tills with the same numbers may look alike by chance
SAMPLES = 3  # orders or customers named in an error
EXPIRED = gettext_noop("older than it may be kept")  # by privacy.*.keep_days
NO_CONSENT = "their customers did not agree to have them read"  # by words.unasked
RETENTION_COLUMNS = {
    "exposures": "end_ms",
    "redemptions": "ts_ms",
    "words": "ts_ms",
}  # from when the days of a table's rows count
PART = {"words": "words", "transcripts": "words"}  # of [privacy], for tables that are not of promotions


@dataclass(frozen=True)
class RawSource:
    """A raw table and its mapping; `joined` are the tables that added columns to it."""

    table: RawTable
    mapping: Mapping
    joined: tuple[RawTable, ...] = ()


def run(job: Job) -> None:
    """Clean every raw table. The small ones first: the catalogue may hold prices that the events lack."""
    store, rules = job.store, clean_rules(job)
    raw = open_raw(job)
    for name in [*CLEANERS, "events", "rejected"]:
        if store.has(name):
            store.remove(name)
    counts: list[Counts] = []
    with store.sharded("rejected") as put, fixed_join_order(store):
        aside = RejectSink(store, put)
        for done, (name, cleaner) in enumerate(CLEANERS.items()):
            source = raw.get("promotions" if name == "exposures" else name)
            if name == "redemptions" and source is None:
                source = redemptions_in_promotions(raw)
            if source is None:
                continue
            job.tell("ingest", 0.05 * done, name)
            if name == "words":
                all_rows = source.table.rows
                admitted = customer_texts.readable_texts(job, all_rows, source.mapping)
                source = replace(source, table=replace(source.table, rows=admitted))
            counts.append(clean_table(job, name, source, cleaner(source.table.rows, source.mapping, rules), aside))
            if name == "words":
                left = size_of(all_rows) - size_of(admitted)
                counts[-1] += customer_texts.count_unread_texts(job) + Counts(
                    name, left, rejected={NO_CONSENT: left} if left else {}
                )
        for name, table in (("customers", CUSTOMERS), ("products", PRODUCTS)):
            if not store.has(name):
                store.save(name, table.empty())
        seen = catalogue_step.run(job)
        logs = [source for name, source in raw.items() if name.startswith("events")]
        counts.insert(0, clean_events(job, logs, rules, aside))
    if len(logs) > 1:
        check_orders_have_one_customer(job)
    check_refusals_match(job, aside)
    keep_recent_customers(job)
    if stopped := customer_texts.apply_text_opt_outs(job):
        aside.private.append(
            f"{stopped:,} of the customers asked in their own words for no more messages: they count as having refused "
            "offers; let a person look (table words, stop_prob)"
        )
    for part in aside.of_events:  # now that the table is there, the first bad rows of each reason
        counts[0] += Counts("events", first=first_rows(job.clean.rejected_part(part)))
    job.tell("ingest", 0.95, gettext_noop("what the data can answer"))
    save_health(job, counts, raw, aside.private + seen, aside.warnings)


@contextmanager
def fixed_join_order(store: Store) -> Iterator[None]:
    """The right side of a join is the one held in memory: DuckDB takes a log in a text file for a few rows, and would
    hold all of it to look up the prices of a catalogue.
    """
    store.connection.execute("set disabled_optimizers = 'build_side_probe_side'")
    try:
        yield
    finally:
        store.connection.execute("reset disabled_optimizers")


class RejectSink:
    """Writes rejected rows piece by piece, so that a file full of bad rows does not fill the memory."""

    def __init__(self, store: Store, put: TableDraft) -> None:
        """`put` writes one numbered piece of the table of rejected rows."""
        self.store, self.put, self.pieces = store, put, 0
        self.of_events: list[int] = []
        self.private: list[str] = []  # what was not taken, as it is too private, in sentences
        self.warnings: list[str] = []

    def keep(self, cleaned: CleanedTable, source: str) -> None:
        """The rows that cleaning set aside."""
        self.put(self.pieces, cleaned.rejected(source))
        self.pieces += 1

    def again(self, source: RawSource, rows: list[pl.DataFrame]) -> None:
        """The rows of a log that cleaning set aside, as they stand in its file, which is read once more."""
        aside = pl.concat(rows)
        if aside.height:
            self.of_events.append(self.pieces)
            self.put(self.pieces, rejected_rows(source.table.rows, source.mapping, aside, source.table.source))
            self.pieces += 1

    def unreadable(self, counts: Counts, source: RawSource) -> Counts:
        """The lines that could not be read at all; returns the counts with them."""
        for table in (source.table, *source.joined):
            lines = table.unreadable()
            if source.mapping.table == "words":  # which are kept nowhere
                lines = lines.with_columns(raw=pl.lit("(a text)"))
            self.put(self.pieces, self.store.connection.from_arrow(lines.to_arrow()))
            self.pieces += 1
            counts = counts.with_unreadable(lines)
        return counts


def open_raw(job: Job) -> dict[str, RawSource]:
    """Return the raw tables by name: events (events2, ...), customers, products, promotions.

    The source of an extension takes DuckDB's connection and the settings, and returns a `RawTable` with its mapping for
    each name; it may give redemptions, coupons and shelf, too.
    """
    store, settings = job.store, job.config.data
    if settings.source != "files":
        tables: dict[str, RawTable] = load_reference(registered("sources")[settings.source])(
            store.connection, job.config
        )
        return {name: RawSource(table, Mapping.parse(table.mapping, table.source)) for name, table in tables.items()}
    return {name: open_raw_source(store, name, file) for name, file in settings.files.items()}


def raw_file_path(store: Store, name: str, file: RawFile) -> Path:
    """Return the raw file, or the file with the warehouse's answer; StepError if it was not queried yet."""
    return store.path(f"pulled_{name}") if file.query else Path(file.path)


def open_table(store: Store, name: str, file: RawFile) -> RawTable:
    """The rows of a raw file, or of a query, as they are."""
    table = open_file(store.connection, raw_file_path(store, name, file), store.raw_copies, file.header or None)
    return replace(table, source=f"{name} of the warehouse") if file.query else table


def open_raw_source(store: Store, name: str, file: RawFile) -> RawSource:
    """Open one raw file with all that is joined to it."""
    table, place = open_table(store, name, file), file.path or f"data.{name}.query"
    joined = []
    for part in file.join:
        other = open_file(store.connection, Path(part.path), store.raw_copies)
        for column, among, path in ((part.on, table, place), (part.key, other, part.path)):
            if column not in among.columns:
                has = ", ".join(among.columns)
                raise InputError(
                    "column_unknown",
                    gettext_lazy(
                        "{path}: no column {column} to join by; correct it in promolift.toml. It has {has}",
                        path=path, column=repr(column), has=has,
                    ),
                )  # fmt: skip
        rows = join_rows(table.rows, other.rows, part.on, part.key, Path(part.path).stem)
        table = replace(table, rows=rows)
        joined.append(other)
    file.mapping.check_columns(table.columns, place)
    table = replace(table, rows=order_lines(table.rows, file.mapping))
    if file.per == "last":
        table = replace(table, rows=latest_values(table.rows, file.mapping))
    return RawSource(table, file.mapping, tuple(joined))


def redemptions_in_promotions(raw: dict[str, RawSource]) -> RawSource | None:
    """Return the redemptions within the promotions file, one per row that has a redemption time."""
    source = raw.get("promotions")
    if source is None or not source.mapping.has("redeemed_at"):
        return None
    kept = {
        role: column
        for role, column in source.mapping.columns.items()
        if role in ("customer_id", "campaign_id", "redeemed_at", "coupon_id")
    }
    constants = {
        role: text
        for role, text in source.mapping.constants.items()
        if role in ("customer_id", "campaign_id", "coupon_id")
    }
    mapping = source.mapping.model_copy(update={"table": "redemptions", "columns": kept, "constants": constants})
    column = quote_identifier(mapping.sources("redeemed_at")[0])
    rows = source.table.rows.filter(f"lower(trim({column}::varchar)) not in {sql_literal(NULL_TEXTS)}")
    return RawSource(RawTable(rows, source.table.source), mapping)


def clean_rules(job: Job) -> CleanRules:
    """The shop's rules; what lies after the moment of the import is the future."""
    rules = job.config.data.rules
    return rules if rules.now_ms is not None else rules.model_copy(update={"now_ms": round(time() * 1000)})


def clean_table(job: Job, name: str, source: RawSource, cleaned: CleanedTable, aside: RejectSink) -> Counts:
    """Write one clean table and collect what was set aside."""
    store = job.store
    with cleaned.staged(store.staged) as judged:
        rows, counts = judged.accepted(), judged.counts()
        if name == "customers":
            private = private_columns(source, rows.columns, job.config.privacy.sensitive_allowed)
            own = [
                f"null::varchar as {quote_identifier(each)}" if each in private else quote_identifier(each)
                for each in CUSTOMERS.schema
            ]
            more = [quote_identifier(each) for each in rows.columns if each not in {*CUSTOMERS.schema, *private}]
            rows = rows.project(", ".join([*own, *more]))
            aside.private += [
                gettext_lazy(
                    "customers: column {column} is left out, as it tells of {matter} ({allow})",
                    column=each,
                    matter=gettext_lazy(SENSITIVE_TOPIC_NAMES[matter]),
                    allow=gettext_lazy(ALLOW),
                )
                for each, matter in private.items()
            ]
        if name in RETENTION_COLUMNS and (since := retention_cutoff(retention_rule(job, name))) is not None:
            old = size_of(rows.filter(f"{RETENTION_COLUMNS[name]} < {since}"))
            rows, counts = rows.filter(f"{RETENTION_COLUMNS[name]} >= {since}"), subtract_expired(counts, old)
        store.save(name, customer_texts.read_words(job, rows) if name == "words" else rows)
        aside.keep(judged, source.table.source)
        return aside.unreadable(counts, source)


def size_of(rows: Relation) -> int:
    """How many rows a relation has."""
    return int(rows.aggregate("count(*)").fetchall()[0][0])


def retention_rule(job: Job, name: str) -> Processing:
    """Return the [privacy] settings for a table of RETENTION_COLUMNS."""
    found: Processing = getattr(job.config.privacy, PART.get(name, "promotions"))
    return found


def retention_cutoff(source: Processing) -> int | None:
    """Return the moment before which no row of a source may be stored; None if no limit is set."""
    return None if source.keep_days is None else round(time() * 1000) - source.keep_days * DAY_MS


def subtract_expired(counts: Counts, old: int) -> Counts:
    """Subtract rows that are older than their retention; these are not stored, not even as rejected rows."""
    return counts + Counts(counts.table, accepted=-old, rejected={EXPIRED: old}) if old else counts


def keep_recent_customers(job: Job) -> int:
    """Customers who did nothing for longer than they may be kept go out of their table; how many."""
    since, store = retention_cutoff(job.config.privacy.customers), job.store
    if since is None or job.clean.people.is_empty():
        return 0
    recent, people = (
        job.clean.events().filter(f"ts_ms >= {since}").project("customer_id").distinct().pl(),
        job.clean.people,
    )
    stay = people.join(recent, on="customer_id", how="semi", maintain_order="left")
    if stay.height < people.height:
        store.save("customers", stay)
    return people.height - stay.height


def purge(job: Job) -> dict[str, int]:
    """Delete what is by now older than [privacy] keeps it; how many rows of each table went."""
    privacy, store, gone = job.config.privacy, job.store, dict[str, int]()
    since = {"events": retention_cutoff(privacy.events)} | {
        name: retention_cutoff(retention_rule(job, name)) for name in (*RETENTION_COLUMNS, "transcripts")
    }
    for name, moment in since.items():
        if moment is not None:
            column = "made_ms" if name == "transcripts" else RETENTION_COLUMNS.get(name, "ts_ms")
            gone |= store.delete(column, pl.col(column) < moment, name)
    if went := keep_recent_customers(job):
        gone["customers"] = went
    days, last = privacy.rejected_days, job.clean.rejected
    if days is not None and last is not None and store.age_days("rejected") > days:
        gone["rejected"] = size_of(last)
        store.remove("rejected")
    return gone


class CleanShard(NamedTuple):
    """Of each log what was set aside and the counts, its rows left out; the rows that lost their product, by matter;
    those that were older than they may be kept; what logs repeat of each other, and say otherwise.
    """

    judged: list[JudgedShard]
    unnamed: dict[str, int]
    old: int
    merged: MergedFiles


def private_columns(source: RawSource, columns: Sequence[str], allowed: Sequence[str]) -> dict[str, str]:
    """Columns of CUSTOMERS that tell of a sensitive matter by what the shop calls them, with the matter."""
    said = {role: " ".join(source.mapping.sources(role)) for role in source.mapping.columns}
    return sensitive_columns({name: said.get(name, name) for name in columns}, allowed)


def clean_events(job: Job, logs: list[RawSource], rules: CleanRules, aside: RejectSink) -> Counts:
    """Split the events by customer hash, then clean shard by shard, so that memory holds one shard at a time."""
    store, settings = job.store, job.config.data
    shards = settings.shards or shards_for(sum(source.table.estimated_rows for source in logs), settings.memory)
    job.tell("ingest", 0.3, gettext_lazy("events in {shards} shards of customers", shards=shards))
    products = job.clean.products
    priced = bool(products.filter("price_cents is not null").limit(1).fetchall())
    counts = Counts("events")
    set_aside: list[list[pl.DataFrame]] = [[] for _ in logs]
    private, since = job.config.privacy.sensitive_allowed, retention_cutoff(job.config.privacy.events)
    hidden = sensitive_products(job.clean.catalogue, private)
    unnamed: Counter[str] = Counter()
    merged: list[MergedFiles] = []
    with ExitStack() as stack:
        parts = []
        for source in logs:
            rows = add_catalogue_price(source.table.rows, source.mapping, products) if priced else source.table.rows
            read = partition_events(rows, source.mapping, rules)
            by = "customer_id" if "customer_id" in read.columns else "_customer"
            parts.append(stack.enter_context(store.split(read, shards, by)))
        put = stack.enter_context(store.sharded("events"))
        mappings = [source.mapping for source in logs]
        made = map_shards(job, clean_shard, range(shards), parts, mappings, rules, put, hidden, since)
        for done, shard in enumerate(made, 1):
            for one, bad in zip(shard.judged, set_aside, strict=True):
                bad.append(one.aside)
                counts = counts + one.counts
            counts = subtract_expired(counts, shard.old)
            unnamed.update(shard.unnamed)
            merged.append(shard.merged)
            job.tell(
                "ingest",
                0.5 + 0.4 * done / shards,
                gettext_lazy("{accepted} events taken", accepted=f"{counts.accepted:,}"),
            )
        check_orders_agree(logs, merged)
    for number, source in enumerate(logs):
        rows, cents = (sum(part) for part in zip(*(each.repeats[number] for each in merged), strict=True))
        if rows:
            counts += Counts("events", accepted=-rows, rejected={REPEATED: rows})
            said = money(cents, job.config.shop.currency)
            aside.warnings.append(
                gettext_lazy(
                    "{source}: {rows} rows with {said} stand in another file of events, too, and count once",
                    source=source.table.source, rows=f"{rows:,}", said=said,
                )
            )  # fmt: skip
    for source, bad in zip(logs, set_aside, strict=True):
        aside.again(source, bad)
        counts = aside.unreadable(counts, source)
    aside.private += [
        gettext_lazy(
            "{rows} purchases and views are kept without their product, as it tells of {matter} ({allow})",
            rows=f"{rows:,}",
            matter=gettext_lazy(SENSITIVE_TOPIC_NAMES[matter]),
            allow=gettext_lazy(ALLOW),
        )
        for matter, rows in sorted(unnamed.items())
    ]
    if counts.accepted == 0:
        names = ", ".join(source.table.source for source in logs)
        why = list_messages(
            [
                gettext_lazy("{reason} ({rows})", reason=gettext_lazy(reason), rows=f"{rows:,}")
                for reason, rows in counts.rejected.items()
            ]
        )
        raise InputError(
            "rows_rejected",
            gettext_lazy(
                "{names}: none of {read} rows could be taken: {why}",
                names=names, read=f"{counts.read:,}", why=why or gettext_lazy("no rows"),
            ),
        )  # fmt: skip
    return counts


def check_refusals_match(job: Job, aside: RejectSink) -> None:
    """Warn of refusals whose ids no event has; InputError `customers_unmatched` if such a customer may stand in the
    events under another spelling of the id, so that the refusal would be missed.
    """
    people = job.clean.people
    said = people.select("customer_id", "consent", personal=personalisation_consent(people))
    refused = said.filter((~pl.col("consent")).fill_null(False) | (~pl.col("personal")).fill_null(False))["customer_id"]
    events = job.clean.events().project("customer_id as id").distinct().filter("id is not null").pl()
    lost = refused.filter(~refused.is_in(events["id"].implode()))
    if lost.is_empty():
        return
    db, others = job.store.connection, events.filter(~pl.col("id").is_in(refused.implode()))
    own = db.from_arrow(lost.alias("id").to_frame().to_arrow())
    if pairs := find_spellings(own, db.from_arrow(others.to_arrow()), SAMPLES):
        shown = ", ".join(f"{each.id!r} and {each.other!r}" for each in pairs)
        raise InputError(
            "customers_unmatched",
            gettext_lazy(
                "{lost} of {refused} customers who refused offers have no event by their id, and some may "
                "be written otherwise in the events: {shown}; write the ids alike, or name the customer's "
                "column: promolift init ... --map customers.customer_id=COLUMN --map "
                "events.customer_id=COLUMN",
                lost=f"{len(lost):,}", refused=f"{len(refused):,}", shown=shown,
            ),
        )  # fmt: skip
    aside.warnings.append(
        gettext_lazy(
            "{lost} of {refused} customers who refused offers have no event by their id, such as "
            "{ids}: check that both files write the ids alike",
            lost=f"{len(lost):,}", refused=f"{len(refused):,}", ids=", ".join(map(repr, lost.sort().head(SAMPLES))),
        )
    )  # fmt: skip


def check_orders_agree(logs: list[RawSource], merged: list[MergedFiles]) -> None:
    """Raise InputError `orders_differ` if a file says something else of an order than the files before it."""
    differing = [each.differing for each in merged if each.differing is not None and each.differing.height]
    if not differing:
        return
    orders = pl.concat(differing)
    file = logs[orders["file"][0]].table.source
    shown = ", ".join(map(repr, orders.filter(pl.col("file") == orders["file"][0])["order_id"].sort().head(SAMPLES)))
    raise InputError(
        "orders_differ",
        gettext_lazy(
            "{file}: {height} orders stand in another file of events with other moments, numbers or "
            "sums, such as {shown}, so that their money would count twice; leave out the older file, "
            "or write both alike",
            file=file, height=f"{orders.height:,}", shown=shown,
        ),
    )  # fmt: skip


def check_orders_have_one_customer(job: Job) -> None:
    """Raise InputError `orders_differ` if whole orders stand under two customers each, as where one of two overlapping
    files writes the customers' ids otherwise.
    """
    twice = f"""
        with orders as (
            select customer_id, order_id, min(ts_ms) as ts_ms, min(store_id) as store_id, count(*) as lines,
                sum(revenue_cents) as cents
            from events where kind = 'purchase' and not starts_with(order_id, customer_id || '@') group by all),
        pairs as (
            select order_id, list(customer_id order by customer_id)[:2] as customers from orders
            group by order_id, ts_ms, store_id, lines, cents having count(*) > 1)
        select (select count(*) from orders), (select count(*) from pairs),
            (select list([order_id, customers[1], customers[2]] order by order_id)[:{SAMPLES}] from pairs)"""
    orders, several, first = run_select(twice, events=job.clean.events()).fetchall()[0]
    if several > MAX_TWO_CUSTOMERS * orders:
        shown = "; ".join(f"{order!r} of {one!r} and {other!r}" for order, one, other in first)
        raise InputError(
            "orders_differ",
            gettext_lazy(
                "{several} orders stand in the files of events under two customers each, such as {shown}, "
                "so that their money would count twice; write the customers' ids alike in all files",
                several=f"{several:,}", shown=shown,
            ),
        )  # fmt: skip


def clean_shard(
    job: Job, shard: int, parts: list[list[Path]], mappings: list[Mapping], rules: CleanRules,
    put: TableDraft, hidden: pl.DataFrame, since: int | None,
) -> CleanShard:  # fmt: skip
    """One shard of all logs written, without rows before `since` and the products of `hidden` (product_id, matter)."""
    judged = [
        clean_shard_events(job.store.part(of_log[shard]), mapping, rules)
        for of_log, mapping in zip(parts, mappings, strict=True)
    ]
    merged = merge_files([each.accepted for each in judged], mappings)
    rows = merged.rows[0] if len(judged) == 1 else pl.concat(merged.rows).sort(ORDER, nulls_last=True)
    young = rows if since is None else rows.filter(pl.col("ts_ms") >= since)
    matter = pl.col("product_id").replace_strict(hidden["product_id"], hidden["matter"], default=None)
    found = young.select(matter.alias("matter"))["matter"].drop_nulls().value_counts() if hidden.height else None
    if found is not None and found.height:
        private = pl.col("product_id").is_in(hidden["product_id"].implode())
        young = young.with_columns(pl.when(~private).then("product_id").alias("product_id"))
    put(shard, [young])
    unnamed = {} if found is None else dict(found.iter_rows())
    left = [each._replace(accepted=each.accepted.clear()) for each in judged]
    return CleanShard(left, unnamed, rows.height - young.height, merged._replace(rows=[]))


def save_health(
    job: Job, counts: list[Counts], raw: dict[str, RawSource], more: list[str], warnings: list[str]
) -> None:
    """Save the health report with the notes of `more` and `warnings`, and the span of events that other steps use."""
    store = job.store
    tables = {name: store.frame(name) for name in SMALL if store.has(name)}
    summary = summarise(map_shards(job, shard_summary, job.clean.shards), **tables)
    notes = [note for source in raw.values() for note in source.mapping.notes] + more
    found = health(counts, summary, notes)
    figures = asdict(summary) | {"days": round(summary.days, 2)}
    every = (*found.warnings, *repeat_warnings(counts[0], raw), *warnings)
    Health(tables=found.tables, summary=figures, abilities=found.abilities, warnings=every, notes=found.notes).keep(
        store
    )
    Span(first_ms=summary.first_ms, last_ms=summary.last_ms, customers=summary.customers).keep(store)


def shard_summary(job: Job, shard: int) -> ShardSums:
    """Return the sums of one shard for the summary."""
    return shard_sums(job.clean.events(shard))


def repeat_warnings(counts: Counts, raw: dict[str, RawSource]) -> list[str]:
    """Warn if equal rows were left out and the mapping does not state how repeats are meant."""
    rows, where = counts.rejected.get("duplicate", 0), []
    for name, source in raw.items():
        mapping = source.mapping
        # a mapping with notes is one that was guessed, with a look at equal rows
        told = "repeats" in mapping.model_fields_set or mapping.has("event_id") or mapping.basket or mapping.notes
        if name.startswith("events") and not source.table.mapping and mapping.has("order_id") and not told:
            where.append(source.table.source)
    if not where or rows <= REPEATS_WARNING_SHARE * counts.read:
        return []
    return [
        gettext_lazy(
            "{where}: {rows} rows equal to an earlier one in every column were left out, as sent "
            "twice; where a till writes a line for each piece they are purchases: set repeats = "
            '"lines" in the mapping of the events, or repeats = "duplicates" to say that they are not',
            where=", ".join(where), rows=f"{rows:,}",
        )
    ]  # fmt: skip
