"""Find the one currency of a campaign's money, and keep it where no release says it."""

from collections.abc import Mapping
from typing import Protocol

from sqlalchemy import Connection

from promolift.core.offers.menu import MenuItem
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.ledger.limits import ALL_CAMPAIGNS
from promolift.server.ledger.records import Campaign, StoredCurrency
from promolift.server.ledger.schema import Refused
from promolift.shop.configuration.configuration import ShopSettings


class ReleasedLine(Protocol):
    """Which menu line an offer is of, and what it covers."""

    @property
    def menu_id(self) -> str:
        """The menu line."""

    @property
    def target(self) -> str | None:
        """The category or product; None for everything."""


class ReleasedOffers(Protocol):
    """What is asked of a release in memory: its currency, its menu, and the line of each offer."""

    @property
    def shop(self) -> ShopSettings:
        """Whose currency it is in."""

    @property
    def menu(self) -> Mapping[str, MenuItem]:
        """Menu lines by id."""

    @property
    def labels(self) -> Mapping[str, ReleasedLine]:
        """Offers by id."""


def campaign_currencies(
    db: Connection, campaigns: Mapping[str, Campaign], releases: Mapping[str, ReleasedOffers]
) -> dict[str, str | None]:
    """Return the currency of each campaign: that of its release (`releases` by campaign); without one that in which its
    money was held first, else the shop's. None where nothing says it, or releases are in several.
    """
    stated = {name: one.currency for name, one in StoredCurrency.all(db).items()}
    shop = {one.shop.currency for one in releases.values()}
    shop |= {stated[ALL_CAMPAIGNS]} if ALL_CAMPAIGNS in stated else set()
    usual = shop.pop() if len(shop) == 1 else None
    return {name: releases[name].shop.currency if name in releases else stated.get(name, usual) for name in campaigns}


def hold_in_currency(db: Connection, campaign_id: str, known: str | None, currency: str | None, now_ms: int) -> None:
    """Check the currency of money that is to be held, and keep it as the campaign's where none is known.

    `known`: that of `campaign_currencies`; `currency`: that of the cart or order, None where it does not say. Raises
    Refused `currency_differs`. Call it with the campaign's lock.
    """
    if known is None and (held := StoredCurrency.find(db, campaign_id)):
        known = held.currency
    if currency is not None and known is None:
        StoredCurrency(currency=currency).save(db, campaign_id, now_ms)
    elif currency not in (None, known):
        raise Refused(
            "currency_differs",
            gettext_lazy(
                "the order is in {currency}, the offers of {campaign_id} are in {known}",
                currency=currency,
                campaign_id=campaign_id,
                known=known,
            ),
        )
