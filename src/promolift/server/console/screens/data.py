"""Input data: health of the last ingest, upload of files, column mapping and a new run of the pipeline."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from promolift.foundation.errors import PromoError
from promolift.foundation.files.table_files import open_file
from promolift.foundation.i18n.catalogue import pgettext
from promolift.foundation.i18n.formatting import truncate
from promolift.foundation.sql import bind, fetch_frame
from promolift.foundation.storage.local_store import Store
from promolift.server.console.pages.context import (
    UPLOAD_SUFFIXES,
    PageVisit,
    Redirect,
    Reply,
    Screen,
    cached_result,
    form,
    page,
    sentence,
)
from promolift.server.translations import translate_group, translate_key, translate_refusal
from promolift.shop.configuration import column_mapping
from promolift.shop.configuration.column_mapping import REQUIRED_ROLES, ROLES
from promolift.shop.configuration.configuration import RAW_NAMES, Config, RawFile
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.cleaning.table_join import order_lines
from promolift.shop.ingest.schema_matching.event_mapping.mapping_inference import guess_mapping_with_reasons
from promolift.shop.ingest.setup.initialisation import guess_tables
from promolift.shop.pipeline.steps.ingest import CLEANERS, open_table, raw_file_path
from promolift.shop.reports.chapters.data_health import build_health_chapter
from promolift.shop.results.ingest import Counts, Health, Span
from promolift.shop.results.work_folder.run_context import Job

REJECTS_SHOWN, SAMPLE_ROWS, TRIAL_ROWS = (
    20,
    500,
    20_000,
)  # rows set aside that are shown; rows whose values are; rows that are tried
COLUMN_SEPARATOR = "\t"  # between the columns of a role that has several
SELECT_REJECTED = """
select source, row, reason, raw from (
    select *, row_number() over (partition by source order by row) as place from rejected) where place <= $first
