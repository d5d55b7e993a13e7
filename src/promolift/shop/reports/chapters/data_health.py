"""Chapters on the data: what was read and rejected, what the data can answer, and what is unknown."""

from promolift.foundation.i18n.catalogue import gettext, ngettext
from promolift.foundation.i18n.formatting import count, percent, truncate
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import Block, Chapter
from promolift.foundation.pages.charts import unknowns
from promolift.shop.reports.story import Story
from promolift.shop.results.ingest import Health, fate_name, level_name

TONES = {"yes": "good", "partly": "warn", "no": "bad"}
MOST_REASONS = 12


def build_chapter(story: Story) -> Chapter:
    """Build the chapter on the data that were read."""
    return build_health_chapter(story.health)


def build_health_chapter(health: Health) -> Chapter:
    """Build the chapter on the data alone, before there is a plan."""
    lead = gettext("How many raw rows were read is not known.")
    if health.read:
        taken, part = count(health.accepted), percent(health.accepted_share)
        repaired, out, tables = count(health.repaired), count(health.rejected), len(health.tables)
        source = ngettext("{tables} table", "{tables} tables", tables, tables=count(tables))
        lead = ngettext(
            "{rows} row were read from {source}. {taken} were taken ({part}), {repaired} of them "
            "after a repair; {out} were set aside with their reason.",
            "{rows} rows were read from {source}. {taken} were taken ({part}), {repaired} of "
            "them after a repair; {out} were set aside with their reason.",
            health.read,
            rows=count(health.read),
            source=source,
            taken=taken,
            part=part,
            repaired=repaired,
            out=out,
        )
    blocks = [_tables(health), *_reasons(health), _abilities(health)]
    return Chapter("health", gettext("Data"), gettext("Can this data be trusted?"), lead, blocks)


def _tables(health: Health) -> Block:
    rows = [
        {
            "name": truncate(render_message(each.table), 40),
            "cells": [count(n) for n in (each.read, each.accepted, each.repaired_rows, each.rejected_rows)],
            "taken": percent(each.accepted_share),
            # what is too small to see is drawn one unit wide: a rejected row must not vanish
            "rejected": _width(each.rejected_rows, each.read),
            "repaired": _width(each.repaired_rows, each.read),
        }
        for each in health.tables
    ]
    return Block("tables", {"rows": rows}, gettext("What became of the rows"))


def _width(part: int, whole: int) -> float:
    return 0.0 if not part or not whole else round(min(100.0, max(1.0, 100 * part / whole)), 1)


def _reasons(health: Health) -> list[Block]:
    shown = health.reasons[:MOST_REASONS]
    rows = [
        {
            "figure": count(r.rows),
            "text": truncate(render_message(r.reason), 140),
            "small": f"{truncate(render_message(r.table), 40)}{gettext(', ')}{fate_name(r.fate)}",
        }
        for r in shown
    ]
    left = len(health.reasons) - len(shown)
    more = (
        ngettext("{reasons} rarer reason not shown.", "{reasons} rarer reasons not shown.", left, reasons=count(left))
        if left
        else ""
    )
    title = gettext("Why rows were repaired or set aside")
    return [Block("list", {"rows": rows, "more": more}, title)] if rows else []


def _abilities(health: Health) -> Block:
    rows = [
        {
            "capability": truncate(render_message(each.name), 90),
            "state": level_name(each.level),
            "tone": TONES[each.level],
            "reason": truncate(render_message(each.reason), 220) if each.reason else "",
            "add": truncate(render_message(each.add), 220) if each.add else "",
        }
        for each in health.abilities
    ]
    return Block("abilities", {"rows": rows}, gettext("What this data can answer"))


def build_unknowns_chapter(story: Story) -> Chapter:
    """Build the chapter on open questions and the meaning of the evidence levels."""
    lead = gettext("This is what the numbers cannot tell, why it matters, and what would tell.")
    rows = [
        {"what": truncate(each.what, 400), "why": truncate(each.why, 600), "todo": truncate(each.todo, 600)}
        for each in story.unknowns
    ]
    legend = {
        "randomised": gettext("decided at random, so differences are effects"),
        "adjusted": gettext("read from past data with corrections and checks; not proven"),
        "assumed": gettext("stated in advance, not read from this data"),
    }
    blocks = [unknowns(rows), Block("legend", {"rows": legend}, gettext("What the evidence marks mean"))]
    return Chapter("unknowns", gettext("Not known"), gettext("What is not known?"), lead, blocks)
