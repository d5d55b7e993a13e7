"""Deliver signed webhooks and messages to customers, with retries until they arrive or expire.

A message waits for the end of its channel's quiet hours. It is not sent to a customer who withdrew consent, nor after
its offer has ended; then it expires. A message that failed for good is stored until then, so it can be sent again.

A message is written in the same transaction as the change it reports, so none is lost and none reports a change that
was rolled back. A receiver may get a message twice, with the same `webhook-id`.
"""

import asyncio
import base64
import json
import logging
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar
from zoneinfo import ZoneInfo

import httpcore
from sqlalchemy import ColumnElement, Connection, bindparam, func, literal_column, null, select, text, update
from standardwebhooks import Webhook

from promolift.core.decisions.send_slots import next_occurrence
from promolift.foundation.time.clock import MINUTE_MS, Clock
from promolift.server.delivery.alert_messages import NOT_POSTED, SECRET_UNREADABLE, SUBSCRIPTION_REMOVED, AlertMessage
from promolift.server.delivery.sender import HttpPost, OfferMessage, post_json, send_by_service, send_mail
from promolift.server.delivery.target_address import (
    TIMEOUT_S,
    UnsafeTargetError,
    WebhookTarget,
    post_content,
    safe_address,
)
from promolift.server.ledger.alert_records import AlertSubscription
from promolift.server.ledger.audit_log import delete_record
from promolift.server.ledger.ledger import Ledger
from promolift.server.ledger.outbox_rows import ALERT_CHANNEL, INSERT_MESSAGES, OutboxMessage, WebhookEndpoint, _waiting
from promolift.server.ledger.records import Campaign, StoredModel
from promolift.server.ledger.schema import (
    CUSTOMERS,
    DECISIONS,
    IS_EMAIL,
    OUTBOX,
    REDEMPTIONS,
    JsonList,
    Query,
    json_list,
)
from promolift.server.ledger.secrets import SealBrokenError, unseal
from promolift.server.settings import ServeSettings