order by source, row
"""


class SourceFile(NamedTuple):
    """A file that is read, what it is, and how its columns are named."""

    name: str
    means: str
    file: RawFile


@page("/data")
def data(visit: PageVisit) -> Reply:
    """The screen."""
    chapter = health = last_ms = None
    if Health.has(visit.store):
        health, last_ms = Health.load(visit.store), Span.load(visit.store).last_ms
        chapter = build_health_chapter(health)
    config = visit.server.config
    return Screen(
        "data/page.html",
        translate_key("nav", "/data"),
        {
            "lead": chapter.lead if chapter else "",
            "blocks": chapter.blocks if chapter else [],
            "last_ms": last_ms,
            "warnings": (*health.warnings, *health.notes) if health else (),
            "aside": rejected_rows(visit) if chapter else {},
            "sources": sources(visit),
            "own": config is None or config.data.source == "files",
            "config": config is not None,
            "tables": translate_group("table"),
            "kinds": ",".join(UPLOAD_SUFFIXES),
            "job": visit.shared.jobs.running or visit.shared.jobs.last("run"),
            "margin": config.value.margin_rate if config else None,
            "consent": bool(config and config.consent.default),
        },
    )


@cached_result("notes/health.json")
def rejected_rows(job: Job) -> dict[str, list[dict[str, Any]]]:
    """Return the first rejected rows by source."""
    if (rejected := job.clean.rejected) is None:
        return {}
    rows = fetch_frame(rejected.query("rejected", bind(SELECT_REJECTED, first=REJECTS_SHOWN)))
    return {str(key[0]): part.to_dicts() for key, part in rows.group_by("source", maintain_order=True)}


def sources(visit: PageVisit) -> list[SourceFile]:
    """The files of promolift.toml; none where the data come from elsewhere."""
    config = visit.server.config
    named = config.data.files if config else {}
    return [SourceFile(name, translate_key("table", name.rstrip("0123456789")), file) for name, file in named.items()]


def requested_source(visit: PageVisit) -> SourceFile:
    """Return the source that the path names."""
    found = next((each for each in sources(visit) if each.name == visit.params["name"]), None)
    if found is None:
        raise translate_refusal("file_unknown")
    return found


@form("/data/upload", "editor")
def upload(visit: PageVisit) -> Reply:
    """A piece of a file; once it is whole, what its columns mean is guessed, and a person looks at it."""
    config, name = visit.shared.config, visit.query.get("table") or visit.form.get("table", "events")
    if name not in RAW_NAMES:
        raise translate_refusal("table_unknown")
    if config.data.source != "files":
        raise translate_refusal("demo_data")
    sent = visit.receive_files(visit.shared.file.absolute().parent / "uploads")
    if sent is None:
        return Screen("", "", {"taken": len(visit.piece)}, whole=False)
    path = sent[0]
    save_raw_file(visit, name, new_raw_file(visit, name, path))
    visit.change(lambda db, now_ms: visit.append_audit(db, now_ms, "data.upload", f"{name} {path.name}"))
    return Redirect(f"/data/{name}", sentence("file_there"))


def new_raw_file(visit: PageVisit, name: str, path: Path) -> RawFile:
    """Return the new file in place of the old: with its mapping if the columns are there, else with a guessed one."""
    old: RawFile | None = getattr(visit.shared.config.data, name)
    with Store(visit.server.settings.work) as store:
        if old is not None and not old.header:
            columns = open_file(store.connection, path, store.raw_copies).columns
            if old.join or all(
                source in columns for role in old.mapping.columns for source in old.mapping.sources(role)
            ):
                return old.model_copy(update={"path": str(path), "query": "", "watermark": "", "key": ()})
        files = {"events": raw_file_path(store, "events", visit.shared.config.data.events), name: path}
        found = next(part for part in guess_tables(store, files) if part.name == name and not part.inside)
    return RawFile(path=str(path), mapping=found.mapping)


def save_raw_file(visit: PageVisit, name: str, file: RawFile) -> None:
    """Write a file and its mapping into the settings; paths are relative to their folder."""
    place = name.removeprefix("events")

    def parts(config: Config) -> dict[str, Any]:
        if not place.isdigit():
            return {"data": {name: to_settings(visit, file)}}
        more = [*config.data.more_events]
        more[int(place) - 2] = file
        return {"data": {"more_events": [to_settings(visit, each) for each in more]}}

    visit.shared.change(parts)


def to_settings(visit: PageVisit, file: RawFile) -> dict[str, Any]:
    """Return a file as promolift.toml states it."""
    whole, folder = file.model_dump(mode="json", exclude_defaults=True), visit.shared.file.absolute().parent
    for each in (part for part in (whole, *whole.get("join", ())) if "path" in part):
        each["path"] = os.path.relpath(each["path"], folder)
    return whole


@page("/data/{name}")
def mapping(visit: PageVisit) -> Reply:
    """What the columns of a file are taken to mean."""
    source = requested_source(visit)
    with Store(visit.server.settings.work) as store:
        sample = open_table(store, source.name, source.file).rows.limit(SAMPLE_ROWS).pl().drop("_row", strict=False)
    found = source.file.mapping
    lines = [role_line(role, means, found, sample) for role, means in ROLES[found.table].items()]
    data = {"source": source, "lines": lines, "columns": sample.columns, "notes": found.notes, "why": "",
            "said": count_rows(visit, source)}  # fmt: skip
    return Screen("data/map.html", source.name, data)


def role_line(role: str, means: str, found: column_mapping.Mapping, sample: pl.DataFrame) -> dict[str, Any]:
    """One of our columns: what it means, whether it must be there, the file's column for it and what stands there."""
    columns, held = found.sources(role), list[Any]()
    if columns and columns[0] in sample:
        some = sample[columns[0]].drop_nulls().unique(maintain_order=True).cast(pl.String, strict=False)
        held = some.head(3).to_list()
    constant, must = found.constants.get(role, ""), role in REQUIRED_ROLES[found.table]
    shown = pgettext("data", ", ").join(truncate(each, 24) for each in held if each)
    return {
        "role": role,
        "means": means,
        "needed": must,
        "column": COLUMN_SEPARATOR.join(columns),
        "constant": constant,
        "samples": shown,
        "known": must or bool(columns or constant),
    }


