"""Room 6. An offer and what is known of a customer in; a message out: words of an approved pool, facts filled by code.

    message = write(offer, Known(name="用户A", bought=bought, angle="just_bought"), "zh", text.draft)
    message.title, message.text

`write_all` does it for a plan of any size, `broken_rules` reads texts that people write against an offer, `label` gives
the readable name of a category, department or product, `offer_words` an offer in a few words.
"""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import lazy

__all__ = [
    "ANGLES",
    "Angle",
    "Approve",
    "Brief",
    "BrokenRule",
    "Channel",
    "ChosenText",
    "Draft",
    "Fact",
    "Finding",
    "Judgement",
    "Known",
    "Message",
    "MessageSettings",
    "Pack",
    "Pool",
    "PoolText",
    "Sender",
    "TextTally",
    "Way",
    "WordChoice",
    "broken_rules",
    "drafts",
    "facts",
    "findings",
    "fitting",
    "gate",
    "judge",
    "line_words",
    "live_angle",
    "may_say",
    "offer_words",
    "reason",
    "sms_parts",
    "write",
    "write_all",
]

if TYPE_CHECKING:
    from promolift.core.messages.angles import ANGLES, Angle, Known, fitting, live_angle, may_say, reason
    from promolift.core.messages.channels import Channel, Pack, Sender, sms_parts
    from promolift.core.messages.composition import Message, MessageSettings, Way, gate, write, write_all
    from promolift.core.messages.drafts import Brief, Draft, Finding, drafts, findings
    from promolift.core.messages.fact_check import BrokenRule, Fact, broken_rules, facts
    from promolift.core.messages.offer_text import line_words, offer_words
    from promolift.core.messages.text_pool import (
        Approve,
        ChosenText,
        Judgement,
        Pool,
        PoolText,
        TextTally,
        WordChoice,
        judge,
    )

else:
    lazy(__name__)
