"""Keep the everyday names of a shop's goods that a model drafted, and what a person decided on them."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from pydantic import ValidationError

from promolift.core.messages.composition import MessageSettings
from promolift.core.messages.everyday_names import EverydayName, NameState, approved_names, fits_as_name
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import Language, LocalizedText
from promolift.foundation.storage.file_lock import exclusive_lock

_CHANGING = Lock()


def names_path(settings: MessageSettings) -> Path:
    """Where the drafts and the approved names lie: beside the shop's own texts."""
    return settings.pool_path.with_name("names.jsonl")


def load_names(settings: MessageSettings) -> list[EverydayName]:
    """Return all records; none before there is a file. InputError naming the line that is none."""
    path = names_path(settings)
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            found.append(EverydayName.model_validate_json(line))
        except ValidationError:
            raise InputError(
                "file_unreadable", gettext_lazy("{path}, line {number}: no everyday name", path=path, number=number)
            ) from None
    return found


def shop_names(settings: MessageSettings) -> dict[str, LocalizedText]:
    """Return what messages call goods: `[message.names]`, and the names that a person approved."""
    return approved_names(load_names(settings), settings.names)


def change_names(
    settings: MessageSettings, change: Callable[[list[EverydayName]], list[EverydayName]]
) -> list[EverydayName]:
    """Read, change and save the records, one change at a time; of a key and language the later one counts."""
    path = names_path(settings)
    with _CHANGING, exclusive_lock(path):
        kept = list({(each.key, each.language): each for each in change(load_names(settings))}.values())
        half = path.with_name(f".{path.name}.part")
        half.write_text("".join(f"{each.model_dump_json()}\n" for each in kept), encoding="utf-8")
        half.replace(path)
    return kept


def decide(
    records: Sequence[EverydayName], keys: Sequence[str], state: NameState, by: str, language: Language | None = None,
    name: str | None = None,
) -> list[EverydayName]:  # fmt: skip
    """Return the records with a person's yes or no to the drafts of some keys, in one language or in each; `name` is
    what the person wrote in place of a draft. InputError for a name that may not be printed."""
    if name is not None and language is not None and not fits_as_name(name, language):
        raise InputError(
            "name_unfit",
            gettext_lazy(
                "{name}: write a name that readers of the language know, short and without a claim", name=name
            ),
        )
    who = {"state": state, "by": by.strip(), "date": current_day()} | ({} if name is None else {"name": name})
    wanted = set(keys)
    return [
        each.model_copy(update=who) if each.key in wanted and language in (None, each.language) else each
        for each in records
    ]


def current_day() -> str:
    """Return the day on which something is drafted or decided."""
    return datetime.now(UTC).date().isoformat()
