"""Room 4. Profiles, offers and past prices in; expected gain and cost of every customer-offer pair out.

From a trial, or from data compared after adjustment: `diagnose` (a module) says which evidence level they can carry,
`fit` what each treatment adds to whom, `fit_dose` the same along the depth. From the logs: what a discount
adds is read from past shelf prices (`fit_response`, a causal estimate with its evidence level); how likely a coupon is
redeemed is predicted from past campaigns (`fit_redemption`, no effect).
"""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import lazy

__all__ = [
    "Diagnosis",
    "DiscountResponse",
    "DiscountSettings",
    "DoseModel",
    "Effect",
    "EffectModel",
    "EffectSettings",
    "History",
    "PanelSettings",
    "RedemptionModel",
    "ResponseModel",
    "ValueSettings",
    "Yardsticks",
    "add_effects",
    "assumed_response",
    "average_effects",
    "depth_sums",
    "effect_bins",
    "exposure_features",
    "fit",
    "fit_dose",
    "fit_halves",
    "fit_redemption",
    "fit_response",
    "in_first_half",
    "offer_features",
    "panel",
    "redemption_outcomes",
    "scaled_gain",
    "target_covers",
    "total_draws",
    "unfold",
    "yardsticks",
]

if TYPE_CHECKING:
    from promolift.core.effects.offer_value.campaign_exposure import (
        History,
        Yardsticks,
        exposure_features,
        offer_features,
        target_covers,
        yardsticks,
    )
    from promolift.core.effects.offer_value.coupon_redemption import (
        RedemptionModel,
        fit_redemption,
        redemption_outcomes,
    )
    from promolift.core.effects.offer_value.demand_panel import depth_sums, panel
    from promolift.core.effects.offer_value.discount_response import (
        DiscountResponse,
        assumed_response,
        fit_halves,
        fit_response,
        in_first_half,
    )
    from promolift.core.effects.offer_value.expected_gain import (
        ResponseModel,
        add_effects,
        scaled_gain,
        total_draws,
        unfold,
    )
    from promolift.core.effects.settings import DiscountSettings, PanelSettings, ValueSettings
    from promolift.core.effects.trial_arrays import Effect
    from promolift.core.effects.uplift.average_effects import average_effects, effect_bins
    from promolift.core.effects.uplift.diagnostics import Diagnosis
    from promolift.core.effects.uplift.dose_response import DoseModel, fit_dose
    from promolift.core.effects.uplift.uplift_model import EffectModel, EffectSettings, fit
else:
    lazy(__name__)
