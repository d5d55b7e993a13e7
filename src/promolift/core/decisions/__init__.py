"""Room 7. A request and a release in; one decision out: offer or no offer, its probability, its reasons."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import lazy

__all__ = [
    "Bid",
    "Board",
    "Choice",
    "Drawn",
    "LineEffect",
    "Option",
    "ReleaseTerms",
    "SendHours",
    "SendSlot",
    "arbitrate",
    "arbitrated",
    "decide",
    "decide_options",
    "draw_send",
    "fit_hours",
    "hour_of_week",
    "in_holdout",
    "next_at",
    "reason_of",
    "records",
    "replay",
    "verdicts",
]

if TYPE_CHECKING:
    from promolift.core.decisions.arbitration import Bid, arbitrate, arbitrated
    from promolift.core.decisions.batch_decisions import Board, Drawn, decide, records
    from promolift.core.decisions.decision_rule import (
        Choice,
        LineEffect,
        Option,
        ReleaseTerms,
        decide_options,
        in_holdout,
        reason_of,
        replay,
        verdicts,
    )
    from promolift.core.decisions.response_hours import SendHours, fit_hours, hour_of_week
    from promolift.core.decisions.send_slots import SendSlot, draw_send, next_at
else:
    lazy(__name__)
