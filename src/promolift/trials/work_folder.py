"""The command line's side of trials: settings from files and words, a work folder between the verbs, files written."""

import tomllib
from collections.abc import Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from promolift.foundation.errors import ConfigError, SupportError
from promolift.foundation.lazy_imports import Later
from promolift.foundation.progress import StepSummary, Tell
from promolift.foundation.storage.local_store import Store
from promolift.trials.analysis.results import TrialEffects, TrialFit, TrialJudgement, TrialPlan, TrialResults
from promolift.trials.analysis.settings import TrialSettings

if TYPE_CHECKING:
    from promolift.core.effects.uplift import uplift_model as core
    from promolift.trials import trial as front
    from promolift.trials.trial import Fitted
else:  # a verb that is refused waits for no model
    core, front = Later("promolift.core.effects.uplift.uplift_model"), Later("promolift.trials.trial")

MANY = ("rates", "counts", "features", "ignore", "placebos", "planned")  # keys whose value is a list
GROUPED = ("planned", "cost")  # keys that may say something for each group or arm: planned.gold=0.2,0.8 cost.letter=0.5


def trial_settings(path: Path | None, pairs: Sequence[str]) -> TrialSettings:
    """From the [trial] part of a TOML file and from texts such as "rates=visited,bought", which win."""
    stated = {} if path is None else _read(path)
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise ConfigError(
                "option_invalid",
                f"promolift effect fit: {pair!r} means nothing; write it as key=value, such as rates=visited",
            )
        head, _, group = key.partition(".")
        many = head in MANY and not (key == "planned" and value == "equal")
        parts = tuple(part.strip() for part in value.split(",")) if many else value
        if head in GROUPED and group:
            before = stated.get(head)
            stated[head] = (before if isinstance(before, dict) else {}) | {group: parts}
        else:
            stated[key] = parts
    return TrialSettings.parse(stated, str(path) if path and not pairs else "promolift effect fit")


def _read(path: Path) -> dict[str, object]:
    try:
        found: dict[str, object] | None = tomllib.loads(path.read_text(encoding="utf-8")).get("trial")
    except FileNotFoundError:
        raise ConfigError("file_not_found", f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("file_unreadable", f"{path}: not readable as TOML: {error}") from None
    if found is None:
        raise ConfigError("setting_missing", f"{path}: no [trial] part")
    return found


def check_settings(store: Store, path: Path) -> None:
    """Whether a trial was fitted with what a TOML file says. Raises ConfigError, naming the key, where it was not."""
    stated, kept = trial_settings(path, ()), TrialFit.load(store).settings
    for name in sorted(stated.model_fields_set):
        now, then = getattr(stated, name), getattr(kept, name)
        if now != then:
            text = f"{path}: trial.{name} = {now!r}, but the trial in {store.root} was fitted with {then!r}"
            raise ConfigError("result_outdated", f"{text}; run `promolift effect fit` with this file first")


def keep(store: Store, fitted: "Fitted") -> "Fitted":
    """Write a fitted trial of a file into a work folder, in place of an earlier one."""
    for name, model in fitted.models.items():
        store.save_model(f"effect_{name}", *model.to_parts())
    fitted.found.keep(store)
    return fitted


def load(store: Store, tell: Tell) -> "Fitted":
    """The fitted trial of a work folder; its file is read when rows are needed. StepError if nothing was fitted."""
    found = TrialEffects.load(store)
    named = found.note.settings.modelled if found.note.apart else ()
    models = {name: core.EffectModel.from_parts(*store.load_model(f"effect_{name}")) for name in named}
    return front.Fitted(found, models, lambda: front.Trial.of(Path(found.note.path), found.note.settings, tell))


def fit(store: Store, path: Path, settings: TrialSettings, tell: Tell) -> StepSummary:
    """`promolift effect fit`."""
    tell("effect", 0.0, "who got what")
    return fitted_summary(keep(store, front.Trial.of(path, settings, tell).fit()))


def fitted_summary(fitted: "Fitted") -> StepSummary:
    """What was fitted."""
    return StepSummary(str(fitted), fitted.note.model_dump(mode="json"))


def evaluate(store: Store, tell: Tell) -> StepSummary:
    """`promolift effect evaluate`."""
    return judged_summary(load(store, tell).evaluate().keep(store))


def judged_summary(found: TrialJudgement) -> StepSummary:
    """What the judgement found."""
    tables = {name: getattr(found, name).to_dicts() for name in ("qini", "policies", "calibration")}
    return StepSummary(str(found), tables | found.note.model_dump(mode="json", exclude={"settings"}))


def explain(store: Store, tell: Tell) -> StepSummary:
    """`promolift effect explain`."""
    fitted = load(store, tell)
    return StepSummary(fitted.explain(), {"outcomes": list(fitted.note.settings.modelled)})


def report(store: Store, out: Path, tell: Tell) -> StepSummary:
    """`promolift effect report`: plan if an outcome is money; the plan's numbers, and where the page is."""
    return write(store, load(store, tell), out)


def write(store: Store, fitted: "Fitted", out: Path, budget: float | None = None) -> StepSummary:
    """The plan, if an outcome is money, and the page of all that the work folder holds, into a folder.

    Within a `budget` in money of the trial; left out: that of the settings, if any.
    """
    out.mkdir(parents=True, exist_ok=True)
    found = planned_summary(fitted.plan(budget).keep(store), out) if fitted.plans else StepSummary("")
    page = front.write_page(TrialResults.load(store), out / "trial.html")
    return found.adding(f"Report: {page}", page=str(page))


def planned_summary(plan: TrialPlan, out: Path) -> StepSummary:
    """What is planned; plan.parquet and plan.csv written into a folder."""
    plan.frame.write_parquet(out / "plan.parquet")
    plan.frame.write_csv(out / "plan.csv", include_bom=True)
    return StepSummary(plan.note.explain, plan.note.model_dump(mode="json"))


def demo(store: Store, path: Path, out: Path, tell: Tell) -> StepSummary:
    """From the file of the hillstrom e-mail trial to its plan and page: fit, evaluate, report."""
    return whole(store, path, trial_settings(Path(str(files("promolift") / "trials/hillstrom.toml")), ()), out, tell)


def whole(store: Store, path: Path, settings: TrialSettings, out: Path, tell: Tell) -> StepSummary:
    """From a file to its plan and page: fit, evaluate, report. Who cannot be told apart is not judged on others."""
    tell("effect", 0.0, "who got what")
    fitted = keep(store, front.Trial.of(path, settings, tell).fit())
    texts = [fitted_summary(fitted).text]
    if fitted.note.apart:
        with suppress(SupportError):  # too few of an arm are left to judge on: the page says so
            texts.append(judged_summary(fitted.evaluate().keep(store)).text)
    written = write(store, fitted, out)
    return StepSummary("\n".join((*texts, written.text)), written.figures)
