"""Commands that set a shop up: `init`, `migrate` and `doctor`."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promolift.cli.command_line import OptionalPath, OptionalStrings, option, print_summary

if TYPE_CHECKING:
    from promolift.foundation.progress import StepSummary


def init(
    events: Annotated[
        list[Path], option("What customers did: CSV, Parquet, JSON lines or Excel, any names; lines.csv+orders.csv.")
    ],
    config: Path,
    json_: bool,
    products: Annotated[OptionalPath, option("The catalogue.")] = None,
    customers: Annotated[OptionalPath, option("What is known of customers.")] = None,
    promotions: Annotated[OptionalPath, option("Who was sent which past promotion.")] = None,
    words: Annotated[OptionalPath, option("What customers wrote or said: reviews, chats, answers, calls.")] = None,
    force: Annotated[bool, option("Overwrite an existing settings file.", "--force")] = False,
    map_: Annotated[
        OptionalStrings,
        option(
            "A column's meaning, such as customer_id=Email or products.name=Title; money=minor: amounts are cents; "
            "repeatable.",
            "--map",
        ),
    ] = None,
    currency: Annotated[str | None, option("The shop's currency, such as EUR.")] = None,
    consent: Annotated[str | None, option("yes or no: may those be sent offers who were not asked?")] = None,
    languages: Annotated[
        OptionalStrings,
        option(
            "The shop's: en or zh, its own first; repeatable; by columns, currency and names if left out.", "--language"
        ),
    ] = None,
    trade: Annotated[str, option("shop, retail, finance or ads: the settings' template.")] = "shop",
) -> "StepSummary":
    """Look at raw files, guess what their columns mean, show it, and write a commented promolift.toml."""
    from promolift.shop.ingest.setup import initialisation

    if trade not in ("shop", "retail"):
        from promolift.shop.ingest.setup.extension_setup import TradeAnswers, start_project

        return start_project(
            trade, events, config, force, TradeAnswers.of(map_ or [], currency, languages[0] if languages else None)
        )
    answers = replace(
        initialisation.SetupAnswers.of(map_ or [], currency, consent, languages), stores=trade == "retail"
    )
    if sys.stdin.isatty() and sys.stderr.isatty() and not json_:
        answers = replace(
            answers,
            ask=lambda question, default: str(typer.prompt(question, default, err=True)),
            show=lambda text: typer.echo(f"{text}\n", err=True),
        )
    files = {"events": events[0], "products": products, "customers": customers, "promotions": promotions,
             "words": words}  # fmt: skip
    named = {name: path for name, path in files.items() if path}
    return initialisation.init(named, config, force, events[1:], answers)


def migrate(config: Path) -> "StepSummary":
    """Rewrite a promolift.toml of an earlier version under today's names; the old file is kept beside it."""
    from promolift.shop.configuration import migration

    return migration.migrate(config)


def doctor(config: Path, json_: bool) -> None:
    """What is installed, what is missing and what it would take; exit code 2 where the core or what promolift.toml asks
    for is not there."""
    from promolift.shop.ingest.setup import installation_check

    found = installation_check.check_installation(config)
    print_summary(found, json_)
    if found.figures["faults"]:
        raise SystemExit(2)
