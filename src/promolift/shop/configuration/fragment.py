"""Write the settings that were changed in the console to console.toml, which promolift.toml includes."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import to_toml
from promolift.shop.configuration.configuration import Config, load_config, merge_settings, read_toml

CONSOLE_FILE = "console.toml"


def change_settings(path: Path, now: Config, parts: Mapping[str, Any]) -> Config:
    """Keep other values of some parts beside the file `path`, and the settings as they are then.

    Where there is no such file yet, `now` is written there first. Nothing is written where the whole would be no valid
    settings, or `path` has a list of files to include without console.toml (ConfigError).
    """
    if not path.exists():
        _write(path, to_toml(now.model_dump(mode="json", exclude_defaults=True)))
    base, fragment = read_toml(path), path.with_name(CONSOLE_FILE)
    if "include" in base and CONSOLE_FILE not in base["include"]:
        raise ConfigError(
            "include_missing",
            gettext_lazy(
                "{path}: add {console_file} to include, so that what the console changes is read",
                path=path,
                console_file=repr(CONSOLE_FILE),
            ),
        )
    new = merge_settings(read_toml(fragment) if fragment.exists() else {}, dict(parts))
    Config.parse(merge_settings(base, new), f"{path} with {CONSOLE_FILE}")
    _write(fragment, "# Written by the console; promolift.toml includes it.\n\n" + to_toml(new).lstrip())
    if "include" not in base:
        _write(path, add_includes([CONSOLE_FILE], path.read_text(encoding="utf-8")))
    return load_config(path)


def add_includes(names: Sequence[str], text: str) -> str:
    """Return settings text that includes these files, too."""
    return f"include = {json.dumps(names)}  # what was changed in the console\n\n{text}" if names else text


def list_includes(path: Path) -> list[str]:
    """Return the included files that exist; empty if the settings cannot be read."""
    try:
        return [name for name in read_toml(path).get("include", ()) if path.with_name(name).is_file()]
    except ConfigError:
        return []


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
