"""A live decision is the batch's decision, unless something happened since; and it never fails the shop."""

import json
import shutil
import time
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from ledger_helpers import check_books
from serve_helpers import CAMPAIGN, PEOPLE, Api, claim, coded, released, serving
from sqlalchemy import select, update

from promolift.foundation.storage.local_store import Store
from promolift.server.api.routes import export
from promolift.server.decisions import eligibility as closed_rules
from promolift.server.decisions.decisions import mark_unanswered
from promolift.server.events import events
from promolift.server.ledger.audit_log import put_record
from promolift.server.ledger.migrations import PENDING_REFUSALS
from promolift.server.ledger.schema import CODES, CUSTOMERS, DECISIONS, META
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.consent_updates import load_consent_updates
from promolift.shop.pipeline.pipeline import fingerprint
from promolift.shop.pipeline.planning.open_offers import consents
from promolift.shop.results.plan_note import PlanNote
from promolift.shop.results.work_folder.run_context import Job
from promolift.shop.results.work_folder.work_tables import CleanTables

POLICY = f"/v1/campaigns/{CAMPAIGN}"


def batch(folder: Path) -> dict[str, Any]:
    with Store(folder) as store:
        return dict(store.frame("decisions").select("customer_id", "offer_id").iter_rows())


def first_offered(folder: Path) -> str:
    return min(who for who, offer in batch(folder).items() if offer != "none")


def reasons(made: Any) -> set[str]:
    return {each["reason"] for each in made["ineligible"]}


def rules(made: Any) -> dict[str, str]:
    """The recorded reason of each offer that was closed."""
    return {each["offer"]: each["rule"] for each in made["ineligible"]}


def test_live_and_batch_agree_for_every_customer_at_the_same_price(api: Api, folder: Path) -> None:
    wanted = batch(folder)
    assert sum(offer != "none" for offer in wanted.values()) > 10
    found = {who: api.decide(who) for who in PEOPLE}
    assert {who: each["offer_id"] for who, each in found.items()} == wanted
    assert found["u07"]["reason"] == "consent: the customer said no"
    assert {who for who, each in found.items() if each["holdout"]} >= {"u00"} - set(wanted)


def test_customers_decided_together_get_what_they_get_alone(api: Api, folder: Path) -> None:
    from promolift.server.decisions.decisions import DecisionRequest

    asks = [DecisionRequest(who, CAMPAIGN) for who in PEOPLE]
    together = api.server.ledger.write(lambda db, some: [api.server.decider.work(db, asks) for _ in some])
    assert {ask.customer_id: each.offer_id for ask, each in zip(asks, together, strict=True)} == batch(folder)


def test_two_requests_for_one_customer_in_one_moment_share_a_decision(api: Api) -> None:
    from promolift.server.decisions.decisions import DecisionRequest

    asks = [
        DecisionRequest("u01", CAMPAIGN),
        DecisionRequest("u01", CAMPAIGN),
        DecisionRequest("u02", CAMPAIGN, cancelled=True),
    ]
    one, two, late = api.server.ledger.write(lambda db, some: [api.server.decider.work(db, asks) for _ in some])
    assert one == two
    assert late.record is None
    with api.server.ledger.read() as db:
        assert len(db.execute(select(DECISIONS.c.decision_id)).all()) == 1


def test_every_decision_can_be_explained_and_replayed_and_a_changed_record_is_seen(api: Api, folder: Path) -> None:
    for who in PEOPLE[:8]:
        made = api.decide(who)["decision_id"]
        assert api("GET", f"/v1/decisions/{made}:replay")["same"]
        reply = api("GET", f"/v1/decisions/{made}:explain")
        assert abs(sum(each["prob"] for each in reply["candidates"]) - 1) < 1e-9
        assert "worth" in reply["text"]
    made = api.decide(first_offered(folder))["decision_id"]
    change = update(DECISIONS).where(DECISIONS.c.decision_id == made).values(offer_id="none")
    api.server.ledger.write(lambda db, some: [db.execute(change) and None for _ in some])
    assert api("GET", f"/v1/decisions/{made}:replay")["differs"] == ["offer_id"]
    api("GET", "/v1/decisions/dec_0:replay", status=404)


