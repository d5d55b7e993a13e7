"""Say what the files leave open, as questions with their choices: at most three, the one that matters most first.

A terminal and the console ask the same questions; `SetupAnswers.with_answer` reads an answer by the question's key.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from promolift.foundation.errors import ConfigError
from promolift.foundation.files.workbook import WORKBOOK_SUFFIXES, list_sheets
from promolift.foundation.i18n.catalogue import gettext, pgettext
from promolift.foundation.money import CURRENCY_DIGITS
from promolift.shop.configuration.configuration import RAW_NAMES
from promolift.shop.ingest.schema_matching.consent_columns import ConsentColumn
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import MONEY
from promolift.shop.ingest.schema_matching.role_matching.role_scores import CONFIRM_BELOW
from promolift.shop.ingest.setup.guessed_tables import GuessedTable, has_consent

if TYPE_CHECKING:
    from promolift.shop.ingest.setup.initialisation import SetupAnswers

MOST_QUESTIONS = 3
# What a wrong column spoils most comes first.
IMPORTANCE = ("customer_id", "time", "amount", "unit_price", "list_amount", "list_unit_price", "order_id", "product_id")
YES, NO = ("y", "yes", "是"), ("n", "no", "否", "不是")
COLUMN_KEY, CONSENT_COLUMN_KEY, SHEET_KEY = "columns.", "consent_column.", "sheet."  # what such a key begins with
CURRENCY, MONEY_UNIT, CONSENT, MESSAGE_COST = "currency", "money", "consent", "message_cost"


class Choice(NamedTuple):
    """An answer that can be chosen: its value, and what a person reads."""

    value: str
    text: str


class SetupQuestion(NamedTuple):
    """A question of `init`: the key of what its answer settles, the sentence, and how a person on a terminal answers.

    Without `choices` the answer is a number of at least 0. An empty `default` leaves the question open.
    """

    key: str
    text: str
    hint: str
    default: str = ""
    choices: Sequence[Choice] = ()


class Questioner:
    """Asks a person on a terminal, and counts how many questions are left."""

    def __init__(self, ask: Callable[[str, str], str], most: int = MOST_QUESTIONS) -> None:
        self.ask, self.left = ask, most

    def __call__(self, question: str, default: str) -> str:
        """The answer of a person, whether or not a question is left."""
        self.left -= 1
        return self.ask(question, default)

    def choose_sheet(self, table: str, path: Path) -> Path:
        """Return the path with the sheet that a person names, where a workbook's sheets are different tables."""
        question = sheet_question(table, path)
        while question:
            said = self(f"{question.text} {question.hint}", question.default).strip()
            if said in [choice.value for choice in question.choices]:
                return path.with_name(f"{path.name}#{said}")
        return path

    def settle(self, question: SetupQuestion, answers: "SetupAnswers") -> "SetupAnswers":
        """Return the answers with that to a question, which is asked until its answer can be read."""
        while True:
            said = self(f"{question.text} {question.hint}", question.default).strip()
            if question.key.startswith(COLUMN_KEY) and said == question.default:
                return answers
            try:
                return answers.with_answer(question.key, said)
            except ConfigError:
                continue


def sheet_question(table: str, path: Path) -> SetupQuestion | None:
    """Return the question which sheet holds a table; None where a file has no sheets that are different tables."""
    if path.suffix.lower() not in WORKBOOK_SUFFIXES or not path.is_file():
        return None
    sheets = list_sheets(path)
    if len({sheet.columns for sheet in sheets}) < 2:
        return None
    text = gettext(
        "{file} has different sheets: {sheets}. Which one holds the {table}?",
        file=path.name,
        sheets="; ".join(map(str, sheets)),
        table=table,
    )
    largest = max(sheets, key=lambda sheet: sheet.rows).name
    choices = [Choice(sheet.name, str(sheet)) for sheet in sheets]
    return SetupQuestion(f"{SHEET_KEY}{table}", text, gettext("Enter, or a sheet"), largest, choices)


