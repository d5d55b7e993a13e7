"""Messages out by an SMTP server and by services whose answers are replayed; consent and quiet hours hold."""

import json
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from serve_helpers import CAMPAIGN, CLIENTS, PEOPLE, Api, client_found, free_port, needs, released, serving
from sqlalchemy import select, update
from test_serve_outbox import by_hand, send_all

from promolift.extensions.connectors import marketing_services, wechat
from promolift.foundation.time.clock import HOUR_MS
from promolift.server.delivery.outbox import DeliveryLane, _Tried, _Turn
from promolift.server.delivery.sender import OfferMessage, ServiceResponse, send_mail
from promolift.server.ledger.outbox_rows import OutboxMessage
from promolift.server.ledger.schema import OUTBOX
from promolift.server.settings import MailSettings
from promolift.shop.configuration.configuration import Config

SECRETS = {
    "PROMOLIFT_BRAZE_URL": "https://rest.fra-01.braze.eu/", "PROMOLIFT_BRAZE_KEY": "braze-hush",
    "PROMOLIFT_BRAZE_CAMPAIGN": "c-1", "PROMOLIFT_KLAVIYO_KEY": "pk_hush", "PROMOLIFT_WECHAT_APPID": "wx1",
    "PROMOLIFT_WECHAT_SECRET": "wx-hush", "PROMOLIFT_WECHAT_TEMPLATE": "t-1",
}  # fmt: skip
MESSAGE = OfferMessage(
    "openid-1", "八折", "茶叶八折", by="wechat", customer_id="u01", decision_id="dec_1", offer_id="off_1",
    code="K7QM-W3XP-9D2H", expires="2026-01-31T23:59:59+08:00", language="zh",
)  # fmt: skip


