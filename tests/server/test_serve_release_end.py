"""A release ends with its days, spends no more than its budget, and no single redemption exceeds what it planned."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger_helpers import check_books
from serve_helpers import CAMPAIGN, PEOPLE, Api, claim, coded, derived, planned, released, serving

from promolift.foundation.time.clock import DAY_MS
from promolift.server.ledger.records import Campaign
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.release import read_manifest

POLICY, RESERVE, BUDGET = f"/v1/campaigns/{CAMPAIGN}", "/v1/redemptions:reserve", 4000


def offered(api: Api) -> dict[str, Any]:
    return next(made for made in map(api.decide, PEOPLE) if made["offer_id"] != "none")


def use(made: dict[str, Any], cents: int, **more: Any) -> dict[str, Any]:
    return {"customer_id": made["customer_id"], "decision_id": made["decision_id"], "amount_cents": cents} | more


def later(api: Api, days: float) -> None:
    """The server's clock, its steady one too, goes on by so many days."""
    clock, move = api.server.clock, round(days * DAY_MS)
    wall, steady = clock._wall, clock._steady
    clock._wall, clock._steady = lambda: wall() + move, lambda: steady() + move


def own_limit(api: Api) -> dict[str, Any] | None:
    limits = api("GET", POLICY)["limits"]
    return next((each for each in limits if each["limit_id"] == "release-budget"), None)


def doors(api: Api, who: str) -> dict[str, tuple[str, str]]:
    """What each door gives a customer, and why."""
    asked = {"customer_id": who, "campaign_id": CAMPAIGN}
    flag = api("POST", f"/ofrep/v1/evaluate/flags/{CAMPAIGN}", {"context": {"targetingKey": who}})
    flags = api("POST", "/ofrep/v1/evaluate/flags", {"context": {"targetingKey": who}})["flags"]
    batch = api("POST", "/v1/decisions:batch", {"customer_ids": [who], "campaign_id": CAMPAIGN})["data"][0]
    keyed = api("POST", "/v1/decisions", asked, Idempotency_Key=f"k-{who}-{api.server.clock.now_ms()}")
    said = [api("POST", "/v1/decisions", asked), api("POST", "/v1/decisions:dry", asked), keyed]
    return {
        **{name: (each["offer_id"], each["reason"]) for name, each in zip(("one", "dry", "keyed"), said, strict=True)},
        "batch": (batch["offer_id"], batch["reason"]), "flag": (flag["value"], flag["metadata"]["why"]),
        "flags": (flags[0]["value"], flags[0]["metadata"]["why"]),
    }  # fmt: skip


def test_after_its_days_a_release_serves_nothing_through_any_door_and_says_so(api: Api) -> None:
    made = offered(api)
    period = api("GET", POLICY)["periods"][made["release_id"]]
    ends = datetime.fromtimestamp(period["ends_ms"] / 1000, UTC)
    assert (ends.hour, ends.minute, ends.second) == (23, 59, 59)
    assert 27 * DAY_MS < period["ends_ms"] - period["starts_ms"] < 28 * DAY_MS
    assert {offer for offer, _ in doors(api, made["customer_id"]).values()} == {made["offer_id"]}
    later(api, 28)
    for door, (offer, why) in doors(api, made["customer_id"]).items():
        assert offer == "none", door
        assert why.startswith("release_ended: "), door
    line = {"line_id": "1", "product_id": "p-tea", "category": "tea", "quantity": 1, "price_cents": 9000}
    cart = api("POST", "/v1/carts:price", {"customer_id": made["customer_id"], "lines": [line], "hold": True})
    assert cart["applied"] == []
    assert api("POST", RESERVE, use(made, 1), 409)["code"] == "code_expired"
    again = api("POST", f"/v1/releases/{made['release_id']}:activate", status=409)
    assert again["code"] == "release_ended"
    assert again["reason"]["zh"]


