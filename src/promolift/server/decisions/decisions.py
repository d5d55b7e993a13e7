"""Decide a batch of waiting requests at the current price, and record each decision.

`Decider.work` runs in the ledger's writer: it decides on what it reads in the same transaction, and no answer leaves
before its record is durable. Several requests are scored in one call; decisions do not depend on how requests are
batched.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Connection, insert, select, update

from promolift.core import decisions
from promolift.core.customers.consent import OPTED_OUT_REASON
from promolift.core.customers.reason_text import CONSENT
from promolift.core.decisions.decision_rule import NONE
from promolift.core.experiments.experiment_design import assign_arms
from promolift.core.offers import coupon_codes
from promolift.foundation.errors import PromoError, SupportError
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.time.clock import Clock
from promolift.server.decisions import decision_record as record
from promolift.server.decisions.budget_meter import BudgetMeter, load_pace
from promolift.server.decisions.decision_record import Row
from promolift.server.decisions.eligibility import (
    KEY_SEPARATOR,
    CustomerFacts,
    RecentActivity,
    find_exclusions,
    load_customer_facts,
    load_recent_activity,
)
from promolift.server.decisions.live_release import LiveRelease, Slate
from promolift.server.decisions.release_candidates import (
    candidates,
    close_before_sent,
    close_ended,
    contact_refusals,
    max_discount_cents,
    offer_ends_ms,
    place_of,
    warm_up,
)
from promolift.server.decisions.release_period import closed_by_time
from promolift.server.decisions.release_storage import load_shared_release, open_shared_releases
from promolift.server.ledger.audit_log import put_record
from promolift.server.ledger.limits import exhausted_offers
from promolift.server.ledger.policy import Policy
from promolift.server.ledger.records import Campaign, StoredPromotion
from promolift.server.ledger.schema import (
    CODES,
    DECISIONS,
    IS_STOCK_CODE,
    RECORDS,
    Query,
    campaign_lock,
    customer_lock,
    require_lock,
    transaction_cache,
)

LOG = logging.getLogger("promolift.server")
RELOAD_AFTER_S = 10.0  # between two tries to load a release
UNLOAD_AFTER_S = 600.0  # a release that no campaign needs is kept so long for those who look at it
CAMPAIGNS_CACHE_KEY = (Campaign, "as kept")
SELECT_CAMPAIGNS = Query(
    select(RECORDS.c.id, RECORDS.c.body).where(RECORDS.c.kind == "campaign").order_by(RECORDS.c.id)
)
INSERT_DECISIONS = Query(insert(DECISIONS).inline())
INSERT_CODES = Query(insert(CODES).inline())


@dataclass(slots=True)
class DecisionRequest:
    """One request. The caller sets `cancelled` when it no longer waits: then nothing is decided."""

    customer_id: str
    campaign_id: str | Sequence[str] | None = None  # None: all that are live
    channel: str = "site"
    zone: str | None = None
    channels: Sequence[str] = ()
    placement: str | None = None  # where a creative is to be shown; None: an offer is asked for
    audience: str | None = None
    cancelled: bool = False


@dataclass(frozen=True)
class DecisionResult:
    """A decision. `record` is its row of `decisions`, made by `terms`; None where no release could be used."""

    offer_id: str
    reason: str
    record: Row | None = None
    terms: decisions.ReleaseTerms | None = None
    ends_ms: int | None = None  # the last moment of the release: no offer holds longer
    lately: RecentActivity | None = None  # what the customer did in the last minutes: their message may say so
    general: Sequence[Row] | None = None  # who refused personal decisions: the promotions that everybody has


class GroupTerms(NamedTuple):
    """The terms of decisions, and JSON of how they differ from the release's own terms."""

    terms: decisions.ReleaseTerms
    changed: str


