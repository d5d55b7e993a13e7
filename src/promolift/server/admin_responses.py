"""Answers of the routes by which a shop sets up and watches its campaigns; those of busy routes: `response_models`.

They say in the API's document what an answer holds. Nothing is checked by them while a request runs; the tests compare
every answer that they get with them.
"""

from collections.abc import Collection, Mapping
from typing import Any, NotRequired

from pydantic import BaseModel, ConfigDict, create_model
from sqlalchemy import Table
from typing_extensions import TypedDict

from promolift.server.ledger.policy import Policy
from promolift.server.ledger.records import ExperimentIn, ReleasePeriod
from promolift.server.ledger.schema import AUDIT, CODES, CUSTOMERS, DECISIONS, REDEMPTIONS
from promolift.server.response_models import Considered, DecisionAnswer, SendAnswer

HIDDEN_COLUMNS = frozenset({"candidates", "ineligible", "terms", "closed"})  # of a decision: `:explain` tells them
RENAMED_COLUMNS = {"zone": "timezone"}  # as they are stated


def answers(model: Any, status: int = 200) -> dict[str, Any]:
    """Return what tells a route's decorator that its answer is a `model`, without a check of each answer."""
    return {"response_model": None, "responses": {status: {"model": model}}}


def row_model(name: str, table: Table, hidden: Collection[str] = ()) -> type[BaseModel]:
    """Return the model of a table's rows as lists show them: its columns, but for `hidden` ones."""
    fields: dict[str, Any] = {}
    for column in table.c:
        if column.name not in hidden:
            kind = column.type.python_type
            fields[RENAMED_COLUMNS.get(column.name, column.name)] = (kind | None if column.nullable else kind, ...)
    doc = f"A row of the ledger's table {table.name}."
    return create_model(name, __config__=ConfigDict(extra="forbid"), __doc__=doc, **fields)


def page_model(name: str, row: Any, cursor: Any = str) -> Any:
    """Return the model of a page of rows; `next` is the cursor of the page after it, null at the end."""
    return create_model(
        name, __config__=ConfigDict(extra="forbid"), __doc__=page_model.__doc__, data=(list[row], ...),
        next=(cursor | None, ...),
    )  # fmt: skip


DecisionPage = page_model("DecisionPage", row_model("DecisionRow", DECISIONS, HIDDEN_COLUMNS))
RedemptionPage = page_model("RedemptionPage", row_model("RedemptionRow", REDEMPTIONS))
CustomerPage = page_model("CustomerPage", row_model("CustomerRow", CUSTOMERS))
CodePage = page_model("CodePage", row_model("CodeRow", CODES))
AuditPage = page_model("AuditPage", row_model("AuditRow", AUDIT), int)


class WebhookDeleted(TypedDict):
    """A webhook that is gone."""

    webhook_id: str
    deleted: bool


class PromotionDeleted(TypedDict):
    """A promotion that is gone; what is reserved for it stays."""

    promotion_id: str
    deleted: bool


class LimitShown(TypedDict):
    """A limit as it was stated; money and counts as `metric` says."""

    limit_id: str
    campaign_id: str
    metric: str
    amount: int
    period: str
    per: str
    offer_id: str
    timezone: str
    since_ms: NotRequired[int]


class LimitUsed(LimitShown):
    """A limit with what is held and spent of it in its present period."""

    held: int
    spent: int


class LimitList(TypedDict):
    """The limits over all campaigns together."""

    data: list[LimitUsed]


class CampaignRecord(TypedDict, total=False):
    """A campaign as it stands. What was never set is left out."""

    experiment: ExperimentIn | None
    paused: bool
    periods: dict[str, ReleasePeriod]
    policy: Policy
    policy_version: int
    previous: str | None
    release: str | None


class CampaignNamed(CampaignRecord):
    """A campaign with its id."""

    campaign_id: str


class CampaignList(TypedDict):
    """All campaigns, by id."""

    data: list[CampaignNamed]


class CampaignGoverned(CampaignRecord):
    """A campaign with the limits that count in it."""

    limits: list[LimitShown]