def test_an_offer_given_on_the_last_day_is_printed_and_redeemed_until_the_end_of_the_release(api: Api) -> None:
    who = offered(api)["customer_id"]
    later(api, 26)
    made = api.decide(who)
    end_ms = api("GET", POLICY)["periods"][made["release_id"]]["ends_ms"]
    assert datetime.fromisoformat(made["offer"]["expires"]).timestamp() * 1000 <= end_ms
    code = api("POST", "/v1/codes:validate", {"code": made["code"], "customer_id": who})
    assert code["valid"]
    assert code["expires_ms"] <= end_ms


def test_a_release_has_a_limit_of_its_budget_and_a_cap_per_redemption(api: Api) -> None:
    made = offered(api)
    limit = own_limit(api)
    assert limit is not None
    assert (limit["metric"], limit["amount"], limit["per"], limit["period"]) == (
        "discount_amount", BUDGET, "campaign", "total",
    )  # fmt: skip
    assert api("POST", RESERVE, use(made, 10**12), 409)["code"] == "above_cap"
    code = api("POST", "/v1/codes:validate", {"code": made["code"], "customer_id": made["customer_id"]})
    assert 0 < code["cap_cents"] <= BUDGET


def test_the_owner_cannot_put_away_the_budget_of_the_release(api: Api) -> None:
    mine = {"limit_id": "mine", "metric": "redemptions", "amount": 5}
    tag = api.client.get(POLICY, headers={"authorization": f"Bearer {api.key}"}).headers["etag"]
    api("PUT", POLICY, {"limits": [mine]}, if_match=tag)
    api("PATCH", POLICY, {"limits": []})
    tag = api.client.get(POLICY, headers={"authorization": f"Bearer {api.key}"}).headers["etag"]
    api("PUT", POLICY, {}, if_match=tag)
    assert own_limit(api) is not None
    taken = {"limit_id": "release-budget", "metric": "discount_amount", "amount": 10**12}
    assert api("PATCH", POLICY, {"limits": [taken], "paused": True}, 422)["code"] == "limit_id_taken"
    kept = api("PATCH", POLICY, {"limits": [taken | {"amount": BUDGET}, mine]})  # as it was read
    assert ([each["amount"] for each in kept["limits"]], kept["paused"]) == ([5, BUDGET], False)


def test_what_was_spent_before_a_release_is_not_counted_against_its_budget(api: Api, folder: Path) -> None:
    coded(api, last=9)
    first = api("GET", POLICY)["release"]
    assert api("POST", RESERVE, claim(1, BUDGET - 100))["status"] == "reserved"
    assert api("POST", RESERVE, claim(2, 101), 409)["code"] == "limit_reached"
    later(api, 1)
    terms = read_manifest(folder / "serve" / "releases" / first, first).terms
    second = derived(folder, first, terms.model_copy(update={"seed": 5}))
    api("POST", f"/v1/releases/{second}:activate")
    assert api("POST", RESERVE, claim(3, BUDGET))["status"] == "reserved"
    assert api("POST", RESERVE, claim(4, 1), 409)["code"] == "limit_reached"
    api("POST", f"{POLICY}:rollback")  # the first again: all since its start counts
    assert api("POST", RESERVE, claim(5, 1), 409)["code"] == "limit_reached"
    check_books(api.server.ledger)


def test_the_same_plan_in_another_release_has_no_second_budget_and_no_later_end(api: Api) -> None:
    """An erasure leaves the plan as it was, and asks for a new release of it, whose files are others."""
    coded(api, last=9)
    first = api("GET", POLICY)["release"]
    assert api("POST", RESERVE, claim(1, BUDGET - 100))["status"] == "reserved"
    api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_1"})
    later(api, 3)
    api("POST", f"/v1/privacy/{PEOPLE[11]}:erase", {})
    second = released(api)
    periods = api("GET", POLICY)["periods"]
    assert second != first
    assert periods[second] == periods[first]
    assert api("POST", RESERVE, claim(2, 101), 409)["code"] == "limit_reached"
    assert api("POST", RESERVE, claim(3, 100))["status"] == "reserved"
    later(api, 40)
    api("POST", f"/v1/privacy/{PEOPLE[12]}:erase", {})
    assert released(api) not in (first, second)
    assert {offer for offer, _ in doors(api, PEOPLE[0]).values()} == {"none"}
    check_books(api.server.ledger)


