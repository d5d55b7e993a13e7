"""Room 2. Clean events before a moment in; one row per customer of what is known; what they buy and may buy, out."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "MOST_ROWS",
    "STEPS",
    "ForecastSettings",
    "MemberNote",
    "ProfileSettings",
    "PurchaseForecaster",
    "Segment",
    "Shard",
    "Shared",
    "SpendModel",
    "SpendSettings",
    "affinities",
    "attributes",
    "describe",
    "find_segments",
    "fit_forecast",
    "fit_spend",
    "interests",
    "learned_moments",
    "profile",
    "reasons",
    "segment_counts",
    "sentence",
    "shop_step",
    "spend_features",
    "spend_outcomes",
    "target_facts",
    "together",
]

if TYPE_CHECKING:
    from promolift.profile.affinity import affinities, interests
    from promolift.profile.forecast import (
        MOST_ROWS,
        PurchaseForecaster,
        fit_forecast,
        learned_moments,
        target_facts,
        together,
    )
    from promolift.profile.meanings import describe, sentence
    from promolift.profile.passes import STEPS
    from promolift.profile.profiles import attributes, profile, reasons
    from promolift.profile.segments import Segment, find_segments, segment_counts
    from promolift.profile.settings import ForecastSettings, MemberNote, ProfileSettings
    from promolift.profile.shared import Shard, Shared
    from promolift.profile.spend import SpendModel, SpendSettings
    from promolift.profile.spend import fit as fit_spend
    from promolift.profile.spend_features import spend_features, spend_outcomes
    from promolift.profile.sums import shop_step
else:
    lazy(__name__)
