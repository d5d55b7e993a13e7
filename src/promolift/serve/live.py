"""Requests that wait together in; one recorded decision each out, made by the batch's own code at the current price.

`Decider.work` runs in the ledger's writer: what it reads is what it decides on, and no answer leaves before its record
is durable. Several requests are scored and decided in one call; a customer's decision does not hang on who came with
them.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from time import monotonic
from typing import NamedTuple

import polars as pl
from pydantic_core import to_json
from sqlalchemy import Connection, insert, select, update

from promolift import deliver
from promolift.allocate.pace import Forecast, Pace, PriceNow
from promolift.deliver.decide import NONE
from promolift.errors import PromoError, SupportError
from promolift.learn.experiment import assign
from promolift.privacy import may_send
from promolift.serve import record
from promolift.serve.clock import Clock
from promolift.serve.closed import Closed, Facts, Now, closed_now, facts, recent
from promolift.serve.events import BY_PAGE
from promolift.serve.record import Row
from promolift.serve.release import NOBODY, LiveRelease, ReleaseRows, Slate, load
from promolift.serve.things import Campaign
from promolift.sql import DAY_MS
from promolift.store.ledger_audit import get, put
from promolift.store.ledger_schema import CODES, DECISIONS, STOCKED, THINGS, Query
from promolift.terms import covered

LOG = logging.getLogger("promolift.serve")
AGAIN_S = 10.0  # between two tries to load a release
IDLE_S = 600.0  # a release that no campaign needs is kept so long for those who look at it
CAMPAIGNS = Query(select(THINGS.c.id, THINGS.c.body).where(THINGS.c.kind == "campaign").order_by(THINGS.c.id))
KEEP = Query(insert(DECISIONS).inline())
ISSUE = Query(insert(CODES).inline())


@dataclass(slots=True)
class Ask:
    """One request. `given_up` is set by the caller when it no longer waits: then nothing is decided."""

    customer_id: str
    campaign_id: str | None = None
    channel: str = "site"
    zone: str | None = None
    given_up: bool = False


@dataclass(frozen=True)
class Answer:
    """What was decided. `record` is the row of `decisions`, made by `terms`; None where no release could be asked."""

    offer_id: str
    reason: str
    record: Row | None = None
    terms: deliver.ReleaseTerms | None = None
    lately: Now | None = None  # what the customer did in the last minutes: their message may say so


class GroupTerms(NamedTuple):
    """What decisions are made by, and JSON of how that differs from the release's own terms."""

    terms: deliver.ReleaseTerms
    changed: str


@dataclass(frozen=True, eq=False)
class Running:
    """A campaign that decides, as it stands: it is not paused, and has a release."""

    campaign_id: str
    state: Campaign

    def group(self, customer_id: str) -> "Group":
        """Whom the customer is decided with."""
        test, release = self.state.test, self.state.release or ""
        if test is None:
            return Group(self, None, release)
        (arm,) = assign([customer_id], test.design)
        return Group(self, arm, test.releases.get(arm, release))

    @lru_cache(maxsize=64)  # noqa: B019 - campaigns live as long as they are unchanged
    def terms(self, release: LiveRelease) -> GroupTerms:
        """The release's terms with the policy and the experiment's holdout."""
        version = f"{release.release_id}.{self.state.policy_version}"
        changed: dict[str, str | float] = {"campaign_id": self.campaign_id, "policy_version": version}
        if self.state.policy.explore is not None:
            changed["explore"] = self.state.policy.explore
        if self.state.test:
            design = self.state.test.design
            changed |= {"holdout_share": design.holdout_share, "holdout_salt": design.holdout_salt}
        terms = release.terms.model_copy(update=changed)
        return GroupTerms(terms, record.changed_terms(terms, release.terms))


class Group(NamedTuple):
    """Whom one call decides on: those of a campaign in one arm of its experiment, served from one release."""

    campaign: Running
    arm: str | None
    release_id: str


class DecidedGroup(NamedTuple):
    """What was decided of some customers before it is kept: rows of `decisions`, the answers, what was known of them,
    the meter of a paced campaign, and what each offer costs.
    """

    rows: list[Row]
    answers: dict[str, Answer]
    known: Facts
    meter: "Meter | None"
    paid: list[float]


