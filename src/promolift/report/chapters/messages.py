"""Chapter 8. What is said, in Chinese and in English, for the most frequent offers."""

import polars as pl

from promolift.report.blocks import Block, Chapter, gap
from promolift.report.frames import quantile, tidy
from promolift.report.plans import samples, treated
from promolift.report.story import PLAN, Story
from promolift.report.words import clip, count, plural

MOST_MESSAGES = 6


def tell(story: Story) -> Chapter:
    """The messages."""
    shown = samples(story.plan, MOST_MESSAGES)
    lead = _lead(story)
    if not shown:
        return Chapter(
            "messages",
            "Messages",
            "What do they read?",
            lead,
            [gap("what customers would read", story.missing.get("messages") or story.missing.get("plan"))],
        )
    rows = [
        {
            "offer": clip(r["offer"] or r["offer_id"], 80),
            "customer": clip(r["customer_id"], 40),
            "zh": clip(r["message_zh"], 400) if r["message_zh"] else "",
            "en": clip(r["message_en"], 400) if r["message_en"] else "",
        }
        for r in shown
    ]
    return Chapter(
        "messages",
        "Messages",
        "What do they read?",
        lead,
        [Block("messages", {"rows": rows}, "One message for each frequent offer")],
    )


def _lead(story: Story) -> str:
    if story.plan is None or story.plan.is_empty():
        return "No messages were written."
    rows = treated(tidy(story.plan, PLAN))
    parts = []
    for name, column in (("Chinese", "message_zh"), ("English", "message_en")):
        lengths = rows.select(pl.col(column).str.len_chars()).to_series()
        known = lengths.drop_nulls().len()
        if known:
            parts.append(
                f"{plural(known, 'message')} in {name}, typically {count(quantile(lengths, 0.5))} characters long"
            )
    silent = rows.filter(pl.col("message_zh").is_null() & pl.col("message_en").is_null()).height
    text = "; ".join(parts) + "." if parts else "No messages were written."
    return text + (f" {count(silent)} of {plural(rows.height, 'offer')} have no message." if silent and parts else "")
