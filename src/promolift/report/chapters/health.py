"""Chapter 1. What was read, what became of it, and what this data can and cannot answer."""

import polars as pl

from promolift.report.blocks import Block, Chapter, gap
from promolift.report.frames import has, tidy
from promolift.report.story import ABILITIES, HEALTH, REASONS, Story
from promolift.report.words import clip, count, plural, share

STATES = {"yes": "good", "partly": "warn", "no": "bad"}
MOST_REASONS = 12


def tell(story: Story) -> Chapter:
    """Data health."""
    health = tidy(story.health, HEALTH)
    blocks = [
        _tables(health) if has(health, "table") else gap("what became of the raw rows", story.missing.get("health")),
        _reasons(story),
        _abilities(story),
    ]
    return Chapter("health", "Data health", "Can this data be trusted?", _lead(health), [b for b in blocks if b])


def _lead(health: pl.DataFrame) -> str:
    read, taken, repaired, rejected = (int(health[c].sum()) for c in ("read", "accepted", "repaired", "rejected"))
    if not read:
        return "How many raw rows were read is not known."
    tables = plural(health.height, "table")
    fates = f"{count(repaired)} of them after a repair; {count(rejected)} were set aside with their reason"
    return f"{plural(read, 'row')} were read from {tables}. {count(taken)} were taken ({share(taken / read)}), {fates}."


def _tables(health: pl.DataFrame) -> Block:
    rows = []
    for row in health.iter_rows(named=True):
        read, repaired, rejected = row["read"] or 0, row["repaired"] or 0, row["rejected"] or 0
        rows.append(
            {
                "name": clip(row["table"], 40),
                "cells": [count(row[c]) for c in ("read", "accepted", "repaired", "rejected")],
                "taken": share(row["accepted"] / read) if read and row["accepted"] is not None else "—",
                # what is too small to see is drawn one unit wide: a rejected row must not vanish
                "rejected": _width(rejected, read),
                "repaired": _width(repaired, read),
            }
        )
    return Block("tables", {"rows": rows}, "What became of the rows")


def _width(part: int, whole: int) -> float:
    return 0.0 if not part or not whole else round(min(100.0, max(1.0, 100 * part / whole)), 1)


def _reasons(story: Story) -> Block | None:
    reasons = tidy(story.reasons, REASONS).sort(
        "rows", "table", "reason", descending=[True, False, False], nulls_last=True
    )
    if not has(reasons, "reason"):
        clean = story.reasons is not None
        return None if clean else gap("why rows were repaired or rejected", story.missing.get("reasons"))
    rows = [
        {
            "figure": count(r["rows"]),
            "text": clip(r["reason"], 140),
            "small": f"{clip(r['table'], 40)}, {clip(r['fate'], 20)}",
        }
        for r in reasons.head(MOST_REASONS).iter_rows(named=True)
    ]
    left = reasons.height - len(rows)
    more = f"{plural(left, 'rarer reason')} not shown." if left else ""
    return Block("list", {"rows": rows, "more": more}, "Why rows were repaired or set aside")


def _abilities(story: Story) -> Block | None:
    abilities = tidy(story.abilities, ABILITIES)
    if not has(abilities, "capability"):
        return gap("what can be done with this data", story.missing.get("abilities"))
    rows = []
    for row in abilities.iter_rows(named=True):
        state = str(row["state"] or "").strip().lower()
        rows.append(
            {
                "capability": clip(row["capability"], 90),
                "state": state if state in STATES else "not known",
                "tone": STATES.get(state, "plain"),
                "reason": clip(row["reason"], 220) if row["reason"] else "",
                "add": clip(row["add"], 220) if row["add"] else "",
            }
        )
    return Block("abilities", {"rows": rows}, "What this data can answer")
