"""What all commands share: options, the language of their output, errors, and how commands are added.

A command is a function with annotated options. It takes the parameters of `SHARED_PARAMETERS` by name and returns a
`StepSummary`, which is printed as text, or as JSON with `--json`. Commands import what they need when they are called:
`--help` and most refusals are answered before any library of the models is loaded.
"""

import signal
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from promolift.foundation.errors import ConfigError, PromoError
from promolift.foundation.i18n.catalogue import gettext, use_locale
from promolift.foundation.i18n.lazy_message import gettext_lazy, render_message
from promolift.foundation.lazy_imports import LazyModule
from promolift.foundation.progress import show_progress

if TYPE_CHECKING:
    from promolift.foundation.i18n.formatting import Locale
    from promolift.foundation.progress import StepSummary
    from promolift.shop.configuration import configuration as shop_settings
    from promolift.shop.configuration.configuration import Config
    from promolift.shop.pipeline import shop
else:
    shop_settings = LazyModule("promolift.shop.configuration.configuration")
    shop = LazyModule("promolift.shop.pipeline.shop")

INTERRUPTED = gettext_lazy("interrupted; finished steps are kept, run the same command again to go on")


class CommandGroup(TyperGroup):
    """All commands. Ctrl-C and SIGTERM end each of them with one line and exit code 130, and remove temporary files."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return super().invoke(ctx)
        except BaseException as error:
            if not _is_interruption(error):
                raise
            with use_locale(_LOCALE.get()):
                print_line(render_message(INTERRUPTED))
            raise SystemExit(130) from None


def _is_interruption(error: BaseException | None) -> bool:
    """Return whether Ctrl-C caused the error: DuckDB raises a RuntimeError instead, and cleaning up may fail then."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt) or str(error).lower().startswith(
            ("query interrupted", "interrupt error")
        ):
            return True
        error = error.__cause__ or error.__context__
    return False


def new_group(**more: Any) -> typer.Typer:
    """Return an empty group of commands whose help is plain text."""
    return typer.Typer(rich_markup_mode=None, **more)


def option(text: str, *names: str, **more: Any) -> Any:
    """Return an option with its help text."""
    return typer.Option(*names, help=text, **more)


def settings_option(part: str) -> Any:
    """Return the option `--config` for a settings file other than a shop's."""
    return option(part, "--config", "-c")


OptionalPath = Path | None
OptionalStrings = list[str] | None
# Parameters that mean the same in every command: annotation and default by name.
SHARED_PARAMETERS: dict[str, tuple[Any, Any]] = {
    "config": (Annotated[Path, option("The shop's settings.", "--config", "-c")], Path("promolift.toml")),
    "trial": (Annotated[OptionalPath, settings_option("TOML file with a [trial] part.")], None),
    "server": (Annotated[OptionalPath, settings_option("The server's own settings, a TOML file.")], None),
    "work": (Annotated[Path, option("Folder for tables between the steps.", "--work")], Path(".promolift")),
    "folder": (Annotated[Path, option("Folder of this trial.", "--work")], Path(".promolift/trial")),
    "out": (Annotated[Path, option("Folder for the plan and the report.", "--out", "-o")], Path("promolift-report")),
    "learned": (
        Annotated[Path, option("Folder of the verdict and the proposal.", "--out", "-o")],
        Path("learn-report"),
    ),
    "language": (Annotated[str | None, option("Language of the report: zh or en; default: the shop's.")], None),
    "again": (Annotated[bool, option("Do the step again even if nothing changed.", "--again")], False),
    "json_": (Annotated[bool, option("Print a JSON summary on stdout.", "--json")], False),
}
DEFAULT_CONFIG = SHARED_PARAMETERS["config"][1]
Command = Callable[..., "StepSummary | None"]


