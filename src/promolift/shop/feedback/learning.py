"""Judge the decisions by their outcomes and write the verdict, its page and the proposal for the next plan.

out/learn.html     the page
out/learn.json     the same in numbers
out/proposal.json  what follows from the stored draws, for a person to approve (see proposal.py)
out/release.json   only with `auto`, and only if nothing speaks against the draws
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import polars as pl

from promolift.core.messages.composition import MessageSettings
from promolift.core.messages.text_choice import WantedDraft
from promolift.core.messages.text_pool import TextPool
from promolift.extensions.privacy.private_release import private_effect
from promolift.foundation.errors import StepError
from promolift.foundation.files.table_files import open_file
from promolift.foundation.i18n.catalogue import gettext, pgettext_noop
from promolift.foundation.i18n.formatting import money
from promolift.foundation.i18n.lazy_message import dump_messages, gettext_lazy
from promolift.foundation.pages.rendering import render_page
from promolift.foundation.progress import Progress, StepSummary
from promolift.foundation.storage.artifacts import remember_output
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.remote_storage import exists
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.feedback.decision_outcomes import (
    Evidence,
    LearnSettings,
    join_evidence,
    read_decisions,
    read_outcomes,
)
from promolift.shop.feedback.policy_earnings import earned_numbers
from promolift.shop.feedback.policy_verdict import ProfilePair, judge_policy, numbers_of
from promolift.shop.feedback.proposal import (
    PROPOSAL_FILE,
    Proposal,
    Status,
    make_proposal,
    plan_fingerprint,
    write_atomically,
)
from promolift.shop.feedback.text_earnings import earned_by_text, planned_messages
from promolift.shop.reports.learning_page import page_of, summary_text
from promolift.shop.reports.next_step import shop_status
from promolift.shop.reports.text_values import learn_pool
from promolift.shop.results.learned_policy import LearnedPolicy, TextEarnings
from promolift.shop.results.messages import PoolWords
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.ledger_consent import read_consent_updates
from promolift.shop.results.work_folder.run_context import Job
from promolift.shop.results.work_folder.work_tables import CleanTables, ProfileTables


@dataclass(frozen=True)
class Request:
    """Where to read and write. Decisions and events are files, or tables that a program has in hand; what is not named
    is taken from the work folder. `consent` is what customers told a server about it, as of `read_consent_updates`:
    None for the ledger of the work folder. `messages` is what a server answered with which text, as MESSAGE_SCHEMA of
    text_earnings: None for the messages of the plan. `load_pool` reads the shop's texts as they are now: None for
    those of the plan.
    """

    decisions: Path | pl.DataFrame | None
    events: Path | pl.DataFrame | None
    work: Path
    out: Path
    config: Path | Config
    settings: LearnSettings
    auto: bool = False
    consent: pl.DataFrame | None = None
    messages: pl.DataFrame | None = None
    load_pool: Callable[[MessageSettings], TextPool] | None = None


@dataclass(frozen=True)
class LearnResult:
    """What was learned: the proposal, None where no draws are kept, and the findings in figures and words."""

    proposal: Proposal | None
    summary: StepSummary


def run_learn(request: Request, tell: Progress) -> LearnResult:
    """Judge the decisions and write the files.

    Raises SupportError where the outcomes cannot say: nobody held out, windows not over, too few customers.
    """
    config: Config | None = request.config if isinstance(request.config, Config) else None
    if isinstance(request.config, Path) and request.config.is_file():
        config = load_config(request.config)
    with open_work_folder(request.work) as store:
        tell(pgettext_noop("step", "learn"), 0.1, gettext_lazy("decisions and outcomes"))
        evidence = load_evidence(request, store, config)
        tell("learn", 0.4, gettext_lazy("verdict"))
        judged = judge_policy(evidence, _profiles(store, evidence))
        mark = plan_fingerprint(store) if store is not None else None
        from promolift.shop.feedback.next_release import ServedDecisions, learn_line_effects, propose_release

        own, arms = request.decisions is None and request.events is None, None
        private, texts, wanted = None, tuple[TextEarnings, ...](), tuple[WantedDraft, ...]()
        if store is not None and config is not None and config.privacy.epsilon is None and PoolWords.has(store):
            sent = planned_messages(store, config) if request.messages is None else request.messages
            texts = earned_by_text(evidence, sent, PoolWords.load(store).texts, config.lines)
            pool = request.load_pool(config.message) if request.load_pool else PoolWords.load(store).pool
            pool = pool.in_languages(config.shop.languages)
            wanted = tuple(learn_pool(config, pool, request.work).wanted)
        if store is not None and config is not None and config.privacy.epsilon is not None:
            private = private_effect(Job(config, store, tell), evidence)
        elif store is not None and config is not None and config.plan.campaign == evidence.release.campaign_id:
            served = None if own else ServedDecisions(evidence.decisions, evidence.outcomes, evidence.asof_ms)
            consent = read_consent_updates(store) if request.consent is None else request.consent
            arms = learn_line_effects(store, config, served, consent)
        stands = (
            shop_status(config, store, arms is not None) if store is not None and config is not None and own else None
        )
    currency = config.shop.currency if config else None
    tell("learn", 0.7, gettext_lazy("next release"))
    say = partial(money, currency=currency)
    following = None if arms is None else propose_release(judged, arms, say)
    earned = earned_numbers(judged, config.shop.zone if config else "UTC")
    released = request.auto and following is not None and following.accepted
    shop = config.shop.name if config else None
    learned = LearnedPolicy(judged, following, currency, shop, request.auto, released, texts, wanted)
    done = _write(request.out, learned, earned, mark)
    if store is not None:
        remember_output(store.root, request.out)
    if private is not None:
        done = LearnResult(done.proposal, done.summary.with_line(private.text, **private.figures))
    if stands is None or released:
        return done
    said = done.summary.with_line(stands.text, stage=stands.stage, next=stands.command)
    return LearnResult(done.proposal, said)


@contextmanager
def open_work_folder(folder: Path) -> Iterator[Store | None]:
    """Open the work folder if there is one; none is made."""
    if not exists(folder):
        yield None
        return
    with Store(folder) as store:
        yield store


def load_evidence(request: Request, store: Store | None, config: Config | None) -> Evidence:
    """Load the evidence for a verdict from the named files, else from the work folder."""
    decisions = read_decisions(request.decisions, store)
    clean = CleanTables(store) if store is not None else None
    products = clean.catalogue if clean is not None and clean.has_products else None
    rate = config.value.margin_rate if config else None
    release = PlanNote.load(store).terms if store is not None and PlanNote.has(store) else None
    if request.events is None:
        if clean is None or not clean.has_events:
            raise StepError(
                "option_missing", gettext_lazy("learn: no events; give --events FILE, or --work with ingested ones")
            )
        outcomes = read_outcomes(clean.events(), products, decisions, rate)
    else:
        with TemporaryDirectory() as copies, duckdb.connect() as connection:
            if isinstance(request.events, pl.DataFrame):
                rows = connection.from_arrow(request.events.to_arrow())
            else:
                rows = open_file(connection, request.events, Path(copies)).rows
            outcomes = read_outcomes(rows, products, decisions, rate)
    return join_evidence(decisions, outcomes, release, request.settings)


def _profiles(store: Store | None, evidence: Evidence) -> ProfilePair | None:
    """None unless both are kept."""
    if store is None or not ProfileTables(store).has_profiles:
        return None
    profiles = ProfileTables(store).every_profile
    decided = int(evidence.slots.start_N.max())
    moments = profiles["asof_ms"].unique().sort().to_list()
    then, now = [m for m in moments if m <= decided], [m for m in moments if m > decided]
    if not then or not now:
        return None
    return ProfilePair(*(profiles.filter(pl.col("asof_ms") == asof_ms) for asof_ms in (then[-1], now[-1])))


def _write(out: Path, learned: LearnedPolicy, earned: dict[str, object], mark: str | None) -> LearnResult:
    """Write the files; `mark` is that of the plan which the work folder had."""
    out.mkdir(parents=True, exist_ok=True)
    status: Status = "accepted by auto" if learned.released else "waiting for a person"
    proposal = None if learned.next is None else make_proposal(learned.next, mark, status)
    numbers = (
        numbers_of(learned.judged)
        | earned
        | {
            "texts": [each.to_json() for each in learned.texts],
            "wanted_drafts": [
                {
                    "angle": each.angle,
                    "language": each.language,
                    "successor_of": [t.text_id for t in each.dropped],
                    "winners": [t.words for t in each.winners],
                }
                for each in learned.wanted
            ],
            "proposal": None if proposal is None else proposal.to_json(),
        }
    )
    texts: dict[str, dict[str, object]] = {"learn.json": numbers}
    for name in ("release.json", PROPOSAL_FILE):  # an older one would pass for the answer to these decisions
        (out / name).unlink(missing_ok=True)
    if proposal is not None:
        texts[PROPOSAL_FILE] = proposal.to_stored()
        if learned.released:
            texts["release.json"] = proposal.release.model_dump(mode="json")
    for name, value in texts.items():
        write_atomically(out / name, dump_messages(value))
    page = out / "learn.html"
    write_atomically(page, render_page(page_of(learned)))
    return LearnResult(
        proposal,
        StepSummary(summary_text(learned), numbers).with_line(gettext("Report: {page}", page=page), page=str(page)),
    )


__all__ = ["LearnSettings", "Request", "load_evidence", "run_learn"]
