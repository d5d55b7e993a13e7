"""Guess the meaning of the columns of a bank's file and write commented settings (`promolift init --trade finance`)."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from promolift.extensions.finance.results import LendingSettings
from promolift.foundation.errors import InputError
from promolift.foundation.files.column_types import infer_types
from promolift.foundation.files.table_files import read_trial_file
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.progress import StepSummary
from promolift.foundation.settings import read_tsv, toml_value
from promolift.shop.ingest.setup.extension_setup import TradeAnswers, _guess_language, _write_settings
from promolift.trials.analysis.settings import value_text

# Regular expressions by role: what columns of a bank's file are called, what means yes, what is protected.
ROLE_PATTERNS = {
    role: re.compile(pattern, re.IGNORECASE) for role, pattern in read_tsv("extensions/finance/column_names.tsv")
}
OUTCOMES = ("taken", "defaulted")
SINGLE_ROLES = tuple(role for role in ROLE_PATTERNS if role not in ("yes", "protected", "age"))


@dataclass(frozen=True)
class ColumnRoleGuess:
    """A role, its column, and whether its name alone says so."""

    role: str
    column: str
    sure: bool


def write_finance_settings(path: Path, config: Path, given: TradeAnswers) -> StepSummary:
    """`promolift init --trade finance`."""
    frame = infer_types(read_trial_file(path)).frame
    said = given.named(path, frame, (*SINGLE_ROLES, "protected", "ignore"))
    guesses = guess_roles(frame, said)
    found = {guess.role: guess.column for guess in guesses}
    if "taken" not in found and "defaulted" not in found:
        raise InputError(
            "column_missing",
            gettext_lazy(
                "{path}: no column of two values says who took an offer or who defaulted; name one: --map "
                "taken=COLUMN or "
                "--map defaulted=COLUMN",
                path=path,
            ),
        )
    where = os.path.relpath(path.resolve(), config.resolve().parent)
    language = given.language or _guess_language(frame)
    currency = given.currency or ("CNY" if language == "zh" else "USD")
    settings = compose_settings(where, frame, found, said, currency.upper(), language)
    LendingSettings.parse(settings, str(config))
    _write_settings(
        config, "finance", settings, "a bank's offers", ", above all what is protected, and set your rates and losses"
    )
    return StepSummary(_shown(path, frame, guesses, settings, config), {"step": "init", "trade": "finance", **settings})


def guess_roles(frame: pl.DataFrame, said: Mapping[str, str]) -> list[ColumnRoleGuess]:
    """Which column is what: as a person says, by its name, and for the outcome, by its two values and its place."""
    found = [ColumnRoleGuess(role, column, True) for role, column in said.items() if role in SINGLE_ROLES]
    taken = {guess.column for guess in found}
    two = [column.name for column in frame if column.drop_nulls().n_unique() == 2]
    outcomes = {*OUTCOMES} & {guess.role for guess in found}
    for role in SINGLE_ROLES:
        if any(guess.role == role for guess in found):
            continue
        named = [name for name in frame.columns if name not in taken and ROLE_PATTERNS[role].search(name.strip())]
        fits = [name for name in named if _may(frame[name], role)]
        if role in OUTCOMES:
            fits = [name for name in fits if name in two]
            fits.sort(key=lambda name: name != frame.columns[-1])  # outcomes stand last, features before them
            last = fits and (fits[0] == frame.columns[-1] or frame.columns[-1] not in two)
            if role == "defaulted" and fits and not last and not frame[fits[0]].null_count():
                continue  # who defaulted before is a feature where what came of the offer stands last
        if fits:
            found.append(ColumnRoleGuess(role, fits[0], True))
            taken.add(fits[0])
            outcomes |= {role} & {*OUTCOMES}
    if not outcomes and two:
        found.append(ColumnRoleGuess("taken", frame.columns[-1] if frame.columns[-1] in two else two[-1], False))
    if not any(guess.role == "defaulted" for guess in found):  # without it no loan can be judged
        found = [guess for guess in found if guess.role not in ("amount", "months", "rate")]
    return found


def _may(column: pl.Series, role: str) -> bool:
    if role == "customer":
        return column.n_unique() == len(column)
    if role == "period":
        return column.dtype.is_temporal() or int(column.rle_id().max() or 0) < len(column) / 5  # type: ignore[arg-type]
    if role == "months" and column.dtype == pl.String:
        return bool(column.drop_nulls().str.contains(r"^\D*\d+\D*$").all())
    return role in OUTCOMES or column.dtype.is_numeric()


def compose_settings(
    where: str, frame: pl.DataFrame, found: Mapping[str, str], said: Mapping[str, str], currency: str, language: str
) -> dict[str, Any]:
    """The settings that fit: a menu in round numbers, what is protected, packs of the language."""
    settings: dict[str, Any] = {"path": where, "currency": currency, "language": language, **found}
    for role in OUTCOMES:
        if role in found:
            settings[f"{role}_yes"] = _yes_of(frame[found[role]])
    named = said["protected"].split(",") if "protected" in said else [
        name for name in frame.columns if ROLE_PATTERNS["protected"].search(name) and name not in found.values()
    ]  # fmt: skip
    settings["protected"] = named
    if "ignore" in said:
        settings["ignore"] = said["ignore"].split(",")
    settings["packs"] = ["credit_cn" if language == "zh" else "credit_eu"] if "amount" in found else []
    settings["exclude"] = [
        {"name": f"{name}-under-18", "where": f'"{name}" < 18', "why": "vulnerable"}
        for name in _ages(named) if _are_years(frame[name]) and (frame[name] < 18).any()
    ]  # fmt: skip
    if "amount" in found:
        settings["band"] = 0.1
        rates = [0.08, 0.12] if "rate" not in found else [None]
        settings["terms"] = [
            {"id": "own-rate" if rate is None else f"rate-{rate * 100:.0f}"} | ({} if rate is None else {"rate": rate})
            for rate in rates
        ]
    else:
        settings["contact_cents"] = 500
        settings["terms"] = [{"id": "offer", "margin_cents": 5000}]
    return settings


def _ages(names: Sequence[str]) -> list[str]:
    return [name for name in names if ROLE_PATTERNS["age"].search(name)]


def _are_years(column: pl.Series) -> bool:
    """Whether ages are in years, as adults' mostly are, and no codes of age bands such as 1 to 5."""
    return column.dtype.is_numeric() and float((column >= 18).mean() or 0) > 0.5  # type: ignore[arg-type]