def test_a_record_keeps_what_is_its_own_and_its_lists_come_from_the_release(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    offer = api.decide(who)["offer"]
    track(api, who, "Product Added", 1, product_id=f"p-{offer['covers']}")  # closes offers
    made = api.decide(who, explain=True)
    with api.server.ledger.read() as db:
        (row,) = db.execute(select(DECISIONS).where(DECISIONS.c.decision_id == made["decision_id"])).mappings().all()
    assert row["candidates"] is row["ineligible"] is None
    assert sum(len(str(value)) for value in row.values()) < 500
    reply = api("GET", f"/v1/decisions/{made['decision_id']}:explain")
    worth = [each.pop("worth_at_price_cents") for each in reply["candidates"]]
    assert len(worth) == len(made["candidates"])
    assert reply["candidates"] == made["candidates"]
    assert reply["ineligible"] == made["ineligible"]
    release = api.server.decider.ensure(row["release_id"])
    listed = {each["offer"] for each in made["candidates"] + made["ineligible"]} - {"none"}
    assert listed == {each.offer_id for each in release.rows.options(release.span(who))}

    def put(column: str, value: object) -> Any:
        change = update(DECISIONS).where(DECISIONS.c.decision_id == row["decision_id"]).values({column: value})
        api.server.ledger.write(lambda db, some: [db.execute(change) and None for _ in some])
        return api("GET", f"/v1/decisions/{row['decision_id']}:replay", status=None)

    for column, value in (("closed", None), ("propensity", 0.5), ("reason", "x"), ("terms", '{"seed": 5}')):
        assert row[column] != value
        assert not put(column, value).get("same"), column
        assert put(column, row[column])["same"]


def test_ids_rise_with_the_moment_of_the_decision(api: Api) -> None:
    made = [api.decide(who) for who in PEOPLE[:20]]
    assert [each["decision_id"] for each in made] == sorted(each["decision_id"] for each in made)


def test_an_erased_customers_record_still_tells_all_and_leads_to_nobody(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    made = api.decide(who)["decision_id"]
    before = api("GET", f"/v1/decisions/{made}:explain")
    api("POST", f"/v1/privacy/{who}:erase")
    after = api("GET", f"/v1/decisions/{made}:explain")
    assert after["customer_id"] != who
    assert {name: after[name] for name in ("candidates", "ineligible", "terms")} == {
        name: before[name] for name in ("candidates", "ineligible", "terms")
    }


def test_the_scores_of_a_release_stay_what_they_were_whatever_the_code_says(
    shop: tuple[Path, Config], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(folder, shop[1]) as api:
        key, release_id = api.key, released(api)
        before = api.decide("u01", explain=True)["candidates"]
    monkeypatch.setattr("promolift.core.effects.add_effects", lambda *_: 1 / 0)  # a later version of the model
    with serving(folder, shop[1]) as api:
        api.key = key
        after = api.decide("u01", explain=True)
    assert (after["release_id"], after["candidates"]) == (release_id, before)


def test_what_was_bought_a_moment_ago_is_not_offered(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    offer = api.decide(who)["offer"]
    order = {"userId": who, "event": "Order Completed", "messageId": "m1", "properties": {}}
    line = {"product_id": f"p-{offer['covers']}"}  # the product's target is its category
    api("POST", "/v1/track", order | {"properties": {"products": [line]}}, 202)
    after = api.decide(who, explain=True)
    assert after["offer_id"] != offer["id"]
    closed = {each["offer"]: each["reason"] for each in after["ineligible"]}
    assert closed[offer["id"]] == "bought it lately"


def track(api: Api, who: str, name: str, number: int, **properties: Any) -> None:
    event = {"userId": who, "event": name, "messageId": f"{who}.{number}", "properties": properties}
    api("POST", "/v1/track", event, 202)


def closed_why(api: Api, who: str) -> dict[str, str]:
    """The reason of each offer that is closed to a customer now."""
    return {each["offer"]: each["reason"] for each in api.decide(who, explain=True)["ineligible"]}


def test_what_lies_in_the_cart_is_not_offered_until_it_is_taken_out(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    offer = api.decide(who)["offer"]
    line = {"product_id": f"p-{offer['covers']}"}
    track(api, who, "Product Added", 1, **line)
    made = api.decide(who, explain=True)
    assert closed_why(api, who)[offer["id"]] == "it lies in their cart already"
    reply = api("GET", f"/v1/decisions/{made['decision_id']}:explain")
    assert reply["live"]["cart"] == [line["product_id"]]
    assert "changes no score" in reply["text"]
    assert api("GET", f"/v1/decisions/{made['decision_id']}:replay")["same"]
    track(api, who, "Product Removed", 2, **line)
    assert api.decide(who)["offer_id"] == offer["id"]
    track(api, who, "Cart Viewed", 3, products=[{"category": offer["covers"]}, {"product_id": "other"}])
    assert api.decide(who)["offer_id"] != offer["id"]
    track(api, who, "Cart Viewed", 4, products=[{"product_id": "other"}])
    assert api.decide(who)["offer_id"] == offer["id"]
    api("PUT", POLICY, {"policy": {"live": {"cart": "keep"}}})
    track(api, who, "Product Added", 5, **line)
    assert api.decide(who)["offer_id"] == offer["id"]
    assert api("GET", f"/v1/decisions/{made['decision_id']}:explain")["live"]["cart"] == [line["product_id"]]


def test_a_policy_may_offer_only_what_was_looked_at_in_the_last_minutes(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    offer = api.decide(who)["offer"]
    api("PUT", POLICY, {"policy": {"live": {"viewed": "only", "minutes": 30}}})
    old = {"timestamp": "2026-01-01T00:00:00Z", "userId": who, "event": "Product Viewed", "messageId": "old"}
    api("POST", "/v1/track", old | {"properties": {"product_id": f"p-{offer['covers']}"}}, 202)
    assert closed_why(api, who)[offer["id"]] == "not looked at in the last 30 minutes"
    track(api, who, "Product Viewed", 1, sku=f"p-{offer['covers']}")
    made = api.decide(who)
    assert made["offer_id"] == offer["id"]
    assert api("GET", f"/v1/decisions/{made['decision_id']}:explain")["live"]["viewed"] == [f"p-{offer['covers']}"]


def test_a_policy_may_rest_after_an_order_and_an_order_empties_the_cart(api: Api, folder: Path) -> None:
    who, other = sorted(each for each, offer in batch(folder).items() if offer != "none")[:2]
    covers = api.decide(who)["offer"]["covers"]
    api("PUT", POLICY, {"policy": {"live": {"after_order_minutes": 60}}})
    track(api, who, "Product Added", 1, product_id=f"p-{covers}")
    track(api, who, "Order Completed", 2, products=[{"product_id": "nothing-of-ours"}])
    made = api.decide(who, explain=True)
    assert "ordered less than 60 minutes ago" in reasons(made)
    assert made["offer_id"] == "none"
    assert api.decide(other)["offer_id"] != "none"
    api("PUT", POLICY, {"policy": {}})
    assert api.decide(who)["offer_id"] != "none"


def test_consent_withdrawn_a_moment_ago_counts_and_given_again_counts_too(api: Api, folder: Path) -> None:
    who, reply = first_offered(folder), {"event": "Consent Updated"}
    offer = api.decide(who)["offer_id"]
    api("POST", "/v1/track", reply | {"userId": who, "messageId": "c1", "properties": {"consent": False}}, 202)
    assert api.decide(who)["reason"] == "consent: the customer said no"
    old = {"timestamp": "2020-01-01T00:00:00Z", "messageId": "c0", "properties": {"consent": True}}
    api("POST", "/v1/track", reply | {"userId": who} | old, 202)
    assert api.decide(who)["offer_id"] == "none"  # an older word does not count
    api("POST", "/v1/identify", {"userId": who, "messageId": "c2", "traits": {"consent": True}}, 202)
    assert api.decide(who)["offer_id"] == offer


REFUSES = "consent: the customer refused personal decisions"


def says(api: Api, who: str, number: int, personal: bool, key: str = "", **more: Any) -> None:
    """A customer says whether decisions may be personal."""
    sent = {"authorization": f"Bearer {key or api.key}"}
    body = {"userId": who, "messageId": f"says-{number}", "traits": {"personal": personal}} | more
    assert api.client.post("/v1/identify", json=body, headers=sent).status_code == 202


def test_who_refuses_personal_decisions_has_everybodys_promotions_until_they_take_it_back(
    shop: tuple[Path, Config], folder: Path
) -> None:
    who = first_offered(folder)
    with serving(folder, shop[1]) as api:
        released(api)
        five = {"campaign_id": CAMPAIGN, "benefit": {"type": "percent_off", "percent": 5}}
        api("PUT", "/v1/promotions/five", five)
        offer = api.decide(who)["offer_id"]
        page = api("POST", "/v1/keys", {"scope": "write", "name": "page"}, 201)["key"]
        says(api, who, 1, personal=False, key=page)
        made = api.decide(who)
        assert (made["offer_id"], made["reason"]) == ("none", REFUSES)
        assert [each["promotion_id"] for each in made["general"]] == ["five"]
        says(api, who, 2, personal=True, key=page)  # anybody can read a page's key: it takes nothing back
        says(api, who, 3, personal=True, timestamp="2020-01-01T00:00:00Z")  # an older word
        assert api.decide(who)["reason"] == REFUSES
        assert "You refused personal decisions" in api("GET", f"/v1/privacy/{who}:explain")["text"]
        key = api.key
    with serving(folder, shop[1]) as again:
        again.key = key
        assert again.decide(who)["reason"] == REFUSES
        says(again, who, 4, personal=True)
        assert again.decide(who)["offer_id"] == offer
        assert "general" not in again.decide(who)
        says(again, who, 5, personal=False)
        says(again, who, 6, personal=False, timestamp="2020-01-01T00:00:00Z")
        assert again.decide(who)["reason"] == REFUSES
        late = "u59"  # of whom something later is known: their refusal counts, whenever it arrives
        again("POST", "/v1/identify", {"userId": late, "messageId": "l", "traits": {"language": "en"}}, 202)
        says(again, late, 7, personal=False, timestamp="2020-01-01T00:00:00Z")
        assert again.decide(late)["reason"] == REFUSES
        again("POST", f"/v1/privacy/{who}:erase")
        rows = {row["customer_id"]: row["personal"] for row in again("GET", "/v1/customers")["data"]}
        assert rows == {who: None, late: 0}


@pytest.mark.parametrize("traits", [{"personal": False}, {"consent": False}])
def test_what_a_visitor_refused_the_customer_whom_they_turn_out_to_be_refuses(
    api: Api, folder: Path, traits: dict[str, bool]
) -> None:
    who = first_offered(folder)
    api("POST", "/v1/identify", {"anonymousId": "v", "messageId": "1", "traits": traits | {"language": "de"}}, 202)
    assert api.decide(who)["offer_id"] != "none"
    api("POST", "/v1/identify", {"userId": who, "anonymousId": "v", "messageId": "2"}, 202)
    assert api.decide(who)["reason"].startswith("consent:")
    kept = {row["customer_id"]: row for row in api("GET", "/v1/customers")["data"]}[who]
    assert kept["language"] is None
    api("POST", "/v1/identify", {"userId": who, "messageId": "3", "traits": dict.fromkeys(traits, True)}, 202)
    assert api.decide(who)["offer_id"] != "none"


def test_a_visitor_refuses_and_says_who_they_are_in_requests_kept_together(api: Api, folder: Path) -> None:
    who, now_ms = first_offered(folder), api.server.clock.now_ms()
    sent = [{"anonymousId": "v", "traits": {"personal": False}}, {"userId": who, "anonymousId": "v"}]
    requests = [events.parse_events([each], None, now_ms, "identify") for each in sent]
    api.server.ledger.write(lambda db, some: [events.store_events(db, requests) for _ in some])
    assert api.decide(who)["reason"] == REFUSES


def test_a_refusal_that_only_an_event_tells_of_counts_once_the_ledger_was_brought_up(
    shop: tuple[Path, Config], folder: Path
) -> None:
    who = first_offered(folder)
    with serving(folder, shop[1]) as api:
        key, _ = api.key, released(api)
        says(api, who, 1, personal=False)
        unheard = update(CUSTOMERS).values(personal=None)  # as a server of form 3 leaves it
        api.server.ledger.write(lambda db, some: [db.execute(unheard) and None for _ in some])
        api.server.ledger.write(
            lambda db, some: [put_record(db, "ledger", PENDING_REFUSALS, {"after": 0}, 0) for _ in some]
        )
    with serving(folder, shop[1]) as again:
        again.key = key
        again.server.pulse()
        assert again.decide(who)["reason"] == REFUSES
        assert again.server._heard


def test_a_refusal_of_personal_decisions_holds_on_every_server(
    shop: tuple[Path, Config], folder: Path, tmp_path: Path
) -> None:
    url, other_work = f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "other"
    shutil.copytree(folder, other_work)
    with serving(folder, shop[1], ledger=url) as api, serving(other_work, ledger=url) as other:
        other.key = api.key
        name, who = released(api), first_offered(folder)
        shutil.copytree(folder / "serve" / "releases" / name, other_work / "serve" / "releases" / name)
        other.server.decider.ensure(name)
        assert other.decide(who)["offer_id"] != "none"
        says(api, who, 1, personal=False)
        assert other.decide(who)["reason"] == REFUSES
        says(other, who, 2, personal=True)
        assert api.decide(who)["offer_id"] != "none"


def test_a_message_does_not_go_to_who_refused_personal_decisions_meanwhile(api: Api, folder: Path) -> None:
    made = api.decide(first_offered(folder))
    says(api, made["customer_id"], 1, personal=False)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PROMOLIFT_KLAVIYO_KEY", "k")
        asked = {"decision_id": made["decision_id"], "by": "klaviyo"}
        assert api("POST", "/v1/messages", asked, 422)["code"] == "consent_missing"


def test_the_next_plan_knows_what_the_api_heard(shop: tuple[Path, Config], folder: Path) -> None:
    config, who = shop[1], first_offered(folder)
    people = pl.Series(["u00", "u01", "u02", "u07", who]).unique()

    def reasons_of() -> dict[str, str | None]:
        with Store(folder) as store:
            job = Job(config, store, lambda *_: None)
            load_consent_updates(job)
            return dict(consents(job, people).select("customer_id", "reason").iter_rows())

    def marked() -> str:
        with Store(folder) as store:
            return fingerprint(config, "plan", store=store)

    first, mark = reasons_of(), marked()
    with serving(folder, config) as api:
        says(api, who, 1, personal=False)
        says(api, "u07", 2, personal=True, traits={"consent": True})
        assert reasons_of() == first | {who: REFUSES.removeprefix("consent: "), "u07": None}
        assert marked() != mark
        with Store(folder) as store:
            assert CleanTables(store).personal.filter(pl.col("customer_id") == who)["personal"].to_list() == [False]
        api("POST", f"/v1/privacy/{who}:erase")
    reasons_of()
    with Store(folder) as store:
        assert store.frame("heard")["customer_id"].to_list() == ["u07"]


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


def test_a_decision_whose_commit_took_too_long_is_marked_as_one_nobody_got(
    api: Api, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = api.server.ledger._finish

    def slow(*prepared: Any) -> Any:
        time.sleep(0.3)
        return finish(*prepared)

    monkeypatch.setattr(api.server.ledger, "_finish", slow)
    object.__setattr__(api.server.settings, "deadline_ms", 50)
    made = api.decide(first_offered(folder))
    assert (made["offer_id"], made["decision_id"]) == ("none", None)
    assert made["reason"].startswith("timeout")
    monkeypatch.undo()
    for _ in range(200):
        with api.server.ledger.read() as db:
            if db.execute(select(DECISIONS.c.unanswered)).scalars().all() == [1]:
                return
        time.sleep(0.02)
    raise AssertionError("the decision still counts as given")


def test_quiet_hours_close_loud_channels_by_the_customers_clock(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    always = {"start": 0, "end": 0}
    api("PUT", POLICY, {"policy": {"quiet": always}})
    assert api.decide(who, channel="sms")["offer_id"] != "none"  # from 0 to 0 is never
    from promolift.server.ledger.policy import Policy, QuietHours

    assert [QuietHours(start=22, end=8).quiet(h) for h in (21, 22, 3, 8)] == [False, True, True, False]
    for zone, quiet in (("Asia/Shanghai", (8, 9)), ("UTC", (0, 1))):
        rule = {"start": quiet[0], "end": quiet[1]}
        api("PUT", POLICY, {"policy": {"quiet": rule}})
        midnight = 1_767_571_200_000  # 2026-01-05 00:00 UTC, 8:00 in Shanghai
        policy = Policy(quiet=QuietHours(**rule))
        assert closed_rules._quiet(policy, "sms", midnight, zone)
        assert not closed_rules._quiet(policy, "site", midnight, zone)
        assert not closed_rules._quiet(policy, "sms", midnight + 3_600_000, zone)


def test_a_used_up_budget_and_an_empty_stock_close_offers(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    offer = api.decide(who)["offer_id"]
    api("POST", f"{POLICY}/codes", {"offer_id": offer, "codes": ["ONLY-ONE"]})
    others = [each for each in PEOPLE if batch(folder)[each] == offer and each != who]
    assert api.decide(others[0])["code"] == "ONLY-ONE"
    last = api.decide(others[1], explain=True)
    assert rules(last)[offer] == "no codes are left in stock"
    none_left = {"limit_id": "l", "metric": "discount_amount", "amount": 0}
    api("PUT", POLICY, {"limits": [none_left]})
    assert "the budget of the campaign is used up" in reasons(api.decide(who, explain=True))


def test_two_customers_decided_together_share_out_the_last_code(api: Api, folder: Path) -> None:
    from promolift.server.decisions.decisions import DecisionRequest

    offer = next(o for o in batch(folder).values() if o != "none" and list(batch(folder).values()).count(o) > 1)
    both = [who for who, got in batch(folder).items() if got == offer][:2]
    api("POST", f"{POLICY}/codes", {"offer_id": offer, "codes": ["ONLY-ONE"]})
    gate_held = [api.server.ledger.submit(api.server.decider.work, DecisionRequest(who, CAMPAIGN)) for who in both]
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
    assert rules(after)[made["offer_id"]] == "its code is reserved already"
    api("POST", "/v1/redemptions:rollback", {"redemption_id": held["redemption_id"]})
    assert api.decide(who)["offer_id"] == made["offer_id"]
    with api.server.ledger.read() as db:
        assert db.execute(select(CODES.c.status).where(CODES.c.code == made["code"])).scalar() == "issued"


def test_the_message_is_true_and_dated_from_today_in_the_language_of_the_shop(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    for language in ("zh", "en"):  # the shop has English alone
        made = api.decide(who, language=language)
        assert "off" in made["message"]
        assert made["language"] == "en"
        assert made["offer"]["starts"][:10] >= "2026"
        assert "planned" not in made["message"]  # the plan's own words were for January 2026


@pytest.mark.parametrize("fault", ["release", "scoring", "ledger", "slow"])
def test_whatever_fails_inside_the_shop_is_told_no_offer_and_why(
    api: Api, folder: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, server, over = first_offered(folder), api.server, Event()
    if fault == "release":
        server.decider.releases = {}
        monkeypatch.setattr(server.decider, "ensure", lambda _: None)
    elif fault == "scoring":
        monkeypatch.setattr("promolift.server.decisions.decisions.candidates", lambda *_: 1 / 0)
    elif fault == "ledger":
        monkeypatch.setattr(server.ledger, "call", lambda *_: 1 / 0)
    else:
        object.__setattr__(server.settings, "deadline_ms", 30)
        server.ledger.submit(lambda _, some: [over.wait(20) for _ in some])  # until the answer is there, however late
    made = api.decide(who)
    over.set()
    assert made["offer_id"] == "none"
    assert made["decision_id"] is None
    if fault == "scoring":
        keyed = api("POST", "/v1/decisions", {"customer_id": who}, idempotency_key="k")
        assert keyed["reason"] == made["reason"]
    reply = {"release": "release: still", "scoring": "failure: ZeroDiv", "ledger": "failure", "slow": "timeout"}
    assert made["reason"].startswith(reply[fault])
    monkeypatch.undo()
    page = api("GET", "/metrics").text
    assert 'outcome="none",rule="' + reply[fault].partition(":")[0] in page


def test_unknown_customers_and_campaigns_get_no_offer_with_the_reason(api: Api) -> None:
    stranger = api.decide("stranger")
    assert stranger["offer_id"] == "none"
    assert stranger["decision_id"]
    assert api("POST", "/v1/decisions", {"customer_id": "u01", "campaign_id": "other"})["reason"].startswith("campaign")
    assert api("POST", "/v1/decisions", {"customer_id": "u01"})["decision_id"]  # the only campaign
    api("PUT", POLICY, {"paused": True})
    assert api.decide("u01")["reason"].startswith("campaign")


def test_exploration_is_logged_with_its_propensity(api: Api) -> None:
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
        reply = api("GET", f"/v1/decisions/{made['decision_id']}:explain")
        prices.append(reply["terms"]["price"])
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
        plan = PlanNote.load(store)
        plan.model_copy(update={"terms": plan.terms.model_copy(update={"price": 9.0})}).keep(store)
    second = released(api)
    assert second != first
    assert {api.decide(who)["offer_id"] for who in PEOPLE} == {"none"}
    assert api("POST", f"{POLICY}:rollback")["release"] == first
    assert {who: api.decide(who)["offer_id"] for who in PEOPLE} == before
    actions = [row["action"] for row in api("GET", "/v1/audit")["data"]]
    assert actions.count("release.activate") == 2
    assert actions[-1] == "release.rollback"


def test_a_release_has_decided_once_for_nobody_before_its_first_request(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from promolift.core import decisions

    decider, calls = api.server.decider, []
    plain = decisions.choose_offers
    monkeypatch.setattr(decisions, "choose_offers", lambda *given: calls.append(given) or plain(*given))
    (release_id,) = decider.releases
    decider.releases = {}
    decider.ensure(release_id)
    assert [each[0].sizes[0] > 0 for each in calls] == [True]  # what is compiled at first use was compiled now
    with api.server.ledger.read() as db:
        assert not db.execute(select(DECISIONS.c.decision_id)).all()


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
        told = api("POST", f"/v1/releases/{release}:activate", status=422)
        assert (told["code"], "candidates.parquet" in told["detail"]) == ("file_changed", True)


def test_a_manifest_changed_by_hand_is_not_served_either(shop: tuple[Path, Config], folder: Path) -> None:
    with serving(folder, shop[1]) as api:
        key, release = api.key, released(api)
    path = folder / "serve" / "releases" / release / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["terms"]["price"] = 0.0
    path.write_text(json.dumps(manifest, ensure_ascii=False, sort_keys=True, indent=1), encoding="utf-8")
    with serving(folder, shop[1]) as api:
        api.key = key
        assert api.decide("u01")["reason"].startswith("release")
        told = api("POST", f"/v1/releases/{release}:activate", status=422)
        assert (told["code"], "manifest.json" in told["detail"]) == ("file_changed", True)


def test_an_experiment_splits_by_hash_and_its_verdict_reads_the_feedback(api: Api, folder: Path) -> None:
    first = api("GET", POLICY)["release"]
    with Store(folder) as store:
        plan = PlanNote.load(store)
        plan.model_copy(update={"terms": plan.terms.model_copy(update={"price": 9.0})}).keep(store)
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


def test_erasing_a_customer_forgets_them_and_keeps_the_books(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    made = api.decide(who)
    use = {"customer_id": who, "amount_cents": 100, "decision_id": made["decision_id"]}
    api("POST", "/v1/redemptions:reserve", use)
    api("POST", "/v1/track", {"userId": who, "event": "Product Viewed", "messageId": "v"}, 202)
    held = api("POST", f"/v1/privacy/{who}:export")["tables"]
    assert held["events"]
    assert held["decisions"]
    assert held["redemptions"]
    gone = api("POST", f"/v1/privacy/{who}:erase")
    alias = gone["pseudonym"]
    assert gone["rows"]["work.decisions"] == 1
    with Store(folder) as store:
        assert who not in store.frame("decisions")["customer_id"]
    after = api("POST", f"/v1/privacy/{who}:export")["tables"]
    assert not after["events"]
    assert not after["decisions"]
    assert api.decide(who)["reason"].startswith("consent")
    assert len(api("POST", f"/v1/privacy/{alias}:export")["tables"]["redemptions"]) == 1
    assert who not in json.dumps(api("GET", "/v1/audit")).replace(f'"{CAMPAIGN}', "")
    assert api("GET", "/v1/audit:verify")["holds"]


@pytest.mark.parametrize("who", ["u01", "王小明 'x%"])
def test_after_erasing_no_table_of_the_ledger_names_them_but_for_the_mark(api: Api, who: str) -> None:

    made = api("POST", "/v1/decisions", {"customer_id": who}, idempotency_key="k1")
    track(api, who, "Order Completed", 1, order_id="o", products=[{"product_id": "p-tea"}])
    api("POST", "/v1/track", {"userId": who, "event": 5, "messageId": "bad"}, 202)  # rejected, and kept aside
    api("POST", "/v1/identify", {"userId": who, "messageId": "i", "traits": {"consent": True, "age": "44"}}, 202)
    limits = [{"limit_id": "l", "metric": "redemptions", "amount": 9, "per": "customer"}]
    api("PUT", POLICY, {"limits": limits})
    hook = {"url": "https://93.184.216.34/", "events": ["redemption.reserved", "customer.erased"]}
    api("POST", "/v1/webhooks", hook, 201)
    coded(api)
    api("POST", "/v1/redemptions:reserve", claim(1, customer_id=who), idempotency_key="k2")
    api("POST", "/v1/feedback", {"decision_id": made["decision_id"], "value_cents": 5}, 202)
    assert len(naming(api, who)) > 6
    held = api("POST", f"/v1/privacy/{quote(who)}:export")["tables"]
    assert all(
        held[name] for name in ("events", "bought", "customers", "decisions", "redemptions", "rejects", "outbox")
    )
    api("POST", f"/v1/privacy/{quote(who)}:erase")
    assert naming(api, who) == {"customers"}
    with api.server.ledger.read() as db:
        mark = db.execute(select(CUSTOMERS).where(CUSTOMERS.c.customer_id == who)).mappings().one()
    assert (mark["erased"], mark["consent"], mark["age"]) == (1, 0, None)
    again = api(
        "POST", "/v1/redemptions:reserve", claim(1, customer_id=who), idempotency_key="k2"
    )  # a retry holds no money again
    assert again["customer_id"].startswith("cus_")
    assert api("GET", POLICY)["limits"][0]["held"] == 1


def naming(api: Api, who: str) -> set[str]:
    """The tables of the ledger in which a text stands anywhere."""
    found = set()
    with api.server.ledger.read() as db:
        for table in META.sorted_tables:
            reply = json.dumps([[str(value) for value in row] for row in db.execute(select(table))], ensure_ascii=False)
            if who in reply or json.dumps(who)[1:-1] in reply.replace("\\\\", "\\"):
                found.add(table.name)
    return found


def test_who_was_anonymised_starts_anew_with_the_same_offer_and_code(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    made = api.decide(who)
    use = {"customer_id": who, "amount_cents": 100, "decision_id": made["decision_id"], "code": made["code"]}
    held = api("POST", "/v1/redemptions:reserve", use)
    api("POST", f"/v1/privacy/{who}:anonymise")
    assert naming(api, who) == set()
    again = api.decide(who)
    assert (again["offer_id"], again["code"]) == (made["offer_id"], made["code"])
    spent = api("POST", "/v1/redemptions:confirm", {"redemption_id": held["redemption_id"]})  # their old order goes on
    assert (spent["status"], spent["customer_id"][:4]) == ("confirmed", "cus_")
    assert spent["code"] != made["code"]
    assert api("GET", f"/v1/decisions/{again['decision_id']}:replay")["same"]


def test_who_was_anonymised_can_be_so_again_and_limits_count_on(api: Api, folder: Path) -> None:
    who = first_offered(folder)
    each = {"limit_id": "each", "metric": "discount_amount", "amount": 1000, "per": "customer"}
    person = {"limit_id": "person", "metric": "redemptions", "amount": 9, "per": "natural_person", "period": "day"}
    api("PATCH", POLICY, {"limits": [each, person, {"limit_id": "all", "metric": "redemptions", "amount": 9}]})
    for turn in range(3):
        made = api.decide(who)
        use = {"customer_id": who, "amount_cents": 10 + turn, "decision_id": made["decision_id"]}
        held = api("POST", "/v1/redemptions:reserve", use)
        if turn:
            api("POST", "/v1/redemptions:confirm", {"redemption_id": held["redemption_id"]})
        assert api("POST", f"/v1/privacy/{who}:{('anonymise', 'erase')[turn == 2]}")["rows"]["redemptions"] == 1
        check_books(api.server.ledger)
    used = {limit["limit_id"]: (limit["held"], limit["spent"]) for limit in api("GET", POLICY)["limits"]}
    assert used == {"each": (10, 23), "person": (1, 2), "all": (1, 2), "release-budget": (10, 23)}
    assert naming(api, who) == {"customers"}


@pytest.mark.parametrize("name", [CAMPAIGN, "u02's person"])
def test_who_is_called_as_a_campaign_or_a_person_takes_nothing_of_theirs_along(api: Api, name: str) -> None:
    coded(api)
    shared = {"limit_id": "all", "metric": "discount_amount", "amount": 15}
    person = {"limit_id": "person", "metric": "discount_amount", "amount": 10, "per": "natural_person"}
    api("PATCH", POLICY, {"limits": [shared, person]})
    api("POST", "/v1/identify", {"userId": "u02", "traits": {"personId": "u02's person"}}, 202)
    api("POST", "/v1/redemptions:reserve", claim(1, 6, customer_id="u02"))
    api("POST", "/v1/redemptions:reserve", claim(2, 4, customer_id=name))
    api("POST", f"/v1/privacy/{quote(name)}:erase")
    check_books(api.server.ledger)
    assert api("POST", "/v1/redemptions:reserve", claim(3, 6), None)["code"] == "limit_reached"
    api("POST", "/v1/redemptions:reserve", claim(4, 4, customer_id="u02"))
    assert api("POST", "/v1/redemptions:reserve", claim(5, 1, customer_id="u02"), None)["code"] == "limit_reached"


def test_a_customer_goes_in_parts_and_no_change_is_made_to_find_nothing(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "ERASED_PER_CHANGE", 3)
    monkeypatch.setattr(export, "EXPANDED_PER_CHANGE", 2)
    changes, change = [0], api.server.change

    def counted(*given: Any) -> Any:
        changes[0] += 1
        return change(*given)

    monkeypatch.setattr(api.server, "change", counted)
    view = {"type": "track", "event": "Product Viewed", "userId": PEOPLE[1]}
    api("POST", "/v1/batch", {"batch": [view | {"messageId": f"m{n}"} for n in range(7)]}, 202)
    for _ in range(5):
        api.decide(PEOPLE[1])
    full = {PEOPLE[1]: 7 // 3 + 5 // 2, "nobody": 0}  # parts of events and of decisions that were as large as may be
    for who, parts in full.items():
        changes[0] = 0
        api("POST", f"/v1/privacy/{who}:erase")
        assert changes[0] == parts + 2  # the last part, and what stays
        assert naming(api, who) == {"customers"}
