"""Show, approve or reject the proposal that `promolift learn` wrote.

The plans that follow start from an approved proposal.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict

from promolift.core.decisions.decision_rule import ReleaseTerms
from promolift.foundation.errors import ConfigError, InputError, StepError
from promolift.foundation.evidence import Interval
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import in_brackets, money
from promolift.foundation.i18n.lazy_message import (
    SEMICOLON,
    STORED,
    LazyMessage,
    gettext_lazy,
    join_messages,
    render_message,
)
from promolift.foundation.progress import StepSummary
from promolift.foundation.settings import Settings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.remote_storage import exists
from promolift.shop.configuration.configuration import Config
from promolift.shop.reports.next_step import ShopStatus, shop_status
from promolift.shop.results.learned_policy import NextRelease
from promolift.shop.results.plan import Plan
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.active_release import load_approved_release
from promolift.shop.results.work_folder.active_release import save_approved_release as keep_release

PROPOSAL_FILE = "proposal.json"
gettext_noop("waiting for a person"), gettext_noop("accepted by auto")
gettext_noop("approved by a person"), gettext_noop("rejected by a person")
Status = Literal["waiting for a person", "accepted by auto", "approved by a person", "rejected by a person"]


class Proposal(Settings):
    """What stands in proposal.json. Values are per customer, in minor units, with their 95 % interval.

    `kind` is what following it would be: a `release` only where it is expected to gain by its own figures, a `test`
    that may be expected to lose for what it teaches, or a `stop`. `plan` is the mark of the plan in the work folder
    when it was learned, None if there was none. `decided_at`, `note`
    and `replaced` (the release that was approved before) are written when a person decides.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)
    release: ReleaseTerms
    kind: Literal["release", "test", "stop"]
    changes: tuple[LazyMessage, ...]
    within_guardrails: bool
    why: LazyMessage
    expected_per_customer: float
    expected_interval: Interval
    plan: str | None = None
    status: Status
    decided_at: str | None = None
    note: str | None = None
    replaced: ReleaseTerms | None = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The proposal of a folder. StepError if there is none, InputError or ConfigError if it is damaged."""
        path = folder / PROPOSAL_FILE
        if not path.is_file():
            raise StepError(
                "proposal_missing",
                gettext_lazy(
                    "{path}: no proposal yet; run `promolift learn` first, or name its folder with --out", path=path
                ),
            )
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            message = gettext_lazy("{path}: not readable as JSON; run `promolift learn` again", path=path)
            raise InputError("file_unreadable", message) from None
        return cls.parse(values, str(path))

    def write(self, folder: Path) -> Self:
        """Put it in the place of the folder's proposal."""
        write_atomically(folder / PROPOSAL_FILE, f"{json.dumps(self.to_stored(), ensure_ascii=False, indent=1)}\n")
        return self

    def to_json(self) -> dict[str, object]:
        """Return plain values, messages in English; what was never said is left out."""
        return self.model_dump(mode="json", exclude_unset=True)

    def to_stored(self) -> dict[str, object]:
        """Return what proposal.json holds: as `to_json`, messages with their ids and arguments."""
        return self.model_dump(mode="json", exclude_unset=True, context=STORED)

    @property
    def decided(self) -> bool:
        """Whether a person said yes or no."""
        return self.status in ("approved by a person", "rejected by a person")

    def doubts(self) -> tuple[LazyMessage, ...]:
        """What speaks against approving it, in its own figures."""
        found: list[LazyMessage] = []
        if not self.within_guardrails:
            found.append(gettext_lazy("the draws cannot be trusted: {why}", why=self.why))
        if self.kind == "release" and self.expected_per_customer < 0:
            found.append(gettext_lazy("by its own figures it earns less than no offers"))
        return tuple(found)


def make_proposal(found: NextRelease, plan: str | None, status: Status) -> Proposal:
    """Return the proposal for the person who decides; `plan` is the fingerprint of the plan it was learned with."""
    value, low, high = found.expected.value, found.expected.low, found.expected.high
    values = {
        "release": found.release.model_dump(mode="json"),  # every field said, so that the file says it
        "kind": found.kind, "changes": found.changes, "within_guardrails": found.accepted, "why": found.why,
        "expected_per_customer": value, "expected_interval": (low, high), "plan": plan, "status": status,
    }  # fmt: skip
    return Proposal.parse(values, "proposal")


