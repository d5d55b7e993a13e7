"""Parts of the settings that somebody changed in the console in; console.toml, which promolift.toml includes, out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promolift.foundation.errors import ConfigError
from promolift.foundation.settings import to_toml
from promolift.shop.configuration.configuration import Config, laid_over, load_config, read_toml

FILE = "console.toml"


def change_settings(path: Path, now: Config, parts: Mapping[str, Any]) -> Config:
    """Keep other values of some parts beside the file `path`, and the settings as they are then.

    Where there is no such file yet, `now` is written there first. Nothing is written where the whole would be no valid
    settings, or `path` has a list of files to include without console.toml (ConfigError).
    """
    if not path.exists():
        _write(path, to_toml(now.model_dump(mode="json", exclude_defaults=True)))
    base, fragment = read_toml(path), path.with_name(FILE)
    if "include" in base and FILE not in base["include"]:
        raise ConfigError(
            "include_missing", f"{path}: add {FILE!r} to include, so that what the console changes is read"
        )
    new = laid_over(read_toml(fragment) if fragment.exists() else {}, dict(parts))
    Config.parse(laid_over(base, new), f"{path} with {FILE}")
    _write(fragment, "# Written by the console; promolift.toml includes it.\n\n" + to_toml(new).lstrip())
    if "include" not in base:
        _write(path, including([FILE], path.read_text(encoding="utf-8")))
    return load_config(path)


def including(names: Sequence[str], text: str) -> str:
    """Settings that include these files, too."""
    return f"include = {json.dumps(names)}  # what was changed in the console\n\n{text}" if names else text


def included(path: Path) -> list[str]:
    """The files that settings include, of those that are there; none where they cannot be read."""
    try:
        return [name for name in read_toml(path).get("include", ()) if path.with_name(name).is_file()]
    except ConfigError:
        return []


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
