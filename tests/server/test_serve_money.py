"""A redemption refers to a decision or a code, once, within its cap and its time; limits keep count of all."""

import re
from pathlib import Path
from typing import Any

import pytest
from ledger_helpers import check_books
from serve_helpers import CAMPAIGN, PEOPLE, Api, claim, coded
from sqlalchemy import insert, update

from promolift.server.ledger.limits import RELEASE_LIMIT_ID
from promolift.server.ledger.policy import Policy
from promolift.server.ledger.refusals import REFUSALS
from promolift.server.ledger.schema import CODES, USAGE

POLICY, RESERVE = f"/v1/campaigns/{CAMPAIGN}", "/v1/redemptions:reserve"
LIMIT = {"limit_id": "l", "metric": "discount_amount", "amount": 250}


def offered(api: Api) -> Any:
    return next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")


def change_code(api: Api, code: str, **values: Any) -> None:
    mine = update(CODES).where(CODES.c.code == code).values(**values)
    api.server.ledger.write(lambda db, some: [db.execute(mine) and None for _ in some])


def refused(api: Api, body: dict[str, Any]) -> str:
    """The code of the refusal, which has words in both languages."""
    told = api("POST", RESERVE, body, None)
    assert told["reason"]["zh"]
    assert told["reason"]["en"]
    return str(told["code"])


def test_a_decision_is_redeemed_once_in_its_time_and_up_to_its_cap(api: Api) -> None:
    made = offered(api)
    use = {"customer_id": made["customer_id"], "decision_id": made["decision_id"], "amount_cents": 300}
    change_code(api, made["code"], cap_cents=299)
    assert refused(api, use) == "above_cap"
    change_code(api, made["code"], cap_cents=300)
    held = api("POST", RESERVE, use)
    assert held["code"] == made["code"]
    assert refused(api, use) == "code_used"
    api("POST", "/v1/redemptions:confirm", {"redemption_id": held["redemption_id"]})
    assert refused(api, use) == "code_used"
    api("POST", "/v1/redemptions:rollback", {"redemption_id": held["redemption_id"]})
    change_code(api, made["code"], expires_ms=1)
    assert refused(api, use) == "code_expired"


def test_an_offer_is_not_reserved_by_its_name_and_a_code_alone_is_enough(api: Api) -> None:
    coded(api)
    named = {"customer_id": "u01", "campaign_id": CAMPAIGN, "offer_id": "off_x", "amount_cents": 1}
    assert api("POST", RESERVE, named, 422)["errors"][0]["pointer"] == "/decision_id"
    assert api("POST", RESERVE, claim(1))["offer_id"] == "off_x"
    assert refused(api, claim(2, code="nonsense")) == "code_unknown"
    assert refused(api, claim(3, campaign_id="cmp_other")) == "code_unknown"


def test_an_id_again_is_the_same_claim_while_it_counts_and_else_refused(api: Api) -> None:
    coded(api)
    held = api("POST", RESERVE, claim(1))
    assert api("POST", RESERVE, claim(1)) == held
    for other in (claim(1, 99), claim(1, code="C2"), claim(1, order_id="o")):
        assert refused(api, other) == "redemption_differs"
    api("POST", "/v1/redemptions:rollback", {"redemption_id": "rdm_1"})
    assert refused(api, claim(1)) == "already_rolled_back"
    assert api("POST", RESERVE, claim(1, redemption_id="rdm_x"))["status"] == "reserved"


def used(api: Api) -> dict[str, tuple[int, int]]:
    """The limits of the owner, without that of the release."""
    limits = api("GET", POLICY)["limits"]
    return {each["limit_id"]: (each["held"], each["spent"]) for each in limits if each["limit_id"] != RELEASE_LIMIT_ID}


