"""Commands on texts of messages: the group `words` keeps the pool of texts, `check` reads a text against an offer."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promolift.cli.command_line import OptionalPath, OptionalStrings, load_settings, option, print_line
from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.lazy_imports import LazyModule

if TYPE_CHECKING:
    from promolift.foundation.progress import StepSummary
    from promolift.shop.configuration import model_status
    from promolift.shop.pipeline import name_drafts
    from promolift.shop.pipeline import text_pool as pool
    from promolift.shop.pipeline import voice_file as voices
    from promolift.shop.reports import text_briefs as briefs
else:
    name_drafts = LazyModule("promolift.shop.pipeline.name_drafts")
    briefs = LazyModule("promolift.shop.reports.text_briefs")
    model_status = LazyModule("promolift.shop.configuration.model_status")
    pool = LazyModule("promolift.shop.pipeline.text_pool")
    voices = LazyModule("promolift.shop.pipeline.voice_file")

CsvPath = Annotated[Path, typer.Argument(help="The file for a person: CSV with a column `approved`.")]
Reviewer = Annotated[str, option("Who says so; kept with every text.")]


def words_voice(
    config: Path,
    file: Annotated[
        OptionalPath, typer.Argument(help="20 texts of the shop: one per line, or CSV with a column `text`.")
    ] = None,
    speaker: Annotated[str | None, option("Who speaks.")] = None,
    tone: Annotated[str | None, option("The tone, in a few adjectives.")] = None,
    address: Annotated[OptionalStrings, option("How customers are addressed: 您 or 你, or English words.")] = None,
    use: Annotated[OptionalStrings, option("A word that is typical of the shop.")] = None,
    avoid: Annotated[OptionalStrings, option("A word that no text may hold.")] = None,
    example: Annotated[OptionalStrings, option("A line in the shop's voice, without personal data.")] = None,
    force: Annotated[bool, option("Replace the card.", "--force")] = False,
) -> "StepSummary":
    """Write voice.toml, the card of how the shop speaks: from its texts by the configured model, or from answers."""
    from promolift.foundation.i18n.formatting import use_locale

    answers = {"speaker": speaker, "tone": tone, "address": address, "use": use, "avoid": avoid, "examples": example}
    given: Mapping[str, str | Sequence[str]] = {name: said for name, said in answers.items() if said is not None}
    settings = load_settings(config)
    voices.check_writable(config, force)
    with use_locale(settings.report_language):
        if file is not None:
            if given:
                raise ConfigError(
                    "option_conflict", gettext_lazy("words voice: give a file of texts or answers, not both")
                )
            return voices.voice_from_texts(file, model_status.load_model(settings), settings.shop.language, config)
        if not given:
            if not (sys.stdin.isatty() and sys.stderr.isatty()):
                raise ConfigError(
                    "option_missing", gettext_lazy("words voice: give a file of texts, or answers such as --tone")
                )
            given = voices.ask_questions(lambda question: str(typer.prompt(question, "", err=True)))
        return voices.write_voice(voices.card_from_answers(given), config)


def words_list(config: Path, work: Path, learned: Path) -> "StepSummary":
    """List what each text earned, the texts that learning no longer sends, and the drafts that it asks for."""
    from promolift.foundation.i18n.formatting import use_locale

    settings = load_settings(config)
    with use_locale(settings.report_language):
        return pool.list_pool(settings, work, learned)


def words_restore(
    text_ids: Annotated[list[str], typer.Argument(help="Ids of texts that learning dropped.")],
    config: Path,
    work: Path,
    by: Reviewer = "",
) -> "StepSummary":
    """Send texts again that learning dropped, until a person retires or rejects them; who said so is kept."""
    from promolift.foundation.i18n.formatting import use_locale

    settings = load_settings(config)
    with use_locale(settings.report_language):
        return pool.restore_texts(settings, work, text_ids, by)


def words_draft(
    config: Path,
    work: Path,
    learned: Path,
    several: Annotated[int, option("Drafts for each angle and language.", min=1, max=50)] = 6,
    angle: Annotated[OptionalStrings, option("An angle; all if left out.")] = None,
    play: Annotated[
        OptionalStrings, option("A play of promolift.toml; its audience and reason go into the brief.")
    ] = None,
    channel: Annotated[str, option("plain, sms_cn, email_en, push or wechat_store.")] = "plain",
    successors: Annotated[bool, option("Only drafts in place of texts that learning dropped.", "--successors")] = False,
    dry_run: Annotated[bool, option("Print the prompts, tokens and cost, and call nothing.", "--dry-run")] = False,
) -> "StepSummary":
    """Ask the configured model for drafts, lint them, and add them to the shop's pool."""
    from promolift.foundation.i18n.formatting import use_locale

    settings, voice = load_settings(config), voices.load_voice(config)
    asked = briefs.DraftOptions(several, angle or [], play or [], channel, dry_run, successors, learned)
    with use_locale(settings.report_language):
        return pool.draft_texts(settings, work, voice, asked)