def submitted_mapping(visit: PageVisit, source: SourceFile, said: Mapping[str, str]) -> column_mapping.Mapping:
    """Return the mapping that the form states; formats are guessed again where their columns changed."""
    old = source.file.mapping
    columns: dict[str, str | tuple[str, ...]] = {}
    for role in ROLES[old.table]:
        names = tuple(filter(None, said.get(f"role.{role}", "").split(COLUMN_SEPARATOR)))
        if names:
            columns[role] = names[0] if len(names) == 1 else names
    values: dict[str, Any] = old.model_dump(exclude={"columns", "notes"}) | {"columns": columns}
    values["constants"] = {role: text for role, text in old.constants.items() if role not in columns}
    values |= {name: said[name] for name in ("currency", "zone") if said.get(name)}
    if columns != old.columns:
        with Store(visit.server.settings.work) as store:
            sample = open_table(store, source.name, source.file).sample()
        fixed = {role: name for role, name in columns.items() if isinstance(name, str)}
        rest = set(sample.columns) - set(fixed.values())
        guess = guess_mapping_with_reasons(old.table, sample, old.zone, old.currency, rest, {}, fixed).mapping
        if columns.get("time") != old.columns.get("time"):
            values |= {name: getattr(guess, name) for name in ("time_format", "time_origin")}
    return column_mapping.Mapping.parse(values, source.name)


def count_rows(visit: PageVisit, source: SourceFile, found: column_mapping.Mapping | None = None) -> Counts | None:
    """Count what a mapping does with the first rows; None where rows are joined with those of other files."""
    file = source.file if found is None else source.file.model_copy(update={"mapping": found})
    if file.join:
        return None
    clean = CLEANERS.get("exposures" if file.mapping.table == "promotions" else file.mapping.table, clean_events)
    with Store(visit.server.settings.work) as store:
        rows = open_table(store, source.name, file).rows.limit(TRIAL_ROWS)
        file.mapping.check_columns([each for each in rows.columns if each != "_row"], source.name)
        with clean(order_lines(rows, file.mapping), file.mapping, visit.shared.config.data.rules).staged(
            store.staged
        ) as judged:
            return judged.counts()


@page("/data/{name}/try", "editor")
def try_mapping(visit: PageVisit) -> Reply:
    """While somebody chooses: what would become of the rows, or why it cannot be. Nothing is kept."""
    source = requested_source(visit)
    try:
        data = {"said": count_rows(visit, source, submitted_mapping(visit, source, visit.query)), "why": ""}
    except PromoError as error:
        data = {"said": None, "why": error.message}
    return Screen("data/try.html", "", data, whole=False)


@form("/data/{name}", "editor", "/data")
def keep_mapping(visit: PageVisit) -> None:
    """Keep what the columns mean."""
    source = requested_source(visit)
    new = submitted_mapping(visit, source, visit.form)
    count_rows(visit, source, new)
    save_raw_file(visit, source.name, source.file.model_copy(update={"mapping": new}))
    said = {
        name: getattr(new, name)
        for name in ("currency", "zone")
        if getattr(new, name) != getattr(source.file.mapping, name)
    }
    if source.name == "events" and said:  # what was said anew alone: the shop may state a zone of its own
        visit.shared.change(lambda _: {"shop": said})
    visit.change(lambda db, now_ms: visit.append_audit(
        db, now_ms, "data.mapping", source.name, dict(source.file.mapping.columns), dict(new.columns)))  # fmt: skip


@form("/data/shop", "approver", "/data")
def shop(visit: PageVisit) -> None:
    """What no file says: the shop's name and margin, and whether who never answered agreed to be sent offers."""
    try:
        margin = float(visit.text("margin", 20)) / 100
    except ValueError:
        raise translate_refusal("margin_wrong") from None
    parts = {"shop": {"name": visit.text("name", 60)}, "value": {"margin_rate": margin},
             "consent": {"default": visit.form.get("consent") == "yes"}}  # fmt: skip
    visit.shared.change(lambda _: parts)
    visit.change(lambda db, now_ms: visit.append_audit(db, now_ms, "data.shop", "promolift.toml", None, parts))


@form("/data/run", "editor")
def run(visit: PageVisit) -> Reply:
    """All from the files to the plan, in the background; what did not change is not done again."""
    if visit.shared.config.data.source == "files" and not sources(visit):
        raise translate_refusal("no_files")
    visit.shared.jobs.start("run", {}, visit.visitor.name)
    return Redirect("/data")
