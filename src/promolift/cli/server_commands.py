"""Commands of the server: `serve`, `evidence` and the group `ledger`, which backs its database up and checks it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promolift.cli.command_line import OptionalPath, load_settings, option, print_summary
from promolift.foundation.lazy_imports import LazyModule
from promolift.foundation.progress import show_progress

if TYPE_CHECKING:
    from promolift.foundation.progress import StepSummary
    from promolift.server import startup as server_main
    from promolift.server.tasks import maintenance as upkeep
else:
    server_main, upkeep = LazyModule("promolift.server.startup"), LazyModule("promolift.server.tasks.maintenance")


def serve(
    config: Path,
    work: Path,
    json_: bool,
    host: Annotated[str, option("Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, option("Port to listen on.", min=1, max=65535)] = 8080,
    settings: Annotated[OptionalPath, option("The server's own settings, a TOML file.")] = None,
    console_: Annotated[bool, option("Pages for people under /console.", "--console/--no-console")] = True,
) -> None:
    """Answer over HTTP what the plan decides: events in, decisions out, money kept; pages for people under /console.
    See docs/serve.md and docs/console.md."""

    def dress(made: Any) -> Any:
        from promolift.server.console.console_app import with_console

        return with_console(made, file=config)

    server_main.run_server(config, work, settings, host, port, json_, dress if console_ else None)


def evidence(
    config: Path, work: Path,
    campaign: Annotated[str | None, typer.Argument(help="The campaign; left out: that of promolift.toml.")] = None,
    to: Annotated[Path, option("The archive to write.", "--out", "-o")] = Path("evidence.zip"),
    file: Annotated[OptionalPath, option("An archive to replay, anywhere.", "--verify")] = None,
    settings: Annotated[OptionalPath, option("The server's own settings, a TOML file.", "--settings")] = None,
    verdict: Annotated[Path, option("Folder of `promolift learn`.", "--learned")] = Path("learn-report"),
) -> "StepSummary":  # fmt: skip
    """Write all that speaks of a campaign into one archive, customers under pseudonyms; or replay one with --verify."""
    from promolift.server.tasks import audit_archive

    if file is not None:
        return audit_archive.verify_archive(file)
    from promolift.foundation.storage.local_store import Store
    from promolift.shop.results.work_folder.run_context import Job

    shop_of = load_settings(config)
    with Store(work) as store, show_progress() as tell:
        job = Job(shop_of, store, tell)
        server = server_main.read_settings(settings, work)
        return audit_archive.write_archive(job, campaign or shop_of.plan.campaign, server, to, verdict)


def ledger_backup(
    to: Annotated[Path, typer.Argument(help="The folder to make.")], work: Path, server: OptionalPath
) -> "StepSummary":
    """Copy ledger, releases and secret key as of one moment into a new folder; a server may run meanwhile."""
    return upkeep.backup(server_main.read_settings(server, work), to)


def ledger_restore(
    source: Annotated[Path, typer.Argument(help="The folder of a backup.")], work: Path, server: OptionalPath
) -> "StepSummary":
    """Put a backup back where no ledger is; its hashes are checked first."""
    return upkeep.restore(server_main.read_settings(server, work), source)


def ledger_verify(work: Path, server: OptionalPath, json_: bool) -> None:
    """Check the database, the audit chain, the books of every limit and the releases; exit code 2 with a fault."""
    found = upkeep.verify(server_main.read_settings(server, work))
    print_summary(found, json_)
    if found.figures["faults"]:
        raise SystemExit(2)


def ledger_purge(work: Path, server: OptionalPath) -> "StepSummary":
    """Delete what is older than `[keep]` of the server's settings says; a server may run meanwhile."""
    return upkeep.purge(server_main.read_settings(server, work))