class Decider:
    """Releases in memory, and the work that decides. One per process."""

    def __init__(self, root: Path, secret: str, clock: Clock) -> None:
        """`secret` makes codes, `clock` the moments that decisions have."""
        self.root, self.secret, self.clock = root, secret, clock
        self.releases: dict[str, LiveRelease] = {}
        self._campaigns: dict[str, tuple[str, Running | None]] = {}
        self._loading = threading.Lock()
        self._tried: dict[str, float] = {}  # when loading was begun last
        self._used: dict[str, float] = {}  # when each was asked for last, but by decisions

    def ensure(self, release_id: str) -> LiveRelease:
        """The release, loaded if it is not yet; other requests go on meanwhile."""
        self._used[release_id] = monotonic()
        with self._loading:
            if release_id not in self.releases:
                release = load(self.root, release_id)
                warm_up(release)
                self.releases = self.releases | {release_id: release}
            return self.releases[release_id]

    def _load_soon(self, release_id: str) -> None:
        """Load a release that another process has activated, beside the requests; a failure is tried again later."""

        def loading() -> None:
            try:
                self.ensure(release_id)
            except PromoError as error:
                LOG.error("release cannot be loaded", extra={"release": release_id, "detail": str(error)})

        if monotonic() - self._tried.get(release_id, -AGAIN_S) >= AGAIN_S:
            self._tried[release_id] = monotonic()
            threading.Thread(target=loading, daemon=True).start()

    def tend(self, needed: set[str]) -> None:
        """Load what campaigns need and is missing, unload what nobody needs nor asked for lately."""
        for release_id in sorted(needed - self.releases.keys()):
            self._load_soon(release_id)
        old = [name for name in self.releases if monotonic() - self._used.get(name, 0.0) > IDLE_S]
        with self._loading:
            self.releases = {name: one for name, one in self.releases.items() if name in needed or name not in old}

    def work(self, db: Connection, asks: Sequence[Ask]) -> list[Answer]:
        """Decide all of `asks` and record it. Two requests for one customer and campaign share one decision."""
        now_ms = self.clock.next_ms()
        running = self._running(db)
        groups: dict[Group, dict[str, Ask]] = {}
        places: list[Answer | Group] = []
        for ask in asks:
            campaign = _campaign(ask, running)
            if isinstance(campaign, Answer):
                places.append(campaign)
                continue
            places.append(group := campaign.group(ask.customer_id))
            groups.setdefault(group, {}).setdefault(ask.customer_id, ask)
        done = {group: self._group(db, group, mine, now_ms) for group, mine in groups.items()}
        return [
            place if isinstance(place, Answer) else done[place][ask.customer_id]
            for ask, place in zip(asks, places, strict=True)
        ]

    def _running(self, db: Connection) -> dict[str, Running | None]:
        """All campaigns as they stand, None for those that do not decide; read anew where they were changed."""
        found = {}
        for id_, body in CAMPAIGNS.rows(db):
            known = self._campaigns.get(id_)
            if known is None or known[0] != body:
                state = Campaign.model_validate_json(body)
                known = body, Running(id_, state) if state.release and not state.paused else None
            found[id_] = known
        self._campaigns = found
        return {id_: campaign for id_, (_, campaign) in found.items()}

    def _group(self, db: Connection, group: Group, asks: dict[str, Ask], now_ms: int) -> dict[str, Answer]:
        release = self.releases.get(group.release_id)
        if release is None:
            self._load_soon(group.release_id)
            return {who: Answer(NONE, "release: still being loaded") for who in asks}
        made = self._settled(db, group, release, asks, now_ms)
        if made.meter:
            made.meter.count(db, sum(made.paid), len(made.rows), now_ms)
        self._give_codes(db, release, made.rows, made.known, now_ms)
        KEEP.many(db, made.rows)
        return made.answers

    def dry(self, db: Connection, ask: Ask) -> Answer:
        """What would be decided now; nothing is kept, no code is given, no budget used. For a reading connection."""
        campaign = _campaign(ask, self._running(db))
        if isinstance(campaign, Answer):
            return campaign
        group = campaign.group(ask.customer_id)
        release = self.ensure(group.release_id)
        made = self._settled(db, group, release, {ask.customer_id: ask}, self.clock.now_ms())
        return made.answers[ask.customer_id]

    def _settled(
        self, db: Connection, group: Group, release: LiveRelease, asks: dict[str, Ask], now_ms: int
    ) -> "DecidedGroup":
        """What is decided of each, by reading alone."""
        campaign, arm, release_id = group
        people, policy = sorted(asks), campaign.state.policy
        known = facts(db, campaign.campaign_id, people)
        lately = recent(db, people, policy.live, now_ms)
        closed = closed_now(db, release, policy, [asks[who] for who in people], known, lately, now_ms)
        slates = candidates(release, people, closed)
        meter = Meter.of(db, campaign, release, now_ms)
        slates = meter.close(release.rows, slates) if meter else slates
        terms, changed = campaign.terms(release)
        if meter:
            terms = terms.model_copy(update={"price": meter.price})
        refusals = _refusals(release, people, known)
        places = [slice(0, 0) if why else slate.at_O for slate, why in zip(slates, refusals, strict=True)]
        worth, cost = ([column[at] for at in places] for column in (release.rows.worth_O, release.rows.cost_O))
        decided = deliver.verdicts(people, worth, cost, refusals, terms, now_ms)
        paid = [float(mine[each.slot]) for each, mine in zip(decided, cost, strict=True) if each.slot >= 0]
        test = campaign.state.test
        shared = {
            "campaign_id": terms.campaign_id, "policy_id": terms.policy_id, "policy_version": terms.policy_version,
            "candidates": None, "ineligible": None, "seed": terms.seed, "release_id": release_id,
            "terms": changed, "price": terms.price, "variant": arm, "unanswered": 0, "code": None,
            "experiment_id": test.design.name if test else None,
        }  # fmt: skip
        rows = [_row(shared, release, slate, each) for slate, each in zip(slates, decided, strict=True)]
        answers = {
            row["customer_id"]: Answer(row["offer_id"], row["reason"], row, terms, lately.get(row["customer_id"]))
            for row in rows
        }
        return DecidedGroup(rows, answers, known, meter, paid)

    def _give_codes(self, db: Connection, release: LiveRelease, rows: list[Row], known: Facts, now_ms: int) -> None:
        """The code of each offer into its row; new codes are kept in one statement."""
        made = []
        for row in rows:
            offer = row["offer_id"]
            if offer == NONE:
                continue
            held = known.codes.get((row["customer_id"], offer))
            expires = now_ms + release.menu[release.labels[offer].menu_id].valid_days * DAY_MS
            given = {"expires_ms": expires, "cap_cents": most_cents(release, offer)}
            if held is not None:
                row["code"] = held["code"]
                if (held["expires_ms"] or expires) < expires - DAY_MS:  # once a day is often enough
                    db.execute(update(CODES).where(CODES.c.code == held["code"]).values(expires_ms=expires))
            elif offer in known.stock:
                row["code"] = _from_stock(db, row, given)
            else:
                own = {name: row[name] for name in ("campaign_id", "customer_id", "offer_id")}
                row["code"] = deliver.code(own["campaign_id"], own["customer_id"], offer, self.secret)
                made.append(own | given | {"code": row["code"], "status": "issued", "stocked": 0})
        ISSUE.many(db, made)


