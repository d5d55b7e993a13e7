"""Room 3. Profiles, products and the shop's rules in; candidate offers out."""

from promolift.offer.menu import DEFAULT_MENU, MenuItem, OfferRules, list_candidates, make_offer, offer_id
from promolift.offer.proposals import OfferProposalSettings
from promolift.offer.repair import PrintRules, repair

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
