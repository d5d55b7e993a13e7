"""Room 4. Profiles, offers and past prices in; expected gain and cost of every customer-offer pair out."""

from promolift.effect.discount import (
    DiscountResponse,
    DiscountSettings,
    assumed_response,
    fit_halves,
    fit_response,
    in_first_half,
)
from promolift.effect.panel import PanelSettings, depth_sums, panel
from promolift.effect.value import ValueSettings, add_effects, total_draws

__all__ = [
    "DiscountResponse",
    "DiscountSettings",
    "PanelSettings",
    "ValueSettings",
    "add_effects",
    "assumed_response",
    "depth_sums",
    "fit_halves",
    "fit_response",
    "in_first_half",
    "panel",
    "total_draws",
]
