"""Room 7. A request and a release in; one decision out: offer or no offer, its probability, its reasons."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "Board",
    "Drawn",
    "Option",
    "Recalibration",
    "Release",
    "Verdict",
    "code",
    "decide",
    "decide_options",
    "export_rows",
    "in_holdout",
    "normalise",
    "plan_rows",
    "recalibrated",
    "records",
    "replay",
    "unique_codes",
    "verdicts",
]

if TYPE_CHECKING:
    from promolift.deliver.batch import Board, Drawn, decide, records
    from promolift.deliver.codes import code, normalise, unique_codes
    from promolift.deliver.decide import Option, Release, Verdict, decide_options, in_holdout, replay, verdicts
    from promolift.deliver.files import export_rows, plan_rows
    from promolift.deliver.recalibrate import Recalibration, recalibrated
else:
    lazy(__name__)
