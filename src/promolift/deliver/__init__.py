"""Room 7. A request and a release in; one decision out: offer or no offer, its probability, its reasons."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "Board", "Choice", "CodeKey", "Drawn", "LineEffect", "Option", "ReleaseTerms", "code",
    "decide", "decide_options", "export_rows", "in_holdout", "normalise", "plan_rows", "records",
    "replay", "unique_codes", "verdicts",
]  # fmt: skip

if TYPE_CHECKING:
    from promolift.deliver.batch import Board, Drawn, decide, records
    from promolift.deliver.codes import CodeKey, code, normalise, unique_codes
    from promolift.deliver.decide import (
        Choice,
        LineEffect,
        Option,
        ReleaseTerms,
        decide_options,
        in_holdout,
        replay,
        verdicts,
    )
    from promolift.deliver.files import export_rows, plan_rows
else:
    lazy(__name__)
