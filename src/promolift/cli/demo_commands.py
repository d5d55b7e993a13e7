"""The command `demo`: the whole pipeline on real data, and a server of its result."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from promolift.cli.command_line import OptionalPath, load_settings, option, print_summary, with_language
from promolift.cli.pipeline_commands import run_all_steps
from promolift.cli.trial_commands import on_trial
from promolift.foundation.errors import ConfigError
from promolift.foundation.extension import load_reference, registered
from promolift.foundation.i18n.lazy_message import gettext_lazy

if TYPE_CHECKING:
    from promolift.foundation.progress import StepSummary
    from promolift.shop.configuration.configuration import Config


def demo(
    json_: bool,
    again: bool,
    language: str | None,
    data: Annotated[str, option("groceries (inside the package), or hillstrom: see --path.")] = "groceries",
    path: Annotated[OptionalPath, option("The file of the hillstrom e-mail trial (hillstrom.csv).")] = None,
    own: Annotated[OptionalPath, option("Settings in place of the demo's own.", "--config", "-c")] = None,
    at: Annotated[Path, option("Folder for tables between the steps.", "--work")] = Path(".promolift/demo"),
    to: Annotated[Path, option("Folder for the plan and the report.", "--out", "-o")] = Path("demo-report"),
    serve: Annotated[bool, option("Answer over HTTP afterwards, on port 8080.", "--serve")] = False,
) -> "StepSummary | None":
    """The main job on a year of real groceries: 2,469 households, 1.5 million purchases, 27 campaigns."""
    if data == "hillstrom" and own is None:
        if (path := path or Path("hillstrom.csv")) and not path.exists():
            raise ConfigError(
                "file_not_found",
                gettext_lazy(
                    "demo: no file {path}; get Kevin Hillstrom's e-mail campaign (64,000 rows, CSV; "
                    "docs/trials.md) and name it by --path",
                    path=path,
                ),
            )
        from promolift.trials import work_folder

        return on_trial(at.with_name("hillstrom"), lambda store, tell: work_folder.demo(store, path, to, tell))
    if data != "groceries" or path is not None:
        why = gettext_lazy("give `--data hillstrom` without --config, or neither --data nor --path for the groceries")
        raise ConfigError("option_conflict", gettext_lazy("demo: --data {data}; {why}", data=data, why=why))
    from promolift.shop.pipeline.pipeline import demo_config

    settings = with_language(load_settings(own) if own else demo_config(), language)
    if not own:  # texts that a person approves in the demo are no shop's
        message = settings.message.model_copy(update={"pool": str(at / "words.jsonl")})
        settings = settings.model_copy(update={"message": message})
    built = built_demo(settings, at, to) if serve and not (again or language) else None
    summary = built or run_all_steps(settings, at, to, again)
    if not serve:
        return summary
    from promolift.server import startup as server_main

    print_summary(summary, json_)
    task = registered("tasks").get("demo")

    def dress(made: Any) -> Any:
        from promolift.server.console.console_app import with_console

        return with_console(made, demo=True, file=own, play=load_reference(task) if task else None)

    server_main.serve_planned(settings, at, json_, dress)
    return None


def built_demo(settings: "Config", at: Path, to: Path) -> "StepSummary | None":
    """Return the summary of a demo whose plan and report were made before from the same inputs; None without one."""
    from promolift.foundation.i18n.formatting import use_locale
    from promolift.foundation.storage.local_store import Store
    from promolift.shop.pipeline.pipeline import finished_summary
    from promolift.shop.results.work_folder.run_context import Job

    if not (at / "steps.json").is_file() or not (to / "report.html").is_file():
        return None
    with use_locale(settings.report_language), Store(at) as store:
        return finished_summary(Job(settings, store, lambda *_: None, to))
