"""Settle in `init` which columns say who agreed to be sent offers; refuse to answer for whoever may have answered."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from promolift.foundation.errors import ConfigError, InputError
from promolift.foundation.files.table_files import open_file
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.storage.local_store import Store
from promolift.shop.ingest.cleaning.consent_answers import names_consent, names_refusal
from promolift.shop.ingest.schema_matching.consent_columns import (
    ConsentColumn,
    MappedTable,
    check_unread_answers,
    find_consent_columns,
    is_of_other_channel,
)
from promolift.shop.ingest.setup.guessed_tables import GuessedTable
from promolift.shop.ingest.setup.setup_questions import NO, YES, consent_column_question

if TYPE_CHECKING:
    from promolift.shop.ingest.setup.initialisation import SetupAnswers

MOST_QUESTIONS = 5


class ConsentChoice(NamedTuple):
    """The tables with what is read as consent, the answers, and the unread columns that could hold consent."""

    parts: list[GuessedTable]
    answers: "SetupAnswers"
    unread: list[ConsentColumn]


def settle_consent(
    store: Store, parts: list[GuessedTable], answers: "SetupAnswers",
    guess_again: Callable[["SetupAnswers"], list[GuessedTable]],
) -> ConsentChoice:  # fmt: skip
    """Read columns of refusals and answers beside the consent, ask a person about the rest, check `--consent yes`.

    Raises ConfigError `consent_overruled` where that would overrule what customers said, InputError for a column of
    `not_consent` that no file has.
    """
    tables = _mapped_tables(store, parts)
    for name in answers.not_consent:
        if not any(name in table.rows.columns for table in tables):
            raise InputError(
                "column_unknown",
                gettext_lazy(
                    "--map not_consent={name}: no file has a column {repr_name}", name=name, repr_name=repr(name)
                ),
            )
    unread = find_consent_columns(tables, answers.not_consent)
    parts = read_columns(parts, [column for column in unread if column.is_refusal])
    parts = _read_beside(store, parts, answers)
    if open_columns := _unread(store, parts, answers):
        agreed, other = _ask(open_columns, answers)
        answers = replace(answers, not_consent=(*answers.not_consent, *(each.column for each in other)))
        if agreed and not any(_reads_consent(part) for part in parts):
            answers = replace(answers, columns={**answers.columns, "customers.consent": agreed[0].column})
            parts = guess_again(answers)
        parts = _read_beside(store, read_columns(parts, agreed), answers)
    unread = _unread(store, parts, answers)
    if answers.consent:
        for part in parts:
            if _reads_consent(part):
                names = ", ".join(map(repr, part.mapping.sources("consent")))
                raise ConfigError(
                    "consent_overruled",
                    gettext_lazy(
                        "--consent yes: {names} of {name} says who agreed, so nobody else may answer. Leave "
                        "--consent yes out: customers without an answer are not written to",
                        names=names,
                        name=part.path.name,
                    ),
                )
        check_unread_answers(unread, "--consent yes")
    return ConsentChoice(parts, answers, unread)


def read_columns(parts: list[GuessedTable], columns: Sequence[ConsentColumn]) -> list[GuessedTable]:
    """Return the tables with these columns read as consent, where they stand in the file of the customers."""
    found = []
    for part in parts:
        own = part.mapping.sources("consent")
        more = [each.column for each in columns if each.file == str(part.path) and each.column not in own]
        if part.name == "customers" and more:
            names = (*own, *more)
            columns_of = part.mapping.columns | {"consent": names if len(names) > 1 else names[0]}
            part = replace(part, mapping=part.mapping.model_copy(update={"columns": columns_of}))
        found.append(part)
    return found


def _read_beside(store: Store, parts: list[GuessedTable], answers: "SetupAnswers") -> list[GuessedTable]:
    """Return the tables with all columns of yes and no that are consent by name read beside one that is."""
    own = [name for part in parts if _reads_consent(part) for name in part.mapping.sources("consent")]
    if all(names_refusal(name) for name in own):
        return parts
    unread = [each for each in _unread(store, parts, answers) if each.answers and names_consent(each.column)]
    return read_columns(parts, [each for each in unread if not is_of_other_channel(each)])


def _reads_consent(part: GuessedTable) -> bool:
    return part.name == "customers" and part.mapping.has("consent")


def _unread(store: Store, parts: list[GuessedTable], answers: "SetupAnswers") -> list[ConsentColumn]:
    return find_consent_columns(_mapped_tables(store, parts), answers.not_consent, bool(answers.consent))


def _mapped_tables(store: Store, parts: list[GuessedTable]) -> list[MappedTable]:
    opened = {part.path: part.log.table for part in parts if part.log}
    for part in parts:
        if part.path not in opened and part.name != "products":
            opened[part.path] = open_file(store.connection, part.path, store.raw_copies)
    return [MappedTable(part.name, str(part.path), opened[part.path], part.mapping) for part in parts
            if part.path in opened]  # fmt: skip


class ConsentAnswers(NamedTuple):
    """The columns of which a person said that they hold consent, and those that do not; the rest stays open."""

    agreed: list[ConsentColumn]
    other: list[ConsentColumn]


def _ask(columns: Sequence[ConsentColumn], answers: "SetupAnswers") -> ConsentAnswers:
    found = ConsentAnswers([column for column in columns if column.column in answers.consent_columns], [])
    for column in columns[:MOST_QUESTIONS] if answers.ask else ():
        question = consent_column_question(column)
        assert answers.ask
        reply = answers.ask(f"{question.text} {question.hint}", question.default).strip().lower()
        if reply in YES:
            found.agreed.append(column)
        elif reply in NO:
            found.other.append(column)
    return found
