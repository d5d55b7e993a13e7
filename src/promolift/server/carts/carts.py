"""A cart in; its price under all that its customer may use, and what was held for it, out.

What a customer may use: the promotions that the shop keeps for everybody, the codes they typed, and what was decided
for them and still holds. `offer.cart` computes; here is who holds what, and the money of a cart held all or not at all.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from secrets import token_hex
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BeforeValidator, Field, model_validator
from sqlalchemy import Connection, bindparam, literal_column, select

from promolift.core.messages.angles import Known
from promolift.core.messages.channels import Sender, notices
from promolift.core.messages.offer_text import money
from promolift.core.offers.cart_pricing import (
    Applied,
    Cart,
    CartLine,
    NotApplied,
    PricedCart,
    Promotion,
    PromotionTerms,
    price_cart,
)
from promolift.core.offers.coupon_codes import normalise
from promolift.core.offers.terms import Benefit, covered
from promolift.foundation.i18n.text import Language, Words
from promolift.foundation.time.units import DAY_MS, MINUTE_MS
from promolift.server.decisions.decisions import Decider
from promolift.server.decisions.eligibility import SAID
from promolift.server.decisions.live_release import CREATIVES, LiveRelease
from promolift.server.decisions.message_rendering import printable
from promolift.server.ledger.field_types import Body, Cents, Id, Slug, Typed, Yes, whole
from promolift.server.ledger.limits import CODE, Claim, Row, reserve, to_redeem, unusable, used_up
from promolift.server.ledger.outbox_rows import announce
from promolift.server.ledger.records import Campaign, KeptPromotion
from promolift.server.ledger.refusals import REFUSALS
from promolift.server.ledger.schema import DECISIONS, Members, Query, Refused, driver_sql, members, of_customer
from promolift.server.response_models import (
    REDEMPTION,
    CartAnswer,
    CartApplied,
    CartRefused,
    PricesAnswer,
    ProductPrice,
)

MOST_DECISIONS = 20  # of a customer that are looked at where the request names none
FEW_PROMOTIONS, FEW_LINES = 6, 50  # of a cart that is priced in a moment
LONGEST_DAYS = 366  # that an offer can hold
ReleaseOf = Callable[[str], LiveRelease]
OF_DECISION = ("decision_id", "ts_ms", "campaign_id", "offer_id", "release_id", "code")
GIVEN = (
    select(*(DECISIONS.c[name] for name in OF_DECISION))
    .where(DECISIONS.c.customer_id == bindparam("who"), DECISIONS.c.offer_id != "none", DECISIONS.c.unanswered == 0)
    .order_by(DECISIONS.c.ts_ms.desc())
)
LATEST = Query(  # each impression of a creative is a decision, too: a page of them would push every offer out
    GIVEN.where(DECISIONS.c.ts_ms > bindparam("since_ms"), DECISIONS.c.policy_id != CREATIVES)
    .limit(literal_column(str(MOST_DECISIONS)))
)  # fmt: skip
OFFERED = Query(GIVEN.where(DECISIONS.c.decision_id.op("in")(Members("names"))))
LANGUAGES: dict[Language, str] = {"zh": "再买{}，可{}", "en": "{} more for {}"}
BRINGS: dict[str, Words] = {  # what a benefit brings; {0} and {1} as `brings` fills them
    "percent_off": Words(zh="享{0}%优惠", en="{0}% off"),
    "amount_off": Words(zh="减{0}", en="{0} off"),
    "fixed_price": Words(zh="享{0}特价", en="a price of {0}"),
    "buy_x_get_y": Words(zh="享买{0}优惠{1}件", en="{1} at a lower price when you buy {0}"),
    "gift": Words(zh="得赠品", en="a gift"),
    "free_shipping": Words(zh="免运费", en="free delivery"),
    "points": Words(zh="得{0}积分", en="{0} points"),
    "exchange": Words(zh="{0}换购", en="an extra item for {0}"),
}


Quantity = Annotated[int, Field(ge=1, le=1000, strict=True), BeforeValidator(whole)]


class CartLineIn(Body):
    """One line of a cart; without a category that of the release's catalogue counts."""

    line_id: Id
    product_id: Id
    quantity: Quantity = 1
    price_cents: Annotated[Cents, Field(description="Of one unit, before any promotion.")]
    category: Id | None = None