class Replay:
    """Answers as the services document them, one after the other; what was asked is kept."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []

    def __call__(self, url: str, headers: Any, body: Any) -> ServiceResponse:
        self.asked.append((url, dict(headers), json.loads(json.dumps(body))))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return ServiceResponse(*answer)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(wechat, "_tokens", {})


def test_braze_gets_an_api_triggered_campaign() -> None:
    replay = Replay((201, {"dispatch_id": "d", "message": "success"}), (400, {"message": "invalid"}))
    assert marketing_services.send_by_braze(MESSAGE, replay) is None
    url, headers, body = replay.asked[0]
    assert (url, headers["authorization"]) == (
        "https://rest.fra-01.braze.eu/campaigns/trigger/send",
        "Bearer braze-hush",
    )
    (recipient,) = body["recipients"]
    assert (body["campaign_id"], recipient["external_user_id"]) == ("c-1", "u01")
    assert recipient["trigger_properties"]["message"] == "茶叶八折"
    assert marketing_services.send_by_braze(MESSAGE, replay) == "braze: status 400"


def test_klaviyo_gets_an_event_of_a_profile() -> None:
    replay = Replay((202, None), (401, {"errors": []}))
    assert marketing_services.send_by_klaviyo(MESSAGE._replace(to="ann@example.com"), replay) is None
    url, headers, body = replay.asked[0]
    assert (url, headers["authorization"]) == ("https://a.klaviyo.com/api/events", "Klaviyo-API-Key pk_hush")
    assert headers["revision"] == "2024-10-15"
    said = body["data"]["attributes"]
    assert said["metric"]["data"]["attributes"]["name"] == "Promolift Offer"
    assert said["profile"]["data"]["attributes"] == {"external_id": "u01", "email": "ann@example.com"}
    assert (said["unique_id"], said["properties"]["code"]) == ("dec_1", "K7QM-W3XP-9D2H")
    assert marketing_services.send_by_klaviyo(MESSAGE, replay) == "klaviyo: status 401"


def test_wechat_gets_a_template_message_by_one_token_until_that_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    ok, token = (200, {"errcode": 0, "errmsg": "ok", "msgid": 1}), {"access_token": "T1", "expires_in": 7200}
    replay = Replay((200, token), ok, ok, (200, {"errcode": 40001}), (200, token | {"access_token": "T2"}), ok)
    for _ in range(3):
        assert wechat.send(MESSAGE, replay) is None
    assert [url.rpartition("/")[2].partition("=")[2] for url, *_ in replay.asked] == ["", "T1", "T1", "T1", "", "T2"]
    body = replay.asked[1][2]
    assert (body["touser"], body["template_id"], body["client_msg_id"]) == ("openid-1", "t-1", "dec_1")
    assert {name: field["value"] for name, field in body["data"].items()} == {
        "thing1": "八折", "thing2": "茶叶八折", "character_string3": "K7QM-W3XP-9D2H", "time4": "2026年1月31日"
    }  # fmt: skip
    assert (
        wechat.send(MESSAGE, Replay((200, {"errcode": 43004}))) == "wechat: errcode 43004"
    )  # does not follow the account
    long = MESSAGE._replace(text="茶" * 21)
    assert wechat.send(long, Replay()) == "wechat: message has 21 characters, thing2 of the template holds 20"
    monkeypatch.setenv("PROMOLIFT_WECHAT_FIELDS", "keyword1=message")
    free = Replay(ok)
    assert wechat.send(long, free) is None
    assert free.asked[0][2]["data"] == {"keyword1": {"value": "茶" * 21}}
    monkeypatch.setattr(wechat, "_tokens", {})
    assert wechat.send(MESSAGE, Replay((200, {"errcode": 40013}))) == "wechat: no access token for this app"


@pytest.fixture
def api(shop: tuple[Path, Config], folder: Path) -> Iterator[Api]:
    with serving(folder, shop[1]) as opened:
        released(opened)
        by_hand(opened)
        yield opened


def given(api: Api) -> Any:
    return next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")


def states(api: Api) -> list[Any]:
    with api.server.ledger.read() as db:
        return [tuple(row) for row in db.execute(select(OUTBOX.c.status, OUTBOX.c.error, OUTBOX.c.body))]


def due_now(api: Api) -> None:
    """What waits to be tried again need not wait any longer."""
    due = update(OUTBOX).where(OUTBOX.c.status == "waiting").values(next_ms=0)
    api.server.ledger.write(lambda db, some: [db.execute(due) and None for _ in some])


def send(api: Api, made: Any, by: str = "braze", status: int = 202, **more: Any) -> Any:
    return api("POST", "/v1/messages", {"decision_id": made["decision_id"], "by": by} | more, status)


def test_a_service_gets_the_words_of_the_decision_and_nothing_is_kept_of_them(api: Api) -> None:
    made = given(api)
    api.server.outbox.post = replay = Replay(httpx.ConnectError("braze-hush"), (201, {}))
    send(api, made)
    send_all(api)
    assert [state[:2] for state in states(api)] == [("waiting", "ConnectError")]  # its text may hold a key
    due_now(api)
    send_all(api)
    (recipient,) = replay.asked[1][2]["recipients"]
    assert recipient["external_user_id"] == made["customer_id"]
    assert recipient["trigger_properties"]["message"] == made["message"]
    assert recipient["trigger_properties"]["decision_id"] == made["decision_id"]
    assert [(state[0], state[2]) for state in states(api)] == [("sent", "{}")]


def test_what_is_not_set_up_or_lacks_an_address_is_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made = given(api)
    assert send(api, made, "wechat", 422)["errors"][0]["pointer"] == "/to"
    assert [each["pointer"] for each in send(api, made, "email", 422)["errors"]] == [
        "/to", "/unsubscribe_url", "/postal_address"
    ]  # fmt: skip
    monkeypatch.delenv("PROMOLIFT_KLAVIYO_KEY")
    refused = send(api, made, "klaviyo", 422)
    assert (refused["code"], "PROMOLIFT_KLAVIYO_KEY" in refused["detail"]) == ("sender_off", True)


def test_a_message_waits_for_the_end_of_the_quiet_hours(api: Api) -> None:
    made, clock = given(api), api.server.clock
    quiet = {"start": 0, "end": 0, "channels": ["push"]}
    hour = clock.now_ms() // HOUR_MS % 24  # the shop's clock is UTC
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"policy": {"quiet": quiet | {"start": hour, "end": (hour + 2) % 24}}})
    api.server.outbox.post = replay = Replay((202, None), (201, {}))
    send(api, made)
    send(api, made, "klaviyo", channel="email")  # another channel: its hours are not quiet
    send_all(api)
    assert [url for url, *_ in replay.asked] == [marketing_services.KLAVIYO_URL]
    with api.server.ledger.read() as db:
        waits = db.execute(select(OUTBOX.c.next_ms, OUTBOX.c.attempts).where(OUTBOX.c.status == "waiting")).one()
    assert (waits.next_ms // HOUR_MS % 24, waits.next_ms % HOUR_MS, waits.attempts) == ((hour + 2) % 24, 0, 0)
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"policy": {"quiet": None}})
    due_now(api)
    send_all(api)
    assert len(replay.asked) == 2


def test_who_takes_back_their_consent_meanwhile_gets_nothing(api: Api) -> None:
    made = given(api)
    api.server.outbox.post = replay = Replay()
    send(api, made)
    no = {"userId": made["customer_id"], "traits": {"consent": False}, "messageId": "no"}
    api("POST", "/v1/identify", no, 202)
    send_all(api)
    assert replay.asked == []
    assert states(api) == [("failed", "consent_missing", "{}")]
    assert send(api, made, status=422)["code"] == "consent_missing"


PACED = {"starts_ms": 1, "ends_ms": 4_000_000_000_000, "arrivals": 100.0}


def paced(api: Api) -> float:
    """What the campaign's pace has counted as spent."""
    return float(api("GET", f"/v1/campaigns/{CAMPAIGN}")["pace"]["pace"]["spent"])


