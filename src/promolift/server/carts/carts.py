"""Price a cart with every promotion that its customer may use, and reserve money and codes for it on request.

A customer may use the promotions that the shop keeps for everybody, the codes they typed, and the offers that were
decided for them and are still valid. `core.offers.cart_pricing` computes the price. A cart is reserved as a whole or
not at all.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, model_validator
from sqlalchemy import Connection, bindparam, literal_column, select, update

from promolift.core.messages.angles import AngleFacts
from promolift.core.messages.channels import Sender, rule_pack_notices
from promolift.core.messages.offer_text import format_money, more_units_text
from promolift.core.offers.cart_pricing import (
    AppliedPromotion,
    Cart,
    CartLine,
    PricedCart,
    Promotion,
    PromotionTerms,
    RefusedPromotion,
    price_cart,
)
from promolift.core.offers.coupon_codes import normalise_code
from promolift.core.offers.terms import BENEFIT_OPTIONAL_FIELDS, Benefit, covered_targets
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.localized_text import Language, LocalizedText
from promolift.foundation.time.clock import DAY_MS
from promolift.server.budgets.currencies import campaign_currencies
from promolift.server.decisions.decisions import Decider
from promolift.server.decisions.eligibility import SELECT_CUSTOMERS
from promolift.server.decisions.live_release import CREATIVE_POLICY, LiveRelease
from promolift.server.decisions.message_rendering import render_offer
from promolift.server.ledger.field_types import Body, Cents, Currency, Id, Slug, StrictBool, TypedCode, to_whole_number
from promolift.server.ledger.limits import (
    SELECT_CODE,
    Row,
    code_problem,
    exhausted_offers,
)
from promolift.server.ledger.records import Campaign, StoredPromotion
from promolift.server.ledger.refusals import REFUSALS
from promolift.server.ledger.schema import (
    CODES,
    DECISIONS,
    IS_STOCK_CODE,
    JsonList,
    Query,
    Refused,
    json_list,
    transaction_cache,
)
from promolift.server.response_models import (
    CartAnswer,
    CartApplied,
    CartRefused,
    PricesAnswer,
    ProductPrice,
)

MAX_DECISIONS = 20  # of a customer that are looked at where the request names none
FEW_PROMOTIONS, FEW_LINES = 6, 50  # of a cart that is priced in a moment
MAX_OFFER_DAYS = 366  # that an offer can hold
ReleaseLookup = Callable[[str], LiveRelease]
DECISION_COLUMNS = ("decision_id", "ts_ms", "campaign_id", "offer_id", "release_id", "code")
DECIDED_OFFERS = (
    select(*(DECISIONS.c[name] for name in DECISION_COLUMNS))
    .where(DECISIONS.c.customer_id == bindparam("who"), DECISIONS.c.offer_id != "none", DECISIONS.c.unanswered == 0)
    .order_by(DECISIONS.c.ts_ms.desc())
)
# each impression of a creative is a decision, too: a page of them would push every offer out
SELECT_LATEST_OFFERS = Query(
    DECIDED_OFFERS.where(DECISIONS.c.ts_ms > bindparam("since_ms"), DECISIONS.c.policy_id != CREATIVE_POLICY)
    .limit(literal_column(str(MAX_DECISIONS)))
)  # fmt: skip
SELECT_NAMED_OFFERS = Query(DECIDED_OFFERS.where(DECISIONS.c.decision_id.op("in")(JsonList("names"))))
NEARLY_TEXTS: dict[Language, str] = {"zh": "再买{}，可{}", "en": "{} more for {}"}
BENEFIT_TEXTS: dict[str, LocalizedText] = {  # what a benefit brings
    "percent_off": LocalizedText(zh="享{0}%优惠", en="{0}% off"),
    "amount_off": LocalizedText(zh="减{0}", en="{0} off"),
    "fixed_price": LocalizedText(zh="享{0}特价", en="a price of {0}"),
    "gift": LocalizedText(zh="得赠品", en="a gift"),
    "free_shipping": LocalizedText(zh="免运费", en="free delivery"),
    "points": LocalizedText(zh="得{0}积分", en="{0} points"),
    "exchange": LocalizedText(zh="{0}换购", en="an extra item for {0}"),
}


Quantity = Annotated[int, Field(ge=1, le=1000, strict=True), BeforeValidator(to_whole_number)]


class CartLineIn(Body):
    """One line of a cart; without a category that of the release's catalogue counts."""

    line_id: Id
    product_id: Id
    quantity: Quantity = 1
    price_cents: Annotated[Cents, Field(description="Of one unit, before any promotion.")]
    category: Id | None = None