LOG = logging.getLogger("promolift.server")
Result = TypeVar("Result")
RETRY_WAITS_S = (5, 300, 1800, 7200, 18_000, 36_000)  # as Standard Webhooks proposes: seven tries in about 18 hours
BATCH_SIZE = 200  # messages to one receiver between two changes of the ledger
REPLAY_PART, REPLAY_PARTS = 500, 20  # messages that one change lets wait again, and such changes in a look
NETWORK_THREADS = 8  # look up addresses of receivers and wait for mail servers
REQUESTS_PER_RECEIVER = 16  # requests under way to one receiver
EXPIRED_STATUS = "expired"
NEVER_MS = 2**53  # of what was given up and has no last moment
DUE_MESSAGES = (
    select(*(OUTBOX.c[name] for name in ("delivery_id", "channel", "target", "body", "attempts", "next_ms")))
    .where(OUTBOX.c.next_ms <= bindparam("now_ms"))
    .order_by(OUTBOX.c.next_ms)
    .limit(BATCH_SIZE)
)
IS_WAITING = OUTBOX.c.status == "waiting"
IS_OPEN = IS_WAITING | (OUTBOX.c.status == "failed")
SELECT_DUE = {
    **{
        channel: Query(
            DUE_MESSAGES.where(IS_WAITING, OUTBOX.c.channel == channel, OUTBOX.c.target == bindparam("target"))
        )
        for channel in ("webhook", ALERT_CHANNEL)
    },
    "email": Query(DUE_MESSAGES.where(IS_EMAIL, IS_OPEN)),  # what was given up expires, too
}
# From one receiver to the next by the index: however many messages wait, or were sent. A receiver's first one is
# asked for by `min`, as PostgreSQL reads all that wait to see whether one `exists`.
RECEIVERS_SQL = """
    with recursive receivers (target) as (
      select min(target) from outbox where channel = 'webhook'
      union all
      select (select min(o.target) from outbox o where o.channel = 'webhook' and o.target > receivers.target)
      from receivers where receivers.target is not null)
"""
OF_ONE_RECEIVER_SQL = (
    "from outbox o where o.channel = 'webhook' and o.target = receivers.target and o.status = 'waiting'"
)
OF_EMAILS_SQL = "from outbox where channel = 'email' and status ="
OF_ALERTS_SQL = f"from outbox where channel = '{ALERT_CHANNEL}' and status = 'waiting'"  # some a day
SELECT_DUE_LANES = Query(text(f"""{RECEIVERS_SQL}
    select 'webhook', target from receivers where (select min(o.next_ms) {OF_ONE_RECEIVER_SQL}) <= :now_ms
    union all select 'email', '' where (select min(next_ms) {OF_EMAILS_SQL} 'waiting') <= :now_ms
                                    or (select min(next_ms) {OF_EMAILS_SQL} 'failed') <= :now_ms
    union all select distinct '{ALERT_CHANNEL}', target {OF_ALERTS_SQL} and next_ms <= :now_ms
"""))  # fmt: skip
COUNT_WAITING = Query(text(f"""{RECEIVERS_SQL}
    select sum((select count(*) {OF_ONE_RECEIVER_SQL})), (select count(*) {OF_EMAILS_SQL} 'waiting'),
           (select count(*) {OF_ALERTS_SQL}) from receivers
"""))  # fmt: skip
UPDATE_NAMED = update(OUTBOX).where(OUTBOX.c.delivery_id.op("in")(JsonList("ids")))
CLAIM_MESSAGES = Query(UPDATE_NAMED.values(next_ms=bindparam("again_ms")))
MARK_SENT = Query(
    UPDATE_NAMED.where(IS_OPEN).values(status="sent", error=null(), attempts=OUTBOX.c.attempts + literal_column("1"))
)
SELECT_UNWANTED = Query(
    select(DECISIONS.c.decision_id)
    .join(CUSTOMERS, CUSTOMERS.c.customer_id == DECISIONS.c.customer_id)
    .where(
        DECISIONS.c.decision_id.op("in")(JsonList("ids")),
        (CUSTOMERS.c.consent == literal_column("0"))
        | (CUSTOMERS.c.personal == literal_column("0"))
        | (CUSTOMERS.c.erased != literal_column("0")),
    )
)  # fmt: skip
CLEAR_BODIES = Query(
    UPDATE_NAMED.where((OUTBOX.c.status == "sent") | (OUTBOX.c.status == EXPIRED_STATUS)).values(body="{}")
)
UPDATE_IF_UNCHANGED = Query(  # only as it was read or taken: whoever took it since, or sent it, knows better
    update(OUTBOX)
    .where(OUTBOX.c.delivery_id == bindparam("id"), IS_OPEN, OUTBOX.c.next_ms == bindparam("taken_ms"))
    .values(**{name: bindparam(name) for name in ("status", "attempts", "next_ms", "error")})
)
MARK_UNREADABLE = Query(
    update(OUTBOX)
    .where(OUTBOX.c.delivery_id == bindparam("id"))
    .values(status="failed", next_ms=bindparam("next_ms"), error=func.coalesce(OUTBOX.c.error, bindparam("error")))
)  # one that was given up by an earlier version has no body either, and keeps its error
IS_REDEEMED_BY_CODE = REDEMPTIONS.c.decision_id.is_(None) & (
    REDEMPTIONS.c.code == DECISIONS.c.code
)  # which knows the code alone
# A decision whose offer went out some other way, or may yet: another message of it, or the till.
SELECT_OTHER_USES = Query(
    select(OUTBOX.c.delivery_id)
    .where(IS_EMAIL, OUTBOX.c.target == bindparam("decision"), OUTBOX.c.status != EXPIRED_STATUS)
    .union_all(
        select(REDEMPTIONS.c.redemption_id)
        .join(DECISIONS, DECISIONS.c.customer_id == REDEMPTIONS.c.customer_id)  # which has an index
        .where(
            DECISIONS.c.decision_id == bindparam("decision"),
            (REDEMPTIONS.c.decision_id == DECISIONS.c.decision_id) | IS_REDEEMED_BY_CODE,
            (REDEMPTIONS.c.status == "reserved") | (REDEMPTIONS.c.status == "confirmed"),
        )
    )
)


