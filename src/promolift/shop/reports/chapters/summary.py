"""Build the shop's report from the story. Its first screen shows the headline, the next steps and the assumptions."""

from promolift.foundation import extension
from promolift.foundation.evidence import IntervalEstimate
from promolift.foundation.i18n.catalogue import gettext, gettext_noop, pgettext
from promolift.foundation.i18n.formatting import (
    MoneyFormat,
    count,
    date,
    days,
    first_sentences,
    in_brackets,
    join_list,
    join_sentences,
    low_to_high,
    number,
    percent,
    truncate,
    upper_first,
    use_locale,
)
from promolift.foundation.pages.blocks import ActionItem, Chapter, HeadlineAssumption, KeyFigure, Page
from promolift.foundation.pages.charts import headline
from promolift.foundation.pages.rendering import render_page
from promolift.foundation.time.clock import DAY_MS
from promolift.shop.reports.chapters import (
    budget,
    customers,
    data_health,
    discount,
    fairness,
    history,
    predictions,
    recipients,
)
from promolift.shop.reports.story import Story
from promolift.shop.results.plan import assumption_text, holdout_power_text
from promolift.shop.results.plan_note import Assumption
from promolift.shop.results.predictions import COUPONS

CHAPTERS = (
    history.build_chapter,
    recipients.build_chapter, recipients.build_messages_chapter, budget.build_chapter, budget.build_policies_chapter,
    fairness.build_chapter, data_health.build_unknowns_chapter, customers.build_chapter, discount.build_chapter,
    predictions.build_chapter, data_health.build_chapter,
    predictions.build_figures_chapter, discount.build_method_chapter, budget.build_method_chapter,
)  # fmt: skip
ASSUMPTION_NAMES = {
    "margin": gettext_noop("The margin"),
    "supplier_share": gettext_noop("The suppliers' part"),
    "response": gettext_noop("The response to discounts"),
    "coupon_reach": gettext_noop("Coupons that are noticed"),
    "stretch_share": gettext_noop("Orders filled up to a threshold"),
    "send_cost": gettext_noop("What a message costs"),
    "delivery_cost": gettext_noop("What a free delivery costs"),
    "message_effect": gettext_noop("What the draws add"),
}
ASSUMPTION_REMEDIES = {  # of those that somebody in the shop can check before anything is sent
    "margin": gettext_noop("Ask finance for the real margin."),
    "supplier_share": gettext_noop("Have purchasing confirm it in writing."),
    "send_cost": gettext_noop("Ask whoever sends your messages."),
    "delivery_cost": gettext_noop("Ask whoever delivers for you."),
}
ALL = 0.99  # of a budget spent, so much is all of it
MOST = 3  # offers that are named on the first screen


def render(story: Story) -> str:
    """The report of `story` as one HTML document. What the story leaves out becomes a box that says so."""
    with use_locale(story.language):
        return render_page(page_of(story))


def build_chapters(story: Story) -> list[Chapter]:
    """Return the chapters that have something to say, those of extensions behind the ones that they name, or last."""
    chapters = [chapter for build in CHAPTERS if (chapter := build(story)) is not None]
    for registered in extension.listed("chapters"):
        added: Chapter | None = extension.load_reference(registered.build)(story)
        if added is not None:
            slugs = [each.slug for each in chapters]
            place = slugs.index(registered.after) + 1 if registered.after in slugs else len(chapters)
            chapters.insert(place, added)
    return chapters


def page_of(story: Story) -> Page:
    """The report. What the story leaves out becomes a box that says so."""
    shop, window = story.plan.shop, story.summary.days
    last = date(story.asof_ms + (window - 1) * DAY_MS, shop.zone)
    return Page(
        folded=True,
        name=shop.name,
        eyebrow=gettext("Promotion plan"),
        facts={
            gettext("From"): date(story.asof_ms, shop.zone),
            gettext("to"): f"{last}{in_brackets(days(window))}",
            pgettext("summary", "Currency"): shop.currency,
        },
        head=headline_figure(story),
        warning=forecast_miss(story),
        explanations=[
            first_sentences(text, 500) for text in (*story.why[0 if story.plan.tests else 1 :], story.next) if text
        ],
        actions=todo(story),
        assumptions=[assumption_row(each, story.cash) for each in story.summary.assumptions],
        key_figures=numbers(story),
        chapters=build_chapters(story),
        currency=shop.currency,
    )


def headline_figure(story: Story) -> KeyFigure:
    """Return the headline figure with its interval, or why nobody gets an offer."""
    found, plan = story.summary, story.plan
    window, cost = days(found.days), story.cash(found.cost_cents)
    value = found.value_cents
    gain = None if value is None else IntervalEstimate(value, found.low_cents, found.high_cents)
    text = gettext(
        "What sending these offers is expected to add in {window}, beyond sending nothing, "
        "once their cost of {cost} is paid.{luck}",
        window=window,
        cost=cost,
        luck=_luck(story),
    )
    if story.tests:
        label = gettext("This plan is a test, expected to cost")
        return KeyFigure(label, cost, story.why[0] if story.why else text)
    why = first_sentences(story.why[0], 400) if story.why and not plan.tests else text
    return headline(gettext("Expected extra profit"), gain, why, found.evidence, story.cash)


def _luck(story: Story) -> str:
    """What the estimates that chose the plan promise, where the headline is another figure."""
    found = story.summary
    if found.promised_cents is None:
        return ""
    promised = story.cash(found.promised_cents)
    if not found.lost_to_luck:
        return gettext(
            " The estimates that chose the offers promise {promised}; checked on customers who "
            "had no part in the choice, it is no less.",
            promised=promised,
        )
    return gettext(
        " The estimates that chose the offers promise {promised}; checked on customers who "
        "had no part in the choice, part of that was luck, which is taken off here.",
        promised=promised,
    )