def _yes_of(column: pl.Series) -> str:
    """The value that means yes: by its word, else the rarer one."""
    counts = column.drop_nulls().value_counts().sort(["count", column.name])
    values = [str(value_text(value)) for value in counts[column.name]]
    return next((value for value in values if ROLE_PATTERNS["yes"].match(value)), values[0])


def _shown(
    path: Path, frame: pl.DataFrame, guesses: list[ColumnRoleGuess], settings: Mapping[str, Any], config: Path
) -> str:
    lines = [f"{path.name}: {gettext('{height} rows', height=f'{frame.height:,}')}"]
    for guess in guesses:
        values = ", ".join(map(str, frame[guess.column].drop_nulls().unique(maintain_order=True)[:3].to_list()))
        doubt = "" if guess.sure else gettext("  NOT SURE")
        yes = settings.get(f"{guess.role}_yes")
        yes_text = gettext("; yes = {value}", value=repr(yes)) if yes else ""
        lines.append(f"  {guess.role:<10} <- {guess.column}  ({values}){yes_text}{doubt}")
    named = ", ".join(settings["protected"]) or gettext("none found")
    lines.append(f"  {'protected':<10} <- {named}  {gettext('no model sees these')}")
    coded = [name for name in _ages(settings["protected"]) if not _are_years(frame[name])]
    if coded:
        columns = ", ".join(map(repr, coded))
        lines.append(
            "  "
            + gettext(
                "{columns}: no ages in years, so no rule protects customers under 18; add one to exclude if needed",
                columns=columns,
            )
        )
    terms = "; ".join(toml_value(each) for each in settings["terms"])
    lines.append(f"  {'terms':<10} =  {terms}  {gettext('PLEASE SET YOURS')}")
    lines.append(gettext("\nwritten: {config}. Check it, then: promolift run", config=config))
    return "\n".join(lines)