def later(api: Api, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """The server's clock goes on by so many days."""
    now_ms = api.server.clock.now_ms() + round(days * 24 * HOUR_MS)
    monkeypatch.setattr(api.server.clock, "now_ms", lambda: now_ms)


def test_a_message_whose_offer_ended_while_it_waited_goes_to_nobody_and_frees_its_money(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"policy": {"pacing": PACED}})
    made, twice = [each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none"][:2]
    api.server.outbox.waits_s = (60.0,) * 9
    api.server.outbox.post = replay = Replay((500, {}), (500, {}), (500, {}))
    send(api, made)
    send(api, twice)
    send(api, twice, "klaviyo")
    send_all(api)
    assert [state[:2] for state in states(api)] == [
        ("waiting", f"{by}: status 500") for by in ("braze",) * 2 + ("klaviyo",)
    ]
    before = paced(api)
    later(api, monkeypatch, 30)  # the plan's offers are valid for four weeks
    send_all(api)
    assert len(replay.asked) == 3  # nothing was sent
    assert states(api) == [("expired", None, "{}")] * 3
    cost = {each["decision_id"]: spent(api, each) for each in (made, twice)}
    assert all(cents > 0 for cents in cost.values())
    assert before - paced(api) == pytest.approx(sum(cost.values()))
    assert 'promolift_messages_total{channel="email",result="expired"} 3.0' in api("GET", "/metrics").text
    gone = api("GET", "/v1/messages?status=expired")["data"]
    assert [each["again"] for each in gone] == [False] * 3
    assert api("POST", f"/v1/messages/{gone[0]['message_id']}:resend", status=409)["code"] == "message_over"
    assert send(api, made, status=409)["code"] == "expired"


def spent(api: Api, made: Any) -> float:
    """What a decision's offer was reckoned to cost."""
    listed = api("GET", f"/v1/decisions/{made['decision_id']}:explain")["candidates"]
    return float(next(each["cost_cents"] for each in listed if each["offer"] == made["offer_id"]))


@pytest.mark.parametrize("by", ["decision_id", "code"])
def test_the_money_of_an_offer_that_was_taken_at_the_till_stays_spent(
    api: Api, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"policy": {"pacing": PACED}})
    made, before = given(api), 0.0
    api.server.outbox.post = Replay()
    send(api, made)
    wish = {by: made[by], "customer_id": made["customer_id"], "amount_cents": 1}
    api("POST", "/v1/redemptions:reserve", wish | {"redemption_id": "rdm_1"})
    api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_1"})
    before = paced(api)
    later(api, monkeypatch, 30)
    send_all(api)
    assert states(api) == [("expired", None, "{}")]
    assert paced(api) == before


