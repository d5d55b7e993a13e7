"""Alerts of the user's own account: what they are told of, on which channel, and whether it arrived."""

import re
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, delete, select

from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.server.console.pages.context import PageVisit, form, missing_error, sentence
from promolift.server.delivery.alert_messages import describe_alert, describe_fault, kind_names
from promolift.server.delivery.alert_outbox import Recipient, Teller, post_try
from promolift.server.delivery.target_address import UnsafeTargetError, safe_address
from promolift.server.ledger.alert_records import (
    ALERT_CHANNELS,
    ALERT_EVENT,
    ALERT_KINDS,
    AlertChannel,
    AlertSubscription,
    RaisedAlert,
)
from promolift.server.ledger.audit_log import delete_record
from promolift.server.ledger.outbox_rows import ALERT_CHANNEL, WebhookEndpoint
from promolift.server.ledger.schema import OUTBOX, Refused
from promolift.server.ledger.secrets import SealBrokenError, seal, unseal
from promolift.server.translations import translate_group, translate_refusal

MAX_SUBSCRIPTIONS = 20  # of a person
EMAIL = re.compile(r"[^@\s<>,;]{1,64}@[A-Za-z0-9.-]{1,190}")
SHOWN_END = 4  # letters of a URL's end that are shown: the rest is a secret


def alert_data(visit: PageVisit) -> dict[str, Any]:
    """Return what the account page shows of alerts: subscriptions with their state, what is raised, what to choose."""
    names, channels = kind_names(), translate_group("alert_channel")
    with visit.read() as db:
        mine = own_subscriptions(db, visit.visitor.name)
        hooks = WebhookEndpoint.all(db)
        states = {name: delivery_state(db, name, each, hooks) for name, each in mine.items()}
        chosen = {kind for each in mine.values() for kind in each.kinds}
        raised = [each for each in RaisedAlert.all(db).values() if each.kind in chosen and each.cleared_ms is None]
    subscriptions = [
        {"id": name, "channel": channels[each.channel], "place": place_of(visit, each, hooks),
         "kinds": [names[kind] for kind in ALERT_KINDS if kind in each.kinds], **states[name]}
        for name, each in sorted(mine.items(), key=lambda pair: pair[1].made_ms)
    ]  # fmt: skip
    listening = {name: hook.url for name, hook in hooks.items() if ALERT_EVENT in hook.events}
    if visit.server.settings.mail is None:
        del channels["email"]
    if not listening:
        del channels["webhook"]
    return {
        "subscriptions": subscriptions, "alert_kinds": names, "channels": channels, "hooks": listening,
        "mail": visit.server.settings.mail is not None,
        "raised": [
            {**describe_alert(each.kind, each.values)._asdict(), "path": each.path, "raised_ms": each.raised_ms}
            for each in sorted(raised, key=lambda each: -each.raised_ms)
        ],
    }  # fmt: skip


def own_subscriptions(db: Connection, person: str) -> dict[str, AlertSubscription]:
    """Return the subscriptions of a person by id."""
    return {name: each for name, each in AlertSubscription.all(db).items() if each.person == person}


def place_of(visit: PageVisit, subscription: AlertSubscription, hooks: dict[str, WebhookEndpoint]) -> str:
    """Return where alerts go, as a page may show it: of a URL the host and its end, since whoever has it can post."""
    if subscription.channel == "webhook":
        hook = hooks.get(subscription.address)
        return hook.url if hook else subscription.address
    try:
        address = unseal(visit.server.secret, subscription.address)
    except SealBrokenError:
        return gettext("an address that cannot be read; remove it and add it again")
    if subscription.channel == "email":
        return address
    return f"{urlsplit(address).hostname}/…{address[-SHOWN_END:]}"


