"""One customer's row of profile and plan, typed: what a card of the report or a page of the console tells of them."""

from collections.abc import Mapping
from typing import Any, Self

from promolift.results.plan import Level
from promolift.settings import Settings
from promolift.tables import Z95


class Person(Settings):
    """What is known of a customer; None where it is not."""

    orders_52w: float | None = None
    recency_days: float | None = None
    cadence_days: float | None = None
    discount_share: float | None = None
    deal_share: float | None = None
    churn_prob: float | None = None
    leans_to: str | None = None
    price_sensitivity: float | None = None
    price_sensitivity_se: float | None = None

    @classmethod
    def of(cls, profile: Mapping[str, Any]) -> Self:
        """From a row of the profiles, with what the encoder expects where there is one."""
        return cls(**{name: profile.get(name) for name in cls.model_fields})

    @property
    def sensitivity_within(self) -> float | None:
        """Half the width of the 95 % interval of `price_sensitivity`."""
        return None if self.price_sensitivity_se is None else Z95 * self.price_sensitivity_se


class Given(Settings):
    """What one customer gets, and what is expected of it."""

    customer_id: str
    offer_id: str
    gain_cents: float
    gain_se_cents: float | None
    cost_cents: float
    evidence: Level
    reason: str
    message_zh: str | None
    message_en: str | None
    title_zh: str | None = None
    title_en: str | None = None
    angle: str | None = None
    angles: tuple[str, ...] | None = None
    reason_zh: str | None = None

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a row of the messages."""
        needed = {name for name, each in cls.model_fields.items() if each.is_required()}
        return cls(**{name: row[name] for name in cls.model_fields if name in needed or name in row})

    @property
    def low_cents(self) -> float | None:
        """Lower end of the 95 % interval of the gain."""
        return None if self.gain_se_cents is None else self.gain_cents - Z95 * self.gain_se_cents

    @property
    def high_cents(self) -> float | None:
        """Its upper end."""
        return None if self.gain_se_cents is None else self.gain_cents + Z95 * self.gain_se_cents
