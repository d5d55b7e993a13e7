"""Why a plan gives nobody, or nearly nobody, an offer: stored as codes and values, said in sentences where it is shown.

`reports/explain_plan.py` finds the reason.
"""

from collections.abc import Sequence
from math import ceil
from typing import Literal

from promolift.core.customers.reason_text import render_reason
from promolift.core.messages.offer_text import describe_menu_line
from promolift.core.offers.terms import Benefit
from promolift.foundation.evidence import Level
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import count, current_locale, join_list, level_name, money
from promolift.foundation.i18n.lazy_message import LazyMessage, render_message
from promolift.foundation.localized_text import LocalizedText
from promolift.foundation.settings import Settings


class OfferShape(Settings):
    """What an offer is, and on what; `label` where it is on one thing alone, which `kind` is or one of that kind."""

    benefit: Benefit
    min_spend_cents: int
    kind: Literal["category", "product"] | None
    label: LocalizedText | None = None

    def text(self, currency: str) -> str:
        """Describe the offer in a few words."""
        one = {
            "category": LocalizedText(zh="一个品类", en="one category"),
            "product": LocalizedText(zh="一件商品", en="one product"),
        }
        on = self.label or (one[self.kind] if self.kind else None)
        return describe_menu_line(self.benefit, self.min_spend_cents, currency, current_locale(), on)


class NeededSales(Settings):
    """How much more a discount must sell so as to pay, and how much more it is expected to, as shares."""

    needed: float
    expected: float

    def text(self) -> str:
        """Say both."""
        more, now = 100 * round_up_percent(self.needed), 100 * self.expected
        return gettext("if it sold {more} % more (expected: {now} %)", more=f"{more:.0f}", now=f"{now:.0f}")


class NearestDiscount(Settings):
    """The discount that is closest to paying, and what it would have to sell."""

    offer: OfferShape
    sales: NeededSales


class NearestOffer(Settings):
    """The offer that is closest to paying, what it costs and adds per customer, and what would have to change.

    `margin_needed` and `margin_half` are the margins from which it pays for one and for half of the customers, None
    where no margin would do. `coupon_reach` and `stretch_share` are None where they decide nothing. `trial`: whether
    customers may draw offers already.
    """

    treated: int
    able: int
    offer: OfferShape
    cost_cents: float
    added_cents: float
    evidence: str
    margin_share: float
    own_margin_share: float
    margin_source: Literal["costs", "stated", "usual"]
    margin_needed: float | None
    margin_half: float | None
    sales: NeededSales | None
    supplier_share: float
    supplier_needed: float | None
    coupon_reach: float | None
    stretch_share: float | None
    response: Level
    response_why: LazyMessage
    discount: NearestDiscount | None
    trial: bool


class ClosedOffers(Settings):
    """So many offers are closed for one reason."""

    why: str
    offers: int


class PlanReason(Settings):
    """Why hardly anybody gets an offer; `draws` where customers draw theirs, of which the test's own note tells.

    `closed` are the most frequent reasons of `offers` closed ones. `customers` have an offer that pays, the cheapest of
    which costs `least_cents`.
    """

    code: Literal["draws", "no_consent", "money_unknown", "unvalued", "closed", "held_back", "none_pays"]
    closed: tuple[ClosedOffers, ...] = ()
    offers: int = 0
    customers: int = 0
    least_cents: float | None = None
    nearest: NearestOffer | None = None

    def sentences(self, currency: str) -> list[str]:
        """Say the reason, and what to do next."""
        match self.code:
            case "no_consent":
                return [
                    gettext(
                        "Nobody may be given an offer: all are held out, refused, have not agreed or may be too young. "
                        "Next: ask customers whether they agree, and check which column says it (columns.consent in "
                        "promolift.toml)."
                    )
                ]
            case "money_unknown":
                return [
                    gettext(
                        "Nobody gets an offer: the log names no prices or amounts, so nobody knows what a discount "
                        "would cost or bring. Next: name the column that holds them under [data.events.mapping] "
                        "(columns.amount or columns.unit_price), or give a catalogue with prices (--products)."
                    )
                ]
            case "unvalued":
                return [
                    gettext(
                        "Nobody gets an offer: offers are open, but what they would add is known for nobody, since "
                        "neither the spend of the weeks to come nor purchases by category could be expected. Next: "
                        "see `promolift health` for what is missing; most often it is more weeks, or a catalogue with "
                        "categories (--products)."
                    )
                ]
            case "closed":
                return [gettext("Nobody gets an offer: {why}", why=_closed_text(self.closed, self.offers))]
            case "held_back":
                return [
                    gettext(
                        "The budget or a limit holds the plan back: {customers} customers have an offer that pays, the "
                        "cheapest of which costs {least}. Next: raise plan.budget_cents or loosen it.",
                        customers=count(self.customers),
                        least=money(self.least_cents, currency),
                    )
                ]
        return [] if self.nearest is None else nearest_sentences(self.nearest, currency)


