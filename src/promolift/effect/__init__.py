"""Room 4. Profiles, offers and past prices in; expected gain and cost of every customer-offer pair out.

What a discount adds is read from past shelf prices (`fit_response`, a causal estimate with its evidence level); how
likely a coupon is redeemed is predicted from past campaigns (`fit_redemption`, a prediction and no effect).
"""

from promolift.effect.discount import (
    DiscountResponse,
    DiscountSettings,
    assumed_response,
    fit_halves,
    fit_response,
    in_first_half,
)
from promolift.effect.exposure import ExposureSettings, History, exposure_features, offer_features, target_covers
from promolift.effect.panel import PanelSettings, depth_sums, panel
from promolift.effect.redemption import RedemptionModel, RedemptionSettings, fit_redemption, redemption_outcomes, rolling_origin
from promolift.effect.targeting import Targeting, judge_targeting, spent_before
from promolift.effect.value import ValueSettings, add_effects, total_draws

__all__ = [
    "DiscountResponse",
    "DiscountSettings",
    "ExposureSettings",
    "History",
    "PanelSettings",
    "RedemptionModel",
    "RedemptionSettings",
    "Targeting",
    "ValueSettings",
    "add_effects",
    "assumed_response",
    "depth_sums",
    "exposure_features",
    "fit_halves",
    "fit_redemption",
    "fit_response",
    "in_first_half",
    "judge_targeting",
    "offer_features",
    "panel",
    "redemption_outcomes",
    "rolling_origin",
    "spent_before",
    "target_covers",
    "total_draws",
]
