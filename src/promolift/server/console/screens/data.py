"""What the data can answer and what became of its rows; files sent here, what their columns mean, all run again."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from promolift.foundation.errors import PromoError
from promolift.foundation.files.table_files import open_file
from promolift.foundation.i18n.formatting import clip, pick
from promolift.foundation.sql import bind, fetch
from promolift.foundation.storage.local_store import Store
from promolift.server.console.pages.context import KINDS, PageVisit, Redirect, Reply, Screen, form, once, page, say
from promolift.server.translations import all_worded, refused, worded
from promolift.shop.configuration import column_mapping
from promolift.shop.configuration.column_mapping import NEEDED, ROLES
from promolift.shop.configuration.configuration import RAW, Config, RawFile, load_config
from promolift.shop.ingest.cleaning.event_cleaning import clean_events
from promolift.shop.ingest.cleaning.table_join import order_lines
from promolift.shop.ingest.schema_matching.mapping_inference import explained_mapping
from promolift.shop.ingest.setup.initialisation import guess_all, init
from promolift.shop.pipeline.steps.ingest import CLEANERS, lies_in, open_table
from promolift.shop.reports.chapters.data_health import tell_health
from promolift.shop.results.ingest import Counts, Health, Span
from promolift.shop.results.work_folder.run_context import Job

FIRST, SHOWN, TRIED = 20, 500, 20_000  # rows set aside that are shown; rows whose values are; rows that are tried
SEVERAL = "\t"  # between the columns of a role that has several
ASIDE = """
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
        chapter = tell_health(health)
    config = visit.server.config
    return Screen("data/page.html", worded("nav", "/data"), {
        "lead": chapter.lead if chapter else "", "blocks": chapter.blocks if chapter else [], "last_ms": last_ms,
        "warnings": (*health.warnings, *health.notes) if health else (), "aside": aside(visit) if chapter else {},
        "sources": sources(visit), "own": config is None or config.data.source == "files", "config": config is not None,
        "tables": all_worded("table"), "kinds": ",".join(KINDS),
        "job": visit.shared.jobs.running or visit.shared.jobs.last("run"),
        "margin": config.value.margin_rate if config else None, "consent": bool(config and config.consent.default),
    })  # fmt: skip


@once("notes/health.json")
def aside(job: Job) -> dict[str, list[dict[str, Any]]]:
    """The first rows that were set aside, by their source."""
    if (rejected := job.clean.rejected) is None:
        return {}
    rows = fetch(rejected.query("rejected", bind(ASIDE, first=FIRST)))
    return {str(key[0]): part.to_dicts() for key, part in rows.group_by("source", maintain_order=True)}


def sources(visit: PageVisit) -> list[SourceFile]:
    """The files of promolift.toml; none where the data come from elsewhere."""
    config = visit.server.config
    named = config.data.files if config else {}
    return [SourceFile(name, worded("table", name.rstrip("0123456789")), file) for name, file in named.items()]


def the_source(visit: PageVisit) -> SourceFile:
    """The one that the path names."""
    found = next((each for each in sources(visit) if each.name == visit.params["name"]), None)
    if found is None:
        raise refused("file_unknown")
    return found


@form("/data/upload", "editor")
def upload(visit: PageVisit) -> Reply:
    """A piece of a file; once it is whole, what its columns mean is guessed, and a person looks at it."""
    config, name = visit.server.config, visit.query.get("table", "events")
    if name not in RAW:
        raise refused("table_unknown")
    if config is not None and config.data.source != "files":
        raise refused("demo_data")
    if config is None and name != "events":
        raise refused("events_first")
    path = visit.received(visit.shared.file.absolute().parent / "uploads")
    if path is None:
        return Screen("", "", {"taken": len(visit.piece)}, whole=False)
    if config is None:
        init({"events": path}, visit.shared.file, force=False)
        visit.server.config = load_config(visit.shared.file)
    else:
        keep(visit, name, taken(visit, name, path))
    visit.change(lambda db, now_ms: visit.note(db, now_ms, "data.upload", f"{name} {path.name}"))
    return Redirect(f"/data/{name}", say("file_there"))


def taken(visit: PageVisit, name: str, path: Path) -> RawFile:
    """A new file in the place of the one there is: its mapping where the columns are there, else a guess."""
    old: RawFile | None = getattr(visit.shared.config.data, name)
    with Store(visit.server.settings.work) as store:
        if old is not None and not old.header:
            columns = open_file(store.connection, path, store.root / "tmp").columns
            if old.join or all(
                source in columns for role in old.mapping.columns for source in old.mapping.sources(role)
            ):
                return old.model_copy(update={"path": str(path), "query": "", "watermark": "", "key": ()})
        files = {"events": lies_in(store, "events", visit.shared.config.data.events), name: path}
        found = next(part for part in guess_all(store, files) if part.name == name and not part.inside)
    return RawFile(path=str(path), mapping=found.mapping)


def keep(visit: PageVisit, name: str, file: RawFile) -> None:
    """Write a file and its mapping into the settings; paths start at their folder."""
    place = name.removeprefix("events")

    def parts(config: Config) -> dict[str, Any]:
        if not place.isdigit():
            return {"data": {name: plain(visit, file)}}
        more = [*config.data.more_events]
        more[int(place) - 2] = file
        return {"data": {"more_events": [plain(visit, each) for each in more]}}

    visit.shared.change(parts)


