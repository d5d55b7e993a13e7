"""The commands `transcribe` and `bundles`: recordings to text, and products that are bought together or look alike."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from promolift.cli.command_line import CommandLine, load_settings, option, run_steps
from promolift.foundation.progress import show_progress

if TYPE_CHECKING:
    from promolift.foundation.progress import StepSummary


def transcribe(config: Path, work: Path) -> "StepSummary":
    """Turn the recordings that the file of customers' words names into text, which the next ingest reads."""
    from promolift.extensions.media.transcription import transcribe as transcribe_all
    from promolift.foundation.storage.local_store import Store
    from promolift.shop.results.work_folder.run_context import Job

    with Store(work) as store, show_progress() as tell:
        return transcribe_all(Job(load_settings(config), store, tell))


def bundles(
    config: Path, work: Path, language: str | None,
    most: Annotated[int, option("Pairs of each kind.", "--most")] = 5,
) -> "StepSummary":  # fmt: skip
    """Products bought together, or alike to the eye, as menu lines to paste: one price for both."""
    settings = load_settings(config, language)
    run_steps(settings, work, ["ingest"])
    from promolift.extensions.media import bundles as step
    from promolift.foundation.i18n.formatting import use_locale
    from promolift.foundation.storage.local_store import Store
    from promolift.shop.results.work_folder.run_context import Job

    with Store(work) as store, show_progress() as tell, use_locale(settings.report_language):
        return step.suggest_bundles(Job(settings, store, tell), most)


def add_commands(command_line: CommandLine) -> None:
    """Add the commands of this extension."""
    command_line.add(transcribe, after="ingest")
    command_line.add(bundles, after="fairness")
