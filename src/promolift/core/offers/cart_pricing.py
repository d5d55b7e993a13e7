"""Price a cart under a customer's promotions: the discount of each line, and the reason of each refusal.

A pure function of its arguments: the same for a till, a web page, a test and the plan that asks what an offer costs.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, combinations, product
from math import prod
from typing import Literal, NamedTuple, Self

from pydantic import AwareDatetime, Field, model_validator

from promolift.core.offers.terms import Benefit, PairCondition
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.settings import Settings

CartReason = Literal["not_started", "expired", "not_eligible", "below_threshold", "not_stackable", "cap"]
MAX_COMBINATIONS = 2048  # combinations of promotions that are compared; see `_sets`


PER_UNIT_BENEFITS = frozenset({"fixed_price", "buy_x_get_y", "exchange"})  # benefits that look at single units


class Stacking(Settings):
    """What may stand beside a promotion in one cart.

    Promotions of different categories stand together. Of one category they do so only if all of them are `joint`; by
    default all are of one category and none is, so that a cart has one promotion.
    """

    category: str = Field(default="", description="Name of the group within which promotions exclude one another.")
    joint: bool = Field(default=False, description="Whether it stands with other joint ones of its category.")
    priority: int = Field(default=0, description="The higher is applied first, and chosen first by `priority`.")


class PromotionTerms(Settings):
    """What a promotion does, on which goods, from which spend on, when, and beside which others.

    `covers` are the categories or products of its scope, none for `basket`. `joined` as in `Offer`: `together` holds
    for as many sets as there are in the cart, one unit of each that it covers.
    """

    benefit: Benefit
    scope: Literal["basket", "category", "product"] = "basket"
    covers: tuple[str, ...] = ()
    joined: PairCondition = "each"
    min_spend_cents: int = Field(default=0, ge=0)
    starts: AwareDatetime | None = None
    expires: AwareDatetime | None = None
    stacking: Stacking = Stacking()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.benefit.type == "none":
            raise ValueError(gettext_lazy("a promotion needs a benefit"))
        if self.benefit.type in ("gift", "exchange") and not self.benefit.product_id:
            raise ValueError(
                gettext_lazy("{type} needs product_id: the till must know which product", type=self.benefit.type)
            )
        if (self.scope == "basket") != (not self.covers):
            raise ValueError(gettext_lazy("covers names categories or products; scope 'basket' has none"))
        if self.joined == "together":
            if len(set(self.covers)) < 2:
                raise ValueError(gettext_lazy("together needs two or more in covers"))
            if self.benefit.type not in ("percent_off", "amount_off", "fixed_price"):
                raise ValueError(gettext_lazy("together is for percent_off, amount_off and fixed_price"))
        if self.benefit.type == "amount_off" and 0 < self.min_spend_cents <= self.benefit.amount_cents:
            raise ValueError(gettext_lazy("an amount off must be smaller than the spend it asks for"))
        return self


class Promotion(PromotionTerms):
    """A promotion as the till needs it."""

    id: str = Field(min_length=1)


class CartLine(NamedTuple):
    """One line of a cart, before promotions."""

    line_id: str
    product_id: str
    category: str
    quantity: int
    unit_cents: int


@dataclass(frozen=True, slots=True)
class Cart:
    """Lines, what delivery costs, and the shop's cap on all that promotions take off together (cents)."""

    lines: Sequence[CartLine]
    shipping_cents: int = 0
    most_off_cents: int | None = None

    def __post_init__(self) -> None:
        """Refuse what has no price: a line twice, a quantity below 1, a negative amount."""
        if len({line.line_id for line in self.lines}) < len(self.lines):
            raise InputError("rows_duplicate", gettext_lazy("two lines have the same line_id"))
        if any(line.quantity < 1 or line.unit_cents < 0 for line in self.lines) or self.shipping_cents < 0:
            raise InputError("value_invalid", gettext_lazy("a quantity is at least 1, and no price is negative"))


class AppliedPromotion(NamedTuple):
    """One promotion in a cart: what it takes off which line; the values of `allocation` sum to `discount_cents`."""

    promotion_id: str
    discount_cents: int
    allocation: dict[str, int]
    shipping_off_cents: int = 0
    gift_product_id: str | None = None
    gift_quantity: int = 0
    points: int = 0
    worth_cents: int = 0


