"""The commands `woocommerce` and `export`: orders from a WooCommerce shop, and results into a warehouse."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from promolift.cli.command_line import CommandLine, OptionalStrings, load_settings, option
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.progress import show_progress

if TYPE_CHECKING:
    from promolift.foundation.progress import StepSummary


def woocommerce(
    config: Path,
    url: Annotated[str, typer.Argument(help="The shop's address.")],
    file: Annotated[Path, option("The CSV to write.", "--out", "-o")] = Path("orders.csv"),
    since: Annotated[str | None, option("Only orders changed after this day.", "--since")] = None,
    by: Annotated[Literal["email", "id"], option("What names a customer.", "--customer")] = "email",
) -> "StepSummary":  # fmt: skip
    """Read a WooCommerce shop's orders by its REST API into a CSV for `promolift init`."""
    from promolift.extensions.connectors.woocommerce import pull_orders
    from promolift.foundation.progress import StepSummary

    orders, lines = pull_orders(url, file, since, by)
    following = "promolift run" if config.exists() else f"promolift init --events {file}"
    text = gettext_lazy(
        "{file}: {orders} orders, {lines} lines. Next: `{command}`",
        file=file, orders=f"{orders:,}", lines=f"{lines:,}", command=following,
    )  # fmt: skip
    return StepSummary(text, {"step": "woocommerce", "orders": orders, "lines": lines})


def export(
    config: Path, work: Path, learned: Path,
    tables: Annotated[
        OptionalStrings, typer.Argument(help="plan, decisions, verdicts; left out: what there is.")
    ] = None,
    shape: Annotated[
        Literal["growthbook", "eppo"] | None,
        option("Also who was in which arm, as this tool reads assignments.", "--exposures"),
    ] = None,
) -> "StepSummary":  # fmt: skip
    """Write plan, decisions and verdicts into the warehouse of [warehouse], in place of what was written before."""
    from promolift.extensions.connectors.warehouse_export import export_tables
    from promolift.foundation.storage.local_store import Store
    from promolift.shop.results.work_folder.run_context import Job

    with Store(work) as store, show_progress() as tell:
        return export_tables(Job(load_settings(config), store, tell), tables or [], learned, shape)


def add_commands(command_line: CommandLine) -> None:
    """Add the commands of this extension."""
    command_line.add(woocommerce, after="init")
    command_line.add(export, after="decide")
