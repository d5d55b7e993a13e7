"""The story in, the first screen out: the headline, what it stands on, and four to six numbers with their evidence."""

from promolift.pages.blocks import Big, Span, Stand
from promolift.pages.chapters.policies import Said, said
from promolift.pages.planned import Chosen
from promolift.pages.story import Shop, Story
from promolift.results.plan import Assumption
from promolift.words import (
    DASH,
    clip,
    count,
    date,
    days,
    known,
    money,
    per_unit,
    plural,
    share,
    symbol,
    upper_first,
)

NAMES = {
    "margin": "The margin",
    "supplier_share": "The suppliers' part",
    "response": "The response to discounts",
    "coupon_reach": "Coupons that are noticed",
    "stretch_share": "Orders filled up to a threshold",
}


def headline(story: Story) -> tuple[Big, Span | None]:
    """The one number the report is about, and its interval."""
    chosen, currency = story.chosen or Chosen(), story.shop.currency
    gain = known(chosen.gain_cents)
    if chosen.why:
        value = "Not known" if gain is None else money(gain, currency, sign=True)
        span = None if gain is None else _span(story, gain)
        evidence = None if gain is None else chosen.evidence
        return Big("Expected extra profit", value, clip(chosen.why[0], 400), evidence), span
    if gain is None:
        why = story.missing.get("chosen", "no plan was chosen")
        return Big("Expected extra profit", "Not known", f"Because: {why}"), None
    window = f" over {days(story.shop.window_days)}" if known(story.shop.window_days) else ""
    what = f" ({chosen.gain_means})" if chosen.gain_means else ""
    sentence = f"What this plan is expected to add{window}, compared with sending nothing{what}.{_luck(story)}"
    return Big("Expected extra profit", money(gain, currency, sign=True), sentence, chosen.evidence), _span(story, gain)


def _luck(story: Story) -> str:
    """What the estimates that chose the plan promise, where the headline is another figure."""
    chosen, currency = story.chosen or Chosen(), story.shop.currency
    gain, promised = known(chosen.gain_cents), known(chosen.promised_cents)
    if gain is None or promised is None:
        return ""
    start = f" The estimates that chose it promise {money(promised, currency)}; "
    if promised <= gain or money(promised, currency) == money(gain, currency):
        return start + "this figure, by those of customers who had no part in the choice, is no less."
    return start + "this figure is by those of customers who had no part in the choice: the rest was luck."


def asides(story: Story) -> list[str]:
    """What stands beside the headline: the rest of why the plan gives nobody an offer."""
    return [clip(text, 500) for text in (story.chosen or Chosen()).why[1:]]


def stands(story: Story) -> list[Stand]:
    """What the headline stands on and nobody measured, first what needs to be least wrong to turn the plan."""
    return [_stand(each) for each in (story.chosen or Chosen()).assumptions]


def _stand(each: Assumption) -> Stand:
    name, text = NAMES.get(each.name, upper_first(each.name.replace("_", " "))), clip(each.text, 400)
    value, flips = known(each.value), known(each.flips_at)
    if value is None or flips is None:
        return Stand(name, text)
    end = max(1.0, value, flips)
    place = (round(100 * min(max(x, 0.0), end) / end, 2) for x in (value, flips))
    return Stand(name, text, share(value), share(flips), *place)


def _span(story: Story, gain: float) -> Span | None:
    chosen = story.chosen or Chosen()
    return span_of(gain, chosen.low_cents, chosen.high_cents, story.shop.currency)


def span_of(value: float, low_cents: float | None, high_cents: float | None, currency: str | None) -> Span | None:
    """The drawing of an interval of money around `value`; None where it is not known."""
    low, high = known(low_cents), known(high_cents)
    if low is None or high is None or not low <= high:
        return None
    first, last = min(0.0, low, value), max(0.0, high, value)
    at = {x: round(100 * (x - first) / ((last - first) or 1.0), 2) for x in (low, value, high, 0.0)}
    ends = (money(low, currency, sign=True), money(high, currency, sign=True))
    return Span(at[low], at[value], at[high], at[0.0], *ends)


def numbers(story: Story) -> list[Big]:
    """The further numbers; a number that is not known is left out (its chapter says why)."""
    bigs = [_budget(story), _treated(story), _price(story), _lead(story), _rows(story)]
    return [big for big in bigs if big is not None]


def _budget(story: Story) -> Big | None:
    chosen, currency = story.chosen or Chosen(), story.shop.currency
    budget = known(chosen.budget_cents if chosen.budget_cents is not None else story.shop.budget_cents)
    cost = known(chosen.cost_cents)
    if budget is None:
        return None
    used = (
        f"Expected to be spent: {money(cost, currency)}"
        if cost is not None
        else "What of it will be spent is not known"
    )
    part = f" ({share(chosen.spent_share)})." if known(chosen.spent_share) is not None else "."
    return Big("Budget", money(budget, currency), used + part, chosen.evidence)


def _treated(story: Story) -> Big | None:
    chosen = story.chosen or Chosen()
    treated, among = known(chosen.treated), known(chosen.eligible)
    if treated is None:
        return None
    part = known(chosen.treated_share)
    rest = f", {share(part)} of the {count(among)} who could" if among and part is not None else ""
    return Big(
        "Customers with an offer", count(treated), f"{plural(treated, 'customer')} would get one offer each{rest}."
    )


def _price(story: Story) -> Big | None:
    chosen, currency = story.chosen or Chosen(), story.shop.currency
    if known(chosen.next_cents) is None:
        return None
    one = f"{symbol(currency)}1"
    sentence = f"What one more {one} would add at the margin."
    return Big(f"The next {one} of budget", per_unit(chosen.next_cents, currency), sentence, chosen.evidence)


def _lead(story: Story) -> Big | None:
    result: Said | None = said(story)
    return None if result is None else Big("Against the next best", result.lead, result.short, result.evidence)


def _rows(story: Story) -> Big | None:
    health = story.health
    if health is None or not health.read:
        return None
    told = f"{count(health.accepted)} of {count(health.read)} rows were taken."
    return Big("Raw data that could be used", share(health.accepted_share), told)


def facts(shop: Shop) -> list[tuple[str, str]]:
    """The small print under the title."""
    lines = [
        ("As of", date(shop.asof_ms, shop.timezone) if known(shop.asof_ms) is not None else None),
        ("Looks ahead", days(shop.window_days) if known(shop.window_days) else None),
        ("Currency", shop.currency),
        ("Time zone", shop.timezone),
        ("Data", shop.data_label),
    ]
    return [(name, str(value)) for name, value in lines if value and value != DASH]