class CartIn(Body):
    """A customer's cart. Without `decision_ids` the latest offers that were decided for them count, if they hold and
    the customer has not refused personal decisions since.
    """

    customer_id: Id
    lines: Annotated[tuple[CartLineIn, ...], Field(min_length=1, max_length=200)]
    shipping_cents: Cents = 0
    codes: Annotated[tuple[Typed, ...], Field(max_length=20)] = ()
    decision_ids: Annotated[tuple[Id, ...], Field(max_length=20)] | None = None
    campaign_id: Slug | None = None
    choose: Literal["best", "priority"] = "best"
    most_off_cents: Annotated[Cents | None, Field(description="The most that all promotions take off together.")] = None
    hold: Annotated[Yes, Field(description="Whether to reserve the money and codes of what is applied.")] = False
    order_id: Id | None = None

    @model_validator(mode="after")
    def _lines_differ(self) -> Self:
        if len({line.line_id for line in self.lines}) < len(self.lines):
            raise ValueError("two lines have the same line_id")
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
    codes: Annotated[tuple[Typed, ...], Field(max_length=20)] = ()
    campaign_id: Slug | None = None
    language: Language = "en"


class PromotionIn(PromotionTerms):
    """A promotion of the shop beside its plan: whose limits it counts in, and who may use it."""

    campaign_id: Slug
    holder: Literal["everybody", "code"] = Field(
        default="everybody", description="Everybody, or those who hold a code of it (its id is the offer_id of codes)."
    )


class Held(NamedTuple):
    """A promotion that the customer may use here, and what says so."""

    promotion: Promotion
    campaign_id: str
    decision_id: str | None = None
    code: str | None = None


class Wallet(NamedTuple):
    """What a customer may use, by promotion; what was refused before any price was looked at (its reason's code)."""

    held: dict[str, Held]
    refused: dict[str, str]
    release: LiveRelease | None  # of a campaign that is live: the shop's currency, and the rule packs of its texts
    catalogue: Mapping[str, str]  # a product of the cart: what its offers stand on
    opened: Mapping[str, str]  # a code as it was typed: the promotion that it is of

    @property
    def currency(self) -> str | None:
        """The shop's currency, where a release says it."""
        return self.release.shop.currency if self.release else None


class HeldCart(NamedTuple):
    """A priced cart, the redemption of each promotion in it, and the promotions that a limit refused, with why."""

    price: PricedCart
    redemptions: dict[str, str]
    refused: dict[str, str]


class Shelf(NamedTuple):
    """What is the same for all carts of a moment: campaigns that are live with their releases, what the shop keeps for
    everybody, and the offers of each campaign whose limits have no room.
    """

    live: dict[str, Campaign]
    releases: dict[str, LiveRelease]
    kept: dict[str, KeptPromotion]
    everybody: dict[str, Held]
    full: dict[str, set[str]]


def shelf(db: Connection, release_of: ReleaseOf, now_ms: int) -> Shelf:
    """Read once for all carts that are priced together."""
    kept, live = KeptPromotion.all(db), {name: one for name, one in Campaign.all(db).items() if not one.paused}
    releases = {name: release_of(one.release) for name, one in live.items() if one.release}
    releases = {name: one for name, one in releases.items() if one.creatives is None}
    everybody = {
        name: Held(one.promotion(name), one.campaign_id)
        for name, one in kept.items()
        if one.holder == "everybody" and one.campaign_id in live
    }
    return Shelf(live, releases, kept, everybody, {name: used_up(db, name, now_ms) for name in live})


