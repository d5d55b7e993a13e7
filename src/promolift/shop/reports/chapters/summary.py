"""The story in, the shop's page out, and on its first screen the headline, what to do now, and what it stands on."""

from promolift.extensions.encoder import chapter as forecast
from promolift.foundation.evidence import Ranged
from promolift.foundation.i18n.formatting import (
    bracket,
    clip,
    count,
    date,
    days,
    ends,
    listed,
    number,
    pick,
    share,
    speaking,
    upper_first,
)
from promolift.foundation.i18n.translation import kept
from promolift.foundation.pages.blocks import Big, Page, Stand, Todo
from promolift.foundation.pages.charts import headline
from promolift.foundation.pages.rendering import render_page
from promolift.foundation.time.units import DAY_MS
from promolift.shop.reports.chapters import budget, customers, data_health, discount, fairness, predictions, recipients
from promolift.shop.reports.story import Story
from promolift.shop.results.plan import Assumption
from promolift.shop.results.predictions import COUPONS

TELLERS = (
    recipients.tell, recipients.tell_messages, budget.tell, budget.tell_policies, fairness.tell,
    data_health.tell_unknowns, customers.tell, discount.tell, predictions.tell, data_health.tell,
    predictions.tell_figures, discount.tell_method, budget.tell_method, forecast.tell,
)  # fmt: skip
NAMES = {
    "margin": "The margin",
    "supplier_share": "The suppliers' part",
    "response": "The response to discounts",
    "coupon_reach": "Coupons that are noticed",
    "stretch_share": "Orders filled up to a threshold",
}
ASK = {
    "margin": "Ask finance for the real margin.",
    "supplier_share": "Have purchasing confirm it in writing.",
    "response": "Nobody can know before the offers are sent; the customers left out will tell.",
}
ALL = 0.99  # of a budget spent, so much is all of it
MOST = 3  # offers that are named on the first screen


def render(story: Story) -> str:
    """The report of `story` as one HTML document. What the story leaves out becomes a box that says so."""
    with speaking(story.language):
        return render_page(page_of(story))


def page_of(story: Story) -> Page:
    """The report. What the story leaves out becomes a box that says so."""
    shop, window = story.plan.shop, story.window_days
    last = date(story.asof_ms + (window - 1) * DAY_MS, shop.zone)
    return Page(
        name=shop.name,
        eyebrow=kept("Promotion plan"),
        facts={
            kept("From"): date(story.asof_ms, shop.zone),
            kept("to"): f"{last}{bracket(days(window))}",
            kept("Currency"): shop.currency,
        },
        head=first(story),
        warning=forecast_miss(story),
        asides=[clip(text, 500) for text in (*story.why[1:], story.next) if text],
        do=todo(story),
        stands=[stand(each) for each in story.believed],
        bigs=numbers(story),
        chapters=[chapter for teller in TELLERS if (chapter := teller(story)) is not None],
        currency=shop.currency,
    )


def first(story: Story) -> Big:
    """The one number the report is about, and its interval; why nobody gets an offer, where nobody does."""
    head, plan, window, cost = story.head, story.plan, days(story.window_days), story.cash(story.plan.cost_cents)
    gain = Ranged(head.gain_cents, head.low_cents, head.high_cents) if head else None
    text = kept(
        f"What sending these offers is expected to add in {window}, beyond sending nothing, once their cost of {cost} "
        f"is paid.{_luck(story)}"
    )
    if story.tests:
        label = kept("This plan is a test, expected to cost")
        return Big(label, story.cash(plan.cost_cents), story.why[0] if story.why else text)
    why = clip(story.why[0], 400) if story.why else text
    return headline(kept("Expected extra profit"), gain, why, plan.evidence, story.cash)


def _luck(story: Story) -> str:
    """What the estimates that chose the plan promise, where the headline is another figure."""
    head, cash = story.head, story.cash
    if head is None or head.promised_cents is None:
        return ""
    promised = cash(head.promised_cents)
    if head.promised_cents <= head.gain_cents or promised == cash(head.gain_cents):
        return kept(
            f" The estimates that chose the offers promise {promised}; checked on customers who had no part in the "
            "choice, it is no less."
        )
    return kept(
        f" The estimates that chose the offers promise {promised}; checked on customers who had no part in the choice, "
        "part of that was luck, which is taken off here."
    )


