"""Rewrite a promolift.toml of an earlier version with the current names of settings."""

import re
import tomllib
from pathlib import Path
from typing import Any

from promolift.foundation.errors import ConfigError
from promolift.foundation.progress import StepSummary
from promolift.foundation.settings import Settings, settings_class_in
from promolift.shop.configuration.configuration import Config, load_config

TABLE_HEADER = re.compile(r"^\s*\[+\s*([A-Za-z0-9_.\"-]+)\s*\]+")
KEY_LINE = re.compile(r"^(\s*)([A-Za-z0-9_.-]+)(\s*=)")


def migrate(path: Path) -> StepSummary:
    """Rewrite the file where it uses old names, comments and all else as they are; the old one is kept beside it.

    Raises ConfigError if the file cannot be read, or says something that no version understands.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError("file_not_found", f"{path}: no such file") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("file_unreadable", f"{path}: not readable as TOML: {error}") from None
    found = find_renamed_keys(Config, values)
    if not found:
        load_config(path)
        return StepSummary(f"{path}: nothing to rename", {"config": str(path), "renamed": {}})
    new = rename_keys(text, found)
    if left := find_renamed_keys(Config, tomllib.loads(new)):
        place = next(iter(left))
        raise ConfigError(
            "setting_renamed", f"{path}: {place} is called {left[place]!r} now; rename it by hand where it stands"
        )
    Config.parse(tomllib.loads(new), str(path))
    path.with_name(f"{path.name}.old").write_text(text, encoding="utf-8")
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(new, encoding="utf-8")
    draft.replace(path)
    lines = [*(f"{old} is {name} now" for old, name in found.items()), f"written: {path}; before: {path}.old"]
    return StepSummary("\n".join(lines), {"config": str(path), "renamed": found})


def find_renamed_keys(kind: type[Settings], values: Any, place: str = "") -> dict[str, str]:
    """Return dotted keys that were renamed, with their current names."""
    found: dict[str, str] = {}
    for part in values if isinstance(values, list) else [values]:
        for key, value in part.items() if isinstance(part, dict) else ():
            dotted = f"{place}.{key}" if place else key
            if key in kind.RENAMED:
                found[dotted] = kind.RENAMED[key]
            elif key in kind.model_fields and (inner := settings_class_in(kind.model_fields[key].annotation)):
                found |= find_renamed_keys(inner, value, dotted)
    return found


def rename_keys(text: str, names: dict[str, str]) -> str:
    """Return the TOML text with each dotted key of `names` under its new name."""
    lines, table = [], ""
    for line in text.splitlines(keepends=True):
        if header := TABLE_HEADER.match(line):
            table = header[1]
        elif key := KEY_LINE.match(line):
            dotted = f"{table}.{key[2]}" if table else key[2]
            if dotted in names:
                line = f"{key[1]}{key[2].rpartition('.')[0]}{'.' * ('.' in key[2])}{names[dotted]}{line[key.end(2) :]}"
        lines.append(line)
    return "".join(lines)
