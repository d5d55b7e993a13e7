"""Find the columns of raw tables that could say who agreed to be sent offers and are not read as that.

A column counts by its name, in many languages, or by its values: two values, or answers such as yes and no. While there
is one, nobody may answer for all customers (`consent.default = true`): their own answers may stand in it. Then a column
of words counts, too, whatever they are: no list of words holds all the ways in which customers refuse.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import polars as pl

from promolift.foundation.errors import ConfigError
from promolift.foundation.files.raw_table import RawTable
from promolift.foundation.i18n.lazy_message import SEMICOLON, LazyMessage, gettext_lazy, join_messages
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.ingest.cleaning import consent_answers
from promolift.shop.ingest.cleaning.sql_casts import NULL_TEXTS
from promolift.shop.ingest.cleaning.table_cleaning import rows_without_consent

CUSTOMERS_READ = 200_000  # rows of a customers' file in which answers are looked for
FEW_ANSWERS = 12
STEADY_SHARE = 0.9  # of customers with several rows say the same in each: then a column is of the customer
ANSWERS = frozenset((*consent_answers.YES_TEXTS, *consent_answers.NO_TEXTS))
ANSWER_WORDS = {each for each in ANSWERS if (each.isalpha() and not (len(each) == 1 and each.isascii())) or " " in each}
PHRASES = frozenset((*consent_answers.AGREED_TEXTS, *consent_answers.REFUSED_TEXTS))
NO_ANSWERS = (*NULL_TEXTS, *consent_answers.UNKNOWN_TEXTS)
# What is not free text: an e-mail address, a link; what is: a word, such as 'stop', '退订' or 'stop 12.3.'.
_NO_WORDS = re.compile(r"\S*@\S*|\w+://\S*|www\.\S*")
_WORD = r"(?:[^\W\d_]{3,}|[\u0e00-\u0e7f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]{2,})"
_WORDS = re.compile(rf"\D*{_WORD}\D*|(?=.*\s).*(?<!\S){_WORD}(?![\w-]).*", re.DOTALL)
READ_BY_NAME = ("personal",)  # extra columns of customers that promolift reads (core/customers/consent.py)


class MappedTable(NamedTuple):
    """A raw table: its name in promolift.toml, its file, its rows and what its columns mean."""

    name: str
    file: str
    rows: RawTable
    mapping: Mapping


class ConsentColumn(NamedTuple):
    """A column that is not read as consent and could hold it.

    `by_name`: its name says so, not its values alone; `answers`: it holds yes and no alone; `tags`: some of its values
    hold a refusal, as 'vip, no-marketing' does; `refused`: some say in words that the customer refused; `words`: it
    holds words of which nobody knows what they say.
    """

    table: str
    file: str
    column: str
    values: tuple[str, ...]
    by_name: bool
    answers: bool = False
    tags: bool = False
    refused: bool = False
    words: bool = False

    def __str__(self) -> str:
        values = f" ({', '.join(map(repr, self.values))})" if self.values else ""
        return f"{self.column!r} of {Path(self.file).name}{values}"

    @property
    def is_refusal(self) -> bool:
        """Whether its name says that it holds refusals."""
        return consent_answers.names_refusal(self.column)


class ConsentOverruledError(ConfigError):
    """`consent_overruled`: `columns` could hold the answers of customers for whom somebody else would answer."""

    def __init__(self, columns: Sequence[ConsentColumn], message: LazyMessage) -> None:
        """The column that is likeliest to hold answers comes first."""
        super().__init__("consent_overruled", message)
        self.columns = tuple(columns)


def find_consent_columns(
    tables: Sequence[MappedTable], not_consent: Collection[str] = (), everybody: bool = False, unasked: bool = False
) -> list[ConsentColumn]:
    """Return the unread columns that could hold consent, those with a telling name first.

    `not_consent` are columns of which a person said that they hold none. Where a consent column is read already, only
    names and tags count, not those of days and the like. `everybody`: somebody answers for all customers, so that
    columns of words count, too; so do the texts that customers wrote, as far as nobody reads them (`unasked` as of
    `rows_with_consent`). Tables without customers are left out.
    """
    named_only = any(table.name == "customers" and table.mapping.has("consent") for table in tables)
    found = []
    for file in dict.fromkeys(table.file for table in tables):
        same = [table for table in tables if table.file == file]
        used = {name for each in same for role in each.mapping.columns for name in each.mapping.sources(role)}
        used |= {each.mapping.basket for each in same} | {*not_consent, *READ_BY_NAME}
        who = next((name for each in same for name in each.mapping.sources("customer_id")), None)
        of_events = any(each.name.startswith(("events", "more_events")) for each in same)
        if who is not None:
            cells = _columns(same[0].rows, who, used, of_events)
            judged = [_judge(same[0], *column, of_events, everybody) for column in cells]
            if everybody and not of_events:
                texts = {name: each for each in same for name in each.mapping.sources("text")}
                read = {who, *(name for each in same for name in each.mapping.sources("consent")), *texts}
                read |= {*not_consent}
                others = [*_columns(same[0].rows, who, {*same[0].rows.columns} - (used - read), of_events)]
                others += [column for name, table in texts.items() if name not in not_consent
                           for column in _unread_text(table, name, who, unasked)]  # fmt: skip
                judged += [_refusing(same[0], *column) for column in others]
            found += [each for each in judged if each and (not named_only or each.words or _counts_beside(each))]
    return sorted(found, key=lambda each: not each.by_name)


def _counts_beside(column: ConsentColumn) -> bool:
    """Whether a column could say no where another says yes."""
    said = column.by_name and column.values and not consent_answers.names_what_else(column.column)
    return bool(column.is_refusal or column.tags or (said and not is_of_other_channel(column)))


def is_of_other_channel(column: ConsentColumn) -> bool:
    """Whether it says who agreed to another channel than e-mail: no agreement there is no refusal of all messages, as
    'unsubscribed' is."""
    return consent_answers.is_other_channel(column.column) and not (column.is_refusal or column.refused)


class _Cells(NamedTuple):
    """A column beside the customer's: `who` and `text`, in lower case and null where a cell gives no answer."""

    name: str
    rows: pl.DataFrame


