"""What was read, what became of it, and what this data can and cannot answer; and what is not known."""

from promolift.pages.blocks import Block, Chapter
from promolift.pages.figures import unknowns
from promolift.pages.story import Story
from promolift.results.chinese import kept
from promolift.results.shop import Health
from promolift.words import clip, count, pick, plural, share

TONES = {"yes": "good", "partly": "warn", "no": "bad"}
MOST_REASONS = 12


def tell(story: Story) -> Chapter:
    """What was read, and what became of it."""
    return tell_health(story.health)


def tell_health(health: Health) -> Chapter:
    """The same of the data alone, before there is a plan."""
    lead = pick("How many raw rows were read is not known.", "读了多少行原始数据未知。")
    if health.read:
        read, taken, part = count(health.read), count(health.accepted), share(health.accepted_share)
        repaired, out, tables = count(health.repaired), count(health.rejected), len(health.tables)
        lead = pick(
            f"{plural(health.read, 'row')} were read from {plural(tables, 'table')}. {taken} were taken ({part}), "
            f"{repaired} of them after a repair; {out} were set aside with their reason.",
            f"从{count(tables)}张表读入{read}行，采用{taken}行（{part}），其中{repaired}行经过修复；{out}行因故剔除，原因已记录。",
        )
    blocks = [_tables(health), *_reasons(health), _abilities(health)]
    return Chapter("health", pick("Data", "数据"), pick("Can this data be trusted?", "数据可信吗？"), lead, blocks)


def _tables(health: Health) -> Block:
    rows = [
        {
            "name": clip(kept(each.table), 40),
            "cells": [count(n) for n in (each.read, each.accepted, each.repaired_rows, each.rejected_rows)],
            "taken": share(each.accepted_share),
            # what is too small to see is drawn one unit wide: a rejected row must not vanish
            "rejected": _width(each.rejected_rows, each.read),
            "repaired": _width(each.repaired_rows, each.read),
        }
        for each in health.tables
    ]
    return Block("tables", {"rows": rows}, pick("What became of the rows", "每张表的处理结果"))


def _width(part: int, whole: int) -> float:
    return 0.0 if not part or not whole else round(min(100.0, max(1.0, 100 * part / whole)), 1)


def _reasons(health: Health) -> list[Block]:
    shown = health.reasons[:MOST_REASONS]
    rows = [
        {
            "figure": count(r.rows), "text": clip(kept(r.reason), 140),
            "small": f"{clip(kept(r.table), 40)}{pick(', ', '，')}{kept(r.fate)}",
        }
        for r in shown
    ]  # fmt: skip
    left = len(health.reasons) - len(shown)
    more = pick(f"{plural(left, 'rarer reason')} not shown.", f"另有{count(left)}种较少的原因未列出。") if left else ""
    title = pick("Why rows were repaired or set aside", "为什么修复或剔除")
    return [Block("list", {"rows": rows, "more": more}, title)] if rows else []


def _abilities(health: Health) -> Block:
    rows = [
        {
            "capability": clip(kept(each.name), 90),
            "state": kept(each.level),
            "tone": TONES[each.level],
            "reason": clip(kept(each.reason), 220) if each.reason else "",
            "add": clip(kept(each.add), 220) if each.add else "",
        }
        for each in health.abilities
    ]
    return Block("abilities", {"rows": rows}, pick("What this data can answer", "这些数据能回答什么"))


def tell_unknowns(story: Story) -> Chapter:
    """The unknowns, and what the evidence levels mean."""
    lead = pick(
        "This is what the numbers cannot tell, why it matters, and what would tell.",
        "以下是数字不能告诉我们的、为什么重要，以及怎样才能知道。",
    )
    rows = [
        {"what": clip(each.what, 400), "why": clip(each.why, 600), "todo": clip(each.todo, 600)}
        for each in story.unknowns
    ]
    legend = {
        "randomised": pick("decided at random, so differences are effects", "随机决定，差别就是效果"),
        "adjusted": pick(
            "read from past data with corrections and checks; not proven", "从过去数据读出，经过校正和检验；未经证明"
        ),
        "assumed": pick("stated in advance, not read from this data", "事先设定，不是从数据读出"),
    }
    blocks = [unknowns(rows), Block("legend", {"rows": legend}, pick("What the evidence marks mean", "证据标记的含义"))]
    return Chapter("unknowns", pick("Not known", "未知"), pick("What is not known?", "还有什么不知道？"), lead, blocks)