def make_command(function: Command) -> Callable[..., None]:
    """Return what Typer calls: the function with its shared parameters and `--json`, whose summary is printed."""
    own = signature(function).parameters

    @wraps(function)
    def run(**given: Any) -> None:
        as_json = given["json_"] if "json_" in own else given.pop("json_")
        _LOCALE.set(output_locale(given.get("language"), given.get("config")))
        with use_locale(_LOCALE.get()):
            summary = function(**given)
            if summary is not None:
                print_summary(summary, as_json)

    parameters = {name: each.replace(kind=Parameter.KEYWORD_ONLY) for name, each in own.items()}
    parameters.setdefault("json_", Parameter("json_", Parameter.KEYWORD_ONLY))
    for name in parameters.keys() & SHARED_PARAMETERS.keys():
        annotation, default = SHARED_PARAMETERS[name]
        parameters[name] = parameters[name].replace(annotation=annotation, default=default)
    run.__signature__ = Signature([*parameters.values()])  # type: ignore[attr-defined]
    run.__annotations__ = {name: each.annotation for name, each in parameters.items()}
    return run


_LOCALE: "ContextVar[Locale]" = ContextVar("locale", default="en")  # language of the output of the running command


def output_locale(stated: str | None, config: Path | None) -> "Locale":
    """Return the language of the output: as stated, else the report's in promolift.toml, else English."""
    if stated is None and config is not None and config.is_file():
        try:
            return shop_settings.load_config(config).report_language
        except PromoError:
            return "en"  # the command itself reports what is wrong with the file
    return "zh" if stated == "zh" else "en"


def run_steps(
    config: "Config", folder: Path, steps: list[str], out: Path | None = None, again: bool = False
) -> "StepSummary":
    """Run the named steps on a work folder in the report's language; return the summary of the last step."""
    with (
        use_locale(config.report_language),
        show_progress() as tell,
        shop.Shop.of(config, folder, tell) as mine,
    ):
        return mine.step(*steps, out=out, again=again)


def print_line(text: str) -> None:
    """Print text on stderr."""
    print(text, file=sys.stderr)


def print_error(error: PromoError) -> None:
    """Print an error on one line of stderr, in the language of the command."""
    with use_locale(_LOCALE.get()):
        message = gettext("error: {message}", message=render_message(error.message))
    print_line(f"{message} [{error.code}]")


def print_summary(summary: "StepSummary", as_json: bool) -> None:
    """Print the figures of a summary as JSON on stdout, or its text on stderr."""
    if as_json:
        print(summary.to_json())
    else:
        print_line(render_message(summary.text))


def load_settings(path: Path, language: str | None = None) -> "Config":
    """Load promolift.toml, with the language of the report replaced if one is given."""
    return with_language(shop_settings.load_config(path), language)


def with_language(config: "Config", language: str | None) -> "Config":
    """Return the settings with the language of the report replaced if one is given."""
    return config if language is None else config.with_report_language(language)


class CommandLine:
    """Commands and groups of commands, in the order in which `promolift --help` lists them."""

    def __init__(self) -> None:
        """Without any command."""
        self.app = new_group(cls=CommandGroup, no_args_is_help=True, pretty_exceptions_enable=False)
        self.groups: dict[str, typer.Typer] = {}

    def add(
        self, function: Command, name: str | None = None, group: str | None = None, after: str | None = None
    ) -> None:
        """Add a command, to a group if one is named, and directly after another command if one is named.

        Raises ConfigError if a command of that name exists.
        """
        app = self.app if group is None else self.groups[group]
        name = name or function.__name__.replace("_", "-")
        names = [each.name for each in app.registered_commands]
        if name in (*names, *(self.groups if group is None else ())):
            raise ConfigError(
                "extension_conflict",
                gettext_lazy(
                    "{module} registers the command {name}, which exists; uninstall this extension",
                    module=function.__module__,
                    name=repr(name),
                ),
            )
        app.command(name)(make_command(function))
        if after in names:
            app.registered_commands.insert(names.index(after) + 1, app.registered_commands.pop())

    def add_group(self, name: str, callback: Command | None = None, **more: Any) -> None:
        """Add a group of commands. With a callback the group's own name is a command, too."""
        self.groups[name] = new_group(invoke_without_command=True) if callback else new_group(no_args_is_help=True)
        if callback:
            self.groups[name].callback()(make_command(callback))
        self.app.add_typer(self.groups[name], name=name, **more)
