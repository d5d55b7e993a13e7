"""Room 3. Profiles, products and the shop's rules in; candidate offers out."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import lazy

__all__ = [
    "DEFAULT_MENU",
    "MenuItem",
    "OfferProposalSettings",
    "OfferRules",
    "PrintRules",
    "list_candidates",
    "make_offer",
    "offer_id",
    "repair",
]

if TYPE_CHECKING:
    from promolift.core.offers.menu import DEFAULT_MENU, MenuItem, list_candidates, make_offer, offer_id
    from promolift.core.offers.repair import repair
    from promolift.core.offers.settings import OfferProposalSettings, OfferRules, PrintRules
else:
    lazy(__name__)
