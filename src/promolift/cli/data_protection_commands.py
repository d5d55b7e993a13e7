"""Commands of data protection: `erase` deletes a customer, `privacy` writes the record of processing."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promolift.cli.command_line import OptionalPath, load_settings, option, print_line
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.lazy_imports import LazyModule
from promolift.foundation.progress import show_progress

if TYPE_CHECKING:
    from promolift.foundation.progress import StepSummary
    from promolift.foundation.storage import local_store as stores
    from promolift.server import startup as server_main
else:
    stores, server_main = LazyModule("promolift.foundation.storage.local_store"), LazyModule("promolift.server.startup")


def erase(
    config: Path, work: Path,
    customer: Annotated[str | None, typer.Argument(help="The customer's id.")] = None,
    old: Annotated[bool, option("What is older than `privacy.*.keep_days` instead.", "--old")] = False,
    settings: Annotated[OptionalPath, option("The server's own settings, a TOML file.", "--settings")] = None,
    also: Annotated[
        list[Path] | None, option("A further folder or file to search: backups, exports, logs.", "--also", exists=True)
    ] = None,
) -> "StepSummary":  # fmt: skip
    """Delete a customer's rows from the work folder: log, rejected rows, profiles, plan, decisions, draws that were
    kept. Then search everything that promolift wrote and the shop's files, and say what is left. With --old: rows of
    all customers that are older than [privacy] keeps them.
    """
    from promolift.foundation.progress import StepSummary

    if old == (customer is not None):
        raise InputError(
            "option_conflict", gettext_lazy("promolift erase: name a customer, or give --old: one of the two")
        )
    with stores.Store(work) as store:
        if customer is None:
            from promolift.shop.pipeline.steps.ingest import purge
            from promolift.shop.results.work_folder.run_context import Job

            gone = purge(Job(load_settings(config), store, print_line))
            said = gettext_lazy("erased: nothing is older than it is kept")
            if gone:
                rows = gettext(", ").join(
                    gettext("{rows} of {table}", rows=f"{rows:,}", table=name) for name, rows in gone.items()
                )
                said = gettext_lazy(
                    "erased: {rows}. Profiles and plan still rest on them: run `promolift run --again`", rows=rows
                )
            return StepSummary(said, {"step": "erase", "rows": gone})
        from promolift.server.tasks import erasure_report
        from promolift.shop.results.work_folder.customer_erasure import erase_customer, identify_customer, source_files

        shop_of = load_settings(config) if config.is_file() else None
        server = server_main.read_settings(settings, store.root)
        contacts = erasure_report.ledger_contacts(server, customer)
        search = identify_customer(store, customer, shop_of, contacts)
        gone = erase_customer(store, search)
        erasure_report.remove_free_pages(server)
        found = erasure_report.search_places(store.root, server, search, source_files(shop_of), also or ())
    return StepSummary(
        "\n".join(erasure_report.describe(gone, search, found)), {"step": "erase", "rows": gone, **found.to_json()}
    )


def privacy(
    config: Path,
    work: Path,
    language: str | None,
    settings: Annotated[OptionalPath, option("The server's own settings, a TOML file.", "--settings")] = None,
    to: Annotated[Path, option("The page to write.", "--out", "-o")] = Path("privacy.html"),
    attack: Annotated[bool, option("Attack models, messages and pages instead.", "--attack")] = False,
    left: Annotated[
        list[Path] | None, option("An attack: a page that left before, oldest first.", "--page", exists=True)
    ] = None,
    customers: Annotated[int, option("Customers that an attack draws from.", min=40)] = 400,
    shadows: Annotated[int, option("Shadow models of an attack.", min=2)] = 7,
) -> "StepSummary":
    """Write the record of processing and the impact assessment, for people to complete and sign; with the ledger of
    what was released under privacy.epsilon."""
    from promolift.foundation.i18n.formatting import use_locale
    from promolift.foundation.pages.rendering import render_page
    from promolift.foundation.progress import StepSummary, no_progress
    from promolift.foundation.storage.remote_storage import exists
    from promolift.shop.reports.data_subject_rights import RetentionDays
    from promolift.shop.reports.processing_record import processing_page
    from promolift.shop.results.work_folder.run_context import Job

    shop_of, spent = load_settings(config, language), None
    if attack:
        from promolift.extensions.privacy.privacy_audit import AuditSize, audit

        with stores.Store(work) as store, show_progress() as tell, use_locale(shop_of.report_language):
            pages = [each.read_text(encoding="utf-8", errors="replace") for each in left or []]
            return audit(Job(shop_of, store, tell), AuditSize(customers, shadows), pages)
    keep = server_main.read_settings(settings, Path(".promolift")).keep if settings else None
    kept = RetentionDays(keep.events_days, keep.decisions_days) if keep else None
    with use_locale(shop_of.report_language):
        if exists(work):
            with stores.Store(work) as store:
                spent = Job(shop_of, store, no_progress).release_policy.budget_use()
        page = processing_page(shop_of, kept, spent)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(render_page(page), encoding="utf-8")
    text = gettext_lazy(
        "{to}: record of processing and impact assessment; {value} things are left for people to state",
        to=to,
        value=page.head.value,
    )
    found = StepSummary(text, {"step": "privacy", "page": str(to), "left": int(page.head.value)})
    if spent is None:
        return found
    by = {"epsilon": spent.spent, "epsilon_left": spent.left, "epsilon_by_purpose": spent.purposes}
    return found.with_line(spent.text, **by)
