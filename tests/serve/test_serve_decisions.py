"""A live decision is the batch's decision, unless something happened since; and it never fails the shop."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from serve_helpers import CAMPAIGN, PEOPLE, Api, released, serving
from sqlalchemy import select, update

from promolift.config import Config
from promolift.serve import closed as closed_rules
from promolift.serve.live import mark_unanswered
from promolift.store import Store
from promolift.store.ledger_schema import CODES, DECISIONS

POLICY = f"/v1/campaigns/{CAMPAIGN}"


def batch(folder: Path) -> dict[str, Any]:
    with Store(folder) as store:
        return dict(store.frame("decisions").select("customer_id", "offer_id").iter_rows())


def first_offered(folder: Path) -> str:
    return min(who for who, offer in batch(folder).items() if offer != "none")


def reasons(made: Any) -> set[str]:
    return {each["reason"] for each in made["ineligible"]}


def test_live_and_batch_agree_for_every_customer_at_the_same_price(api: Api, folder: Path) -> None:
    wanted = batch(folder)
    assert sum(offer != "none" for offer in wanted.values()) > 10
    found = {who: api.decide(who) for who in PEOPLE}
    assert {who: each["offer_id"] for who, each in found.items()} == wanted
    assert found["u07"]["reason"] == "consent: the customer said no"
    assert {who for who, each in found.items() if each["holdout"]} >= {"u00"} - set(wanted)


def test_customers_decided_together_get_what_they_get_alone(api: Api, folder: Path) -> None:
    from promolift.serve.live import Ask

    asks = [Ask(who, CAMPAIGN) for who in PEOPLE]
    together = api.server.ledger.write(lambda db, some: [api.server.decider.work(db, asks) for _ in some])
    assert {ask.customer_id: each.offer_id for ask, each in zip(asks, together, strict=True)} == batch(folder)


def test_two_requests_for_one_customer_in_one_moment_share_a_decision(api: Api) -> None:
    from promolift.serve.live import Ask

    asks = [Ask("u01", CAMPAIGN), Ask("u01", CAMPAIGN), Ask("u02", CAMPAIGN, given_up=True)]
    one, two, late = api.server.ledger.write(lambda db, some: [api.server.decider.work(db, asks) for _ in some])
    assert one == two
    assert late.record is None
    with api.server.ledger.read() as db:
        assert len(db.execute(select(DECISIONS.c.decision_id)).all()) == 1


def test_every_decision_can_be_explained_and_replayed_and_a_changed_record_is_seen(api: Api, folder: Path) -> None:
    for who in PEOPLE[:8]:
        made = api.decide(who)["decision_id"]
        assert api("GET", f"/v1/decisions/{made}:replay")["same"]
        told = api("GET", f"/v1/decisions/{made}:explain")
        assert abs(sum(each["prob"] for each in told["candidates"]) - 1) < 1e-9
        assert "worth" in told["text"]
    made = api.decide(first_offered(folder))["decision_id"]
    change = update(DECISIONS).where(DECISIONS.c.decision_id == made).values(offer_id="none")
    api.server.ledger.write(lambda db, some: [db.execute(change) and None for _ in some])
    assert api("GET", f"/v1/decisions/{made}:replay")["differs"] == ["offer_id"]
    api("GET", "/v1/decisions/dec_0:replay", status=404)


def test_what_was_bought_a_moment_ago_is_not_offered(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    offer = api.decide(who)["offer"]
    order = {"userId": who, "event": "Order Completed", "messageId": "m1", "properties": {}}
    line = {"product_id": f"p-{offer['covers']}"}  # the product's target is its category
    api("POST", "/v1/track", order | {"properties": {"products": [line]}}, 202)
    after = api.decide(who, explain=True)
    assert after["offer_id"] != offer["id"]
    shut = {each["offer"]: each["reason"] for each in after["ineligible"]}
    assert shut[offer["id"]] == "bought it lately"


def test_consent_withdrawn_a_moment_ago_counts_and_given_again_counts_too(api: Api, folder: Path) -> None:
    who, told = first_offered(folder), {"event": "Consent Updated"}
    offer = api.decide(who)["offer_id"]
    api("POST", "/v1/track", told | {"userId": who, "messageId": "c1", "properties": {"consent": False}}, 202)
    assert api.decide(who)["reason"] == "consent: the customer said no"
    old = {"timestamp": "2020-01-01T00:00:00Z", "messageId": "c0", "properties": {"consent": True}}
    api("POST", "/v1/track", told | {"userId": who} | old, 202)
    assert api.decide(who)["offer_id"] == "none"  # an older word does not count
    api("POST", "/v1/identify", {"userId": who, "messageId": "c2", "traits": {"consent": True}}, 202)
    assert api.decide(who)["offer_id"] == offer


def test_a_frequency_cap_counts_offers_over_time(api: Api, folder: Path) -> None:
    api("PUT", POLICY, {"policy": {"caps": [{"offers": 2, "days": 7}]}})
    who = first_offered(folder)
    got = [api.decide(who)["offer_id"] for _ in range(3)]
    assert got[0] == got[1] != "none"
    assert got[2] == "none"
    assert "frequency cap: 2 offers in 7 days" in reasons(api.decide(who, explain=True))


def test_a_decision_that_came_too_late_counts_for_no_cap(api: Api, folder: Path) -> None:
    api("PUT", POLICY, {"policy": {"caps": [{"offers": 1, "days": 7}]}})
    who = first_offered(folder)
    made = api.decide(who)
    assert api.decide(who)["offer_id"] == "none"
    api.server.ledger.write(mark_unanswered, made["decision_id"])
    assert api.decide(who)["offer_id"] == made["offer_id"]


def test_quiet_hours_close_loud_channels_by_the_customers_clock(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    always = {"start": 0, "end": 0}
    api("PUT", POLICY, {"policy": {"quiet": always}})
    assert api.decide(who, channel="sms")["offer_id"] != "none"  # from 0 to 0 is never
    from promolift.serve.settings import QuietHours

    assert [QuietHours(start=22, end=8).quiet(h) for h in (21, 22, 3, 8)] == [False, True, True, False]
    for zone, quiet in (("Asia/Shanghai", (8, 9)), ("UTC", (0, 1))):
        rule = {"start": quiet[0], "end": quiet[1]}
        api("PUT", POLICY, {"policy": {"quiet": rule}})
        midnight = 1_767_571_200_000  # 2026-01-05 00:00 UTC, 8:00 in Shanghai
        asks = [type("A", (), {"customer_id": who, "zone": zone, "channel": c})() for c in ("sms", "site")]
        release = next(iter(api.server.decider.releases.values()))
        policy = type("P", (), {"quiet": QuietHours(**rule)})()
        known = closed_rules.Facts({}, {}, {})
        assert list(closed_rules._quiet(release, policy, asks[:1], known, midnight)) == [who]
        assert not closed_rules._quiet(release, policy, asks[1:], known, midnight)
        assert not closed_rules._quiet(release, policy, asks[:1], known, midnight + 3_600_000)


def test_a_used_up_budget_and_an_empty_stock_close_offers(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    offer = api.decide(who)["offer_id"]
    api("POST", f"{POLICY}/codes", {"offer_id": offer, "codes": ["ONLY-ONE"]})
    others = [each for each in PEOPLE if batch(folder)[each] == offer and each != who]
    assert api.decide(others[0])["code"] == "ONLY-ONE"
    last = api.decide(others[1], explain=True)
    assert {"offer": offer, "reason": "no codes are left in stock"} in last["ineligible"]
    none_left = {"limit_id": "l", "metric": "discount_amount", "amount": 0}
    api("PUT", POLICY, {"limits": [none_left]})
    assert "the budget of the campaign is used up" in reasons(api.decide(who, explain=True))


def test_two_customers_decided_together_share_out_the_last_code(api: Api, folder: Path) -> None:
    from promolift.serve.live import Ask

    offer = next(o for o in batch(folder).values() if o != "none" and list(batch(folder).values()).count(o) > 1)
    both = [who for who, got in batch(folder).items() if got == offer][:2]
    api("POST", f"{POLICY}/codes", {"offer_id": offer, "codes": ["ONLY-ONE"]})
    gate_held = [api.server.ledger.submit(api.server.decider.work, Ask(who, CAMPAIGN)) for who in both]
    answers = [future.result(10) for future in gate_held]
    assert [answer.record["code"] for answer in answers].count("ONLY-ONE") == 1
    assert [answer.offer_id for answer in answers].count(offer) == 1


def test_a_code_is_the_customers_own_and_used_codes_close_the_offer(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    made = api.decide(who)
    assert made["code"] == api.decide(who)["code"]
    use = {"customer_id": who, "amount_cents": 100, "decision_id": made["decision_id"], "code": made["code"]}
    held = api("POST", "/v1/redemptions:reserve", use)
    after = api.decide(who, explain=True)
    assert {"offer": made["offer_id"], "reason": "its code is reserved already"} in after["ineligible"]
    api("POST", "/v1/redemptions:rollback", {"redemption_id": held["redemption_id"]})
    assert api.decide(who)["offer_id"] == made["offer_id"]
    with api.server.ledger.read() as db:
        assert db.execute(select(CODES.c.status).where(CODES.c.code == made["code"])).scalar() == "issued"


def test_the_message_is_true_and_dated_from_today_in_both_languages(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    for language, word in (("zh", "折"), ("en", "off")):
        made = api.decide(who, language=language)
        assert word in made["message"]
        assert made["language"] == language
        assert made["offer"]["starts"][:10] >= "2026"
        assert "planned" not in made["message"]  # the plan's own words were for January 2026


@pytest.mark.parametrize("fault", ["release", "scoring", "ledger", "slow"])
def test_whatever_fails_inside_the_shop_is_told_no_offer_and_why(
    api: Api, folder: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, server = first_offered(folder), api.server
    if fault == "release":
        server.decider.releases = {}
        monkeypatch.setattr(server.decider, "ensure", lambda _: None)
    elif fault == "scoring":
        monkeypatch.setattr("promolift.serve.live.candidates", lambda *_: 1 / 0)
    elif fault == "ledger":
        monkeypatch.setattr(server.ledger, "call", lambda *_: 1 / 0)
    else:
        object.__setattr__(server.settings, "deadline_ms", 30)
        server.ledger.submit(lambda _, some: [__import__("time").sleep(0.3) for _ in some])
    made = api.decide(who)
    assert made["offer_id"] == "none"
    assert made["decision_id"] is None
    if fault == "scoring":
        keyed = api("POST", "/v1/decisions", {"customer_id": who}, idempotency_key="k")
        assert keyed["reason"] == made["reason"]
    told = {"release": "release: still", "scoring": "failure: ZeroDiv", "ledger": "failure", "slow": "timeout"}
    assert made["reason"].startswith(told[fault])
    monkeypatch.undo()
    page = api("GET", "/metrics").text
    assert 'outcome="none",rule="' + told[fault].partition(":")[0] in page


def test_unknown_customers_and_campaigns_get_no_offer_with_the_reason(api: Api) -> None:
    stranger = api.decide("stranger")
    assert stranger["offer_id"] == "none"
    assert stranger["decision_id"]
    assert api("POST", "/v1/decisions", {"customer_id": "u01", "campaign_id": "other"})["reason"].startswith("campaign")
    assert api("POST", "/v1/decisions", {"customer_id": "u01"})["decision_id"]  # the only campaign
    api("PUT", POLICY, {"paused": True})
    assert api.decide("u01")["reason"].startswith("campaign")


def test_exploration_is_logged_with_the_chance_it_had(api: Api) -> None:
    api("PUT", POLICY, {"policy": {"explore": 1.0}})
    made = [api.decide(who, explain=True) for who in PEOPLE]
    assert len({each["offer_id"] for each in made}) > 5
    for each in made:
        if each["holdout"] is False:
            open_offers = len(each["candidates"])
            assert each["propensity"] >= 0.8 / open_offers - 1e-9
            assert api("GET", f"/v1/decisions/{each['decision_id']}:replay")["same"]


def test_pacing_raises_the_price_as_money_goes_and_never_passes_the_budget(api: Api) -> None:
    day = 86_400_000
    now = __import__("time").time_ns() // 1_000_000
    pacing = {"starts_ms": now - day, "ends_ms": now + day, "arrivals": 60}
    api("PUT", POLICY, {"policy": {"pacing": pacing}})
    spent, prices = [], []
    for who in PEOPLE:
        made = api.decide(who)
        told = api("GET", f"/v1/decisions/{made['decision_id']}:explain")
        prices.append(told["terms"]["price"])
        assert api("GET", f"/v1/decisions/{made['decision_id']}:replay")["same"]
        spent.append(api("GET", POLICY)["pace"]["pace"]["spent"])
    assert len({round(price, 6) for price in prices}) > 1
    assert spent == sorted(spent)
    assert 1000 < spent[-1] <= 4000
    assert api("GET", POLICY)["pace"]["pace"]["seen"] == 60


def test_a_release_is_swapped_and_rolled_back_with_one_call_each(
    api: Api, folder: Path, shop: tuple[Path, Config], tmp_path: Path
) -> None:
    before = {who: api.decide(who)["offer_id"] for who in PEOPLE}
    first = api("GET", POLICY)["release"]
    assert api("POST", "/v1/releases", status=201)["release_id"] == first  # the same plan is the same release
    with Store(folder) as store:
        plan = store.load_json("allocation")
        store.save_json("allocation", plan | {"release": plan["release"] | {"price": 9.0}})
    second = released(api)
    assert second != first
    assert {api.decide(who)["offer_id"] for who in PEOPLE} == {"none"}
    assert api("POST", f"{POLICY}:rollback")["release"] == first
    assert {who: api.decide(who)["offer_id"] for who in PEOPLE} == before
    actions = [row["action"] for row in api("GET", "/v1/audit")["data"]]
    assert actions.count("release.activate") == 2
    assert actions[-1] == "release.rollback"


def test_a_restarted_server_goes_on_where_it_stopped(shop: tuple[Path, Config], folder: Path) -> None:
    with serving(folder, shop[1]) as api:
        released(api)
        key, made = api.key, api.decide("u01")
    with serving(folder, shop[1]) as again:
        assert again.key == ""  # the admin key is shown once
        again.key = key
        after = again.decide("u01")
        assert after["offer_id"] == made["offer_id"]
        assert after["ts_ms"] > made["ts_ms"]
        assert again("GET", f"/v1/decisions/{made['decision_id']}:replay")["same"]


def test_a_release_file_changed_by_hand_is_not_served(shop: tuple[Path, Config], folder: Path) -> None:
    with serving(folder, shop[1]) as api:
        key, release = api.key, released(api)
    path = folder / "serve" / "releases" / release / "candidates.parquet"
    pl.read_parquet(path).with_columns(base_cents=pl.lit(1.0)).write_parquet(path)
    with serving(folder, shop[1]) as api:
        api.key = key
        assert api.decide("u01")["reason"].startswith("release")
        assert "changed" in api("POST", f"/v1/releases/{release}:activate", status=422)["detail"]


def test_an_experiment_splits_by_hash_and_its_verdict_reads_the_feedback(api: Api, folder: Path) -> None:
    first = api("GET", POLICY)["release"]
    with Store(folder) as store:
        plan = store.load_json("allocation")
        store.save_json("allocation", plan | {"release": plan["release"] | {"price": 9.0}})
    second = api("POST", "/v1/releases", status=201)["release_id"]
    design = {"name": "t1", "arms": {"now": 0.5, "dear": 0.5}, "holdout_share": 0.2, "planned_customers": 60,
              "primary": "value_cents", "least": 2}  # fmt: skip
    body = {"design": design, "releases": {"now": first, "dear": second}}
    api("PUT", f"{POLICY}/experiment", body)
    made = [api.decide(who) for who in PEOPLE]
    arms = {each["variant"] for each in made}
    assert arms == {"holdout", "now", "dear"}
    for each in made:
        assert each["release_id"] == (second if each["variant"] == "dear" else first)
        assert each["offer_id"] == "none" or each["variant"] == "now"
        if each["variant"] == "now":
            paid = {"decision_id": each["decision_id"], "value_cents": 700 + len(each["customer_id"])}
            api("POST", "/v1/feedback", paid, 202)
    rows = api("GET", f"{POLICY}/experiment")
    assert {row["arm"] for row in rows["verdicts"]} == {"now", "dear"}
    assert "Rule:" in rows["text"]
    changed = body | {"design": design | {"arms": {"now": 0.4, "dear": 0.6}}}
    assert api("PUT", f"{POLICY}/experiment", changed, status=422)["code"] == "design_fixed"
    api("DELETE", f"{POLICY}/experiment")
    assert api.decide("u01")["variant"] is None


def test_erasing_a_customer_forgets_him_and_keeps_the_books(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    made = api.decide(who)
    use = {"customer_id": who, "amount_cents": 100, "decision_id": made["decision_id"]}
    api("POST", "/v1/redemptions:reserve", use)
    api("POST", "/v1/track", {"userId": who, "event": "Product Viewed", "messageId": "v"}, 202)
    held = api("POST", f"/v1/privacy/{who}:export")["tables"]
    assert held["events"]
    assert held["decisions"]
    assert held["redemptions"]
    alias = api("POST", f"/v1/privacy/{who}:erase")["pseudonym"]
    after = api("POST", f"/v1/privacy/{who}:export")["tables"]
    assert not after["events"]
    assert not after["decisions"]
    assert api.decide(who)["reason"].startswith("consent")
    assert len(api("POST", f"/v1/privacy/{alias}:export")["tables"]["redemptions"]) == 1
    assert who not in json.dumps(api("GET", "/v1/audit")).replace(f'"{CAMPAIGN}', "")
    assert api("GET", "/v1/audit:verify")["holds"]
