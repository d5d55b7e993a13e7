"""Reserve money and codes for everything that is applied to a cart, many carts in one transaction.

A cart is reserved as a whole or not at all. Carts that wait together share what is read for all of them, and their
redemptions are written together, with those of the payments in the same commit.
"""

from collections.abc import Sequence
from secrets import token_hex
from typing import NamedTuple

from sqlalchemy import Connection

from promolift.foundation.time.clock import MINUTE_MS
from promolift.server.budgets.currencies import hold_in_currency
from promolift.server.budgets.redemptions import MissingRelease
from promolift.server.carts.carts import (
    CartContext,
    CartIn,
    CartService,
    ReleaseNotLoaded,
    ReservedCart,
    Wallet,
    cart_answer,
    is_quick,
    load_cart_context,
    load_wallet,
    price_with_wallet,
)
from promolift.server.ledger.audit_log import (
    HttpResponse,
    IdempotentResponse,
    StoredResponse,
    load_responses,
    refusal_response,
    store_responses,
)
from promolift.server.ledger.limits import (
    RedemptionClaim,
    RedemptionTransaction,
    RefusedClaim,
    Row,
    redemption_locks,
)
from promolift.server.ledger.outbox_rows import WebhookEvent, post_webhook_events
from promolift.server.ledger.records import Campaign
from promolift.server.ledger.schema import Refused, customer_lock, request_key_lock
from promolift.server.response_models import REDEMPTION


class HoldRequest(NamedTuple):
    """A cart that is to be held, the API key that asked, its Idempotency-Key, and whether others wait behind it."""

    body: CartIn
    who: str
    key: str | None
    quick: bool = True

    @property
    def request(self) -> object:
        """The payload that the key must come with again."""
        return self.body.model_dump(mode="json")


HoldAnswer = IdempotentResponse | MissingRelease | None  # None: it takes too long for one who is quick


class HeldCarts:
    """The ledger work that holds carts. One per process."""

    def __init__(self, carts: CartService) -> None:
        """`carts` has the releases in memory."""
        self.carts = carts

    def locks(self, db: Connection, some: Sequence[HoldRequest]) -> set[str]:
        """Return the locks of these carts: their customers, keys, and the campaigns of all usable promotions."""
        campaigns: set[str] = {*Campaign.all(db)}
        if len(campaigns) > 1:
            campaigns = self._campaigns(db, some) or campaigns
        customers = {customer_lock(each.body.customer_id) for each in some}
        return redemption_locks(db, campaigns) | customers | {request_key_lock(each.key) for each in some if each.key}

    def _campaigns(self, db: Connection, some: Sequence[HoldRequest]) -> set[str]:
        """The campaigns of these carts; none where one of them cannot be told yet."""
        now_ms, found = self.carts.decider.clock.now_ms(), set[str]()
        try:
            common = load_cart_context(db, self.carts.loaded, now_ms)
            for each in some:
                mine = load_wallet(db, self.carts.loaded, each.body, now_ms, common)
                found |= {usable.campaign_id for usable in mine.promotions.values()}
        except (ReleaseNotLoaded, Refused):
            return set()
        return found

    def work(self, db: Connection, some: Sequence[HoldRequest]) -> list[HoldAnswer]:
        """Hold one cart after the other, or return the answers that are kept for their keys.

        A refusal changes nothing and is an answer, so that none makes the others run again.
        """
        now_ms = self.carts.decider.clock.now_ms()
        kept = load_responses(db, {each.key: each.request for each in some if each.key}, now_ms)
        common: CartContext | None = None
        found: list[HoldAnswer] = []
        told: list[Row] = []
        with RedemptionTransaction(db, now_ms) as books:
            bodies = [each.body for each in some if each.key not in kept]
            books.look_up((), (code for body in bodies for code in body.codes), (body.customer_id for body in bodies))
            for each in some:
                if each.key in kept:
                    found.append(kept[each.key])
                    continue
                try:
                    common = common or load_cart_context(db, self.carts.loaded, now_ms)
                    mine = load_wallet(db, self.carts.loaded, each.body, now_ms, common)
                    if each.quick and not is_quick(each.body, mine):
                        found.append(None)
                        continue
                    held = reserve_cart(books, each.body, mine, each.who)
                except ReleaseNotLoaded as missing:
                    found.append(MissingRelease(str(missing)))
                    continue
                except Refused as refusal:
                    found.append(refusal_response(refusal))
                    continue
                told += held.rows
                if mine.currency and any(mine.money[row["campaign_id"]] is None for row in held.rows):
                    common = None  # this cart said what the money of a campaign is
                found.append(IdempotentResponse(HttpResponse(200, cart_answer(each.body, mine, held.cart))))
        news = [WebhookEvent("redemption.reserved", {name: row[name] for name in REDEMPTION}) for row in told]
        post_webhook_events(db, news, now_ms)
        fresh = [
            StoredResponse(each.key, each.request, one.answer)
            for each, one in zip(some, found, strict=True)
            if each.key and each.key not in kept and isinstance(one, IdempotentResponse)
        ]
        store_responses(db, fresh, now_ms)
        return found


class HeldCart(NamedTuple):
    """A cart that is held, and the new rows of `redemptions`."""

    cart: ReservedCart
    rows: list[Row]


def reserve_cart(books: RedemptionTransaction, body: CartIn, mine: Wallet, who: str) -> HeldCart:
    """Hold the money and codes of every promotion in the cart, or of none.

    One that a limit refuses is left out, and the cart is priced again.
    """
    db, now_ms, refused = books.db, books.now_ms, dict[str, str]()
    while True:
        price = price_with_wallet(body, mine, refused, now_ms)
        used = [mine.promotions[each.promotion_id] for each in price.applied]
        campaigns = {name: Campaign.load(db, name) for name in sorted({each.campaign_id for each in used})}
        claims = [
            RedemptionClaim(
                f"rdm_{token_hex(12)}", each.campaign_id, applied.promotion_id, body.customer_id,
                applied.discount_cents + applied.shipping_off_cents, now_ms,
                round(campaigns[each.campaign_id].policy.hold_minutes * MINUTE_MS), body.order_id, each.code,
                each.decision_id, who,
            )
            for applied, each in zip(price.applied, used, strict=True)
        ]  # fmt: skip
        rows = books.reserve_all(claims, new_ids=True)
        if isinstance(rows, RefusedClaim):
            refused[rows.claim.offer_id] = rows.refusal.code
            continue
        for name in campaigns:
            hold_in_currency(db, name, mine.money[name], mine.currency, now_ms)
        redemptions = {claim.offer_id: claim.redemption_id for claim in claims}
        return HeldCart(ReservedCart(price, redemptions, refused), rows)
