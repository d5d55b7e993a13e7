"""Decide on a request under a release: an offer or none, its probability and the reason."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = [
    "Bid",
    "Choice",
    "Decision",
    "DecisionBatch",
    "LineEffect",
    "OpenOffers",
    "Option",
    "OptionTable",
    "ReleaseTerms",
    "ResponseHours",
    "SendSlot",
    "arbitrate",
    "arbitrate_batch",
    "choose_offers",
    "creative_reason",
    "decide",
    "decide_batch",
    "draw_send_slot",
    "fit_response_hours",
    "hour_of_week",
    "in_holdout",
    "next_occurrence",
    "record_decision",
    "replay_decision",
    "withheld_offers",
]

if TYPE_CHECKING:
    from promolift.core.decisions.arbitration import Bid, arbitrate, arbitrate_batch
    from promolift.core.decisions.batch_decisions import DecisionBatch, OptionTable, decide, decide_batch
    from promolift.core.decisions.decision_records import (
        Decision,
        Option,
        record_decision,
        replay_decision,
        withheld_offers,
    )
    from promolift.core.decisions.decision_rule import (
        Choice,
        LineEffect,
        OpenOffers,
        ReleaseTerms,
        choose_offers,
        creative_reason,
        in_holdout,
    )
    from promolift.core.decisions.response_hours import ResponseHours, fit_response_hours, hour_of_week
    from promolift.core.decisions.send_slots import SendSlot, draw_send_slot, next_occurrence
else:
    make_lazy(__name__)
