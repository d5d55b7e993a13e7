"""Settings are replaced with their version alone, a cart has one currency, and the codes of a promotion are used."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serve_helpers import CAMPAIGN, Api, claim, coded, planned, released, serving
from sqlalchemy import update

from promolift.core.offers.terms import Benefit
from promolift.server.ledger.schema import CODES

LIMITS, RESERVE = "/v1/limits", "/v1/redemptions:reserve"
LINE = {"line_id": "1", "product_id": "p-tea", "category": "tea", "quantity": 1, "price_cents": 15000}
TERMS = {"campaign_id": CAMPAIGN, "benefit": {"type": "amount_off", "amount_cents": 400}}


def limit(name: str, amount: int = 5) -> dict[str, Any]:
    return {"limit_id": name, "metric": "redemptions", "amount": amount}


def tag(api: Api, path: str) -> str:
    reply = api.client.get(path, headers={"authorization": f"Bearer {api.key}"})
    return str(reply.headers["etag"])


def test_shared_limits_that_somebody_else_set_are_not_dropped_unseen(api: Api) -> None:
    api("PUT", LIMITS, {"limits": [limit("mine")]})
    api("PUT", LIMITS, {"limits": [limit("mine")]})  # nothing is lost
    seen = tag(api, LIMITS)
    assert api("PUT", LIMITS, {"limits": [limit("yours")]}, 428)["code"] == "version_needed"
    assert api("PUT", LIMITS, {"limits": [limit("mine", 6)]}, 428)["code"] == "version_needed"
    api("PUT", LIMITS, {"limits": [limit("mine"), limit("yours")]})
    assert api("PUT", LIMITS, {"limits": []}, 412, if_match=seen)["code"] == "version_changed"
    assert [each["limit_id"] for each in api("GET", LIMITS)["data"]] == ["mine", "yours"]
    api("PUT", LIMITS, {"limits": [limit("yours", 7)]}, if_match=tag(api, LIMITS))
    assert [each["amount"] for each in api("GET", LIMITS)["data"]] == [7]


def test_a_promotion_is_replaced_and_deleted_by_who_read_it_as_it_is(api: Api) -> None:
    path = "/v1/promotions/p"
    assert api("PUT", path, TERMS, 412, if_match='"other"')["code"] == "version_changed"
    api("PUT", path, TERMS)
    api("PUT", path, TERMS)
    seen = tag(api, path)
    assert api("GET", path)["promotion_id"] == "p"
    changed = TERMS | {"min_spend_cents": 900}
    assert api("PUT", path, changed, 428)["code"] == "version_needed"
    api("PUT", path, changed, if_match=seen)
    assert api("PUT", path, TERMS, 412, if_match=seen)["code"] == "version_changed"
    assert api("DELETE", path, status=412, if_match=seen)["code"] == "version_changed"
    assert api("GET", path)["terms"]["min_spend_cents"] == 900
    api("DELETE", path, if_match=tag(api, path))
    assert api("GET", path, status=404)["code"] == "promotion_unknown"


def test_a_star_says_that_there_is_something_and_names_no_version(api: Api) -> None:
    """RFC 9110, 13.1.1: `*` holds where there is any representation, so it protects nobody from being overwritten."""
    other, path = other_admin(api), "/v1/promotions/p"
    assert api("PUT", path, TERMS, 412, if_match="*")["code"] == "version_changed"
    api("PUT", path, TERMS)
    changed = TERMS | {"min_spend_cents": 900}
    for star in ("*", " * "):
        assert api("PUT", path, changed, 428, if_match=star)["code"] == "version_needed"
    assert api("PUT", path, changed, 412, if_match='*, "other"')["code"] == "version_changed"
    api("PUT", path, TERMS, if_match="*")  # nothing is lost
    api("PUT", LIMITS, {"limits": [limit("mine")]})
    assert other("PUT", LIMITS, {"limits": []}, 428, if_match="*")["code"] == "version_needed"
    api("PATCH", POLICY, {"limits": [limit("mine")], "policy": {"explore": 0.02}})
    assert other("PATCH", POLICY, {"limits": []}, 428, if_match="*")["code"] == "version_needed"
    assert other("PUT", POLICY, {"limits": [limit("mine")]}, 428, if_match="*")["code"] == "version_needed"
    other("PATCH", POLICY, {"paused": True}, if_match="*")
    assert api("PATCH", "/v1/campaigns/none", {}, 404, if_match="*")["code"] == "campaign_unknown"


def test_a_promotion_of_another_is_deleted_by_who_read_it(api: Api) -> None:
    other, path = other_admin(api), "/v1/promotions/p"
    api("PUT", path, TERMS)
    for header in ({}, {"if_match": "*"}):
        assert other("DELETE", path, status=428, **header)["code"] == "version_needed"
    changed = TERMS | {"min_spend_cents": 900}
    other("PUT", path, changed, if_match=tag(api, path))
    assert api("DELETE", path, status=428)["code"] == "version_needed"  # it is another's by now
    api("PUT", path, changed)  # changes nothing, so it stays theirs
    assert api("DELETE", path, status=428)["code"] == "version_needed"
    other("DELETE", path)  # one's own
    api("PUT", path, TERMS)
    other("DELETE", path, if_match=tag(api, path))
    assert api("GET", path, status=404)["code"] == "promotion_unknown"


OWNERS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(("read", "write", "write blind", "write star")), st.integers(1, 9)),
    max_size=14,
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=OWNERS)
def test_no_owner_loses_what_another_set_since_they_read(shared: Api, steps: list[tuple[int, str, int]]) -> None:
    """Each owner keeps the limit of their number; whatever they write, what they did not see stays as it was."""
    shared("PUT", LIMITS, {"limits": []}, if_match=tag(shared, LIMITS))
    seen: dict[int, tuple[str, dict[str, int]]] = {}
    real: dict[str, int] = {}
    for owner, step, amount in steps:
        if step == "read":
            seen[owner] = tag(shared, LIMITS), dict(real)
            continue
        version, known = seen.get(owner, ("", {}))
        wanted = known | {str(owner): amount}
        body = {"limits": [limit(name, each) for name, each in wanted.items()]}
        header = {"if_match": version} if version and step == "write" else {}
        header = {"if_match": "*"} if step == "write star" else header
        reply = shared("PUT", LIMITS, body, None, **header)
        stored = {each["limit_id"]: each["amount"] for each in shared("GET", LIMITS)["data"]}
        if "data" in reply:
            others = {name: each for name, each in real.items() if name != str(owner)}
            assert others.items() <= stored.items()
            real = stored
        assert stored == real


def other_admin(api: Api) -> Api:
    """Another person's key on the same server."""
    return Api(api.client, api("POST", "/v1/keys", {"scope": "admin", "name": "other"}, 201)["key"])


