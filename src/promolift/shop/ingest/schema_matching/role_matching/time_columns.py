"""Find the columns that say when: dates and times, parts of a date, days since the order before; and the shop's zone.

In: a draft. Out: its time role, format, zone and notes of what is doubtful. Each free column that can be read as times
is proposed, scored by name, detail and gaps, and the best takes the role.
"""

import re
from typing import NamedTuple

import polars as pl

from promolift.foundation.errors import InputError
from promolift.foundation.files.column_names import (
    COLUMN_SYNONYMS,
    DATE_PARTS,
    ZONE_BY_CURRENCY,
    guess_region,
    normalise_column_name,
)
from promolift.foundation.files.time_formats import MONTH_DAY, TimeGuess
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import SECONDS_PER_UNIT
from promolift.shop.configuration.column_mapping import DAYS_SINCE_LAST
from promolift.shop.ingest.schema_matching import column_patterns
from promolift.shop.ingest.schema_matching.mixed_dates import DateGuess
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import TIME_ROLES, MappingDraft
from promolift.shop.ingest.schema_matching.role_matching.role_candidates import name_rank, other_names
from promolift.shop.ingest.schema_matching.role_matching.role_scores import BY_VALUES, LIKELY, SURE, find

SINCE_LAST = re.compile(r"days?(since|from)(the)?(prior|previous|prev|last)|距上[次单]")
NOT_THE_TIME = re.compile(
    r"birth|dob|ship|deliver|estimat|updat|modif|expir|regist|signup|join|receiv|end|geburt|liefer|fulfil|cancel|refund"
    r"|payment ?due|生日|注册|发货"
)
MIN_READ_TIMES = 0.98  # share of a column's times that a format must read; below that a person is asked
UNKNOWN_NAME, OTHER_ROLE = 500, 800  # misfit of a column that no list names, and of one that another role does
LANGUAGES_OF_COLUMNS = (  # the names of `column_names.Region`, which notes print
    gettext_noop("Japanese"), gettext_noop("Korean"), gettext_noop("traditional Chinese"), gettext_noop("Chinese"),
    gettext_noop("Russian"), gettext_noop("Thai"), gettext_noop("Vietnamese"), gettext_noop("Turkish"),
    gettext_noop("Polish"), gettext_noop("Czech"), gettext_noop("German"),
    gettext_noop("French"), gettext_noop("Indonesian"),
)  # fmt: skip


class TimeCandidate(NamedTuple):
    """A column that can be read as times: its misfit, minus the share that is read, its place, and its format."""

    misfit: float
    minus_read: float
    place: int
    column: str
    guess: TimeGuess


def find_time(draft: MappingDraft) -> None:
    """Give the time role the column that looks most like it, and say what is doubtful."""
    role = TIME_ROLES.get(draft.table)
    if role is None or (role == "time" and _find_date_parts(draft)):
        return
    ranked = sorted(_propose_times(draft, role), key=lambda each: each[:4])
    if role in draft.fixed and not ranked:
        raise InputError(
            "time_unreadable",
            gettext_lazy(
                "--map {role}={fixed}: its values are no times: {values}",
                role=role,
                fixed=draft.fixed[role],
                values=draft.values(draft.fixed[role])[:3],
            ),
        )
    if not ranked or ranked[0].misfit >= OTHER_ROLE:
        _find_gaps(draft)
        return
    best, others = ranked[0], [each.column for each in ranked[1:2]]
    _take_time(draft, role, best, *others)


def _propose_times(draft: MappingDraft, role: str) -> list[TimeCandidate]:
    found = []
    for place, name in enumerate([draft.fixed[role]] if role in draft.fixed else draft.free):
        guess = draft.time_of(name)
        if guess is None:
            continue
        if role in draft.fixed:
            found.append(TimeCandidate(0.0, 0.0, 0, name, guess))
            continue
        fit = name_rank(name, COLUMN_SYNONYMS[role])
        if fit is None:
            fit = UNKNOWN_NAME if name_rank(name, other_names(role)) is None else OTHER_ROLE
        # A column with the time of day tells more than one with the day, and a count of days tells least.
        counted = 300 if guess.day_only else 350
        poor = counted if guess.format in SECONDS_PER_UNIT else 40 if guess.day_only else 0
        odd = NOT_THE_TIME.search(name.lower())
        penalty = 600 if odd and (role == "time" or (role == "start" and odd[0] != "receiv")) else 0
        thin = 300 if draft.filled(name) < 0.3 and name not in draft.fixed.values() else 0
        found.append(TimeCandidate(fit + poor + penalty + thin, -guess.share, place, name, guess))
    return found


