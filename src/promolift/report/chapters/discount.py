"""Chapter 3. What a discount does: the curve, the placebo checks beside it, categories, and whether like met like."""

from typing import Any

import polars as pl

from promolift.report.blocks import Block, Chapter, Figure, Grid, gap
from promolift.report.frames import has, tidy
from promolift.report.story import CURVE, ELASTICITIES, OVERLAP, PLACEBOS, Story
from promolift.report.words import bracket, clip, count, ends, interval, listed, number, plural, share, upper_first

MEANINGS = {
    "randomised": "Who got which discount was decided by chance, so the response can be read as an effect.",
    "adjusted": "Discounts were not given by chance. The response is read from past prices after adjusting for what is "
    "known; it is not a proven effect.",
    "assumed": "The response is an assumption stated in advance, not read from this data.",
}
MOST_CATEGORIES = 14
MOST_GROUPS = 3


def tell(story: Story) -> Chapter:
    """The discount response."""
    level = story.effect_evidence
    lead = MEANINGS.get(level or "", "What kind of evidence stands behind the response is not known.")
    blocks: list[Figure | Block | None] = [_curve(story), _placebos(story), _overlap(story), _elasticities(story)]
    if story.effect_notes:
        blocks.append(Block("sentences", {"rows": [clip(s, 600) for s in story.effect_notes]}, "How it was estimated"))
    return Chapter("discount", "Discounts", "What does a discount do?", lead, [b for b in blocks if b])


def _signed(value: object) -> str:
    text = share(value)
    return text if text[0] in "−—" or text.startswith("above") or text == "0\N{NO-BREAK SPACE}%" else f"+{text}"


def _curve(story: Story) -> Figure | Block:
    curve = tidy(story.curve, CURVE).drop_nulls(["depth", "lift"]).with_columns(pl.col("group").fill_null("everyone"))
    if curve.is_empty():
        return gap("how demand answers to a discount", story.missing.get("curve"))
    every = curve["group"].unique(maintain_order=True).to_list()
    groups = every[:MOST_GROUPS]
    curve = curve.filter(pl.col("group").is_in(groups)).sort("depth")
    tones = _tones(curve, groups)
    series = []
    for group in groups:
        part = curve.filter(pl.col("group") == group)
        points = [list(row) for row in part.select("depth", "lift", "low", "high", "n").iter_rows()]
        series.append(
            {"name": clip(group, 34), "tone": tones[group], "points": [[0.0, 0.0, None, None, None], *points]}
        )
    spec = {
        "kind": "lines",
        "x": {"name": "discount", "fmt": "share", "min": 0},
        "y": {"name": "change of demand", "fmt": "signed"},
        "series": series,
        "band": True,
        "zero": True,
        "origin": True,
    }
    rows = [
        [clip(r["group"], 40), share(r["depth"]), _signed(r["lift"]), ends(r["low"], r["high"], _signed), count(r["n"])]
        for r in curve.iter_rows(named=True)
    ]
    grid = Grid(
        ["customers", "discount", "change of demand", "interval", "observations"], rows, frozenset({1, 2, 3, 4})
    )
    seen = curve.filter(pl.col("group") == groups[0])["n"]
    n = plural(seen.sum(), "observation") if seen.null_count() < seen.len() else ""
    how = "The band is the interval; without a discount the change is zero by definition."
    how += f" {plural(len(every) - len(groups), 'further group')} not drawn." if len(every) > len(groups) else ""
    return Figure(
        "curve",
        "The discount curve",
        _curve_finding(curve, groups, story),
        spec,
        grid,
        how,
        n,
        story.effect_evidence or "unstated",
        wide=True,
    )


def _tones(curve: pl.DataFrame, groups: list[str]) -> dict[str, str]:
    """Ink for the first group, orange for one that answers more, blue for one that answers less, as on the map."""
    last = {g: curve.filter(pl.col("group") == g)["lift"][-1] for g in groups}
    return {g: "ink" if g == groups[0] else "orange" if last[g] > last[groups[0]] else "blue" for g in groups}


def _curve_finding(curve: pl.DataFrame, groups: list[str], story: Story) -> str:
    deepest = {g: curve.filter(pl.col("group") == g).row(-1, named=True) for g in groups}
    first = deepest[groups[0]]
    between = bracket(interval(first["low"], first["high"], _signed, story.interval_percent))
    text = (
        f"At {share(first['depth'])} off, demand of {clip(groups[0], 40)} changes by {_signed(first['lift'])}{between}."
    )
    others = [deepest[g] for g in groups[1:]]
    if len(others) < 2:
        return text
    small, large = sorted(others, key=lambda row: (row["lift"], row["group"]))[:: len(others) - 1]
    said = (
        f"{clip(large['group'], 40)} answers with {_signed(large['lift'])} at {share(large['depth'])} off, "
        f"{clip(small['group'], 40)} with {_signed(small['lift'])} at {share(small['depth'])} off"
    )
    if None in (small["high"], large["low"]):
        return f"{text} {upper_first(said)}."
    sure = (
        "the intervals do not overlap"
        if large["low"] > small["high"]
        else "the intervals overlap, so the difference is not established"
    )
    return f"{text} {upper_first(said)}; {sure}."


def _passed(row: dict[str, Any]) -> bool | None:
    """The caller's verdict, or whether the interval holds zero; None where neither is known."""
    if row["ok"] is not None:
        return bool(row["ok"])
    low, high = row["low"], row["high"]
    return None if low is None or high is None else low <= 0 <= high


