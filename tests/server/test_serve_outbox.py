"""What others hear arrives signed, once more if need be, and never inside the own network."""

import asyncio
import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import anyio
import httpx
import pytest
from serve_helpers import CAMPAIGN, PEOPLE, Api, claim, coded, released, serving
from sqlalchemy import Connection, select
from standardwebhooks import Webhook, WebhookVerificationError

from promolift.server.delivery import outbox
from promolift.server.delivery.alert_messages import SECRET_UNREADABLE
from promolift.server.delivery.target_address import UnsafeTargetError, safe_address
from promolift.server.ledger.outbox_rows import WebhookEndpoint
from promolift.server.ledger.schema import OUTBOX
from promolift.server.ledger.secrets import seal
from promolift.shop.configuration.configuration import Config

POLICY = f"/v1/campaigns/{CAMPAIGN}"


class Receiver:
    """A local web server that keeps what it is sent and answers with the codes it is given."""

    def __init__(self, codes: list[int], leads_to: str = "") -> None:
        self.codes, self.got = codes, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"] or 0))
                outer.got.append((dict(self.headers.items()), body))
                self.send_response(outer.codes.pop(0) if outer.codes else 200)
                if leads_to:
                    self.send_header("location", leads_to)
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@contextmanager
def receiving(codes: list[int], leads_to: str = "") -> Iterator[Receiver]:
    receiver = Receiver(codes, leads_to)
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,))
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


@pytest.fixture
def open_api(shop: tuple[Path, Config], folder: Path) -> Iterator[Api]:
    with serving(folder, shop[1], private_webhooks=True) as api:
        released(api)
        api.server.outbox.waits_s = (0.0, 0.0)
        by_hand(api)
        yield api


def by_hand(api: Api) -> None:
    """Nothing is sent but by `send_all`."""

    async def nothing() -> None: ...

    for duty in api.server.tasks.all:
        duty.work = nothing if duty.name == "webhooks" else duty.work


def redeem(api: Api, number: int) -> None:
    coded(api, number, number + 1)
    api("POST", "/v1/redemptions:reserve", claim(number, 5))


def states(api: Api) -> list[tuple[str, int]]:
    with api.server.ledger.read() as db:
        return [tuple(r) for r in db.execute(select(OUTBOX.c.status, OUTBOX.c.attempts).order_by(OUTBOX.c.ts_ms))]


def send_all(api: Api, times: int = 1) -> None:
    for _ in range(times):
        anyio.run(api.server.outbox.send_due)


def test_a_webhook_arrives_signed_and_a_forged_one_is_noticed(open_api: Api) -> None:
    with receiving([]) as receiver:
        hook = open_api("POST", "/v1/webhooks", {"url": receiver.url, "events": ["redemption.reserved"]}, 201)
        redeem(open_api, 1)
        send_all(open_api)
        ((headers, body),) = receiver.got
        lower = {name.lower(): value for name, value in headers.items()}
        reply = Webhook(hook["secret"]).verify(body, lower)
        assert reply["type"] == "redemption.reserved"
        assert reply["data"]["redemption_id"] == "rdm_1"
        with pytest.raises(WebhookVerificationError):
            Webhook(hook["secret"]).verify(body.replace(b"rdm_1", b"rdm_2"), lower)
        assert hook["secret"] not in json.dumps(open_api("GET", "/v1/webhooks"))


def test_a_webhook_whose_secret_cannot_be_read_says_so_and_delays_no_other(open_api: Api) -> None:
    """As after a restore with another secret: nothing leaves unsigned, and the message is given up in the end."""
    with receiving([]) as good, receiving([]) as bad:
        made = [
            open_api("POST", "/v1/webhooks", {"url": each.url, "events": ["redemption.reserved"]}, 201)["webhook_id"]
            for each in (good, bad)
        ]

        def spoil(db: Connection, some: list[None]) -> list[None]:
            hook = WebhookEndpoint.load(db, made[1])
            hook.model_copy(update={"secret": seal("another", "whsec_x")}).save(db, made[1], 1)
            return some

        open_api.server.ledger.write(spoil)
        redeem(open_api, 1)
        send_all(open_api, 4)
        assert (len(good.got), len(bad.got)) == (1, 0)
    (told,) = open_api("GET", f"/v1/webhooks/{made[1]}/messages")["data"]
    assert (told["status"], told["error"]) == ("failed", SECRET_UNREADABLE)


