"""The story in, the first screen out: four to six numbers, each with one plain sentence and its evidence."""

from promolift.report.blocks import Big, Span
from promolift.report.chapters.policies import compare
from promolift.report.frames import tidy
from promolift.report.plans import totals
from promolift.report.story import HEALTH, Chosen, Shop, Story
from promolift.report.words import DASH, clip, count, date, days, digits, known, money, plural, share, symbol


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
    sentence = f"What this plan is expected to add{window}, compared with sending nothing{what}."
    return Big("Expected extra profit", money(gain, currency, sign=True), sentence, chosen.evidence), _span(story, gain)


def asides(story: Story) -> list[str]:
    """What stands beside the headline: the rest of why the plan gives nobody an offer."""
    return [clip(text, 500) for text in (story.chosen or Chosen()).why[1:]]


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
    part = f" ({share(cost / budget)})." if cost is not None and budget > 0 else "."
    return Big("Budget", money(budget, currency), used + part, chosen.evidence)


def _treated(story: Story) -> Big | None:
    chosen = story.chosen or Chosen()
    plan = totals(story.plan)
    treated = known(chosen.treated) if chosen.treated is not None else float(plan.treated) if plan else None
    if treated is None:
        return None
    among = known(chosen.eligible) or (float(plan.customers) if plan and plan.customers > treated else None)
    rest = f", {share(treated / among)} of the {count(among)} who could" if among else ""
    return Big(
        "Customers with an offer", count(treated), f"{plural(treated, 'customer')} would get one offer each{rest}."
    )


def _price(story: Story) -> Big | None:
    chosen = story.chosen or Chosen()
    price = known(chosen.price)
    if price is None:
        return None
    shop = story.shop
    one = f"{symbol(shop.currency)}1"
    worth = money(price * 10 ** digits(shop.currency), shop.currency)
    return Big(f"The next {one} of budget", worth, f"What one more {one} would add at the margin.", chosen.evidence)


def _lead(story: Story) -> Big | None:
    result = compare(story)
    if result is None:
        return None
    return Big("Against the next best", result.lead, result.short, result.evidence)


def _rows(story: Story) -> Big | None:
    health = tidy(story.health, HEALTH)
    read, accepted = int(health["read"].sum()), int(health["accepted"].sum())
    if not read:
        return None
    return Big(
        "Raw data that could be used", share(accepted / read), f"{count(accepted)} of {count(read)} rows were taken."
    )


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
