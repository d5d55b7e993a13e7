"""Room 2. Clean events before a moment in; one row per customer of what is known of him out, and what he may buy next."""

from promolift.profile.affinity import affinities, interests
from promolift.profile.passes import second_step, third_step
from promolift.profile.profiles import attributes, profile, reasons
from promolift.profile.settings import ProfileSettings
from promolift.profile.shared import Shard, Shared
from promolift.profile.sums import first_step

STEPS = (first_step, second_step, third_step)

__all__ = [
    "STEPS",
    "ProfileSettings",
    "Shard",
    "Shared",
    "affinities",
    "attributes",
    "interests",
    "profile",
    "reasons",
]
