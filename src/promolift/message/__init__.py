"""Room 6. An offer and what is known of a customer in; a message out: words of an approved pool, facts filled by code.

    message = write(offer, Known(name="用户A", bought=bought, angle="just_bought"), "zh", text.draft)
    message.title, message.text

`write_all` does it for a plan of any size, `broken_rules` reads texts that people write against an offer, `label` gives
the readable name of a category, department or product, `offer_words` an offer in a few words.
"""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "ANGLES", "Angle", "Approve", "Brief", "BrokenRule", "Channel", "ChosenText", "Draft", "Fact", "Finding",
    "Judgement", "Known", "Message", "MessageSettings", "Pack", "Pool", "PoolText", "Sender", "TextTally", "Way",
    "WordChoice", "broken_rules", "drafts", "facts", "findings", "fitting", "gate", "is_couponable", "is_sensitive",
    "judge", "label", "line_words", "live_angle", "load_pool", "may_say", "offer_words", "reason", "sms_parts",
    "write", "write_all",
]  # fmt: skip

if TYPE_CHECKING:
    from promolift.message.angles import ANGLES, Angle, Known, fitting, live_angle, may_say, reason
    from promolift.message.channels import Channel, Pack, Sender, sms_parts
    from promolift.message.drafts import Brief, Draft, Finding, drafts, findings
    from promolift.message.facts import line_words, offer_words
    from promolift.message.fill import Message, MessageSettings, Way, gate, write, write_all
    from promolift.message.names import is_couponable, is_sensitive, label
    from promolift.message.pool import (
        Approve,
        ChosenText,
        Judgement,
        Pool,
        PoolText,
        TextTally,
        WordChoice,
        judge,
        load_pool,
    )
    from promolift.message.reading import BrokenRule, Fact, broken_rules, facts
else:
    lazy(__name__)
