"""Keys, webhooks, requests and events in the browser: shown once, revoked at once, tried without a trace."""

import json
import shlex
from pathlib import Path

import pytest
from console_helpers import CONFIG, Shop, opened
from serve_helpers import Api
from sqlalchemy import update

from promolift.foundation.language_model import LlmSettings
from promolift.server.delivery.outbox import post_message
from promolift.server.ledger.schema import OUTBOX
from promolift.shop.configuration import model_status
from promolift.shop.configuration.configuration import Config


def made(shop: Shop, scope: str = "decide") -> str:
    """A new key, as the page shows it once."""
    page = shop.person("admin").post("/developer/keys", 200, name="till <b>1</b>", scope=scope).text
    assert "<b>1</b>" not in page
    return page.split('<code class="link">')[1].split("<")[0]


def test_a_key_is_shown_once_works_and_is_revoked_at_once(shop: Shop) -> None:
    key, admin = made(shop), shop.person("admin")
    assert key not in admin.get("/developer")
    (line,) = [each for each in admin.json("/developer")["keys"] if each["name"].startswith("till")]
    assert (line["scope"], line["last_used_ms"]) == ("decide", None)
    till = Api(shop.api.client, key)
    till("POST", "/v1/decisions", {"customer_id": "u001"})
    (line,) = [each for each in admin.json("/developer")["keys"] if each["name"].startswith("till")]
    assert line["last_used_ms"]
    admin.post(f"/developer/keys/{line['key_id']}/revoke")
    till("POST", "/v1/decisions", {"customer_id": "u001"}, status=401)
    said = shop.api("GET", "/v1/audit?limit=1000")["data"]
    assert [row["actor"] for row in said if row["action"] == "key.revoke"] == ["person admin"]


def test_when_a_key_came_last_survives_the_server(shop: Shop) -> None:
    key = made(shop)
    Api(shop.api.client, key)("POST", "/v1/decisions", {"customer_id": "u001"})
    used = dict(shop.server.used)
    shop.server.refresh_keys()
    assert shop.server.used == {}
    kept = {each["key_id"]: each["last_used_ms"] for each in shop.api("GET", "/v1/keys")["data"]}
    assert used
    assert all(kept[key_id] >= ms for key_id, ms in used.items())


def test_only_an_admin_makes_and_changes(shop: Shop) -> None:
    approver = shop.person("approver")
    key = approver.json("/developer")["keys"][0]["key_id"]
    for path in (
        "/developer/keys",
        f"/developer/keys/{key}/revoke",
        "/developer/webhooks",
        "/developer/webhooks/whk_1",
    ):
        approver.post(path, 403, name="x", scope="admin", said="delete")
    assert not approver.json("/developer")["keys"][0]["revoked"]
    shop.person("admin").post("/developer/keys", 422, name="x", scope="everything")
    shop.person("admin").post("/developer/keys", 422, name="", scope="write")


def test_no_webhook_leads_into_the_own_network_or_to_a_script(shop: Shop) -> None:
    admin = shop.person("admin")
    for url in ("https://127.0.0.1/hook", "javascript:alert(1)", "http://example.com/hook"):
        admin.post("/developer/webhooks", 422, url=url, **{"on.release.activated": "yes"})
    admin.post("/developer/webhooks", 422, url="https://example.com/hook")  # it must hear of something
    assert admin.json("/developer")["hooks"] == []


def test_a_message_to_a_customer_that_was_given_up_is_listed_and_sent_again(shop: Shop) -> None:
    def given_up(db: object, some: list[None]) -> list[None]:
        post_message(db, "email", "dec_1", {"to": "ann@example.com", "subject": "s", "text": "t"}, 1)  # type: ignore[arg-type]
        db.execute(update(OUTBOX).values(status="failed", error="braze: status 400", attempts=7, next_ms=2**45))  # type: ignore[attr-defined]
        return some

    shop.server.ledger.write(given_up)
    admin = shop.person()
    (lost,) = admin.json("/developer")["unsent"]
    assert (lost["decision_id"], lost["attempts"], lost["again"]) == ("dec_1", 7, True)
    page = admin.get("/developer")
    assert "given up" in page
    assert "braze: status 400" in page
    assert "ann@example.com" not in page
    shop.person("viewer").post(f"/developer/messages/{lost['message_id']}", 403)
    admin.post(f"/developer/messages/{lost['message_id']}")
    assert admin.json("/developer")["unsent"] == []


