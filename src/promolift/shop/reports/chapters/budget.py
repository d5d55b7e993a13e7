"""Chapters on the budget: expected profit by budget, where the profit comes from, and other policies at equal spend."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from promolift.core.customers.disclosure_control import small_cells
from promolift.foundation.evidence import Level
from promolift.foundation.i18n.catalogue import gettext, gettext_noop, ngettext, pgettext
from promolift.foundation.i18n.formatting import (
    MINUS,
    MoneyFormat,
    count,
    in_brackets,
    interval,
    interval_name,
    join_list,
    level_name,
    low_to_high,
    number,
    percent,
    truncate,
    upper_first,
)
from promolift.foundation.pages.blocks import Block, Chapter, Figure, TextTable, note, sentences, unknown_note
from promolift.foundation.pages.charts import Axis, ForestRow, customer_count, forest_plot, frontier_chart, thin_rows
from promolift.shop.reports.chapters.recipients import suppressed_count
from promolift.shop.reports.story import Story
from promolift.shop.results.evaluation import EQUAL_SPEND, Lead, Worth, weakest
from promolift.shop.results.plan import RULES, bound_text
from promolift.shop.results.plan_note import Luck

POLICIES = {
    "plan": gettext_noop("this plan"),
    "nobody": gettext_noop("no offers"),
    "everybody": gettext_noop("everybody the same coupon, whatever it costs"),
    "same_coupon": gettext_noop("everyone the same coupon"),
    "best_customers_same_coupon": gettext_noop("best customers first, the same coupon"),
    "best_customers_own_offer": gettext_noop("best customers first, each their best offer"),
    "best_response": gettext_noop("likeliest to use it first"),
    "random": gettext_noop("random offers"),
}
CROSS_FIT_NOTE = gettext_noop(
    "Customers were split into two halves at random. Who is offered what was decided with the response of one "
    "half and "
    "valued with that of the other, for every policy alike, so that no policy is graded by the estimate that chose it. "
    "The plan shown here is made that way; that of other chapters uses both halves. Intervals cover the draw of "
    "customers, not the error that all policies share in the response; the limit per category binds the plan alone."
)
SAME_ESTIMATE_NOTE = gettext_noop(
    "All policies are valued by the same assumed response that chose the plan: this shows consistency, not proof."
)


def policy_label(policy: str) -> str:
    """Return the name of a policy on the page."""
    return gettext(POLICIES[policy]) if policy in POLICIES else policy


def build_chapter(story: Story) -> Chapter:
    """Build the chapter on the budget."""
    lead = gettext("First how the expected profit comes about, then what other budgets would bring.")
    blocks: list[Figure | Block] = []
    if story.worth is not None:
        blocks += [*_anyway(story.worth, story), _comes_about(story.worth, story)]
    blocks.append(_frontier(story))
    if story.plan.strategic:
        blocks.append(_rules(story))
    title = gettext("What does it cost, what does it bring?")
    return Chapter("budget", gettext("Cost and profit"), title, lead, blocks)


def _anyway(worth: Worth, story: Story) -> list[Block]:
    """Why an offer to somebody who would buy anyway is no waste, and how many are worth little."""
    cash, rows = story.cash, []
    if worth.anyway_cents is not None and worth.more_cents is not None:
        anyway, more, margin, discount = (
            cash(x) for x in (worth.anyway_cents, worth.more_cents, worth.margin_cents, worth.discount_cents)
        )
        rows = [
            gettext(
                "Most of them would buy some of it without an offer: {anyway} in {window_days} days. "
                "That is no waste by itself: what counts is what they buy beyond that.",
                anyway=anyway,
                window_days=story.summary.days,
            ),
            gettext(
                "With the offer they are expected to buy {more} more (what they only buy earlier is "
                "not counted), which leaves {margin} of margin. The discount is given on both, and "
                "costs the shop {discount}: that cost is taken off every figure here.",
                more=more,
                margin=margin,
                discount=discount,
            ),
            gettext(
                "Whoever would buy anyway and hardly buys more on a discount costs more than they "
                "bring, and gets no offer."
            ),
        ]
    if worth.small:
        rows.append(
            gettext(
                "{small} of the {offers} offers are expected to bring less than {small_below} each. "
                "If that is not worth sending, set rules.least_gain_cents.",
                small=count(worth.small),
                offers=count(worth.offers),
                small_below=cash(worth.small_below_cents),
            )
        )
    return [sentences(gettext("Is it a waste if they would buy anyway?"), rows)] if rows else []


def _comes_about(worth: Worth, story: Story) -> Block:
    """From the margin of what is sold more to the headline."""
    cash, found = story.cash, story.summary
    rows = [
        [gettext("margin of what they buy more"), cash(worth.margin_cents, sign=True)],
        [gettext("discounts that the shop pays"), cash(-worth.discount_cents)],
        [gettext("sending the offers"), cash(-worth.send_cents)],
    ]
    if found.luck_cents is not None:
        rows += [
            [gettext("so the estimates that chose them"), cash(worth.gain_cents, sign=True)],
            [gettext("luck in the choice"), cash(-found.luck_cents, sign=True)],
        ]
    rows.append([gettext("expected extra profit"), cash(found.value_cents, sign=True)])
    window = story.summary.days
    grid = TextTable([gettext("in {window} days", window=window), "amount"], rows, (0,), len(rows) - 1)
    title = gettext("How the figure comes about")
    return Block("grid", {"grid": grid, "text": ""}, title, story.plan.evidence)


def _frontier(story: Story) -> Figure | Block:
    line, plan, cash, found = story.frontier, story.plan, story.cash, story.summary
    if line.is_empty():
        return unknown_note(gettext("what other budgets would earn"), story.missing.get("frontier"))
    few = small_cells(line["treated"].to_list(), story.least, plan.able)
    line = line.with_columns(treated=pl.when(~pl.Series(few, dtype=pl.Boolean)).then("treated"))
    cells = [
        [
            cash(r["budget_cents"]),
            cash(r["gain_cents"]),
            cash(r["cost_cents"]),
            number(r["price"]),
            suppressed_count(r["treated"], story),
        ]
        for r in thin_rows(line.unique(maintain_order=True)).iter_rows(named=True)  # one, where nothing costs anything
    ]
    how = gettext(
        "Every point of the line is the best plan for that budget; where it bends, money "
        "begins to buy less. The dashed line is what more budget would add if nothing bent."
    )
    if found.promised_cents is not None:
        how += gettext(" The line still holds luck; the plan's own point does not.")
    heads = [
        gettext("budget"),
        gettext("extra profit"),
        gettext("expected cost"),
        gettext("worth of {unit} more", unit=cash.unit),
        pgettext("budget", "customers"),
    ]
    return frontier_chart(
        _finding(story),
        [(b, g, None, None, n) for b, g, n in line.select("budget_cents", "gain_cents", "treated").iter_rows()],
        (plan.budget_cents, found.value_cents, plan.worth),
        cash,
        gettext("the next {unit} adds {next}", unit=cash.unit, next=cash.per_unit(plan.next_cents)),
        TextTable(heads, cells, ()),
        how=how,
        n=customer_count(plan.able),
        evidence=plan.evidence,
    )


def _rules(story: Story) -> Block:
    """What each strategic rule costs: the expected gain of the plan without it less that with it."""
    cash = story.cash
    rows = [
        [
            each.name,
            gettext(RULES[each.rule]),
            count(each.offers),
            count(each.able),
            cash(each.cost_cents),
            cash(each.price / 100) if each.price else "",
        ]
        for each in story.plan.strategic
    ]
    heads = [
        gettext("rule"),
        gettext("kind"),
        gettext("such offers"),
        gettext("customers who can get one"),
        gettext("what it costs"),
        gettext("one point of share more costs"),
    ]
    text = gettext(
        "The shop's own rules, whatever they earn: each costs the expected gain of the best "
        "plan without it less that of the plan with all of them. Two that want the same cost "
        "little alone."
    )
    title = gettext("What the shop's rules cost")
    return Block("grid", {"grid": TextTable(heads, rows, (0, 1)), "text": text}, title, story.plan.evidence)


def _finding(story: Story) -> str:
    plan, cash, found = story.plan, story.cash, story.summary
    if found.value_cents is None:
        return gettext("The log names no amounts, so no budget can be weighed against what it earns.")
    between = in_brackets(interval(found.low_cents, found.high_cents, cash))
    budget, gain, more = cash(found.budget_cents), cash(found.value_cents), cash.per_unit(plan.next_cents)
    text = gettext(
        "With a budget of {budget} the plan is expected to add {gain}{between}.",
        budget=budget,
        gain=gain,
        between=between,
    )
    named = ((gettext("half the budget"), story.half), (gettext("twice the budget"), story.twice))
    parts = [
        gettext("{name} would bring {share}", name=name, share=percent(other.share))
        for name, other in named
        if other is not None and other.share is not None
    ]
    if parts:
        text += gettext(
            " Of what the same estimates promise, {parts}.", parts=join_list(parts), parts_2="，".join(parts)
        )
    return text + gettext(" One more {unit} of budget adds {more}.", unit=cash.unit, more=more)


def build_method_chapter(story: Story) -> Chapter:
    """Build the chapter on the optimality gap, the binding limits and luck."""
    cash, text = (
        story.cash,
        bound_text(story.plan, story.summary)
        or gettext("The offers of this plan are drawn, not chosen, so no bound is on them."),
    )
    title = gettext("How close to the best possible plan?")
    more = truncate(story.binding, 1200) if story.binding else ""
    blocks: list[Figure | Block] = [Block("certificate", {"text": text, "more": more}, title)]
    if story.luck and story.summary.promised_cents is not None:
        blocks.append(note(_luck(story.luck, cash)))
    rows = story.policies
    if rows is not None and not rows.is_empty():
        halves = "valued_by" in rows.columns and "check" in rows["valued_by"]
        blocks.append(note(gettext(CROSS_FIT_NOTE if halves else SAME_ESTIMATE_NOTE)))
    lead = gettext("How the plan was chosen, and how it was valued.")
    name = gettext("Choice")
    return Chapter("choice", name, gettext("How was the plan chosen?"), lead, blocks)


def _luck(luck: Luck, cash: MoneyFormat) -> str:
    """The winner's curse: a plan picks what looks best, and part of that is luck."""
    between = in_brackets(interval(luck.low_cents, luck.high_cents, cash))
    promised, checked = cash(luck.naive_cents), cash(luck.checked_cents)
    lost = gettext("luck played no part")
    if luck.share > 0:
        lost = gettext("{share} of the promise was luck", share=percent(luck.share))
    return gettext(
        "A plan picks what looks best, so part of what it promises can be luck. Plans made "
        "with one half of the customers promise {promised}; by the estimates of the other "
        "half, which had no part in the choice, they earn {checked}{between}: {lost}.",
        promised=promised,
        checked=checked,
        between=between,
        lost=lost,
    )


