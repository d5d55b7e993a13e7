"""What a customer may know of their data, asked of a server."""

from typing import Any

from serve_helpers import PEOPLE, Api


def offered(api: Api) -> str:
    """The first customer who is given an offer."""
    return next(who for who in PEOPLE if api.decide(who)["offer_id"] != "none")


def parts_of(api: Api, who: str, language: str = "en") -> dict[str, Any]:
    """What the customer is told, by what it is about."""
    told = api("GET", f"/v1/privacy/{who}:explain?language={language}")
    assert told["language"] == language
    assert told["text"] == "\n\n".join(f"{each['title']}\n{each['text']}" for each in told["parts"])
    return {each["about"]: each["text"] for each in told["parts"]}


def test_a_customer_is_told_what_is_kept_and_how_they_refuse(api: Api) -> None:
    who = offered(api)
    bought = {"userId": who, "event": "Order Completed", "messageId": "m", "properties": {"order_id": "o"}}
    api("POST", "/v1/track", bought, 202)
    parts = parts_of(api, who)
    assert list(parts) == ["controller", "data", "purpose", "logic", "decision", "receivers", "kept", "refuse"]
    assert "visits, carts, orders (1)" in parts["data"]
    assert "decisions about offers for you (1)" in parts["data"]
    assert "allowed by consent" in parts["purpose"]
    assert parts["receivers"] == "Nobody outside the shop."
    hook = {"url": "https://93.184.216.34/", "events": ["customer.erased"]}
    api("POST", "/v1/webhooks", hook, 201)
    assert "93.184.216.34" in parts_of(api, who)["receivers"]


def test_a_chinese_customer_reads_chinese(api: Api) -> None:
    parts = parts_of(api, offered(api), "zh")
    assert "您" in parts["logic"]
    assert not [text for text in parts.values() for word in ("the ", "your", "offer") if word in text]


def test_who_was_held_out_is_told_that_it_was_random(api: Api) -> None:
    held = next(who for who in PEOPLE if api.decide(who)["holdout"])
    assert "drawn at random to get none" in parts_of(api, held)["decision"]


def test_of_an_erased_or_unknown_customer_nothing_is_told(api: Api) -> None:
    assert parts_of(api, "nobody")["data"] == "Nothing is kept under this id."
    who = offered(api)
    api("POST", f"/v1/privacy/{who}:erase")
    parts = parts_of(api, who)
    assert parts["decision"] == "None was made."
    assert "You are sent no offers now." in parts["refuse"]
