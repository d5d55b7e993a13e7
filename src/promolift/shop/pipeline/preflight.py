"""Check before any computing what a run of the pipeline needs: extras, models, files, texts and consent.

Everything here is found from settings, headers and samples. The one check that may read more compares the ids of the
customers' file with those of the events, and stops at the first that both have.
"""

from collections.abc import Collection
from importlib.util import find_spec
from pathlib import Path

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.files.workbook import split_sheet
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.language_model import check_language_model
from promolift.foundation.sql import run_select
from promolift.shop.ingest.cleaning.consent_answers import YES_TEXTS, agreed_sql
from promolift.shop.ingest.cleaning.id_spellings import find_spellings
from promolift.shop.ingest.cleaning.role_expressions import RoleExpressions
from promolift.shop.ingest.cleaning.sql_casts import select
from promolift.shop.ingest.schema_matching.consent_columns import (
    ConsentColumn,
    MappedTable,
    check_unread_answers,
    find_consent_columns,
    how_to_read,
)
from promolift.shop.pipeline.pool_file import load_shop_pool
from promolift.shop.pipeline.steps.ingest import RawSource, open_raw
from promolift.shop.results.work_folder.run_context import Job

SAMPLES = 3


def check_before_run(job: Job, wanted: Collection[str]) -> None:
    """Raise for an extra, model, pool of texts or folder that the `wanted` steps need and that is missing."""
    config = job.config
    if config.privacy.epsilon is not None and {"profile", "effect"} & {*wanted}:
        _ = job.release_policy
    if "ingest" in wanted:
        for name, file in config.data.files.items():
            if missing := next((path for path in file.paths if not split_sheet(Path(path)).file.exists()), None):
                raise InputError(
                    "file_not_found",
                    gettext_lazy(
                        "data.{name}: {missing}: no such file; correct the path in promolift.toml",
                        name=name,
                        missing=missing,
                    ),
                )
        if config.data.words is not None and config.words.reader != "own":
            check_language_model(config.words.reader, config.llm)
    if "plan" in wanted and config.offer.proposals == "gan" and find_spec("torch") is None:
        raise ConfigError(
            "extra_missing",
            gettext_lazy("offer.proposals = 'gan' needs torch: pip install 'promolift[deep]', or use 'grid'"),
        )
    if "message" in wanted:
        load_shop_pool(config.message)
    if job.out is not None and job.out.exists() and not job.out.is_dir():
        raise ConfigError(
            "file_exists",
            gettext_lazy("{out}: a file, not a folder for the report; name another with --out", out=job.out),
        )


def check_consent(job: Job) -> None:
    """Raise ConfigError where nobody may be written to, or where customers' own answers would be overruled.

    `consent_unstated`: nothing says who agreed. `consent_overruled`: `consent.default` is true while a column that
    nothing reads could hold answers. InputError `customers_unmatched`: the answers are of ids that no event has. Raw
    data that an extension opens are not looked at.
    """
    config = job.config
    if config.data.source != "files":
        return
    raw = open_raw(job)
    places = {name: file.path or name for name, file in config.data.files.items()}
    tables = [
        MappedTable(name, places[name], each.table, each.mapping) for name, each in raw.items() if name != "products"
    ]
    people = raw.get("customers")
    stated = people.mapping.constants.get("consent", "") if people else ""
    everybody = config.consent.default or stated.strip().lower() in YES_TEXTS
    columns = find_consent_columns(tables, config.consent.not_consent, everybody, config.words.unasked)
    if everybody:
        check_unread_answers(columns, "consent.default = true" if config.consent.default else f'consent = "{stated}"')
    elif not (people is not None and _anybody_agrees(people)) and not _ledger_knows_consent(job):
        raise ConfigError("consent_unstated", _missing(people, columns))
    else:
        theirs = [each for each in columns if each.is_refusal or each.file == places.get("customers")]
        read = people.mapping.sources("consent") if people is not None else ()
        check_unread_answers(theirs, ", ".join(map(repr, read)) or "columns.consent", read)
    if people is not None and places["customers"] != places["events"]:
        check_customer_ids(people, [each for name, each in raw.items() if name.startswith("events")], everybody)