class Carts:
    """The work of the ledger that prices carts and holds nothing. One per process."""

    def __init__(self, decider: Decider) -> None:
        """`decider` has the releases in memory."""
        self.decider = decider

    def work(self, db: Connection, some: Sequence[CartIn]) -> list[CartAnswer | None]:
        """Carts that wait together are priced together; None for one that may take long: requests go on meanwhile."""
        now_ms, release_of = self.decider.clock.now_ms(), self.decider.releases.__getitem__
        with suppress(KeyError):  # a release that is not in memory
            common = shelf(db, release_of, now_ms)
            return [self._soon(db, body, now_ms, common) for body in some]
        return [None for _ in some]

    def _soon(self, db: Connection, body: CartIn, now_ms: int, common: Shelf) -> CartAnswer | None:
        with suppress(KeyError):
            mine = wallet(db, self.decider.releases.__getitem__, body, now_ms, common)
            if len(mine.held) <= FEW_PROMOTIONS and len(body.lines) <= FEW_LINES:
                return unheld(body, mine, now_ms)
        return None


def wallet(db: Connection, release_of: ReleaseOf, body: CartIn, now_ms: int, common: Shelf | None = None) -> Wallet:
    """Everything that may be used in this cart, each promotion once."""
    live, releases, kept, everybody, full = common or shelf(db, release_of, now_ms)
    if (only := body.campaign_id) is not None:
        live = {name: one for name, one in live.items() if name == only}
        releases = {name: one for name, one in releases.items() if name == only}
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
        if row is None or (why := unusable(row, body.customer_id, now_ms)) or row["campaign_id"] not in live:
            refused[typed] = (why if row else None) or "code_unknown"
            continue
        name, campaign = row["offer_id"], row["campaign_id"]
        opened[typed] = name
        if name in held and held[name].code:
            continue
        if name in kept:
            held[name] = Held(kept[name].promotion(name), campaign, code=row["code"])
        elif (release := releases.get(campaign)) and name in release.labels:
            lasts_ms = release.menu[release.labels[name].menu_id].valid_days * DAY_MS
            started_ms = row["expires_ms"] - lasts_ms if row["expires_ms"] else now_ms
            held[name] = Held(_promotion(release, name, started_ms, body), campaign, code=row["code"])
        else:
            refused[typed] = "terms_gone"
    for named, made in _decisions(db, body, now_ms).items():
        if made is None:
            refused[named] = "decision_unknown"
        elif made["campaign_id"] in live and made["offer_id"] not in held:
            release = release_of(made["release_id"])
            if not takes_off(release, made["offer_id"]):
                if body.decision_ids is not None:
                    refused[named] = "not_eligible"
                continue
            promotion = _promotion(release, made["offer_id"], made["ts_ms"], body)
            row = CODE.first(db, named=made["code"]) if made["code"] else None
            if row and (why := unusable(row, body.customer_id, now_ms)):
                refused[named] = why
            else:
                held[made["offer_id"]] = Held(promotion, made["campaign_id"], named, made["code"])
    for name, each in list(held.items()):
        if full[each.campaign_id] & {"", name}:
            refused[name] = "limit_reached"
            del held[name]
    return Wallet(held, refused, next(iter(releases.values()), None), catalogue, opened)


def priced(body: CartIn, mine: Wallet, left_out: Mapping[str, str], now_ms: int) -> PricedCart:
    """The cart under the promotions of a wallet, without some."""
    category = {one.line_id: one.category or mine.catalogue.get(one.product_id, "") for one in body.lines}
    lines = [
        CartLine(one.line_id, one.product_id, category[one.line_id], one.quantity, one.price_cents)
        for one in body.lines
    ]
    can = [each.promotion for name, each in mine.held.items() if name not in left_out]
    at = datetime.fromtimestamp(now_ms / 1000, UTC)
    return price_cart(Cart(lines, body.shipping_cents, body.most_off_cents), can, at, body.choose)