class RefusedPromotion(NamedTuple):
    """One promotion that is not in the cart: why, what is missing, and beside which it cannot stand."""

    promotion_id: str
    reason: CartReason
    missing_cents: int = 0
    missing_units: int = 0
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PricedCart:
    """Totals in cents: subtotal - discount + shipping - shipping off = total. `line_cents` is what each line costs.

    `compared_all` is False where there were more sets than MOST_SETS, so that a better one may be left.
    """

    subtotal_cents: int
    discount_cents: int
    shipping_cents: int
    shipping_off_cents: int
    line_cents: dict[str, int]
    applied: tuple[AppliedPromotion, ...]
    refused: tuple[RefusedPromotion, ...]
    compared_all: bool = True

    @property
    def total_cents(self) -> int:
        return self.subtotal_cents - self.discount_cents + self.shipping_cents - self.shipping_off_cents

    @property
    def nearly(self) -> tuple[RefusedPromotion, ...]:
        """What more goods of the right kind would bring: the nearest first."""
        near = [no for no in self.refused if no.reason == "below_threshold"]
        return tuple(sorted(near, key=lambda no: (no.missing_cents, no.missing_units, no.promotion_id)))


def price_cart(
    cart: Cart, promotions: Iterable[Promotion], at: datetime, choose: Literal["best", "priority"] = "best"
) -> PricedCart:
    """What each line costs under the promotions that may stand together; the order of lines and promotions is nothing.

    Of the sets that stacking allows `best` takes the one with the most money off (with what gifts and points are
    worth), then the most gifts and points, then the fewest promotions; `priority` fills the cart by priority. Within a
    set, promotions on goods come before those on the basket, then the higher priority, then the id. A threshold looks
    at the goods a promotion covers, before any discount. No line and no delivery falls below zero. Shares of a cent go
    to the largest remainder.
    """
    lines = sorted(cart.lines)
    basket = _Basket(
        lines, [line.quantity * line.unit_cents for line in lines], cart.shipping_cents, cart.most_off_cents
    )
    held = {promotion.id: promotion for promotion in promotions}
    refused: dict[str, RefusedPromotion] = {}
    can: list[Promotion] = []
    for promotion in sorted(held.values(), key=lambda each: (each.scope == "basket", -each.stacking.priority, each.id)):
        if no := _why_not(promotion, basket, at):
            refused[promotion.id] = no
        else:
            can.append(promotion)
    groups = _groups(can)
    every = (
        choose == "priority" or prod(len(group.alone) + 2 ** len(group.joint) for group in groups) <= MAX_COMBINATIONS
    )
    sets = _sets(groups, every) if choose == "best" else [_by_priority(can)]
    best = basket.best(sets, [basket.asks(promotion) for promotion in can])
    applied = tuple(map(basket.applied, best.taken))
    used = {each.promotion_id for each in applied}
    for promotion in can:
        if promotion.id not in used:
            beside = tuple(sorted(other for other in used if _exclude(promotion, held[other])))
            refused[promotion.id] = RefusedPromotion(promotion.id, "not_stackable" if beside else "cap", beside=beside)
    return PricedCart(
        subtotal_cents=sum(basket.full),
        discount_cents=sum(basket.full) - sum(best.left),
        shipping_cents=cart.shipping_cents,
        shipping_off_cents=cart.shipping_cents - best.shipping_cents,
        line_cents={line.line_id: cents for line, cents in zip(lines, best.left, strict=True)},
        applied=applied,
        refused=tuple(refused[key] for key in sorted(refused)),
        compared_all=every,
    )


# which promotions are possible, and which of them together


def _covered(promotion: Promotion, lines: Sequence[CartLine]) -> list[int]:
    """The lines it looks at, by place; the goods that an exchange lowers are not among what must be bought for it."""
    extra = promotion.benefit.product_id if promotion.benefit.type == "exchange" else None
    mine = (
        enumerate(lines)
        if promotion.scope == "basket"
        else ((k, line) for k, line in enumerate(lines) if _part(promotion, line) in promotion.covers)
    )
    return [k for k, line in mine if line.product_id != extra]


def _why_not(promotion: Promotion, basket: "_Basket", at: datetime) -> RefusedPromotion | None:
    """Why it cannot be in this cart at all; None if it can."""
    if promotion.starts and at < promotion.starts:
        return RefusedPromotion(promotion.id, "not_started")
    if promotion.expires and at > promotion.expires:
        return RefusedPromotion(promotion.id, "expired")
    covered, benefit = _covered(promotion, basket.lines), promotion.benefit
    if not covered or (benefit.type == "free_shipping" and not basket.shipping_cents):
        return RefusedPromotion(promotion.id, "not_eligible")
    if benefit.type == "exchange" and not any(line.product_id == benefit.product_id for line in basket.lines):
        return RefusedPromotion(promotion.id, "not_eligible", missing_units=1)
    cents = max(0, promotion.min_spend_cents - sum(basket.full[k] for k in covered))
    units = 0
    if benefit.buy and benefit.get:
        units = max(0, benefit.buy + benefit.get - sum(basket.lines[k].quantity for k in covered))
    elif promotion.joined == "together":
        units = len(set(promotion.covers) - {_part(promotion, basket.lines[k]) for k in covered})
    return RefusedPromotion(promotion.id, "below_threshold", cents, units) if cents or units else None


