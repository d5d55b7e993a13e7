"""Reserve, confirm and roll back money: process the steps that one ledger transaction collects."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, partial
from operator import itemgetter
from secrets import token_hex
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, Field
from sqlalchemy import Connection, bindparam, literal_column, select

from promolift.core.decisions.decision_rule import NONE
from promolift.core.offers.coupon_codes import normalise_code
from promolift.core.offers.terms import Benefit, covered_targets
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.time.clock import MINUTE_MS, Clock
from promolift.server.budgets.currencies import ReleasedOffers, campaign_currencies, hold_in_currency
from promolift.server.ledger.audit_log import (
    HttpResponse,
    IdempotentResponse,
    StoredResponse,
    load_responses,
    refusal_response,
    store_responses,
)
from promolift.server.ledger.field_types import Body, Cents, Currency, Id, Slug, TypedCode
from promolift.server.ledger.limits import (
    SELECT_CODES,
    SELECT_REDEMPTIONS,
    RedemptionClaim,
    RedemptionTransaction,
    Row,
    redemption_locks,
    resolve_code,
)
from promolift.server.ledger.outbox_rows import WebhookEvent, post_webhook_events
from promolift.server.ledger.records import Campaign, StoredPromotion
from promolift.server.ledger.schema import (
    DECISIONS,
    JsonList,
    Query,
    Refused,
    customer_lock,
    json_list,
    request_key_lock,
)
from promolift.server.response_models import REDEMPTION

select_redemption_fields = itemgetter(*REDEMPTION)


class ReserveIn(Body):
    """Hold money for an order. With a decision_id the offer and campaign are those of the decision."""

    customer_id: Id
    amount_cents: Cents
    campaign_id: Slug | None = None
    offer_id: Id | None = None
    decision_id: Id | None = None
    code: TypedCode | None = None
    order_id: Id | None = None
    redemption_id: Slug | None = None
    order_cents: Annotated[
        Cents | None,
        Field(
            description="What the order is worth before its offers, with delivery: no more is held than the terms of "
            "the offer (percentage, threshold, price of a unit) take off such an order."
        ),
    ] = None
    currency: Annotated[
        Currency | None, Field(description="Of the order's money; refused where it is not the campaign's.")
    ] = None


class ConfirmIn(Body):
    """Spend what was reserved, or less."""

    redemption_id: Slug
    amount_cents: Cents | None = None


class RollbackIn(Body):
    """Give back what was reserved or spent; with an amount that part alone, as where a line comes back."""

    redemption_id: Slug
    amount_cents: Cents | None = None


SELECT_DECISION = Query(select(DECISIONS).where(DECISIONS.c.decision_id == bindparam("named")))
DECISION_COLUMNS = ("decision_id", "customer_id", "campaign_id", "offer_id", "code", "release_id")
SELECT_DECISIONS = Query(
    select(*(DECISIONS.c[name] for name in DECISION_COLUMNS)).where(DECISIONS.c.decision_id.op("in")(JsonList("names")))
)


SELECT_DECIDED_RELEASE = Query(
    select(DECISIONS.c.release_id)
    .where(DECISIONS.c.customer_id == bindparam("who"), DECISIONS.c.code == bindparam("code"))
    .order_by(DECISIONS.c.ts_ms.desc())
    .limit(literal_column("1"))
)


class RedemptionStep(NamedTuple):
    """A step of a redemption: its body, its description, the resulting status and the change itself."""

    body: type[BaseModel]
    text: str
    becomes: str
    change: "Callable[[_Round, Any, str], Row]"


class StepRequest(NamedTuple):
    """A requested step, the API key that asked for it, and its Idempotency-Key."""

    step: RedemptionStep
    body: Any
    who: str
    key: str | None

    @property
    def request(self) -> Any:
        """The payload that the key must come with again."""
        return self.body.model_dump(mode="json")


class MissingRelease(NamedTuple):
    """In the place of an answer: nothing was done, since the terms of this release are not in memory."""

    release_id: str


class RedemptionService:
    """The ledger work that moves money. One per process."""

    def __init__(self, clock: Clock, releases: Callable[[], Mapping[str, ReleasedOffers]]) -> None:
        """`clock` gives the moments of all steps, `releases` those in memory by id."""
        self.clock, self.releases = clock, releases

    def locks(self, db: Connection, some: Sequence[StepRequest]) -> set[str]:
        """The customers, keys and campaigns of these steps. Where there is one campaign it is that, unless it turns out
        otherwise.
        """
        bodies = [each.body for each in some]
        campaigns: Iterable[str] = Campaign.all(db)
        if len([*campaigns]) > 1:
            campaigns = _campaigns(db, bodies)
        keys = {request_key_lock(each.key) for each in some if each.key}
        customers = {customer_lock(body.customer_id) for body in bodies if isinstance(body, ReserveIn)}
        return redemption_locks(db, campaigns) | keys | customers

    def work(self, db: Connection, some: Sequence[StepRequest]) -> list[IdempotentResponse | MissingRelease]:
        """All steps one after the other, or the answers that are kept for their keys; a step whose release must be
        loaded first is not done.

        A refusal changes nothing and is an answer, so that none makes the others run again.
        """
        now_ms = self.clock.now_ms()
        kept = load_responses(db, {each.key: each.request for each in some if each.key}, now_ms)
        found: list[IdempotentResponse | MissingRelease] = []
        told = []
        with RedemptionTransaction(db, now_ms) as books:
            round_ = _Round(db, books, self.releases(), [each.body for each in some if each.key not in kept])
            for each in some:
                if each.key in kept:
                    found.append(kept[each.key])
                    continue
                try:
                    row = each.step.change(round_, each.body, each.who)
                except Refused as refusal:
                    found.append(refusal_response(refusal))
                    continue
                except _NotLoaded as missing:
                    found.append(MissingRelease(str(missing)))
                    continue
                shown = dict(zip(REDEMPTION, select_redemption_fields(row), strict=True))
                found.append(IdempotentResponse(HttpResponse(200, shown)))
                part = each.step.becomes == "rolled_back" and row["status"] == "confirmed"
                told.append(WebhookEvent("redemption.returned" if part else f"redemption.{each.step.becomes}", shown))
        post_webhook_events(db, told, now_ms)
        fresh = [
            StoredResponse(each.key, each.request, one.answer)
            for each, one in zip(some, found, strict=True)
            if each.key and each.key not in kept and isinstance(one, IdempotentResponse)
        ]
        store_responses(db, fresh, now_ms)
        return found


class _NotLoaded(Exception):  # noqa: N818 - raised and caught in this file alone
    """A release that must be loaded first."""


class _Terms(NamedTuple):
    """What an offer promises: on `times` targets each for itself. A use of a gift or of points costs `cost_cents`."""

    benefit: Benefit
    min_spend_cents: int
    times: int = 1
    cost_cents: int = 0


class _Round:
    """What the steps of one commit look at, read at once."""

    def __init__(
        self,
        db: Connection,
        books: RedemptionTransaction,
        releases: Mapping[str, ReleasedOffers],
        bodies: Sequence[Any],
    ) -> None:
        self.db, self.books, self.releases = db, books, releases
        self._campaign = cache(partial(Campaign.find, db))
        wishes = [body for body in bodies if isinstance(body, ReserveIn)]
        decided = {wish.decision_id for wish in wishes if wish.decision_id}
        self.decisions = (
            {row["decision_id"]: row for row in SELECT_DECISIONS.dicts(db, names=json_list(decided))} if decided else {}
        )
        self.printed = {wish.code: normalise_code(wish.code) for wish in wishes if wish.code}
        given = (row["code"] for row in self.decisions.values())
        codes = {*self.printed, *self.printed.values(), *given} - {None}
        books.look_up(
            {body.redemption_id for body in bodies if body.redemption_id},
            {code for code in codes if code is not None},
            {wish.customer_id for wish in wishes},
        )

    def reserve(self, body: ReserveIn, who: str) -> Row:
        """It refers to a decision or to a code: once, in its time, and for no more than the offer takes off."""
        if body.order_cents is not None and body.amount_cents > body.order_cents:
            raise Refused(
                "above_order",
                gettext_lazy(
                    "{amount} are asked for an order worth {order}", amount=body.amount_cents, order=body.order_cents
                ),
            )
        campaign, offer, code = self._meant(body)
        known = self._campaign(campaign)
        if known is None:
            raise Refused(
                "campaign_unknown",
                gettext_lazy("no campaign {campaign}; PUT /v1/campaigns/{campaign} first", campaign=campaign),
            )
        if not (body.redemption_id and self.books.redemption(body.redemption_id)):
            self._check_terms(body, known, campaign, offer, code)
        named, hold_ms = body.redemption_id or f"rdm_{token_hex(12)}", round(known.policy.hold_minutes * MINUTE_MS)
        who_and_what = named, campaign, offer, body.customer_id, body.amount_cents
        return self.books.reserve(
            RedemptionClaim(*who_and_what, self.books.now_ms, hold_ms, body.order_id, code, body.decision_id, who)
        )

    def _check_terms(self, body: ReserveIn, known: Campaign, campaign: str, offer: str, code: str) -> None:
        """Refuse another currency, and more than the offer's own terms take off an order of the stated worth."""
        if body.currency is not None:
            live = {name: one.release for name, one in Campaign.all(self.db).items() if one.release in self.releases}
            releases = {name: self.releases[release] for name, release in live.items() if release}
            money = campaign_currencies(self.db, {campaign: known}, releases)
            hold_in_currency(self.db, campaign, money[campaign], body.currency, self.books.now_ms)
        terms = None if body.order_cents is None else self._terms(body, known, campaign, offer, code)
        if terms is None or body.order_cents is None:
            return
        if body.order_cents < terms.min_spend_cents:
            raise Refused(
                "below_threshold",
                gettext_lazy(
                    "this offer asks for an order worth {least}, this one is worth {order}",
                    least=terms.min_spend_cents,
                    order=body.order_cents,
                ),
            )
        most = terms.benefit.most_off_cents(body.order_cents, terms.min_spend_cents, terms.times)
        if terms.benefit.type in ("gift", "points"):
            most = max(most, terms.cost_cents)
        if body.amount_cents > most:
            raise Refused(
                "above_cap",
                gettext_lazy(
                    "this offer takes {most} off an order worth {order}, {asked} are asked for",
                    most=most,
                    order=body.order_cents,
                    asked=body.amount_cents,
                ),
            )

    def _terms(self, body: ReserveIn, known: Campaign, campaign: str, offer: str, code: str) -> "_Terms | None":
        """The terms that the customer was given: of the shop's promotion, else of the release that the decision was
        made from; None where neither knows the offer. Raises _NotLoaded.
        """
        kept = StoredPromotion.find(self.db, offer)
        if kept is not None and kept.campaign_id == campaign:
            return _Terms(kept.terms.benefit, kept.terms.min_spend_cents)
        made = self.decisions.get(body.decision_id or "")
        given = made or SELECT_DECIDED_RELEASE.first(self.db, who=body.customer_id, code=code)
        release_id = given["release_id"] if given else known.release
        if release_id is None:
            return None
        release = self.releases.get(release_id)
        if release is None:
            raise _NotLoaded(release_id)
        label = release.labels.get(offer)
        if label is None:
            return None
        line = release.menu[label.menu_id]
        times, cost = max(1, len(covered_targets(label.target))), math.ceil(line.benefit_cost_cents or 0)
        return _Terms(line.benefit, line.min_spend_cents, times, cost)

    def confirm(self, body: ConfirmIn, who: str) -> Row:
        return self.books.confirm(body.redemption_id, body.amount_cents, who)

    def rollback(self, body: RollbackIn, who: str) -> Row:
        return self.books.rollback(body.redemption_id, who, body.amount_cents)

    def _meant(self, body: ReserveIn) -> "_Meant":
        """From the decision, or from the code alone; Refused where they are not of this customer, campaign or offer."""
        campaign, offer = body.campaign_id, body.offer_id
        if body.decision_id:
            made = self.decisions.get(body.decision_id)
            if made is None:
                raise Refused("decision_unknown", gettext_lazy("no such decision"))
            if made["customer_id"] != body.customer_id or made["offer_id"] == NONE:
                raise Refused("decision_of_another", gettext_lazy("this decision gave this customer no offer"))
            campaign, offer = campaign or made["campaign_id"], offer or made["offer_id"]
            if (campaign, offer) != (made["campaign_id"], made["offer_id"]):
                raise Refused("decision_of_another", gettext_lazy("this decision was for another campaign or offer"))
            if body.code is None and made["code"] is not None:
                return _Meant(campaign, offer, made["code"])
        code = body.code or ""
        printed = self.printed.get(code)
        if campaign and offer:
            return _Meant(campaign, offer, resolve_code(self.books, campaign, offer, code, printed))
        for typed in (code, printed):
            row = self.books.code(typed) if typed else None
            if row and campaign in (None, row["campaign_id"]) and offer in (None, row["offer_id"]):
                return _Meant(row["campaign_id"], row["offer_id"], row["code"])
        raise Refused(
            "code_unknown", gettext_lazy("no such code; check what was typed, and name campaign_id and offer_id")
        )