PROPOSED = {
    "release": gettext_noop("A proposal to release in {path}: {status}."),
    "test": gettext_noop("A test, no release, in {path}: {status}."),
    "stop": gettext_noop("A proposal to stop in {path}: {status}."),
}


@dataclass(frozen=True)
class ProposalLocation:
    """The location of a proposal, with the work folder and settings of its shop."""

    config: Config
    work: Path
    out: Path

    @property
    def campaign(self) -> str:
        """The campaign that the shop plans."""
        return self.config.plan.campaign


def plan_fingerprint(store: Store) -> str | None:
    """Return a text that changes with the plan of a work folder, its terms and decisions; None if there is no plan."""
    if not PlanNote.has(store):
        return None
    terms = PlanNote.load(store).terms.model_dump_json()
    rows = Plan.load(store).decisions.select("decision_id", "offer_id", "propensity").sort("decision_id")
    return sha256(terms.encode() + rows.write_csv().encode()).hexdigest()[:16]


def show_proposal(at: ProposalLocation) -> StepSummary:
    """Show the proposal and the approved release, in figures and in words."""
    with _opened(at.work) as store:
        now = load_approved_release(store, at.campaign)
    found = Proposal.read(at.out) if (at.out / PROPOSAL_FILE).is_file() else None
    if found is None:
        lines = [gettext("There is no proposal in {folder}; `promolift learn` makes one.", folder=at.out)]
    else:
        lines = _lines(at, found)
    if now is None:
        lines.append(
            gettext(
                "Approved now: nothing for campaign {campaign}; its plans start from their own terms.",
                campaign=at.campaign,
            )
        )
    else:
        lines.append(
            gettext(
                "Approved now: version {version} of campaign {campaign}{learned}.",
                version=now.policy_version, campaign=at.campaign, learned=_learned(now),
            )
        )  # fmt: skip
    if found is not None and not found.decided:
        lines.append(gettext("To decide: `promolift learn approve` or `promolift learn reject`."))
    figures = {
        "step": "learn show",
        "proposal": None if found is None else found.to_json(),
        "approved": None if now is None else now.model_dump(mode="json"),
    }
    return StepSummary("\n".join(lines), figures)


def show_shop_status(config: Config, work: Path, out: Path) -> StepSummary:
    """Show the shop's status and whether a proposal in `out` waits for a person; nothing is written."""
    if not exists(work):
        found = ShopStatus("data", gettext("No log has been read yet."), "promolift run")
    else:
        proposal = Proposal.read(out) if (out / PROPOSAL_FILE).is_file() else None
        with Store(work) as store:
            waiting = proposal is not None and not proposal.decided and proposal.plan == plan_fingerprint(store)
            found = shop_status(config, store, waiting)
    figures = {"step": "next", "stage": found.stage, "what": found.what, "next": found.command}
    return StepSummary(found.text, figures)


def approve_proposal(at: ProposalLocation, sure: bool = False) -> StepSummary:
    """Let the next plans start from the proposal. What speaks against it is refused unless the person is `sure`.

    What it replaces is written first, the proposal is marked last: an interruption in between leaves a proposal that
    waits and can be approved again. StepError or ConfigError, with the remedy, where it may not be.
    """
    found = _waiting(at)
    with _opened(at.work) as store:
        doubts = (*found.doubts(), *_other_plan(found, store, at))
        if doubts and not sure:
            raise StepError(
                "confirmation_required",
                gettext_lazy(
                    "not approved: {why}; `promolift learn approve --yes` approves it all the same",
                    why=join_messages(SEMICOLON, *doubts),
                ),
            )
        before = load_approved_release(store, at.campaign)
        if before != found.release:
            found = found.model_copy(update={"replaced": before}).write(at.out)
        keep_release(store, found.release)
    found.model_copy(update={"status": "approved by a person", "decided_at": _now()}).write(at.out)
    release = found.release
    warnings = [gettext("WARNING: {doubt}", doubt=render_message(each)) for each in doubts]
    text = [
        *warnings,
        gettext(
            "approved: version {version} of campaign {campaign}{learned}",
            version=release.policy_version, campaign=release.campaign_id, learned=_learned(release),
        ),
        gettext(
            "next: `promolift run` (or `promolift plan`) plans from it; until then the plan in force stays as it is"
        ),
    ]  # fmt: skip
    figures = {
        "step": "learn approve",
        "status": "approved by a person",
        "release": release.model_dump(mode="json"),
        "warnings": list(doubts),
        "next": "promolift run",
    }
    return StepSummary("\n".join(text), figures)


