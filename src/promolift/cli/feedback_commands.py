"""Commands that learn from past decisions: `next` and the group `learn`, which judges, proposes and approves."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from promolift.cli.command_line import DEFAULT_CONFIG, OptionalPath, load_settings, option
from promolift.foundation.lazy_imports import LazyModule
from promolift.foundation.progress import show_progress

if TYPE_CHECKING:
    from promolift.foundation.progress import StepSummary
    from promolift.shop.feedback import learning as learned_run
    from promolift.shop.feedback import proposal
    from promolift.shop.pipeline import pool_file as pool
else:
    pool = LazyModule("promolift.shop.pipeline.pool_file")
    proposal, learned_run = (LazyModule(f"promolift.shop.feedback.{name}") for name in ("proposal", "learning"))


def next_(config: Path, work: Path, learned: Path) -> "StepSummary":
    """Where this shop stands (data, planned, testing, learning, paying, stopped), and the one command to give now."""
    from promolift.foundation.i18n.formatting import use_locale

    settings = load_settings(config)
    with use_locale(settings.report_language):
        return proposal.show_shop_status(settings, work, learned)


def learn(
    context: typer.Context,
    config: Path,
    work: Path,
    learned: Path,
    decisions: Annotated[OptionalPath, option("Decision records; default: the work folder's.")] = None,
    events: Annotated[OptionalPath, option("Clean events since then; default: the work folder's.")] = None,
    window_days: Annotated[float, option("Days after a decision in which its outcome counts.")] = 28,
    auto: Annotated[bool, option("Write release.json if nothing speaks against the draws.", "--auto")] = False,
) -> "StepSummary | None":
    """What was decided and what happened: a verdict over the holdout, and a proposal for the next release."""
    if context.invoked_subcommand is not None:
        return None
    settings = learned_run.LearnSettings.parse({"window_days": window_days}, "promolift learn")
    own = config if config == DEFAULT_CONFIG else load_settings(config)  # the default one may be missing
    asked = learned_run.Request(decisions, events, work, learned, own, settings, auto, load_pool=pool.load_shop_pool)
    with show_progress() as tell:
        return learned_run.run_learn(asked, tell).summary


def locate_proposal(config: Path, work: Path, learned: Path) -> "proposal.ProposalLocation":
    """Return where the proposal of a shop is."""
    return proposal.ProposalLocation(load_settings(config), work, learned)


def show_proposal(config: Path, work: Path, learned: Path) -> "StepSummary":
    """Say what the proposal changes, what it is expected to add, what speaks against it, and what is approved now."""
    return proposal.show_proposal(locate_proposal(config, work, learned))


def approve_proposal(
    config: Path, work: Path, learned: Path,
    yes: Annotated[bool, option("Approve it in spite of what speaks against it.", "--yes")] = False,
) -> "StepSummary":  # fmt: skip
    """Let the next plan start from the proposal; refused where it is for another plan or speaks against itself."""
    return proposal.approve_proposal(locate_proposal(config, work, learned), yes)


def reject_proposal(
    config: Path, work: Path, learned: Path,
    why: Annotated[str, option("The reason, kept with the proposal.")] = "",
) -> "StepSummary":  # fmt: skip
    """Mark the proposal as rejected; the release in force stays as it is."""
    return proposal.reject_proposal(locate_proposal(config, work, learned), why)
