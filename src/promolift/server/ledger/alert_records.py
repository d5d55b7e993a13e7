"""Records of alerts in the ledger: who subscribed to which kinds, which alerts are raised, and where each was sent."""

from typing import Literal, get_args

from pydantic import Field

from promolift.server.ledger.records import StoredModel

AlertKind = Literal["no_data", "sample_ratio", "limit", "texts", "drift", "job"]
AlertChannel = Literal["email", "slack", "teams", "webhook"]
ALERT_KINDS: tuple[AlertKind, ...] = get_args(AlertKind)
ALERT_CHANNELS: tuple[AlertChannel, ...] = get_args(AlertChannel)
ALERT_EVENT, CLEARED_EVENT = "alert.raised", "alert.cleared"  # what a webhook of the server hears
AlertValues = dict[str, str | int | float]


class AlertSubscription(StoredModel):
    """A person's wish to be told of these kinds on a channel.

    `address` is the URL of a Slack or Teams webhook or an e-mail address, sealed, or the id of a webhook of the server.
    `origin` is scheme and host of the console as the person's browser knows it, for links.
    """

    KIND = "alert_subscription"
    person: str
    channel: AlertChannel
    kinds: tuple[AlertKind, ...]
    address: str
    origin: str
    made_ms: int


class RaisedAlert(StoredModel):
    """An alert that was raised, and that has cleared if `cleared_ms` is set.

    `source` says which reading found it: "limit cmp_1" for the limits of a campaign. `as_of_ms` is the moment of the
    result that it was read from, so that an older result, on another machine, neither raises nor clears it.
    `messages` are ids of the outbox by where they went: a subscription, or a webhook of the server.
    """

    KIND = "alert"
    kind: AlertKind
    source: str
    values: AlertValues
    path: str
    raised_ms: int
    as_of_ms: int
    cleared_ms: int | None = None
    messages: dict[str, str] = Field(default_factory=dict)
