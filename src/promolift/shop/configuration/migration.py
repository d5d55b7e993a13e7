"""Rewrite a promolift.toml of an earlier version with the settings of today."""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.progress import StepSummary
from promolift.foundation.settings import Settings, settings_class_in
from promolift.shop.configuration.configuration import Config, load_config

Of = TypeVar("Of")
TABLE_HEADER = re.compile(r"^\s*\[+\s*([A-Za-z0-9_.\"-]+)\s*\]+")
KEY_LINE = re.compile(r"^(\s*)([A-Za-z0-9_.-]+)(\s*=)")


def migrate(path: Path) -> StepSummary:
    """Rewrite the file where it uses old names or settings that are no more, comments and all else as they are; the
    old one is kept beside it.

    Raises ConfigError if the file cannot be read, or says something that no version understands.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError("file_not_found", gettext_lazy("{path}: no such file", path=path)) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            "file_unreadable", gettext_lazy("{path}: not readable as TOML: {error}", path=path, error=error)
        ) from None
    found, gone = find_renamed_keys(Config, values), find_removed_keys(Config, values)
    new_values = _find_keys(Config, values, lambda each: each.NEW_VALUES)
    if not found and not gone:
        load_config(path)
        return StepSummary(
            gettext_lazy("{path}: nothing to rename", path=path), {"config": str(path), "renamed": {}, "removed": {}}
        )
    new = remove_keys(rename_keys(text, found, new_values), gone)
    if left := find_renamed_keys(Config, tomllib.loads(new)):
        place = next(iter(left))
        raise ConfigError(
            "setting_renamed",
            gettext_lazy(
                "{path}: {key} is called {name} now; rename it by hand where it stands",
                path=path,
                key=place,
                name=repr(left[place]),
            ),
        )
    if left := find_removed_keys(Config, tomllib.loads(new)):
        message = gettext_lazy("{path}: take out {key} by hand where it stands", path=path, key=next(iter(left)))
        raise ConfigError("setting_removed", message)
    Config.parse(tomllib.loads(new), str(path))
    path.with_name(f"{path.name}.old").write_text(text, encoding="utf-8")
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(new, encoding="utf-8")
    draft.replace(path)
    lines = [gettext("{old} is {name} now", old=old, name=name) for old, name in found.items()]
    lines += [gettext("{old} is taken out: {why}", old=old, why=gettext(why)) for old, why in gone.items()]
    lines.append(gettext("written: {path}; before: {path}.old", path=path))
    return StepSummary("\n".join(lines), {"config": str(path), "renamed": found, "removed": gone})


def find_renamed_keys(kind: type[Settings], values: Any) -> dict[str, str]:
    """Return dotted keys that were renamed, with their current names."""
    return _find_keys(kind, values, lambda each: each.RENAMED)


def find_removed_keys(kind: type[Settings], values: Any) -> dict[str, str]:
    """Return dotted keys that are no setting any more, with what holds instead."""
    return _find_keys(kind, values, lambda each: each.REMOVED)


def _find_keys(
    kind: type[Settings], values: Any, names: Callable[[type[Settings]], Mapping[str, Of]], place: str = ""
) -> dict[str, Of]:
    found: dict[str, Of] = {}
    for part in values if isinstance(values, list) else [values]:
        for key, value in part.items() if isinstance(part, dict) else ():
            dotted = f"{place}.{key}" if place else key
            if key in names(kind):
                found[dotted] = names(kind)[key]
            elif key in kind.model_fields and (inner := settings_class_in(kind.model_fields[key].annotation)):
                found |= _find_keys(inner, value, names, dotted)
    return found


def rename_keys(text: str, names: dict[str, str], values: Mapping[str, Mapping[str, str]]) -> str:
    """Return the TOML text with each dotted key of `names` under its new name, and with its new value if `values` has
    one for it."""
    lines, table = [], ""
    for line in text.splitlines(keepends=True):
        if header := TABLE_HEADER.match(line):
            table = header[1]
        elif key := KEY_LINE.match(line):
            dotted = f"{table}.{key[2]}" if table else key[2]
            if dotted in names:
                rest = line[key.end(2) :]
                for old, value in values.get(dotted, {}).items():
                    rest = re.sub(rf"""^(\s*=\s*)["']?{old}\b["']?""", rf"\g<1>{value}", rest)
                line = f"{key[1]}{key[2].rpartition('.')[0]}{'.' * ('.' in key[2])}{names[dotted]}{rest}"
        lines.append(line)
    return "".join(lines)


def remove_keys(text: str, names: Iterable[str]) -> str:
    """Return the TOML text without each dotted key of `names`, whose value may span lines."""
    lines, kept, table = text.splitlines(keepends=True), [], ""
    while lines:
        line = lines.pop(0)
        if header := TABLE_HEADER.match(line):
            table = header[1]
        elif (key := KEY_LINE.match(line)) and (f"{table}.{key[2]}" if table else key[2]) in names:
            value = line[key.start(2) :]
            while lines and not _is_whole(value):
                value += lines.pop(0)
            continue
        kept.append(line)
    return "".join(kept)


def _is_whole(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True