class CartIn(Body):
    """A customer's cart, all of it in one currency. Without `decision_ids` the latest offers that were decided for them
    count, if they hold and the customer has not refused personal decisions since.
    """

    customer_id: Id
    currency: Currency | None = None
    lines: Annotated[tuple[CartLineIn, ...], Field(min_length=1, max_length=200)]
    shipping_cents: Cents = 0
    codes: Annotated[tuple[TypedCode, ...], Field(max_length=20)] = ()
    decision_ids: Annotated[tuple[Id, ...], Field(max_length=20)] | None = None
    campaign_id: Slug | None = None
    choose: Literal["best", "priority"] = "best"
    most_off_cents: Annotated[Cents | None, Field(description="The most that all promotions take off together.")] = None
    hold: Annotated[StrictBool, Field(description="Whether to reserve the money and codes of what is applied.")] = False
    order_id: Id | None = None

    @model_validator(mode="after")
    def _lines_differ(self) -> Self:
        if len({line.line_id for line in self.lines}) < len(self.lines):
            raise ValueError(gettext_lazy("two lines have the same line_id"))
        return self


class PriceIn(Body):
    """A product on a page, with its price, and the lowest of the last 30 days where a rule pack asks for that."""

    product_id: Id
    price_cents: Cents
    category: Id | None = None
    lowest_30d_cents: Cents | None = None


class PricesIn(Body):
    """The products of a page for one customer."""

    customer_id: Id
    items: Annotated[tuple[PriceIn, ...], Field(min_length=1, max_length=50)]
    codes: Annotated[tuple[TypedCode, ...], Field(max_length=20)] = ()
    campaign_id: Slug | None = None
    currency: Currency | None = None
    language: Language = "en"


class PromotionIn(PromotionTerms):
    """A promotion of the shop beside its plan: whose limits it counts in, and who may use it."""

    campaign_id: Slug
    holder: Literal["everybody", "code"] = Field(
        default="everybody", description="Everybody, or those who hold a code of it (its id is the offer_id of codes)."
    )


class UsablePromotion(NamedTuple):
    """A promotion that the customer may use here, and the decision or code that allows it."""

    promotion: Promotion
    campaign_id: str
    decision_id: str | None = None
    code: str | None = None


class Wallet(NamedTuple):
    """What a customer may use, by promotion; what was refused before any price was looked at (its reason's code)."""

    promotions: dict[str, UsablePromotion]
    refused: dict[str, str]
    release: LiveRelease | None  # of a campaign that is live: the rule packs of its texts
    catalogue: Mapping[str, str]  # a product of the cart: what its offers stand on
    opened: Mapping[str, str]  # a code as it was typed: the promotion that it is of
    currency: str | None  # of the cart: as it says, else that of its campaigns; None where nobody says it
    money: Mapping[str, str | None]  # the currency of each campaign


class ReservedCart(NamedTuple):
    """A priced cart, the redemption of each promotion in it, and the promotions that a limit refused, with why."""

    price: PricedCart
    redemptions: dict[str, str]
    refused: dict[str, str]


class CartContext(NamedTuple):
    """What is the same for all carts of a moment: campaigns that are live with their releases, what the shop keeps for
    everybody, the offers of each campaign whose limits have no room, and each campaign's currency.
    """

    live: dict[str, Campaign]
    releases: dict[str, LiveRelease]
    promotions: dict[str, StoredPromotion]
    everybody: dict[str, UsablePromotion]
    full: dict[str, set[str]]
    money: dict[str, str | None]