@dataclass(frozen=True, eq=False)
class LiveCampaign:
    """A campaign that decides: it is not paused, and has a release."""

    campaign_id: str
    state: Campaign

    def group(self, customer_id: str) -> "DecisionGroup":
        """Return the group that the customer is decided with."""
        test, release = self.state.test, self.state.release or ""
        if test is None:
            return DecisionGroup(self, None, release)
        (arm,) = assign_arms([customer_id], test.design)
        return DecisionGroup(self, arm, test.releases.get(arm, release))

    @lru_cache(maxsize=64)  # noqa: B019 - campaigns live as long as they are unchanged
    def terms(self, release: LiveRelease) -> GroupTerms:
        """The release's terms with the policy and the experiment's holdout."""
        version = f"{release.release_id}.{self.state.policy_version}"
        changed: dict[str, Any] = {"campaign_id": self.campaign_id, "policy_version": version}
        for name in ("explore", "priority"):
            if (own := getattr(self.state.policy, name)) is not None:
                changed[name] = own
        if self.state.test:
            design = self.state.test.design
            changed |= {"holdout_share": design.holdout_share, "holdout_salt": design.holdout_salt}
        terms = release.terms.model_copy(update=changed)
        return GroupTerms(terms, record.changed_terms(terms, release.terms))


class DecisionGroup(NamedTuple):
    """Customers who are decided in one call: those of a campaign in one arm of its experiment, with one release."""

    campaign: LiveCampaign
    arm: str | None
    release_id: str


class ScoredSlate(NamedTuple):
    """What a campaign has for one customer, and what it decided."""

    slate: Slate
    choice: decisions.Choice


@dataclass(frozen=True)
class DecidedGroup:
    """What was decided of some customers before it is kept: by whom, the answers, what was known of them, the meter of
    a paced campaign, and what was weighed.
    """

    group: DecisionGroup
    release: LiveRelease
    terms: decisions.ReleaseTerms
    answers: dict[str, DecisionResult]
    known: CustomerFacts
    meter: "BudgetMeter | None"
    weighed: dict[str, ScoredSlate]

    @property
    def rows(self) -> list[Row]:
        """For `decisions`."""
        return [each.record for each in self.answers.values() if each.record]

    @property
    def paid(self) -> float:
        """What the offers given cost."""
        each = (self.weighed[who] for who in self.answers)
        given = [place_of(one.slate, one.choice.slot) for one in each if one.choice.slot >= 0]
        return float(sum(self.release.rows.cost_O[given].tolist()))

    def bid(self, who: str) -> decisions.Bid:
        """What it has for a customer, before anything is drawn."""
        slate, choice = self.weighed[who]
        name, priority, rows = self.group.campaign.campaign_id, self.terms.priority, self.release.rows
        if choice.best < 0:
            return decisions.Bid(name, priority, NONE, 0.0)
        at, price = place_of(slate, choice.best), 0.0 if self.release.creatives is not None else self.terms.price
        return decisions.Bid(name, priority, rows.name(at), float(rows.worth_O[at] - price * rows.cost_O[at]))


class DecisionRound(NamedTuple):
    """What was decided together: the groups to record, and the results in the order of the requests."""

    groups: list[DecidedGroup]
    answers: list[DecisionResult]