def forecast_miss(story: Story) -> str:
    """A warning where what was predicted of the weeks held back missed what happened by more than chance and 5 %."""
    missed = [each for each in story.predictions.missed if story.coupons or each.model != COUPONS]
    if not missed:
        return ""
    said = [
        f"{predictions.name_of(each.model)} {number(each.value)}{in_brackets(low_to_high(each.low, each.high, number))}"
        for each in missed
    ]
    return gettext(
        "Forecasts missed what happened in the weeks held back (1 would be right): {said}. "
        "What the offers bring and cost may be off by as much.",
        said=join_list(said),
    )


def todo(story: Story) -> list[ActionItem]:
    """What to do now, in order; nothing to send where nobody gets an offer."""
    plan, cash = story.summary, story.cash
    if not plan.treated:
        return []
    steps = _to_check(story)
    often = [
        gettext("{offer} ({treated})", offer=truncate(row["offer"], 50), treated=count(row["treated"]))
        for row in story.offers.head(MOST).iter_rows(named=True)
        if row["offer_id"]
    ]
    who = gettext(
        "Send one offer each to {treated} customers, of {able} who may get one",
        treated=count(plan.treated),
        able=count(plan.able),
    )
    where = gettext("Who gets what, with words and codes: plan.csv.")
    most = gettext("Most often {often}. ", often=join_list(often)) if often else ""
    steps.append(ActionItem(who, most + where))
    steps.append(
        ActionItem(
            gettext("Set aside {cost}", cost=cash(plan.cost_cents)),
            gettext(
                "So much the discounts and sending are expected to cost the shop, of a budget of {budget}.",
                budget=cash(plan.budget_cents),
            ),
        )
    )
    if plan.held_out:
        steps.append(
            ActionItem(
                gettext("Send nothing to {held_out} customers, and compare", held_out=count(plan.held_out)),
                join_sentences(
                    gettext(
                        "They were picked at random. When the window is over, read in the new log and run "
                        "`promolift learn`: it compares them with those who could get an offer."
                    ),
                    holdout_power_text(plan),
                ),
            )
        )
    return steps


def _to_check(story: Story) -> list[ActionItem]:
    """The most fragile assumption that can be checked beforehand, where another value of it would turn the plan."""
    for each in story.summary.assumptions:
        if each.flips_at is not None and each.name in ASSUMPTION_REMEDIES:
            called, ask = gettext(ASSUMPTION_NAMES[each.name]), gettext(ASSUMPTION_REMEDIES[each.name])
            what = gettext(
                "Check before you send: {called}{called_2}, {taken}",
                called=called[:1].lower(),
                called_2=called[1:],
                taken=_value(each, each.value, story.cash),
                called_3=called,
            )
            why = gettext("At {turn} nothing would be earned.", turn=_value(each, each.flips_at, story.cash))
            return [ActionItem(what, join_sentences(why, ask))]
    return []


def _value(each: Assumption, value: float, cash: MoneyFormat) -> str:
    return cash(value) if each.unit == "money" else percent(value)


def assumption_row(each: Assumption, cash: MoneyFormat) -> HeadlineAssumption:
    """Describe an assumption of the headline that nobody measured."""
    name = (
        gettext(ASSUMPTION_NAMES[each.name])
        if each.name in ASSUMPTION_NAMES
        else upper_first(each.name.replace("_", " "))
    )
    text = first_sentences(assumption_text(each, cash.currency or ""), 400)
    if each.flips_at is None:
        return HeadlineAssumption(name, text)
    end = max(1.0 if each.unit == "share" else 1e-9, each.value, each.flips_at)
    place = (round(100 * min(max(x, 0.0), end) / end, 2) for x in (each.value, each.flips_at))
    return HeadlineAssumption(name, text, _value(each, each.value, cash), _value(each, each.flips_at, cash), *place)


def numbers(story: Story) -> list[KeyFigure]:
    """The further numbers."""
    plan, cash, read, lead = story.summary, story.cash, story.health, budget.lead_text(story)
    less = plan.spent_share is not None and plan.spent_share < ALL
    part = percent(plan.spent_share)
    spent = gettext(" ({part} of it)", part=part) if less else ""
    rest = (
        gettext("; {treated_share} of those who could", treated_share=percent(plan.treated / plan.able))
        if plan.able
        else ""
    )
    bigs = [
        KeyFigure(
            gettext("Customers with an offer"),
            count(plan.treated),
            gettext("Of {customers} customers{rest}.", customers=count(plan.customers), rest=rest),
        ),
        KeyFigure(
            gettext("Expected cost"),
            cash(plan.cost_cents),
            gettext("Of a budget of {budget}{spent}.", budget=cash(plan.budget_cents), spent=spent),
        ),
        KeyFigure(
            gettext("The next {unit} of budget", unit=cash.unit),
            cash.per_unit(story.plan.next_cents),
            gettext("So much one more {unit} would add, after its cost.", unit=cash.unit),
            plan.evidence,
        ),
    ]
    if lead is not None and lead.shown:
        label = gettext("Against the best simple rule")
        bigs.append(KeyFigure(label, lead.lead, lead.short, lead.evidence))
    if read.read:
        taken = gettext(
            "{accepted} of {read} rows could be used.", accepted=count(read.accepted), read=count(read.read)
        )
        bigs.append(KeyFigure(gettext("Data that could be used"), percent(read.accepted_share), taken))
    return bigs