class WebhookReplay(StoredModel):
    """Messages of a webhook that are to be sent again: those made from `since_ms` to `until_ms`, of one `status` if it
    is named. `after` is the last message of the outbox that was looked at.
    """

    KIND = "resend"
    webhook_id: str
    since_ms: int
    until_ms: int
    status: str | None
    after: str = ""

    @property
    def conditions(self) -> list[ColumnElement[bool]]:
        """Which messages it is about."""
        mine = OUTBOX.c.channel == "webhook", OUTBOX.c.target == self.webhook_id
        made = OUTBOX.c.ts_ms.between(self.since_ms, self.until_ms)
        return [*mine, made, *([OUTBOX.c.status == self.status] if self.status else [])]


class DeliveryLane(NamedTuple):
    """Whose messages go one after the other: those of a webhook or of a subscription to alerts, or all e-mails."""

    channel: str
    target: str


class OfferCosts(Protocol):
    """What knows the money of decided offers."""

    def cost_of(self, db: Connection, decision_id: str) -> float:
        """What the offer is reckoned to cost, in cents."""

    def give_back(self, db: Connection, decision_id: str, cost: float, now_ms: int) -> None:
        """Give the budget it was counted in the cost back."""


class _Tried(NamedTuple):
    """A message that was sent, and what went wrong, if anything did; what its offer was to cost, if it expired."""

    delivery: OutboxMessage
    error: str | None
    cost: float = 0.0


class _Turn(NamedTuple):
    """What was tried on a lane since its last turn."""

    lane: DeliveryLane
    results: list[_Tried]


