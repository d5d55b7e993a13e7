"""The story in, the shop's page out, and on its first screen the headline, what it stands on, and further numbers."""

from promolift.pages.blocks import Big, Page, Stand
from promolift.pages.chapters import budget, customers, discount, forecast, health, models, people
from promolift.pages.figures import headline
from promolift.pages.story import Story
from promolift.results.learned import Ranged
from promolift.results.plan import Assumption
from promolift.words import clip, count, date, days, plural, share, upper_first

TELLERS = (
    health.tell, customers.tell, forecast.tell, discount.tell, models.tell, budget.tell, budget.tell_policies,
    people.tell, people.tell_messages, health.tell_unknowns,
)  # fmt: skip
NAMES = {
    "margin": "The margin",
    "supplier_share": "The suppliers' part",
    "response": "The response to discounts",
    "coupon_reach": "Coupons that are noticed",
    "stretch_share": "Orders filled up to a threshold",
}


def page_of(story: Story) -> Page:
    """The report. What the story leaves out becomes a box that says so."""
    shop = story.plan.shop
    return Page(
        name=shop.name,
        eyebrow="Promotion plan",
        facts={
            "As of": date(story.asof_ms, shop.zone),
            "Looks ahead": days(story.window_days),
            "Currency": shop.currency,
            "Time zone": shop.zone,
            "Data": story.data_label,
        },
        head=first(story),
        asides=[clip(text, 500) for text in story.plan.why[1:]],
        stands=[stand(each) for each in story.plan.fragile_first],
        bigs=numbers(story),
        chapters=[chapter for teller in TELLERS if (chapter := teller(story)) is not None],
        currency=shop.currency,
    )


def first(story: Story) -> Big:
    """The one number the report is about, and its interval; why nobody gets an offer, where nobody does."""
    head, plan, window = story.head, story.plan, days(story.window_days)
    gain = Ranged(head.gain_cents, head.low_cents, head.high_cents) if head else None
    text = (
        f"What this plan is expected to add over {window}, compared with sending nothing (margin added in {window}, "
        f"after the shop's part of the discounts).{_luck(story)}"
    )
    why = clip(plan.why[0], 400) if plan.why else text
    return headline("Expected extra profit", gain, why, plan.evidence, story.cash)


def _luck(story: Story) -> str:
    """What the estimates that chose the plan promise, where the headline is another figure."""
    head, cash = story.head, story.cash
    if head is None or head.promised_cents is None:
        return ""
    start = f" The estimates that chose it promise {cash(head.promised_cents)}; "
    if head.promised_cents <= head.gain_cents or cash(head.promised_cents) == cash(head.gain_cents):
        return start + "this figure, by those of customers who had no part in the choice, is no less."
    return start + "this figure is by those of customers who had no part in the choice: the rest was luck."


def stand(each: Assumption) -> Stand:
    """What the headline stands on and nobody measured."""
    name, text = NAMES.get(each.name, upper_first(each.name.replace("_", " "))), clip(each.text, 400)
    if each.flips_at is None:
        return Stand(name, text)
    end = max(1.0, each.value, each.flips_at)
    place = (round(100 * min(max(x, 0.0), end) / end, 2) for x in (each.value, each.flips_at))
    return Stand(name, text, share(each.value), share(each.flips_at), *place)


def numbers(story: Story) -> list[Big]:
    """The further numbers."""
    plan, cash, read, lead = story.plan, story.cash, story.health, budget.lead_of(story)
    spent = f"Expected to be spent: {cash(plan.cost_cents)}"
    spent += f" ({share(plan.spent_share)})." if plan.spent_share is not None else "."
    rest = f", {share(plan.treated_share)} of the {count(plan.able)} who could" if plan.able else ""
    bigs = [
        Big("Budget", cash(plan.budget_cents), spent, plan.evidence),
        Big(
            "Customers with an offer", count(plan.treated),
            f"{plural(plan.treated, 'customer')} would get one offer each{rest}.",
        ),
        Big(
            f"The next {cash.unit} of budget", cash.per_unit(plan.next_cents),
            f"What one more {cash.unit} would add at the margin.", plan.evidence,
        ),
    ]  # fmt: skip
    if lead is not None:
        bigs.append(Big("Against the next best", lead.lead, lead.short, lead.evidence))
    if read.read:
        taken = f"{count(read.accepted)} of {count(read.read)} rows were taken."
        bigs.append(Big("Raw data that could be used", share(read.accepted_share), taken))
    return bigs