def forecast_miss(story: Story) -> str:
    """A warning where what was predicted of the weeks held back missed what happened by more than chance and 5 %."""
    missed = [each for each in story.predictions.missed if story.coupons or each.model != COUPONS]
    if not missed:
        return ""
    said = [
        f"{predictions.name_of(each.model)} {number(each.value)}{bracket(ends(each.low, each.high, number))}"
        for each in missed
    ]
    return kept(
        "Forecasts missed what happened in the weeks held back (1 would be right): "
        f"{listed(said)}. What the offers bring and cost may be off by as much."
    )


def todo(story: Story) -> list[Todo]:
    """What to do now, in order; nothing to send where nobody gets an offer."""
    plan, cash = story.plan, story.cash
    if not plan.treated:
        return []
    steps = _to_check(story)
    often = [
        pick(
            f"{clip(row['offer'], 50)} ({count(row['treated'])})",
            f"{clip(row['offer'], 50)}（{count(row['treated'])}位）",
        )
        for row in story.offers.head(MOST).iter_rows(named=True)
        if row["offer_id"]
    ]
    who = kept(f"Send one offer each to {count(plan.treated)} customers, of {count(plan.able)} who may get one")
    where = kept("Who gets what, with words and codes: plan.csv.")
    most = kept(f"Most often {listed(often)}. ") if often else ""
    steps.append(Todo(who, most + where))
    steps.append(
        Todo(
            kept(f"Set aside {cash(plan.cost_cents)}"),
            kept(
                "So much the discounts and sending are expected to cost the shop, of a budget of "
                f"{cash(plan.budget_cents)}."
            ),
        )
    )
    if plan.held_out:
        steps.append(
            Todo(
                kept(f"Send nothing to {count(plan.held_out)} customers, and compare"),
                kept(
                    "They were picked at random. When the window is over, read in the new log and run `promolift "
                    "learn`: the difference to them is the proof."
                ),
            )
        )
    return steps


def _to_check(story: Story) -> list[Todo]:
    """The assumption that carries the result, where another value of it would turn the plan."""
    weak = story.believed[0] if story.believed else None
    if weak is None or weak.flips_at is None:
        return []
    name, ask = NAMES.get(weak.name), ASK.get(weak.name)
    called, turn = kept(name) if name else weak.name, share(weak.flips_at)
    what = pick(
        f"Check before you send: {called[:1].lower()}{called[1:]}, {share(weak.value)}",
        f"发送前先核实：{called}{share(weak.value)}",
    )
    why = kept(f"At {turn} nothing would be earned.")
    return [Todo(what, why + (pick(" ", "") + kept(ask) if ask else ""))]


def stand(each: Assumption) -> Stand:
    """What the headline stands on and nobody measured."""
    name = kept(NAMES[each.name]) if each.name in NAMES else upper_first(each.name.replace("_", " "))
    text = clip(pick(each.text, each.text_zh or each.text), 400)
    if each.flips_at is None:
        return Stand(name, text)
    end = max(1.0, each.value, each.flips_at)
    place = (round(100 * min(max(x, 0.0), end) / end, 2) for x in (each.value, each.flips_at))
    return Stand(name, text, share(each.value), share(each.flips_at), *place)


def numbers(story: Story) -> list[Big]:
    """The further numbers."""
    plan, cash, read, lead = story.plan, story.cash, story.health, budget.lead_of(story)
    less = plan.spent_share is not None and plan.spent_share < ALL
    part = share(plan.spent_share)
    spent = kept(f" ({part} of it)") if less else ""
    rest = kept(f"; {share(plan.treated_share)} of those who could") if plan.able else ""
    bigs = [
        Big(kept("Customers with an offer"), count(plan.treated), kept(f"Of {count(plan.customers)} customers{rest}.")),
        Big(kept("Expected cost"), cash(plan.cost_cents), kept(f"Of a budget of {cash(plan.budget_cents)}{spent}.")),
        Big(
            kept(f"The next {cash.unit} of budget"),
            cash.per_unit(plan.next_cents),
            kept(f"So much one more {cash.unit} would add, after its cost."),
            plan.evidence,
        ),
    ]
    if lead is not None and lead.shown:
        label = kept("Against the best simple rule")
        bigs.append(Big(label, lead.lead, lead.short, lead.evidence))
    if read.read:
        taken = kept(f"{count(read.accepted)} of {count(read.read)} rows could be used.")
        bigs.append(Big(kept("Data that could be used"), share(read.accepted_share), taken))
    return bigs
