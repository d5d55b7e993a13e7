"""Lists: every row once whatever the page size, filters that hold; codes looked up, validated and blocked."""

import json
from typing import Any

import polars as pl
from serve_helpers import CAMPAIGN, PEOPLE, Api, claim, coded


def pages(api: Api, path: str, limit: int) -> list[Any]:
    found, after = [], ""
    while True:
        page = api("GET", f"{path}{'&' if '?' in path else '?'}limit={limit}{after}")
        assert len(page["data"]) <= limit
        found += page["data"]
        if page["next"] is None:
            return found
        after = f"&cursor={page['next']}"


def test_every_decision_is_listed_once_the_latest_first(api: Api) -> None:
    made = [api.decide(who) for who in PEOPLE[:20]]
    for limit in (1, 3, 20, 1000):
        found = pages(api, "/v1/decisions", limit)
        assert [row["decision_id"] for row in found] == [each["decision_id"] for each in reversed(made)]
    assert "candidates" not in found[0]
    mine = pages(api, f"/v1/decisions?customer_id={PEOPLE[3]}", 7)
    assert [row["decision_id"] for row in mine] == [made[3]["decision_id"]]
    given = [each for each in made if each["offer_id"] == made[0]["offer_id"]]
    assert len(pages(api, f"/v1/decisions?offer_id={made[0]['offer_id']}", 5)) == len(given)
    assert len(pages(api, f"/v1/decisions?since_ms={made[10]['ts_ms']}", 5)) == 10


def test_redemptions_codes_and_customers_are_listed_by_what_is_asked(api: Api) -> None:
    coded(api)
    for number in (1, 2, 3):
        api("POST", "/v1/redemptions:reserve", claim(number))
    api("POST", "/v1/redemptions:confirm", {"redemption_id": "rdm_2"})
    held = pages(api, "/v1/redemptions?status=reserved", 1)
    assert {row["redemption_id"] for row in held} == {"rdm_1", "rdm_3"}
    issued = {row["code"] for row in pages(api, "/v1/codes?status=issued", 6)}
    assert issued == {f"C{n}" for n in range(20)} - {"C1", "C2", "C3"}
    api("POST", "/v1/identify", {"userId": "u01", "messageId": "m", "traits": {"consent": True}}, 202)
    assert [row["customer_id"] for row in pages(api, "/v1/customers", 10)] == ["u01"]
    assert api("GET", "/v1/decisions?cursor=nonsense", status=422)["errors"][0]["pointer"] == "cursor"


def test_a_code_is_validated_without_being_held_and_can_be_blocked(api: Api) -> None:
    coded(api)
    ask = {"code": "C1", "customer_id": "u01"}
    told = api("POST", "/v1/codes:validate", ask)
    assert (told["valid"], told["offer_id"], told["campaign_id"]) == (True, "off_x", CAMPAIGN)
    assert api("POST", "/v1/codes:validate", ask | {"code": "none"})["reason"] == "code_unknown"
    assert api("POST", "/v1/codes:block", {"codes": ["C1", "C2"]})["changed"] == 2
    told = api("POST", "/v1/codes:validate", ask)
    assert (told["valid"], told["reason"]) == (False, "code_blocked")
    assert told["words"]["zh"]
    assert api("POST", "/v1/redemptions:reserve", claim(1), 409)["code"] == "code_blocked"
    assert api("POST", "/v1/codes:block", {"codes": ["C1"], "blocked": False})["changed"] == 1
    held = api("POST", "/v1/redemptions:reserve", claim(1))
    assert api("POST", "/v1/codes:block", {"codes": ["C1"]})["changed"] == 0
    assert api("POST", "/v1/redemptions:confirm", {"redemption_id": held["redemption_id"]})["status"] == "confirmed"
    assert api("POST", "/v1/codes:block", {"codes": ["C9", "strange"]}, 404)["code"] == "code_unknown"


def test_codes_are_exported_as_files_page_by_page_and_can_be_brought_back(api: Api) -> None:
    coded(api, 0, 7)
    api("POST", f"/v1/campaigns/{CAMPAIGN}/codes", {"offer_id": "off_y", "codes": ["=HYPER", "茶-1"]})
    wanted = f"campaign_id={CAMPAIGN}&limit=4"
    found, cursor = [], ""
    while True:
        reply = api("GET", f"/v1/exports/codes.jsonl?{wanted}&cursor={cursor}")
        found += [json.loads(line) for line in reply.text.splitlines()]
        if not (cursor := reply.headers["x-next"]):
            break
    assert found == pages(api, f"/v1/codes?campaign_id={CAMPAIGN}", 3)
    assert {row["code"] for row in found} == {f"C{n}" for n in range(7)} | {"=HYPER", "茶-1"}
    stock = api("GET", "/v1/exports/codes.csv?status=stock&offer_id=off_y").content
    assert pl.read_csv(stock)["code"].to_list() == ["茶-1", "=HYPER"]
    shown = api("GET", "/v1/exports/codes.csv?status=stock&spreadsheet=true").text
    assert "'=HYPER" in shown
    listed = pl.read_csv(stock)["code"].to_list()
    again = api("POST", f"/v1/campaigns/{CAMPAIGN}/codes", {"offer_id": "off_y", "codes": listed})
    assert again == {"added": 0, "left": 2}
    api("GET", "/v1/exports/codes.csv?cursor=nonsense", status=422)
    assert api("GET", "/v1/exports/codes.csv?status=none").text.startswith("code,campaign_id,offer_id")


def test_a_key_of_the_till_validates_and_lists_nothing(api: Api) -> None:
    till = Api(api.client, api("POST", "/v1/keys", {"scope": "decide", "name": "till"}, 201)["key"])
    till("POST", "/v1/codes:validate", {"code": "x", "customer_id": "u01"})
    for path in ("decisions", "redemptions", "customers", "codes", "exports/codes.csv"):
        till("GET", f"/v1/{path}", status=403)
    till("POST", "/v1/codes:block", {"codes": ["x"]}, 403)
