"""Flags by OFREP: what the decision says is what the flag says, by the official OpenFeature client and on the wire."""

import io
from typing import Any

import polars as pl
import pytest
from serve_helpers import CAMPAIGN, PEOPLE, Api, client_found, node, released

pytest.importorskip("fastapi")
from promolift.server.decisions import decisions as live

OFREP_NODE = """
const { OpenFeature } = require("@openfeature/server-sdk");
const { OFREPProvider } = require("@openfeature/ofrep-provider");
const [baseUrl, key, campaign, ...people] = process.argv.slice(1);
(async () => {
  await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl, headers: { Authorization: `Bearer ${key}` } }));
  const client = OpenFeature.getClient(), found = [];
  for (const targetingKey of people) {
    const context = { targetingKey, language: "en" };
    found.push({
      who: targetingKey,
      offer: await client.getStringDetails(campaign, "none", context),
      words: await client.getObjectValue(`${campaign}.offer`, {}, context),
      arm: await client.getStringValue(`${campaign}.variant`, "?", context),
    });
  }
  const missing = await client.getStringDetails("nothing", "none", { targetingKey: "u01" });
  const wrong = await client.getBooleanDetails(campaign, false, { targetingKey: "u01" });
  const nobody = await client.getStringDetails(campaign, "none");
  console.log(JSON.stringify({ found, errors: [missing, wrong, nobody].map((each) => each.errorCode) }));
  await OpenFeature.close();
})();
"""
ONE, ALL = "/ofrep/v1/evaluate/flags/", "/ofrep/v1/evaluate/flags"


def flag(api: Api, key: str, who: str | None, status: int = 200, **more: Any) -> Any:
    context = ({"targetingKey": who} if who else {}) | more
    return api("POST", ONE + key, {"context": context}, status)


def decisions(api: Api) -> int:
    with api.server.ledger.read() as db:
        return int(db.exec_driver_sql("select count(*) from decisions").scalar_one())


def test_a_flag_is_the_decision_and_is_kept_as_one(api: Api) -> None:
    seen = set()
    for who in PEOPLE[:20]:
        before = decisions(api)
        found = flag(api, CAMPAIGN, who)
        assert decisions(api) == before + 1
        made = api("GET", f"/v1/decisions/{found['metadata']['decision_id']}:explain")
        assert made["customer_id"] == who
        assert found["value"] == found["variant"] == made["offer_id"]
        assert found["metadata"]["propensity"] == made["propensity"]
        assert found["metadata"]["campaign_id"] == CAMPAIGN
        drawn = made["holdout"] or made["propensity"] < 1
        assert found["reason"] == ("SPLIT" if drawn else "DEFAULT" if made["offer_id"] == "none" else "TARGETING_MATCH")
        words = flag(api, f"{CAMPAIGN}.offer", who, language="en")
        assert words["value"]["offer_id"] == words["variant"]
        assert ("message" in words["value"]) == (words["variant"] != "none")
        seen |= {found["reason"], *found["variant"].split("none")}
    assert {"SPLIT"} < seen


def test_all_flags_are_as_they_would_be_now_and_nothing_is_kept(api: Api) -> None:
    before = decisions(api)
    who = PEOPLE[3]
    found = api("POST", ALL, {"context": {"targetingKey": who}})
    assert decisions(api) == before
    by_key = {each["key"]: each for each in found["flags"]}
    assert set(by_key) == {CAMPAIGN, f"{CAMPAIGN}.offer", f"{CAMPAIGN}.variant"}
    assert by_key[CAMPAIGN]["value"] == flag(api, CAMPAIGN, who)["value"]
    assert "decision_id" not in by_key[CAMPAIGN]["metadata"]
    assert by_key[f"{CAMPAIGN}.variant"]["value"] == ""
    sent = {"authorization": f"Bearer {api.key}"}
    first = api.client.post(ALL, json={"context": {"targetingKey": who}}, headers=sent)
    again = {**sent, "if-none-match": first.headers["etag"]}
    assert api.client.post(ALL, json={"context": {"targetingKey": who}}, headers=again).status_code == 304
    values = {who: api("POST", ALL, {"context": {"targetingKey": who}})["flags"] for who in PEOPLE[:9]}
    other = next(each for each, flags in values.items() if flags != found["flags"])
    assert api.client.post(ALL, json={"context": {"targetingKey": other}}, headers=again).status_code == 200


