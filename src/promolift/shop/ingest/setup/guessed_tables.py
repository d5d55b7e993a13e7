"""Hold a raw table as `init` guessed it, and show it: its section of promolift.toml, and lines for a person to check.

In: mappings with the guesses behind them. Out: text; nothing is asked or written here.
"""

import json
import os
from collections.abc import Mapping as Dict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from promolift.foundation.i18n.catalogue import gettext, pgettext
from promolift.foundation.i18n.lazy_message import render_message
from promolift.shop.configuration.column_mapping import Mapping
from promolift.shop.ingest.schema_matching.consent_columns import ConsentColumn, how_to_read
from promolift.shop.ingest.schema_matching.role_matching.mapping_draft import RoleGuess
from promolift.shop.ingest.schema_matching.role_matching.role_scores import CONFIRM_BELOW

if TYPE_CHECKING:
    from promolift.shop.ingest.setup.file_roles import EventFile, LookupFile
    from promolift.shop.ingest.setup.join_money import JoinedMoney

MAX_UNREAD_COLUMNS = 24  # columns named of those that are not used
COLUMNS_NAMED = 5  # of those that may hold consent


@dataclass(frozen=True)
class GuessedTable:
    """A raw table as promolift.toml has it: its mapping and why, its file, whether it stands inside the events.

    `unread` are columns of an events file that no table takes anything from; `money` is what of a log's money has a
    partner in each joined file; `assumed` are settings that nothing in the file says.
    """

    name: str
    mapping: Mapping
    path: Path
    log: "EventFile | None" = None
    inside: bool = False
    roles: Dict[str, RoleGuess] = field(default_factory=dict)
    unread: Sequence[str] = ()
    money: Sequence["JoinedMoney"] = ()
    assumed: Dict[str, str] = field(default_factory=dict)

    @property
    def is_log(self) -> bool:
        """Whether its rows are events."""
        return self.name in ("events", "more_events")

    @property
    def joined(self) -> "Sequence[LookupFile]":
        """The further files that its rows are joined with, and how."""
        return self.log.tied if self.log and not self.inside else ()

    def to_json(self) -> dict[str, object]:
        """What was guessed: our name for a column, where it comes from, how sure that is and what came next."""
        return {
            "table": self.name.removeprefix("more_"),
            "path": str(self.path),
            "inside_events": self.inside,
            "joined": [str(tied.path) for tied in self.joined],
            "joined_money": [money._asdict() for money in self.money],
            "columns": {role: list(self.mapping.sources(role)) for role in self.mapping.columns},
            "guesses": {role: guess._asdict() for role, guess in self.roles.items() if role in self.mapping.columns},
            "constants": dict(self.mapping.constants),
            "assumed": dict(self.assumed),
            "notes": list(self.mapping.notes),
        }


def has_consent(parts: Sequence[GuessedTable]) -> bool:
    """Whether a column of the customers says who agreed to be sent offers."""
    return any(part.name == "customers" and part.mapping.has("consent") for part in parts)