class Decider:
    """Releases in memory, and the ledger work that decides. One per process."""

    def __init__(self, root: Path, secret: str, clock: Clock, place: str | None = None) -> None:
        """`secret` makes codes, `clock` the moments that decisions have; releases are shared at `place`."""
        self.root, self.secret, self.clock, self.place = root, secret, clock, place
        self.releases: dict[str, LiveRelease] = {}
        self._campaigns: dict[str, tuple[str, LiveCampaign | None]] = {}
        self._loading = threading.Lock()
        self._tried: dict[str, float] = {}  # when loading was begun last
        self._used: dict[str, float] = {}  # when each was asked for last, but by decisions
        self.hours: decisions.ResponseHours | None = None  # at which hours customers answer; None: not learned yet
        self._counting: set[str] = set()  # campaigns whose decisions share a pace or a stock of codes

    def ensure(self, release_id: str) -> LiveRelease:
        """The release, loaded if it is not yet; other requests go on meanwhile."""
        self._used[release_id] = monotonic()
        with self._loading:
            if release_id not in self.releases:
                release = load_shared_release(self.place, self.root, release_id)
                warm_up(release)
                self.releases = self.releases | {release_id: release}
            return self.releases[release_id]

    def ensure_everywhere(self, release_id: str) -> LiveRelease:
        """The same, and it is where other servers find it. StepError if it cannot be sent there."""
        release = self.ensure(release_id)
        if self.place is not None:
            open_shared_releases(self.place).send(self.root / "serve" / "releases" / release_id)
        return release

    def _load_soon(self, release_id: str) -> None:
        """Load a release that another process has activated, beside the requests; a failure is tried again later."""

        def loading() -> None:
            try:
                self.ensure(release_id)
            except PromoError as error:
                LOG.error("release cannot be loaded", extra={"release": release_id, "detail": str(error)})

        if monotonic() - self._tried.get(release_id, -RELOAD_AFTER_S) >= RELOAD_AFTER_S:
            self._tried[release_id] = monotonic()
            threading.Thread(target=loading, daemon=True).start()

    def refresh_releases(self, needed: set[str]) -> None:
        """Load releases that campaigns need, and unload those that nobody needs or requested lately."""
        for release_id in sorted(needed - self.releases.keys()):
            self._load_soon(release_id)
        old = [name for name in self.releases if monotonic() - self._used.get(name, 0.0) > UNLOAD_AFTER_S]
        with self._loading:
            self.releases = {name: one for name, one in self.releases.items() if name in needed or name not in old}

    def locks(self, _: Connection, asks: Sequence[DecisionRequest]) -> set[str]:
        """The customers, whose caps and codes count what came before, and campaigns whose decisions share something."""
        named = {one for ask in asks for one in requested_campaigns(ask.campaign_id, self._counting)}
        return {customer_lock(ask.customer_id) for ask in asks} | {campaign_lock(one) for one in named & self._counting}

    def work(self, db: Connection, asks: Sequence[DecisionRequest]) -> list[DecisionResult]:
        """Decide all of `asks` and record it. Two requests for one customer and the same campaigns share one decision;
        of other campaigns, and for creatives, they are decided one after the other, so that caps count the first.
        """
        answers: dict[int, DecisionResult] = {}
        left: Sequence[int] = range(len(asks))
        while left:
            first: dict[str, object] = {}
            here = [
                at
                for at in left
                if first.setdefault(asks[at].customer_id, _shared(asks[at], at)) == _shared(asks[at], at)
            ]
            now_ms = self.clock.next_ms()
            made = self._decided(db, [asks[at] for at in here], now_ms, self._loaded)
            for group in made.groups:
                self._keep(db, group, now_ms)
            answers |= zip(here, made.answers, strict=True)
            left = [at for at in left if at not in answers] if len(here) < len(left) else ()
        return [answers[at] for at in range(len(asks))]

    def _loaded(self, release_id: str) -> LiveRelease | None:
        """A release that is in memory; None for one that is not, which is loaded beside the requests."""
        release = self.releases.get(release_id)
        if release is None:
            self._load_soon(release_id)
        return release

    def _decided(
        self,
        db: Connection,
        asks: Sequence[DecisionRequest],
        now_ms: int,
        release_of: Callable[[str], LiveRelease | None],
    ) -> DecisionRound:
        """What is decided of each, by reading alone. Of several campaigns one decides (`deliver.arbitrate`)."""
        running = self._running(db)
        release_of = cache(release_of)  # one that finishes loading meanwhile is there from the next round on
        meeting = [_meeting(ask, running, release_of, now_ms) for ask in asks]
        groups: dict[DecisionGroup, dict[str, DecisionRequest]] = {}
        for ask, found in zip(asks, meeting, strict=True):
            for group in found.groups:
                groups.setdefault(group, {}).setdefault(ask.customer_id, ask)
        together = Counter[str]()  # customers of each campaign, whatever their arm: they share its budget
        for group, mine in groups.items():
            together[group.campaign.campaign_id] += len(mine)
        made = {
            group: self._settled(db, group, release, mine, now_ms, together[group.campaign.campaign_id])
            for group, mine in groups.items()
            if (release := release_of(group.release_id))
        }
        rivals = {ask.customer_id: found.groups for ask, found in zip(asks, meeting, strict=True) if found.groups[1:]}
        for who, some in rivals.items():
            if len(there := [made[group] for group in some if group in made]) > 1:
                _settle_rivals(who, there)
        answers = {who: answer for each in made.values() for who, answer in each.answers.items()}
        return DecisionRound(
            list(made.values()),
            [
                answers.get(ask.customer_id, found.without) if found.groups else found.without
                for ask, found in zip(asks, meeting, strict=True)
            ],
        )

    def _keep(self, db: Connection, made: DecidedGroup, now_ms: int) -> None:
        """Record what was decided, with its codes and what it cost; of who was erased nothing is kept."""
        erased = {who for who, said in made.known.customers.items() if said["erased"]}
        if rows := [row for row in made.rows if row["customer_id"] not in erased]:
            if made.meter:
                made.meter.count(db, made.paid, len(rows), now_ms)
            if made.release.creatives is None:
                self._give_codes(db, made, rows, now_ms)
            INSERT_DECISIONS.many(db, rows)

    def _running(self, db: Connection) -> dict[str, LiveCampaign | None]:
        """All campaigns as they stand, None for those that do not decide; read anew where they were changed."""
        found, kept = {}, transaction_cache(db)
        rows = kept[CAMPAIGNS_CACHE_KEY] = (
            kept[CAMPAIGNS_CACHE_KEY] if CAMPAIGNS_CACHE_KEY in kept else SELECT_CAMPAIGNS.rows(db)
        )
        for id_, body in rows:
            known = self._campaigns.get(id_)
            if known is None or known[0] != body:
                state = Campaign.model_validate_json(body)
                known = body, LiveCampaign(id_, state) if state.release and not state.paused else None
            found[id_] = known
        self._campaigns = found
        return {id_: campaign for id_, (_, campaign) in found.items()}

    def preview(self, db: Connection, ask: DecisionRequest) -> DecisionResult:
        """Return what would be decided now; nothing is stored or used. For a read-only connection."""
        return self._decided(db, [ask], self.clock.now_ms(), self.ensure).answers[0]

    def cost_of(self, db: Connection, decision_id: str) -> float:
        """What an offer that was decided on is reckoned to cost, in cents; 0 where its release is gone."""
        row = db.execute(select(DECISIONS).where(DECISIONS.c.decision_id == decision_id)).first()
        with suppress(PromoError):
            release = self.ensure(row.release_id) if row else None
            if row and release:
                options = release.rows.options(release.span(row.customer_id))
                return sum(each.cost_cents for each in options if each.offer_id == row.offer_id)
        return 0.0

    def give_back(self, db: Connection, decision_id: str, cost: float, now_ms: int) -> None:
        """A campaign's paced budget gets back what an offer that never went out was reckoned to cost. Its code ends, or
        it could cost that yet; not if it was given again meanwhile.
        """
        row = DECISIONS.c
        some = select(row.campaign_id, row.ts_ms, row.customer_id, row.code).where(row.decision_id == decision_id)
        made = db.execute(some).first()
        campaign = Campaign.find(db, made.campaign_id) if made else None
        pacing = campaign.policy.pacing if campaign else None
        if made and pacing and pacing.starts_ms <= made.ts_ms <= pacing.ends_ms:
            pace = load_pace(db, made.campaign_id, pacing.starts_ms)
            pace = replace(pace, spent=max(0.0, pace.spent - cost))
            put_record(db, "pace", made.campaign_id, {"pace": asdict(pace), "starts_ms": pacing.starts_ms}, now_ms)
            theirs = row.customer_id == made.customer_id, row.code == made.code
            later = select(row.decision_id).where(*theirs, row.ts_ms > made.ts_ms).exists()
            db.execute(update(CODES).where(CODES.c.code == made.code, ~later).values(expires_ms=now_ms))

    def _settled(
        self,
        db: Connection,
        group: DecisionGroup,
        release: LiveRelease,
        asks: dict[str, DecisionRequest],
        now_ms: int,
        together: int,
    ) -> DecidedGroup:
        """What one campaign decides of each, by reading alone; so many `together` share what is left of its budget."""
        campaign, arm, release_id = group
        people, policy = sorted(asks), campaign.state.policy
        known = load_customer_facts(db, campaign.campaign_id, people)
        end_ms = campaign.state.ends_ms(release_id)
        lately = load_recent_activity(db, people, policy, release.first_ms(end_ms), now_ms)
        closed = find_exclusions(db, release, policy, [asks[who] for who in people], known, lately, now_ms, self.hours)
        ends = offer_ends_ms(release, end_ms) if closed.slots else {}
        close_ended(closed, release, end_ms, people, now_ms)
        close_before_sent(closed, release, ends)
        meter = BudgetMeter.of(db, campaign.campaign_id, campaign.state.policy.pacing, release, now_ms)
        refusals = contact_refusals(release, people, known)
        seen_by: list[str | None] = [asks[who].audience for who in people]
        if release.creatives is not None:
            closed.all = closed.all or (
                None if meter else gettext_noop("pacing: the plan's time has not begun, or is over")
            )
            seen_by = [None if why else seen for seen, why in zip(seen_by, refusals, strict=True)]
            gone = {who for who, said in known.customers.items() if said["erased"]}
            refusals = [why if who in gone else None for who, why in zip(people, refusals, strict=True)]
        cells = [release.cell(asks[who].placement, seen) for who, seen in zip(people, seen_by, strict=True)]
        slates = candidates(release, people, closed, cells)
        if meter or known.stock:
            self._counting.add(campaign.campaign_id)
            require_lock(db, campaign_lock(campaign.campaign_id))
        slates = meter.close(release.rows, slates, together) if meter else slates
        terms, changed = campaign.terms(release)
        if meter:
            terms = terms.model_copy(update={"price": meter.price})
        places = [slice(0, 0) if why else slate.at_O for slate, why in zip(slates, refusals, strict=True)]
        chosen = decisions.choose_offers(release.rows.open_offers(people, refusals, places), terms, now_ms)
        test = campaign.state.test
        shared = {
            "campaign_id": terms.campaign_id, "policy_id": terms.policy_id, "policy_version": terms.policy_version,
            "candidates": None, "ineligible": None, "seed": terms.seed, "release_id": release_id,
            "terms": changed, "price": terms.price, "variant": arm, "unanswered": 0, "code": None,
            "experiment_id": test.design.name if test else None, "send_ms": None, "send_prob": None, "considered": None,
        }  # fmt: skip
        weighed = dict(zip(people, map(ScoredSlate, slates, chosen), strict=True))
        answers = {}
        for cell, (who, (slate, choice)) in zip(cells, weighed.items(), strict=True):
            own_columns = {"customer_id": who, "ts_ms": now_ms, "channel": asks[who].channel}
            row = _row(shared | own_columns, release, slate, choice)
            own = terms
            if cell is not None:
                own = terms.model_copy(update=cell._asdict())
                row["terms"] = record.changed_terms(own, release.terms)
                row["reason"] = decisions.creative_reason(own) if choice.slot >= 0 else choice.reason
            if who in closed.slots:
                last_ms = ends.get(row["offer_id"], 0)
                ways = closed.own_slots.get(who + KEY_SEPARATOR + row["offer_id"], closed.slots[who])
                slots = [slot for slot in ways if slot.send_ms <= last_ms]
                row |= _sent(slots, policy, row, terms.seed)
            general = (
                self._general(db, asks[who], now_ms)
                if row["reason"] == CONSENT.format(reason=OPTED_OUT_REASON)
                else None
            )
            answers[who] = DecisionResult(row["offer_id"], row["reason"], row, own, end_ms, lately.get(who), general)
        return DecidedGroup(group, release, terms, answers, known, meter, weighed)

    def _general(self, db: Connection, ask: DecisionRequest, now_ms: int) -> list[Row]:
        """What everybody has in the live campaigns that were asked for: promotions that run and are not used up."""
        running, at = self._running(db), datetime.fromtimestamp(now_ms / 1000, UTC)
        full = {
            name: exhausted_offers(db, name, now_ms)
            for name in requested_campaigns(ask.campaign_id, running)
            if running.get(name)
        }
        return [
            {"promotion_id": name, "campaign_id": one.campaign_id, **one.terms.model_dump(mode="json")}
            for name, one in StoredPromotion.all(db).items()
            if one.holder == "everybody" and one.runs(at) and not full.get(one.campaign_id, {""}) & {"", name}
        ]

    def _give_codes(self, db: Connection, decided: DecidedGroup, rows: list[Row], now_ms: int) -> None:
        """The code of each offer into its row; new codes are kept in one statement. A code ends with its offer."""
        release, known, made = decided.release, decided.known, []
        end_ms = decided.group.campaign.state.ends_ms(release.release_id)
        ends = offer_ends_ms(release, end_ms)
        for row in rows:
            offer = row["offer_id"]
            if offer == NONE:
                continue
            held, lasts_ms = known.codes.get((row["customer_id"], offer)), ends.get(offer)
            given = {"expires_ms": lasts_ms, "cap_cents": max_discount_cents(release, offer)}
            if held is not None:
                row["code"] = held["code"]
                shorter = lasts_ms is not None and (held["expires_ms"] or lasts_ms) < lasts_ms  # of an earlier release
                if shorter or (held["cap_cents"] is None and given["cap_cents"] is not None):
                    db.execute(update(CODES).where(CODES.c.code == held["code"]).values(**given))
            elif offer in known.stock:
                row["code"] = _from_stock(db, row, given)
            else:
                own = {name: row[name] for name in ("campaign_id", "customer_id", "offer_id")}
                row["code"] = coupon_codes.coupon_code(own["campaign_id"], own["customer_id"], offer, self.secret)
                made.append(own | given | {"code": row["code"], "status": "issued", "stocked": 0})
        INSERT_CODES.many(db, made)


