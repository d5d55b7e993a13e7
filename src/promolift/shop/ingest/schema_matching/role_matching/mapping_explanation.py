"""Explain a solved draft: how sure each role is and what stands in its column, what is not read, what is missing.

In: a draft that the stages before have solved. Out: guesses by role for a person to check, notes, or InputError that
names the columns of the file and what to do.
"""

from collections.abc import Mapping as Dict
from typing import NamedTuple

import polars as pl

from promolift.foundation.errors import InputError
from promolift.foundation.files.column_names import COLUMN_SYNONYMS
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.shop.configuration.column_mapping import REQUIRED_ROLES, Mapping
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import MappingDraft, RoleGuess
from promolift.shop.ingest.schema_matching.role_matching.role_candidates import name_rank
from promolift.shop.ingest.schema_matching.role_matching.role_scores import LIKELY

MAX_VALUES_SHOWN = 20  # columns named in an error


class MappingGuess(NamedTuple):
    """A mapping, and for each of its roles how sure it is, what came next and what stands in the column; `assumed` are
    settings that nothing in the file says."""

    mapping: Mapping
    roles: dict[str, RoleGuess]
    assumed: Dict[str, str] = {}


def explain_roles(draft: MappingDraft) -> dict[str, RoleGuess]:
    """What each role got, and how sure that is."""
    found = {}
    for role, source in draft.columns.items():
        name = source if isinstance(source, str) else ", ".join(source)
        guess = draft.sure.get(role, RoleGuess(name, LIKELY, "", ()))
        if guess.column != name:
            guess = RoleGuess(name, LIKELY, guess.column, ())
        values = draft.values(source if isinstance(source, str) else source[0])
        found[role] = guess._replace(samples=tuple(dict.fromkeys(values))[:3])
    return found


def explain_records(draft: MappingDraft) -> None:
    """Note columns whose cells hold records, which are not read."""
    cells = {name: draft.sample.get_column(name).drop_nulls() for name in draft.free if not draft.inside}
    text = {name: column for name, column in cells.items() if column.dtype == pl.String and len(column)}
    hidden = [name for name, column in text.items() if _records(column) > 0.5 * len(column)]
    if hidden:
        sessions = "totals" in {name.partition(".")[0] for name in draft.sample.columns}
        how = (
            gettext_lazy("export one row per product of a hit, as docs/own-data.md shows")
            if sessions
            else gettext_lazy("give the file as JSON lines")
        )
        draft.notes.append(
            gettext_lazy(
                "{map}: each cell holds a record, which is not read; {how}, or a column for each key",
                map=", ".join(map(repr, hidden)),
                how=how,
            )
        )


def check_required_roles(draft: MappingDraft) -> None:
    """Raise InputError where a role that the table needs has no column; list the columns and what to do."""
    for role in REQUIRED_ROLES[draft.table]:
        if role not in draft.columns:
            what = {"time": "no column holds a time that can be read"}.get(role, f"no column looks like {role}")
            names = draft.sample.columns
            shown = ", ".join(names[:MAX_VALUES_SHOWN])
            shown += f" and {len(names) - MAX_VALUES_SHOWN} more" if len(names) > MAX_VALUES_SHOWN else ""
            empty = [
                name
                for name in names
                if not draft.values(name) and name_rank(name, COLUMN_SYNONYMS.get(role, ())) is not None
            ]
            shown += f" ({', '.join(map(repr, empty))} is empty)" if empty else ""
            raise InputError(
                "column_unrecognized",
                gettext_lazy(
                    "{table}: {what}; it has {shown}. If one of them says it: --map {role}=COLUMN; if another "
                    "file does, give both: --events this.csv+other.csv",
                    table=draft.table,
                    what=what,
                    shown=shown,
                    role=role,
                ),
            )
    if draft.table == "words" and "text" not in draft.columns and "audio" not in draft.columns:
        raise InputError(
            "column_unrecognized",
            gettext_lazy(
                "words: no column looks like what customers wrote, or names recordings; it has {columns}. "
                "If one of them does: --map words.text=COLUMN, or --map words.audio=COLUMN",
                columns=", ".join(draft.sample.columns[:MAX_VALUES_SHOWN]),
            ),
        )


def _records(column: pl.Series) -> int:
    """How many cells hold a record such as {'amount': 3.5}."""
    return int(column.str.contains(r"^\s*\{.*:.*\}\s*$").sum())