@dataclass(frozen=True)
class LeadText:
    """Ours against the best other: `lead` is the difference as money, `short` and `long` say what it is worth; `shown`:
    whether ours is better beyond chance.
    """

    lead: str
    short: str
    long: str
    evidence: Level | None
    shown: bool


def lead_text(story: Story) -> LeadText | None:
    """Describe the lead of the plan over the best other policy; None if there is no such pair."""
    found, cash = story.lead, story.cash
    if found is None:
        return None
    name, less = policy_label(found.rival), found.lead_cents < 0
    others = ngettext("{n} other rule", "{n} other rules", found.others, n=count(found.others))
    than = gettext("than “{name}”, the best of {others}", name=name, others=others, found_others=count(found.others))
    equal = gettext(", at equal spend") if found.equal_spend else ""
    worth, more = _worth(found, cash), cash(found.lead_cents).removeprefix(MINUS)
    much = gettext("less") if less else gettext("more")
    whose = gettext("This plan")
    if story.plan.risk != "none":  # policies are compared by what is expected alone
        whose = gettext("The same plan without its caution")
    elif story.plan.tests is not None:
        whose = gettext("Without what it draws, this plan")
    return LeadText(
        lead=cash(found.lead_cents, sign=True),
        short=gettext(
            "{much} {than}{equal}. {worth}",
            much=upper_first(much),
            than=than,
            equal=equal,
            worth=worth,
        ),
        long=gettext(
            "{whose} is expected to earn {plan}, {more} {much} {than}. {worth}",
            whose=whose,
            plan=cash(found.plan_cents),
            more=more,
            much=much,
            than=than,
            worth=worth,
        ),
        evidence=found.evidence,
        shown=found.shown,
    )


