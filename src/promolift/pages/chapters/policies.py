"""Chapter 6. The same money spent in other ways; compared only where the money is the same."""

from dataclasses import dataclass
from typing import Any, get_args

import polars as pl

from promolift.pages.blocks import Block, Chapter, Figure, Grid, gap, note
from promolift.pages.frames import tidy
from promolift.pages.planned import POLICIES, Evidence
from promolift.pages.story import Story
from promolift.results.evaluation import EQUAL_SPEND, Lead
from promolift.words import MINUS, clip, count, ends, interval_name, money, plural, upper_first

LEVELS: tuple[Evidence, ...] = get_args(Evidence)


@dataclass(frozen=True)
class Said:
    """Ours against the best other: `lead` is the difference as money, `short` and `long` say what it is worth."""

    lead: str
    short: str
    long: str
    evidence: Evidence | None


def weakest(levels: list[str | None]) -> Evidence | None:
    """The weakest of the levels given; None if one of them is not known."""
    found = [LEVELS.index(level) for level in LEVELS if level in levels]
    return LEVELS[max(found)] if found and all(level in LEVELS for level in levels) else None


def said(story: Story) -> Said | None:
    """The lead of ours over the best other policy in words, or None where there is no such pair."""
    found, currency = story.lead, story.shop.currency
    if found is None:
        return None
    name, less = clip(found.rival, 50), found.lead_cents < 0
    than = f"than “{name}”, the best of {plural(found.others, 'other policy', 'other policies')}"
    equal = ", at equal spend" if found.equal_spend else ""
    worth = _worth(found, story)
    earns, more = money(found.plan_cents, currency), money(found.lead_cents, currency).removeprefix(MINUS)
    return Said(
        lead=money(found.lead_cents, currency, sign=True),
        short=f"{'Less' if less else 'More'} {than}{equal}. {worth}",
        long=f"This plan is expected to earn {earns}, {more} {'less' if less else 'more'} {than}. {worth}",
        evidence=found.evidence,
    )


def _worth(found: Lead, story: Story) -> str:
    """What the difference is worth: by its own interval where the draws were paired, else by the two intervals."""
    low, high = found.low_cents, found.high_cents
    if low is not None and high is not None:
        name, between = interval_name(story.interval_percent), ends(low, high, lambda x: money(x, story.shop.currency))
        span = f"{upper_first(name)} of the difference {between}"
        return f"{span}." if low > 0 or high < 0 else f"{span}: the order is not established."
    return {
        True: "The intervals do not overlap.",
        False: "The intervals overlap: the order is not established.",
        None: "No intervals were given.",
    }[found.apart]


def _spend(*rows: dict[str, Any]) -> bool:
    """True if all spend is known and the same within `EQUAL_SPEND`."""
    spends = [row["spend_cents"] for row in rows]
    return None not in spends and max(spends) - min(spends) <= EQUAL_SPEND * max(max(spends), 1.0)


def _rows(story: Story) -> list[dict[str, Any]]:
    policies = tidy(story.policies, POLICIES).drop_nulls(["policy", "profit_cents"])
    return (
        policies.sort(["profit_cents", "policy"], descending=[True, False])
        .with_columns(pl.col("ours").fill_null(False))
        .to_dicts()
    )


def tell(story: Story) -> Chapter:
    """The comparison."""
    rows = _rows(story)
    lead = "The same customers and the same estimates, the money handed out by other rules."
    if not rows:
        nothing = gap("what other policies would earn", story.missing.get("policies"))
        return Chapter("policies", "Other policies", "Would a simpler rule do?", lead, [nothing])
    blocks: list[Figure | Block] = [_figure(rows, story)]
    ours = max((row["spend_cents"] or 0.0 for row in rows if row["ours"]), default=float("inf"))
    paying = [row for row in rows if 0 < (row["spend_cents"] or 0) <= (1 + EQUAL_SPEND) * ours]
    if len(paying) > 1 and not _spend(*paying):
        most = max(row["spend_cents"] or 0.0 for row in paying)
        odd = [clip(row["policy"], 50) for row in paying if (row["spend_cents"] or 0.0) < (1 - EQUAL_SPEND) * most]
        unequal = f"Spend is not known, or less than that of the others, for {', '.join(odd) or 'some of these'}: "
        blocks.append(note(unequal + "with that, this is no comparison at equal spend.", "warn"))
    if story.policies_note:
        blocks.append(note(clip(story.policies_note, 800)))
    return Chapter("policies", "Other policies", "Would a simpler rule do?", lead, blocks)


def _figure(rows: list[dict[str, Any]], story: Story) -> Figure:
    currency, result = story.shop.currency, said(story)
    best, most = upper_first(clip(rows[0]["policy"], 50)), money(rows[0]["profit_cents"], currency)
    finding = result.long if result else f"{best} has the highest expected profit: {most}."
    spec = {
        "kind": "bars",
        "x": {"name": "expected extra profit", "fmt": "money"},
        "rows": [
            {
                "name": clip(r["policy"], 60),
                "value": r["profit_cents"],
                "low": r["low_cents"],
                "high": r["high_cents"],
                "ours": r["ours"],
                "text": f"spend {money(r['spend_cents'], currency)}",
            }
            for r in rows[:12]
        ],
    }
    cells = [
        [
            clip(r["policy"], 60),
            money(r["profit_cents"], currency),
            ends(r["low_cents"], r["high_cents"], lambda x: money(x, currency)),
            money(r["spend_cents"], currency),
            count(r["treated"]),
            str(r["evidence"] or "not known"),
        ]
        for r in rows
    ]
    ours = next((i for i, r in enumerate(rows) if r["ours"]), None)
    grid = Grid(
        ["policy", "extra profit", "interval", "spend", "customers", "evidence"], cells, frozenset({1, 2, 3, 4}), ours
    )
    eligible = story.chosen.eligible if story.chosen else None
    return Figure(
        "policies",
        "Expected extra profit of each rule",
        finding,
        spec,
        grid,
        "The thin line is the interval.",
        plural(eligible, "customer") if eligible else "",
        weakest([r["evidence"] for r in rows]) or "unstated",
        wide=True,
    )