def _from_stock(db: Connection, row: Row, given: dict[str, int | None]) -> str:
    """One of the shop's own codes; SupportError if those decided together want more than there are.

    Then the ledger tries them one by one, and the last finds the offer closed.
    """
    mine = select(CODES.c.code).where(
        CODES.c.campaign_id == row["campaign_id"], IS_STOCK_CODE, CODES.c.status == "stock"
    )
    code = db.execute(mine.where(CODES.c.offer_id == row["offer_id"]).limit(1)).scalar()
    if code is None:
        raise SupportError(
            "code_stock_empty", gettext_lazy("codes: the stock of {offer_id} ended", offer_id=row["offer_id"])
        )
    taken = given | {"status": "issued", "customer_id": row["customer_id"]}
    db.execute(update(CODES).where(CODES.c.code == code).values(**taken))
    return str(code)


def _sent(slots: Sequence[decisions.SendSlot], policy: Policy, row: Row, seed: int) -> Row:
    """Columns of a row that say on which channel and when its offer is sent; without an offer nothing is."""
    if row["offer_id"] == NONE or policy.sending is None:
        return {"channel": None}
    slot, prob = decisions.draw_send_slot(slots, policy.sending.explore, seed, row["decision_id"])
    return {**slot._asdict(), "send_prob": prob}


