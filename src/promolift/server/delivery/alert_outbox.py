"""Raise and clear alerts in the ledger, and put a message into the outbox for each person who is to be told.

An alert is raised once and told once on each channel; it is raised again only after it has cleared, which those whom a
message reached are told, too. All of it happens in one change of the ledger: two servers that read the same state raise
one alert between them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from promolift.server.delivery.alert_messages import CLEARED_KIND, TRY_KIND, AlertMessage
from promolift.server.delivery.outbox import post_message
from promolift.server.ledger.alert_records import (
    ALERT_EVENT,
    CLEARED_EVENT,
    AlertKind,
    AlertSubscription,
    AlertValues,
    RaisedAlert,
)
from promolift.server.ledger.audit_log import delete_record
from promolift.server.ledger.outbox_rows import ALERT_CHANNEL, WebhookEndpoint
from promolift.server.ledger.schema import OUTBOX, PEOPLE

CONSOLE = "/console"


class AlertCondition(NamedTuple):
    """Something that a kind of alert tells of: `key` tells it from others of its source, `path` leads to its screen.

    One that does not raise (`raises` false) only keeps an alert from clearing that was raised before.
    """

    key: str
    values: AlertValues
    path: str
    raises: bool = True


class AlertReading(NamedTuple):
    """All conditions of one source, such as the limits of a campaign; those that are not listed have cleared.

    `as_of_ms` dates a result that a work folder holds; None: read from the ledger just now.
    """

    kind: AlertKind
    source: str
    conditions: Sequence[AlertCondition]
    as_of_ms: int | None = None


class Recipient(NamedTuple):
    """A subscription of somebody who may sign in, and the language to use."""

    subscription_id: str
    subscription: AlertSubscription
    language: str

    @property
    def place(self) -> str:
        """Where its messages go: two people may choose one webhook, which hears of an alert once."""
        mine = self.subscription
        return mine.address if mine.channel == "webhook" else self.subscription_id


class AlertChange(NamedTuple):
    """An alert as it is to stand, None where it is forgotten; who is to be told, and the alert that has cleared."""

    alert_id: str
    alert: RaisedAlert | None
    recipients: Sequence[Recipient] = ()
    over: RaisedAlert | None = None


class Teller(NamedTuple):
    """What messages say beside the alert: the shop's name, and which of its languages a person is spoken to in."""

    shop: str
    language_of: Callable[[str], str]


def load_recipients(db: Connection, teller: Teller) -> list[Recipient]:
    """Load the subscriptions of all who may sign in; those to a webhook that was deleted are left out."""
    here = select(PEOPLE.c.name, PEOPLE.c.language).where(PEOPLE.c.gone == 0)
    languages = {name: language for name, language in db.execute(here)}  # noqa: C416 - rows are no pairs to mypy
    hooks = WebhookEndpoint.all(db)
    return [
        Recipient(name, each, teller.language_of(languages[each.person]))
        for name, each in AlertSubscription.all(db).items()
        if each.person in languages and (each.channel != "webhook" or each.address in hooks)
    ]


def find_changes(
    db: Connection, readings: Iterable[AlertReading], recipients: Sequence[Recipient], now_ms: int
) -> Iterator[AlertChange]:
    """Compare readings with the alerts of the ledger, and return what is to change."""
    alerts = RaisedAlert.all(db)
    for reading in readings:
        known = {name: each for name, each in alerts.items() if each.source == reading.source}
        as_of_ms = now_ms if reading.as_of_ms is None else reading.as_of_ms
        if reading.as_of_ms is not None and any(each.as_of_ms > as_of_ms for each in known.values()):
            continue  # another server has a later result
        holds = {f"{reading.source} {each.key}": each for each in reading.conditions}
        for name, condition in holds.items():
            old = known.get(name)
            standing = old is not None and old.cleared_ms is None
            if not (standing or condition.raises):
                continue
            alert = old if old is not None and standing else RaisedAlert(
                kind=reading.kind, source=reading.source, values=condition.values, path=condition.path,
                raised_ms=now_ms, as_of_ms=as_of_ms,
            )  # fmt: skip
            untold = {
                each.place: each
                for each in recipients
                if reading.kind in each.subscription.kinds and each.place not in alert.messages
            }
            dated = alert.model_copy(update={"as_of_ms": as_of_ms}) if reading.as_of_ms is not None else alert
            if not standing or untold or dated != alert:
                yield AlertChange(name, dated, [*untold.values()])
        for name, alert in known.items():
            if name not in holds and alert.cleared_ms is None:
                end = {"cleared_ms": now_ms, "as_of_ms": as_of_ms, "messages": {}}
                cleared = None if reading.as_of_ms is None else alert.model_copy(update=end)
                yield AlertChange(name, cleared, (), alert)