def load_cart_context(db: Connection, release_of: ReleaseLookup, now_ms: int) -> CartContext:
    """Load what all carts that are priced together share."""
    kept, live = StoredPromotion.all(db), {name: one for name, one in Campaign.all(db).items() if not one.paused}
    releases = {name: release_of(one.release) for name, one in live.items() if one.release}
    releases = {name: one for name, one in releases.items() if one.creatives is None}
    everybody = {
        name: UsablePromotion(one.promotion(name), one.campaign_id)
        for name, one in kept.items()
        if one.holder == "everybody" and one.campaign_id in live
    }
    full = {name: exhausted_offers(db, name, now_ms) for name in live}
    return CartContext(live, releases, kept, everybody, full, campaign_currencies(db, live, releases))


class ReleaseNotLoaded(Exception):  # noqa: N818 - not an error: it is loaded, and the cart is priced again
    """A release that a cart needs, by its id, is not in memory."""


def is_quick(body: CartIn, mine: Wallet) -> bool:
    """Return whether a cart is priced in a moment."""
    return len(mine.promotions) <= FEW_PROMOTIONS and len(body.lines) <= FEW_LINES


class CartService:
    """The ledger work that prices carts without reserving anything. One per process."""

    def __init__(self, decider: Decider) -> None:
        """`decider` has the releases in memory."""
        self.decider = decider

    def work(self, db: Connection, some: Sequence[CartIn]) -> list[CartAnswer | None]:
        """Carts that wait together are priced together; None for one that may take long: requests go on meanwhile."""
        now_ms = self.decider.clock.now_ms()
        with suppress(ReleaseNotLoaded):
            common = load_cart_context(db, self.loaded, now_ms)
            return [self._soon(db, body, now_ms, common) for body in some]
        return [None for _ in some]

    def loaded(self, release_id: str) -> LiveRelease:
        """Return a release that is in memory. Raises ReleaseNotLoaded."""
        found = self.decider.releases.get(release_id)
        if found is None:
            raise ReleaseNotLoaded(release_id)
        return found

    def _soon(self, db: Connection, body: CartIn, now_ms: int, common: CartContext) -> CartAnswer | None:
        with suppress(ReleaseNotLoaded):
            mine = load_wallet(db, self.loaded, body, now_ms, common)
            if is_quick(body, mine):
                return price_only(body, mine, now_ms)
        return None


def load_wallet(
    db: Connection, release_of: ReleaseLookup, body: CartIn, now_ms: int, common: CartContext | None = None
) -> Wallet:
    """Load everything that may be used in this cart, each promotion once."""
    live, releases, kept, everybody, full, money = common or load_cart_context(db, release_of, now_ms)
    if (only := body.campaign_id) is not None:
        live = {name: one for name, one in live.items() if name == only}
    currency = _cart_currency(body.currency, {name: money[name] for name in live})
    live = {name: one for name, one in live.items() if money[name] in (None, currency)}
    releases = {name: one for name, one in releases.items() if name in live}
    here = {line.product_id for line in body.lines}
    catalogue = {
        product: target
        for release in releases.values()
        for product in here
        if (target := release.products.get(product))
    }
    held = {name: one for name, one in everybody.items() if one.campaign_id in live}
    refused: dict[str, str] = {}
    opened: dict[str, str] = {}
    for typed in body.codes:
        row = find_code(db, typed)
        if row is None or (why := code_problem(row, body.customer_id, now_ms)) or row["campaign_id"] not in live:
            refused[typed] = (why if row else None) or "code_unknown"
            continue
        name, campaign = row["offer_id"], row["campaign_id"]
        opened[typed] = name
        if name in held and held[name].code:
            continue
        if name in kept:
            held[name] = UsablePromotion(kept[name].promotion(name), campaign, code=row["code"])
        elif (release := releases.get(campaign)) and name in release.labels:
            promotion = _promotion(release, live[campaign], name, now_ms, body, row)
            held[name] = UsablePromotion(promotion, campaign, code=row["code"])
        else:
            refused[typed] = "terms_gone"
    for named, made in _decisions(db, body, now_ms).items():
        if made is None:
            refused[named] = "decision_unknown"
        elif made["campaign_id"] in live and made["offer_id"] not in held:
            release = release_of(made["release_id"])
            if release.shop.currency != (currency or release.shop.currency):
                refused[named] = "currency_differs"
                continue
            if not lowers_price(release, made["offer_id"]):
                if body.decision_ids is not None:
                    refused[named] = "not_eligible"
                continue
            row = SELECT_CODE.first(db, named=made["code"]) if made["code"] else None
            promotion = _promotion(release, live[made["campaign_id"]], made["offer_id"], made["ts_ms"], body, row)
            if row and (why := code_problem(row, body.customer_id, now_ms)):
                refused[named] = why
            else:
                held[made["offer_id"]] = UsablePromotion(promotion, made["campaign_id"], named, made["code"])
    for name, each in list(held.items()):
        if full[each.campaign_id] & {"", name}:
            refused[name] = "limit_reached"
            del held[name]
    return Wallet(held, refused, next(iter(releases.values()), None), catalogue, opened, currency, money)


