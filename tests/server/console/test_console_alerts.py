"""Alerts are raised once from what the pages show, cleared, and delivered to each person in their own way."""

import email
import json
import socket
import threading
from collections.abc import Callable, Iterator
from email.policy import default
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import anyio
import polars as pl
import pytest
from console_helpers import CONFIG, Person, Shop, opened
from judged_shop import Case, case, judged, two_weeks
from ledger_helpers import KINDS, ledger_url, open_ledger
from sqlalchemy import Connection, delete, select
from standardwebhooks import Webhook
from test_console_experiments import came, drafted
from test_console_live import given
from test_console_words import pool, waiting  # noqa: F401 - a fixture
from test_serve_outbox import Mailbox, by_hand, receiving

from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.time.clock import DAY_MS
from promolift.server.console.state import alert_check
from promolift.server.console.state.alert_check import AlertCheck
from promolift.server.delivery import outbox
from promolift.server.delivery.alert_messages import SECRET_UNREADABLE, AlertMessage, describe_alert, kind_names
from promolift.server.ledger.alert_records import ALERT_KINDS, AlertSubscription, AlertValues, RaisedAlert
from promolift.server.ledger.records import StoredExperiment
from promolift.server.ledger.schema import DECISIONS, EVENTS, OUTBOX
from promolift.server.ledger.secrets import seal
from promolift.server.translations import translate_key
from promolift.shop.feedback.policy_earnings import earned_numbers
from promolift.shop.feedback.policy_verdict import numbers_of

CAMPAIGN = CONFIG.plan.campaign
HERE = f"/v1/campaigns/{CAMPAIGN}"
NOWHERE = "http://127.0.0.1:9/hook"