def _take_time(draft: MappingDraft, role: str, best: TimeCandidate, *runner_up: str) -> None:
    name, guess = best.column, best.guess
    by_name = SURE if best.misfit < 100 else LIKELY if best.misfit < UNKNOWN_NAME else BY_VALUES + 0.15
    sure = 1.0 if role in draft.fixed else by_name
    draft.notes += guess.notes
    unread = guess.share < MIN_READ_TIMES
    if unread:
        draft.notes.append(
            gettext_lazy(
                "NOT SURE: {share} of the values of {name} are no time in the format {format} and would "
                "be set aside (set time_format)",
                share=f"{1 - guess.share:.0%}",
                name=repr(name),
                format=guess.format,
            )
        )
    if (unread or (isinstance(guess, DateGuess) and guess.undecided)) and role not in draft.fixed:
        sure = min(sure, BY_VALUES)
    draft.take(role, name, sure, *runner_up)
    if guess.format != "iso":
        draft.settings["time_format"] = guess.format
    if guess.format in (*SECONDS_PER_UNIT, MONTH_DAY):
        draft.settings["time_origin"] = guess.origin
    draft.day_only = guess.day_only and not (guess.format in SECONDS_PER_UNIT and _has_fractions(draft, name))
    if draft.day_only and draft.table == "events":
        find(draft, "clock")


def _has_fractions(draft: MappingDraft, name: str) -> bool:
    """Whether counted days carry the time of day, as '42005.354' does in Excel."""
    return any(not value.removesuffix(".0").isdigit() for value in draft.values(name))


def _find_gaps(draft: MappingDraft) -> None:
    """Orders that are numbered, each with the days since the one before, tell when, but for the first day."""
    name = next((name for name in draft.free if SINCE_LAST.search(normalise_column_name(name))), None)
    if draft.table != "events" or name is None or not column_patterns.looks_numeric(draft.values(name)):
        return
    find(draft, "sequence")
    if "sequence" not in draft.columns:
        return
    draft.columns["time"] = name
    draft.free.remove(name)
    draft.settings |= {"time_format": DAYS_SINCE_LAST, "time_origin": "2000-12-31"}
    draft.notes.append(
        gettext_lazy(
            "{name} counts days since the order before: the last order of each customer is put on "
            "2000-12-31, so seasons and who stayed away are not known (set time_origin)",
            name=repr(name),
        )
    )
    draft.day_only = True
    find(draft, "clock")


def _find_date_parts(draft: MappingDraft) -> bool:
    """Whether year, month and day stand in columns of their own; then they are the time."""
    found = [next((name for name in draft.free if normalise_column_name(name) in part), None) for part in DATE_PARTS]
    parts = [name for name in found if name and all(value.isdigit() for value in draft.values(name))]
    if len(parts) < 3:
        return False
    draft.columns["time"] = tuple(parts)
    draft.free = [name for name in draft.free if name not in parts]
    draft.day_only = True
    find(draft, "clock")
    return True


def settle_zone(draft: MappingDraft) -> None:
    """The shop's clock, where times carry no zone: by the language of the columns' names, else by the currency."""
    time = draft.columns.get("time")
    named = isinstance(time, str) and re.search(r"(?<![a-z])(utc|gmt)(?![a-z])", time.lower())
    if named or draft.zone != "UTC":
        return
    home = guess_region(draft.sample.columns)
    note = gettext_noop("times carry no zone: read as {zone} (set zone if the clock is another)")
    known: dict[str, str] = {}
    currency = str(draft.settings.get("currency", ""))
    if home:
        draft.zone, known = home.zone, {"language": gettext_lazy(home.language_name)}
        note = gettext_noop(
            "names are {language}, and times carry no zone: read as {zone} (set zone if the clock is another)"
        )
    elif currency in ZONE_BY_CURRENCY:
        draft.zone, known = ZONE_BY_CURRENCY[currency], {"currency": currency}
        note = gettext_noop(
            "money is {currency}, and times carry no zone: read as {zone} (set zone if the clock is another)"
        )
    if _has_zones(draft):  # then only a customer's days are of the shop's zone
        return
    draft.notes.append(gettext_lazy(note, zone=draft.zone, **known))


def _has_zones(draft: MappingDraft) -> bool:
    if draft.settings.get("time_format") == "epoch" or "time" not in draft.columns:
        return True
    if isinstance(draft.columns["time"], tuple):
        return False
    dtype = draft.sample.schema[str(draft.columns["time"])]
    if isinstance(dtype, pl.Datetime):
        return dtype.time_zone is not None
    values = draft.values(str(draft.columns["time"]))
    return sum(bool(re.search(r"\d\s*(Z|UTC|GMT|[+-]\d\d:?\d\d)$", value)) for value in values) > 0.5 * len(values)
