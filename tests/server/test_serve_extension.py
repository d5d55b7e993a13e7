"""An extension adds a route, a screen of the console and a message sender to the server."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console_helpers import opened
from fastapi import APIRouter
from serve_helpers import PEOPLE, Api, released, serving
from test_serve_outbox import by_hand, send_all

from promolift.foundation import extension
from promolift.foundation.extension import Extension, MessageSender
from promolift.server.api.routes import Route
from promolift.server.console.pages.context import ROUTES
from promolift.server.delivery.sender import ServiceResponse
from promolift.shop.configuration.configuration import Config

ROUTER = APIRouter(tags=["loyalty"])
SCREEN = """
from promolift.foundation.pages.blocks import note
from promolift.server.console.pages.context import PageVisit, Screen, page

NAVIGATION = {"/loyalty": {"en": "Loyalty", "zh": "忠诚度"}}

@page("/loyalty")
def show(visit: PageVisit) -> Screen:
    return Screen("extension.html", "Loyal customers", {"blocks": [note("Nobody is loyal yet.")]})
"""
LOYALTY = Extension(
    "loyalty",
    routes=("test_serve_extension:ROUTER",),
    screens=("loyalty_screen",),
    senders={"pigeon": MessageSender("test_serve_extension:send_by_pigeon", ("PIGEON_LOFT",))},
)


@ROUTER.get("/v1/loyalty")
def loyalty(context: Route) -> dict[str, str]:
    """Who asked."""
    return {"asked_by": context.who}


def send_by_pigeon(message: Any, post: Any) -> str | None:
    answer = post("https://loft.example.com", {}, message.facts)
    return None if answer.status == 204 else "pigeon: lost"


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The extension is installed beside promolift's own."""
    (tmp_path / "loyalty_screen.py").write_text(SCREEN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    some, before = (*extension.extensions(), LOYALTY), [*ROUTES]
    extension.check_conflicts(some)
    monkeypatch.setattr(extension, "extensions", lambda: some)
    yield
    ROUTES[:] = before
    sys.modules.pop("loyalty_screen", None)


@pytest.fixture
def api(shop: tuple[Path, Config], folder: Path) -> Iterator[Api]:
    with serving(folder, shop[1]) as found:
        released(found)
        by_hand(found)
        yield found


def test_a_registered_route_asks_for_a_key_and_is_described(api: Api) -> None:
    assert api("GET", "/v1/loyalty")["asked_by"]
    assert api.client.get("/v1/loyalty").status_code == 401
    document = api("GET", "/openapi.json")
    assert "/v1/loyalty" in document["paths"]
    by = document["components"]["schemas"]["MailIn"]["properties"]["by"]
    assert by["enum"] == ["email", "braze", "klaviyo", "wechat", "pigeon"]


def test_a_registered_sender_gets_the_message_of_a_decision(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    made = next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
    wish = {"decision_id": made["decision_id"], "by": "pigeon"}
    assert api("POST", "/v1/messages", wish, 422)["code"] == "sender_off"
    monkeypatch.setenv("PIGEON_LOFT", "north")
    assert api("POST", "/v1/messages", wish | {"by": "owl"}, 422)["code"] == "invalid"
    posted: list[Any] = []

    def post(url: str, headers: Any, body: Any) -> ServiceResponse:
        posted.append(body)
        return ServiceResponse(204, None)

    api.server.outbox.post = post
    api("POST", "/v1/messages", wish, 202)
    send_all(api)
    assert [body["decision_id"] for body in posted] == [made["decision_id"]]
    assert [each["status"] for each in api("GET", "/v1/messages?status=sent")["data"]] == ["sent"]


def test_a_registered_screen_stands_in_the_navigation(shop: tuple[Path, Config], folder: Path) -> None:
    with opened(folder, shop[1]) as found:
        page = found.person("viewer").get("/loyalty")
    assert "Nobody is loyal yet." in page
    assert '<a href="/console/loyalty" aria-current="page">Loyalty</a>' in page
