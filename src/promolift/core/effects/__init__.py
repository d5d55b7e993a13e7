"""Estimate the expected gain and cost of every customer-offer pair, from trials or from logs.

From trials, or from data that are compared after adjustment: `diagnose` (in `uplift.diagnostics`) determines the
evidence level, `fit_effects` estimates what each treatment adds for each customer, and `fit_dose` does so along the
discount depth. From logs: `fit_response` estimates the response to discounts from past shelf prices, with its evidence
level; `fit_redemption` predicts coupon redemption from past campaigns, which is no causal effect.
"""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = [
    "CampaignHistory",
    "CampaignTotals",
    "Diagnosis",
    "DiscountResponse",
    "DiscountSettings",
    "DoseModel",
    "Effect",
    "EffectModel",
    "EffectSettings",
    "PanelSettings",
    "RedemptionModel",
    "ResponseModel",
    "ValueSettings",
    "add_effects",
    "assumed_response",
    "average_effects",
    "build_panel",
    "campaign_totals",
    "effect_bins",
    "explode_parts",
    "exposure_features",
    "fit_dose",
    "fit_effects",
    "fit_redemption",
    "fit_response",
    "fit_response_halves",
    "gain_by_response_scale",
    "gain_interval",
    "in_first_half",
    "offer_features",
    "redemption_outcomes",
    "simulate_totals",
    "sum_depths",
    "target_covers",
]

if TYPE_CHECKING:
    from promolift.core.effects.offer_value.campaign_exposure import (
        CampaignHistory,
        CampaignTotals,
        campaign_totals,
        exposure_features,
        offer_features,
        target_covers,
    )
    from promolift.core.effects.offer_value.coupon_redemption import (
        RedemptionModel,
        fit_redemption,
        redemption_outcomes,
    )
    from promolift.core.effects.offer_value.demand_panel import build_panel, sum_depths
    from promolift.core.effects.offer_value.discount_response import (
        DiscountResponse,
        assumed_response,
        fit_response,
        fit_response_halves,
        in_first_half,
    )
    from promolift.core.effects.offer_value.expected_gain import (
        ResponseModel,
        add_effects,
        explode_parts,
        gain_by_response_scale,
        gain_interval,
        simulate_totals,
    )
    from promolift.core.effects.settings import DiscountSettings, PanelSettings, ValueSettings
    from promolift.core.effects.trial_arrays import Effect
    from promolift.core.effects.uplift.average_effects import average_effects, effect_bins
    from promolift.core.effects.uplift.diagnostics import Diagnosis
    from promolift.core.effects.uplift.dose_response import DoseModel, fit_dose
    from promolift.core.effects.uplift.learner_selection import EffectSettings
    from promolift.core.effects.uplift.uplift_model import EffectModel, fit_effects
else:
    make_lazy(__name__)