def run_test(api: Api) -> None:
    """Two arms and a holdout."""
    release = api("GET", f"/v1/campaigns/{CAMPAIGN}")["release"]
    design = {"name": "two", "arms": {"a": 0.5, "b": 0.5}, "holdout_share": 0.2, "planned_customers": 60,
              "primary": "value_cents", "least": 2}  # fmt: skip
    api("PUT", f"/v1/campaigns/{CAMPAIGN}/experiment", {"design": design, "releases": {"a": release, "b": release}})


def test_the_arm_of_a_running_test_is_a_flag(api: Api) -> None:
    run_test(api)
    for who in PEOPLE[:15]:
        found, made = flag(api, f"{CAMPAIGN}.variant", who), api.decide(who)
        assert found["value"] == found["variant"] == made["variant"]
        assert (found["reason"], found["metadata"]["experiment_id"]) == ("SPLIT", made["experiment_id"])
    assert {flag(api, f"{CAMPAIGN}.variant", who)["value"] for who in PEOPLE} == {"a", "b", "holdout"}


def test_what_cannot_be_evaluated_says_so_in_the_protocols_own_words(api: Api) -> None:
    assert flag(api, "nothing", "u01", 404) == {
        "key": "nothing", "errorCode": "FLAG_NOT_FOUND", "errorDetails": "no campaign that decides has this flag"
    }  # fmt: skip
    assert flag(api, CAMPAIGN, None, 400)["errorCode"] == "TARGETING_KEY_MISSING"
    assert flag(api, CAMPAIGN, "u01", 400, language="xx")["errorCode"] == "INVALID_CONTEXT"
    assert api("POST", ALL, {"context": {}}, 400)["errorCode"] == "TARGETING_KEY_MISSING"
    before = decisions(api)
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"paused": True}, None)
    assert flag(api, CAMPAIGN, "u01", 404)["errorCode"] == "FLAG_NOT_FOUND"
    assert api("POST", ALL, {"context": {"targetingKey": "u01"}}) == {"flags": []}
    assert decisions(api) == before


def test_a_key_of_a_web_page_gets_no_flag(api: Api) -> None:
    keys = {
        scope: api("POST", "/v1/keys", {"scope": scope, "name": scope}, 201)["key"] for scope in ("write", "decide")
    }
    for scope, status in (("write", 403), ("decide", 200)):
        for path in (ONE + CAMPAIGN, ALL):
            sent = {"authorization": f"Bearer {keys[scope]}"}
            answer = api.client.post(path, json={"context": {"targetingKey": "u01"}}, headers=sent)
            assert answer.status_code == status


def test_the_official_client_reads_them(address: tuple[str, Api]) -> None:
    openfeature = pytest.importorskip("openfeature.api")
    from openfeature.contrib.provider.ofrep import OFREPProvider
    from openfeature.evaluation_context import EvaluationContext

    url, api = address
    released(api)
    openfeature.set_provider(OFREPProvider(url, headers_factory=lambda: {"authorization": f"Bearer {api.key}"}))
    client = openfeature.get_client()
    try:
        for who in PEOPLE[:5]:
            context = EvaluationContext(who, {"language": "en", "basket": 3})
            found = client.get_string_details(CAMPAIGN, "none", context)
            assert found.error_code is None
            made = api("GET", f"/v1/decisions/{found.flag_metadata['decision_id']}:explain")
            assert found.value == found.variant == made["offer_id"]
            words = client.get_object_value(f"{CAMPAIGN}.offer", {}, context)
            assert words["offer_id"] == found.value
            assert client.get_string_value(f"{CAMPAIGN}.variant", "?", context) == ""
        missing = client.get_string_details("nothing", "none", EvaluationContext("u01"))
        assert (missing.value, missing.error_code.value) == ("none", "FLAG_NOT_FOUND")
        wrong = client.get_boolean_details(CAMPAIGN, False, EvaluationContext("u01"))
        assert (wrong.value, wrong.error_code.value) == (False, "TYPE_MISMATCH")
        assert client.get_string_details(CAMPAIGN, "none").error_code.value == "TARGETING_KEY_MISSING"
    finally:
        openfeature.shutdown()