def _columns(table: RawTable, who: str, used: Collection[str], of_events: bool) -> Iterator[_Cells]:
    if not {*table.columns}.difference(used):
        return
    frame = table.sample() if of_events else table.rows.limit(CUSTOMERS_READ).pl()
    text = pl.col("text").cast(pl.String, strict=False).str.strip_chars().str.to_lowercase()
    for name in table.columns:
        if name not in used and name in frame.columns and not frame.schema[name].is_nested():
            whose = pl.col(who).cast(pl.String, strict=False) if who in frame.columns else pl.lit(None, pl.String)
            cells = frame.select(whose.alias("who"), pl.col(name).alias("text"))
            yield _Cells(name, cells.with_columns(pl.when(~text.is_in(NO_ANSWERS)).then(text).alias("text")))


def _unread_text(table: MappedTable, name: str, who: str, unasked: bool) -> Iterator[_Cells]:
    """A text's cells in rows that nobody reads; refusals in the others are found where they are read."""
    rows = replace(table.rows, rows=rows_without_consent(table.rows.rows, table.mapping, unasked))
    return _columns(rows, who, {*table.rows.columns} - {name}, of_events=False)


def _judge(
    table: MappedTable, name: str, cells: pl.DataFrame, of_events: bool, everybody: bool
) -> ConsentColumn | None:
    values = cells["text"].drop_nulls().unique().sort().to_list()
    refused = any(value in consent_answers.REFUSED_TEXTS for value in values)
    answers = bool(values) and {*values} <= ANSWERS
    column = ConsentColumn(table.name, table.file, name, tuple(values[:3]), True, answers, refused=refused)
    if consent_answers.names_consent(name):
        return column
    few, words = 0 < len(values) <= FEW_ANSWERS, [value for value in values if value in ANSWER_WORDS]
    by_answers = few and ({*values} <= ANSWERS or len(words) > 1 or any(value in PHRASES for value in words))
    two = len(values) == 2 or (len(values) == 1 and (by_answers or cells["text"].null_count() > 0))
    if of_events and not ((by_answers or consent_answers.may_name_consent(name)) and _is_steady(cells)):
        return _of_words(column, values, consent_answers.names_remarks(name)) if everybody else None
    if consent_answers.may_name_consent(name) and few:
        return column
    tags = [] if of_events else [value for value in values if re.search(consent_answers.REFUSING_TAG, value)]
    if tags:
        return column._replace(by_name=False, tags=True, values=tuple(tags[:3]))
    free = table.name == "customers" and not consent_answers.names_attribute(name)
    if everybody and (found := _of_words(column, values, free or consent_answers.names_remarks(name))):
        return found
    return column._replace(by_name=False) if two or by_answers else None


