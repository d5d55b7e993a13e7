"""Commands for trials (`promolift effect ...`): read settings, and store results in a work folder between commands."""

import tomllib
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from promolift.foundation.errors import ConfigError, SupportError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy, render_message
from promolift.foundation.lazy_imports import LazyModule
from promolift.foundation.progress import Progress, StepSummary
from promolift.foundation.storage.local_store import Store
from promolift.trials.analysis.results import TrialEffects, TrialEvaluation, TrialFit, TrialPlan, TrialResults
from promolift.trials.analysis.settings import TrialSettings

if TYPE_CHECKING:
    from promolift.core.effects.uplift import uplift_model as core
    from promolift.trials import trial as front
    from promolift.trials.trial import FittedTrial
else:  # a verb that is refused waits for no model
    core, front = LazyModule("promolift.core.effects.uplift.uplift_model"), LazyModule("promolift.trials.trial")

LIST_KEYS = ("rates", "counts", "features", "ignore", "placebos", "planned")  # keys whose value is a list
GROUPED_KEYS = (
    "planned",
    "cost",
)  # keys that may say something for each group or arm: planned.gold=0.2,0.8 cost.letter=0.5


def trial_settings(path: Path | None, pairs: Sequence[str]) -> TrialSettings:
    """Return settings from the [trial] table of a TOML file and from texts such as "rates=visited,bought", which take
    precedence.
    """
    stated = {} if path is None else _read(path)
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise ConfigError(
                "option_invalid",
                gettext_lazy(
                    "promolift effect fit: {pair} means nothing; write it as key=value, such as rates=visited",
                    pair=repr(pair),
                ),
            )
        head, _, group = key.partition(".")
        many = head in LIST_KEYS and not (key == "planned" and value == "equal")
        parts = tuple(part.strip() for part in value.split(",")) if many else value
        if head in GROUPED_KEYS and group:
            before = stated.get(head)
            stated[head] = (before if isinstance(before, dict) else {}) | {group: parts}
        else:
            stated[key] = parts
    return TrialSettings.parse(stated, str(path) if path and not pairs else "promolift effect fit")


def _read(path: Path) -> dict[str, object]:
    try:
        found: dict[str, object] | None = tomllib.loads(path.read_text(encoding="utf-8")).get("trial")
    except FileNotFoundError:
        raise ConfigError("file_not_found", gettext_lazy("{path}: no such file", path=path)) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            "file_unreadable", gettext_lazy("{path}: not readable as TOML: {error}", path=path, error=error)
        ) from None
    if found is None:
        raise ConfigError("setting_missing", gettext_lazy("{path}: no [trial] part", path=path))
    return found


def check_settings(store: Store, path: Path) -> None:
    """Check that the stored trial was fitted with the settings of a TOML file. Raises ConfigError naming a key that
    differs.
    """
    stated, kept = trial_settings(path, ()), TrialFit.load(store).settings
    for name in sorted(stated.model_fields_set):
        now, then = getattr(stated, name), getattr(kept, name)
        if now != then:
            text = gettext_lazy(
                "{path}: trial.{name} = {now}, but the trial in {root} was fitted with {then}",
                path=path,
                name=name,
                now=repr(now),
                root=store.root,
                then=repr(then),
            )
            raise ConfigError(
                "result_outdated", gettext_lazy("{text}; run `promolift effect fit` with this file first", text=text)
            )


def save_trial(store: Store, fitted: "FittedTrial") -> "FittedTrial":
    """Store a fitted trial in a work folder, in place of an earlier one."""
    for name, model in fitted.models.items():
        store.save_model(f"effect_{name}", *model.to_parts())
    fitted.estimates.keep(store)
    return fitted


def load_trial(store: Store, tell: Progress) -> "FittedTrial":
    """Load the fitted trial of a work folder; its file is read when rows are needed. Raises StepError if nothing was
    fitted.
    """
    found = TrialEffects.load(store)
    named = found.note.settings.modelled_outcomes if found.note.apart else ()
    models = {name: core.EffectModel.from_parts(*store.load_model(f"effect_{name}")) for name in named}
    return front.FittedTrial(
        found, models, lambda: front.Trial.from_settings(Path(found.note.path), found.note.settings, tell)
    )


def fit(store: Store, path: Path, settings: TrialSettings, tell: Progress) -> StepSummary:
    """Run `promolift effect fit`."""
    tell("effect", 0.0, gettext_lazy("who got what"))
    return fitted_summary(save_trial(store, front.Trial.from_settings(path, settings, tell).fit()))


def fitted_summary(fitted: "FittedTrial") -> StepSummary:
    """Return the summary of a fit."""
    return StepSummary(str(fitted), fitted.note.model_dump(mode="json"))


def evaluate(store: Store, tell: Progress) -> StepSummary:
    """Run `promolift effect evaluate`."""
    return evaluation_summary(load_trial(store, tell).evaluate().keep(store))


def evaluation_summary(found: TrialEvaluation) -> StepSummary:
    """Return the summary of an evaluation."""
    tables = {name: getattr(found, name).to_dicts() for name in ("qini", "policies", "calibration")}
    return StepSummary(str(found), tables | found.note.model_dump(mode="json", exclude={"settings"}))


def explain(store: Store, tell: Progress) -> StepSummary:
    """Run `promolift effect explain`."""
    fitted = load_trial(store, tell)
    return StepSummary(fitted.explain(), {"outcomes": list(fitted.note.settings.modelled_outcomes)})


def report(store: Store, out: Path, tell: Progress) -> StepSummary:
    """Run `promolift effect report`: plan if an outcome is money; return the plan's numbers and the page's path."""
    return write(store, load_trial(store, tell), out)


def write(store: Store, fitted: "FittedTrial", out: Path, budget: float | None = None) -> StepSummary:
    """Write the plan, if an outcome is money, and the page of all results of the work folder, into a folder.

    Within a `budget` in money of the trial; left out: that of the settings, if any.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = plan_summary(fitted.plan(budget).keep(store), out) if fitted.can_plan else StepSummary("")
    page = front.write_page(TrialResults.load(store), out / "trial.html")
    return found.with_line(gettext("Report: {page}", page=page), page=str(page))


def plan_summary(plan: TrialPlan, out: Path) -> StepSummary:
    """Write plan.parquet and plan.csv into a folder, and return the summary of the plan."""
    plan.frame.write_parquet(out / "plan.parquet")
    plan.frame.write_csv(out / "plan.csv", include_bom=True)
    return StepSummary(plan.note.describe(), plan.note.model_dump(mode="json"))


def demo(store: Store, path: Path, out: Path, tell: Progress) -> StepSummary:
    """Run the demo: fit, evaluate and report the trial of the Hillstrom e-mail file."""
    return run_trial(
        store, path, trial_settings(Path(str(files("promolift") / "trials/hillstrom.toml")), ()), out, tell
    )


def run_trial(store: Store, path: Path, settings: TrialSettings, out: Path, tell: Progress) -> StepSummary:
    """Fit, evaluate and report a file. Without customer features there is no evaluation."""
    tell("effect", 0.0, gettext_lazy("who got what"))
    fitted = save_trial(store, front.Trial.from_settings(path, settings, tell).fit())
    texts = [fitted_summary(fitted).text]
    if fitted.note.apart:
        with suppress(SupportError):  # too few of an arm are left to judge on: the page says so
            texts.append(evaluation_summary(fitted.evaluate().keep(store)).text)
    written = write(store, fitted, out)
    return StepSummary("\n".join(map(render_message, (*texts, written.text))), written.figures)