@dataclass
class Meter:
    """The pace of a campaign within one transaction: read, used, written back."""

    campaign_id: str
    starts_ms: int
    forecast: Forecast
    pace: Pace
    now: PriceNow

    @property
    def price(self) -> float:
        """Of a cent at this moment."""
        return self.now.price

    @staticmethod
    def of(db: Connection, campaign: Running, release: LiveRelease, now_ms: int) -> "Meter | None":
        """The meter at this moment, None for a campaign without pacing or outside its time."""
        pacing = campaign.state.policy.pacing
        if pacing is None or not pacing.starts_ms <= now_ms <= pacing.ends_ms:
            return None
        kept = get(db, "pace", campaign.campaign_id) or {}
        pace = Pace(**kept["pace"]) if kept.get("starts_ms") == pacing.starts_ms else Pace()
        curve = release.frontier.select(pl.col("cost_cents").alias("cost"), "price")
        budget, able = float(release.plan.budget_cents), max(1, release.plan.able)
        forecast = Forecast.of(curve, able, budget, pacing.arrivals)
        moment = (now_ms - pacing.starts_ms) / (pacing.ends_ms - pacing.starts_ms)
        return Meter(campaign.campaign_id, pacing.starts_ms, forecast, pace, pace.reprice(forecast, moment))

    def close(self, rows: ReleaseRows, slates: Sequence[Slate]) -> list[Slate]:
        """Close what costs more than each of these customers may take of what is left: it is never passed."""
        most, why = (self.forecast.budget - self.pace.spent) / len(slates), "the budget of the paced time is spent"
        return [
            rows.close(each, lambda at: why if rows.cost_O[at] > most else None)
            if (rows.cost_O[each.at_O] > most).any()
            else each
            for each in slates
        ]

    def count(self, db: Connection, cost: float, seen: int, now_ms: int) -> None:
        """Add what `seen` decisions cost, and keep it with them."""
        pace = self.pace.after(cost, seen, self.now)
        put(db, "pace", self.campaign_id, {"pace": asdict(pace), "starts_ms": self.starts_ms}, now_ms)