def test_a_failed_delivery_is_tried_again_with_the_same_id_and_given_up_at_last(open_api: Api) -> None:
    with receiving([500, 302, 200]) as receiver:
        open_api("POST", "/v1/webhooks", {"url": receiver.url, "events": ["redemption.reserved"]}, 201)
        redeem(open_api, 1)
        send_all(open_api, 3)
        assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
        assert states(open_api) == [("sent", 3)]
        receiver.codes[:] = [500] * 9
        redeem(open_api, 2)
        send_all(open_api, 5)
        assert states(open_api)[-1] == ("failed", 3)
        (hook,) = open_api("GET", "/v1/webhooks")["data"]
        assert hook["messages"] == {"sent": 1, "failed": 1}
        receiver.codes.clear()
        assert open_api("POST", f"/v1/webhooks/{hook['webhook_id']}:replay", status=202)["messages"] == 2
        send_all(open_api)
        assert [status for status, _ in states(open_api)] == ["sent", "sent"]
        open_api("DELETE", f"/v1/webhooks/{hook['webhook_id']}")
        redeem(open_api, 3)
        assert len(states(open_api)) == 2


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(open_api: Api, code: int) -> None:
    open_api.server.outbox.waits_s = (600.0,)  # so that what is still waiting is not tried a second time
    with receiving([]) as inside, receiving([code], inside.url) as outside:
        open_api("POST", "/v1/webhooks", {"url": outside.url, "events": ["redemption.reserved"]}, 201)
        redeem(open_api, 1)
        send_all(open_api)
        assert len(outside.got) == 1
        assert not inside.got
        assert states(open_api) == [("waiting", 1)]