def _part(promotion: Promotion, line: CartLine) -> str:
    return line.category if promotion.scope == "category" else line.product_id


def _exclude(one: Promotion, other: Promotion) -> bool:
    a, b = one.stacking, other.stacking
    return a.category == b.category and not (a.joint and b.joint)


class _Group(NamedTuple):
    """The promotions of one category by their places: those that stand alone, and those that stand together."""

    alone: list[int]
    joint: list[int]


def _groups(can: Sequence[Promotion]) -> list[_Group]:
    found: dict[str, _Group] = {}
    for at, promotion in enumerate(can):
        mine = found.setdefault(promotion.stacking.category, _Group([], []))
        (mine.joint if promotion.stacking.joint else mine.alone).append(at)
    return list(found.values())


def _sets(groups: Sequence[_Group], every: bool) -> Iterator[tuple[int, ...]]:
    """All sets that stacking allows, by place; if not `every` one those with all joint ones of a category or none.

    Joint promotions hardly ever lower one another's worth by more than they add, so leaving one out hardly ever pays.
    """
    ways: list[list[tuple[int, ...]]] = []
    for alone, joint in groups:
        sizes = range(len(joint) + 1) if every else (0, len(joint))
        ways.append([(at,) for at in alone])
        ways[-1].extend(chain.from_iterable(combinations(joint, size) for size in sizes))
    for choice in product(*ways):
        yield tuple(sorted(chain.from_iterable(choice)))


def _by_priority(can: Sequence[Promotion]) -> tuple[int, ...]:
    chosen: list[int] = []
    for at in sorted(range(len(can)), key=lambda at: (-can[at].stacking.priority, at)):
        if not any(_exclude(can[at], can[other]) for other in chosen):
            chosen.append(at)
    return tuple(sorted(chosen))


# what a set takes off


class _Ask(NamedTuple):
    """What a promotion may take: at most `room` of each line, and of that a share (percent) or a sum of cents."""

    promotion: Promotion
    room: list[int]
    percent: int = 0
    cents: int = 0


class _Taken(NamedTuple):
    """What a promotion takes off in all, and off each line."""

    promotion: Promotion
    cents: int
    parts: list[int]


class _Tried(NamedTuple):
    """A set as it is applied: what takes something off or gives something, the money in all, gifts and points; and what
    is left of each line, of delivery, and of what may come off.
    """

    taken: tuple[_Taken, ...]
    worth: int
    gifts: int
    left: list[int]
    shipping_cents: int
    budget_cents: int


