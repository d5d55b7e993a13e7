"""Chapter 8. What is said, in Chinese and in English, for the most frequent offers."""

from promolift.pages.blocks import Block, Chapter, gap
from promolift.pages.frames import tidy
from promolift.pages.planned import TYPICAL
from promolift.pages.story import Story
from promolift.words import clip, count, plural

MOST_MESSAGES = 6
LANGUAGES = {"zh": "Chinese", "en": "English"}


def tell(story: Story) -> Chapter:
    """The messages."""
    shown = [
        row
        for row in tidy(story.typical, TYPICAL).head(MOST_MESSAGES).to_dicts()
        if row["message_zh"] or row["message_en"]
    ]
    lead = _lead(story)
    if not shown:
        return Chapter(
            "messages",
            "Messages",
            "What do they read?",
            lead,
            [gap("what customers would read", story.missing.get("messages") or story.missing.get("mix"))],
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
    if not story.written:
        return "No messages were written."
    parts = [
        f"{plural(each.messages, 'message')} in {LANGUAGES[each.language]}, typically {count(each.characters)} "
        "characters long"
        for each in story.written
    ]
    silent = f" {plural(story.silent, 'offer')} without a message." if story.silent else ""
    return "; ".join(parts) + "." + silent
