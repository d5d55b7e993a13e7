"""What was read, what became of it, and what this data can and cannot answer; at the end, what is not known."""

from promolift.pages.blocks import Block, Chapter
from promolift.pages.figures import unknowns
from promolift.pages.story import Story
from promolift.results.shop import Health
from promolift.words import clip, count, plural, share

TONES = {"yes": "good", "partly": "warn", "no": "bad"}
MOST_REASONS = 12
LEGEND = {
    "randomised": "decided at random, so differences are effects",
    "adjusted": "observed, with adjustments and checks shown; not proven",
    "assumed": "stated in advance, not read from this data",
}


def tell(story: Story) -> Chapter:
    """What was read, and what became of it."""
    health = story.health
    lead = "How many raw rows were read is not known."
    if health.read:
        lead = (
            f"{plural(health.read, 'row')} were read from {plural(len(health.tables), 'table')}. "
            f"{count(health.accepted)} were taken ({share(health.accepted_share)}), {count(health.repaired)} of them "
            f"after a repair; {count(health.rejected)} were set aside with their reason."
        )
    blocks = [_tables(health), *_reasons(health), _abilities(health)]
    return Chapter("health", "Data health", "Can this data be trusted?", lead, blocks)


def _tables(health: Health) -> Block:
    rows = [
        {
            "name": clip(each.table, 40),
            "cells": [count(n) for n in (each.read, each.accepted, each.repaired_rows, each.rejected_rows)],
            "taken": share(each.accepted_share),
            # what is too small to see is drawn one unit wide: a rejected row must not vanish
            "rejected": _width(each.rejected_rows, each.read),
            "repaired": _width(each.repaired_rows, each.read),
        }
        for each in health.tables
    ]
    return Block("tables", {"rows": rows}, "What became of the rows")


def _width(part: int, whole: int) -> float:
    return 0.0 if not part or not whole else round(min(100.0, max(1.0, 100 * part / whole)), 1)


def _reasons(health: Health) -> list[Block]:
    shown = health.reasons[:MOST_REASONS]
    rows = [
        {"figure": count(r.rows), "text": clip(r.reason, 140), "small": f"{clip(r.table, 40)}, {r.fate}"} for r in shown
    ]
    left = len(health.reasons) - len(shown)
    more = f"{plural(left, 'rarer reason')} not shown." if left else ""
    return [Block("list", {"rows": rows, "more": more}, "Why rows were repaired or set aside")] if rows else []


def _abilities(health: Health) -> Block:
    rows = [
        {
            "capability": clip(each.name, 90),
            "state": each.level,
            "tone": TONES[each.level],
            "reason": clip(each.reason, 220) if each.reason else "",
            "add": clip(each.add, 220) if each.add else "",
        }
        for each in health.abilities
    ]
    return Block("abilities", {"rows": rows}, "What this data can answer")


def tell_unknowns(story: Story) -> Chapter:
    """The unknowns, and what the evidence levels mean."""
    lead = "An unknown is not a zero. This is what the numbers above cannot tell, and what would."
    rows = [
        {"what": clip(each.what, 400), "why": clip(each.why, 600), "todo": clip(each.todo, 600)}
        for each in story.unknowns
    ]
    blocks = [unknowns(rows), Block("legend", {"rows": LEGEND}, "What the evidence marks mean")]
    return Chapter("unknowns", "Not known", "What is not known?", lead, blocks)