def check_customer_ids(people: RawSource, logs: list[RawSource], everybody: bool) -> None:
    """Raise InputError `customers_unmatched` if no customer has an event, with ids of both sides.

    Where `everybody` may be written to who gave no answer, also if a customer's id may be one of the events written
    otherwise, or fewer than half of those who refused have an event: the answer would be missed.
    """
    sides = {"customers": _ids(people, "customers")} | {f"events{n}": _ids(log, "events") for n, log in enumerate(logs)}
    events = " union all ".join(f"select id from {name}" for name in list(sides)[1:])
    both = run_select(f"select id from ({events}) semi join customers using (id) limit 1", **sides).fetchall()
    if both and not everybody:
        return
    if both:
        _check_refusals_match(people, logs, sides, events)
    own = run_select(f"select distinct id from customers anti join ({events}) using (id)", **sides)
    others = run_select(f"select distinct id from ({events}) anti join customers using (id)", **sides)
    pairs = find_spellings(own, others, SAMPLES)
    if both and not pairs:
        return
    here, there = people.table.source, ", ".join(log.table.source for log in logs)
    if pairs:
        shown = ", ".join(f"{one!r} and {other!r}" for one, other in pairs)
        how = gettext_lazy(
            "{here} and {there} write the same customers differently: {shown}", here=here, there=there, shown=shown
        )
    else:
        mine, theirs = (_first_ids(f"select id from {side}", sides) for side in ("customers", f"({events})"))
        how = gettext_lazy(
            "no customer of {here} ({mine}) has an event in {there} ({theirs})",
            here=here,
            mine=mine,
            there=there,
            theirs=theirs,
        )
    raise InputError(
        "customers_unmatched",
        gettext_lazy(
            "{how}; write the ids alike, or name the customer's column: promolift init ... --map "
            "customers.customer_id=COLUMN --map events.customer_id=COLUMN",
            how=how,
        ),
    )


def _check_refusals_match(people: RawSource, logs: list[RawSource], sides: dict[str, Relation], events: str) -> None:
    """Raise InputError `customers_unmatched` if fewer than half of the customers who refused have an event."""
    if not people.mapping.sources("consent"):
        return
    reader = RoleExpressions.of(people.table.rows, people.mapping, "customers")
    query = f"""
        select distinct {reader.id("customer_id")} as id from (select {reader.renamed()} from raw)
        where ({agreed_sql(people.mapping, reader.types)}) is false"""
    sides = sides | {"refused": select(people.table.rows, query)}
    counts = f"select count(*), count(*) filter (id in (select id from ({events}) where id is not null)) from refused"
    refused, met = run_select(f"{counts} where id is not null", **sides).fetchall()[0]
    if 2 * met < refused:
        lost = _first_ids(f"select id from refused anti join ({events}) using (id)", sides)
        here, there = people.table.source, ", ".join(log.table.source for log in logs)
        theirs = _first_ids(f"({events})", sides)
        raise InputError(
            "customers_unmatched",
            gettext_lazy(
                "of {refused} customers of {here} who refused, {met} have an event in {there}: no event of "
                "{lost}, where the events have {theirs}; write the ids alike, or leave out consent.default",
                refused=refused,
                here=here,
                met=met,
                there=there,
                lost=lost,
                theirs=theirs,
            ),
        )


def _first_ids(ids: str, sides: dict[str, Relation]) -> str:
    query = f"select distinct id from ({ids}) where id is not null order by len(id), id limit {SAMPLES}"
    return ", ".join(repr(row[0]) for row in run_select(query, **sides).fetchall())


def _ids(source: RawSource, where: str) -> Relation:
    reader = RoleExpressions.of(source.table.rows, source.mapping, where)
    query = f"select {reader.id('customer_id')} as id from (select {reader.renamed()} from raw)"
    return select(source.table.rows, query)


def _ledger_knows_consent(job: Job) -> bool:
    updates = job.clean.consent_updates
    return updates is not None and updates.filter(pl.col("consent") > 0).height > 0


def _anybody_agrees(people: RawSource) -> bool:
    """Whether some customer says yes; a column of refusals alone says so of nobody."""
    reader = RoleExpressions.of(people.table.rows, people.mapping, "customers")
    agreed = agreed_sql(people.mapping, reader.types)
    query = f"select 1 from (select {reader.renamed()} from raw) where {agreed} limit 1"
    return bool(select(people.table.rows, query).fetchall())


def _missing(people: RawSource | None, columns: list[ConsentColumn]) -> LazyMessage:
    start = gettext_lazy("nobody may be written to, since nothing says who agreed to be sent offers")
    if people is not None and people.mapping.sources("consent"):
        start = gettext_lazy(
            "nobody may be written to: no customer of {file} agreed to be sent offers by {names}",
            file=people.table.source,
            names=", ".join(map(repr, people.mapping.sources("consent"))),
        )
        if not columns:
            return gettext_lazy(
                "{start}; check that it is the right column, and which of its values mean yes", start=start
            )
    if columns:
        return gettext_lazy(
            "{start}; {columns} may say it and is not read: {how_to_read}",
            start=start,
            columns=", ".join(map(str, columns[:5])),
            how_to_read=how_to_read(columns[0]),
        )
    return gettext_lazy(
        "{start}; give the customers' file with a column that does (promolift init ... --customers FILE), or, if "
        "every customer agreed and you answer for it, promolift init ... --consent yes",
        start=start,
    )
