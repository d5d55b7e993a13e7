"""Chapter 5. Budget against expected profit, the chosen point, the next unit's worth, and the certificate."""

import polars as pl

from promolift.pages.blocks import Block, Chapter, Figure, Grid, gap, note
from promolift.pages.frames import tidy
from promolift.pages.planned import FRONTIER, Chosen
from promolift.pages.story import Story
from promolift.results.plan import Luck
from promolift.words import (
    bracket,
    clip,
    count,
    ends,
    interval,
    known,
    listed,
    money,
    number,
    per_unit,
    plural,
    share,
    symbol,
)

MOST_POINTS = 400


def tell(story: Story) -> Chapter:
    """The budget."""
    chosen = story.chosen
    lead = "Every point of the line is the best plan found for that budget. Where it bends, money begins to buy less."
    if chosen is not None and known(chosen.promised_cents) is not None:
        lead += " The line is by the estimates that choose; luck is taken off the plan's own point alone."
    blocks: list[Figure | Block] = [_frontier(story)]
    if chosen is None:
        blocks.append(gap("which budget was chosen", story.missing.get("chosen")))
    else:
        blocks.append(_certificate(chosen, story.shop.currency))
        if chosen.explanation and blocks[-1].kind != "certificate":
            blocks.append(note(clip(chosen.explanation, 1200)))
        if chosen.luck:
            blocks.append(note(_luck(chosen.luck, story.interval_percent, story.shop.currency)))
    return Chapter("budget", "Budget", "How much should be spent?", lead, blocks)


def _frontier(story: Story) -> Figure | Block:
    line = tidy(story.frontier, FRONTIER).drop_nulls(["budget_cents", "gain_cents"]).sort("budget_cents", "gain_cents")
    line = line.filter(pl.col("budget_cents") >= 0)
    if line.is_empty():
        return gap("what other budgets would earn", story.missing.get("frontier"))
    if line.height > MOST_POINTS:  # evenly thinned, the ends kept
        line = line[[round(i * (line.height - 1) / (MOST_POINTS - 1)) for i in range(MOST_POINTS)]]
    chosen, currency = story.chosen or Chosen(), story.shop.currency
    spec = {
        "kind": "frontier",
        "x": {"name": "budget", "fmt": "money"},
        "y": {"name": "expected extra profit", "fmt": "money"},
        "points": [
            list(r) for r in line.select("budget_cents", "gain_cents", "low_cents", "high_cents", "treated").iter_rows()
        ],
        "chosen": [known(chosen.budget_cents), known(chosen.gain_cents), known(chosen.price)],
        "slope": f"the next {symbol(currency)}1 adds {per_unit(chosen.next_cents, currency)}",
        "label": f"chosen: {money(chosen.budget_cents, currency)} → {money(chosen.gain_cents, currency, sign=True)}",
    }
    rows = [
        [
            money(r["budget_cents"], currency),
            money(r["gain_cents"], currency),
            ends(r["low_cents"], r["high_cents"], lambda x: money(x, currency)),
            money(r["cost_cents"], currency),
            number(r["price"]),
            count(r["treated"]),
        ]
        for r in line[:: max(1, line.height // 20)].iter_rows(named=True)
    ]
    grid = Grid(
        ["budget", "extra profit", "interval", "expected cost", f"worth of {symbol(currency)}1 more", "customers"],
        rows,
        frozenset(range(6)),
    )
    how = "The dashed line is the slope at the chosen point: what more budget would add if nothing bent."
    how = how if known(chosen.price) is not None and known(chosen.gain_cents) is not None else ""
    return Figure(
        "frontier",
        "Budget against expected extra profit",
        _finding(line, story),
        spec,
        grid,
        how,
        plural(chosen.eligible, "customer") if known(chosen.eligible) else "",
        chosen.evidence or "unstated",
        wide=True,
    )


def _finding(line: pl.DataFrame, story: Story) -> str:
    chosen, currency = story.chosen or Chosen(), story.shop.currency
    budget, gain = known(chosen.budget_cents), known(chosen.gain_cents)
    if budget is None or gain is None:
        last = line.row(-1, named=True)
        most, earns = money(last["budget_cents"], currency), money(last["gain_cents"], currency)
        return f"At {most}, the largest budget looked at, {earns} is expected."
    between = bracket(
        interval(chosen.low_cents, chosen.high_cents, lambda x: money(x, currency), story.interval_percent)
    )
    text = f"With a budget of {money(budget, currency)} the plan is expected to add {money(gain, currency)}{between}."
    parts = [
        f"{name} would bring {share(other.share)}"
        for name, other in (("half the budget", chosen.half), ("twice the budget", chosen.twice))
        if other is not None and known(other.share) is not None
    ]
    text += f" Of what the same estimates promise here, {listed(parts)}." if parts else ""
    if known(chosen.next_cents) is not None:
        one = f"{symbol(currency)}1"
        text += f" At the chosen point one more {one} of budget adds {per_unit(chosen.next_cents, currency)}."
    return text


def _luck(luck: Luck, percent: float | None, currency: str | None) -> str:
    """The winner's curse: a plan picks what looks best, and part of that is luck."""
    between = bracket(interval(luck.low_cents, luck.high_cents, lambda x: money(x, currency), percent))
    lost = f"{share(luck.share)} of the promise was luck" if luck.share > 0 else "luck played no part"
    return (
        f"A plan picks what looks best, so part of what it promises can be luck. Plans made with one half of the "
        f"customers promise {money(luck.naive_cents, currency)}; by the estimates of the other half, which had no part "
        f"in the choice, they earn {money(luck.checked_cents, currency)}{between}: {lost}."
    )


def _certificate(chosen: Chosen, currency: str | None) -> Block:
    bound, away = known(chosen.bound_cents), known(chosen.missing_cents)
    if bound is None or away is None:
        return note("How far the plan is from the best possible one is not known: no bound was given.", "warn")
    part = bracket(share(chosen.gap)) if known(chosen.gap) is not None else ""
    text = (
        f"By the estimates that choose no plan at this budget can add more than {money(bound, currency)}. "
        f"This plan falls short of that by {money(away, currency)}{part}."
    )
    return Block(
        "certificate",
        {"text": text, "more": clip(chosen.explanation, 1200) if chosen.explanation else ""},
        "How close to the best possible plan?",
    )