def test_a_limit_counts_what_was_before_it_whatever_became_of_it_meanwhile(api: Api) -> None:
    coded(api)
    many = LIMIT | {"metric": "redemptions", "amount": 9}
    api("PATCH", POLICY, {"limits": [many]})
    for number in (1, 2, 3):
        api("POST", RESERVE, claim(number, 100))
    api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_3", "amount_cents": 40})
    assert used(api) == {"l": (2, 1)}
    api("PATCH", POLICY, {"limits": [LIMIT]})  # another metric: another limit
    assert used(api) == {"l": (200, 40)}
    assert refused(api, claim(4, 11)) == "limit_reached"
    api("PATCH", POLICY, {"limits": []})
    api("POST", "/v1/redemptions:rollback", {"redemption_id": "rdm_1"})
    api("POST", RESERVE, claim(5, 30))
    api("PATCH", POLICY, {"limits": [LIMIT, many | {"limit_id": "day", "period": "day", "per": "customer"}]})
    assert used(api) == {"l": (130, 40), "day": (2, 1)}
    api("POST", "/v1/redemptions:rollback", {"redemption_id": "rdm_3"})
    api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_2", "amount_cents": 7})
    assert used(api) == {"l": (30, 7), "day": (1, 1)}
    check_books(api.server.ledger)


def test_two_campaigns_have_a_limit_of_one_name_each(api: Api) -> None:
    coded(api)
    api("PUT", "/v1/campaigns/cmp_2", {"limits": [LIMIT | {"amount": 1}]})
    api("PUT", POLICY, {"limits": [LIMIT]})
    api("POST", RESERVE, claim(1))
    assert used(api) == {"l": (100, 0)}
    assert api("GET", "/v1/campaigns/cmp_2")["limits"][0]["held"] == 0
    assert api("GET", "/v1/campaigns/cmp_2/offers", status=409)["code"] == "release_missing"


def test_a_change_names_what_changes_and_nothing_else_is_lost(api: Api) -> None:
    api("PATCH", POLICY, {"limits": [LIMIT], "policy": {"explore": 0.1, "rest_days": 3}})
    api("PATCH", POLICY, {"paused": True, "policy": {"explore": None}})
    kept = api("GET", POLICY)
    assert (kept["paused"], kept["policy"]["explore"], kept["policy"]["rest_days"]) == (True, None, 3)
    assert used(api) == {"l": (0, 0)}
    assert api("PUT", POLICY, {"paused": False}, 428)["code"] == "version_needed"
    tag = api.client.get(POLICY, headers={"authorization": f"Bearer {api.key}"}).headers["etag"]
    api("PATCH", POLICY, {"paused": False}, if_match=tag)
    assert api("PATCH", POLICY, {"paused": True}, 412, if_match=tag)["code"] == "version_changed"
    assert api("PATCH", POLICY, {"limits": [{"limit_id": "l"}]}, 422)["errors"][0]["pointer"] == "/limits/0/metric"
    assert api("PATCH", "/v1/campaigns/nothing", {"paused": True}, 404)["code"] == "campaign_unknown"
    now = api.client.get(POLICY, headers={"authorization": f"Bearer {api.key}"}).headers["etag"]
    api("PUT", POLICY, {"paused": False}, if_match=now)
    assert api("GET", POLICY)["policy"] == Policy().model_dump(mode="json")
    assert used(api) == {}


def test_the_time_zone_of_a_limit_and_of_a_customer_has_one_name(api: Api) -> None:
    limit = {"limit_id": "l", "metric": "redemptions", "amount": 5, "period": "day", "timezone": "Asia/Shanghai"}
    path = f"/v1/campaigns/{CAMPAIGN}"
    made = api("PUT", path, {"limits": [limit]})["limits"][0]
    shared = api("PUT", "/v1/limits", {"limits": [limit]})["data"][0]
    for answered in (made, api("GET", path)["limits"][0], shared, api("GET", "/v1/limits")["data"][0]):
        assert (answered["timezone"], "zone" in answered) == ("Asia/Shanghai", False)
    old = {"zone" if name == "timezone" else name: value for name, value in limit.items()}
    assert api("PATCH", path, {"limits": [old]})["limits"][0]["timezone"] == "Asia/Shanghai"  # as it was answered once
    person = {"userId": "u01", "messageId": "m", "traits": {"timezone": "Asia/Tokyo"}}
    api("POST", "/v1/identify", person, 202)
    (row,) = api("GET", "/v1/customers")["data"]
    assert (row["timezone"], "zone" in row) == ("Asia/Tokyo", False)


def test_every_refusal_has_words_in_both_languages() -> None:
    source = Path(__file__).parents[2] / "src" / "promolift"
    texts = [path.read_text(encoding="utf-8") for path in (source / "server").rglob("*.py")
             if "console" not in path.parts]  # fmt: skip
    codes = {code for text in texts for code in re.findall(r'Refused\(\s*"(\w+)"', text)}
    assert len(codes) > 20
    assert codes <= REFUSALS.keys()