def _refusing(table: MappedTable, name: str, cells: pl.DataFrame) -> ConsentColumn | None:
    """A column that is read as something else, if some of its values refuse in words: a tier 'opted out'."""
    values = cells["text"].drop_nulls().unique().sort().to_list()
    refusals = [value for value in values if _refuses(value)]
    if not refusals:
        return None
    return ConsentColumn(table.name, table.file, name, tuple(refusals[:3]), False, tags=True, refused=True)


def _refuses(value: str) -> bool:
    return value in consent_answers.REFUSED_TEXTS or bool(re.search(consent_answers.REFUSING_TAG, value))


def _of_words(column: ConsentColumn, values: Sequence[str], free: bool) -> ConsentColumn | None:
    """The column with some of its words, if it may hold free text and does."""
    words = [value for value in values if _WORDS.fullmatch(_NO_WORDS.sub("", value))] if free else []
    return column._replace(by_name=False, words=True, values=tuple(words[:3])) if words else None


def _is_steady(cells: pl.DataFrame) -> bool:
    """Whether nearly all customers of several rows say the same in each, as they do of what is theirs."""
    theirs = cells.drop_nulls("who").group_by("who").agg(pl.len(), pl.col("text").n_unique().alias("texts"))
    several = theirs.filter(pl.col("len") > 1)
    return several.filter(pl.col("texts") == 1).height >= STEADY_SHARE * several.height


def check_unread_answers(columns: Sequence[ConsentColumn], where: str, read: Sequence[str] | None = None) -> None:
    """Raise ConfigError `consent_overruled` if a column could hold answers that `where` would overrule.

    Without `read`, `where` says yes for everybody; with it, those columns are read alone, and another could hold a no.
    """
    if not columns:
        return
    names = ", ".join(map(str, columns[:5]))
    how = how_to_read(columns[0], read or ())
    if doubtful := [each for each in columns if not (each.by_name if read is None else each.is_refusal)]:
        otherwise = gettext_lazy(
            "if it does not: {doubtful} (consent.not_consent in promolift.toml)",
            doubtful=" ".join(f"--map not_consent={each.column}" for each in doubtful),
        )
        how = join_messages(SEMICOLON, how, otherwise)
    if read is None:
        message = gettext_lazy(
            "{where} would answer for customers whose own answer may be in {names}, not read as consent. If it says "
            "who agreed or refused, read it and leave this out: {how}",
            where=where,
            names=names,
            how=how,
        )
    else:
        message = gettext_lazy(
            "{where} would answer for customers whose own no may be in {names}, not read as consent. If it says who "
            "agreed or refused, read both, any no counts: {how}",
            where=where,
            names=names,
            how=how,
        )
    raise ConsentOverruledError(columns, message)


def how_to_read(column: ConsentColumn, read: Sequence[str] = ()) -> LazyMessage:
    """Return what makes promolift read a column beside those it reads; both ways if its name leaves yes open."""
    name = column.column
    names = repr([*read, name]) if read else repr(name)
    how = gettext_lazy(
        "promolift init ... --map customers.consent={name}, or consent = {names} under "
        "[data.customers.mapping.columns]",
        name=name,
        names=names,
    )
    if consent_answers.names_refusal(name):
        return gettext_lazy("{how} (by its name, a yes there is a refusal)", how=how)
    if consent_answers.names_consent(name):
        return how
    return gettext_lazy(
        "look which answer means yes to offers. If a yes there means that the customer "
        "agreed: {how}. If it means that the customer refused, name that column "
        "'unsubscribed' in the file and run promolift init again",
        how=how,
    )