class StockLeft(TypedDict):
    """The shop's own codes of an offer: how many are left, and how many there were."""

    offer_id: str
    left: int
    total: int


class CampaignShown(CampaignNamed):
    """A campaign, its limits as used in their present periods, its pace, and the stock of its codes."""

    limits: list[LimitUsed]
    pace: Any
    stock: list[StockLeft]


class CodesAdded(TypedDict):
    """How many codes were new, and how many the offer has left."""

    added: int
    left: int


class OfferShown(TypedDict):
    """An offer of a release: its menu line, and what it covers."""

    offer_id: str
    menu: Mapping[str, Any]
    scope: str
    covers: str


class OfferList(TypedDict):
    """The offers of a campaign's release."""

    release_id: str
    data: list[OfferShown]


class ReleaseShown(TypedDict):
    """A release: the campaign that it is of, and its price of a cent of budget, in cents of gain."""

    release_id: str
    campaign_id: str
    price: float
    status: NotRequired[str | None]
    by: NotRequired[str | None]
    approved_by: NotRequired[str | None]
    note: NotRequired[str | None]


class ReleaseList(TypedDict):
    """All releases, by id."""

    data: list[ReleaseShown]


class KeyMade(TypedDict):
    """A new key; `key` is shown this once."""

    key_id: str
    key: str
    scope: str


class KeyShown(TypedDict):
    """A key without its secret; `last_used_ms` is to the minute, null for one that never came."""

    key_id: str
    scope: str
    name: str
    revoked: bool
    last_used_ms: int | None


class KeyList(TypedDict):
    """All keys, by id."""

    data: list[KeyShown]


class KeyRevoked(TypedDict):
    """A key that opens nothing any more."""

    key_id: str
    revoked: bool


class WebhookMade(TypedDict):
    """A webhook; `secret` signs its messages and is shown this once."""

    webhook_id: str
    secret: str
    url: str
    events: list[str]


class WebhookShown(TypedDict):
    """A webhook, and how many of its messages are in each state."""

    webhook_id: str
    url: str
    events: list[str]
    messages: dict[str, int]


class WebhookList(TypedDict):
    """All webhooks, by id."""

    data: list[WebhookShown]


class WebhookMessage(TypedDict):
    """A message of a webhook."""

    message_id: str
    status: str
    attempts: int
    error: str | None
    ts_ms: int
    body: str


class WebhookMessages(TypedDict):
    """A page of a webhook's messages."""

    data: list[WebhookMessage]
    next: int | None


class OfferMessageShown(TypedDict):
    """A message to a customer, without address and words; `again`: whether it can be sent again."""

    message_id: str
    decision_id: str
    status: str
    attempts: int
    error: str | None
    ts_ms: int
    again: bool


class OfferMessages(TypedDict):
    """A page of messages to customers."""

    data: list[OfferMessageShown]
    next: int | None


class MessageTaken(TypedDict):
    """A message that waits to be sent."""

    message_id: str
    status: NotRequired[str]


class MessagesTaken(TypedDict):
    """How many messages wait to be sent again."""

    messages: int


class AuditVerified(TypedDict):
    """Whether the audit log's chain of hashes holds, the first row that breaks it, its length and last hash."""

    holds: bool
    first_break: int | None
    rows: int
    head: str


class LearningStarted(TypedDict):
    """A run of learning."""

    campaign_id: str
    status: str


class LearningShown(LearningStarted):
    """The last run of learning: when, and what became of it."""

    started_ms: NotRequired[int]
    ended_ms: NotRequired[int | None]
    why: NotRequired[str | None]
    proposal: NotRequired[Mapping[str, Any] | None]


class CodeValidated(TypedDict):
    """Whether a customer could use a code, and why not; of a known code whose it is."""

    valid: bool
    reason: str | None
    words: Mapping[str, str] | None
    code: NotRequired[str]
    campaign_id: NotRequired[str]
    offer_id: NotRequired[str]
    expires_ms: NotRequired[int | None]
    cap_cents: NotRequired[int | None]


class CodesBlocked(TypedDict):
    """How many codes changed."""

    changed: int
    blocked: bool


class DecisionList(TypedDict):
    """A decision for each customer, in the order that was asked for."""

    data: list[DecisionAnswer]