@pytest.mark.parametrize("step", ["confirm", "rollback"])
def test_a_retry_with_its_key_hears_the_same(api: Api, step: str) -> None:
    coded(api)
    api("POST", RESERVE, claim(1))
    path = f"/v1/redemptions:{step}"
    first = api("POST", path, {"redemption_id": "rdm_1"}, idempotency_key="k")
    assert api("POST", path, {"redemption_id": "rdm_1"}, idempotency_key="k") == first
    assert api("POST", path, {"redemption_id": "rdm_2"}, 422, idempotency_key="k")["code"] == "idempotency_key_reused"


def test_a_returned_line_gives_back_its_part_and_the_rest_stays_spent(api: Api) -> None:
    coded(api)
    api("PATCH", POLICY, {"limits": [LIMIT, LIMIT | {"limit_id": "n", "metric": "redemptions"}]})
    back = "/v1/redemptions:rollback"
    api("POST", RESERVE, claim(1, 100))
    assert api("POST", back, {"redemption_id": "rdm_1", "amount_cents": 30}, 422)["code"] == "amount_invalid"
    api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_1"})
    left = api("POST", back, {"redemption_id": "rdm_1", "amount_cents": 30})
    assert (left["status"], left["final_cents"]) == ("confirmed", 70)
    assert used(api) == {"l": (0, 70), "n": (0, 1)}
    for wrong in (0, 71):
        assert api("POST", back, {"redemption_id": "rdm_1", "amount_cents": wrong}, 422)["code"] == "amount_invalid"
    assert api("POST", back, {"redemption_id": "rdm_1", "amount_cents": 70})["status"] == "rolled_back"
    assert used(api) == {"l": (0, 0), "n": (0, 0)}
    check_books(api.server.ledger)


def test_a_limit_says_what_its_present_period_has_used(api: Api) -> None:
    coded(api)
    days = LIMIT | {"limit_id": "day", "amount": 1000, "period": "day", "per": "customer"}
    api("PATCH", POLICY, {"limits": [days, LIMIT | {"limit_id": "all", "amount": 1000}]})
    for number, who in ((1, "u01"), (2, "u02")):
        api("POST", RESERVE, claim(number, customer_id=who))
    api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_1"})

    def long_ago(db: Any, some: list[None]) -> list[None]:
        cell = {"campaign_id": CAMPAIGN, "limit_id": "day", "subject": "u01", "period_key": "2020-01-01"}
        db.execute(insert(USAGE).values(**cell, held=7, spent=900))
        return some

    api.server.ledger.write(long_ago)
    assert used(api) == {"day": (100, 100), "all": (100, 100)}
    shown = {limit["limit_id"]: limit["used"] for limit in api("GET", f"{POLICY}/summary")["limits"]}
    assert shown == {
        "day": 100,
        "all": 200,
        RELEASE_LIMIT_ID: 200,
    }  # of a limit for each customer, the one who used most of it


def test_a_summary_lists_what_is_shared_with_other_campaigns_as_all_have_used_it(api: Api) -> None:
    api("PUT", "/v1/campaigns/other", {"limits": [{"limit_id": "own", "metric": "redemptions", "amount": 3}]})
    shared = {"limit_id": "all", "metric": "discount_amount", "amount": 1000, "period": "day"}
    api("PUT", "/v1/limits", {"limits": [shared]})
    coded(api, 0, 1)
    coded(api, 1, 3, campaign="other")
    for number in range(3):
        api("POST", "/v1/redemptions:reserve", claim(number))
    api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_1", "amount_cents": 60})
    for campaign, own in (
        (
            CAMPAIGN,
            [
                {
                    "limit_id": RELEASE_LIMIT_ID,
                    "metric": "discount_amount",
                    "per": "campaign",
                    "amount": 4000,
                    "used": 100,
                }
            ],
        ),
        ("other", [{"limit_id": "own", "metric": "redemptions", "per": "campaign", "amount": 3, "used": 2}]),
    ):
        told = api("GET", f"/v1/campaigns/{campaign}/summary")
        assert told["limits"] == own
        assert told["shared_limits"] == [
            {"limit_id": "all", "metric": "discount_amount", "per": "campaign", "amount": 1000, "used": 260}
        ]
