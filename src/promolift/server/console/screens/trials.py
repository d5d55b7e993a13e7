"""Trials: upload a file of treated customers, map its columns, read the effect of each arm and plan the treatment."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from promolift.foundation.files.table_files import open_file
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import count, truncate
from promolift.foundation.i18n.formatting import finite_or_none as number_known
from promolift.foundation.storage.local_store import Store
from promolift.server.console.pages.context import (
    UPLOAD_SUFFIXES,
    Download,
    PageVisit,
    Redirect,
    Reply,
    Screen,
    form,
    missing_error,
    page,
    sentence,
)
from promolift.server.translations import translate_key, translate_refusal
from promolift.shop.ingest.setup.setup_questions import sheet_question
from promolift.trials.analysis.results import TrialEffects, TrialResults
from promolift.trials.analysis.settings import TrialSettings
from promolift.trials.page import build_trial_page

FILES = {"plan.csv": "text/csv", "trial.html": "text/html"}
SHEET = "sheet"
MEANINGS, MAPPING_FILE = ("rates", "counts", "money", "features", "ignore"), "mapping.json"
PLAIN_KEYS = ("control", "currency", "margin_rate", "cost", "budget", "days", "missing", "planned")
TREATED = re.compile(r"treat|arm|group|segment|variant|offer|campaign|组|处理|活动", re.I)
UNTREATED = re.compile(r"control|none|^no|^0|hold|对照|无", re.I)
MAX_ARMS, SAMPLES, SHOWN = 12, 4, 4


class TrialColumn(NamedTuple):
    """A column of the file: what it is taken to mean, what stands there, and its values where they are few."""

    name: str
    meaning: str
    samples: str
    values: tuple[str, ...]


class TrialFolder(NamedTuple):
    """A trial: its folder holds the file, what its columns mean, and what was found."""

    name: str
    root: Path

    @property
    def workbook(self) -> Path:
        """The file that was sent."""
        return next(each for each in self.root.iterdir() if each.is_file() and each.name != MAPPING_FILE)

    @property
    def file(self) -> Path:
        """The file that was sent, with the sheet that was chosen."""
        path, sheet = self.workbook, self.mapping.get(SHEET, "")
        return path.with_name(f"{path.name}#{sheet}") if sheet else path

    @property
    def mapping(self) -> dict[str, Any]:
        """What was said of the columns."""
        path = self.root / MAPPING_FILE
        return json.loads(path.read_text("utf-8")) if path.is_file() else {}

    @property
    def results(self) -> TrialResults | None:
        """What was found; None before that."""
        if not (self.root / "found").is_dir():
            return None
        with Store(self.root / "found") as store:
            return TrialResults.load(store) if all(map(store.has, TrialEffects.TABLES[:4])) else None


def trials_folder(visit: PageVisit) -> Path:
    """Where trials lie."""
    return visit.server.settings.work / "trials"


def list_trials(visit: PageVisit) -> list[TrialFolder]:
    """List all trials by name."""
    root = trials_folder(visit)
    return [TrialFolder(each.name, each) for each in sorted(root.glob("[!.]*"))] if root.is_dir() else []


def requested_trial(visit: PageVisit) -> TrialFolder:
    """Return the trial that the path names."""
    found = next((each for each in list_trials(visit) if each.name == visit.params["name"]), None)
    if found is None:
        raise missing_error("trial")
    return found


@page("/trials")
def trials(visit: PageVisit) -> Reply:
    """The list, and where a file is sent."""
    notes = [(each.name, found.fitted.note if (found := each.results) else None) for each in list_trials(visit)]
    rows = [{"name": name, "level": note and note.level, "customers": count(note.customers) if note else ""}
            for name, note in notes]  # fmt: skip
    return Screen(
        "trials/page.html", translate_key("nav", "/trials"), {"trials": rows, "kinds": ",".join(UPLOAD_SUFFIXES)}
    )


@form("/trials/upload", "editor")
def upload(visit: PageVisit) -> Reply:
    """A piece of a file; once it is whole it is a trial of its own."""
    sent = visit.receive_files(trials_folder(visit) / ".sent")
    if sent is None:
        return Screen("", "", {"taken": len(visit.piece)}, whole=False)
    path = sent[0]
    stem = path.name.removesuffix(path.suffix)
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:50].strip("_") or "trial"
    while (trials_folder(visit) / name).exists():
        name += "_2"
    (trials_folder(visit) / name).mkdir()
    path.replace(trials_folder(visit) / name / path.name)
    visit.change(lambda db, now_ms: visit.append_audit(db, now_ms, "data.upload", f"trial {name}"))
    return Redirect(f"/trials/{name}/columns", sentence("trial_there"))


@page("/trials/{name}")
def show_trial(visit: PageVisit) -> Reply:
    """What was found, a chapter at a time; where nothing was, the columns."""
    trial, found = requested_trial(visit), requested_trial(visit).results
    job = visit.shared.jobs.last("trial")
    job = job if job and job["asked"].get("trial") == trial.name else None
    if found is None and not job:
        return Redirect(f"/trials/{trial.name}/columns")
    data: dict[str, Any] = {"name": trial.name, "job": job, "found": found is not None}
    if found is None:
        return Screen("trials/one.html", trial.name, data)
    note, planned = found.fitted.note, found.plan
    shown = build_trial_page(found)
    chapter = next((each for each in shown.chapters if each.slug == visit.query.get("chapter")), shown.chapters[0])
    start = int(visit.number("from", 0, 0, 1000))
    blocks = [*chapter.blocks][start : start + SHOWN]
    return Screen("trials/one.html", trial.name, data | {
        "more": start + SHOWN if len(chapter.blocks) > start + SHOWN else None, "head": shown.head,
        "numbers": shown.key_figures, "facts": shown.facts, "chapter": chapter, "blocks": blocks,
        "planned": planned is not None, "chapters": [(each.slug, each.name) for each in shown.chapters],
        "money": note.settings.money, "budget": number_known(planned.note.budget) if planned else None,
        "currency": note.settings.currency,
    })  # fmt: skip


@page("/trials/{name}/columns", "editor")
def columns(visit: PageVisit) -> Reply:
    """What the columns mean: as it was said, else a guess that somebody looks at."""
    trial = requested_trial(visit)
    sheets = sheet_question(trial.name, trial.workbook)
    if sheets and SHEET not in trial.mapping:
        return Screen("trials/sheet.html", trial.name, {"name": trial.name, "sheets": sheets})
    said = {key: value for key, value in trial.mapping.items() if key != SHEET}
    rows = columns_of(trial, said)
    values = next((each.values for each in rows if each.meaning == "treatment"), ())
    first = next((each for each in values if UNTREATED.search(each)), values[0] if values else "")
    every, currency = sorted({value for each in rows for value in each.values}), visit.shared.shop.currency
    data = {"name": trial.name, "columns": rows, "said": said, "control": said.get("control") or first,
            "currency": currency, "values": every}  # fmt: skip
    return Screen("trials/columns.html", trial.name, data)


def columns_of(trial: TrialFolder, said: dict[str, Any]) -> list[TrialColumn]:
    """Of each column its first values, and its meaning."""
    with Store(trial.root / "found") as store:
        opened = open_file(store.connection, trial.file, store.raw_copies)
        names = [name for name in opened.columns if name != "_row"]
        head = opened.rows.limit(2000).pl()
    meant: dict[str, str] = {}
    for meaning in MEANINGS:
        names_of = said.get(meaning, ())
        meant |= dict.fromkeys([names_of] if isinstance(names_of, str) else names_of, meaning)
    meant |= {said["treatment"]: "treatment"} if said else {}
    found, treated = [], bool(said)
    for name in names:
        values = [str(each) for each in head[name].drop_nulls().unique(maintain_order=True)[: MAX_ARMS + 1]]
        few = tuple(sorted(values)) if len(values) <= MAX_ARMS else ()
        guess = "ignore" if head[name].dtype == pl.String and head[name].is_unique().all() else "features"
        if not treated and TREATED.search(name) and len(few) > 1:
            guess, treated = "treatment", True
        found.append(
            TrialColumn(name, meant.get(name, "ignore" if said else guess), truncate(", ".join(values[:SAMPLES])), few)
        )
    return found


def submitted_settings(visit: PageVisit) -> dict[str, Any]:
    """What the form says, as `TrialSettings` takes it; what was left empty is left out."""
    form, said = visit.form, dict[str, Any]()
    for place in range(len([each for each in form if each.startswith("column_")])):
        name, meaning = form.get(f"column_{place}", ""), form.get(f"meaning_{place}", "")
        if meaning in ("treatment", "money"):
            if meaning in said:
                raise translate_refusal("meaning_twice")  # fmt: skip
            said[meaning] = name
        elif meaning in MEANINGS:
            said[meaning] = [*said.get(meaning, ()), name]
    said |= {key: value for key in PLAIN_KEYS if (value := visit.text(key, 100))}
    if said.get("planned", "equal") != "equal":
        said["planned"] = [part.strip() for part in said["planned"].split(",")]
    return said | {"name": requested_trial(visit).name}


@form("/trials/{name}/sheet", "editor")
def choose_sheet(visit: PageVisit) -> Reply:
    """Keep which sheet of the workbook holds the trial; what was said of the columns of another is forgotten."""
    trial = requested_trial(visit)
    sheets, sheet = sheet_question(trial.name, trial.workbook), visit.text(SHEET, 100)
    if sheets is None or sheet not in [choice.value for choice in sheets.choices]:
        raise translate_refusal("sheet_unknown")
    (trial.root / MAPPING_FILE).write_text(json.dumps({SHEET: sheet}, ensure_ascii=False), "utf-8")
    return Redirect(f"/trials/{trial.name}/columns")


@form("/trials/{name}/fit", "editor")
def fit(visit: PageVisit) -> Reply:
    """Keep what the columns mean, and read the trial in the background."""
    trial, said = requested_trial(visit), submitted_settings(visit)
    sheet = {key: value for key, value in trial.mapping.items() if key == SHEET}
    TrialSettings.parse(said, gettext("the trial"))
    (trial.root / MAPPING_FILE).write_text(json.dumps(said | sheet, ensure_ascii=False), "utf-8")
    return start_job(visit, trial, {"settings": said})


@form("/trials/{name}/plan", "editor")
def plan(visit: PageVisit) -> Reply:
    """Plan within another budget; empty: whoever it pays for."""
    typed = visit.text("budget", 20)
    try:
        budget = float(typed) if typed else None
    except ValueError:
        raise translate_refusal("budget_number") from None
    return start_job(visit, requested_trial(visit), {"budget": budget})


def start_job(visit: PageVisit, trial: TrialFolder, asked: dict[str, Any]) -> Redirect:
    """Start a job for this trial."""
    visit.shared.jobs.start("trial", {"trial": trial.name, "file": trial.file.name} | asked, visit.visitor.name)
    return Redirect(f"/trials/{trial.name}")


@page("/trials/{name}/files/{file}")
def download(visit: PageVisit) -> Reply:
    """The plan as a table, or the page of all that was found."""
    trial, file = requested_trial(visit), visit.params["file"]
    path = trial.root / "out" / file
    if file not in FILES or not path.is_file():
        raise missing_error("file")
    return Download(path.read_bytes(), f"{trial.name}-{file}", FILES[file])


@form("/trials/{name}/remove", "approver", "/trials")
def remove(visit: PageVisit) -> None:
    """Forget a trial, its file included."""
    trial = requested_trial(visit)
    shutil.rmtree(trial.root)
    visit.change(lambda db, now_ms: visit.append_audit(db, now_ms, "trial.remove", trial.name))
