"""Room 3. Profiles, products and the shop's rules in; candidate offers out."""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "DEFAULT_MENU", "MenuItem", "OfferProposalSettings", "OfferRules", "PrintRules", "list_candidates", "make_offer",
    "offer_id", "repair",
]  # fmt: skip

if TYPE_CHECKING:
    from promolift.offer.menu import DEFAULT_MENU, MenuItem, list_candidates, make_offer, offer_id
    from promolift.offer.repair import repair
    from promolift.offer.settings import OfferProposalSettings, OfferRules, PrintRules
else:
    lazy(__name__)
