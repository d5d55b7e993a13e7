"""What others shall hear of in; signed webhooks and e-mails out, tried again until they arrive or a day has passed.

A message is written in the same transaction as what it tells of, so none is lost and none is sent for what did not
happen. A receiver may get one twice: `webhook-id` is the same then.
"""

import asyncio
import base64
import ipaddress
import json
import os
import secrets
import smtplib
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from time import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Connection, insert, select, update
from standardwebhooks import Webhook

from promolift.serve.problems import ApiError, FieldError
from promolift.serve.settings import MailSettings, ServeSettings
from promolift.serve.things import Thing
from promolift.store.ledger import Ledger
from promolift.store.ledger_schema import OUTBOX

WAITS_S = (5, 300, 1800, 7200, 18_000, 36_000)  # as Standard Webhooks proposes: seven tries in about 18 hours
TIMEOUT_S = 10.0
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
TYPES = (
    "redemption.reserved",
    "redemption.confirmed",
    "redemption.rolled_back",
    "release.activated",
    "customer.erased",
)


class Hook(Thing):
    """A URL that hears what happens, of these kinds; `secret` signs what is sent there."""

    KIND = "webhook"
    url: str
    events: tuple[str, ...]
    secret: str


class Mail(NamedTuple):
    """An e-mail: to whom, and what; `unsubscribe` is a URL."""

    to: str
    subject: str
    text: str
    unsubscribe: str = ""


class Delivery(NamedTuple):
    """A message of the outbox, as it is sent: `target` is the webhook's id, or the decision that a mail tells of."""

    delivery_id: str
    channel: str
    target: str
    body: str
    attempts: int


class Endpoint(NamedTuple):
    """Where a URL leads: its host, the one address to connect to, the port."""

    host: str
    address: str
    port: int


class _Tried(NamedTuple):
    """A message that was sent, and what went wrong, if anything did."""

    delivery: Delivery
    error: str | None


class UnsafeTargetError(Exception):
    """The URL leads into the own network or is no plain web address."""


def new_secret() -> str:
    """A signing secret, in the form Standard Webhooks asks for."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def announce(db: Connection, kind: str, data: Any, now_ms: int) -> None:
    """Put a message for every webhook that listens to `kind` into the outbox."""
    for webhook_id, hook in Hook.all(db).items():
        if kind in hook.events:
            moment = datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds")
            post(db, "webhook", webhook_id, {"type": kind, "timestamp": moment, "data": data}, now_ms)


def post(db: Connection, channel: str, target: str, body: Any, now_ms: int) -> str:
    """Put one message into the outbox; its id."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    made = Delivery(f"msg_{secrets.token_hex(12)}", channel, target, text, attempts=0)
    db.execute(insert(OUTBOX).values(**made._asdict(), status="waiting", next_ms=now_ms, ts_ms=now_ms))
    return made.delivery_id


