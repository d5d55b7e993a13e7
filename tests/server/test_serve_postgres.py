"""The same server on PostgreSQL: what works on SQLite works there, and two processes share one ledger."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from error_checks import raises_code
from ledger_helpers import check_books, ledger_url, open_ledger
from serve_helpers import CAMPAIGN, PEOPLE, Api, claim, coded, released, serving
from test_serve_decisions import batch, naming
from test_serve_outbox import by_hand, send_all

from promolift.server.delivery.sender import ServiceResponse
from promolift.shop.configuration.configuration import Config

POLICY = f"/v1/campaigns/{CAMPAIGN}"


@pytest.fixture
def url(tmp_path: Path) -> str:
    """An empty ledger on PostgreSQL."""
    open_ledger(tmp_path, "postgresql").close()
    return ledger_url(tmp_path, "postgresql")


@pytest.fixture
def api(shop: tuple[Path, Config], folder: Path, url: str) -> Iterator[Api]:
    with serving(folder, shop[1], ledger=url) as opened:
        released(opened)
        yield opened
        check_books(opened.server.ledger)


def test_decisions_events_money_and_erasing_over_http(api: Api, folder: Path) -> None:
    wanted = batch(folder)
    made = {who: api.decide(who) for who in PEOPLE}
    assert {who: each["offer_id"] for who, each in made.items()} == wanted
    who = min(each for each, offer in wanted.items() if offer != "none")
    assert api("GET", f"/v1/decisions/{made[who]['decision_id']}:replay")["same"]
    assert "worth" in api("GET", f"/v1/decisions/{made[who]['decision_id']}:explain")["text"]
    line = {"product_id": f"p-{made[who]['offer']['covers']}"}
    event = {"type": "track", "userId": who, "event": "Product Added", "messageId": "m1", "properties": line}
    reply = api("POST", "/v1/batch", {"batch": [event, event, {"type": "track"}]}, 202)
    assert (reply["accepted"], reply["duplicates"], reply["rejected_count"]) == (1, 1, 1)
    assert api.decide(who)["offer_id"] != made[who]["offer_id"]  # it lies in their cart
    limits = [{"limit_id": "l", "metric": "discount_amount", "amount": 250, "per": "customer"}]
    api("PUT", POLICY, {"limits": limits})
    use = {"customer_id": who, "amount_cents": 100, "decision_id": made[who]["decision_id"], "code": made[who]["code"]}
    held = api("POST", "/v1/redemptions:reserve", use, idempotency_key="k")
    assert api("POST", "/v1/redemptions:reserve", use, idempotency_key="k") == held
    api("POST", "/v1/redemptions:confirm", {"redemption_id": held["redemption_id"], "amount_cents": 60})
    assert api("GET", POLICY)["limits"][0]["spent"] == 60
    assert api("GET", "/v1/exports/decisions.csv").text.count("\n") > len(PEOPLE)
    api("POST", f"/v1/privacy/{who}:erase")
    assert naming(api, who) == {"customers"}
    assert api("GET", "/v1/audit:verify")["holds"]


def test_messages_wait_for_consent_and_exposures_come_out(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMOLIFT_KLAVIYO_KEY", "k")
    by_hand(api)
    asked: list[str] = []
    api.server.outbox.post = lambda url, _, body: asked.append(url) or ServiceResponse(202, None)
    one, two, *_ = (each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
    for made in (one, two):
        api("POST", "/v1/messages", {"decision_id": made["decision_id"], "by": "klaviyo"}, 202)
    no = {"userId": one["customer_id"], "traits": {"consent": False}, "messageId": "no"}
    api("POST", "/v1/identify", no, 202)
    send_all(api)
    assert len(asked) == 1
    assert api("GET", "/v1/exports/exposures.csv?shape=eppo").text.startswith("subject,timestamp,experiment,variation")


def test_two_servers_share_releases_limits_and_keys(
    api: Api, shop: tuple[Path, Config], folder: Path, url: str
) -> None:
    with serving(folder, shop[1], ledger=url) as other:
        assert other.key == ""
        other.key = api.key
        assert other.decide("u01")["offer_id"] == batch(folder)["u01"]
        api("PUT", POLICY, {"limits": [{"limit_id": "l", "metric": "redemptions", "amount": 3}]})
        coded(api)
        taken = [each("POST", "/v1/redemptions:reserve", claim(n), None)["status"]
                 for n, each in enumerate((api, other, api, other, api))]  # fmt: skip
        assert taken == ["reserved"] * 3 + [409] * 2


def test_a_server_with_another_secret_is_refused(api: Api, shop: tuple[Path, Config], tmp_path: Path, url: str) -> None:
    with (
        raises_code("secret_differs", str(tmp_path / "new" / "secret.key")),
        serving(tmp_path / "new", shop[1], ledger=url),
    ):
        pass
    assert api.decide("u01")["offer_id"]
