"""What the server answers to those who use it every day, as JSON: decisions, events, redemptions, feedback."""

from collections.abc import Mapping
from typing import Any, NotRequired

from typing_extensions import TypedDict  # pydantic reads no other before Python 3.12


class DecisionAnswer(TypedDict):
    """An answered decision: without a record (`decision_id` is None) it says "no offer" and why."""

    decision_id: str | None
    ts_ms: int | None
    customer_id: str
    campaign_id: str | None
    policy_id: str | None
    policy_version: str | None
    offer_id: str
    reason: str
    propensity: float | None
    holdout: bool | None
    release_id: str | None
    experiment_id: str | None
    variant: str | None
    offer: Mapping[str, Any] | None
    message: str | None
    code: str | None
    language: NotRequired[str]
    title: NotRequired[str | None]
    angle: NotRequired[str | None]  # the reason that the message gives
    text_id: NotRequired[str | None]  # the text of the pool it was filled from
    text_propensity: NotRequired[float | None]
    why_no_message: NotRequired[str]
    candidates: NotRequired[list[Mapping[str, Any]]]  # both lists where `explain` was asked for
    ineligible: NotRequired[list[Mapping[str, Any]]]


class EventsTaken(TypedDict):
    """What became of the events of a request; the first hundred that were not taken, each with its place and reason."""

    accepted: int
    duplicates: int
    repaired: int
    rejected_count: int
    rejected: list[dict[str, Any]]
    dry_run: NotRequired[bool]


class Redeemed(TypedDict):
    """A redemption as it stands."""

    redemption_id: str
    campaign_id: str
    offer_id: str
    customer_id: str
    order_id: str | None
    code: str | None
    decision_id: str | None
    reserved_cents: int
    final_cents: int | None
    status: str
    ts_ms: int
    expires_ms: int


class FeedbackTaken(TypedDict):
    """Whether feedback was new."""

    accepted: int
    duplicates: int
    message_id: str