@dataclass(frozen=True, slots=True)
class _Basket:
    """A cart in a fixed order: its lines, what each costs before promotions, delivery, the cap on what comes off."""

    lines: Sequence[CartLine]
    full: list[int]
    shipping_cents: int
    most_off_cents: int | None

    def asks(self, promotion: Promotion) -> _Ask:
        """What `promotion` takes off the prices before promotions: the same in every set that it is part of."""
        benefit, covered = promotion.benefit, _covered(promotion, self.lines)
        if promotion.joined == "each" and benefit.type not in PER_UNIT_BENEFITS:
            room = [0] * len(self.lines)
            for k in covered:
                room[k] = self.full[k]
            return _Ask(promotion, room, benefit.percent, benefit.amount_cents)
        units = sorted(
            ((self.lines[k].unit_cents, -k) for k in covered for _ in range(self.lines[k].quantity)), reverse=True
        )
        times = benefit.max_times or len(units)
        price, room = benefit.price_cents, [0] * len(self.lines)
        if promotion.joined == "together":
            parts = [
                [u for u in units if _part(promotion, self.lines[-u[1]]) == part]
                for part in dict.fromkeys(promotion.covers)
            ]
            sets = [one for one in zip(*parts, strict=False) if sum(unit for unit, _ in one) > price][:times]
            for cents, k in chain.from_iterable(sets):
                room[-k] += cents
            return _Ask(promotion, room, benefit.percent, benefit.amount_cents or sum(room) - price * len(sets))
        if benefit.type == "fixed_price":
            for cents, k in units[:times]:
                room[-k] += max(0, cents - price)
        elif benefit.buy and benefit.get:
            groups = min(times, len(units) // (benefit.buy + benefit.get))
            for cents, k in units[len(units) - groups * benefit.get :]:
                room[-k] += cents
            return _Ask(promotion, room, benefit.percent)
        elif benefit.type == "exchange":
            extra = [k for k, line in enumerate(self.lines) if line.product_id == benefit.product_id]
            dear = sorted(
                ((self.lines[k].unit_cents, -k) for k in extra for _ in range(self.lines[k].quantity)), reverse=True
            )
            for cents, k in dear[: benefit.quantity]:
                room[-k] += max(0, cents - price)
        return _Ask(promotion, room, cents=sum(room))

    @property
    def untouched(self) -> _Tried:
        budget = sum(self.full) + self.shipping_cents if self.most_off_cents is None else self.most_off_cents
        return _Tried((), 0, 0, self.full, self.shipping_cents, budget)

    def best(self, sets: Iterable[tuple[int, ...]], asks: Sequence[_Ask]) -> _Tried:
        """The set with the most money off, then the most gifts, then the fewest promotions.

        None takes off more than its promotions would one by one: those that could the most are tried first, and the
        rest not at all.
        """
        tried: dict[tuple[int, ...], _Tried] = {(): self.untouched}
        most = [self.most(ask) for ask in asks]
        (_, first), *rest = sorted(((sum(most[at] for at in chosen), chosen) for chosen in sets), reverse=True)
        best = self.tried(first, asks, tried)
        for bound, chosen in rest:
            if bound < best.worth:
                break
            best = min(
                (best, self.tried(chosen, asks, tried)),
                key=lambda one: (-one.worth, -one.gifts, len(one.taken), [each.promotion.id for each in one.taken]),
            )
        return best

    def most(self, ask: _Ask) -> int:
        """What a promotion can be worth at most, whatever comes before it: as the first one, without a cap."""
        benefit = ask.promotion.benefit
        if benefit.type in ("gift", "points"):
            return benefit.worth_cents
        if benefit.type == "free_shipping":
            return self.shipping_cents
        whole = sum(ask.room)
        return min(whole, (whole * ask.percent + 50) // 100 if ask.percent else ask.cents)

    def tried(self, chosen: tuple[int, ...], asks: Sequence[_Ask], known: dict[tuple[int, ...], _Tried]) -> _Tried:
        """A set, by places in `asks`, applied in its order: what `known` has of its first ones is not tried again."""
        if (found := known.get(chosen)) is None:
            before = self.tried(chosen[:-1], asks, known)
            found = known[chosen] = self.after(before, asks[chosen[-1]])
        return found

    def after(self, before: _Tried, ask: _Ask) -> _Tried:
        """One more promotion; where it changes nothing, the set as it was."""
        (promotion, most, percent, cents), (taken, worth, gifts, left, shipping, budget) = ask, before
        benefit = promotion.benefit
        if benefit.type in ("gift", "points"):
            new = (*taken, _Taken(promotion, 0, []))
            return before._replace(taken=new, worth=worth + benefit.worth_cents, gifts=gifts + 1)
        parts: list[int] = []
        if benefit.type == "free_shipping":
            off = min(shipping, budget, benefit.max_discount_cents or shipping)
            shipping -= off
        else:
            room = list(map(min, most, left))
            wish = (sum(most if benefit.base == "list" else room) * percent + 50) // 100 if percent else cents
            off = min(wish, sum(room), budget, benefit.max_discount_cents or wish)
            parts = _spread(off, room)
            left = list(map(int.__sub__, left, parts))
        if not off:
            return before
        return _Tried((*taken, _Taken(promotion, off, parts)), worth + off, gifts, left, shipping, budget - off)

    def applied(self, taken: _Taken) -> AppliedPromotion:
        """What a promotion does in the cart, line by line."""
        (id_, benefit), cents = (taken.promotion.id, taken.promotion.benefit), taken.cents
        if benefit.type == "free_shipping":
            return AppliedPromotion(id_, 0, {}, shipping_off_cents=cents)
        if benefit.type in ("gift", "points"):
            units = benefit.quantity if benefit.product_id else 0
            return AppliedPromotion(id_, 0, {}, 0, benefit.product_id, units, benefit.points, benefit.worth_cents)
        return AppliedPromotion(
            id_, cents, {line.line_id: off for line, off in zip(self.lines, taken.parts, strict=True) if off}
        )


def _spread(cents: int, room: Sequence[int]) -> list[int]:
    """`cents` in proportion to `room`, whose sum they do not pass; cents left over by the largest remainder."""
    if not cents:
        return [0] * len(room)
    whole = sum(room)
    parts = [cents * part // whole for part in room]
    if over := cents - sum(parts):
        for _, k in sorted((-(cents * part % whole), k) for k, part in enumerate(room))[:over]:
            parts[k] += 1
    return parts