def _worth(found: Lead, cash: MoneyFormat) -> str:
    """What the difference is worth: by its own interval where the draws were paired, else by the two intervals."""
    low, high = found.low_cents, found.high_cents
    unsure = gettext("the order is not established")
    if low is not None and high is not None:
        between = low_to_high(low, high, cash)
        span = gettext("{interval_name} of the difference {between}", interval_name=interval_name(), between=between)
        return (
            gettext("{span}.", span=span)
            if low > 0 or high < 0
            else gettext("{span}: {unsure}.", span=span, unsure=unsure)
        )
    return {
        True: gettext("The intervals do not overlap."),
        False: gettext("The intervals overlap: {unsure}.", unsure=unsure),
        None: gettext("No intervals were given."),
    }[found.apart]


def build_policies_chapter(story: Story) -> Chapter:
    """Build the chapter that compares policies at equal spend."""
    rows = story.policies
    lead = gettext("The same customers and the same estimates, the money handed out by other rules.")
    if rows is None or rows.is_empty():
        blocks: list[Figure | Block] = [
            unknown_note(gettext("what other policies would earn"), story.missing.get("policies"))
        ]
    else:
        blocks = [_policies(rows, story), *_dearer(story), *_unequal(rows.to_dicts())]
    title = gettext("Would a simpler rule do?")
    return Chapter("policies", gettext("Simpler rules"), title, lead, blocks)


