"""A fitted trial in; its page and its plan written to a folder; and the demo that goes from a file to both."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from promolift.errors import ConfigError
from promolift.report import render_page
from promolift.steps import trial
from promolift.steps.job import Tell
from promolift.steps.trial_page import page_of
from promolift.store import Store


def trial_settings(path: Path | None, stated: dict[str, Any]) -> trial.TrialSettings:
    """From the [trial] part of a TOML file, or from stated values; shares may be a text such as "0.5,0.5"."""
    if path is not None:
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8")).get("trial")
        except FileNotFoundError:
            raise ConfigError(f"{path}: no such file") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: not readable as TOML: {error}") from None
        if found is None:
            raise ConfigError(f"{path}: no [trial] part")
        return trial.TrialSettings.parse(found, str(path))
    for name in ("treatment", "control"):
        if not stated.get(name):
            raise ConfigError(f"promolift effect fit: --{name} is missing, or give --settings FILE")
    planned = stated.get("planned")
    if isinstance(planned, str) and planned != "equal":
        try:
            stated = stated | {"planned": tuple(float(part) for part in planned.split(","))}
        except ValueError:
            raise ConfigError(f"--planned {planned}: give `equal` or shares such as 0.5,0.25,0.25") from None
    return trial.TrialSettings.parse(stated, "promolift effect fit")


def write_trial(store: Store, out: Path, tell: Tell) -> dict[str, Any]:
    """Plan if an outcome is money, then write the files; returns the plan's numbers and where the page is."""
    settings = trial.TrialSettings.parse(store.load_json("trial")["settings"], "trial")
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"text": ""}
    if settings.money is not None:
        found = trial.plan(store, tell)
        table = store.frame("trial_plan").sort("row")
        table.write_parquet(out / "plan.parquet")
        table.write_csv(out / "plan.csv", include_bom=True)
    page = out / "trial.html"
    page.write_text(render_page(page_of(store, settings)), encoding="utf-8")
    return found | {"page": str(page), "text": f"{found['text']}\nReport: {page}".strip()}


def trial_demo(store: Store, path: Path, out: Path, tell: Tell) -> dict[str, Any]:
    """From the file of the hillstrom e-mail trial to its plan and page: fit, evaluate, report."""
    settings = trial_settings(Path(str(files("promolift") / "hillstrom.toml")), {})
    fitted = trial.fit(store, path, settings, tell)
    judged = trial.evaluate(store, tell)
    written = write_trial(store, out, tell)
    return written | {"text": "\n".join((fitted["text"], judged["text"], written["text"]))}