POLICY = f"/v1/campaigns/{CAMPAIGN}"


def test_a_patch_drops_and_changes_no_limit_of_another_unseen(api: Api) -> None:
    other = other_admin(api)
    api("PATCH", POLICY, {"limits": [limit("mine")]})
    for limits in ([], [limit("yours")], [limit("mine", 6)], [limit("mine") | {"period": "day"}]):
        assert other("PATCH", POLICY, {"limits": limits}, 428)["code"] == "version_needed"
    assert other("PATCH", POLICY, {"limits": None}, 428)["code"] == "version_needed"
    assert other("PUT", POLICY, {"limits": [limit("mine", 6)]}, 428)["code"] == "version_needed"
    seen = tag(api, POLICY)
    other("PATCH", POLICY, {"limits": [limit("mine"), limit("yours")]})  # adds
    other("PATCH", POLICY, {"limits": [limit("yours", 8), limit("mine")]})  # changes their own alone
    other("PATCH", POLICY, {"paused": False})
    assert other("PATCH", POLICY, {"limits": []}, 412, if_match=seen)["code"] == "version_changed"
    assert {each["limit_id"] for each in api("GET", POLICY)["limits"]} >= {"mine", "yours"}
    assert api("PATCH", POLICY, {"limits": [limit("mine")]}, 428)["code"] == "version_needed"
    api("PATCH", POLICY, {"limits": [limit("mine")]}, if_match=tag(api, POLICY))
    api("PATCH", POLICY, {"limits": [limit("mine", 3)]})
    api("PATCH", POLICY, {"limits": []})