def _placebos(story: Story) -> Figure | Block:
    rows = tidy(story.placebos, PLACEBOS).drop_nulls(["value"]).to_dicts()
    tests = [row for row in rows if not row["main"]]
    if not tests:
        return gap("what placebo checks find", story.missing.get("placebos"))
    failed = [row for row in tests if _passed(row) is False]
    spec = {
        "kind": "forest",
        "x": {"name": "effect found", "fmt": "fixed"},
        "rows": [
            {
                "name": clip(r["name"], 70),
                "value": r["value"],
                "low": r["low"],
                "high": r["high"],
                "tone": "main" if r["main"] else "bad" if _passed(r) is False else "quiet",
            }
            for r in rows
        ],
    }
    how = "A placebo asks the same method for an effect that cannot exist. Its interval should hold zero."
    return Figure(
        "placebos",
        "Placebo checks",
        _placebo_finding(rows, tests, failed),
        spec,
        _placebo_grid(rows),
        how,
        plural(len(tests), "check"),
        story.effect_evidence or "unstated",
        tone="warn" if failed else "good",
    )


def _placebo_finding(rows: list[dict[str, Any]], tests: list[dict[str, Any]], failed: list[dict[str, Any]]) -> str:
    held = sum(_passed(row) is True for row in tests)
    as_due = ", as it must be" if held == len(tests) else ""
    text = f"{count(held)} of {plural(len(tests), 'placebo check')} found nothing{as_due}."
    if not failed:
        return text
    found = [f"{clip(row['name'], 60)}{_part(row, rows)}" for row in failed]
    return f"{text} An effect that cannot exist was found for: {listed(found)}. Read the discount curve with caution."


def _part(row: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """How large a failed placebo is beside the effect itself, where that is known."""
    main = next((r["value"] for r in rows if r["main"]), None)
    return f" ({share(abs(row['value'] / main))} of the effect itself)" if main else ""


def _placebo_grid(rows: list[dict[str, Any]]) -> Grid:
    verdict = {True: "passed", False: "failed", None: "not decided"}
    cells = [
        [
            clip(r["name"], 90),
            number(r["value"]),
            ends(r["low"], r["high"], number),
            "the effect itself" if r["main"] else verdict[_passed(r)],
            clip(r["meaning"], 140) if r["meaning"] and not r["main"] else "",
        ]
        for r in rows
    ]
    headers = ["what was looked at", "found", "interval", "verdict", "why it must be zero"]
    return Grid(headers, cells, frozenset({1, 2}))


def _elasticities(story: Story) -> Figure | Block:
    found = tidy(story.elasticities, ELASTICITIES).drop_nulls(["category", "elasticity"])
    if found.is_empty():
        return gap("which categories answer to discounts", story.missing.get("elasticities"))
    ordered = found.sort(["elasticity", "category"], descending=[True, False])
    shown = ordered
    if ordered.height > MOST_CATEGORIES:
        shown = pl.concat([ordered.head(MOST_CATEGORIES // 2), ordered.tail(MOST_CATEGORIES // 2)])
    sure = ordered.filter(pl.col("low") > 0).height
    top, end = shown.row(0, named=True), shown.row(-1, named=True)
    between = bracket(interval(top["low"], top["high"], number, story.interval_percent))
    finding = f"Strongest response: {clip(top['category'], 40)}, {number(top['elasticity'])}{between}."
    finding += f" Weakest: {clip(end['category'], 40)}, {number(end['elasticity'])}." if ordered.height > 1 else ""
    if has(ordered, "low"):
        finding += (
            f" For {count(sure)} of {plural(ordered.height, 'category', 'categories')} the interval lies above zero."
        )
    spec = {
        "kind": "forest",
        "x": {"name": "response to a discount", "fmt": "fixed"},
        "rows": [
            {
                "name": clip(r["category"], 30),
                "value": r["elasticity"],
                "low": r["low"],
                "high": r["high"],
                "tone": "main" if r["low"] is not None and r["low"] > 0 else "quiet",
            }
            for r in shown.iter_rows(named=True)
        ],
    }
    rows = [
        [clip(r["category"], 60), number(r["elasticity"]), ends(r["low"], r["high"], number), count(r["n"])]
        for r in shown.iter_rows(named=True)
    ]
    grid = Grid(["category", "response", "interval", "observations"], rows, frozenset({1, 2, 3}))
    cut = f" The {MOST_CATEGORIES // 2} most and least responsive are drawn." if shown.height < ordered.height else ""
    how = f"The line is the interval; grey lines reach zero, so that no response is possible.{cut}"
    return Figure(
        "elasticities",
        "Which categories answer",
        finding,
        spec,
        grid,
        how,
        plural(ordered.height, "category", "categories"),
        story.effect_evidence or "unstated",
        wide=True,
    )


def _overlap(story: Story) -> Block:
    overlap = tidy(story.overlap, OVERLAP)
    if not has(overlap, "name", "value"):
        return gap("whether like was compared with like", story.missing.get("overlap"))
    rows = [
        {
            "figure": share(r["value"]),
            "text": clip(r["name"], 140),
            "small": "; ".join(
                filter(None, [ends(r["low"], r["high"], share), clip(r["meaning"], 140) if r["meaning"] else ""])
            ),
        }
        for r in overlap.drop_nulls(["name"]).iter_rows(named=True)
    ]
    return Block(
        "list",
        {"rows": rows, "more": ""},
        "Was like compared with like?",
        story.effect_evidence or "unstated",
        wide=False,
    )
