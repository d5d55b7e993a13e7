"""The command line: which commands and groups there are, and the entry point.

Errors for people go to stderr on one line, with exit code 2.
"""

import sys
from typing import Annotated, Any

import typer

from promolift.cli import (
    data_protection_commands,
    demo_commands,
    feedback_commands,
    pipeline_commands,
    server_commands,
    setup_commands,
    text_commands,
    trial_commands,
)
from promolift.cli.command_line import Command, CommandLine, option, print_error
from promolift.foundation.errors import ConfigError, PromoError
from promolift.foundation.extension import listed, load_reference
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.version import __version__

# In the order of `promolift --help`. Commands of extensions name the command after which they stand.
COMMANDS: dict[str, Command] = {
    "init": setup_commands.init,
    "migrate": setup_commands.migrate,
    "doctor": setup_commands.doctor,
    "health": pipeline_commands.health,
    "ingest": pipeline_commands.ingest,
    "history": pipeline_commands.history,
    "report": pipeline_commands.report,
    "profile": pipeline_commands.profile,
    "plays": pipeline_commands.plays,
    "evaluate": pipeline_commands.evaluate,
    "fairness": pipeline_commands.fairness,
    "plan": pipeline_commands.plan,
    "message": pipeline_commands.message,
    "run": pipeline_commands.run,
    "demo": demo_commands.demo,
    "decide": pipeline_commands.decide,
    "contacts": pipeline_commands.contacts,
    "evidence": server_commands.evidence,
    "erase": data_protection_commands.erase,
    "privacy": data_protection_commands.privacy,
    "next": feedback_commands.next_,
    "check": text_commands.check,
    "serve": server_commands.serve,
}
EFFECT: dict[str, Command] = {
    "fit": trial_commands.fit,
    "evaluate": trial_commands.evaluate_trial,
    "explain": trial_commands.explain_trial,
    "report": trial_commands.report_trial,
}
LEARN: dict[str, Command] = {
    "show": feedback_commands.show_proposal,
    "approve": feedback_commands.approve_proposal,
    "reject": feedback_commands.reject_proposal,
}
WORDS: dict[str, Command] = {
    "list": text_commands.words_list,
    "voice": text_commands.words_voice,
    "draft": text_commands.words_draft,
    "judge": text_commands.words_judge,
    "names": text_commands.words_names,
    "review": text_commands.words_review,
    "restore": text_commands.words_restore,
    "export": text_commands.words_export,
    "import": text_commands.words_import,
}
LEDGER: dict[str, Command] = {
    "backup": server_commands.ledger_backup,
    "restore": server_commands.ledger_restore,
    "verify": server_commands.ledger_verify,
    "purge": server_commands.ledger_purge,
}


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


def promolift(
    version: Annotated[bool, option("Say the version.", "--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    """Personalised promotions that pay: from raw logs to who gets which offer, in which words."""


def build_app() -> typer.Typer:
    """Return the application with all commands, those of installed extensions included.

    Raises ConfigError for an extension whose commands cannot be added.
    """
    command_line = CommandLine()
    command_line.app.callback()(promolift)
    command_line.add_group("effect", trial_commands.effect)
    command_line.add_group("learn", feedback_commands.learn)
    command_line.add_group("words", help="The pool of texts that messages are made from.")
    command_line.add_group("ledger", help="Keep the server's ledger: backup, restore, verify, purge.")
    groups: dict[str | None, dict[str, Command]] = {
        None: COMMANDS,
        "effect": EFFECT,
        "learn": LEARN,
        "words": WORDS,
        "ledger": LEDGER,
    }
    for group, commands in groups.items():
        for name, function in commands.items():
            command_line.add(function, name, group)
    for reference in listed("commands"):
        try:
            load_reference(reference)(command_line)
        except ImportError as error:
            raise ConfigError(
                "extension_broken",
                gettext_lazy(
                    "{reference}: its commands cannot be added ({error}); upgrade the extension, or uninstall it",
                    reference=reference,
                    error=error,
                ),
            ) from error
    return command_line.app


def __getattr__(name: str) -> Any:
    """Build `app` when it is asked for: an extension that is broken must not break the import of this module."""
    if name == "app":
        return build_app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit code 0; 2 for an error a person can repair, 130 if interrupted (docs/command-line.md)."""
    try:
        build_app()(arguments)
    except PromoError as error:
        print_error(error)
        raise SystemExit(2) from None
    except BrokenPipeError:
        sys.stderr.close()


if __name__ == "__main__":
    main()