class _Meant(NamedTuple):
    """What a redemption is of."""

    campaign_id: str
    offer_id: str
    code: str


STEPS = {
    "reserve": RedemptionStep(
        ReserveIn, "Hold an offer's money and code for an order, within all limits", "reserved", _Round.reserve
    ),
    "confirm": RedemptionStep(
        ConfirmIn, "The order is paid: spend what was reserved, or less of it", "confirmed", _Round.confirm
    ),
    "rollback": RedemptionStep(
        RollbackIn, "The order is cancelled: give the money and the code back", "rolled_back", _Round.rollback
    ),
}


def _campaigns(db: Connection, bodies: Sequence[Any]) -> set[str]:
    """The campaigns of some steps: of the decision, the code or the redemption that each names."""
    wishes = [body for body in bodies if isinstance(body, ReserveIn)]
    typed = {each for wish in wishes if wish.code for each in (wish.code, normalise_code(wish.code)) if each}
    asked = (
        (SELECT_DECISIONS, {wish.decision_id for wish in wishes if wish.decision_id}),
        (SELECT_CODES, typed),
        (SELECT_REDEMPTIONS, {body.redemption_id for body in bodies if body.redemption_id}),
    )
    found = (row["campaign_id"] for query, names in asked if names for row in query.dicts(db, names=json_list(names)))
    return {*found, *(wish.campaign_id for wish in wishes if wish.campaign_id)}


def load_decision(db: Connection, decision_id: str) -> Row:
    """Load the row of a decision; Refused if there is none."""
    row = SELECT_DECISION.first(db, named=decision_id)
    if row is None:
        raise Refused("decision_unknown", gettext_lazy("no such decision"))
    return row
