"""Room 6. An offer and a recipient in, words that passed every check against the offer out, in Chinese or English.

    message = write(offer, Recipient(name="用户A"), "zh")
    message.sentence, message.text

`write_all` does it for a plan of any size, `broken_rules` reads any text against an offer, whoever wrote it, and
`label` gives the readable name of a category, department or product, `offer_words` an offer in a few words. `facts`
ticks what a text states.
"""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "Bought",
    "Brief",
    "BrokenRule",
    "Channel",
    "Context",
    "Draft",
    "Entry",
    "Fact",
    "Message",
    "MessageSettings",
    "Recipient",
    "Style",
    "briefs",
    "broken_rules",
    "facts",
    "fill_pool",
    "is_couponable",
    "is_sensitive",
    "label",
    "line_words",
    "offer_words",
    "phrasings",
    "pool_frame",
    "reviewer",
    "sms_parts",
    "to_review",
    "with_verdicts",
    "write",
    "write_all",
]

if TYPE_CHECKING:
    from promolift.message.channels import Channel, sms_parts
    from promolift.message.drafts import Brief, Draft, Entry, fill_pool, pool_frame
    from promolift.message.names import is_couponable, is_sensitive, label
    from promolift.message.offers import line_words, offer_words
    from promolift.message.reading.text import BrokenRule, Context, Fact
    from promolift.message.templates import Bought, Message, MessageSettings, Recipient, Style
    from promolift.message.verify import broken_rules, facts
    from promolift.message.writer import briefs, phrasings, reviewer, to_review, with_verdicts, write, write_all
else:
    lazy(__name__)
