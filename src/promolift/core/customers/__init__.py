"""Profile each customer from the events before a moment, and forecast what the customer will buy."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = [
    "AGGREGATION_STEPS",
    "MAX_TRAINING_ROWS",
    "Forecast",
    "ModelWeight",
    "PopulationSums",
    "ProfileSettings",
    "PurchaseHistories",
    "Segment",
    "Shard",
    "behaviour_attributes",
    "build_profiles",
    "estimate_affinities",
    "estimate_affinities_by_moment",
    "find_groups",
    "find_interests",
    "find_segments",
    "fit_forecast",
    "group_lists",
    "merge_target_facts",
    "missing_column_reasons",
    "segment_counts",
    "target_facts",
    "training_moments",
]

if TYPE_CHECKING:
    from promolift.core.customers.aggregation import AGGREGATION_STEPS
    from promolift.core.customers.comparison_groups import find_groups, group_lists
    from promolift.core.customers.forecasts.affinities import (
        estimate_affinities,
        estimate_affinities_by_moment,
        find_interests,
        target_facts,
    )
    from promolift.core.customers.forecasts.model_weights import ModelWeight
    from promolift.core.customers.forecasts.purchase_forecast import (
        MAX_TRAINING_ROWS,
        Forecast,
        PurchaseHistories,
        fit_forecast,
        merge_target_facts,
        training_moments,
    )
    from promolift.core.customers.profiles.population_sums import PopulationSums, Shard
    from promolift.core.customers.profiles.profiles import behaviour_attributes, build_profiles, missing_column_reasons
    from promolift.core.customers.segments import Segment, find_segments, segment_counts
    from promolift.core.customers.settings import ProfileSettings


else:
    make_lazy(__name__)