def last_ms(made: Any) -> int:
    """The last moment of a decided offer."""
    return round(datetime.fromisoformat(made["offer"]["expires"]).timestamp() * 1000)


def test_the_code_of_an_offer_whose_money_was_freed_cannot_be_reserved(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"policy": {"pacing": PACED}})
    made = given(api)
    send(api, made)
    monkeypatch.setattr(api.server.clock, "now_ms", lambda: last_ms(made) + 1)
    send_all(api)
    for by in ("code", "decision_id"):
        wish = {by: made[by], "customer_id": made["customer_id"], "amount_cents": 1}
        assert api("POST", "/v1/redemptions:reserve", wish, 409)["code"] == "code_expired"


@pytest.mark.parametrize("again", [False, True])
def test_giving_money_back_ends_a_code_unless_it_was_given_again_meanwhile(api: Api, again: bool) -> None:
    """As by a new release of the same offer, which lasts longer."""
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"policy": {"pacing": PACED}})
    made, other = [each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none"][:2]
    if again:
        assert api.decide(made["customer_id"])["code"] == made["code"]
    before = paced(api)

    def give_back(db: Any, some: list[float]) -> list[None]:
        now_ms = api.server.clock.now_ms()
        return [api.server.outbox.costs.give_back(db, made["decision_id"], cost, now_ms) for cost in some]

    api.server.ledger.write(give_back, 1.0)
    assert paced(api) < before
    wish = {"code": made["code"], "customer_id": made["customer_id"], "amount_cents": 1}
    api("POST", "/v1/redemptions:reserve", wish, 200 if again else 409)
    wish = {"code": other["code"], "customer_id": other["customer_id"], "amount_cents": 1}
    api("POST", "/v1/redemptions:reserve", wish)  # that of another lives on


def test_a_message_expires_though_nobody_can_tell_what_its_offer_cost(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: Any) -> float:
        raise FileNotFoundError("a release folder that lacks a file")

    send(api, given(api))
    monkeypatch.setattr(api.server.outbox.costs, "cost_of", gone)
    later(api, monkeypatch, 30)
    send_all(api)
    assert states(api) == [("expired", None, "{}")]


def turn(api: Api, *results: _Tried) -> list[OutboxMessage]:
    """What a process takes once it has noted these results."""
    lane = DeliveryLane("email", "")
    return list(api.server.ledger.write(api.server.outbox._turn, _Turn(lane, [*results])))


@pytest.mark.parametrize("stale", ["expired", "sent", "failed"])
def test_who_is_late_with_a_message_that_another_took_frees_no_money_a_second_time(
    api: Api, monkeypatch: pytest.MonkeyPatch, stale: str
) -> None:
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"policy": {"pacing": PACED}})
    made = given(api)
    cost, before = spent(api, made), paced(api)
    send(api, made)
    later(api, monkeypatch, 30)
    (first,) = turn(api)
    later(api, monkeypatch, 1)  # it hangs
    (second,) = turn(api)
    turn(api, _Tried(first, {"expired": "expired", "sent": None, "failed": "Timeout"}[stale], cost))
    assert paced(api) == before
    turn(api, _Tried(second, "expired", cost), _Tried(second, "expired", cost))
    out = stale == "sent"
    assert before - paced(api) == pytest.approx(0.0 if out else cost)
    assert states(api) == [("sent" if out else "expired", None, "{}")]


