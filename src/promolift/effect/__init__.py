"""Room 4. Profiles, offers and past prices in; expected gain and cost of every customer-offer pair out.

From a trial, or from data compared after adjustment: `diagnose` (a module) says which evidence level they can carry,
`fit` what each treatment adds to whom, `fit_dose` the same along the depth. From the logs: what a discount
adds is read from past shelf prices (`fit_response`, a causal estimate with its evidence level); how likely a coupon is
redeemed is predicted from past campaigns (`fit_redemption`, no effect).
"""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "Diagnosis", "DiscountResponse", "DiscountSettings", "DoseModel", "Effect", "EffectModel", "EffectSettings",
    "History", "PanelSettings", "RedemptionModel", "ResponseModel", "ValueSettings", "Yardsticks", "add_effects",
    "assumed_response", "average_effects", "depth_sums", "effect_bins", "exposure_features", "fit", "fit_dose",
    "fit_halves", "fit_redemption", "fit_response", "in_first_half", "offer_features", "panel",
    "redemption_outcomes", "scaled_gain", "target_covers", "total_draws", "unfold", "yardsticks",
]  # fmt: skip

if TYPE_CHECKING:
    from promolift.effect.core import EffectModel, EffectSettings, fit
    from promolift.effect.diagnose import Diagnosis
    from promolift.effect.discount import DiscountResponse, assumed_response, fit_halves, fit_response, in_first_half
    from promolift.effect.dose import DoseModel, fit_dose
    from promolift.effect.exposure import (
        History,
        Yardsticks,
        exposure_features,
        offer_features,
        target_covers,
        yardsticks,
    )
    from promolift.effect.outcomes import average_effects, effect_bins
    from promolift.effect.panel import depth_sums, panel
    from promolift.effect.redemption import RedemptionModel, fit_redemption, redemption_outcomes
    from promolift.effect.settings import DiscountSettings, PanelSettings, ValueSettings
    from promolift.effect.trial import Effect
    from promolift.effect.value import ResponseModel, add_effects, scaled_gain, total_draws, unfold
else:
    lazy(__name__)