def test_the_connection_goes_to_the_address_that_was_looked_at(open_api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    plain = socket.getaddrinfo

    def turning(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        """A name that leads to the receiver when it is looked at, and elsewhere afterwards."""
        if host in ("shop.example", b"shop.example"):
            asked.append("shop.example")
            return plain("127.0.0.1" if len(asked) <= 2 else "127.0.0.9", port, *rest, **more)
        return plain(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", turning)
    with receiving([]) as receiver:
        url = receiver.url.replace("127.0.0.1", "shop.example")
        open_api("POST", "/v1/webhooks", {"url": url, "events": ["redemption.reserved"]}, 201)
        redeem(open_api, 1)
        send_all(open_api)
        ((headers, _),) = receiver.got
    assert headers["host"].startswith("shop.example:")
    assert len(asked) == 2  # once when it was made, once when it was sent


def test_a_refused_change_tells_nobody(open_api: Api) -> None:
    with receiving([]) as receiver:
        open_api("POST", "/v1/webhooks", {"url": receiver.url, "events": ["redemption.reserved"]}, 201)
        limit = {"limit_id": "l", "metric": "redemptions", "amount": 0}
        open_api("PUT", POLICY, {"limits": [limit]})
        coded(open_api)
        open_api("POST", "/v1/redemptions:reserve", claim(1), 409)
        assert states(open_api) == []


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/x", "https://localhost/x", "https://10.0.0.1/", "https://169.254.169.254/latest/meta-data",
        "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[fd00::1]/", "https://0.0.0.0/", "https://224.0.0.1/",
        "http://93.184.216.34/", "ftp://93.184.216.34/", "https://user:pass@93.184.216.34/", "https:///x",
        "https://2130706433/", "https://100.64.0.1/", "https://name.invalid/", "https://[64:ff9b::7f00:1]/",
        "https://[::127.0.0.1]/", "https://[64:ff9b:1::a00:1]/", "https://[fec0::1]/", "https://192.0.0.9/",
        "https://１２７.0.0.1/",
        "https://[2002:a00:1::]/", "https://[2001:0:a00:1::]/", "https://[::ffff:10.0.0.1]/", "https://[bad", "https://a..b/",
    ],
)  # fmt: skip
def test_webhooks_never_lead_into_the_own_network(url: str) -> None:
    with pytest.raises(UnsafeTargetError):
        safe_address(url, private=False)


def test_a_public_address_is_allowed_and_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ("https", "93.184.216.34", "93.184.216.34", 443, "/x?y=%20")
    assert safe_address("https://93.184.216.34/x?y= ", private=False) == plain
    assert safe_address("https://１.１.１.１/说", private=False)[1:] == ("1.1.1.1", "1.1.1.1", 443, "/%E8%AF%B4")
    answers = [[(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", ("10.0.0.1", 443))]]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers[0])
    with pytest.raises(UnsafeTargetError):  # one public and one private answer: a name that may lead either way
        safe_address("https://shop.example/x", private=False)


def test_an_unsafe_or_unknown_webhook_is_refused_by_the_api(api: Api) -> None:
    body = {"url": "https://127.0.0.1/", "events": ["redemption.reserved"]}
    assert api("POST", "/v1/webhooks", body, 422)["errors"][0]["pointer"] == "/url"
    body = {"url": "https://93.184.216.34/", "events": ["everything"]}
    assert api("POST", "/v1/webhooks", body, 422)["errors"][0]["pointer"] == "/events/0"


class Mailbox:
    """The smallest SMTP server: it takes every mail and keeps it."""

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self.socket.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"220 box\r\n")
                for line in lines:
                    word = line[:4].upper()
                    if word == b"DATA":
                        connection.sendall(b"354 go\r\n")
                        self.mails.append(b"".join(iter(lines.readline, b".\r\n")).decode())
                    if word == b"STOP":
                        return
                    connection.sendall(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    def close(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(b"STOP\r\n")
            self.thread.join()
        self.socket.close()


def test_a_decided_offer_goes_out_by_mail_and_the_address_is_forgotten(shop: tuple[Path, Config], folder: Path) -> None:
    box = Mailbox()
    mail = {"host": "127.0.0.1", "port": box.port, "sender": "Shop <shop@example.com>", "tls": "none"}
    body = {"to": "ann@example.com", "unsubscribe_url": "https://shop.example/stop", "postal_address": "1 Main St"}
    try:
        with serving(folder, shop[1], mail=mail) as api:
            released(api)
            by_hand(api)
            made: Any = next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
            body["decision_id"] = made["decision_id"]
            assert api("POST", "/v1/messages", body | {"to": "a@b.c\nBcc: x@y.z"}, 422)["errors"][0]["pointer"] == "/to"
            api("POST", "/v1/messages", body, 202)
            send_all(api)
            wait_until(lambda: states(api) == [("sent", 1)])
            with api.server.ledger.read() as db:
                assert "ann@" not in db.execute(select(OUTBOX.c.body)).scalar_one()
            api("POST", "/v1/track", {"userId": made["customer_id"], "event": "Consent Updated", "messageId": "c",
                                      "properties": {"consent": False}}, 202)  # fmt: skip
            assert api("POST", "/v1/messages", body, 422)["code"] == "consent_missing"
    finally:
        box.close()
    (text,) = box.mails
    assert "To: ann@example.com" in text
    assert "List-Unsubscribe: <https://shop.example/stop>" in text
    assert "1 Main St" in text
    assert made["code"] not in text  # the till lowers the price by itself: nobody types a code


def test_a_slow_receiver_and_a_strange_one_delay_only_themselves(
    open_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promolift.server.delivery.outbox.TIMEOUT_S", 600.0)
    with receiving([]) as fast, socket.create_server(("127.0.0.1", 0)) as silent:
        urls = [f"http://127.0.0.1:{silent.getsockname()[1]}/", fast.url]
        made = [open_api("POST", "/v1/webhooks", {"url": url, "events": ["redemption.reserved"]}, 201) for url in urls]
        odd = WebhookEndpoint(url="https://[", events=("redemption.reserved",), secret="whsec_?")
        keep = lambda db, some: [odd.save(db, "whk_0", 1) for _ in some]  # noqa: E731
        open_api.server.ledger.write(keep)

        async def sending() -> None:
            redeem(open_api, 1)
            await open_api.server.outbox.look()
            end = monotonic() + 60  # less than the silent one may take
            while not fast.got and monotonic() < end:
                await asyncio.sleep(0.01)
            redeem(open_api, 2)  # the silent one still holds its first
            while len(fast.got) < 2 and monotonic() < end:
                await open_api.server.outbox.look()
                await asyncio.sleep(0.01)
            await open_api.server.outbox.stop()

        asyncio.run(sending())
        assert len(fast.got) == 2
        with open_api.server.ledger.read() as db:
            errors = select(OUTBOX.c.error).where(OUTBOX.c.target == "whk_0")
            assert "not a URL" in set(db.execute(errors).scalars())
    assert made


def test_what_was_given_up_is_listed_and_sent_again(open_api: Api) -> None:
    open_api.server.outbox.waits_s = ()
    with receiving([200, 500]) as receiver:
        made = open_api("POST", "/v1/webhooks", {"url": receiver.url, "events": ["redemption.reserved"]}, 201)
        hook = f"/v1/webhooks/{made['webhook_id']}"
        for number in (1, 2):
            redeem(open_api, number)
            send_all(open_api)
        (lost,) = open_api("GET", f"{hook}/messages")["data"]
        assert (lost["error"], lost["attempts"]) == ("status 500", 1)
        assert json.loads(lost["body"])["data"]["redemption_id"] == "rdm_2"
        assert len(open_api("GET", f"{hook}/messages?status=sent")["data"]) == 1
        assert open_api("POST", f"{hook}:replay?status=failed", status=202)["messages"] == 1
        send_all(open_api)
        assert len(receiver.got) == 3
        assert open_api("GET", f"{hook}/messages") == {"data": [], "next": None}


def test_many_messages_are_sent_again_part_by_part_each_once_and_none_made_later(
    open_api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "REPLAY_PART", 3)
    parts: list[int] = []
    work = outbox.Outbox._again

    def counted(self: outbox.Outbox, db: Any, some: list[str]) -> list[bool]:
        parts.append(len(some))
        return work(self, db, some)

    monkeypatch.setattr(outbox.Outbox, "_again", counted)
    with receiving([]) as receiver, receiving([]) as other:
        made = open_api("POST", "/v1/webhooks", {"url": receiver.url, "events": ["redemption.reserved"]}, 201)
        open_api("POST", "/v1/webhooks", {"url": other.url, "events": ["redemption.reserved"]}, 201)
        for number in range(1, 8):
            redeem(open_api, number)
        send_all(open_api)
        replay = f"/v1/webhooks/{made['webhook_id']}:replay"
        for number in (8, 9):  # the same request: it is answered, and nothing more is sent
            assert open_api("POST", replay, status=202, idempotency_key="again")["messages"] == 7
            redeem(open_api, number)
            send_all(open_api)
        got = Counter(headers["webhook-id"] for headers, _ in receiver.got)
        assert sorted(got.values()) == [1, 1] + [2] * 7
        assert len(other.got) == 9
        assert len(parts) >= 5  # 16 messages, 3 at a time
        with open_api.server.ledger.read() as db:
            assert not outbox.WebhookReplay.all(db)


def test_a_duty_that_fails_is_told_and_the_others_go_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    duties = {duty.name: duty for duty in api.server.tasks.all}
    for duty in duties.values():
        duty.every_s = 0.01

    async def boom() -> None:
        raise httpx.InvalidURL("nobody catches this")

    work, done = duties["webhooks"].work, []

    async def counted() -> None:
        done.append(1)

    duties["webhooks"].work, duties["expiry"].work = boom, counted
    wait_until(lambda: api.client.get("/health/ready").status_code == 503)
    assert "webhooks" in api.client.get("/health/ready").json()["why"][0]
    assert 'promolift_duty_failures{duty="webhooks"}' in api("GET", "/metrics").text
    before = len(done)
    wait_until(lambda: len(done) > before + 3)
    duties["webhooks"].work = work
    wait_until(lambda: api.client.get("/health/ready").status_code == 200)


def wait_until(true: Callable[[], bool]) -> None:
    end = monotonic() + 20
    while not true():
        assert monotonic() < end
        sleep(0.01)
