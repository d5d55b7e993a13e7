"""Set-up of a new shop: send files, see how they are read, answer what is open, and write promolift.toml."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from promolift.foundation.errors import ConfigError, PromoError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.server.console.pages.context import (
    FILE_BYTES,
    UPLOAD_SUFFIXES,
    PageVisit,
    Redirect,
    Reply,
    Screen,
    form,
    page,
    sentence,
)
from promolift.server.console.pages.setup_form import (
    choose_files,
    fewer_answers,
    is_question,
    list_files,
    show_fault,
    show_reading,
    show_unread,
    submitted_answers,
    unshown_answers,
)
from promolift.server.translations import translate_group, translate_refusal
from promolift.shop.configuration.configuration import RAW_NAMES
from promolift.shop.ingest.setup.initialisation import SetupReading, read_shop, write_settings
from promolift.shop.ingest.setup.setup_questions import CONSENT

READING_WAIT_S = 20.0  # how long a page waits for another one that reads files


def sent_folder(visit: PageVisit) -> Path:
    """Where the files of a new shop lie, a folder for each table; promolift.toml names them there."""
    folder: Path = visit.shared.file.absolute().parent / "uploads" / "setup"
    return folder


@page("/data/setup", "editor")
def setup(visit: PageVisit) -> Reply:
    """The files, and how they are read; what to do next once the shop is set up."""
    if visit.server.config is not None:
        return Screen("data/setup_done.html", gettext("Your shop is set up"), {"job": visit.shared.jobs.running})
    return show_setup(visit, {})


@form("/data/setup/upload", "editor")
def upload(visit: PageVisit) -> Reply:
    """Files of one table, or a piece of one."""
    require_no_settings(visit)
    table = visit.query.get("table") or visit.form.get("table", "events")
    if table not in RAW_NAMES:
        raise translate_refusal("table_unknown")
    sent = visit.receive_files(sent_folder(visit) / table)
    if sent is None:
        return Screen("", "", {"taken": len(visit.piece)}, whole=False)
    names = ", ".join(path.name for path in sent)
    visit.change(lambda db, now_ms: visit.append_audit(db, now_ms, "data.upload", f"{table} {names}"))
    return Redirect("/data/setup")


@form("/data/setup/remove", "editor", "/data/setup")
def remove(visit: PageVisit) -> None:
    """Remove a file that was sent."""
    require_no_settings(visit)
    table, _, name = visit.form.get("file", "").partition("/")
    path = next((each for each in list_files(sent_folder(visit)).get(table, ()) if each.name == name), None)
    if path is None:
        raise translate_refusal("file_unknown")
    path.unlink()
    visit.change(lambda db, now_ms: visit.append_audit(db, now_ms, "data.remove", f"{table} {name}"))


@form("/data/setup/look", "editor")
def look(visit: PageVisit) -> Reply:
    """How the files are read with other answers; nothing is written."""
    require_no_settings(visit)
    return show_setup(visit, visit.form)


@form("/data/setup/use", "editor")
def use(visit: PageVisit) -> Reply:
    """Write promolift.toml as the page shows it."""
    require_no_settings(visit)
    try:
        with read_submitted(visit, visit.form) as reading:
            if any(question.key == CONSENT for question in reading.questions):
                raise ConfigError("consent_unanswered", gettext_lazy("consent is not answered"))
            visit.shared.set_up(lambda file: write_settings(reading, file))
    except PromoError as error:
        return show_setup(visit, visit.form, error)
    tables = sorted({part.name for part in reading.parts if not part.inside})
    visit.change(
        lambda db, now_ms: visit.append_audit(
            db, now_ms, "data.setup", "promolift.toml", None, {"tables": tables, "consent": reading.answers.consent}
        )
    )
    return Redirect("/data/setup", sentence("set_up"))


def require_no_settings(visit: PageVisit) -> None:
    """Refuse to set up a shop that has settings."""
    if visit.server.config is not None:
        raise translate_refusal("set_up_already")


@contextmanager
def read_submitted(visit: PageVisit, said: Mapping[str, str]) -> Iterator[SetupReading]:
    """Read the files with the answers of a form; one page at a time, since reading takes memory."""
    files = choose_files(list_files(sent_folder(visit)), said)
    answers = submitted_answers(said)
    if answers.consent:  # whoever says so answers for it, as on the Data page
        visit.require_role("approver")
    if "events" not in files.named:
        raise translate_refusal("no_files")
    if not visit.shared.reading_files.acquire(timeout=READING_WAIT_S):
        raise translate_refusal("setup_busy")
    try:
        yield read_shop(files.named, files.more, answers)
    finally:
        visit.shared.reading_files.release()


def show_setup(visit: PageVisit, said: Mapping[str, str], fault: PromoError | None = None) -> Screen:
    """The page with what a person said on it, and beside an error how the files are read without their corrections."""
    sent = list_files(sent_folder(visit))
    data: dict[str, Any] = {
        "files": [(table, path.name) for table, paths in sent.items() for path in paths],
        "names": translate_group("table"), "kinds": ",".join(UPLOAD_SUFFIXES), "most": FILE_BYTES >> 30,
        "currencies": list(CURRENCY_DIGITS), "said": said, "together": None, "sheets": (), "reading": None,
        "fault": None, "unread": (), "kept": {}, "ready": "events" in sent,
    }  # fmt: skip
    if "events" in sent:
        try:
            files = choose_files(sent, said)
            data |= {"together": files.together, "sheets": files.sheets}
        except PromoError as error:
            fault = error
        for answers in (said, *fewer_answers(said)):
            try:
                with read_submitted(visit, answers) as reading:
                    data["reading"] = show_reading(reading, said, fault)
                break
            except PromoError as error:
                fault = fault or error
        else:
            data["unread"] = () if is_question(fault) else show_unread(sent, said)
    if fault:
        data["fault"] = show_fault(fault, sent, said)
        data["kept"] = {} if data["reading"] else unshown_answers(data, said)
    wrong = fault is not None and not is_question(fault) and visit.click.method == "POST"
    return Screen("data/setup.html", gettext("Set up your shop"), data, status=422 if wrong else 200)
