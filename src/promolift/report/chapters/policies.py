"""Chapter 6. The same money spent in other ways; compared only where the money is the same."""

from dataclasses import dataclass
from typing import Any

import polars as pl

from promolift.report.blocks import Block, Chapter, Figure, Grid, gap, note
from promolift.report.frames import tidy
from promolift.report.story import POLICIES, Evidence, Story
from promolift.report.words import clip, count, ends, money, plural, upper_first

EQUAL_SPEND = 0.05  # policies whose spend differs by more than this part are not called equal
LEVELS: tuple[Evidence, ...] = ("randomised", "adjusted", "assumed")


@dataclass(frozen=True)
class Comparison:
    """Ours against the best other: `lead` is the difference as money, `short` and `long` say what it is worth."""

    lead: str
    short: str
    long: str
    evidence: Evidence | None


def weakest(levels: list[str | None]) -> Evidence | None:
    """The weakest of the levels given; None if one of them is not known."""
    found = [LEVELS.index(level) for level in LEVELS if level in levels]
    return LEVELS[max(found)] if found and all(level in LEVELS for level in levels) else None


def compare(story: Story) -> Comparison | None:
    """Ours against the best other policy, or None where there is no such pair."""
    rows = _rows(story)
    mine = [row for row in rows if row["ours"]]
    others = [row for row in rows if not row["ours"]]
    if not mine or not others:
        return None
    us, rival, currency = mine[0], others[0], story.shop.currency
    gap_cents = us["profit_cents"] - rival["profit_cents"]
    name = clip(rival["policy"], 50)
    said = f"than “{name}”, the best of {plural(len(others), 'other policy', 'other policies')}"
    worth = _worth(us, rival, currency)
    spend = _spend(us, rival)
    short = f"{'More' if gap_cents >= 0 else 'Less'} {said}{', at equal spend' if spend else ''}. {worth}"
    earns, more = money(us["profit_cents"], currency), money(abs(gap_cents), currency)
    long = (
        f"{upper_first(clip(us['policy'], 50))} is expected to earn {earns}, "
        f"{more} {'more' if gap_cents >= 0 else 'less'} {said}. {worth}"
    )
    return Comparison(money(gap_cents, currency, sign=True), short, long, weakest([us["evidence"], rival["evidence"]]))


def _worth(us: dict[str, Any], rival: dict[str, Any], currency: str | None) -> str:
    """What the difference is worth: by its own interval where the draws were paired, else by the two intervals."""
    low, high = rival["lead_low_cents"], rival["lead_high_cents"]
    if low is not None and high is not None:
        span = f"95 % interval of the difference {money(low, currency)} to {money(high, currency)}"
        return f"{span}." if low > 0 or high < 0 else f"{span}: the order is not established."
    return {
        True: "The intervals do not overlap.",
        False: "The intervals overlap: the order is not established.",
        None: "No intervals were given.",
    }[_apart(us, rival)]


def _apart(us: dict[str, Any], rival: dict[str, Any]) -> bool | None:
    four = (us["low_cents"], us["high_cents"], rival["low_cents"], rival["high_cents"])
    return None if None in four else four[0] > four[3] or four[1] < four[2]


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
    paying = [row for row in rows if (row["spend_cents"] or 0) > 0]
    if len(paying) > 1 and not _spend(*paying):
        most = max(row["spend_cents"] or 0.0 for row in paying)
        odd = [clip(row["policy"], 50) for row in paying if (row["spend_cents"] or 0.0) < (1 - EQUAL_SPEND) * most]
        unequal = f"Spend is not known, or less than that of the others, for {', '.join(odd) or 'some of these'}: "
        blocks.append(note(unequal + "with that, this is no comparison at equal spend.", "warn"))
    if story.policies_note:
        blocks.append(note(clip(story.policies_note, 800)))
    return Chapter("policies", "Other policies", "Would a simpler rule do?", lead, blocks)


def _figure(rows: list[dict[str, Any]], story: Story) -> Figure:
    currency, result = story.shop.currency, compare(story)
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