def test_a_message_is_taken_for_as_long_as_all_that_were_taken_with_it_may_hang(api: Api) -> None:
    few = [each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none"][:3]
    for made in few * 40:
        send(api, made)
    taken, now_ms = turn(api), api.server.clock.now_ms()
    assert len(taken) == 120
    assert min(each.next_ms for each in taken) > now_ms + 120 * 10_000


def test_quiet_hours_that_outlast_the_offer_end_it_at_its_last_moment(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, clock = given(api), api.server.clock
    end_ms = last_ms(made)
    send(api, made)
    quiet = {"start": 23, "end": 22, "channels": ["push"]}  # but for one hour of the day
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"policy": {"quiet": quiet}})
    api.server.outbox.post = Replay()
    monkeypatch.setattr(clock, "now_ms", lambda: end_ms - HOUR_MS // 2)
    send_all(api)
    with api.server.ledger.read() as db:
        assert db.execute(select(OUTBOX.c.status, OUTBOX.c.next_ms)).one() == ("waiting", end_ms + 1)
    monkeypatch.setattr(clock, "now_ms", lambda: end_ms + 1)
    send_all(api)
    assert states(api) == [("expired", None, "{}")]


@pytest.mark.parametrize("body", ["{}", "[1]", "not JSON", '{"to": "x", "subject": 1, "text": 2, "zone": "No/Where"}'])
def test_a_broken_body_is_set_aside_and_the_lane_goes_on(api: Api, body: str) -> None:
    api.server.outbox.post = replay = Replay((201, {}), (201, {}))
    first, second = [each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none"][:2]
    send(api, first)
    broken = update(OUTBOX).values(body=body)
    api.server.ledger.write(lambda db, some: [db.execute(broken) and None for _ in some])
    send(api, second)
    send_all(api, 3)
    assert len(replay.asked) == 1
    assert sorted(status for status, *_ in states(api)) == ["failed", "sent"]
    (aside,) = api("GET", "/v1/messages")["data"]
    assert (aside["error"], aside["decision_id"]) == ("the body cannot be read", first["decision_id"])
    if aside["again"]:  # it is given up once more, and nothing stops
        api("POST", f"/v1/messages/{aside['message_id']}:resend", status=202)
        send_all(api, 2)
        assert sorted(status for status, *_ in states(api)) == ["failed", "sent"]


def test_a_message_that_is_always_refused_is_given_up_and_sent_again_on_demand(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.server.outbox.waits_s = (0.0, 0.0)
    api.server.outbox.post = replay = Replay(*[(400, {})] * 3, (201, {}), (201, {}))
    first, second = [each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none"][:2]
    send(api, first)
    send_all(api, 3)
    send(api, second)
    send_all(api)
    assert sorted(status for status, *_ in states(api)) == ["failed", "sent"]
    (aside,) = api("GET", "/v1/messages")["data"]
    assert (aside["attempts"], aside["error"], aside["again"]) == (3, "braze: status 400", True)
    api("POST", f"/v1/messages/{aside['message_id']}:resend", status=202)
    send_all(api)
    assert [status for status, *_ in states(api)] == ["sent", "sent"]
    assert len(replay.asked) == 5
    assert api("POST", f"/v1/messages/{aside['message_id']}:resend", status=409)["code"] == "message_over"
    assert api("POST", "/v1/messages/msg_0:resend", status=404)["code"] == "message_unknown"
    api.server.outbox.post, api.server.outbox.waits_s = Replay((400, {})), ()
    send(api, second)
    send_all(api)
    later(api, monkeypatch, 30)  # nobody sent it again in its time: its words are forgotten
    send_all(api)
    assert [state[2] for state in states(api)] == ["{}"] * 3
    assert sorted(status for status, *_ in states(api)) == ["expired", "sent", "sent"]


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[Any]]]:
    """An SMTP server that wants a login, and keeps what it is sent."""
    client_found("aiosmtpd")
    monkeypatch.setattr(sys, "path", [*sys.path, str(CLIENTS)])
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink
    from aiosmtpd.smtp import AuthResult

    class Box(Sink):
        async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
            if not session.authenticated:
                return "530 log in first"
            kept.append(envelope)
            return "250 OK"

    def login(server: Any, session: Any, envelope: Any, mechanism: str, auth: Any) -> Any:
        return AuthResult(success=(auth.login, auth.password) == (b"offers", b"smtp-hush"))

    kept: list[Any] = []
    monkeypatch.setenv("PROMOLIFT_SMTP_PASSWORD", "smtp-hush")
    port = free_port()
    box = Controller(Box(), "127.0.0.1", port, authenticator=login, auth_require_tls=False)
    box.start()
    yield lambda: [port, *kept]
    box.stop()


def test_an_e_mail_goes_through_an_smtp_server_with_login_and_can_be_unsubscribed_by_a_click(
    shop: tuple[Path, Config], folder: Path, mailbox: Callable[[], list[Any]]
) -> None:
    (port,) = mailbox()
    mail = {"host": "127.0.0.1", "port": port, "sender": "Shop <shop@example.com>", "tls": "none", "username": "offers"}
    more = {"to": "ann@example.com", "unsubscribe_url": "https://shop.example/stop", "postal_address": "1 Main St"}
    with serving(folder, shop[1], mail=mail) as api:
        released(api)
        by_hand(api)
        made = given(api)
        send(api, made, "email", **more)
        send_all(api)
        assert [state[0] for state in states(api)] == ["sent"]
    _, envelope = mailbox()
    text = envelope.content.decode()
    assert envelope.rcpt_tos == ["ann@example.com"]
    assert "List-Unsubscribe: <https://shop.example/stop>" in text
    assert "List-Unsubscribe-Post: List-Unsubscribe=One-Click" in text
    assert "1 Main St" in text


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of localhost that nobody vouches for, with its key in the same file."""
    needs("openssl")
    file = tmp_path / "localhost.pem"
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *named]
    subprocess.run([*made, "-keyout", str(file), "-out", str(tmp_path / "c.pem")], check=True, capture_output=True)
    file.write_bytes(file.read_bytes() + (tmp_path / "c.pem").read_bytes())
    return file


@pytest.mark.parametrize("tls", ["tls", "starttls"])
def test_a_mail_server_that_cannot_show_who_it_is_gets_no_password(
    tls: Literal["tls", "starttls"], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stood between could read it: the certificate was not looked at."""
    client_found("aiosmtpd")
    monkeypatch.setattr(sys, "path", [*sys.path, str(CLIENTS)])
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink
    from aiosmtpd.smtp import AuthResult

    def login(server: Any, session: Any, envelope: Any, mechanism: str, auth: Any) -> Any:
        passwords.append(auth.password)
        return AuthResult(success=True)

    passwords: list[bytes] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    port, more = free_port(), {"ssl_context": context} if tls == "tls" else {"tls_context": context}
    box = Controller(Sink(), "localhost", port, authenticator=login, auth_require_tls=tls == "starttls", **more)
    box.start()
    monkeypatch.setenv("PROMOLIFT_SMTP_PASSWORD", "smtp-hush")
    settings = MailSettings(host="localhost", port=port, sender="Shop <shop@example.com>", tls=tls, username="offers")
    mail = OfferMessage("ann@example.com", "Hello", "Hello")
    try:
        with pytest.raises(ssl.SSLCertVerificationError):
            send_mail(settings, mail)
        assert passwords == []
        monkeypatch.setenv(
            "SSL_CERT_FILE", str(certificate)
        )  # as the documentation says for a certificate of one's own
        assert send_mail(settings, mail) is None
        assert passwords == [b"smtp-hush"]
    finally:
        box.stop()