PATCHES = st.lists(
    st.tuples(st.integers(0, 1), st.dictionaries(st.sampled_from("abc"), st.integers(1, 3), max_size=3), st.booleans()),
    min_size=1,
    max_size=10,
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=PATCHES)
def test_no_patch_without_a_version_moves_what_another_set(
    shared: Api, steps: list[tuple[int, dict[str, int], bool]]
) -> None:
    """Whatever two owners send, a limit that the other one set last goes and changes with its version alone."""
    owners = [shared, other_admin(shared)]
    owners[0]("PATCH", POLICY, {"limits": []}, if_match=tag(shared, POLICY))
    real: dict[str, tuple[int, int]] = {}  # its amount, and who set it
    for who, wanted, versioned in steps:
        header = {"if_match": tag(shared, POLICY)} if versioned else {}
        body = {"limits": [limit(name, amount) for name, amount in wanted.items()]}
        reply = owners[who]("PATCH", POLICY, body, None, **header)
        of_others = any(owner != who and wanted.get(name) != amount for name, (amount, owner) in real.items())
        assert reply.get("code") == ("version_needed" if of_others and not versioned else None)
        if "code" not in reply:
            same = {name: each for name, each in real.items() if wanted.get(name) == each[0]}
            real = {name: (amount, who) for name, amount in wanted.items()} | same
        stored = {each["limit_id"]: each["amount"] for each in shared("GET", POLICY)["limits"]}
        del stored["release-budget"]
        assert stored == {name: amount for name, (amount, _) in real.items()}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("shared")
    with serving(folder, planned(folder)) as api:
        released(api)
        yield api


@pytest.mark.parametrize("codes_first", [True, False])
def test_the_codes_of_a_promotion_are_used_once_each_in_its_time(api: Api, codes_first: bool) -> None:
    terms = TERMS | {"holder": "code", "expires": "2030-01-01T00:00:00Z"}
    stock = {"offer_id": "spring", "codes": ["SPRING-1", "SPRING-2"]}
    for step in (0, 1) if codes_first else (1, 0):
        if step == 0:
            api("POST", f"/v1/campaigns/{CAMPAIGN}/codes", stock)
        else:
            api("PUT", "/v1/promotions/spring", terms)
    cart = {"customer_id": "u01", "lines": [LINE], "codes": ["spring-1"], "hold": True, "decision_ids": []}
    (applied,) = api("POST", "/v1/carts:price", cart)["applied"]
    assert (applied["promotion_id"], applied["code"], applied["discount_cents"]) == ("spring", "SPRING-1", 400)
    again = api("POST", "/v1/carts:price", cart | {"customer_id": "u02"})
    assert [each["reason"] for each in again["refused"]] == ["code_used"]
    alone = {"customer_id": "u03", "code": "SPRING-2", "amount_cents": 401}
    assert api("POST", RESERVE, alone, 409)["code"] == "above_cap"
    assert api("POST", RESERVE, alone | {"amount_cents": 400})["status"] == "reserved"
    api("POST", f"/v1/campaigns/{CAMPAIGN}/codes", {"offer_id": "spring", "codes": ["SPRING-3"]})
    over = terms | {"expires": "2001-01-01T00:00:00Z"}
    api("PUT", "/v1/promotions/spring", over, if_match=tag(api, "/v1/promotions/spring"))
    late = {"customer_id": "u03", "code": "SPRING-3", "amount_cents": 1}
    assert api("POST", RESERVE, late, 409)["code"] == "code_expired"


def test_a_reservation_is_never_above_what_the_order_is_worth(api: Api) -> None:
    coded(api)
    assert api("POST", RESERVE, claim(1, 1000, order_cents=999), 409)["code"] == "above_order"
    assert api("POST", RESERVE, claim(1, 999, order_cents=999))["status"] == "reserved"


BENEFITS: tuple[tuple[dict[str, Any], int], ...] = (  # and what each takes off an order worth 3000, threshold 1000
    ({"type": "percent_off", "percent": 15}, 450),
    ({"type": "percent_off", "percent": 15, "max_discount_cents": 200}, 200),
    ({"type": "amount_off", "amount_cents": 400}, 400),
    ({"type": "free_shipping"}, 2000),
    ({"type": "fixed_price", "price_cents": 900}, 2100),
    ({"type": "buy_x_get_y", "buy": 2, "get": 1, "percent": 50}, 500),
    ({"type": "gift", "product_id": "mug", "worth_cents": 350}, 350),
    ({"type": "points", "points": 100}, 0),
    ({"type": "exchange", "product_id": "mug", "price_cents": 200}, 1800),
)


