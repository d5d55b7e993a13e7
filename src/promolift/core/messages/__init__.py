"""Write the message of an offer: words from an approved pool, facts filled in by code.

    message = write_message(offer, AngleFacts(name="用户A", bought=bought, angle="just_bought"), "zh", text.draft)
    message.title, message.text

`write_messages` writes the messages of a plan of any size. `find_broken_rules` checks a text that a person wrote
against an offer. `describe_offer` describes an offer in a few words.
"""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = [
    "ANGLES",
    "Angle",
    "AngleFacts",
    "ApprovalMode",
    "Brief",
    "BrokenRule",
    "Channel",
    "ChosenText",
    "Draft",
    "Fact",
    "Judgement",
    "LintFinding",
    "Message",
    "MessageDelivery",
    "MessageSettings",
    "PoolText",
    "RulePack",
    "Sender",
    "TextChooser",
    "TextCounts",
    "TextPool",
    "add_angles",
    "check_message",
    "count_sms_parts",
    "describe_menu_line",
    "describe_offer",
    "event_reason",
    "extract_facts",
    "find_broken_rules",
    "find_live_angle",
    "judge_texts",
    "lint_draft",
    "may_give_reason",
    "write_drafts",
    "write_message",
    "write_messages",
]

if TYPE_CHECKING:
    from promolift.core.messages.angles import (
        ANGLES,
        Angle,
        AngleFacts,
        add_angles,
        event_reason,
        find_live_angle,
        may_give_reason,
    )
    from promolift.core.messages.channels import Channel, RulePack, Sender, count_sms_parts
    from promolift.core.messages.composition import (
        Message,
        MessageDelivery,
        MessageSettings,
        check_message,
        write_message,
        write_messages,
    )
    from promolift.core.messages.drafts import Brief, Draft, LintFinding, lint_draft, write_drafts
    from promolift.core.messages.fact_check import BrokenRule, Fact, extract_facts, find_broken_rules
    from promolift.core.messages.offer_text import describe_menu_line, describe_offer
    from promolift.core.messages.text_choice import ChosenText, TextChooser, TextCounts
    from promolift.core.messages.text_pool import (
        ApprovalMode,
        Judgement,
        PoolText,
        TextPool,
        judge_texts,
    )

else:
    make_lazy(__name__)
