"""Build candidate offers from profiles, products and the shop's rules."""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = [
    "DEFAULT_MENU",
    "MenuItem",
    "OfferProposalSettings",
    "OfferRules",
    "PrintRules",
    "list_candidates",
    "make_offer",
    "offer_id",
    "repair_offers",
]

if TYPE_CHECKING:
    from promolift.core.offers.menu import DEFAULT_MENU, MenuItem, list_candidates, make_offer, offer_id
    from promolift.core.offers.repair import repair_offers
    from promolift.core.offers.settings import OfferProposalSettings, OfferRules, PrintRules
else:
    make_lazy(__name__)
