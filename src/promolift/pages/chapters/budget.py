"""Budget against expected profit with the chosen point and the certificate; and the same money spent in other ways."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from promolift.pages.blocks import Block, Chapter, Figure, Grid, gap, note
from promolift.pages.figures import Axis, Mark, forest, frontier, thin
from promolift.pages.story import Story
from promolift.results.evaluation import EQUAL_SPEND, Lead, weakest
from promolift.results.plan import Level, Luck
from promolift.words import (
    INTERVAL,
    MINUS,
    Cash,
    bracket,
    clip,
    count,
    ends,
    interval,
    listed,
    number,
    plural,
    share,
    upper_first,
)

POLICIES = {
    "plan": "promolift's plan",
    "nobody": "nobody",
    "everybody": "everybody the same coupon, whatever it costs",
    "same_coupon": "everyone the same coupon",
    "best_customers_same_coupon": "best customers first (RFM), the same coupon",
    "best_customers_own_offer": "best customers first (RFM), each their best offer",
    "best_response": "likeliest to redeem first",
    "random": "random offers",
}
HALVES = (
    "Customers were split into two halves by hash. Who is offered what was decided with the response of one half and "
    "valued with that of the other, for every policy alike, so that no policy is graded by the estimate that chose it. "
    "The plan shown here is made that way; that of other chapters uses both halves. Intervals cover the draw of "
    "customers, not the error that all policies share in the response; the limit per category binds the plan alone."
)
SAME = "All policies are valued by the same assumed response that chose the plan: this shows consistency, not proof."


def tell(story: Story) -> Chapter:
    """The budget."""
    lead = "Every point of the line is the best plan found for that budget. Where it bends, money begins to buy less."
    if story.head is not None and story.head.promised_cents is not None:
        lead += " The line is by the estimates that choose; luck is taken off the plan's own point alone."
    blocks = [_frontier(story), _certificate(story)]
    if story.luck and story.head and story.head.promised_cents is not None:
        blocks.append(note(_luck(story.luck, story.cash)))
    return Chapter("budget", "Budget", "How much should be spent?", lead, blocks)


def _frontier(story: Story) -> Figure | Block:
    line, plan, cash, head = story.frontier, story.plan, story.cash, story.head
    if line.is_empty():
        return gap("what other budgets would earn", story.missing.get("frontier"))
    cells = [
        [cash(r["budget_cents"]), cash(r["gain_cents"]), cash(r["cost_cents"]), number(r["price"]), count(r["treated"])]
        for r in thin(line).iter_rows(named=True)
    ]
    return frontier(
        _finding(story),
        [(b, g, None, None, n) for b, g, n in line.select("budget_cents", "gain_cents", "treated").iter_rows()],
        (plan.budget_cents, head.gain_cents if head else None, plan.worth), cash,
        f"the next {cash.unit} adds {cash.per_unit(plan.next_cents)}",
        Grid(["budget", "extra profit", "expected cost", f"worth of {cash.unit} more", "customers"], cells, ()),
        how="The dashed line is the slope at the chosen point: what more budget would add if nothing bent.",
        n=plural(plan.able, "customer"), evidence=plan.evidence,
    )  # fmt: skip


def _finding(story: Story) -> str:
    plan, cash, head = story.plan, story.cash, story.head
    if head is None:
        return "The log names no amounts, so no budget can be weighed against what it earns."
    between = bracket(interval(head.low_cents, head.high_cents, cash))
    text = f"With a budget of {cash(plan.budget_cents)} the plan is expected to add {cash(head.gain_cents)}{between}."
    parts = [
        f"{name} would bring {share(other.share)}"
        for name, other in (("half the budget", story.half), ("twice the budget", story.twice))
        if other is not None and other.share is not None
    ]
    text += f" Of what the same estimates promise here, {listed(parts)}." if parts else ""
    return f"{text} At the chosen point one more {cash.unit} of budget adds {cash.per_unit(plan.next_cents)}."


def _luck(luck: Luck, cash: Cash) -> str:
    """The winner's curse: a plan picks what looks best, and part of that is luck."""
    between = bracket(interval(luck.low_cents, luck.high_cents, cash))
    lost = f"{share(luck.share)} of the promise was luck" if luck.share > 0 else "luck played no part"
    return (
        f"A plan picks what looks best, so part of what it promises can be luck. Plans made with one half of the "
        f"customers promise {cash(luck.naive_cents)}; by the estimates of the other half, which had no part in the "
        f"choice, they earn {cash(luck.checked_cents)}{between}: {lost}."
    )