def test_messages_are_listed_with_their_tries_and_sent_again(shop: Shop) -> None:
    from promolift.server.delivery.outbox import post_message
    from promolift.server.ledger.outbox_rows import WebhookEndpoint
    from promolift.server.ledger.secrets import seal

    def make(db: object, some: list[None]) -> list[None]:
        hook = WebhookEndpoint(
            url="https://shop.test/<i>", events=("release.activated",), secret=seal(shop.server.secret, "s")
        )
        hook.save(db, "whk_1", 1)  # type: ignore[arg-type]
        post_message(db, "webhook", "whk_1", {"type": "release.activated", "data": {"x": "<b>"}}, 2**45)  # type: ignore[arg-type]
        return some

    shop.server.ledger.write(make)
    admin = shop.person("admin")
    (hook,) = admin.json("/developer")["hooks"]
    assert [(each["status"], each["attempts"]) for each in hook["sent"]] == [("waiting", 0)]
    page = admin.get("/developer")
    assert "<i>" not in page
    admin.post("/developer/webhooks/whk_1", said="test")
    assert len(admin.json("/developer")["hooks"][0]["sent"]) == 2
    admin.post("/developer/webhooks/whk_1", said="replay")
    admin.post("/developer/webhooks/whk_1", 422, said="nonsense")
    admin.post("/developer/webhooks/whk_1", said="delete")
    assert admin.json("/developer")["hooks"] == []


def test_every_request_of_the_api_has_an_example_in_three_languages(shop: Shop) -> None:
    viewer = shop.person("viewer")
    names = viewer.json("/developer")["operations"]
    assert len(names) > 50
    for name in names:
        said = viewer.client.get("/console/developer/request", params={"operation": name, "format": "json"}).json()
        assert said["chosen"]["name"] == name
        compile(said["snippets"]["Python"], name, "exec")
        assert shlex.split(said["snippets"]["curl"].replace("\\\n", " "))[:3] == ["curl", "-X", name.split()[0]]


def test_the_example_of_a_decision_works_as_it_stands(shop: Shop) -> None:
    said = shop.person("viewer").json("/developer/request?operation=POST%20/v1/decisions")
    assert shop.api("POST", "/v1/decisions", json.loads(said["chosen"]["body"]))["offer_id"]


def test_what_is_typed_stays_one_argument_of_the_shell(shop: Shop) -> None:
    evil = {
        "operation": "POST /v1/decisions",
        "of": "POST /v1/decisions",
        "body": json.dumps({"customer_id": "'; rm -rf / #"}),
    }
    said = shop.person("viewer").client.get("/console/developer/request", params=evil | {"format": "json"}).json()
    words = shlex.split(said["snippets"]["curl"].replace("\\\n", " "))
    assert json.loads(words[-1]) == {"customer_id": "'; rm -rf / #"}
    broken = shop.person("viewer").client.get("/console/developer/request", params=evil | {"body": "{"}).text
    assert "The body is no JSON" in broken


@pytest.mark.parametrize(
    ("text", "taken", "aside"),
    [
        ({"type": "track", "event": "Product Viewed", "userId": "u001", "messageId": "m1"}, 1, 0),
        ({"batch": [{"type": "track", "event": "x", "userId": "u001", "messageId": "m1"}, {"type": "track"}]}, 1, 1),
        ([1, None], 0, 2),
    ],
)
def test_events_are_tried_without_a_trace(shop: Shop, text: object, taken: int, aside: int) -> None:
    viewer = shop.person("viewer")
    said = viewer.client.post(
        "/console/developer/events?format=json",
        data={"token": viewer.token, "events": json.dumps(text)},
        headers={"sec-fetch-site": "same-origin"},
    ).json()
    assert (len(said["read"]), len(said["rejected"])) == (taken, aside)
    assert viewer.json("/developer")["taken"] == viewer.json("/developer")["aside"] == []
    viewer.post("/developer/events", 422, events="{")


def test_an_endpoint_that_cannot_be_reached_is_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    dead = {"base_url": "http://127.0.0.1:9/v1"}
    config = CONFIG.model_copy(update={"llm": LlmSettings.model_validate({"remote": dead})})
    with opened(folder, config) as shop:
        page = shop.person("viewer").get("/developer")
    assert "127.0.0.1:9 cannot be reached" in page
    assert "nothing calls it" in page


@pytest.mark.parametrize(
    ("writer", "said"), [("remote", "127.0.0.1:9 cannot be reached"), ("pool", "nothing calls it")]
)
def test_the_page_says_what_is_wrong_with_an_endpoint(shop: Shop, monkeypatch, writer: str, said: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    monkeypatch.delenv("PROMOLIFT_LLM_URL", raising=False)
    model_status._probe.cache_clear()
    config = shop.server.config
    values = config.model_dump(exclude_unset=True)
    dead = {"message": {"writer": writer}, "llm": {"remote": {"base_url": "http://127.0.0.1:9/v1"}}}
    monkeypatch.setattr(shop.server, "config", Config.model_validate(values | dead))
    page = shop.person("admin").get("/developer")
    assert said in page
    assert 'role="status">llm.remote' in page
