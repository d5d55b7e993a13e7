"""Room 7. A request and a release in; one decision out: offer or no offer, its probability, its reasons."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "Bid", "Board", "Choice", "CodeKey", "Drawn", "LineEffect", "Option", "ReleaseTerms", "SendHours", "SendSlot",
    "arbitrate", "arbitrated", "code", "decide", "decide_options", "draw_send", "export_rows", "fit_hours",
    "hour_of_week", "in_holdout", "next_at", "normalise", "plan_rows", "reason_of", "records", "replay", "unique_codes",
    "verdicts",
]  # fmt: skip

if TYPE_CHECKING:
    from promolift.deliver.arbitrate import Bid, arbitrate, arbitrated
    from promolift.deliver.batch import Board, Drawn, decide, records
    from promolift.deliver.codes import CodeKey, code, normalise, unique_codes
    from promolift.deliver.decide import (
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
    from promolift.deliver.files import export_rows, plan_rows
    from promolift.deliver.hours import SendHours, fit_hours, hour_of_week
    from promolift.deliver.send import SendSlot, draw_send, next_at
else:
    lazy(__name__)