def words_judge(
    config: Path,
    tests: Annotated[
        OptionalPath, option("Randomised tests of texts (test_id, text, shown, clicked): a start for all.")
    ] = None,
    dry_run: Annotated[bool, option("Print the prompts, tokens and cost, and call nothing.", "--dry-run")] = False,
) -> "StepSummary":
    """Let the configured model read every drafted and edited text three times; one "no" blocks."""
    from promolift.foundation.i18n.formatting import use_locale

    settings = load_settings(config)
    with use_locale(settings.report_language):
        return pool.judge_pool(settings, tests, dry_run)


def words_names(
    config: Path,
    work: Path,
    draft: Annotated[bool, option("Ask the model for names that are missing, once per language.", "--draft")] = False,
    dry_run: Annotated[bool, option("Print the prompts, tokens and cost, and call nothing.", "--dry-run")] = False,
    approve: Annotated[OptionalStrings, option("Catalogue names whose drafts messages may print.")] = None,
    approve_all: Annotated[bool, option("Every draft that waits.", "--approve-all")] = False,
    reject: Annotated[OptionalStrings, option("Catalogue names whose drafts they may not.")] = None,
    by: Reviewer = "",
) -> "StepSummary":
    """List goods of the plan that a language has no name for; draft everyday names, and approve them."""
    from promolift.foundation.i18n.formatting import use_locale

    settings = load_settings(config)
    asked = name_drafts.NameChoices(draft, dry_run, approve or [], reject or [], approve_all, by)
    with use_locale(settings.report_language):
        return name_drafts.names_of_goods(settings, work, asked)


def words_review(
    config: Path,
    work: Path,
    approve: Annotated[OptionalStrings, option("Ids of texts that may be sent.")] = None,
    reject: Annotated[OptionalStrings, option("Ids of texts that may not.")] = None,
    retire: Annotated[OptionalStrings, option("Ids of texts to take out of use.")] = None,
    because: Annotated[str, option("Why texts are rejected; the next brief reads it.")] = "",
    by: Reviewer = "",
) -> "StepSummary":
    """Read the texts that wait one after another on a terminal; or say yes or no to texts by their ids."""
    settings = load_settings(config)
    choices = pool.ReviewChoices(approve or [], reject or [], retire or [], by, because)
    if approve or reject or retire or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return pool.review_pool(settings, choices)
    import click

    from promolift.cli.review_walk import Terminal, read_texts
    from promolift.foundation.i18n.formatting import use_locale
    from promolift.foundation.storage.local_store import Store

    def ask(question: str, default: str) -> str:
        return str(click.prompt(question, default=default, show_default=bool(default), err=True))

    with use_locale(settings.report_language), Store(work) as store:
        name = by or ask(gettext("Your name; it is kept with every text"), "")
        done = read_texts(settings, store, name, Terminal(click.getchar, ask, print_line)) if name else ""
    return pool.pool_summary(settings, done)


def words_export(file: CsvPath, config: Path) -> "StepSummary":
    """Write the pool as a CSV file for a person: say yes or no in `approved`, change words, add rows."""
    return pool.export_pool(load_settings(config), file)


def words_import(file: CsvPath, by: Reviewer, config: Path) -> "StepSummary":
    """Read that file again: yes approves the exact words, changed words are linted and wait for the judge."""
    return pool.import_pool(load_settings(config), file, by)


def check(
    file: Annotated[Path, typer.Argument(help="A text of a person, or CSV with columns text and offer_id.")],
    config: Path,
    work: Path,
    offer: Annotated[str | None, option("Id of a planned offer that the text is about.")] = None,
    tongue: Annotated[str | None, option("zh or en; by its script if left out.", "--language")] = None,
    channel: Annotated[str, option("plain, sms_cn, email_en, push or wechat_store.")] = "plain",
) -> "StepSummary":
    """Read texts of people against a planned offer: what is untrue, and what code cannot read (asked of the judge)."""
    from promolift.foundation.storage.local_store import Store

    with Store(work) as store:
        return pool.check_file(load_settings(config), store, file, pool.TextCheck(offer, tongue, channel))