def prices(body: PricesIn, mine: Wallet, now_ms: int) -> PricesAnswer:
    """One unit of each product, as if it were bought alone: what needs more in the cart lowers no price on a page.

    A price is personal where a decision made it. A price is struck through where the shop may say that it was lowered:
    under `eu_price_30d` that is the lowest of the last 30 days, and nothing where that is not known.
    """
    found: list[ProductPrice] = []
    packs, sender = (mine.release.wording.packs, mine.release.wording.sender) if mine.release else ((), Sender())
    for item in body.items:
        line = CartLineIn(line_id="1", product_id=item.product_id, price_cents=item.price_cents, category=item.category)
        price = priced(CartIn(customer_id=body.customer_id, lines=(line,)), mine, {}, now_ms)
        used = [mine.held[each.promotion_id] for each in price.applied if each.discount_cents]
        own = [each for each in used if each.decision_id]
        before = item.lowest_30d_cents if "eu_price_30d" in packs else item.price_cents
        known = Known(lowest=item.lowest_30d_cents)
        cents = price.subtotal_cents - price.discount_cents
        found.append({
            "product_id": item.product_id,
            "price_cents": cents,
            "struck_cents": before if before is not None and before > cents else None,
            "promotion_ids": [each.promotion.id for each in used],
            "personal": bool(own),
            "expires": min((e.promotion.expires.isoformat() for e in used if e.promotion.expires), default=None),
            "notices": notices(packs, sender, mine.currency or "", known, body.language) if own else [],
        })  # fmt: skip
    return {"currency": mine.currency, "data": found}


def hold(db: Connection, body: CartIn, mine: Wallet, now_ms: int, who: str) -> HeldCart:
    """Hold the money and codes of every promotion in the cart, or of none.

    One that a limit refuses is left out, and the cart is priced again.
    """
    refused: dict[str, str] = {}
    while True:
        found = priced(body, mine, refused, now_ms)
        driver_sql(db, "savepoint cart")
        redemptions: dict[str, str] = {}
        for applied in found.applied:
            each = mine.held[applied.promotion_id]
            cents = applied.discount_cents + applied.shipping_off_cents
            hold_ms = round(Campaign.known(db, each.campaign_id).policy.hold_minutes * MINUTE_MS)
            claim = Claim(
                f"rdm_{token_hex(12)}", each.campaign_id, applied.promotion_id, body.customer_id, cents, now_ms,
                hold_ms, body.order_id, each.code, each.decision_id, who,
            )  # fmt: skip
            try:
                row = reserve(db, claim)
            except Refused as refusal:
                refused[applied.promotion_id] = refusal.code
                driver_sql(db, "rollback to savepoint cart")
                break
            announce(db, "redemption.reserved", {name: row[name] for name in REDEMPTION}, now_ms)
            redemptions[applied.promotion_id] = claim.redemption_id
        driver_sql(db, "release savepoint cart")
        if len(redemptions) == len(found.applied):
            return HeldCart(found, redemptions, refused)


def locks(body: CartIn, mine: Wallet, db: Connection) -> set[str]:
    """What holding a cart must have to itself: its customer, and the campaigns of all that may apply."""
    return to_redeem(db, {each.campaign_id for each in mine.held.values()}) | {of_customer(body.customer_id)}


def shown(body: CartIn, mine: Wallet, found: HeldCart) -> CartAnswer:
    """The answer: totals, what each line costs, what was applied, what was not and why, and what is nearly reached."""
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
        "applied": [_applied(each, mine.held[each.promotion_id], found.redemptions) for each in price.applied],
        "refused": [_refused(name, why) for name, why in early]
        + [_refused(each.promotion_id, each.reason, each) for each in price.refused],
        "nearly": [
            {
                "promotion_id": each.promotion_id,
                "missing_cents": each.missing_cents,
                "missing_units": each.missing_units,
                "words": _brings(each, mine.held[each.promotion_id].promotion.benefit, mine.currency or ""),
            }
            for each in price.nearly
        ],
        "compared_all": price.compared_all,
    }


def _applied(each: Applied, by: Held, redemptions: Mapping[str, str]) -> CartApplied:
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


