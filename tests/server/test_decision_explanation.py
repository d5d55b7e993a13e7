"""Each case of a decision has its own plain sentence, with what would change it."""

from types import SimpleNamespace
from typing import Any

import pytest

from promolift.core.customers.consent import OPTED_OUT_REASON
from promolift.core.customers.reason_text import CODE_USED, CONSENT
from promolift.core.decisions import decision_rule as rule
from promolift.foundation.i18n.formatting import use_locale
from promolift.server.decisions.decision_explanation import CODE_REDEEMED, explain_decision, explain_past_reason
from promolift.server.decisions.eligibility import BOUGHT_LATELY

WHO, TEA, MILK = "u1", "off_tea", "off_milk"
TITLES = {TEA: "20% off tea", MILK: "10% off milk"}
PLANNED = rule.LARGEST_GAIN_REASON
RESERVED = CODE_USED.format(status="reserved")


def release(planned: str | None = TEA, target: str | None = "tea") -> Any:
    """A release that knows one customer and plans an offer for them, and what explanations read of it."""
    return SimpleNamespace(
        shop=SimpleNamespace(currency="USD"), terms=SimpleNamespace(holdout_share=0.1), place={WHO: 0},
        planned={WHO: SimpleNamespace(offer_id=planned)} if planned else {},
        labels={TEA: SimpleNamespace(target=target)}, span=lambda who: who,
        rows=SimpleNamespace(options=lambda span: [SimpleNamespace(offer_id=TEA)] if span == WHO else []),
    )  # fmt: skip


def option(offer: str, gain: float, cost: float = 100.0, charge: float = 0.0, **more: float) -> dict[str, Any]:
    """An open offer: what it adds, costs and takes of the budget, in cents."""
    return {"offer": offer, "gain_cents": gain, "cost_cents": cost, "charge_cents": charge, **more}


def closed(offer: str, why: str) -> dict[str, str]:
    return {"offer": offer, "reason": why}


def decided(reason: str, offer: str = rule.NONE, who: str = WHO, price: float = 1.0, **lists: Any) -> dict[str, Any]:
    return {"customer_id": who, "offer_id": offer, "reason": reason, "price": price, "candidates": [],
            "ineligible": []} | lists  # fmt: skip


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "opted out": (decided(CONSENT.format(reason=OPTED_OUT_REASON)), "Nothing may be sent", "allow personal offers"),
    "no consent": (decided(CONSENT.format(reason="nobody asked")), "may be sent to them: nobody asked", "A yes"),
    "held out": (decided(rule.HOLDOUT_REASON), "10\xa0% of customers, drawn at random", "stay in this group"),
    "explored": (decided(rule.EXPLORATION_REASON, TEA), "drawn at random, so that the shop learns", "until the plan"),
    "other reason": (decided("timeout: too late"), "Timeout: too late.", ""),
    "unknown customer": (decided(rule.NOTHING_OPEN_REASON, who="new"), "The plan does not know them", "next plan"),
    "used": (decided(PLANNED, ineligible=[closed(TEA, CODE_REDEEMED)]), "“20% off tea” for them, and they have used",
             "No other offer"),
    "bought lately": (decided(PLANNED, ineligible=[closed(TEA, BOUGHT_LATELY)]), "have just bought what it is for",
                      "28 days after that purchase"),
    "closed by a rule": (decided(PLANNED, ineligible=[closed(TEA, RESERVED)]), "it is closed now: its code is",
                         "when this rule no longer"),
    "nothing open": (decided(rule.NOTHING_OPEN_REASON, ineligible=[closed(MILK, RESERVED)]),
                     "The 1 offer of the menu is closed", "an offer on the menu that fits"),
    "not drawn": (decided(PLANNED, candidates=[option(TEA, 200, draw_share=0.4)]), "to 40\xa0% of customers like them",
                  "The next plan draws again"),
    "loses money": (decided(PLANNED, candidates=[option(TEA, -50)]), "No open offer is expected to pay for itself",
                    "add $1.50 more"),
    "left out by limits": (decided(PLANNED, candidates=[option(TEA, 500)]), "“20% off tea” comes closest",
                           "A larger budget, wider limits"),
    "too dear": (decided(PLANNED, candidates=[option(TEA, 60)]), "it has to add $1.00", "add $0.40 more"),
    "given": (decided(PLANNED, TEA, candidates=[option(TEA, 500), option(MILK, 300)]), "expected to add $5.00",
              "“10% off milk” takes its place if it is expected to add $2.00 more"),
    "given by a draw": (decided(PLANNED, TEA, candidates=[option(TEA, 500, draw_share=0.25)]),
                        "to 25\xa0% of customers like them", "Nothing that they do"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_each_case_says_why_and_what_would_change_it(name: str) -> None:
    case, because, change = CASES[name]
    found = explain_decision(release(), case, TITLES.__getitem__, rest_days=28)
    assert because in found.because
    assert change in " ".join(found.changes)
    assert bool(change) == bool(found.changes)
    with use_locale("zh"):
        chinese = explain_decision(release(), case, TITLES.__getitem__, rest_days=28)
    assert chinese.because != found.because or name == "other reason"
    assert len(chinese.changes) == len(found.changes)


def test_a_given_offer_says_that_it_closes_only_where_it_is_on_some_goods() -> None:
    case = decided(PLANNED, TEA, candidates=[option(TEA, 500)])
    closes = "It closes if they buy what it is for."
    assert closes in explain_decision(release(), case, TITLES.__getitem__, rest_days=28).changes
    assert closes not in explain_decision(release(), case, TITLES.__getitem__).changes
    assert closes not in explain_decision(release(target=None), case, TITLES.__getitem__, rest_days=28).changes


@pytest.mark.parametrize(
    ("row", "planned", "said"),
    [
        ({"reason": rule.HOLDOUT_REASON}, TEA, "held out at random"),
        ({"reason": "timeout"}, TEA, "timeout"),
        ({"reason": PLANNED, "offer_id": TEA}, TEA, "as the plan has it"),
        ({"reason": PLANNED, "closed": f'{{"{CODE_REDEEMED}": [0]}}'}, TEA, "they have used “20% off tea”"),
        ({"reason": PLANNED, "closed": f'{{"{RESERVED}": [0]}}'}, TEA, "was planned, but closed: its code is"),
        ({"reason": PLANNED, "customer_id": "new"}, TEA, "the plan did not know them yet"),
        ({"reason": PLANNED}, None, "the plan has no offer for them"),
        ({"reason": PLANNED, "closed": f'{{"{RESERVED}": [7]}}'}, TEA, "the plan has no offer for them"),
    ],
)
def test_each_past_reason_is_a_few_plain_words(row: dict[str, Any], planned: str | None, said: str) -> None:
    whole = {"customer_id": WHO, "offer_id": rule.NONE, "closed": None} | row
    assert said in explain_past_reason(release(planned), whole, TITLES.__getitem__)