def safe_address(url: str, private: bool) -> Endpoint:
    """Where a webhook may be sent. Raises UnsafeTargetError.

    All addresses of the name must be public, and the connection goes to the one that was looked at: a name that
    answers differently the second time cannot lead elsewhere.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise UnsafeTargetError("not a URL") from None
    if (
        parts.scheme not in (("https", "http") if private else ("https",))
        or not host
        or parts.username
        or parts.password
    ):
        raise UnsafeTargetError("use https://host/path, without user and password")
    try:
        found = {info[4][0] for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        raise UnsafeTargetError("this host has no address") from None
    for address in found:
        plain = ipaddress.ip_address(str(address).split("%")[0])
        if not private and any(not each.is_global or each.is_multicast for each in (plain, *_inner(plain))):
            raise UnsafeTargetError("this host lies in a private network")
    return Endpoint(host, str(min(found, key=str)), port)


def _inner(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 one may lead to: by NAT64, 6to4 and Teredo."""
    if not isinstance(address, ipaddress.IPv6Address):
        return []
    found = [address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [each for each in found if each is not None]


class Outbox:
    """Sends what is due. One per process; on a shared ledger each message is taken by one process only."""

    def __init__(self, ledger: Ledger, settings: ServeSettings, waits_s: Sequence[float] = WAITS_S) -> None:
        """`waits_s`: seconds between tries."""
        self.ledger, self.settings, self.waits_s = ledger, settings, tuple(waits_s)

    async def send_due(self) -> int:
        """Send all that is due now; how many were tried."""
        due = await self.ledger.call(_take_due)
        for each in due:
            error = await self._send(each)
            await self.ledger.call(self._note, _Tried(each, error))
        return len(due)

    async def _send(self, due: Delivery) -> str | None:
        """None if it arrived, else what went wrong."""
        try:
            if due.channel == "email":
                return await asyncio.to_thread(send_mail, self.settings.mail, Mail(**json.loads(due.body)))
            with self.ledger.read() as db:
                hook = Hook.find(db, due.target)
            return "the webhook was removed" if hook is None else await self._call(hook, due)
        except UnsafeTargetError as error:
            return str(error)
        except (httpx.HTTPError, OSError, smtplib.SMTPException) as error:
            return type(error).__name__

    async def _call(self, hook: Hook, due: Delivery) -> str | None:
        private = self.settings.private_webhooks
        host, address, port = await asyncio.to_thread(safe_address, hook.url, private)
        now = datetime.fromtimestamp(int(time()), UTC)
        shown = f"[{address}]" if ":" in address else address
        url = httpx.URL(hook.url).copy_with(host=shown.strip("[]"), port=port)
        headers = {
            "host": host if port in (80, 443) else f"{host}:{port}",
            "content-type": "application/json",
            "webhook-id": due.delivery_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(hook.secret).sign(due.delivery_id, now, due.body),
        }
        async with httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False) as client:
            extra = {"sni_hostname": host}
            reply = await client.post(url, content=due.body.encode(), headers=headers, extensions=extra)
        return None if reply.is_success else f"status {reply.status_code}"

    def _note(self, db: Connection, results: Sequence[_Tried]) -> list[None]:
        """Sent, tried again later, or given up; the words of an e-mail are forgotten once they are out."""
        for tried, error in results:
            tries = tried.attempts + 1
            values: dict[str, str | int | None] = {"attempts": tries, "error": error}
            if error is None or tries > len(self.waits_s):
                values["status"] = "sent" if error is None else "failed"
                values |= {"body": "{}"} if tried.channel == "email" else {}
            else:
                values |= {"status": "waiting", "next_ms": round((time() + self.waits_s[tries - 1]) * 1000)}
            db.execute(update(OUTBOX).where(OUTBOX.c.delivery_id == tried.delivery_id).values(**values))
        return [None for _ in results]


def send_mail(settings: MailSettings | None, mail: Mail) -> str | None:
    """Send one e-mail; None if the server took it, else why not."""
    if settings is None:
        return "no SMTP server is configured"
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = settings.sender, mail.to, mail.subject
    if mail.unsubscribe:
        message["List-Unsubscribe"] = f"<{mail.unsubscribe}>"
    message.set_content(mail.text)
    kind = smtplib.SMTP_SSL if settings.tls == "tls" else smtplib.SMTP
    with kind(settings.host, settings.port, timeout=settings.timeout_s) as server:
        if settings.tls == "starttls":
            server.starttls()
        if settings.username:
            server.login(settings.username, os.environ.get("PROMOLIFT_SMTP_PASSWORD", ""))
        server.send_message(message)
    return None


def check_target(url: str, private: bool) -> None:
    """ApiError if a webhook must not be sent there."""
    try:
        safe_address(url, private)
    except UnsafeTargetError as error:
        raise ApiError(422, "url_unsafe", str(error), FieldError("/url", str(error))) from None


def _take_due(db: Connection, some: list[Any]) -> list[list[Delivery]]:
    """What is due, taken for a minute so that nobody else sends it meanwhile."""
    now_ms = round(time() * 1000)
    due = select(*(OUTBOX.c[name] for name in Delivery._fields))
    due = due.where(OUTBOX.c.status == "waiting", OUTBOX.c.next_ms <= now_ms).order_by(OUTBOX.c.next_ms).limit(50)
    found = [Delivery(*row) for row in db.execute(due)]
    for each in found:
        mine = OUTBOX.c.delivery_id == each.delivery_id
        db.execute(update(OUTBOX).where(mine).values(next_ms=now_ms + 600_000))
    return [found, *([] for _ in some[1:])]