@pytest.mark.parametrize("holder", ["everybody", "code"])
def test_no_reservation_is_above_what_the_terms_give_on_the_stated_order(api: Api, holder: str) -> None:
    """Each kind of benefit: what it gives at most is held; a cent more, or an order below its threshold, is not."""
    for at, (benefit, most) in enumerate(BENEFITS):
        name = f"p{at}"
        terms = {"campaign_id": CAMPAIGN, "benefit": benefit, "min_spend_cents": 1000, "holder": holder}
        api("PUT", f"/v1/promotions/{name}", terms)
        if holder == "code":
            api("POST", f"/v1/campaigns/{CAMPAIGN}/codes", {"offer_id": name, "codes": [f"C{at}"]})
        else:
            coded(api, at, at + 1, name)
        asked = claim(at, most + 1, order_cents=3000, redemption_id=f"rdm_{holder}_{at}")
        assert api("POST", RESERVE, asked, 409)["code"] == "above_cap", benefit
        low = asked | {"amount_cents": 0, "order_cents": 999}
        assert api("POST", RESERVE, low, 409)["code"] == "below_threshold", benefit
        part = asked | {"amount_cents": most // 2, "redemption_id": f"part_{holder}_{at}"}
        assert api("POST", RESERVE, part)["status"] == "reserved", benefit
        api("POST", "/v1/redemptions:rollback", {"redemption_id": part["redemption_id"]})
        if holder == "everybody" or benefit.get("max_discount_cents", benefit.get("amount_cents")) is None:
            unstated = part | {"amount_cents": most + 1, "order_cents": None, "redemption_id": f"no_{holder}_{at}"}
            assert api("POST", RESERVE, unstated)["status"] == "reserved", benefit  # only the code's cap holds
            api("POST", "/v1/redemptions:rollback", {"redemption_id": unstated["redemption_id"]})
        held = asked | {"amount_cents": most}
        assert api("POST", RESERVE, held) == api("POST", RESERVE, held)  # a retry is the same reservation
        api("POST", "/v1/redemptions:confirm", {"redemption_id": held["redemption_id"], "amount_cents": most // 2})
        api("POST", "/v1/redemptions:rollback", {"redemption_id": held["redemption_id"]})


def test_a_decided_offer_is_held_by_the_terms_it_was_given_with_loaded_where_needed(api: Api) -> None:
    made = next(each for each in map(api.decide, map("u{:02d}".format, range(60))) if each["offer_id"] != "none")
    percent, who = made["offer"]["benefit"]["percent"], made["customer_id"]
    by_decision = {"customer_id": who, "decision_id": made["decision_id"], "order_cents": 1000}
    by_code = {"customer_id": who, "code": made["code"], "order_cents": 1000}
    for asked in (by_decision, by_code):
        api.server.decider.releases = {}
        over = asked | {"amount_cents": 10 * percent + 1}
        assert api("POST", RESERVE, over, 409, idempotency_key="/".join(asked))["code"] == "above_cap"
        held = api("POST", RESERVE, asked | {"amount_cents": 10 * percent})
        api("POST", "/v1/redemptions:rollback", {"redemption_id": held["redemption_id"]})


def test_a_release_that_cannot_be_read_holds_nothing_of_a_stated_order(api: Api) -> None:
    made = next(each for each in map(api.decide, map("u{:02d}".format, range(60))) if each["offer_id"] != "none")
    asked = {"customer_id": made["customer_id"], "decision_id": made["decision_id"], "amount_cents": 1}
    folder = api.server.settings.work / "serve" / "releases" / made["release_id"]
    api.server.decider.releases = {}
    (folder / "manifest.json").rename(folder / "away.json")
    assert api("POST", RESERVE, asked | {"order_cents": 1000}, 422)["code"] == "terms_gone"
    (folder / "away.json").rename(folder / "manifest.json")
    assert api("POST", RESERVE, asked | {"order_cents": 1000})["status"] == "reserved"


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    at=st.integers(0, len(BENEFITS) - 1),
    order=st.integers(0, 9000),
    asked=st.integers(0, 3900),  # within the release's budget
    least=st.integers(401, 4000),
)
def test_what_is_held_of_a_drawn_order_is_what_the_terms_give_or_less(
    shared: Api, at: int, order: int, asked: int, least: int
) -> None:
    benefit, name = BENEFITS[at][0], "drawn"
    terms = {"campaign_id": CAMPAIGN, "benefit": benefit, "min_spend_cents": least, "holder": "code"}
    shared("DELETE", f"/v1/promotions/{name}", status=None)
    shared("PUT", f"/v1/promotions/{name}", terms)
    shared("POST", f"/v1/campaigns/{CAMPAIGN}/codes", {"offer_id": name, "codes": ["DRAWN"]})
    api_codes = update(CODES).where(CODES.c.code == "DRAWN").values(status="issued")
    shared.server.ledger.write(lambda db, some: [db.execute(api_codes) and None for _ in some])
    body = {"customer_id": "u01", "code": "DRAWN", "amount_cents": asked, "order_cents": order}
    reply = shared("POST", RESERVE, body, None)
    most = Benefit(**benefit).most_off_cents(order, least)
    assert ("redemption_id" in reply) == (order >= least and asked <= min(most, order)), reply
    if "redemption_id" in reply:
        shared("POST", "/v1/redemptions:rollback", {"redemption_id": reply["redemption_id"]})


def ucp(currency: str, /, **more: Any) -> dict[str, Any]:
    item = {"id": "1", "item": {"id": "p-tea", "price": 15000} | more, "quantity": 1}
    return {"customer_id": "u01", "cart": {"id": "c", "currency": currency, "line_items": [item]}}


def shopify(*currencies: str) -> dict[str, Any]:
    lines = [
        {"id": str(at), "quantity": 1, "cost": {"amountPerQuantity": {"amount": "150", "currencyCode": currency}}}
        for at, currency in enumerate(currencies)
    ]
    return {"cart": {"lines": lines}}


def test_a_cart_has_one_currency_which_is_that_of_the_offers(api: Api) -> None:
    api("PUT", "/v1/promotions/p", TERMS)
    cart = {"customer_id": "u01", "lines": [LINE]}
    assert api("POST", "/v1/carts:price", cart | {"currency": "USD"})["currency"] == "USD"
    price = {"customer_id": "u01", "items": [{"product_id": "p-tea", "price_cents": 15000}]}
    asked = {
        "/v1/carts:price": cart | {"currency": "EUR"}, "/v1/prices": price | {"currency": "EUR"},
        "/v1/carts:ucp": ucp("EUR"), "/v1/carts:shopify": shopify("JPY", "JPY"),
    }  # fmt: skip
    for path, body in asked.items():
        assert api("POST", path, body, 422)["code"] == "currency_differs", path
    held = cart | {"currency": "EUR", "hold": True}
    assert api("POST", "/v1/carts:price", held, 422)["code"] == "currency_differs"
    assert api("POST", "/v1/carts:shopify", shopify("USD", "JPY"), 422)["errors"][0]["pointer"] == "/cart"
    assert api("POST", "/v1/carts:ucp", ucp("USD"))["discounts"]["applied"][0]["amount"] == 400


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(currencies=st.lists(st.sampled_from(("USD", "EUR", "JPY", "KWD")), min_size=1, max_size=4))
def test_no_drawn_cart_gets_money_of_another_currency(shared: Api, currencies: list[str]) -> None:
    shared("PUT", "/v1/promotions/p", TERMS)
    found = shared("POST", "/v1/carts:shopify", shopify(*currencies), None)
    assert ("operations" in found) == (set(currencies) == {"USD"})
    if "operations" in found:
        off = [
            each["value"]["fixedAmount"]["amount"]
            for each in found["operations"][0]["productDiscountsAdd"]["candidates"]
        ]
        assert sum(round(100 * float(each)) for each in off) == 400


def test_campaigns_of_two_currencies_never_meet_in_one_cart(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        for currency, campaign in (("USD", "cmp_usd"), ("EUR", "cmp_eur")):
            config = planned(tmp_path, campaign=campaign)
            assert config.shop.currency == "USD"
            replan(tmp_path, campaign, currency)
            released(api)
            terms = TERMS | {"campaign_id": campaign, "stacking": {"category": currency}}
            api("PUT", f"/v1/promotions/{currency.lower()}", terms)
        cart = {"customer_id": "u01", "lines": [LINE]}
        assert api("POST", "/v1/carts:price", cart, 422)["code"] == "currency_needed"
        for currency in ("USD", "EUR"):
            found = api("POST", "/v1/carts:price", cart | {"currency": currency})
            assert found["currency"] == currency
            assert {each["promotion_id"] for each in found["applied"]} <= {currency.lower()}
        assert api("POST", "/v1/carts:price", cart | {"campaign_id": "cmp_eur"})["currency"] == "EUR"


DOORS = ("/v1/carts:price", "/v1/prices", "/v1/carts:ucp", "/v1/carts:shopify", "hold", RESERVE)


def priced(api: Api, door: str, currency: str | None, number: int) -> Any:
    """The answer of a door to a cart, page or order in this currency, of the campaign without a release."""
    cart = {"customer_id": "u01", "lines": [LINE], "campaign_id": "cmp_new"}
    price = {"customer_id": "u01", "campaign_id": "cmp_new", "items": [{"product_id": "p-tea", "price_cents": 15000}]}
    body: dict[str, Any] = {
        "/v1/carts:price": cart | {"currency": currency}, "/v1/prices": price | {"currency": currency},
        "hold": cart | {"currency": currency, "hold": True, "order_id": str(number)},
        "/v1/carts:ucp": ucp(currency or "USD"), "/v1/carts:shopify": shopify(currency or "USD"),
        RESERVE: claim(number, 1, currency=currency),
    }[door]  # fmt: skip
    return api("POST", "/v1/carts:price" if door == "hold" else door, body, None)


def opened(api: Api) -> None:
    """A campaign without a release, with a promotion for everybody and codes of it."""
    api("PUT", "/v1/campaigns/cmp_new", {})
    api("PUT", "/v1/promotions/new", TERMS | {"campaign_id": "cmp_new"})
    coded(api, 0, 40, "new", "cmp_new")


def test_a_campaign_without_a_release_has_the_currency_of_the_shop(tmp_path: Path) -> None:
    with serving(tmp_path, planned(tmp_path)) as api:
        opened(api)
        for number, door in enumerate(DOORS):
            assert priced(api, door, "EUR", number).get("code") == "currency_differs", door
            assert priced(api, door, "USD", number).get("code") in (None, f"C{number}"), door
            assert priced(api, door, None, number + 20).get("status") in (None, "reserved"), door
    with serving(tmp_path) as other:  # a server without promolift.toml hears it from the ledger
        assert priced(Api(other.client, api.key), "/v1/carts:price", "EUR", 39)["code"] == "currency_differs"


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(st.sampled_from(DOORS), st.sampled_from(("USD", "EUR", None))), max_size=8))
def test_money_of_a_campaign_is_held_in_one_currency_whoever_comes_first(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str | None]]
) -> None:
    """Where neither a release nor promolift.toml says it, the first currency that money was held in counts."""
    with serving(tmp_path_factory.mktemp("first")) as api:
        opened(api)
        first = None
        for number, (door, currency) in enumerate(steps):
            said = currency or ("USD" if door in ("/v1/carts:ucp", "/v1/carts:shopify") else None)
            reply = priced(api, door, currency, number)
            refused = reply.get("code") == "currency_differs"
            assert refused == (None not in (first, said) and first != said), (door, currency, first)
            first = first or (currency if door in ("hold", RESERVE) else None)