def reject_proposal(at: ProposalLocation, why: str = "") -> StepSummary:
    """Mark the proposal as rejected; the release in force stays."""
    found = _waiting(at)
    said = {"status": "rejected by a person", "decided_at": _now()} | ({"note": why} if why else {})
    found.model_copy(update=said).write(at.out)
    with _opened(at.work) as store:
        now = load_approved_release(store, at.campaign)
    if now is None:
        stays = gettext("nothing was approved before")
    else:
        stays = gettext("version {version} stays approved", version=now.policy_version)
    text = gettext(
        "rejected: version {version} of campaign {campaign}; {stays}",
        version=found.release.policy_version,
        campaign=at.campaign,
        stays=stays,
    )
    return StepSummary(text, {"step": "learn reject", "status": "rejected by a person", "why": why})


def write_atomically(path: Path, text: str) -> None:
    """Write a file beside its place and put it there in one move: an interruption leaves the old one or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _opened(work: Path) -> Store:
    if not exists(work):
        raise StepError(
            "folder_not_found",
            gettext_lazy("{work}: no such work folder; run `promolift run` first, or name it with --work", work=work),
        )
    return Store(work)


def _waiting(at: ProposalLocation) -> Proposal:
    """The proposal, if a person may still decide on it and it is for this campaign."""
    found, path = Proposal.read(at.out), at.out / PROPOSAL_FILE
    if found.release.campaign_id != at.campaign:
        raise ConfigError(
            "campaign_differs",
            gettext_lazy(
                "{path}: it is for campaign {campaign}, plan.campaign is {planned}; name the settings of that campaign "
                "with --config, or run `promolift learn` on the decisions of this one",
                path=path, campaign=repr(found.release.campaign_id), planned=repr(at.campaign),
            ),
        )  # fmt: skip
    if found.decided:
        raise StepError(
            "proposal_already_decided",
            gettext_lazy(
                "{path}: {status} already ({moment}); run `promolift learn` for a new proposal",
                path=path, status=gettext_lazy(found.status), moment=found.decided_at or "-",
            ),
        )  # fmt: skip
    return found


def _other_plan(found: Proposal, store: Store, at: ProposalLocation) -> Sequence[LazyMessage]:
    """Refuses a proposal for another plan than the work folder's; a doubt where nobody can know."""
    now = plan_fingerprint(store)
    if found.plan == now:
        return ()
    if found.plan is None:
        return (gettext_lazy("it was learned without the plan of this work folder, so it may be for another one"),)
    there = (
        gettext_lazy("another plan is in the work folder now") if now else gettext_lazy("the work folder has no plan")
    )
    raise StepError(
        "result_outdated",
        gettext_lazy(
            "{path}: it was made for another plan: {there} ({work}); run `promolift learn` again on what that plan "
            "decided, or name its work folder with --work",
            path=at.out / PROPOSAL_FILE, there=there, work=at.work,
        ),
    )  # fmt: skip


def _lines(at: ProposalLocation, found: Proposal) -> list[str]:
    say = partial(money, currency=at.config.shop.currency, sign=True)
    release = found.release
    status = gettext(found.status)
    if found.decided_at:
        status = gettext("{first}, {then}", first=status, then=found.decided_at)
    place = {"path": at.out / PROPOSAL_FILE, "status": status}
    lines = [gettext(PROPOSED[found.kind], **place)]
    lines.append(
        gettext(
            "For campaign {campaign}, as version {version}. What changes:",
            campaign=release.campaign_id,
            version=release.policy_version,
        )
    )
    lines += [f"- {render_message(change)}" for change in found.changes]
    low, high = (say(end) for end in found.expected_interval)
    lines.append(
        gettext(
            "Expected over no offers: {gain} per customer ({low} to {high}, 95 %).",
            gain=say(found.expected_per_customer),
            low=low,
            high=high,
        )
    )
    why = render_message(found.why)
    if found.within_guardrails:
        return [*lines, gettext("Why: {why}; nothing speaks against the draws.", why=why)]
    return [*lines, gettext("Why: {why}; the draws CANNOT be trusted.", why=why)]


def _learned(release: ReleaseTerms) -> str:
    states = [each.state for each in release.effects]
    if not states:
        return ""
    return in_brackets(
        gettext(
            "{given} lines given by group, {tested} tested", given=states.count("give"), tested=states.count("test")
        )
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
