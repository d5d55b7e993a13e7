"""Commands of the group `effect`: what a discount adds, read from a shop's past or from a trial."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promolift.cli.command_line import OptionalPath, OptionalStrings, load_settings, option, run_steps
from promolift.foundation.lazy_imports import LazyModule
from promolift.foundation.progress import Progress, show_progress

if TYPE_CHECKING:
    from promolift.foundation.progress import StepSummary
    from promolift.foundation.storage import local_store as stores
    from promolift.foundation.storage.local_store import Store
    from promolift.trials import work_folder as trials
else:
    stores, trials = LazyModule("promolift.foundation.storage.local_store"), LazyModule("promolift.trials.work_folder")


def effect(context: typer.Context, config: Path, work: Path, again: bool) -> "StepSummary | None":
    """Read what a discount adds, and how likely a coupon is redeemed, from the past; or, by its verbs, from a trial."""
    if context.invoked_subcommand is not None:
        return None
    return run_steps(load_settings(config), work, ["effect"], None, again)


def fit(
    file: Annotated[Path, typer.Argument(help="The trial: CSV, TSV or Parquet, one row per customer.")],
    trial: OptionalPath,
    folder: Path,
    meaning: Annotated[
        OptionalStrings,
        typer.Argument(help="What columns mean, such as treatment=letter control=none rates=visited planned=equal."),
    ] = None,
    settings: Annotated[OptionalPath, option("The former name of --config.", hidden=True)] = None,
) -> "StepSummary":
    """Check a trial and estimate what each treatment adds, on average and for each customer."""
    chosen = trials.trial_settings(trial or settings, meaning or [])
    return on_trial(folder, lambda store, tell: trials.fit(store, file, chosen, tell))


def evaluate_trial(trial: OptionalPath, folder: Path) -> "StepSummary":
    """Judge the effects of a fitted trial on customers the models did not see."""
    return on_trial(folder, trials.evaluate, trial)


def explain_trial(trial: OptionalPath, folder: Path) -> "StepSummary":
    """Say in words what was found and by which rule."""
    return on_trial(folder, trials.explain, trial)


def report_trial(
    trial: OptionalPath, folder: Path,
    to: Annotated[Path, option("Folder for the plan and the report.", "--out", "-o")] = Path("trial-report"),
) -> "StepSummary":  # fmt: skip
    """Plan within the budget where an outcome is money; write trial.html, and plan.parquet and plan.csv if planned."""
    return on_trial(folder, lambda store, tell: trials.report(store, to, tell), trial)


def on_trial(
    folder: Path, do: Callable[["Store", Progress], "StepSummary"], config: OptionalPath = None
) -> "StepSummary":
    """Call `do` with the work folder of a trial and show progress; `config` must be what the trial was fitted with."""
    with stores.Store(folder) as store, show_progress() as tell:
        if config is not None:
            trials.check_settings(store, config)
        return do(store, tell)