def plain(visit: PageVisit, file: RawFile) -> dict[str, Any]:
    """As promolift.toml has it."""
    whole, folder = file.model_dump(mode="json", exclude_defaults=True), visit.shared.file.absolute().parent
    for each in (part for part in (whole, *whole.get("join", ())) if "path" in part):
        each["path"] = os.path.relpath(each["path"], folder)
    return whole


@page("/data/{name}")
def mapping(visit: PageVisit) -> Reply:
    """What the columns of a file are taken to mean."""
    source = the_source(visit)
    with Store(visit.server.settings.work) as store:
        sample = open_table(store, source.name, source.file).rows.limit(SHOWN).pl().drop("_row", strict=False)
    found = source.file.mapping
    lines = [role_line(role, means, found, sample) for role, means in ROLES[found.table].items()]
    data = {"source": source, "lines": lines, "columns": sample.columns, "notes": found.notes, "why": "",
            "said": tried(visit, source)}  # fmt: skip
    return Screen("data/map.html", source.name, data)


def role_line(role: str, means: str, found: column_mapping.Mapping, sample: pl.DataFrame) -> dict[str, Any]:
    """One of our columns: what it means, whether it must be there, the file's column for it and what stands there."""
    columns, held = found.sources(role), list[Any]()
    if columns and columns[0] in sample:
        some = sample[columns[0]].drop_nulls().unique(maintain_order=True).cast(pl.String, strict=False)
        held = some.head(3).to_list()
    constant, must = found.constants.get(role, ""), role in NEEDED[found.table]
    shown = pick(", ", "、").join(clip(each, 24) for each in held if each)
    return {"role": role, "means": means, "needed": must, "column": SEVERAL.join(columns), "constant": constant,
            "samples": shown, "known": must or bool(columns or constant)}  # fmt: skip


def stated(visit: PageVisit, source: SourceFile, said: Mapping[str, str]) -> column_mapping.Mapping:
    """The mapping that the form states; how times and money are written is read anew where their columns changed."""
    old = source.file.mapping
    columns: dict[str, str | tuple[str, ...]] = {}
    for role in ROLES[old.table]:
        names = tuple(filter(None, said.get(f"role.{role}", "").split(SEVERAL)))
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
        guess = explained_mapping(old.table, sample, old.zone, old.currency, rest, {}, fixed).mapping
        if columns.get("time") != old.columns.get("time"):
            values |= {name: getattr(guess, name) for name in ("time_format", "time_origin")}
    return column_mapping.Mapping.parse(values, source.name)


def tried(visit: PageVisit, source: SourceFile, found: column_mapping.Mapping | None = None) -> Counts | None:
    """What becomes of the first rows by a mapping; None where its rows are joined with those of other files."""
    file = source.file if found is None else source.file.model_copy(update={"mapping": found})
    if file.join:
        return None
    clean = CLEANERS.get("exposures" if file.mapping.table == "promotions" else file.mapping.table, clean_events)
    with Store(visit.server.settings.work) as store:
        rows = open_table(store, source.name, file).rows.limit(TRIED)
        file.mapping.check_columns([each for each in rows.columns if each != "_row"], source.name)
        with clean(order_lines(rows, file.mapping), file.mapping, visit.shared.config.data.rules).staged(
            store.staged
        ) as judged:
            return judged.counts()


@page("/data/{name}/try", "editor")
def try_mapping(visit: PageVisit) -> Reply:
    """While somebody chooses: what would become of the rows, or why it cannot be. Nothing is kept."""
    source = the_source(visit)
    try:
        data = {"said": tried(visit, source, stated(visit, source, visit.query)), "why": ""}
    except PromoError as error:
        data = {"said": None, "why": str(error)}
    return Screen("data/try.html", "", data, whole=False)


@form("/data/{name}", "editor", "/data")
def keep_mapping(visit: PageVisit) -> None:
    """Keep what the columns mean."""
    source = the_source(visit)
    new = stated(visit, source, visit.form)
    tried(visit, source, new)
    keep(visit, source.name, source.file.model_copy(update={"mapping": new}))
    said = {
        name: getattr(new, name)
        for name in ("currency", "zone")
        if getattr(new, name) != getattr(source.file.mapping, name)
    }
    if source.name == "events" and said:  # what was said anew alone: the shop may state a zone of its own
        visit.shared.change(lambda _: {"shop": said})
    visit.change(lambda db, now_ms: visit.note(
        db, now_ms, "data.mapping", source.name, dict(source.file.mapping.columns), dict(new.columns)))  # fmt: skip


@form("/data/shop", "approver", "/data")
def shop(visit: PageVisit) -> None:
    """What no file says: the shop's name and margin, and whether who never answered agreed to be sent offers."""
    try:
        margin = float(visit.text("margin", 20)) / 100
    except ValueError:
        raise refused("margin_wrong") from None
    parts = {"shop": {"name": visit.text("name", 60)}, "value": {"margin_rate": margin},
             "consent": {"default": visit.form.get("consent") == "yes"}}  # fmt: skip
    visit.shared.change(lambda _: parts)
    visit.change(lambda db, now_ms: visit.note(db, now_ms, "data.shop", "promolift.toml", None, parts))


@form("/data/run", "editor")
def run(visit: PageVisit) -> Reply:
    """All from the files to the plan, in the background; what did not change is not done again."""
    if visit.shared.config.data.source == "files" and not sources(visit):
        raise refused("no_files")
    visit.shared.jobs.start("run", {}, visit.visitor.name)
    return Redirect("/data")