def _refused(name: str, why: str, no: NotApplied | None = None) -> CartRefused:
    return {
        "id": name,
        "reason": why,
        "words": REFUSALS[why].words.model_dump(),
        "missing_cents": no.missing_cents if no else 0,
        "missing_units": no.missing_units if no else 0,
        "beside": list(no.beside) if no else [],
    }


def unheld(body: CartIn, mine: Wallet, now_ms: int) -> CartAnswer:
    """The answer where nothing is held."""
    return shown(body, mine, HeldCart(priced(body, mine, {}, now_ms), {}, {}))


def kept(body: PromotionIn) -> KeptPromotion:
    """A request's promotion as it is kept."""
    terms = PromotionTerms(**{name: getattr(body, name) for name in PromotionTerms.model_fields})
    return KeptPromotion(campaign_id=body.campaign_id, holder=body.holder, terms=terms)


def find_code(db: Connection, typed: str) -> Row | None:
    """The code that a person means who typed this; None if there is none."""
    tried = (CODE.first(db, named=text) for text in (typed, normalise(typed), typed.strip().upper()) if text)
    return next(filter(None, tried), None)


# parts


def _decisions(db: Connection, body: CartIn, now_ms: int) -> dict[str, Row | None]:
    """Offers that were decided for the customer, the latest first: those named (None where there is none), or all, of
    one who has not refused personal decisions since. What is named was promised.
    """
    if body.decision_ids is None:
        if any(row["personal"] == 0 for row in SAID.dicts(db, people=members([body.customer_id]))):
            return {}
        made = LATEST.dicts(db, who=body.customer_id, since_ms=now_ms - LONGEST_DAYS * DAY_MS)
    else:
        made = OFFERED.dicts(db, who=body.customer_id, names=members(body.decision_ids))
    found: dict[str, Row | None] = {row["decision_id"]: row for row in made}
    return dict.fromkeys(name for name in body.decision_ids or () if name not in found) | found


def takes_off(release: LiveRelease, offer_id: str) -> bool:
    """Whether an offer lowers a price at all: a reminder is a letter and nothing else."""
    label = release.labels.get(offer_id)
    return label is None or release.menu[label.menu_id].benefit.type != "reminder"


def _promotion(release: LiveRelease, offer_id: str, ts_ms: int, body: CartIn) -> Promotion:
    """A planned offer as a promotion: on the products of this cart that the release counts to what it covers."""
    offer = printable(release, offer_id, ts_ms)
    names = set(covered(offer.covers))
    on = [
        line.product_id
        for line in body.lines
        if names & {line.product_id, line.category or "", release.products.get(line.product_id, "")}
    ]
    return Promotion(
        id=offer_id,
        benefit=offer.benefit,
        scope="product" if names else "basket",
        covers=tuple(sorted(names)) if offer.joined == "together" else tuple(dict.fromkeys(on)) or tuple(sorted(names)),
        joined=offer.joined or "each",
        min_spend_cents=offer.min_spend_cents,
        starts=offer.starts,
        expires=offer.expires,
    )


def brings(benefit: Benefit, currency: str, language: Language) -> str:
    """What a benefit is, in a word: '20% off', '免运费'."""
    cents = benefit.amount_cents or benefit.price_cents
    what = money(cents, currency, language) if cents else benefit.percent or benefit.points or benefit.buy
    return BRINGS[benefit.type].in_(language).format(what, benefit.get)


def _brings(no: NotApplied, benefit: Benefit, currency: str) -> Mapping[str, str]:
    """'$8.50 more for free delivery', '再买8.50美元，可免运费'."""
    said: dict[str, str] = {}
    for language, more in LANGUAGES.items():
        lacks = money(no.missing_cents, currency, language) if no.missing_cents else str(no.missing_units)
        unit = "件" if language == "zh" and not no.missing_cents else ""
        said[language] = more.format(lacks + unit, brings(benefit, currency, language))
    return said