def _settle_rivals(who: str, rivals: Sequence[DecidedGroup]) -> None:
    """One of the campaigns decides for a customer and says why; the others have no part in it."""
    bids = [each.bid(who) for each in rivals]
    won, why = decisions.arbitrate(bids)
    for at, each in enumerate(rivals):
        if at != won:
            del each.answers[who]
    record = rivals[won].answers[who].record
    assert record is not None
    record["considered"] = to_json({"why": why, "campaigns": [each._asdict() for each in bids]}).decode()


def _row(shared: Row, release: LiveRelease, slate: Slate, decided: decisions.Choice) -> Row:
    offer = release.rows.name(place_of(slate, decided.slot)) if decided.slot >= 0 else NONE
    return {
        **shared,
        "decision_id": decided.decision_id, "offer_id": offer,
        "propensity": decided.propensity, "holdout": decided.holdout, "reason": decided.reason,
        "closed": to_json(slate.closed).decode() if slate.closed else None,
    }  # fmt: skip


def mark_unanswered(db: Connection, decision_ids: Sequence[str]) -> list[None]:
    """Note that the shop did not get these decisions in time: they count for no cap and no experiment."""
    db.execute(update(DECISIONS).where(DECISIONS.c.decision_id.in_(decision_ids)).values(unanswered=1))
    return [None for _ in decision_ids]