@pytest.fixture(autouse=True)
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests are read at every check, and no check runs by itself."""
    monkeypatch.setattr(alert_check, "EXPERIMENT_EVERY_S", 0.0)
    monkeypatch.setattr(alert_check, "CHECK_EVERY_S", 3600.0)


@pytest.fixture
def live(folder: Path) -> Iterator[Shop]:
    """A server whose plan decides; nothing is sent but by `send_all`."""
    with opened(folder, demo=True, private_webhooks=True) as found:
        yield quiet(found)


def quiet(shop: Shop) -> Shop:
    by_hand(shop.api)
    shop.server.outbox.waits_s = (0.0, 0.0)
    return shop


def subscribe(person: Person, channel: str, address: str, *kinds: str, status: int = 303, **more: str) -> Any:
    """Add a subscription on the account page."""
    chosen = {f"kind.{kind}": "yes" for kind in kinds or ALERT_KINDS}
    return person.post("/account/alerts", status, channel=channel, address=address, **chosen, **more)


def check(shop: Shop) -> list[str]:
    """Check now; the alerts that are raised afterwards."""
    AlertCheck(shop.app.console).check()
    with shop.server.ledger.read() as db:
        return sorted(each.kind for each in RaisedAlert.all(db).values() if each.cleared_ms is None)


def sent(shop: Shop) -> list[dict[str, Any]]:
    """What went into the outbox for people, in its order."""
    wanted = select(OUTBOX).where(OUTBOX.c.channel == "alert").order_by(OUTBOX.c.ts_ms, OUTBOX.c.delivery_id)
    with shop.server.ledger.read() as db:
        return [{**row, "body": json.loads(row["body"])} for row in db.execute(wanted).mappings()]


def told(shop: Shop) -> list[str]:
    """The kinds that people were told of."""
    return [each["body"]["kind"] for each in sent(shop)]


def send_all(shop: Shop) -> None:
    anyio.run(shop.server.outbox.send_due)


def use_up(shop: Shop, folder: Path) -> None:
    """Hold 95 % of a limit of 10 dollars."""
    shop.api("PATCH", HERE, {"limits": [{"limit_id": "month", "metric": "discount_amount", "amount": 1000}]})
    made = shop.api("POST", "/v1/decisions", {"customer_id": given(folder), "campaign_id": CAMPAIGN})
    claim = {"customer_id": made["customer_id"], "decision_id": made["decision_id"], "amount_cents": 950}
    shop.api("POST", "/v1/redemptions:reserve", claim)


def learned(folder: Path, found: Case, later_ms: int = 0) -> None:
    """What a learning run of these decisions writes."""
    verdict = judged(found)
    numbers = numbers_of(verdict) | earned_numbers(verdict, "UTC")
    path = folder / "serve" / "learn" / CAMPAIGN / "learn.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(numbers | {"until_ms": numbers["until_ms"] + later_ms}), encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_is_told_once_until_it_has_cleared(folder: Path, tmp_path: Path, kind: str) -> None:
    open_ledger(tmp_path, kind).close()
    with opened(folder, demo=True, private_webhooks=True, ledger=ledger_url(tmp_path, kind)) as shop:
        quiet(shop)
        viewer = shop.person("viewer")
        subscribe(viewer, "slack", NOWHERE, "limit")
        assert check(shop) == []
        use_up(shop, folder)
        assert check(shop) == check(shop) == ["limit"]
        assert told(shop) == ["limit"]
        message = sent(shop)[0]["body"]
        assert message["link"] == f"http://shop.test/console/live?campaign={CAMPAIGN}"
        assert message["values"] == {"limit": "month", "share": 0.95}
        viewer.get(message["link"].removeprefix("http://shop.test/console"))
        assert "The limit month is at 95" in viewer.get("/")  # the same as Today says
        approver = shop.person("approver")
        approver.post("/live/limits/month", amount="11")
        assert check(shop) == ["limit"]  # 86 %: it moves about 90 % and is not told of again
        approver.post("/live/limits/month", amount="10")
        assert check(shop) == ["limit"]
        approver.post("/live/limits/month", amount="25")
        assert check(shop) == []
        assert told(shop) == ["limit"]
        approver.post("/live/limits/month", amount="10")
        assert check(shop) == ["limit"]
        assert told(shop) == ["limit", "limit"]


def test_whom_a_message_reached_is_told_when_the_alert_has_cleared(live: Shop, folder: Path) -> None:
    chinese, approver = live.person("editor"), live.person("approver")
    chinese.post("/language", language="zh")
    with receiving([]) as slack, receiving([]) as receiver, receiving([]) as other:
        body = {"url": receiver.url, "events": ["alert.raised", "alert.cleared"]}
        hook = live.api("POST", "/v1/webhooks", body, 201)["webhook_id"]
        deaf = live.api("POST", "/v1/webhooks", {"url": other.url, "events": ["alert.raised"]}, 201)["webhook_id"]
        subscribe(chinese, "slack", slack.url, "limit")
        for each in (hook, deaf):
            subscribe(live.person("viewer"), "webhook", "", "limit", hook=each)
        use_up(live, folder)
        check(live)
        send_all(live)
        subscribe(approver, "slack", slack.url, "limit")
        check(live)  # the approver's message does not go out before it has cleared
        approver.post("/live/limits/month", amount="25")
        assert check(live) == check(live) == []
        send_all(live)
        assert len(other.got) == 1
        raised, cleared = [json.loads(body) for _, body in receiver.got]
        first, last = [json.loads(body)["text"] for _, body in slack.got]
    assert (raised["type"], cleared["type"]) == ("alert.raised", "alert.cleared")
    assert cleared["data"]["kind"] == raised["data"]["kind"] == "limit"
    assert cleared["data"]["values"] == raised["data"]["values"]
    assert cleared["data"]["title"].startswith("Over: The limit month")
    assert "已解除" in last
    assert "已解除" not in first


def test_an_address_that_cannot_be_read_is_said_and_can_be_removed(live: Shop) -> None:
    viewer = live.person("viewer")
    subscribe(viewer, "slack", NOWHERE, "limit")
    ((name, kept),) = live.server.ledger.write(lambda db, some: [[*AlertSubscription.all(db).items()] for _ in some])

    def spoil(db: Connection, some: list[None]) -> list[None]:
        kept.model_copy(update={"address": seal("another", NOWHERE)}).save(db, name, 1)
        return some

    live.server.ledger.write(spoil)
    (shown,) = viewer.json("/account")["alerts"]["subscriptions"]
    assert "slack" not in shown["place"]
    viewer.post(f"/account/alerts/{name}", what="try")
    send_all(live)
    (shown,) = viewer.json("/account")["alerts"]["subscriptions"]
    assert shown["fault"] == SECRET_UNREADABLE
    viewer.post(f"/account/alerts/{name}", what="remove")
    assert viewer.json("/account")["alerts"]["subscriptions"] == []


def test_test_messages_are_few(live: Shop) -> None:
    viewer, editor = live.person("viewer"), live.person("editor")
    for person in (viewer, editor):
        subscribe(person, "slack", NOWHERE, "limit")
    (name,), (other,) = (
        [each["id"] for each in p.json("/account")["alerts"]["subscriptions"]] for p in (viewer, editor)
    )
    for _ in range(5):
        viewer.post(f"/account/alerts/{name}", what="try")
    viewer.post(f"/account/alerts/{name}", 422, what="try")
    editor.post(f"/account/alerts/{other}", what="try")
    assert told(live) == ["try"] * 6
    viewer.post(f"/account/alerts/{name}", what="remove")
    subscribe(viewer, "slack", NOWHERE, "limit")
    (again,) = [each["id"] for each in viewer.json("/account")["alerts"]["subscriptions"]]
    viewer.post(f"/account/alerts/{again}", 422, what="try")


def test_a_limit_of_each_customer_that_one_has_used_up_waits_for_nobody(live: Shop, folder: Path) -> None:
    """Today said that offers are refused under it, as soon as one customer had used what each may use."""
    viewer = live.person("viewer")
    subscribe(viewer, "slack", NOWHERE, "limit")
    live.api("PATCH", HERE, {"limits": [{"limit_id": "once", "metric": "redemptions", "amount": 1, "per": "customer"}]})
    made = live.api("POST", "/v1/decisions", {"customer_id": given(folder), "campaign_id": CAMPAIGN})
    claim = {"customer_id": made["customer_id"], "decision_id": made["decision_id"], "amount_cents": 100}
    live.api("POST", "/v1/redemptions:reserve", claim)
    assert "The limit once" not in viewer.get("/")
    assert check(live) == []


def test_a_test_without_data_is_told_and_clears_when_orders_come(live: Shop) -> None:
    viewer = live.person("viewer")
    subscribe(viewer, "slack", NOWHERE, "no_data")
    name = drafted(live)
    live.person("approver").post(f"/tests/{name}/start")
    assert check(live) == []  # a day has not passed
    begun(live, name, 2)
    assert check(live) == ["no_data"]
    assert sent(live)[0]["body"]["values"] == {"test": "Do offers pay?", "customers": 0, "hours": 48}
    assert "No customer has been assigned to it in 48 hours" in viewer.get("/tests?part=shown")
    live.api("POST", "/v1/decisions", {"customer_id": "u007", "campaign_id": CAMPAIGN})
    begun(live, name, 4)
    assert check(live) == []  # one customer need not buy anything in four days
    begun(live, name, 15)
    assert check(live) == ["no_data"]
    assert "1 customer was assigned" in viewer.get("/tests?part=shown")
    came(live, name, more_cents=0)
    begun(live, name, 15)
    assert check(live) == []
    lost = delete(EVENTS).where(EVENTS.c.name == "Order Completed")
    live.server.ledger.write(lambda db, some: [db.execute(lost) and None for _ in some])
    begun(live, name, 2)
    assert check(live) == []
    begun(live, name, 4)
    assert check(live) == ["no_data"]  # of two thousand customers somebody buys
    assert sent(live)[-1]["body"]["values"]["customers"] == 2001
    assert told(live) == ["no_data"] * 3


def begun(shop: Shop, name: str, days: int) -> None:
    """Let a test have begun so many days ago."""
    now_ms, kept = shop.server.clock.now_ms(), StoredExperiment.record_id(CAMPAIGN, name)

    def write(db: Any, some: list[None]) -> list[None]:
        test = StoredExperiment.load(db, kept)
        test.model_copy(update={"begun_ms": now_ms - days * DAY_MS}).save(db, kept, now_ms)
        return some

    shop.server.ledger.write(write)


def test_groups_of_other_sizes_than_drawn_are_told_of_a_test_until_it_is_paused(live: Shop) -> None:
    viewer = live.person("viewer")
    subscribe(viewer, "slack", NOWHERE, "sample_ratio")
    name, approver = drafted(live), live.person("approver")
    approver.post(f"/tests/{name}/start")
    came(live, name, more_cents=0)
    assert check(live) == []
    lost = delete(DECISIONS).where(DECISIONS.c.variant == "holdout", DECISIONS.c.customer_id < "c01000")
    live.server.ledger.write(lambda db, some: [db.execute(lost) and None for _ in some])
    assert check(live) == ["sample_ratio"]
    assert not viewer.json("/tests")["result"]["sample_ratio_ok"]
    assert sent(live)[0]["body"]["values"] == {"test": "Do offers pay?"}
    approver.post("/tests/pause", paused="yes")
    assert check(live) == []


def test_a_holdout_of_another_size_is_told_of_by_the_latest_result_alone(live: Shop, folder: Path) -> None:
    subscribe(live.person("viewer"), "slack", NOWHERE, "sample_ratio")
    whole = case()
    lost = whole.decisions.filter(~(pl.col("holdout") & (pl.int_range(pl.len()) % 3 == 0)))
    learned(folder, Case(lost, whole.events, whole.products, whole.truth))
    assert check(live) == ["sample_ratio"]
    assert sent(live)[0]["body"]["values"] == {"campaign": CAMPAIGN}
    assert "do not have the sizes" in live.person("viewer").get("/")
    learned(folder, whole, later_ms=-DAY_MS)  # of a server that has learned less
    assert check(live) == ["sample_ratio"]
    learned(folder, whole, later_ms=DAY_MS)
    assert check(live) == []
    learned(folder, Case(lost, whole.events, whole.products, whole.truth))
    assert check(live) == []
    assert told(live) == ["sample_ratio"]


def test_drift_is_told_from_the_last_learning_run(live: Shop, folder: Path) -> None:
    subscribe(live.person("viewer"), "slack", NOWHERE, "drift")
    assert check(live) == []
    learned(folder, two_weeks(case(), changed=True))
    assert check(live) == check(live) == ["drift"]
    assert sent(live)[0]["body"]["values"]["findings"] >= 1
    assert "has drifted" in live.person("viewer").get("/results")
    learned(folder, two_weeks(case(), changed=False), later_ms=DAY_MS)
    assert check(live) == []
    assert told(live) == ["drift"]


def test_texts_that_wait_are_told_until_the_last_one_is_read(folder: Path, pool: Path) -> None:  # noqa: F811
    one, *_ = (line for line in pool.read_text("utf-8").splitlines() if waiting(pool).text_id in line)
    pool.write_text(f"{one}\n", encoding="utf-8")
    message = CONFIG.message.model_copy(update={"pool": str(pool), "approve": "person"})
    with opened(folder, CONFIG.model_copy(update={"message": message}), demo=True, private_webhooks=True) as shop:
        quiet(shop)
        approver = shop.person("approver")
        subscribe(approver, "slack", NOWHERE, "texts")
        assert check(shop) == check(shop) == ["texts"]
        assert "1 text for messages wait" in approver.get("/")
        approver.post(f"/words/{waiting(pool).text_id}/judge", said="yes")
        assert check(shop) == []
        assert [each["body"]["values"] for each in sent(shop)] == [{"texts": 1}]


def test_each_job_that_failed_is_told_until_another_one_runs(live: Shop) -> None:
    subscribe(live.person("viewer"), "slack", NOWHERE, "job")
    for times in (1, 2):
        live.app.console.jobs.start("trial", {"trial": "none", "file": "none.csv", "settings": {}}, "editor")
        assert check(live) == []  # it runs
        wait_until(lambda: live.app.console.jobs.running is None)
        assert check(live) == check(live) == ["job"]
        assert told(live) == ["job"] * times
    assert sent(live)[0]["body"]["values"] == {"job": "trial"}


def wait_until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    end = monotonic() + seconds
    while not happened() and monotonic() < end:
        sleep(0.05)
    assert happened()


def test_every_kind_has_words_in_both_languages_and_no_place_left_empty() -> None:
    values = {"test": "Do offers pay?", "customers": 5, "hours": 80, "limit": "month", "share": 0.95, "texts": 3,
              "campaign": CAMPAIGN, "findings": 2, "job": "plan"}  # fmt: skip
    for language in ("en", "zh"):
        with use_locale(language):
            assert [*kind_names()] == [*ALERT_KINDS]
            words = [part for kind in (*ALERT_KINDS, "try") for part in describe_alert(kind, values)]
        assert all(part and "{" not in part for part in words)
        assert all(any("\u4e00" <= letter <= "\u9fff" for letter in part) for part in words) == (language == "zh")


@pytest.mark.parametrize("kind", KINDS)
def test_two_servers_that_check_at_once_tell_it_once(folder: Path, tmp_path: Path, kind: str) -> None:
    open_ledger(tmp_path, kind).close()
    url = ledger_url(tmp_path, kind)
    more: dict[str, Any] = {"private_webhooks": True, "ledger": url}
    with opened(folder, demo=True, **more) as shop, opened(folder, **more) as other:
        quiet(shop), quiet(other)
        for name in ("viewer", "editor"):
            subscribe(shop.person(name), "slack", NOWHERE, "limit", "job")
        use_up(shop, folder)
        checks = [AlertCheck(each.app.console) for each in (shop, other) for _ in range(3)]
        gate = threading.Barrier(len(checks))

        def run(one: AlertCheck) -> None:
            gate.wait()
            one.check()

        threads = [threading.Thread(target=run, args=(each,)) for each in checks]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(sent(shop)) == 2
        assert {each["target"] for each in sent(shop)} == set(subscriptions(shop))


def subscriptions(shop: Shop) -> dict[str, AlertSubscription]:
    with shop.server.ledger.read() as db:
        return AlertSubscription.all(db)


@pytest.fixture(params=KINDS)
def on_each(request: pytest.FixtureRequest, folder: Path, tmp_path: Path) -> Iterator[Shop]:
    """The same server on each kind of database."""
    open_ledger(tmp_path, request.param).close()
    with opened(folder, demo=True, private_webhooks=True, ledger=ledger_url(tmp_path, request.param)) as found:
        yield quiet(found)


def test_slack_gets_blocks_and_teams_an_adaptive_card_each_in_the_persons_language(on_each: Shop, folder: Path) -> None:
    live = on_each
    chinese, viewer = live.person("editor"), live.person("viewer")
    chinese.post("/language", language="zh")
    with receiving([]) as slack, receiving([202]) as teams:
        subscribe(viewer, "slack", slack.url, "limit")
        subscribe(chinese, "teams", teams.url, "limit")
        use_up(live, folder)
        check(live)
        send_all(live)
        ((headers, body),), ((_, card),) = slack.got, teams.got
    said, message = json.loads(body), json.loads(card)
    assert {name.lower(): value for name, value in headers.items()}["content-type"] == "application/json"
    assert [each["type"] for each in said["blocks"]] == ["header", "section", "section", "context"]
    assert said["blocks"][0]["text"] == {"type": "plain_text", "text": "The limit month is at 95\N{NO-BREAK SPACE}%",
                                         "emoji": False}  # fmt: skip
    link = f"http://shop.test/console/live?campaign={CAMPAIGN}"
    assert said["blocks"][2]["text"] == {"type": "mrkdwn", "text": f"<{link}|Open the page>"}
    assert "The limit month" in said["text"]
    (attachment,) = message["attachments"]
    assert message["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    content = attachment["content"]
    assert (content["type"], content["version"]) == ("AdaptiveCard", "1.4")
    assert content["body"][0]["inlines"][0]["text"] == "限额month已用95%"
    assert content["actions"] == [{"type": "Action.OpenUrl", "title": "打开页面", "url": link}]
    assert {each["status"] for each in sent(live)} == {"sent"}


def test_an_email_comes_by_the_shops_mail_server_with_the_link(folder: Path) -> None:
    box = Mailbox()
    mail = {"host": "127.0.0.1", "port": box.port, "sender": "Shop <shop@example.com>", "tls": "none"}
    try:
        with opened(folder, demo=True, mail=mail) as shop:
            quiet(shop)
            chinese = shop.person("approver")
            chinese.post("/language", language="zh")
            subscribe(chinese, "email", "chen@example.com", "limit")
            use_up(shop, folder)
            check(shop)
            send_all(shop)
            assert [each["status"] for each in sent(shop)] == ["sent"]
    finally:
        box.close()
    (text,) = box.mails
    found = email.message_from_string(text.replace("\r\n", "\n"), policy=default)
    assert found["To"] == "chen@example.com"
    assert str(found["Subject"]).endswith(": 限额month已用95%")
    said = found.get_content()
    assert f"http://shop.test/console/live?campaign={CAMPAIGN}" in said
    assert "http://shop.test/console/account" in said


def test_what_people_call_their_tests_is_no_markup_and_breaks_no_header() -> None:
    name = "<!channel> [x](http://evil.example) <http://evil.example|click>\r\nBcc: eve@example.com & *more*"
    values: AlertValues = {"test": name, "customers": 0, "hours": 48}
    home = "https://a.example/console"
    message = AlertMessage("no_data", values, f"{home}/tests", "S", "en", f"{home}/account")
    slack, card = message.to_slack(), message.to_teams()["attachments"][0]["content"]
    assert "<" not in slack["text"]
    assert "&lt;!channel&gt;" in slack["text"]
    assert [each["text"]["type"] for each in slack["blocks"][:3]] == ["plain_text", "plain_text", "mrkdwn"]
    assert slack["blocks"][2]["text"]["text"] == "<https://a.example/console/tests|Open the page>"
    assert {each["type"] for each in card["body"]} == {"RichTextBlock"}  # which reads no Markdown
    assert "\n" not in message.to_mail("a@b.example").subject
    assert "\r" not in message.to_mail("a@b.example").subject


@pytest.mark.parametrize(("languages", "spoken"), [(("zh",), "zh"), (("en", "zh"), "en")])
def test_a_person_is_told_in_a_language_of_the_shop(folder: Path, languages: tuple[str, ...], spoken: str) -> None:
    """People are English until they choose; a shop may have no English."""
    shop_settings = CONFIG.shop.model_copy(update={"languages": languages})
    with opened(folder, CONFIG.model_copy(update={"shop": shop_settings}), demo=True, private_webhooks=True) as shop:
        quiet(shop)
        subscribe(shop.person("viewer"), "slack", NOWHERE, "limit")
        use_up(shop, folder)
        check(shop)
        assert [each["body"]["language"] for each in sent(shop)] == [spoken]


def test_the_shops_own_webhook_hears_it_signed_and_once_however_many_chose_it(live: Shop, folder: Path) -> None:
    with receiving([]) as receiver:
        body = {"url": receiver.url, "events": ["alert.raised"]}
        hook = live.api("POST", "/v1/webhooks", body, 201)
        for name in ("viewer", "editor"):
            subscribe(live.person(name), "webhook", "", "limit", hook=hook["webhook_id"])
        subscribe(live.person("viewer"), "webhook", "", "limit", hook="whk_none", status=422)
        use_up(live, folder)
        check(live)
        send_all(live)
        ((headers, raw),) = receiver.got
    event = Webhook(hook["secret"]).verify(raw, {name.lower(): value for name, value in headers.items()})
    assert event["type"] == "alert.raised"
    assert (event["data"]["kind"], event["data"]["values"]["limit"]) == ("limit", "month")
    assert event["data"]["url"].startswith("http://shop.test/console/live")
    assert "arrived" in live.person("viewer").get("/account")
    live.api("DELETE", f"/v1/webhooks/{hook['webhook_id']}")
    assert "the webhook was removed" in live.person("viewer").get("/account")


def test_a_failing_address_is_tried_again_and_the_account_page_says_so(live: Shop, folder: Path) -> None:
    viewer = live.person("viewer")
    with receiving([500, 200]) as receiver:
        live.server.outbox.waits_s = (600.0, 600.0)
        subscribe(viewer, "slack", receiver.url, "limit")
        use_up(live, folder)
        check(live)
        send_all(live)
        assert "the address answered with status 500" in viewer.get("/account")
        (one,) = viewer.json("/account")["alerts"]["subscriptions"]
        assert (one["status"], one["attempts"]) == ("waiting", 1)
        again(live)
        send_all(live)
        assert "arrived" in viewer.get("/account")
        assert len(receiver.got) == 2
        receiver.codes[:] = [404] * 9
        live.server.outbox.waits_s = (0.0,)
        (name,) = subscriptions(live)
        viewer.post(f"/account/alerts/{name}", what="try")
        send_all(live)
        send_all(live)
        assert "Given up: the address answered with status 404" in viewer.get("/account")
        viewer.post("/language", language="zh")
        assert "已放弃：该地址返回状态码404" in viewer.get("/account")


def again(shop: Shop) -> None:
    """Let what waits be due."""
    from sqlalchemy import update

    due = update(OUTBOX).where(OUTBOX.c.status == "waiting").values(next_ms=0)
    shop.server.ledger.write(lambda db, some: [db.execute(due) and None for _ in some])


def test_teams_that_takes_a_message_and_cannot_post_it_has_failed(live: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from promolift.server.delivery.target_address import ReceiverAnswer

    async def answered(*_: Any) -> ReceiverAnswer:
        return ReceiverAnswer(200, b"Webhook message delivery failed with error: Microsoft Teams endpoint returned 429")

    monkeypatch.setattr(outbox, "post_content", answered)
    viewer = live.person("viewer")
    subscribe(viewer, "teams", NOWHERE)
    (name,) = subscriptions(live)
    viewer.post(f"/account/alerts/{name}", what="try")
    send_all(live)
    assert "Teams took the message and could not post it" in viewer.get("/account")


@pytest.mark.parametrize("channel", ["slack", "teams"])
def test_no_alert_leads_into_the_own_network(folder: Path, channel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, inside = socket.getaddrinfo, [False]

    def turning(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        """A public name that leads into the own network once it was looked at."""
        if host in ("hooks.example", b"hooks.example"):
            return plain("10.0.0.1" if inside[0] else "93.184.216.34", port, *rest, **more)
        return plain(host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", turning)
    with opened(folder, demo=True) as shop:
        quiet(shop)
        viewer = shop.person("viewer")
        inner = "https://127.0.0.1/x", "https://169.254.169.254/", "http://93.184.216.34/", "file:///etc/passwd", ""
        for url in inner:
            refused = subscribe(viewer, channel, url, status=422)
            assert "This address cannot be used" in refused.text
        assert not subscriptions(shop)
        subscribe(viewer, channel, "https://hooks.example/services/T0/B0/secret7")
        (name,) = subscriptions(shop)
        inside[0] = True
        viewer.post(f"/account/alerts/{name}", what="try")
        send_all(shop)
        assert "this host lies in a private network" in viewer.get("/account")


def test_a_url_is_a_secret_that_no_page_and_no_row_shows(live: Shop) -> None:
    viewer, url = live.person("viewer"), "http://127.0.0.1:9/services/T0/B0/hush-hush-7a1b"
    subscribe(viewer, "slack", url)
    assert "127.0.0.1/…7a1b" in viewer.get("/account")
    with live.server.ledger.read() as db:
        rows = str([*db.exec_driver_sql("select body from things")])
        rows += str([*db.exec_driver_sql("select old, new, subject from audit")])
    for place in (viewer.get("/account"), json.dumps(viewer.json("/account")), rows):
        assert "hush-hush" not in place


def test_a_subscription_is_its_persons_alone_and_ends_at_once(live: Shop, folder: Path) -> None:
    viewer, other = live.person("viewer"), live.person("editor")
    subscribe(viewer, "slack", NOWHERE, "limit")
    (name,) = subscriptions(live)
    other.post(f"/account/alerts/{name}", 404, what="remove")
    assert other.json("/account")["alerts"]["subscriptions"] == []
    use_up(live, folder)
    check(live)
    assert [each["status"] for each in sent(live)] == ["waiting"]
    viewer.post(f"/account/alerts/{name}", what="remove")
    assert (subscriptions(live), sent(live)) == ({}, [])
    actions = [row["action"] for row in live.api("GET", "/v1/audit?limit=1000")["data"]]
    assert [each for each in actions if each.startswith("alert.")] == ["alert.subscribe", "alert.unsubscribe"]


def test_who_comes_later_is_told_of_what_is_raised_and_who_may_not_sign_in_is_not(live: Shop, folder: Path) -> None:
    subscribe(live.person("viewer"), "slack", NOWHERE, "limit")
    use_up(live, folder)
    check(live)
    editor = live.person("editor")
    subscribe(editor, "slack", NOWHERE, "limit")
    check(live)
    check(live)
    assert len(sent(live)) == 2
    assert [each["title"] for each in editor.json("/account")["alerts"]["raised"]] == [
        "The limit month is at 95\N{NO-BREAK SPACE}%"
    ]
    subscribe(live.person("approver"), "slack", NOWHERE, "limit")
    live.person("admin").post("/people/approver", what="out")
    check(live)
    assert len(sent(live)) == 2


def test_a_message_that_comes_too_late_is_not_sent(live: Shop, folder: Path) -> None:
    subscribe(live.person("viewer"), "slack", NOWHERE, "limit")
    use_up(live, folder)
    check(live)
    live.person("approver").post("/live/limits/month", amount="25")
    check(live)
    assert [each["status"] for each in sent(live)] == ["expired"]


def test_an_alert_holds_nothing_of_a_customer(live: Shop, folder: Path) -> None:
    subscribe(live.person("viewer"), "slack", NOWHERE)
    use_up(live, folder)
    live.app.console.jobs.start("trial", {"trial": "none", "file": "none.csv", "settings": {}}, "editor")
    wait_until(lambda: live.app.console.jobs.running is None)
    learned(folder, two_weeks(case(), changed=True))
    name = drafted(live)
    live.person("approver").post(f"/tests/{name}/start")
    begun(live, name, 2)
    assert check(live) == ["drift", "job", "limit", "no_data", "texts"]
    allowed = {"test", "customers", "hours", "limit", "share", "texts", "campaign", "findings", "job"}
    for each in sent(live):
        assert each["body"]["values"].keys() <= allowed
        assert given(folder) not in json.dumps(each["body"])
        assert each["customer_id"] is None


def test_a_kind_that_cannot_be_read_keeps_its_alerts_and_stops_no_other(
    live: Shop, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(live.person("viewer"), "slack", NOWHERE, "drift", "limit")
    learned(folder, two_weeks(case(), changed=True))
    assert check(live) == ["drift"]
    (folder / "serve" / "learn" / CAMPAIGN / "learn.json").write_text("{", encoding="utf-8")
    use_up(live, folder)
    assert check(live) == ["drift", "limit"]
    learned(folder, two_weeks(case(), changed=False), later_ms=DAY_MS)
    assert check(live) == ["limit"]


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"channel": "slack", "address": NOWHERE}, "kinds_missing"),
        ({"channel": "pigeon", "address": "x", "kind.limit": "yes"}, "channel_unknown"),
        ({"channel": "email", "address": "a@b.example", "kind.limit": "yes"}, "channel_unknown"),
    ],
)
def test_a_form_that_says_too_little_is_refused(live: Shop, form: dict[str, str], code: str) -> None:
    viewer = live.person("viewer")
    assert translate_key("refused", code) in viewer.post("/account/alerts", 422, **form).text
    assert not subscriptions(live)


def test_the_task_of_the_server_checks_by_itself(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_check, "CHECK_EVERY_S", 0.05)
    with opened(folder, demo=True, private_webhooks=True) as shop:
        quiet(shop)
        subscribe(shop.person("viewer"), "slack", NOWHERE, "limit")
        use_up(shop, folder)
        wait_until(lambda: told(shop) == ["limit"])
        assert "alerts" in [duty.name for duty in shop.server.tasks.all]
        assert not shop.server.tasks.dead