class PromotionShown(TypedDict):
    """A promotion that the shop keeps beside its plan."""

    promotion_id: NotRequired[str]
    campaign_id: str
    holder: str
    terms: Mapping[str, Any]


class PromotionList(TypedDict):
    """All promotions that the shop keeps beside its plan."""

    data: list[PromotionShown]


class CustomerForgotten(TypedDict):
    """What became of a customer's rows: how many were found, and the name that stays."""

    pseudonym: str
    rows: dict[str, int]
    erased: bool


class CustomerErased(CustomerForgotten):
    """An erasure, and where the customer still stands: what was searched, left, kept by intent or not read."""

    searched: list[Mapping[str, Any]]
    left: list[Mapping[str, Any]]
    retained: list[str]
    unread: list[str]


class CustomerExport(TypedDict):
    """All rows about a customer, by table."""

    subject: str
    tables: dict[str, list[Mapping[str, Any]]]


class DecisionReplayed(TypedDict):
    """A decision made again from its record, and the columns that differ."""

    same: bool
    again: Mapping[str, Any]
    differs: list[str]


class AnnotationForgotten(TypedDict):
    """A note that is gone."""

    annotation_id: str


class Ready(TypedDict):
    """The server can decide; the releases that it has loaded."""

    status: str
    releases: list[str]


class DecisionPreview(TypedDict):
    """What would be decided: with the offer, its message, and what was open and closed."""

    customer_id: str
    offer_id: str
    reason: str
    rule: str
    release_id: str | None
    holdout: bool | None
    variant: str | None
    propensity: NotRequired[float]
    price: NotRequired[float]
    candidates: list[Mapping[str, Any]]
    ineligible: list[Mapping[str, Any]]
    offer: Mapping[str, Any] | None
    message: str | None
    title: NotRequired[str | None]
    language: NotRequired[str]
    angle: NotRequired[str | None]
    text_id: NotRequired[str | None]
    text_propensity: NotRequired[float | None]
    why_no_message: NotRequired[str]
    send: NotRequired[SendAnswer]
    considered: NotRequired[Considered]
    general: NotRequired[list[Mapping[str, Any]]]


DecisionExplained = create_model(
    "DecisionExplained",
    __base__=row_model("DecisionOfRelease", DECISIONS, HIDDEN_COLUMNS | {"price"}),
    __doc__="A decision: its record, candidates at their price, what was closed, and the rule, in words as `text`.",
    considered=(Considered | None, None), send=(SendAnswer | None, None), rule=(str, ...),
    candidates=(list[dict[str, Any]], ...), ineligible=(list[dict[str, Any]], ...), terms=(dict[str, Any], ...),
    live=(dict[str, Any], ...), offer=(dict[str, Any] | None, ...), angle=(str | None, ...),
    title=(str | None, ...), text=(str, ...),
)  # fmt: skip


class LearningResults(TypedDict):
    """What the last run of learning found; money in minor units, with 95 % intervals."""

    campaign: str
    policy: str
    policy_version: str
    measure: str
    measured_by: str
    window_days: float
    until_ms: int
    answer: str
    why: str
    rule: str
    evidence: str
    customers: dict[str, int]
    gain_per_customer: float | None
    low: float | None
    high: float | None
    gain_total: float | None
    total_low: float | None
    total_high: float | None
    discount_per_customer: list[float] | None
    predicted_per_customer: float | None
    detectable_per_customer: float | None
    sample_ratio: dict[str, Any]
    verdicts: list[str]
    joined: dict[str, Any]
    by_day: list[dict[str, Any]]
    calibration: list[dict[str, Any]]
    weights: dict[str, Any]
    drift: list[str]
    months: NotRequired[list[dict[str, Any]]]
    weeks: NotRequired[list[dict[str, Any]]]
    drivers: NotRequired[dict[str, Any]]
    lab: NotRequired[list[dict[str, Any]]]
    segments: NotRequired[list[dict[str, Any]]]
    drifts: NotRequired[list[dict[str, Any]]]
    not_looked_at: NotRequired[list[dict[str, Any]]]
