"""Room 2. Clean events before a moment in; one row per customer of what is known; what they buy and may buy, out."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "MOST_ROWS",
    "STEPS",
    "Forecast",
    "ForecastSettings",
    "MemberNote",
    "ProfileSettings",
    "PurchaseHistories",
    "Segment",
    "SensesSettings",
    "Shard",
    "Shared",
    "affinities",
    "as_list",
    "attributes",
    "counted",
    "describe",
    "find_groups",
    "find_segments",
    "forecast",
    "interests",
    "learned_moments",
    "profile",
    "reasons",
    "segment_counts",
    "sentence",
    "target_facts",
    "together",
]

if TYPE_CHECKING:
    from promolift.profile.affinity import affinities, counted, interests, target_facts
    from promolift.profile.groups import as_list, find_groups
    from promolift.profile.meanings import describe, sentence
    from promolift.profile.passes import STEPS
    from promolift.profile.profiles import attributes, profile, reasons
    from promolift.profile.purchases import (
        MOST_ROWS,
        Forecast,
        PurchaseHistories,
        forecast,
        learned_moments,
        together,
    )
    from promolift.profile.segments import Segment, find_segments, segment_counts
    from promolift.profile.settings import ForecastSettings, MemberNote, ProfileSettings, SensesSettings
    from promolift.profile.shared import Shard, Shared
else:
    lazy(__name__)