def new_secret() -> str:
    """A signing secret, in the form Standard Webhooks asks for."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def post_message(db: Connection, channel: str, target: str, body: Any, now_ms: int) -> str:
    """Put one message into the outbox; its id."""
    row = _waiting(channel, target, body, now_ms)
    INSERT_MESSAGES.many(db, [row])
    return str(row["delivery_id"])


def count_waiting(db: Connection) -> int:
    """How many messages are still to be sent."""
    ((hooks, mails, alerts),) = COUNT_WAITING.rows(db)
    return int(hooks or 0) + int(mails) + int(alerts)


class Outbox:
    """Sends what is due, to each receiver on its own. On a shared ledger each message is taken by one process only."""

    def __init__(
        self,
        ledger: Ledger,
        settings: ServeSettings,
        clock: Clock,
        secret: str,
        waits_s: Sequence[float] = RETRY_WAITS_S,
        post: HttpPost = post_json,
        costs: OfferCosts | None = None,
        ended: Callable[[str, str], object] = lambda channel, how: None,
    ) -> None:
        """`secret` opens those of the webhooks; `waits_s`: seconds between tries; `post` reaches services that send;
        `costs` knows what offers cost; `ended` hears on which channel a message ended how.
        """
        self.ledger, self.settings, self.clock, self.waits_s = ledger, settings, clock, tuple(waits_s)
        self.post, self.costs, self.ended = post, costs, ended
        self._secret = secret
        self._lanes: dict[DeliveryLane, asyncio.Task[int]] = {}
        self._threads = ThreadPoolExecutor(NETWORK_THREADS, "outbox")  # other work never waits for a receiver

    async def look(self) -> None:
        """Begin to send to every receiver something is due for, unless that goes on already."""
        for replay in await asyncio.to_thread(self._replays):
            parts = iter(range(REPLAY_PARTS))  # the rest at the next look: others wait for this one
            while await self.ledger.call(self._again, replay) and next(parts, None) is not None:
                pass
        for lane in await asyncio.to_thread(self._due):
            if lane not in self._lanes:
                self._lanes[lane] = task = asyncio.create_task(self._empty(lane))
                task.add_done_callback(partial(self._over, lane))

    async def send_due(self) -> int:
        """Send all that is due now; how many were tried."""
        await self.look()
        return sum(await asyncio.gather(*self._lanes.values()))

    async def stop(self) -> None:
        """Leave off; what was taken is tried again later."""
        for task in list(self._lanes.values()):
            task.cancel()
        await asyncio.gather(*self._lanes.values(), return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _in_network_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _over(self, lane: DeliveryLane, done: "asyncio.Task[int]") -> None:
        self._lanes.pop(lane, None)
        if not done.cancelled() and (error := done.exception()):
            LOG.error("sending failed", exc_info=error, extra={"channel": lane.channel})

    def _replays(self) -> list[str]:
        with self.ledger.read() as db:
            return list(WebhookReplay.all(db))

    def _again(self, db: Connection, replays: Sequence[str]) -> list[bool]:
        """Let a part of what is to be sent again wait; whether more is left."""
        return [self._some_again(db, name) for name in replays]

    def _some_again(self, db: Connection, name: str) -> bool:
        replay, now_ms, id_ = WebhookReplay.find(db, name), self.clock.now_ms(), OUTBOX.c.delivery_id
        if replay is None:
            return False
        part = select(id_).where(id_ > replay.after).order_by(id_).limit(REPLAY_PART)
        if ids := db.execute(part).scalars().all():
            again = update(OUTBOX).where(id_.between(ids[0], ids[-1]), *replay.conditions)
            db.execute(again.values(status="waiting", attempts=0, next_ms=now_ms))
        if len(ids) < REPLAY_PART:
            delete_record(db, WebhookReplay.KIND, name)
        else:
            replay.model_copy(update={"after": ids[-1]}).save(db, name, now_ms)
        return len(ids) == REPLAY_PART

    def _due(self) -> list[DeliveryLane]:
        with self.ledger.read() as db:
            return [DeliveryLane(*row) for row in SELECT_DUE_LANES.rows(db, now_ms=self.clock.now_ms())]

    async def _empty(self, lane: DeliveryLane) -> int:
        """Send what is due on a lane until no more is; how many were tried."""
        senders = {"email": self._mails, "webhook": self._webhooks, ALERT_CHANNEL: self._alerts}
        tried, results = 0, list[_Tried]()
        while due := await self.ledger.call(self._turn, _Turn(lane, results)):
            results = await senders[lane.channel](due)
            tried += len(due)
        return tried

    async def _mails(self, due: Sequence[OutboxMessage]) -> list[_Tried]:
        def send(each: OutboxMessage) -> _Tried:
            try:
                message = _message(each.body)
                if _last_ms(message) < self.clock.now_ms():
                    return _Tried(each, EXPIRED_STATUS, self._cost(each.target))
                if message.by == "email":
                    return _Tried(each, send_mail(self.settings.mail, message))
                return _Tried(each, send_by_service(message, self.post))
            except Exception as error:  # its text may hold an address or a key
                return _Tried(each, type(error).__name__)

        return [await self._in_network_thread(partial(send, each)) for each in due]

    def _cost(self, decision_id: str) -> float:
        """What its offer was reckoned to cost; 0 where nobody can tell: the message ends as expired all the same, or it
        would be tried again at once, for ever.
        """
        try:
            with self.ledger.read() as db:
                return self.costs.cost_of(db, decision_id) if self.costs else 0.0
        except Exception as error:
            LOG.error("no cost of an expired offer", exc_info=error, extra={"decision_id": decision_id})
            return 0.0

    async def _webhooks(self, due: Sequence[OutboxMessage]) -> list[_Tried]:
        """One look at the address and one set of connections for all; whatever goes wrong is what they are told."""
        why = "the webhook was removed"
        try:
            hook = await asyncio.to_thread(self._hook, due[0].target)
        except SealBrokenError:
            hook, why = None, SECRET_UNREADABLE
        if hook is not None:
            try:
                look_up = partial(safe_address, hook.url, self.settings.private_webhooks)
                target = await self._in_network_thread(look_up)
                waiting, now_ms = iter(due), self.clock.now_ms()

                async def one_by_one() -> list[_Tried]:
                    # a connection each: a pool of many looks through all of them for every request
                    async with httpcore.AsyncConnectionPool(max_connections=1) as pool:
                        return [await _sent(pool, target, hook, each, now_ms) for each in waiting]

                parts = await asyncio.gather(*(one_by_one() for _ in range(REQUESTS_PER_RECEIVER)))
                return [tried for part in parts for tried in part]
            except UnsafeTargetError as error:
                why = str(error)
        return [_Tried(each, why) for each in due]

    async def _alerts(self, due: Sequence[OutboxMessage]) -> list[_Tried]:
        """Send the alerts of one subscription; each has an error of its own."""
        try:
            to = await asyncio.to_thread(self._subscription, due[0].target)
        except SealBrokenError:
            return [_Tried(each, SECRET_UNREADABLE) for each in due]
        return [_Tried(each, await self._alert(to, each)) for each in due]

    async def _alert(self, to: AlertSubscription | None, due: OutboxMessage) -> str | None:
        """None if the alert arrived, else why not."""
        if to is None:
            return SUBSCRIPTION_REMOVED
        try:
            message = AlertMessage.from_body(due.body)
            if to.channel == "email":
                mail = partial(send_mail, self.settings.mail, message.to_mail(to.address))
                return await self._in_network_thread(mail)
            look_up = partial(safe_address, to.address, self.settings.private_webhooks)
            target = await self._in_network_thread(look_up)
            body = message.to_teams() if to.channel == "teams" else message.to_slack()
            async with httpcore.AsyncConnectionPool(max_connections=1) as pool:
                answer = await post_content(pool, target, json.dumps(body, ensure_ascii=False).encode(), {})
            if to.channel == "teams" and answer.body.startswith(b"Webhook message delivery failed"):
                return NOT_POSTED  # with status 200
            return answer.error
        except UnsafeTargetError as error:
            return str(error)
        except Exception as error:  # its text may hold the address, which is a secret
            return type(error).__name__

    def _subscription(self, subscription_id: str) -> AlertSubscription | None:
        with self.ledger.read() as db:
            to = AlertSubscription.find(db, subscription_id)
        return to and to.model_copy(update={"address": unseal(self._secret, to.address)})

    def _hook(self, webhook_id: str) -> WebhookEndpoint | None:
        with self.ledger.read() as db:
            hook = WebhookEndpoint.find(db, webhook_id)
        return hook and hook.model_copy(update={"secret": unseal(self._secret, hook.secret)})

    def _turn(self, db: Connection, turns: Sequence[_Turn]) -> list[list[OutboxMessage]]:
        """Note what was tried on each lane, and take what is due there now: one change, as each waits for the disk."""
        for turn in turns:
            self._note(db, turn)
        return [self._take(db, turn.lane) for turn in turns]

    def _take(self, db: Connection, lane: DeliveryLane) -> list[OutboxMessage]:
        now_ms, target = self.clock.now_ms(), {"target": lane.target} if lane.target else {}
        due = [OutboxMessage(*row) for row in SELECT_DUE[lane.channel].rows(db, now_ms=now_ms, **target)]
        again_ms = now_ms + 10 * MINUTE_MS
        if lane.channel == "email":
            due = self._now(db, due, now_ms)
        if lane.channel != "webhook":
            mail = self.settings.mail  # one goes after the other, and each may hang
            again_ms += round(len(due) * max(TIMEOUT_S, mail.timeout_s if mail else 0.0) * 1000)
        if due:
            CLAIM_MESSAGES.run(db, ids=json_list(each.delivery_id for each in due), again_ms=again_ms)
        return [each._replace(next_ms=again_ms) for each in due]

    def _now(self, db: Connection, due: Sequence[OutboxMessage], now_ms: int) -> list[OutboxMessage]:
        """Messages that may go now: the rest waits for the end of the quiet hours, or ends without consent."""
        policies = {name: each.policy.quiet for name, each in Campaign.all(db).items()}
        unwanted = {row[0] for row in SELECT_UNWANTED.rows(db, ids=json_list(each.target for each in due))}
        found = []
        for each in due:
            try:
                message = _message(each.body)
                hour = datetime.fromtimestamp(now_ms / 1000, ZoneInfo(message.zone)).hour
                last_ms = _last_ms(message)
            except (TypeError, ValueError, KeyError, OSError):  # whatever wrote it: the others go on
                MARK_UNREADABLE.run(db, id=each.delivery_id, error="the body cannot be read", next_ms=NEVER_MS)
                self.ended(each.channel, "failed")
                continue
            quiet = policies.get(message.campaign_id)
            if each.target in unwanted:
                self._end(db, each, each.attempts, "consent_missing", NEVER_MS)
                db.execute(update(OUTBOX).where(OUTBOX.c.delivery_id == each.delivery_id).values(body="{}"))
            elif last_ms >= now_ms and quiet and message.channel in quiet.channels and quiet.quiet(hour):
                end_ms = next_occurrence(quiet.end, now_ms, message.zone)
                values = {"status": "waiting", "attempts": each.attempts, "error": None}
                _change(db, each, next_ms=min(end_ms, last_ms + 1), **values)
            else:
                found.append(each)
        return found

    def _end(self, db: Connection, each: OutboxMessage, tries: int, error: str, next_ms: int) -> None:
        """Give a message up: its lane goes on, and it can be sent again."""
        if _change(db, each, status="failed", attempts=tries, error=error, next_ms=next_ms):
            self.ended(each.channel, "failed")

    def _note(self, db: Connection, turn: _Turn) -> None:
        channel, now_ms = turn.lane.channel, self.clock.now_ms()
        arrived = [each.delivery.delivery_id for each in turn.results if each.error is None]
        if arrived:
            MARK_SENT.run(db, ids=json_list(arrived))
            for _ in arrived:
                self.ended(channel, "sent")
        for tried, error, cost in turn.results:
            if error is None:
                continue
            last_ms, tries = _last_ms(_message(tried.body)) if channel == "email" else NEVER_MS, tried.attempts + 1
            if error == EXPIRED_STATUS:
                values = {"attempts": tried.attempts, "error": None, "next_ms": now_ms}
                if not _change(db, tried, status=EXPIRED_STATUS, **values):
                    continue
                self.ended(channel, EXPIRED_STATUS)
                if cost and self.costs and not SELECT_OTHER_USES.rows(db, decision=tried.target):
                    self.costs.give_back(db, tried.target, cost, now_ms)
            elif tries > len(self.waits_s):
                self._end(db, tried, tries, error, min(last_ms + 1, NEVER_MS))
            else:
                again_ms = min(now_ms + round(self.waits_s[tries - 1] * 1000), last_ms + 1)
                _change(db, tried, status="waiting", attempts=tries, error=error, next_ms=again_ms)
        if turn.results and channel == "email":
            CLEAR_BODIES.run(db, ids=json_list(each.delivery.delivery_id for each in turn.results))


def _change(db: Connection, each: OutboxMessage, **values: Any) -> bool:
    """Note what became of a message; False where somebody else has it meanwhile, or it is out."""
    return UPDATE_IF_UNCHANGED.run(db, id=each.delivery_id, taken_ms=each.next_ms, **values) == 1


def _message(body: str) -> OfferMessage:
    """What stands in the outbox. TypeError or ValueError where that is no message."""
    return OfferMessage(**json.loads(body))


def _last_ms(message: OfferMessage) -> int:
    """The last moment of its offer."""
    return round(datetime.fromisoformat(message.expires).timestamp() * 1000) if message.expires else NEVER_MS


async def _sent(
    pool: httpcore.AsyncConnectionPool,
    to: WebhookTarget,
    hook: WebhookEndpoint,
    due: OutboxMessage,
    now_ms: int,
) -> _Tried:
    """Send one message; whatever a receiver answers or a hook holds, it becomes the error of this message alone."""
    try:
        now = datetime.fromtimestamp(now_ms // 1000, UTC)
        headers = {
            "webhook-id": due.delivery_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(hook.secret).sign(due.delivery_id, now, due.body),
        }
        answer = await post_content(pool, to, due.body.encode(), headers)
        return _Tried(due, answer.error)
    except Exception as error:
        return _Tried(due, type(error).__name__)