def _dearer(story: Story) -> list[Block]:
    """What this plan would bring with the money that the one coupon for everybody takes, where that is more."""
    same, cash = story.like_everybody, story.cash
    if same is None:
        return []
    spend, gain = cash(same.budget_cents), cash(same.gain_cents)
    text = gettext(
        "The same coupon for everybody spends {spend}. With that budget this plan would "
        "promise {gain} (luck not taken off), so the larger figure is one of more money, not "
        "of a better choice.",
        spend=spend,
        gain=gain,
    )
    return [note(text)] if same.gain_cents > 0 else []


def _unequal(rows: list[dict[str, Any]]) -> list[Block]:
    """A warning where those that pay do not pay the same; policies that spend more than ours are not compared."""
    ours = max((row["spend_cents"] for row in rows if row["policy"] == "plan"), default=float("inf"))
    paying = [row for row in rows if 0 < row["spend_cents"] <= (1 + EQUAL_SPEND) * ours]
    most = max((row["spend_cents"] for row in paying), default=0.0)
    odd = [policy_label(r["policy"]) for r in paying if r["spend_cents"] < (1 - EQUAL_SPEND) * most]
    text = gettext(
        "Spend is less than that of the others for {odd}: with that, this is no comparison at equal spend.",
        odd=", ".join(odd),
        odd_2="、".join(odd),
    )
    return [note(text, "warn")] if odd else []


def _policies(rows: pl.DataFrame, story: Story) -> Figure:
    cash, lead = story.cash, lead_text(story)
    few = small_cells(rows["treated"].to_list(), story.least, story.plan.able)
    marks = [
        ForestRow(
            policy_label(r["policy"]),
            r["expected_profit_cents"],
            r["low"],
            r["high"],
            (
                cash(r["spend_cents"]),
                suppressed_count(None if small else r["treated"], story),
                level_name(r["evidence"]),
            ),
            "ours" if r["policy"] == "plan" else "main",
            text=gettext("spend {spend}", spend=cash(r["spend_cents"])),
        )
        for r, small in zip(rows.iter_rows(named=True), few, strict=True)
    ]
    name, value = upper_first(marks[0].name), cash(marks[0].value)
    best = gettext("{name} has the highest expected profit: {value}.", name=name, value=value)
    heads = [
        gettext("rule"),
        gettext("extra profit"),
        gettext("spent"),
        pgettext("budget", "customers"),
        gettext("evidence"),
    ]
    return forest_plot(
        "policies",
        gettext("Expected extra profit of each rule"),
        lead.long if lead else best,
        Axis(gettext("expected extra profit"), "money"),
        heads,
        marks,
        cash,
        words=(5,),
        n=customer_count(story.plan.able),
        evidence=weakest(rows["evidence"]),
        wide=True,
    )
