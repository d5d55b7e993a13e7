"""A fitted trial in; its page and its plan written to a folder; and the demo that goes from a file to both."""

import tomllib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from promolift.errors import ConfigError
from promolift.pages import render_page
from promolift.progress import Tell
from promolift.results.job import StepSummary
from promolift.results.trial import PlannedTables, TrialFit, TrialResults, TrialSettings
from promolift.steps import trial
from promolift.steps.trial_page import page_of
from promolift.store import Store

MANY = ("rates", "counts", "features", "ignore", "placebos", "planned")  # keys whose value is a list


def trial_settings(path: Path | None, pairs: Sequence[str]) -> TrialSettings:
    """From the [trial] part of a TOML file and from texts such as "rates=visited,bought", which win."""
    stated = {} if path is None else _read(path)
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise ConfigError(
                f"promolift effect fit: {pair!r} means nothing; write it as key=value, such as rates=visited"
            )
        head, _, group = key.partition(".")
        many = head in MANY and not (key == "planned" and value == "equal")
        parts = tuple(part.strip() for part in value.split(",")) if many else value
        if head == "planned" and group:
            before = stated.get("planned")
            stated["planned"] = (before if isinstance(before, dict) else {}) | {group: parts}
        else:
            stated[key] = parts
    return TrialSettings.parse(stated, str(path) if path and not pairs else "promolift effect fit")


def _read(path: Path) -> dict[str, object]:
    try:
        found: dict[str, object] | None = tomllib.loads(path.read_text(encoding="utf-8")).get("trial")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not readable as TOML: {error}") from None
    if found is None:
        raise ConfigError(f"{path}: no [trial] part")
    return found


def check_settings(store: Store, path: Path) -> None:
    """Whether a trial was fitted with what a TOML file says. Raises ConfigError, naming the key, where it was not."""
    stated, kept = trial_settings(path, ()), TrialFit.load(store).settings
    for name in sorted(stated.model_fields_set):
        now, then = getattr(stated, name), getattr(kept, name)
        if now != then:
            told = f"{path}: trial.{name} = {now!r}, but the trial in {store.root} was fitted with {then!r}"
            raise ConfigError(f"{told}; run `promolift effect fit` with this file first")


def write_trial(store: Store, out: Path, tell: Tell) -> StepSummary:
    """Plan if an outcome is money, then write the files; returns the plan's numbers and where the page is."""
    fitted = TrialFit.load(store)
    out.mkdir(parents=True, exist_ok=True)
    found = StepSummary("")
    if fitted.settings.money is not None and fitted.apart:
        found = trial.plan(store, tell)
        if tables := PlannedTables.load(store):
            table = tables.plan.sort("row")
            table.write_parquet(out / "plan.parquet")
            table.write_csv(out / "plan.csv", include_bom=True)
    page = out / "trial.html"
    page.write_text(render_page(page_of(TrialResults.load(store))), encoding="utf-8")
    return found.adding(f"Report: {page}", page=str(page))


def trial_demo(store: Store, path: Path, out: Path, tell: Tell) -> StepSummary:
    """From the file of the hillstrom e-mail trial to its plan and page: fit, evaluate, report."""
    settings = trial_settings(Path(str(files("promolift") / "hillstrom.toml")), ())
    fitted = trial.fit(store, path, settings, tell)
    judged = trial.evaluate(store, tell)
    written = write_trial(store, out, tell)
    return StepSummary("\n".join((fitted.text, judged.text, written.text)), written.figures)