def file_questions(parts: Sequence[GuessedTable]) -> Iterator[SetupQuestion]:
    """Yield the questions about columns that are not sure, the currency and cents, the most important one first."""
    doubts = [
        (part, role)
        for part in parts
        for role, guess in part.roles.items()
        if guess.sure < CONFIRM_BELOW and part.name in RAW_NAMES
    ]
    doubts.sort(key=lambda doubt: IMPORTANCE.index(doubt[1]) if doubt[1] in IMPORTANCE else len(IMPORTANCE))
    for part, role in doubts:
        guess = part.roles[role]
        text = gettext(
            "{name}.{role}: is it {column} ({values})?",
            name=part.name,
            role=role,
            column=f"{guess.column!r}",
            values=", ".join(guess.samples),
        )
        columns = part.log.table.columns if part.log else [guess.column]
        choices = [Choice(name, name) for name in dict.fromkeys((guess.column, *columns))]
        yield SetupQuestion(
            f"{COLUMN_KEY}{part.name}.{role}", text, gettext("Enter, or a column"), guess.column, choices
        )
    events, assumed = parts[0].mapping, parts[0].assumed
    if "currency" in assumed:
        text = gettext("No column names a currency. Which one are the amounts in?")
        hint, choices = gettext("Enter, or a code such as EUR"), [Choice(code, code) for code in CURRENCY_DIGITS]
        yield SetupQuestion(CURRENCY, text, hint, events.currency, choices)
    if "money" in assumed:
        role = next(role for role in MONEY if role in events.columns)
        text = gettext(
            "All amounts of {column} are whole. Is {value} a count of cents?",
            column=f"{events.sources(role)[0]!r}",
            value=parts[0].roles[role].samples[0] if role in parts[0].roles else "",
        )
        yield SetupQuestion(MONEY_UNIT, text, gettext("(yes/no)"), "no", _yes_or_no())


def consent_column_question(column: ConsentColumn) -> SetupQuestion:
    """Return the question whether a column that is not read says who agreed to be sent offers."""
    if column.is_refusal:
        reading, unsure = gettext("a yes there is a refusal"), gettext("unsure")
    else:
        reading = gettext("a yes there means agreed")
        unsure = gettext("unsure, or a yes there means refused")
    text = gettext("{column} is not read. Does it say who agreed to be sent offers?", column=column)
    hint = gettext("(yes: {reading}; no: it says nothing of offers; Enter: {unsure})", reading=reading, unsure=unsure)
    choices = [
        Choice("yes", gettext("yes: {reading}", reading=reading)),
        Choice("no", gettext("no: it says nothing of offers")),
        Choice("", unsure),
    ]
    return SetupQuestion(f"{CONSENT_COLUMN_KEY}{column.column}", text, hint, "", choices)


def asks_consent(parts: Sequence[GuessedTable], answers: "SetupAnswers") -> bool:
    """Whether somebody has to answer for all customers, since no column says who agreed."""
    return answers.consent is None and not has_consent(parts)


def closing_questions(
    parts: Sequence[GuessedTable], answers: "SetupAnswers", unread: Sequence[ConsentColumn], left: int
) -> Iterator[SetupQuestion]:
    """Yield what no file says, while questions are `left`: consent, where no column could hold it, and what a message
    costs.
    """
    if asks_consent(parts, answers) and not unread:
        text = gettext("No column says who agreed to be sent offers. May everybody here be sent them?")
        yield SetupQuestion(CONSENT, text, gettext("(yes/no)"), "no", _yes_or_no())
        left -= 1
    if answers.message_cost is None and left > 0:
        text = gettext(
            "What does one message to a customer cost you, in {currency}? 0 for e-mail that costs nothing",
            currency=answers.currency or parts[0].mapping.currency,
        )
        yield SetupQuestion(MESSAGE_COST, text, "", "0")


def _yes_or_no() -> list[Choice]:
    return [Choice("yes", pgettext("setup", "yes")), Choice("no", pgettext("setup", "no"))]