def delivery_state(
    db: Connection, subscription_id: str, subscription: AlertSubscription, hooks: dict[str, WebhookEndpoint]
) -> dict[str, Any]:
    """Return what became of the last message: its status, tries, next try, and why it did not arrive, in words."""
    to_hook = subscription.channel == "webhook"
    channel, target = ("webhook", subscription.address) if to_hook else (ALERT_CHANNEL, subscription_id)
    if to_hook and subscription.address not in hooks:
        return {"status": "failed", "attempts": 0, "next_ms": None, "ts_ms": None,
                "fault": gettext("the webhook was removed")}  # fmt: skip
    columns = [OUTBOX.c[name] for name in ("status", "attempts", "next_ms", "ts_ms", "error")]
    mine = OUTBOX.c.channel == channel, OUTBOX.c.target == target
    row = db.execute(select(*columns).where(*mine).order_by(OUTBOX.c.ts_ms.desc()).limit(1)).mappings().first()
    if row is None:
        return {"status": "none", "attempts": 0, "next_ms": None, "ts_ms": None, "fault": ""}
    return {**row, "fault": describe_fault(row["error"]) if row["error"] else ""}


@form("/account/alerts", "viewer", "/account")
def subscribe(visit: PageVisit) -> None:
    """Tell this person of the kinds that they chose, on the channel that they chose."""
    kinds = tuple(kind for kind in ALERT_KINDS if f"kind.{kind}" in visit.form)
    channel = next((each for each in ALERT_CHANNELS if each == visit.form.get("channel")), None)
    if not kinds:
        raise translate_refusal("kinds_missing")
    if channel is None or (channel == "email" and visit.server.settings.mail is None):
        raise translate_refusal("channel_unknown")
    address = checked_address(visit, channel)
    made = AlertSubscription(
        person=visit.visitor.name, channel=channel, kinds=kinds, address=address, origin=visit.click.origin,
        made_ms=visit.now_ms,
    )  # fmt: skip
    name = f"als_{token_hex(8)}"

    def do(db: Connection, now_ms: int) -> None:
        if len(own_subscriptions(db, visit.visitor.name)) >= MAX_SUBSCRIPTIONS:
            raise translate_refusal("subscriptions_full")
        made.save(db, name, now_ms)
        visit.append_audit(db, now_ms, "alert.subscribe", name, None, {"channel": channel, "kinds": [*kinds]})

    visit.change(do)


def checked_address(visit: PageVisit, channel: AlertChannel) -> str:
    """Return the address that the form names, as it is stored. Refused where nothing can or may be sent there."""
    if channel == "webhook":
        with visit.read() as db:
            hook = WebhookEndpoint.find(db, visit.form.get("hook", ""))
        if hook is None or ALERT_EVENT not in hook.events:
            raise translate_refusal("hook_missing")
        return visit.form["hook"]
    address = visit.text("address", 2000)
    if channel == "email":
        if not EMAIL.fullmatch(address):
            raise translate_refusal("email_invalid")
    else:
        try:
            safe_address(address, visit.server.settings.private_webhooks)
        except UnsafeTargetError as error:
            raise Refused("url_unsafe", gettext_lazy("This address cannot be used: {why}.", why=error.why)) from None
    return seal(visit.server.secret, address)


@form("/account/alerts/{name}", "viewer", "/account")
def change_subscription(visit: PageVisit) -> str:
    """Send a test to a subscription, or end it; messages that wait are not sent any more."""
    name, what = visit.params["name"], visit.form.get("what", "")
    if what not in ("try", "remove"):
        raise translate_refusal("said_nothing")

    def do(db: Connection, now_ms: int) -> None:
        mine = own_subscriptions(db, visit.visitor.name).get(name)
        if mine is None:
            raise missing_error("subscription")
        if what == "try":
            if visit.shared.test_messages.take(visit.visitor.name) > 0:
                raise translate_refusal("tests_sent")
            teller = Teller(visit.shared.shop.name, visit.shared.shop.nearest_language)
            post_try(db, Recipient(name, mine, visit.visitor.language), teller, now_ms)
            return
        delete_record(db, AlertSubscription.KIND, name)
        waiting = OUTBOX.c.channel == ALERT_CHANNEL, OUTBOX.c.target == name, OUTBOX.c.status == "waiting"
        db.execute(delete(OUTBOX).where(*waiting))
        visit.append_audit(db, now_ms, "alert.unsubscribe", name, {"channel": mine.channel, "kinds": [*mine.kinds]})

    visit.change(do)
    return sentence("alert_tried" if what == "try" else "alert_removed")
