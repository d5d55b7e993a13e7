"""Stated settings in; loop.html, loop.json and days.parquet of a simulated closed loop written out."""

import tomllib
from collections.abc import Mapping
from pathlib import Path

from promolift.errors import ConfigError
from promolift.progress import Tell
from promolift.results.job import StepSummary
from promolift.results.loop import LoopSettings

DEFAULTS = {"customers": 4000}  # more than a test needs: the page has intervals to show


def run_simulation(stated: Mapping[str, float | None], out: Path, tell: Tell, file: Path | None = None) -> StepSummary:
    """Run the loop and write its files to `out`. Raises ConfigError for impossible settings.

    What is `stated` (None: nothing) goes before the [simulate] part of a TOML `file`.
    """
    given = {key: value for key, value in stated.items() if value is not None}
    settings = LoopSettings.parse(DEFAULTS | _part(file) | given, str(file or "promolift simulate"))
    from promolift.pages import render_page  # not before: wrong settings are refused at once
    from promolift.pages.loop import page_of
    from promolift.steps.loop import run_loop
    from promolift.steps.loop_numbers import day_table, numbers

    loop = run_loop(settings, lambda share, note: tell("simulate", share, note))
    found = numbers(loop)
    summary = found.summary()
    out.mkdir(parents=True, exist_ok=True)
    day_table(loop).write_parquet(out / "days.parquet")
    (out / "loop.json").write_text(summary.to_json(), encoding="utf-8")
    (out / "loop.html").write_text(render_page(page_of(found)), encoding="utf-8")
    return summary.adding(f"Report: {out / 'loop.html'}")


def _part(file: Path | None) -> dict[str, object]:
    if file is None:
        return {}
    try:
        return dict(tomllib.loads(file.read_text(encoding="utf-8"))["simulate"])
    except KeyError:
        raise ConfigError(f"{file}: no [simulate] part") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: not readable as TOML: {error}") from None