def price_with_wallet(body: CartIn, mine: Wallet, left_out: Mapping[str, str], now_ms: int) -> PricedCart:
    """Price the cart under the promotions of a wallet, except those in `left_out`."""
    category = {one.line_id: one.category or mine.catalogue.get(one.product_id, "") for one in body.lines}
    lines = [
        CartLine(one.line_id, one.product_id, category[one.line_id], one.quantity, one.price_cents)
        for one in body.lines
    ]
    can = [each.promotion for name, each in mine.promotions.items() if name not in left_out]
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    return price_cart(Cart(lines, body.shipping_cents, body.most_off_cents), can, at, body.choose)


def price_products(body: PricesIn, mine: Wallet, now_ms: int) -> PricesAnswer:
    """One unit of each product, as if it were bought alone: what needs more in the cart lowers no price on a page.

    A price is personal where a decision made it. A price is struck through where the shop may say that it was lowered:
    under `eu_price_30d` that is the lowest of the last 30 days, and nothing where that is not known.
    """
    found: list[ProductPrice] = []
    packs, sender = (mine.release.wording.packs, mine.release.wording.sender) if mine.release else ((), Sender())
    for item in body.items:
        line = CartLineIn(line_id="1", product_id=item.product_id, price_cents=item.price_cents, category=item.category)
        price = price_with_wallet(CartIn(customer_id=body.customer_id, lines=(line,)), mine, {}, now_ms)
        used = [mine.promotions[each.promotion_id] for each in price.applied if each.discount_cents]
        own = [each for each in used if each.decision_id]
        before = item.lowest_30d_cents if "eu_price_30d" in packs else item.price_cents
        known = AngleFacts(lowest=item.lowest_30d_cents)
        cents = price.subtotal_cents - price.discount_cents
        found.append({
            "product_id": item.product_id,
            "price_cents": cents,
            "struck_cents": before if before is not None and before > cents else None,
            "promotion_ids": [each.promotion.id for each in used],
            "personal": bool(own),
            "expires": min((e.promotion.expires.isoformat() for e in used if e.promotion.expires), default=None),
            "notices": rule_pack_notices(packs, sender, mine.currency or "", known, body.language) if own else [],
        })  # fmt: skip
    return {"currency": mine.currency, "data": found}