def table_section(part: GuessedTable, folder: Path) -> str:
    """One raw table of promolift.toml; paths start at `folder`."""
    name = f"data.{part.name}"
    many = part.name == "more_events"
    lines = [
        "",
        f"[[{name}]]" if many else f"[{name}]",
        f"path = {_quoted(os.path.relpath(part.path.resolve(), folder))}",
    ]
    if part.inside and part.name not in ("promotions", "words"):
        lines.append('per = "last"             # these columns stand in the events file')
    if part.log and part.log.header:
        header = json.dumps(list(part.log.header), ensure_ascii=False)
        lines.append(f"header = {header}  # the file has no line of names")
    for path, tie, _ in part.log.tied if part.log else ():
        place = _quoted(os.path.relpath(path.resolve(), folder))
        lines += ["", f"[[{name}.join]]", f"path = {place}", f"on = {_quoted(tie.on)}", f"key = {_quoted(tie.key)}"]
    mapping = part.mapping.to_toml().splitlines()
    doubts = {f"columns.{role} =": guess for role, guess in part.roles.items() if guess.sure < CONFIRM_BELOW}
    for row, line in enumerate(mapping):
        for start, guess in doubts.items():
            if line.startswith(start):
                other = f" (next best {guess.runner_up!r})" if guess.runner_up else ""
                mapping[row] = f"{line}  # NOT SURE{other}: please check"
    return "\n".join([*lines, "", f"[{name}.mapping]", *mapping, ""])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def guesses_text(
    parts: Sequence[GuessedTable], config: Path, consent: bool | None = None, unread: Sequence[ConsentColumn] = ()
) -> str:
    """What was guessed, as lines a person can check: column, how sure, three of its values, the runner-up."""
    lines = []
    for part in parts:
        file = part.path.name
        where = gettext("inside {file}", file=file) if part.inside else file
        lines.append(gettext("{name} ({where})", name=part.name.removeprefix("more_"), where=where))
        for path, tie, _ in part.joined:
            columns, share = tie.on if tie.on == tie.key else f"{tie.on} = {tie.key}", f"{tie.share:.1%}"
            lines.append(
                gettext(
                    "  joined: {name} by {columns} ({share} of the rows find theirs)",
                    name=path.name,
                    columns=columns,
                    share=share,
                )
            )
        for (path, *_), money in zip(part.joined, part.money, strict=False):
            found, whole = f"{money.matched:,.2f}", f"{money.whole:,.2f} {part.mapping.currency}"
            lines.append(
                gettext(
                    "  money with a partner in {name}: {found} of {whole}", name=path.name, found=found, whole=whole
                )
            )
        lines += [_role_line(role, part) for role in part.mapping.columns]
        lines += [f"  {role:<16} =  {text}" for role, text in part.mapping.constants.items()]
        if part.is_log:
            lines += _read_how(part)
        lines += [gettext("  note: ") + render_message(note) for note in part.mapping.notes]
    if unread and not has_consent(parts):
        lines.append("\n" + advice(unread))
    elif consent is None and not has_consent(parts):
        lines.append(
            gettext(
                "\nno column says who agreed to be sent offers, so nobody is: if all did, --consent "
                "yes, or set\nconsent.default = true in {name}; the plan then says that it rests on "
                "your word",
                name=config.name,
            )
        )
    lines.append(gettext("\nwritten: {config}. Check it, then: promolift health, promolift run", config=config))
    return "\n".join(lines)


def _read_how(part: GuessedTable) -> list[str]:
    """How money and times of a log are read, and which columns of its file nothing is read from."""
    comma = gettext(", decimal comma") if part.mapping.decimal == "," else ""
    lines = [f"  {gettext('money, clock'):<16} =  {part.mapping.currency}{comma}; {part.mapping.zone}"]
    rest = len(part.unread) - MAX_UNREAD_COLUMNS
    if part.unread:
        names = ", ".join(part.unread[:MAX_UNREAD_COLUMNS])
        more = gettext(" and {rest} more", rest=rest, unread=len(part.unread)) if rest > 0 else ""
        lines.append(f"  {pgettext('initialisation', 'not used'):<16} :  {names}{more}")
    return lines


def _role_line(role: str, part: GuessedTable) -> str:
    source = ", ".join(part.mapping.sources(role))
    guess = part.roles.get(role)
    if guess is None:
        return f"  {role:<16} <- {source}"
    values = ", ".join(value if len(value) <= 24 else f"{value[:23]}…" for value in guess.samples)
    other = gettext("; else {runner_up}", runner_up=guess.runner_up) if guess.runner_up else ""
    # no percentage: the share of such guesses that are right is measured by benchmarks/shop/mapping.py, not known here
    doubt = gettext("  NOT SURE") if guess.sure < CONFIRM_BELOW else ""
    return f"  {role:<16} <- {source}  ({values}{other}){doubt}"


def advice(unread: Sequence[ConsentColumn]) -> str:
    """Return what to do about columns that could hold consent and are not read."""
    names = ", ".join(map(str, unread[:COLUMNS_NAMED]))
    return gettext(
        "nobody is sent offers yet: {names} may say who agreed or refused, and is not read. To read it: {how_to_read}",
        names=names,
        how_to_read=render_message(how_to_read(unread[0])),
    )
