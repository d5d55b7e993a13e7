"""The form of the set-up: which files are read how, and what a person answered; and the page's view of a reading.

`init` reads the files and makes the questions (`shop/ingest/setup`); nothing of it is decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from promolift.foundation.errors import PromoError
from promolift.foundation.files.table_files import open_file
from promolift.foundation.i18n.formatting import current_locale, truncate
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.localized_text import LANGUAGE_NAMES, LANGUAGES
from promolift.foundation.storage.local_store import Store
from promolift.server.translations import translate_group
from promolift.shop.configuration.column_mapping import REQUIRED_ROLES, ROLES
from promolift.shop.configuration.configuration import RAW_NAMES, ShopSettings
from promolift.shop.ingest.schema_matching.consent_columns import ConsentOverruledError
from promolift.shop.ingest.schema_matching.role_matching.role_scores import CONFIRM_BELOW
from promolift.shop.ingest.setup.consent_setup import MOST_QUESTIONS as MOST_CONSENT_QUESTIONS
from promolift.shop.ingest.setup.example_orders import rejection_texts
from promolift.shop.ingest.setup.file_roles import open_joined
from promolift.shop.ingest.setup.guessed_tables import GuessedTable, has_consent
from promolift.shop.ingest.setup.initialisation import SetupAnswers, SetupReading, UnclearCustomerError, late_rows_text
from promolift.shop.ingest.setup.join_question import UnclearJoinError
from promolift.shop.ingest.setup.setup_questions import (
    COLUMN_KEY,
    CONSENT,
    CONSENT_COLUMN_KEY,
    CURRENCY,
    MESSAGE_COST,
    MONEY_UNIT,
    SHEET_KEY,
    SetupQuestion,
    closing_questions,
    consent_column_question,
    sheet_question,
)

GUESS, LANGUAGES_KEY, TOGETHER, JOIN = "guess.", "languages", "together", "join"
PLAIN_KEYS = (MONEY_UNIT, CONSENT, MESSAGE_COST)
CUSTOMER_KEY = f"{COLUMN_KEY}events.customer_id"
TABLES_INSIDE = ("products", "customers")  # tables inside the events whose columns a person may name
COLUMNS_JOINED = " + "  # between the columns of a role that has several
COMPLETE = ("consent_unanswered", "role_missing")  # faults whose words say all
FLAG = "--"  # a sentence with one is for a terminal

Form = Mapping[str, str]


class SentFiles(NamedTuple):
    """The files of a shop by table, as `init` takes them, and the questions about them that a person answers."""

    named: dict[str, Path]
    more: list[Path]
    sheets: list[SetupQuestion]
    together: bool | None  # whether files of events are joined; None where there is one


def list_files(folder: Path) -> dict[str, list[Path]]:
    """Return the files that were sent, by table."""
    found = {table: sorted((folder / table).glob("[!.]*")) for table in RAW_NAMES}
    return {table: paths for table, paths in found.items() if paths}


def choose_files(sent: Mapping[str, Sequence[Path]], form: Form) -> SentFiles:
    """Return the files as `init` takes them, with the sheets that a person chose and the ties between files."""
    sheets, named, more, together = list[SetupQuestion](), dict[str, Path](), list[Path](), None
    for table, files in sent.items():
        paths = list[Path]()
        for file in files:
            if question := sheet_question(table, file):
                names, key = [choice.value for choice in question.choices], f"{question.key}.{file.name}"
                said = form.get(key, "")
                question = question._replace(key=key, default=said if said in names else question.default)
                sheets.append(question)
            paths.append(file.with_name(f"{file.name}#{question.default}") if question else file)
        if table == "events" and len(paths) > 1:
            said = form.get(TOGETHER, "")
            together = said == "yes" if said else not _same_columns(paths)
            if not together:
                named[table], *more = paths
                continue
        named[table] = Path("+".join(_tied(paths, form.get(JOIN, ""))))
    return SentFiles(named, more, sheets, together)


def _tied(paths: Sequence[Path], way: str) -> list[str]:
    """The files of one table in an order in which they can be joined, the one that a person tied by `way` last."""
    places = {path.name: path for path in paths}
    both, _, columns = way.partition(":")
    many, _, one = both.partition("+")
    if columns and many in places and one in places:
        rest = [str(path) for name, path in places.items() if name not in (many, one)]
        return [str(places[many]), f"{places[one]}:{columns}", *rest]
    names = [str(path) for path in paths]
    orders = [[name, *(other for other in names if other != name)] for name in names]
    return next(filter(_can_join, orders), names) if len(names) > 1 else names


def _can_join(names: Sequence[str]) -> bool:
    """Whether files find their ties in this order: the first one needs a column in common with some other."""
    with TemporaryDirectory() as folder, Store(Path(folder)) as store:
        try:
            open_joined(store, Path("+".join(names)))
        except PromoError:
            return False
    return True


def read_columns(paths: Sequence[Path]) -> list[str]:
    """Return the columns of some files; none of one that cannot be read."""
    found = dict[str, None]()
    with TemporaryDirectory() as folder, Store(Path(folder)) as store:
        for path in paths:
            try:
                found |= dict.fromkeys(open_file(store.connection, path, store.raw_copies).columns)
            except PromoError:
                continue
    return list(found)


def _same_columns(paths: Sequence[Path]) -> bool:
    return len({tuple(read_columns([path])) for path in paths}) == 1


def submitted_answers(form: Form) -> SetupAnswers:
    """Return what a person answered: of columns, currency and languages only what differs from the guess on the page.

    ConfigError for an answer that is none.
    """
    answers = SetupAnswers(reader=current_locale())
    for key, said in form.items():
        value = said.strip()
        if not value or value == form.get(GUESS + key):
            continue
        if key.startswith((COLUMN_KEY, CONSENT_COLUMN_KEY)) or key in (*PLAIN_KEYS, CURRENCY):
            answers = answers.with_answer(key, value)
        elif key == LANGUAGES_KEY:
            spoken = ShopSettings.parse({"languages": value.split()}, LANGUAGES_KEY).languages
            answers = replace(answers, languages=spoken)
    return answers


def show_reading(reading: SetupReading, form: Form, fault: PromoError | None = None) -> dict[str, Any]:
    """Return what the page shows of a reading: example orders, questions, and what each column was taken for. `fault`
    may ask about columns that could hold consent.
    """
    closing = closing_questions(reading.parts, SetupAnswers(), reading.unread, left=2)
    overruled = fault.columns[:MOST_CONSENT_QUESTIONS] if isinstance(fault, ConsentOverruledError) else ()
    questions = {each.key: each for each in (*reading.questions, *map(consent_column_question, overruled))}
    rest = [question for question in questions.values() if question.key not in (CONSENT, MESSAGE_COST)]
    asked = set(questions)
    events = reading.parts[0].mapping
    own = " ".join(reading.answers.languages)
    currency = form.get(CURRENCY) or events.currency
    spoken = [*((each,) for each in LANGUAGES), LANGUAGES, LANGUAGES[::-1]]
    languages = [(" ".join(some), " + ".join(LANGUAGE_NAMES[each] for each in some)) for some in spoken]
    return {
        "orders": reading.examples.orders,
        "doubts": [*rejection_texts(reading.examples), *filter(None, [late_rows_text(reading.future_rows)])],
        "questions": [(each, form.get(each.key, each.default)) for each in rest],
        "answered": {key: said for key, said in form.items() if said and key not in asked
                     and (key == MONEY_UNIT or key.startswith(CONSENT_COLUMN_KEY))},
        "closing": [(each, form.get(each.key, "")) for each in closing],
        "consent_columns": [name for part in reading.parts if part.name == "customers"
                            for name in part.mapping.sources("consent")] if has_consent(reading.parts) else [],
        "unread_consent": [each.column for each in reading.unread],
        "tables": [show_table(part, columns, asked, form)
                   for part, columns in zip(reading.parts, reading.columns, strict=True)],
        "currency": None if CURRENCY in asked else (currency, _guess(form, CURRENCY, events.currency)),
        "languages": (form.get(LANGUAGES_KEY) or own, _guess(form, LANGUAGES_KEY, own), languages),
    }  # fmt: skip


def _guess(form: Form, key: str, current: str) -> str:
    """What was guessed before a person said something else, so that the next form still tells one from the other."""
    return form.get(GUESS + key, "") if form.get(key, "") != form.get(GUESS + key, "") else current


def show_table(part: GuessedTable, columns: Sequence[str], asked: set[str], form: Form) -> dict[str, Any]:
    """Return what the columns of a table were taken for; a role that is a question stands there, not here."""
    name, mapping = part.name, part.mapping
    may_change = name in RAW_NAMES and (not part.inside or name in TABLES_INSIDE)
    rows = list[dict[str, Any]]()
    for role, means in ROLES[mapping.table].items():
        key, column = f"{COLUMN_KEY}{name}.{role}", COLUMNS_JOINED.join(mapping.sources(role))
        if key in asked:
            continue
        guess = part.roles.get(role)
        rows.append({
            "key": key, "role": role, "means": means, "needed": role in REQUIRED_ROLES[mapping.table],
            "column": form.get(key) or column if may_change else column, "guess": _guess(form, key, column),
            "constant": mapping.constants.get(role, ""), "doubt": bool(guess and column and guess.sure < CONFIRM_BELOW),
            "samples": [truncate(each, 24) for each in guess.samples] if guess and column else [],
        })  # fmt: skip
    return {
        "name": translate_group("table").get(name.removeprefix("more_"), name), "file": part.path.name,
        "inside": part.inside, "joined": [each.path.name for each in part.joined], "may_change": may_change,
        "rows": rows, "columns": columns, "notes": [note for note in mapping.notes if FLAG not in note],
        "unread": part.unread,
    }  # fmt: skip


def show_fault(error: PromoError, sent: Mapping[str, Sequence[Path]], form: Form) -> dict[str, Any]:
    """Return what the page says of an error: what is wrong, what to click, and the answers that it needs."""
    texts, detail = translate_group("setup_fault"), str(error)
    if isinstance(error, UnclearCustomerError):
        detail = error.question
    elif FLAG in detail or error.code in COMPLETE:
        detail = ""
    for path in (path for paths in sent.values() for path in paths):
        detail = detail.replace(f"{path.parent}/", "")
    return {
        "code": error.code,
        "text": texts.get(error.code, texts["other"]),
        "detail": detail,
        "customers": error.columns if isinstance(error, UnclearCustomerError) else (),
        "ways": [(each, render_message(text)) for each, text in error.ways]
        if isinstance(error, UnclearJoinError)
        else (),
        "way": form.get(JOIN, ""),
    }


def show_unread(sent: Mapping[str, Sequence[Path]], form: Form) -> list[dict[str, Any]]:
    """Return the roles that a person may name where files could not be read as they are: those that must be there."""
    found = list[dict[str, Any]]()
    for table, paths in sent.items():
        columns = read_columns(paths)
        keys = [(f"{COLUMN_KEY}{table}.{role}", ROLES[table][role]) for role in REQUIRED_ROLES[table]]
        rows = [{"key": key, "means": means, "column": form.get(key, "")} for key, means in keys]
        found += [{"table": table, "rows": rows, "columns": columns}] if columns else []
    return found


def unshown_answers(data: Mapping[str, Any], form: Form) -> dict[str, str]:
    """Return the answers for which a page without a reading has no control, so that its form keeps them."""
    shown = {row["key"] for table in data["unread"] for row in table["rows"]} | {TOGETHER, JOIN, "token"}
    shown |= {CURRENCY} if data["unread"] else set()
    shown |= {CUSTOMER_KEY} if data["fault"]["customers"] else set()
    return {key: said for key, said in form.items() if key not in shown and not key.startswith(SHEET_KEY)}


def is_question(error: PromoError | None) -> bool:
    """Whether an error asks a person something, and nothing is wrong."""
    return isinstance(error, UnclearCustomerError | UnclearJoinError)


def fewer_answers(form: Form) -> list[Form]:
    """Return the form with ever fewer answers: without the consent for everybody, and without any correction."""
    files = {key: said for key, said in form.items() if key.startswith(SHEET_KEY) or key in (TOGETHER, JOIN)}
    return [{key: said for key, said in form.items() if key != CONSENT}, files]
