"""Room 6. An offer and a recipient in, words that passed every check against the offer out, in Chinese or English.

    message = write(offer, Recipient(name="用户A"), "zh")
    message.sentence, message.text

`write_all` does it for a plan of any size, `broken_rules` reads any text against an offer, whoever wrote it, and
`label` gives the readable name of a category, department or product.
"""

from promolift.message.names import is_couponable, is_sensitive, label
from promolift.message.reading.text import BrokenRule, Context
from promolift.message.templates import Bought, Message, Recipient, Style
from promolift.message.verify import broken_rules
from promolift.message.writer import write, write_all

__all__ = [
    "Bought",
    "BrokenRule",
    "Context",
    "Message",
    "Recipient",
    "Style",
    "broken_rules",
    "is_couponable",
    "is_sensitive",
    "label",
    "write",
    "write_all",
]