def test_the_official_provider_for_node_reads_them(address: tuple[str, Api]) -> None:
    client_found("node_modules/@openfeature/ofrep-provider", "node_modules/@openfeature/server-sdk")
    url, api = address
    released(api)
    said = node(OFREP_NODE, url, api.key, CAMPAIGN, *PEOPLE[:5])
    assert said["errors"] == ["FLAG_NOT_FOUND", "TYPE_MISMATCH", "TARGETING_KEY_MISSING"]
    for each in said["found"]:
        offer = each["offer"]
        made = api("GET", f"/v1/decisions/{offer['flagMetadata']['decision_id']}:explain")
        assert (made["customer_id"], made["offer_id"]) == (each["who"], offer["value"])
        assert offer["value"] == offer["variant"] == each["words"]["offer_id"]
        assert "errorCode" not in offer
        assert each["arm"] == ""


def exposed(api: Api, shape: str, kind: str = "csv", **more: Any) -> pl.DataFrame:
    read = {"csv": pl.read_csv, "parquet": pl.read_parquet}[kind]
    asked = "".join(f"&{name}={value}" for name, value in more.items())
    return read(io.BytesIO(api("GET", f"/v1/exports/exposures.{kind}?shape={shape}{asked}").content))


def test_exposures_are_exported_as_growthbook_and_eppo_read_assignments(api: Api) -> None:
    before = [api.decide(who) for who in PEOPLE[:20]]  # u07 may be sent nothing: in no draw
    run_test(api)
    within = [api.decide(who) for who in PEOPLE[:20]]
    drawn = [each for each in (*before, *within) if each["holdout"] is not None]
    arms = [each["variant"] or ("holdout" if each["holdout"] else "offers") for each in drawn]
    assert {*arms} == {"a", "b", "holdout", "offers"}
    assert len(drawn) == 38
    growthbook = exposed(api, "growthbook", "parquet")
    assert growthbook.columns == ["user_id", "timestamp", "experiment_id", "variation_id", "campaign_id"]
    assert growthbook["user_id"].to_list() == [each["customer_id"] for each in drawn]
    assert growthbook["experiment_id"].to_list() == [each["experiment_id"] or CAMPAIGN for each in drawn]
    assert growthbook["variation_id"].to_list() == arms
    assert growthbook["timestamp"].dtype == pl.Datetime("ms", "UTC")
    assert growthbook["timestamp"].dt.epoch("ms").to_list() == [each["ts_ms"] for each in drawn]
    eppo = exposed(api, "eppo")
    assert eppo.columns == ["subject", "timestamp", "experiment", "variation", "campaign_id"]
    assert eppo["variation"].to_list() == arms
    assert api("GET", "/v1/exports/exposures.csv?shape=other", status=422)["code"] == "invalid"
    assert exposed(api, "eppo", after=drawn[-1]["ts_ms"]).height == 0


def test_a_decision_that_was_not_answered_is_no_exposure(api: Api) -> None:
    made = next(each for each in map(api.decide, PEOPLE) if each["holdout"] is not None)
    assert exposed(api, "growthbook").height == 1
    api.server.ledger.write(lambda db, some: [live.mark_unanswered(db, [made["decision_id"]]) for _ in some])
    assert exposed(api, "growthbook").height == 0