def record_readings(db: Connection, readings: Sequence[AlertReading], teller: Teller, now_ms: int) -> int:
    """Raise and clear alerts as readings say, and post the messages; return how many alerts changed."""
    everybody = load_recipients(db, teller)
    changes = [*find_changes(db, readings, everybody, now_ms)]
    for alert_id, alert, recipients, over in changes:
        if over is not None:
            _tell_cleared(db, over, everybody, teller, now_ms)
        if alert is None:
            delete_record(db, RaisedAlert.KIND, alert_id)
            continue
        posted = {
            each.place: post_alert(db, each, _message(each, teller, alert.kind, alert.values, alert.path), now_ms)
            for each in recipients
        }
        alert.model_copy(update={"messages": alert.messages | posted}).save(db, alert_id, now_ms)
    return len(changes)


def _tell_cleared(
    db: Connection, over: RaisedAlert, everybody: Sequence[Recipient], teller: Teller, now_ms: int
) -> None:
    """Take back the messages of an alert that are not out yet, and tell those whom one reached that it has cleared."""
    mine = OUTBOX.c.delivery_id.in_([*over.messages.values()])
    db.execute(update(OUTBOX).where(mine, OUTBOX.c.status == "waiting").values(status="expired"))
    reached = set(db.execute(select(OUTBOX.c.delivery_id).where(mine, OUTBOX.c.status == "sent")).scalars())
    for each in {one.place: one for one in everybody if over.messages.get(one.place) in reached}.values():
        values = {**over.values, "of": over.kind}
        post_alert(db, each, _message(each, teller, CLEARED_KIND, values, over.path), now_ms)


def post_alert(db: Connection, recipient: Recipient, message: AlertMessage, now_ms: int) -> str:
    """Put a message of an alert into the outbox; its id, empty where the webhook does not hear of it."""
    mine = recipient.subscription
    if mine.channel == "webhook":
        if message.kind == CLEARED_KIND and CLEARED_EVENT not in _events_of(db, mine.address):
            return ""
        moment = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
        body = {
            "type": CLEARED_EVENT if message.kind == CLEARED_KIND else ALERT_EVENT,
            "timestamp": moment,
            "data": message.to_event(),
        }
        return post_message(db, "webhook", mine.address, body, now_ms)
    return post_message(db, ALERT_CHANNEL, recipient.subscription_id, message.to_body(), now_ms)


def _events_of(db: Connection, hook_id: str) -> Sequence[str]:
    hook = WebhookEndpoint.find(db, hook_id)
    return hook.events if hook else ()


def post_try(db: Connection, recipient: Recipient, teller: Teller, now_ms: int) -> str:
    """Put a message into the outbox that shows whether alerts arrive."""
    return post_alert(db, recipient, _message(recipient, teller, TRY_KIND, {}, "/account"), now_ms)


def _message(to: Recipient, teller: Teller, kind: str, values: AlertValues, path: str) -> AlertMessage:
    home = f"{to.subscription.origin}{CONSOLE}"
    return AlertMessage(kind, values, f"{home}{path}", teller.shop, to.language, f"{home}/account")
