"""Propose the settings file of an advertising task from a file of impressions."""

import os
import re
from pathlib import Path
from typing import Any

import polars as pl

from promolift.extensions.ads.results import CreativeSettings
from promolift.foundation.errors import InputError
from promolift.foundation.files.column_types import infer_types
from promolift.foundation.files.table_files import read_trial_file
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.progress import StepSummary
from promolift.foundation.settings import read_tsv
from promolift.shop.ingest.setup.extension_setup import TradeAnswers, _guess_language, _write_settings

ROLE_PATTERNS = {
    role: re.compile(pattern, re.IGNORECASE) for role, pattern in read_tsv("extensions/ads/column_names.tsv")
}


def write_ads_settings(path: Path, config: Path, given: TradeAnswers) -> StepSummary:
    """`promolift init --trade ads`."""
    frame = infer_types(read_trial_file(path)).frame
    said = given.named(path, frame, (*ROLE_PATTERNS, "audience", "picture"))
    settings: dict[str, Any] = {"path": os.path.relpath(path.resolve(), config.resolve().parent)}
    several = ("test", "audience")
    for role, pattern in ROLE_PATTERNS.items():
        fits = [name for name in frame.columns if pattern.search(name.strip())]
        numbers = [name for name in fits if frame[name].dtype.is_numeric() or frame[name].dtype == pl.Boolean]
        fits = numbers if role in ("clicked", "shown", "propensity") else fits
        if role in several:
            settings |= {role: fits} if fits else {}
        elif fits:
            settings[role] = fits[0]
    settings |= {role: name.split(",") if role in several else name for role, name in said.items()}
    if "text" in settings and "creative" not in settings:
        settings["creative"] = settings["text"]
    for role in ("creative", "clicked"):
        if role not in settings:
            message = gettext_lazy(
                "{path}: no column says the {role}; name it: --map {role}=COLUMN", path=path, role=role
            )
            raise InputError("column_missing", message)
    settings["language"] = given.language or _guess_language(frame)
    CreativeSettings.parse(settings, str(config))
    _write_settings(config, "ads", settings, "creatives", ", and set the impressions, days and cap you have")
    lines = [f"{path.name}: {gettext('{height} rows', height=f'{frame.height:,}')}"]
    lines += [f"  {role:<10} <- {name if isinstance(name, str) else ', '.join(name)}" for role, name in settings.items()
              if role in ROLE_PATTERNS or role == "audience"]  # fmt: skip
    done = gettext("written: {config}. Check it, then: promolift run", config=config)
    return StepSummary("\n".join([*lines, "", done]), {"step": "init", "trade": "ads", **settings})