def cart_answer(body: CartIn, mine: Wallet, found: ReservedCart) -> CartAnswer:
    """Return the answer: totals, line costs, applied, refused (with reasons) and nearly reached promotions."""
    price = found.price
    early = (mine.refused | found.refused).items()
    return {
        "customer_id": body.customer_id,
        "currency": mine.currency,
        "subtotal_cents": price.subtotal_cents,
        "discount_cents": price.discount_cents,
        "shipping_cents": price.shipping_cents,
        "shipping_off_cents": price.shipping_off_cents,
        "total_cents": price.total_cents,
        "lines": [
            {
                "line_id": one.line_id,
                "list_cents": one.quantity * one.price_cents,
                "total_cents": price.line_cents[one.line_id],
            }
            for one in body.lines
        ],
        "applied": [_applied(each, mine.promotions[each.promotion_id], found.redemptions) for each in price.applied],
        "refused": [_refused(name, why) for name, why in early]
        + [_refused(each.promotion_id, each.reason, each) for each in price.refused],
        "nearly": [
            {
                "promotion_id": each.promotion_id,
                "missing_cents": each.missing_cents,
                "missing_units": each.missing_units,
                "words": _brings(each, mine.promotions[each.promotion_id].promotion.benefit, mine.currency or ""),
            }
            for each in price.nearly
        ],
        "compared_all": price.compared_all,
    }


def _applied(each: AppliedPromotion, by: UsablePromotion, redemptions: Mapping[str, str]) -> CartApplied:
    gift: dict[str, str | int] = {}
    if each.gift_product_id:
        gift = {"product_id": each.gift_product_id, "quantity": each.gift_quantity}
    return {
        "promotion_id": each.promotion_id,
        "type": by.promotion.benefit.type,
        "campaign_id": by.campaign_id,
        "decision_id": by.decision_id,
        "code": by.code,
        "discount_cents": each.discount_cents,
        "shipping_off_cents": each.shipping_off_cents,
        "allocation": [{"line_id": line, "cents": cents} for line, cents in each.allocation.items()],
        "gift": gift or None,
        "points": each.points,
        "redemption_id": redemptions.get(each.promotion_id),
    }


def _refused(name: str, why: str, no: RefusedPromotion | None = None) -> CartRefused:
    return {
        "id": name,
        "reason": why,
        "words": REFUSALS[why].words.model_dump(),
        "missing_cents": no.missing_cents if no else 0,
        "missing_units": no.missing_units if no else 0,
        "beside": list(no.beside) if no else [],
    }


def price_only(body: CartIn, mine: Wallet, now_ms: int) -> CartAnswer:
    """Return the answer for a cart that reserves nothing."""
    return cart_answer(body, mine, ReservedCart(price_with_wallet(body, mine, {}, now_ms), {}, {}))


def stored_promotion(body: PromotionIn) -> StoredPromotion:
    """Convert a request body to the stored promotion."""
    terms = PromotionTerms(**{name: getattr(body, name) for name in PromotionTerms.model_fields})
    return StoredPromotion(campaign_id=body.campaign_id, holder=body.holder, terms=terms)


def issue_promotion_codes(db: Connection, promotion_id: str) -> None:
    """Let the codes of a promotion for who holds one be used, until it expires and for no more than it takes off."""
    found = StoredPromotion.find(db, promotion_id)
    if found is None or found.holder != "code":
        return
    expires = found.terms.expires
    given = {
        "expires_ms": None if expires is None else round(expires.timestamp() * 1000),
        "cap_cents": found.terms.benefit.most_cents,
    }
    open_ = CODES.c.status.in_(("stock", "issued")), IS_STOCK_CODE
    mine = CODES.c.campaign_id == found.campaign_id, CODES.c.offer_id == promotion_id
    db.execute(update(CODES).where(*mine, *open_).values(status="issued", **given))
    transaction_cache(db).clear()


def find_code(db: Connection, typed: str) -> Row | None:
    """Find the code that was typed; None if there is none."""
    tried = (
        SELECT_CODE.first(db, named=text) for text in (typed, normalise_code(typed), typed.strip().upper()) if text
    )
    return next(filter(None, tried), None)


# parts


def _decisions(db: Connection, body: CartIn, now_ms: int) -> dict[str, Row | None]:
    """Offers that were decided for the customer, the latest first: those named (None where there is none), or all, of
    one who has not refused personal decisions since. What is named was promised.
    """
    if body.decision_ids is None:
        if any(row["personal"] == 0 for row in SELECT_CUSTOMERS.dicts(db, people=json_list([body.customer_id]))):
            return {}
        made = SELECT_LATEST_OFFERS.dicts(db, who=body.customer_id, since_ms=now_ms - MAX_OFFER_DAYS * DAY_MS)
    else:
        made = SELECT_NAMED_OFFERS.dicts(db, who=body.customer_id, names=json_list(body.decision_ids))
    found: dict[str, Row | None] = {row["decision_id"]: row for row in made}
    return dict.fromkeys(name for name in body.decision_ids or () if name not in found) | found


