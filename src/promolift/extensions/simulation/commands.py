"""The command `simulate`: months of a simulated shop whose true effects are known."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from promolift.cli.command_line import CommandLine, OptionalPath, option, settings_option
from promolift.foundation.progress import show_progress

if TYPE_CHECKING:
    from promolift.foundation.progress import StepSummary


def simulate(
    world: Annotated[str | None, option("market (default) or goods.")] = None,
    months: Annotated[int | None, option("Months of four weeks (4).")] = None,
    customers: Annotated[int | None, option("Customers of the made-up shop (1500).")] = None,
    seed: Annotated[int | None, option("Another number gives another shop (1).")] = None,
    margin: Annotated[float | None, option("Margin of the world market (0.3).")] = None,
    served: Annotated[bool, option("Decide, hear orders and learn through the server, as a live shop would.")] = False,
    drift: Annotated[int | None, option("Month after which customers answer otherwise.")] = None,
    loop: Annotated[OptionalPath, settings_option("TOML file with a [simulate] part.")] = None,
    to: Annotated[Path, option("Folder of the shop and its months.", "--out", "-o")] = Path("simulated"),
) -> "StepSummary":
    """Plan, answers, learn, approve, month by month in a made-up shop: what it truly earns beside a hand rule."""
    from promolift.extensions.simulation import offline, online

    stated: dict[str, object] = {"world": world, "months": months, "customers": customers, "seed": seed}
    stated |= {"margin": margin, "drift": drift}
    path_in = online.ServerPath if served else offline.CommandLinePath
    with show_progress() as tell:
        return offline.run_simulation(stated, to, tell, loop, path_in)


def add_commands(command_line: CommandLine) -> None:
    """Add the command of this extension."""
    command_line.add(simulate, after="demo")
