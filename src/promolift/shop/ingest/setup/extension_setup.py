"""What `promolift init --trade` does for the project of any extension: answers of a person, and the settings file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from promolift.foundation.errors import ConfigError
from promolift.foundation.extension import load_reference
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.i18n.suggestion import suggest_nearest
from promolift.foundation.progress import StepSummary
from promolift.foundation.settings import to_toml
from promolift.shop.configuration.extension_sections import project_sections

HEAD = """\
# promolift's settings for {what}. docs/configuration.md explains every key; docs/trades.md is the walk.
# Please check what is guessed below{check}.
"""


@dataclass(frozen=True)
class TradeAnswers:
    """What a person has settled: columns by role (several with commas), currency and language."""

    columns: Mapping[str, str]
    currency: str | None = None
    language: str | None = None

    @classmethod
    def of(cls, pairs: Sequence[str], currency: str | None, language: str | None) -> "TradeAnswers":
        """From the command line: `role=column` each. ConfigError for what is none."""
        for pair in pairs:
            if not all(pair.partition("=")):
                raise ConfigError(
                    "option_invalid", gettext_lazy("--map {pair}: give role=column, such as taken=y", pair=pair)
                )
        return cls({pair.partition("=")[0]: pair.partition("=")[2] for pair in pairs}, currency, language)

    def named(self, path: Path, frame: pl.DataFrame, roles: Sequence[str]) -> Mapping[str, str]:
        """The columns, which are there, for roles that are some. ConfigError where one is not."""
        for role, column in self.columns.items():
            if role not in roles:
                raise ConfigError(
                    "column_role_unknown",
                    gettext_lazy(
                        "--map {role}={column}: no role here; there are {roles}",
                        role=role,
                        column=column,
                        roles=", ".join(roles),
                    ),
                )
            if missing := [name for name in column.split(",") if name not in frame.columns]:
                text = gettext_lazy(
                    "{path} has no column {missing}{near}",
                    path=path,
                    missing=repr(missing[0]),
                    near=suggest_nearest(missing[0], frame.columns),
                )
                raise ConfigError(
                    "column_unknown", gettext_lazy("--map {role}={column}: {text}", role=role, column=column, text=text)
                )
        return self.columns


def start_project(trade: str, files: Sequence[Path], config: Path, force: bool, answers: TradeAnswers) -> StepSummary:
    """Write the settings of a project for its data file; the summary lists what was guessed for a person to check.

    Raises ConfigError where a settings file exists already, or a project, role or column does not; InputError for a
    file that cannot be read or lacks what the project needs.
    """
    projects = {each.name: each for each in project_sections()}
    if trade not in projects:
        raise ConfigError(
            "trade_unknown",
            gettext_lazy(
                "--trade {trade}: no such trade; there are {value}",
                trade=trade,
                value=", ".join(("shop", "retail", *projects)),
            ),
        )
    project = projects[trade]
    if len(files) > 1:
        raise ConfigError(
            "too_many_files",
            gettext_lazy(
                "--trade {trade}: one file, a row per {row}; join {files} files first",
                trade=trade,
                row=project.row,
                files=len(files),
            ),
        )
    if config.exists() and not force:
        raise ConfigError(
            "file_exists",
            gettext_lazy("{config}: already there; edit it, or write it anew with --force", config=config),
        )
    summary: StepSummary = load_reference(project.init)(files[0], config, answers)
    return summary


def _write_settings(config: Path, trade: str, settings: Mapping[str, Any], what: str, check: str) -> None:
    config.parent.mkdir(parents=True, exist_ok=True)
    draft = config.with_name(f".{config.name}.draft")
    draft.write_text(HEAD.format(what=what, check=check) + to_toml({trade: settings}), encoding="utf-8")
    draft.replace(config)


def _guess_language(frame: pl.DataFrame) -> str:
    return "zh" if re.search(r"[一-鿿]", "".join(frame.columns)) else "en"