def lowers_price(release: LiveRelease, offer_id: str) -> bool:
    """Return whether an offer lowers a price: a reminder is only a message."""
    label = release.labels.get(offer_id)
    return label is None or release.menu[label.menu_id].benefit.type != "reminder"


def _cart_currency(currency: str | None, money: Mapping[str, str | None]) -> str | None:
    """The currency of a cart: the one that it names, else that of its campaigns.

    Refused where all that is known of the campaigns are other currencies, or several of which the cart names none.
    """
    known = sorted({one for one in money.values() if one})
    if currency is None and len(known) > 1:
        raise Refused(
            "currency_needed",
            gettext_lazy("campaigns are in {known}: name the currency of the cart", known=", ".join(known)),
        )
    if currency is not None and known and currency not in known:
        raise Refused(
            "currency_differs",
            gettext_lazy(
                "the cart is in {currency}, the offers are in {known}", currency=currency, known=", ".join(known)
            ),
        )
    return currency or next(iter(known), None)


def _promotion(
    release: LiveRelease, campaign: Campaign, offer_id: str, ts_ms: int, body: CartIn, code: Row | None
) -> Promotion:
    """A planned offer as a promotion: on the products of this cart that the release counts to what it covers, in its
    days, until its code expires, and for no more than that may take off.
    """
    offer = render_offer(release, offer_id, ts_ms, campaign.ends_ms(release.release_id))
    if code and code["expires_ms"] and code["expires_ms"] < offer.expires.timestamp() * 1000:  # of an earlier release
        until = datetime.fromtimestamp(code["expires_ms"] / 1000, offer.starts.tzinfo)
        days = timedelta(days=release.menu[offer.menu_id].valid_days)
        offer = offer.model_copy(update={"starts": min(offer.starts, until - days), "expires": until})
    benefit, cap = offer.benefit, code["cap_cents"] if code else None
    if cap and "max_discount_cents" in BENEFIT_OPTIONAL_FIELDS.get(benefit.type, ()) and not benefit.max_discount_cents:
        benefit = benefit.model_copy(update={"max_discount_cents": cap})
    names = set(covered_targets(offer.covers))
    on = [
        line.product_id
        for line in body.lines
        if names & {line.product_id, line.category or "", release.products.get(line.product_id, "")}
    ]
    return Promotion(
        id=offer_id,
        benefit=benefit,
        scope="product" if names else "basket",
        covers=tuple(sorted(names)) if offer.joined == "together" else tuple(dict.fromkeys(on)) or tuple(sorted(names)),
        joined=offer.joined or "each",
        min_spend_cents=offer.min_spend_cents,
        starts=offer.starts,
        expires=offer.expires,
    )


def benefit_text(benefit: Benefit, currency: str, language: Language) -> str:
    """Describe a benefit in a few words: '20% off', '免运费'."""
    if benefit.type == "buy_x_get_y":
        return more_units_text(benefit, language)
    cents = benefit.amount_cents or benefit.price_cents
    what = format_money(cents, currency, language) if cents else benefit.percent or benefit.points
    return BENEFIT_TEXTS[benefit.type].text_in(language).format(what)


def _brings(no: RefusedPromotion, benefit: Benefit, currency: str) -> Mapping[str, str]:
    """'$8.50 more for free delivery', '再买8.50美元，可免运费'."""
    said: dict[str, str] = {}
    for language, more in NEARLY_TEXTS.items():
        lacks = format_money(no.missing_cents, currency, language) if no.missing_cents else str(no.missing_units)
        unit = "件" if language == "zh" and not no.missing_cents else ""
        said[language] = more.format(lacks + unit, benefit_text(benefit, currency, language))
    return said
