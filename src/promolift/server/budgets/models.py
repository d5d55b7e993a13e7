"""Bodies of the requests that reserve, confirm and roll back money."""

from typing import Annotated

from pydantic import Field

from promolift.server.ledger.field_types import Body, Cents, Id, Slug, TypedCode


class ReserveIn(Body):
    """Hold money for an order. With a decision_id the offer and campaign are those of the decision."""

    customer_id: Id
    amount_cents: Cents
    campaign_id: Slug | None = None
    offer_id: Id | None = None
    decision_id: Id | None = None
    code: TypedCode | None = None
    order_id: Id | None = None
    redemption_id: Slug | None = None
    order_cents: Annotated[
        Cents | None,
        Field(description="What the order is worth before the offer, with delivery: no more can come off."),
    ] = None


class ConfirmIn(Body):
    """Spend what was reserved, or less."""

    redemption_id: Slug
    amount_cents: Cents | None = None


class RollbackIn(Body):
    """Give back what was reserved or spent; with an amount that part alone, as where a line comes back."""

    redemption_id: Slug
    amount_cents: Cents | None = None
