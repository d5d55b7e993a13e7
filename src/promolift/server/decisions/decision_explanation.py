"""Explain a decision in plain sentences: why it came out so, and what would change it.

A record holds its reason as a text that programs read and replays compare. The texts here are for people: they use the
candidates, the excluded offers and the plan behind the record, and say which offer of the plan was closed, and by what.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from promolift.core.customers.consent import OPTED_OUT_REASON
from promolift.core.customers.reason_text import CODE_USED, CONSENT, render_reason
from promolift.core.decisions.decision_rule import (
    AUDIENCE_DRAW_REASON,
    EXPLORATION_REASON,
    HOLDOUT_REASON,
    LARGEST_GAIN_REASON,
    NONE,
    NOTHING_OPEN_REASON,
    NOTHING_PAYS_REASON,
)
from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.i18n.formatting import MoneyFormat, count, percent, upper_first
from promolift.server.decisions.decision_record import OfferEntries
from promolift.server.decisions.eligibility import BOUGHT_LATELY
from promolift.server.decisions.live_release import LiveRelease

WHOLE_SHARE = 0.995  # from here on a customer is not said to be drawn
PLANNED_REASONS = (AUDIENCE_DRAW_REASON, LARGEST_GAIN_REASON, NOTHING_PAYS_REASON, NOTHING_OPEN_REASON)
CODE_REDEEMED = CODE_USED.format(status="redeemed")
Describe = Callable[[str], str]  # an offer's id: its title


class Explanation(NamedTuple):
    """Why a decision came out so, and what would change it, in sentences of the language that is in use."""

    because: str
    changes: list[str]


class _Candidate(NamedTuple):
    """An open offer with what it adds after its cost, and what is left of that at the price, in cents."""

    offer_id: str
    gain_cents: float
    cost_cents: float
    worth_cents: float
    share: float  # of customers like this one to whom the plan gives it

    @property
    def needed_cents(self) -> float:
        """What it would have to add to be given."""
        return self.gain_cents - self.worth_cents


def explain_decision(
    release: LiveRelease, decided: Mapping[str, Any], describe: Describe, rest_days: float = 0.0
) -> Explanation:
    """Explain a decision of a release of offers.

    `decided` has customer_id, offer_id, reason, price, candidates and ineligible, as a dry decision does. `describe`
    returns the title of an offer. `rest_days` are the days that an offer stays closed after a purchase of its goods.
    """
    reason, offer_id, cash = decided["reason"], decided["offer_id"], MoneyFormat(release.shop.currency)
    opened = _open_candidates(decided["candidates"], decided["price"])
    if reason.startswith(CONSENT.format(reason="")):
        return _explain_refusal(reason.removeprefix(CONSENT.format(reason="")))
    if reason == HOLDOUT_REASON:
        share = percent(release.terms.holdout_share)
        text = gettext(
            "They belong to the {share} of customers, drawn at random, who get no offer. Comparing the others with "
            "them shows what the offers earn.",
            share=share,
        )
        return Explanation(
            text, [gettext("Nothing that they do. They stay in this group as long as the shop keeps it.")]
        )
    if reason == EXPLORATION_REASON:
        text = gettext("Their offer was drawn at random, so that the shop learns what each offer adds.")
        return Explanation(text, [gettext("Nothing that they do. The draw stays the same until the plan changes.")])
    if reason not in PLANNED_REASONS:
        return Explanation(_sentence(render_reason(reason)), [])
    if offer_id != NONE:
        return _explain_offer(release, offer_id, opened, describe, cash, rest_days)
    if decided["customer_id"] not in release.place:
        text = gettext("The plan does not know them: its data end before their first order.")
        return Explanation(text, [gettext("The next plan knows them, once their orders are read.")])
    if closed := planned_but_closed(release, decided["customer_id"], decided["ineligible"]):
        return _explain_closed(closed, describe, rest_days)
    if not opened:
        return _explain_nothing_open(decided["ineligible"])
    return _explain_none(opened, describe, cash)


def planned_but_closed(release: LiveRelease, customer_id: str, ineligible: OfferEntries) -> Mapping[str, Any] | None:
    """Return the excluded offer, with its reason, that the plan has for a customer; None if it is not excluded."""
    planned = release.planned.get(customer_id)
    return next((each for each in ineligible if planned and each["offer"] == planned.offer_id), None)


def explain_past_reason(release: LiveRelease, row: Mapping[str, Any], describe: Describe) -> str:
    """Return the reason of a ledger row in a few words: without an offer, which offer of the plan was closed."""
    reason, who = row["reason"], row["customer_id"]
    if reason == HOLDOUT_REASON:
        return gettext("held out at random, to measure what offers earn")
    if reason not in PLANNED_REASONS:
        return render_reason(reason)
    if row["offer_id"] != NONE:
        return gettext("as the plan has it")
    options = release.rows.options(release.span(who))
    closed = [
        {"offer": options[at].offer_id, "reason": why}
        for why, places in json.loads(row["closed"] or "{}").items()
        for at in places
        if at < len(options)
    ]
    found = planned_but_closed(release, who, closed)
    if found and found["reason"] == CODE_REDEEMED:
        return gettext("they have used “{offer}”", offer=describe(found["offer"]))
    if found:
        return gettext(
            "“{offer}” was planned, but closed: {why}",
            offer=describe(found["offer"]),
            why=render_reason(found["reason"]),
        )
    if not options:
        return gettext("the plan did not know them yet")
    return gettext("the plan has no offer for them")


def _open_candidates(candidates: OfferEntries, price: float) -> list[_Candidate]:
    found = [
        _Candidate(
            each["offer"], each["gain_cents"], each["cost_cents"],
            each["gain_cents"] - each["charge_cents"] - price * each["cost_cents"], each.get("draw_share", 0.0),
        )
        for each in candidates
        if each["offer"] != NONE and "share" not in each
    ]  # fmt: skip
    return sorted(found, key=lambda each: -each.worth_cents)


def _sentence(text: str) -> str:
    return upper_first(text) + gettext(".")


def _explain_refusal(why: str) -> Explanation:
    text = gettext("Nothing may be sent to them: {why}.", why=render_reason(why))
    if why == OPTED_OUT_REASON:
        return Explanation(text, [gettext("They would have to allow personal offers again.")])
    return Explanation(text, [gettext("A yes of theirs to being sent offers, told to the server or in the next data.")])


def _explain_closed(closed: Mapping[str, Any], describe: Describe, rest_days: float) -> Explanation:
    offer, why = describe(closed["offer"]), closed["reason"]
    again = gettext("No other offer takes its place before the next plan.")
    if why == CODE_REDEEMED:
        return Explanation(gettext("The plan had “{offer}” for them, and they have used it.", offer=offer), [again])
    if why == BOUGHT_LATELY:
        text = gettext("The plan has “{offer}” for them, but they have just bought what it is for.", offer=offer)
        back = ngettext(
            "It opens again {days} day after that purchase.",
            "It opens again {days} days after that purchase.",
            rest_days,
            days=count(rest_days),
        )
        return Explanation(text, [back, again])
    text = gettext("The plan has “{offer}” for them, but it is closed now: {why}.", offer=offer, why=render_reason(why))
    return Explanation(text, [gettext("It opens again when this rule no longer closes it."), again])


def _explain_nothing_open(ineligible: OfferEntries) -> Explanation:
    ((why, _),) = Counter(each["reason"] for each in ineligible).most_common(1) or (("", 0),)
    text = ngettext(
        "The {n} offer of the menu is closed to them. The most frequent reason: {why}.",
        "All {n} offers of the menu are closed to them. The most frequent reason: {why}.",
        len(ineligible), n=count(len(ineligible)), why=render_reason(why),
    )  # fmt: skip
    return Explanation(
        text, [gettext("A rule below that no longer closes an offer, or an offer on the menu that fits.")]
    )


def _explain_none(opened: list[_Candidate], describe: Describe, cash: MoneyFormat) -> Explanation:
    drawn = [each for each in opened if each.share > 0]
    if drawn:
        likeliest = max(drawn, key=lambda each: each.share)
        text = gettext(
            "The plan gives “{offer}” to {share} of customers like them, drawn at random. They were not drawn.",
            offer=describe(likeliest.offer_id), share=percent(likeliest.share),
        )  # fmt: skip
        return Explanation(text, [gettext("Nothing that they do. The next plan draws again.")])
    best = opened[0]
    offer, gain, cost = describe(best.offer_id), cash(best.gain_cents), cash(best.cost_cents)
    if best.gain_cents <= 0:
        text = gettext(
            "No open offer is expected to pay for itself. The best one, “{offer}”, would come to {gain} after its "
            "cost.",
            offer=offer, gain=gain,
        )  # fmt: skip
        return Explanation(text, [_more(offer, best, cash)])
    if best.worth_cents > 0:
        text = gettext(
            "The plan leaves them out. “{offer}” comes closest: it is expected to add {gain}, which was not enough "
            "once the limits of the plan and the doubt were counted.",
            offer=offer, gain=gain,
        )  # fmt: skip
        return Explanation(
            text, [gettext("A larger budget, wider limits, or data that show more surely what it adds.")]
        )
    text = gettext(
        "Other customers make more of the budget. The best offer here, “{offer}”, is expected to add {gain} for "
        "{cost}; at this budget it has to add {needed}.",
        offer=offer, gain=gain, cost=cost, needed=cash(best.needed_cents),
    )  # fmt: skip
    return Explanation(text, [_more(offer, best, cash), gettext("A larger budget asks less of each offer.")])


def _more(offer: str, one: _Candidate, cash: MoneyFormat) -> str:
    return gettext(
        "“{offer}” would be given if it were expected to add {more} more.",
        offer=offer, more=cash(abs(one.worth_cents)),
    )  # fmt: skip


def _explain_offer(
    release: LiveRelease, offer_id: str, opened: list[_Candidate], describe: Describe, cash: MoneyFormat,
    rest_days: float,
) -> Explanation:  # fmt: skip
    given = next(each for each in opened if each.offer_id == offer_id)
    others = [each for each in opened if each.offer_id != offer_id]
    changes = []
    if 0 < given.share < WHOLE_SHARE:
        text = gettext(
            "The plan gives it to {share} of customers like them, drawn at random, so that the shop learns what it "
            "adds. They were drawn.",
            share=percent(given.share),
        )
        changes.append(gettext("Nothing that they do. The draw stays the same until the plan changes."))
    else:
        text = gettext(
            "Within the budget the plan has this offer for them: it is expected to add {gain} after its cost of "
            "{cost}.",
            gain=cash(given.gain_cents), cost=cash(given.cost_cents),
        )  # fmt: skip
        if others and others[0].worth_cents < given.worth_cents:
            changes.append(
                gettext(
                    "In the next plan “{offer}” takes its place if it is expected to add {more} more.",
                    offer=describe(others[0].offer_id),
                    more=cash(given.worth_cents - others[0].worth_cents),
                )
            )
    label = release.labels.get(offer_id)
    if label and label.target and rest_days > 0:
        changes.append(gettext("It closes if they buy what it is for."))
    return Explanation(text, [*changes, gettext("It ends when they use it, and with the days of the plan.")])
