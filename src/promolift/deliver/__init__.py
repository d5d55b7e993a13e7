"""Room 7. A request and a release in; one decision out: offer or no offer, its probability, its reasons."""

from promolift.deliver.codes import code, normalise, unique_codes
from promolift.deliver.decide import Release, decide, in_holdout, replay
from promolift.deliver.files import export_rows, plan_rows

__all__ = [
    "Release",
    "code",
    "decide",
    "export_rows",
    "in_holdout",
    "normalise",
    "plan_rows",
    "replay",
    "unique_codes",
]