def _closed_text(closed: Sequence[ClosedOffers], offers: int) -> str:
    if not closed:
        return gettext("the menu holds no offer that fits anybody.")
    reasons = [
        gettext(
            "{why_not} ({n} of {height})", why_not=render_reason(each.why), n=count(each.offers), height=count(offers)
        )
        for each in closed
    ]
    return gettext("no offer is open to anybody: {reasons}.", reasons=join_list(reasons))


def nearest_sentences(found: NearestOffer, currency: str) -> list[str]:
    """Describe the offer closest to paying, what decides that it does not, when it would, and what to do."""
    start = gettext("No offer pays")
    if found.treated:
        start = gettext(
            "Only for {treated} of {able} customers an offer pays", treated=count(found.treated), able=count(found.able)
        )
    cost, added = found.cost_cents, found.added_cents
    loss, costs, adds = (money(x, currency) for x in (cost - added, cost, added))
    first = gettext(
        "{start}. Closest is {said}: per customer it would cost about {costs} and add {adds} "
        "of margin (evidence: {evidence}), a loss of {loss}.",
        start=start,
        said=found.offer.text(currency),
        costs=costs,
        adds=adds,
        evidence=level_name(found.evidence),
        loss=loss,
    )
    return [first, _deciding(found), _ways(found, currency), _next_steps(found)]


def _ways(found: NearestOffer, currency: str) -> str:
    """When the nearest offer would pay."""
    who = gettext("another customer") if found.treated else gettext("a first customer")
    margin = _margin_text(found)
    ways = [margin] if margin else []
    if found.sales is not None and found.offer.benefit.type == "percent_off":
        ways.append(found.sales.text())
    if found.supplier_needed is not None:
        then, now = 100 * round_up_percent(found.supplier_needed), 100 * found.supplier_share
        ways.append(
            gettext("if suppliers paid {then} % of the discount (now {now} %)", then=f"{then:.0f}", now=f"{now:.0f}")
        )
    pays = gettext("It would pay for {who} {ways}. ", who=who, ways=join_list(ways, "or")) if ways else ""
    pays += "" if margin else gettext("A higher margin alone would not do. ")
    if found.discount is not None:
        name, lift = found.discount.offer.text(currency), found.discount.sales.text()
        pays += gettext("{name} would pay {lift}.", name=name, lift=lift)
    return pays.strip()


def percent(value: float) -> str:
    """A share as a whole number of per cent."""
    return gettext("{value} %", value=f"{100 * value:.0f}")


def _deciding(found: NearestOffer) -> str:
    """Describe which margin and which response decide."""
    rate = percent(found.margin_share)
    if found.margin_source == "costs":
        of = gettext("from the products' costs")
    elif found.margin_source == "stated":
        of = gettext("as stated")
    else:
        of = gettext("assumed, since none is given")
    parts = [gettext("a margin of {rate} ({of})", rate=rate, of=of)]
    if found.coupon_reach is not None:
        reach = percent(found.coupon_reach)
        parts.append(gettext("{reach} of customers noticing a coupon (assumed)", reach=reach))
    if found.stretch_share is not None:
        stretch = percent(found.stretch_share)
        parts.append(gettext("{stretch} of orders just below the threshold being filled up (assumed)", stretch=stretch))
    if found.evidence == "assumed" and found.response == "assumed":
        why = render_message(found.response_why)
        parts.append(gettext("a response to discounts that is assumed, because {why}", why=why))
    elif found.evidence == "assumed":
        parts.append(gettext("a response to this offer that is assumed, because it was never given"))
    else:
        parts.append(gettext("a response read from past discounts ({level})", level=level_name(found.response)))
    return gettext("This rests on {parts}.", parts=join_list(parts), parts_2="；".join(parts))


def _margin_text(found: NearestOffer) -> str:
    """The margin from which the nearest offer would pay, and half of the customers; empty where no margin would do."""
    if found.margin_needed is None:
        return ""
    if found.margin_source == "costs":
        times = found.margin_needed / found.own_margin_share
        return gettext("from margins {first} times as high up", first=f"{times:.1f}")
    most = ""
    if found.margin_half is not None:
        half = f"{round_up_percent(found.margin_half):.2f}"
        most = gettext(" (for half of the customers: {round_up_percent})", round_up_percent=half)
    first = f"{round_up_percent(found.margin_needed):.2f}"
    return gettext("from a margin of {round_up_percent} up{most}", round_up_percent=first, most=most)


def _next_steps(found: NearestOffer) -> str:
    """Return what to do next, the cheapest first."""
    costs = gettext("give the products their cost (column cost), or set value.margin_rate in promolift.toml to yours")
    trial = gettext(
        "set plan.test_share = 0.1 and run `promolift run`: offers are then tested within "
        "the budget, and `promolift learn` shows what they earned"
    )
    suppliers = gettext("set supplier_share on the [[menu]] lines that suppliers pay for")
    steps = [*([] if found.margin_source == "costs" else [costs]), suppliers, *([] if found.trial else [trial])]
    return gettext("Next: {steps}.", steps="; ".join(steps), steps_2="；".join(steps))


def round_up_percent(value: float) -> float:
    """The least hundredth that is not below `value`: a threshold must not be rounded to a value that misses it."""
    return ceil(100 * value - 1e-9) / 100