def test_a_release_that_an_earlier_version_activated_ends_by_its_plan(shop: tuple[Path, Config], folder: Path) -> None:
    with serving(folder, shop[1]) as api:
        released(api)
        key = api.key

        def as_before(db: Any, some: list[None]) -> list[None]:
            state = Campaign.load(db, CAMPAIGN)
            bare = {name: each for name, each in state.to_json().items() if name != "periods"}
            Campaign.model_validate(bare).save(db, CAMPAIGN, 1)
            db.exec_driver_sql("delete from limits")
            db.exec_driver_sql("delete from usage")
            return some

        api.server.ledger.write(as_before)
        assert own_limit(api) is None
    with serving(folder, shop[1]) as api:
        api.key = key
        made = offered(api)
        assert own_limit(api) is not None
        assert made["release_id"] in api("GET", POLICY)["periods"]
        later(api, 28)
        assert api.decide(made["customer_id"])["reason"].startswith("release_ended: ")


@pytest.fixture(scope="module")
def long_lived(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One server for many drawn orders of reservations, over a plan of 9 days."""
    folder = tmp_path_factory.mktemp("long")
    with serving(folder, planned(folder, window_days=9)) as api:
        released(api)
        coded(api, last=20_000)
        yield api


STEP = st.tuples(st.sampled_from(("reserve", "confirm", "rollback", "limits", "activate")), st.integers(1, 6000))


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, min_size=5, max_size=25))
def test_no_order_of_changes_spends_more_than_the_budget(long_lived: Api, steps: list[tuple[str, int]]) -> None:
    api, owner = long_lived, {"limit_id": "own", "metric": "discount_amount"}
    held: list[str] = []
    for step, cents in steps:
        if step == "reserve":
            api.number = getattr(api, "number", 0) + 1  # type: ignore[attr-defined]
            wish = claim(api.number, cents, redemption_id=f"rdm_{api.number}")  # type: ignore[attr-defined]
            held += [wish["redemption_id"]] if "code" not in api("POST", RESERVE, wish, None).get("title", "") else []
        elif step == "limits":
            api("PATCH", POLICY, {"limits": [owner | {"amount": 10**9 + cents}]})
        elif step == "activate":
            api("POST", f"/v1/releases/{api('GET', POLICY)['release']}:activate")
        elif held:
            api("POST", f"/v1/redemptions:{step}", {"redemption_id": held[cents % len(held)]}, None)
        limit = own_limit(api)
        assert limit is not None
        assert limit["held"] + limit["spent"] <= BUDGET
    counts = api("GET", f"{POLICY}/summary")
    assert counts["held_cents"] + counts["spent_cents"] <= BUDGET


def test_a_code_lives_as_long_as_its_offer_is_printed_and_never_beyond_the_release(api: Api) -> None:
    who = offered(api)["customer_id"]
    for _ in range(27):
        later(api, 1)
        made = api.decide(who)
        end_ms = api("GET", POLICY)["periods"][made["release_id"]]["ends_ms"]
        code = api("POST", "/v1/codes:validate", {"code": made["code"], "customer_id": who})
        printed_ms = datetime.fromisoformat(made["offer"]["expires"]).timestamp() * 1000
        assert code["valid"]
        assert printed_ms <= code["expires_ms"] <= end_ms


@pytest.mark.parametrize("days", [1, 3, 9, 40])
def test_the_days_of_a_release_are_those_of_its_plan(tmp_path: Path, days: int) -> None:
    config = planned(tmp_path, window_days=days)
    with serving(tmp_path, config) as api:
        released(api)
        who = offered(api)["customer_id"]
        later(api, days - 1)
        assert not api.decide(who)["reason"].startswith("release_ended: ")
        later(api, 1)
        assert api.decide(who)["reason"].startswith("release_ended: ")
