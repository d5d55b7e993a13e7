"""Every command of the command line, by its whole name."""

from collections.abc import Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from promolift.cli.application import app

TREE = typer.main.get_command(app)


Command = TyperCommand | TyperGroup


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Command]]:
    """Every command below one, by its whole name; a group that does something itself is one, too."""
    if not isinstance(command, TyperGroup):
        yield name, command
        return
    if command.invoke_without_command:
        yield name, command
    for each, inside in command.commands.items():
        yield from commands(inside, f"{name} {each}".strip())


VERBS = dict(commands(TREE))