def _from_stock(db: Connection, row: Row, given: dict[str, int | None]) -> str:
    """One of the shop's own codes; SupportError if those decided together want more than there are.

    Then the ledger tries them one by one, and the last finds the offer closed.
    """
    mine = select(CODES.c.code).where(CODES.c.campaign_id == row["campaign_id"], STOCKED, CODES.c.status == "stock")
    code = db.execute(mine.where(CODES.c.offer_id == row["offer_id"]).order_by(CODES.c.code).limit(1)).scalar()
    if code is None:
        raise SupportError(f"codes: the stock of {row['offer_id']} ended")
    taken = given | {"status": "issued", "customer_id": row["customer_id"]}
    db.execute(update(CODES).where(CODES.c.code == code).values(**taken))
    return str(code)


def candidates(release: LiveRelease, people: Sequence[str], closed: Closed) -> list[Slate]:
    """What each of some customers may be given now; nothing for one the release does not know."""
    rows, touched, found = release.rows, closed.touched(), []
    for who in people:
        slate = Slate(release.span(who).start, release.opened(who), {})
        if touched is None or who in touched:
            slate = rows.close(slate, lambda at, who=who: closed.why(who, rows.name(at), rows.targets[rows.name(at)]))  # type: ignore[misc]
        found.append(slate)
    return found


def _row(shared: Row, release: LiveRelease, slate: Slate, decided: deliver.Choice) -> Row:
    at_O, slot = slate.at_O, decided.slot
    offer = NONE
    if slot >= 0:
        offer = release.rows.name(at_O.start + slot if isinstance(at_O, slice) else at_O[slot])
    return {
        **shared,
        "decision_id": decided.decision_id, "ts_ms": decided.ts_ms, "customer_id": decided.customer_id,
        "offer_id": offer, "propensity": decided.propensity, "holdout": decided.holdout, "reason": decided.reason,
        "closed": to_json(slate.closed).decode() if slate.closed else None,
    }  # fmt: skip


def warm_up(release: LiveRelease) -> None:
    """Decide once for nobody: what is compiled or loaded at first use must not cost the first customer an offer."""
    who = next(iter(release.place), "")
    (slate,) = candidates(release, [who], Closed())
    rows = release.rows
    deliver.verdicts([who], [rows.worth_O[slate.at_O]], [rows.cost_O[slate.at_O]], [None], release.terms, 0)


def most_cents(release: LiveRelease, offer_id: str) -> int | None:
    """The most an offer may take off one order, as it is printed; None where nothing is."""
    label = release.labels[offer_id]
    most, times = release.menu[label.menu_id].benefit.most_cents, max(1, len(covered(label.target)))
    return None if most is None else most * times  # an offer on two may give its benefit on each


def mark_unanswered(db: Connection, decision_ids: Sequence[str]) -> list[None]:
    """Note that the shop did not get these decisions in time: they count for no cap and no experiment."""
    db.execute(update(DECISIONS).where(DECISIONS.c.decision_id.in_(decision_ids)).values(unanswered=1))
    return [None for _ in decision_ids]


def last_moment(db: Connection) -> int:
    """The moment of the latest decision on record, 0 before the first: ids rise with time."""
    return db.execute(select(DECISIONS.c.ts_ms).order_by(DECISIONS.c.decision_id.desc()).limit(1)).scalar() or 0


def _campaign(ask: Ask, running: dict[str, Running | None]) -> Running | Answer:
    if ask.given_up:
        return Answer(NONE, "timeout: nobody waits any more")
    live = [campaign for campaign in running.values() if campaign]
    if ask.campaign_id is None and len(live) == 1:
        return live[0]
    if ask.campaign_id is None:
        return Answer(NONE, f"campaign: {len(live)} campaigns are live; say which")
    found = running.get(ask.campaign_id)
    return found or Answer(NONE, "campaign: unknown, paused or without a release")


def _refusals(release: LiveRelease, people: Sequence[str], known: Facts) -> list[str | None]:
    """Why nothing may be sent, by what the customer said last: to the API, else to the shop before the release."""
    heard = [who for who in people if who in known.said or who not in release.barred]
    again = _asked_again(release, heard, known) if heard else {}
    return [again[who] if who in again else release.barred[who] for who in people]


def _asked_again(release: LiveRelease, people: Sequence[str], known: Facts) -> dict[str, str | None]:
    rows = []
    for who in people:
        _, age, _, consent, _ = release.people.get(who, NOBODY)
        said = known.said.get(who)
        if said is not None:
            age = said["age"] or age
            if said["consent"] != BY_PAGE or consent is None:  # a page does not give back what was withdrawn
                consent = bool(said["consent"]) if said["consent"] is not None else consent
            consent = False if said["erased"] else consent
        rows.append((who, consent, age))
    schema = {"customer_id": pl.String, "consent": pl.Boolean, "age": pl.String}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    allowed = may_send(frame["customer_id"], frame, release.plan.consent)
    return dict(allowed.select("customer_id", "reason").iter_rows())