def last_decision_ms(db: Connection) -> int:
    """Return the time of the latest decision, 0 before the first: ids rise with time."""
    return db.execute(select(DECISIONS.c.ts_ms).order_by(DECISIONS.c.decision_id.desc()).limit(1)).scalar() or 0


class RequestedGroups(NamedTuple):
    """The campaigns that a request asks, each with whom it decides the customer; what is answered without any."""

    groups: list[DecisionGroup]
    without: DecisionResult


def requested_campaigns(campaigns: str | Sequence[str] | None, every: Iterable[str]) -> Iterable[str]:
    """Return the campaigns that a request names; all of `every` where it names none."""
    return (campaigns,) if isinstance(campaigns, str) else campaigns or every


def _shared(ask: DecisionRequest, at: int) -> object:
    """What requests of one customer that share a decision have in common; each creative is an impression of its own."""
    return ask.campaign_id if ask.placement is None else at


def _meeting(
    ask: DecisionRequest,
    running: dict[str, LiveCampaign | None],
    release_of: Callable[[str], LiveRelease | None],
    now_ms: int,
) -> RequestedGroups:
    if ask.cancelled:
        return RequestedGroups([], DecisionResult(NONE, gettext_noop("timeout: nobody waits any more")))
    named = requested_campaigns(ask.campaign_id, running)
    every = [found.group(ask.customer_id) for name in sorted(set(named)) if (found := running.get(name))]
    groups = [one for one in every if _asked_for(ask, release_of(one.release_id))]
    closed = [closed_by_time(one.campaign.state, one.release_id, now_ms) for one in groups]
    if groups and all(closed):
        return RequestedGroups([], DecisionResult(NONE, str(closed[0])))
    groups = [one for one, over in zip(groups, closed, strict=True) if not over]
    why = (
        gettext_noop("release: still being loaded")
        if groups
        else gettext_noop("campaign: unknown, paused or without a release")
    )
    if every and not groups:
        why = (
            gettext_noop("campaign: has offers, no creatives")
            if ask.placement
            else gettext_noop("campaign: has creatives, for a placement alone")
        )
    return RequestedGroups(groups, DecisionResult(NONE, why))


def _asked_for(ask: DecisionRequest, release: LiveRelease | None) -> bool:
    """Whether a release has what is asked for, creatives or offers; one that is still being loaded may have it."""
    return release is None or (release.creatives is None) == (ask.placement is None)