def test_amounts_of_a_ucp_cart_are_in_its_currency_wherever_they_stand(api: Api) -> None:
    api("PUT", "/v1/promotions/p", TERMS)
    for more in ({"currency": "EUR"}, {"price_currency": "EUR"}, {"unit": {"currencyCode": "JPY"}}):
        reply = api("POST", "/v1/carts:ucp", ucp("USD", **more), 422)
        assert reply["errors"][0]["pointer"] == "/cart", more
    cart = ucp("USD")
    cart["cart"]["totals"] = [{"type": "fulfillment", "amount": 500, "currency": "EUR"}]
    assert api("POST", "/v1/carts:ucp", cart, 422)["errors"][0]["pointer"] == "/cart"
    assert api("POST", "/v1/carts:ucp", ucp("USD", currency="USD"))["discounts"]["applied"][0]["amount"] == 400


def test_a_decision_in_another_currency_takes_nothing_off_a_cart_that_names_none(tmp_path: Path) -> None:
    with serving(tmp_path) as api:
        planned(tmp_path)
        released(api)
        made = next(each for each in map(api.decide, map("u{:02d}".format, range(60))) if each["offer_id"] != "none")
        replan(tmp_path, CAMPAIGN, "EUR")
        released(api)
        line = LINE | {"product_id": f"p-{made['offer']['covers']}", "category": made["offer"]["covers"]}
        cart = {"customer_id": made["customer_id"], "lines": [line], "decision_ids": [made["decision_id"]]}
        found = api("POST", "/v1/carts:price", cart)
        assert (found["currency"], found["applied"]) == ("EUR", [])
        assert [each["reason"] for each in found["refused"]] == ["currency_differs"]


def replan(folder: Path, campaign: str, currency: str) -> None:
    """The stored plan, in another currency."""
    from promolift.foundation.storage.local_store import Store
    from promolift.shop.results.plan_note import PlanNote

    with Store(folder) as store:
        note = PlanNote.load(store)
        assert note.terms.campaign_id == campaign
        store.save_json("plan", note.model_copy(update={
            "shop": note.shop.model_copy(update={"currency": currency}),
        }).model_dump(mode="json"))  # fmt: skip