def _certificate(story: Story) -> Block:
    plan, cash = story.plan, story.cash
    text = (
        f"By the estimates that choose no plan at this budget can add more than {cash(plan.bound_cents)}. "
        f"This plan falls short of that by {cash(plan.missing_cents)} ({share(plan.gap)})."
    )
    title = "How close to the best possible plan?"
    return Block("certificate", {"text": text, "more": clip(story.binding, 1200) if story.binding else ""}, title)


@dataclass(frozen=True)
class LeadText:
    """Ours against the best other: `lead` is the difference as money, `short` and `long` say what it is worth."""

    lead: str
    short: str
    long: str
    evidence: Level | None


def lead_of(story: Story) -> LeadText | None:
    """The lead of ours over the best other policy in words, or None where there is no such pair."""
    found, cash = story.lead, story.cash
    if found is None:
        return None
    name, less = POLICIES.get(found.rival, found.rival), found.lead_cents < 0
    than = f"than “{name}”, the best of {plural(found.others, 'other policy', 'other policies')}"
    equal = ", at equal spend" if found.equal_spend else ""
    worth, more = _worth(found, cash), cash(found.lead_cents).removeprefix(MINUS)
    return LeadText(
        lead=cash(found.lead_cents, sign=True),
        short=f"{'Less' if less else 'More'} {than}{equal}. {worth}",
        long=f"This plan is expected to earn {cash(found.plan_cents)}, {more} {'less' if less else 'more'} {than}. "
        f"{worth}",
        evidence=found.evidence,
    )


def _worth(found: Lead, cash: Cash) -> str:
    """What the difference is worth: by its own interval where the draws were paired, else by the two intervals."""
    low, high = found.low_cents, found.high_cents
    if low is not None and high is not None:
        span = f"{INTERVAL} of the difference {ends(low, high, cash)}"
        return f"{span}." if low > 0 or high < 0 else f"{span}: the order is not established."
    return {
        True: "The intervals do not overlap.",
        False: "The intervals overlap: the order is not established.",
        None: "No intervals were given.",
    }[found.apart]


def tell_policies(story: Story) -> Chapter:
    """The same money spent in other ways; compared only where the money is the same."""
    rows = story.policies
    lead = "The same customers and the same estimates, the money handed out by other rules."
    if rows is None or rows.is_empty():
        blocks: list[Figure | Block] = [gap("what other policies would earn", story.missing.get("policies"))]
    else:
        halves = "valued_by" in rows.columns and "check" in rows["valued_by"]
        blocks = [_policies(rows, story), *_unequal(rows.to_dicts()), note(HALVES if halves else SAME)]
    return Chapter("policies", "Other policies", "Would a simpler rule do?", lead, blocks)


def _unequal(rows: list[dict[str, Any]]) -> list[Block]:
    """A warning where those that pay do not pay the same; policies that spend more than ours are not compared."""
    ours = max((row["spend_cents"] for row in rows if row["policy"] == "plan"), default=float("inf"))
    paying = [row for row in rows if 0 < row["spend_cents"] <= (1 + EQUAL_SPEND) * ours]
    most = max((row["spend_cents"] for row in paying), default=0.0)
    odd = [POLICIES.get(r["policy"], r["policy"]) for r in paying if r["spend_cents"] < (1 - EQUAL_SPEND) * most]
    text = (
        f"Spend is less than that of the others for {', '.join(odd)}: with that, this is no comparison at equal spend."
    )
    return [note(text, "warn")] if odd else []


def _policies(rows: pl.DataFrame, story: Story) -> Figure:
    cash, lead = story.cash, lead_of(story)
    marks = [
        Mark(
            POLICIES.get(r["policy"], r["policy"]), r["expected_profit_cents"], r["low"], r["high"],
            (cash(r["spend_cents"]), count(r["treated"]), r["evidence"]), "ours" if r["policy"] == "plan" else "main",
            text=f"spend {cash(r['spend_cents'])}",
        )
        for r in rows.iter_rows(named=True)
    ]  # fmt: skip
    return forest(
        "policies", "Expected extra profit of each rule",
        lead.long if lead else f"{upper_first(marks[0].name)} has the highest expected profit: {cash(marks[0].value)}.",
        Axis("expected extra profit", "money"), ("policy", "extra profit", "spend", "customers", "evidence"), marks,
        cash, words=(5,), n=plural(story.plan.able, "customer"), evidence=weakest(rows["evidence"]), wide=True,
    )  # fmt: skip
