"""Room 2. Clean events before a moment in; one row per customer of what is known; what they buy and may buy, out."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import lazy

__all__ = [
    "MOST_ROWS",
    "STEPS",
    "Forecast",
    "MemberNote",
    "ProfileSettings",
    "PurchaseHistories",
    "Segment",
    "Shard",
    "Shared",
    "affinities",
    "as_list",
    "attributes",
    "counted",
    "find_groups",
    "find_segments",
    "forecast",
    "interests",
    "learned_moments",
    "profile",
    "reasons",
    "segment_counts",
    "target_facts",
    "together",
]

if TYPE_CHECKING:
    from promolift.core.customers.aggregation import STEPS
    from promolift.core.customers.comparison_groups import as_list, find_groups
    from promolift.core.customers.forecasts.affinities import affinities, counted, interests, target_facts
    from promolift.core.customers.forecasts.model_weights import MemberNote
    from promolift.core.customers.forecasts.purchase_forecast import (
        MOST_ROWS,
        Forecast,
        PurchaseHistories,
        forecast,
        learned_moments,
        together,
    )
    from promolift.core.customers.profiles.population_sums import Shard, Shared
    from promolift.core.customers.profiles.profiles import attributes, profile, reasons
    from promolift.core.customers.segments import Segment, find_segments, segment_counts
    from promolift.core.customers.settings import ProfileSettings


else:
    lazy(__name__)
