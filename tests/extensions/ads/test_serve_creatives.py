"""A plan of creatives over HTTP: cap, budget, pace and shares hold, and what was clicked teaches the next shares."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from ledger_helpers import KINDS, ledger_url, open_ledger
from serve_helpers import CAMPAIGN, PEOPLE, Api, released, serving
from sqlalchemy import insert, select

from promolift.extensions.ads.creatives import estimate_policy_values
from promolift.extensions.ads.results import Creative, CreativeCatalogue, CreativeSettings
from promolift.extensions.ads.serving import freeze_shares, load_impressions
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS
from promolift.server.carts.carts import MAX_DECISIONS
from promolift.server.decisions.decisions import DecisionRequest
from promolift.server.ledger.records import LearningProposal
from promolift.server.ledger.schema import DECISIONS
from promolift.server.tasks.learning_schedule import LearningScheduler
from promolift.server.tasks.learning_task import run_task
from promolift.shop.configuration.extension_sections import read_project
from promolift.shop.ingest.setup.extension_setup import TradeAnswers, start_project

ADS = "/v1/campaigns/ads"
SHARES = {("top", "mobile"): {"a": 0.6, "b": 0.2}, ("top", "desk"): {"a": 0.05, "b": 0.1, "c": 0.05}}
TOP = {"a": 0.65, "b": 0.3, "c": 0.05}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return planned(tmp_path / "ads")


def planned(folder: Path, **said: Any) -> Path:
    """What `promolift run` leaves in the work folder of a trade `ads`."""
    rows = [(*cell, name, share, 0.0, 0.0) for cell, each in SHARES.items() for name, share in each.items()]
    names = ["placement", "audience", "creative", "share", "shown", "clicks"]
    given = {"path": "x.csv", "creative": "c", "clicked": "k", "budget": 1000, "cap": 2, "unasked": True} | said
    with Store(folder) as store:
        known = {name: Creative(text=f"Buy {name}", picture=f"{name}.png") for name in "abc"}
        CreativeCatalogue(settings=CreativeSettings.model_validate(given), creatives=known).save_plan(
            store, pl.DataFrame(rows, schema=names, orient="row")
        )
    return folder


def show(api: Api, who: str, **more: Any) -> Any:
    asked = {"customer_id": who, "campaign_id": "ads", "placement": "top", "audience": "mobile"} | more
    return api("POST", "/v1/decisions", asked)


def paced(api: Api, budget_days: float = 7.0, **policy: Any) -> None:
    """The budget lasts so long from now, and so many are expected."""
    now_ms = api.server.clock.now_ms()
    pacing = {"starts_ms": now_ms, "ends_ms": now_ms + round(budget_days * DAY_MS), "arrivals": 1000} | policy
    api("PATCH", ADS, {"policy": {"pacing": pacing}})


def many(api: Api, people: range, audience: str = "mobile", together: int = 200) -> list[Any]:
    """Decisions on many visitors, so many in one change of the ledger."""
    asks = [DecisionRequest(f"v{n}", "ads", placement="top", audience=audience) for n in people]
    work = lambda db, some: [api.server.decider.work(db, each) for each in some]  # noqa: E731
    return [one for at in range(0, len(asks), together)
            for one in api.server.ledger.write(work, asks[at : at + together])]  # fmt: skip


def test_a_creative_is_answered_with_what_to_show_and_its_record_can_be_replayed(work: Path) -> None:
    with serving(work) as api:
        released(api)
        made = show(api, "v", explain=True)
        assert made["offer_id"] in "ab"
        offer, share = made["offer"], {"a": 0.75, "b": 0.25}[made["offer_id"]]
        assert (offer["type"], offer["text"], offer["picture"]) == (
            "creative", f"Buy {made['offer_id']}", f"{made['offer_id']}.png",
        )  # fmt: skip
        assert made["propensity"] == pytest.approx(share)
        assert made["code"] is None
        probs = {each["offer"]: each["prob"] for each in made["candidates"]}
        assert sum(probs.values()) == pytest.approx(1)
        assert probs[made["offer_id"]] == made["propensity"]
        assert api("GET", f"/v1/decisions/{made['decision_id']}:replay")["same"]
        assert "shares" in api("GET", f"/v1/decisions/{made['decision_id']}:explain")["text"]
        asked = {"customer_id": "v", "campaign_id": "ads", "placement": "top"}
        assert api("POST", "/v1/decisions:dry", asked)["offer"]["type"] == "creative"
        assert api("POST", "/v1/decisions", {"customer_id": "v", "campaign_id": "ads"})["reason"].startswith(
            "campaign:"
        )
        assert show(api, "v", placement="elsewhere")["offer_id"] == "none"
        assert 'promolift_decisions_total{outcome="offer",rule="shares"}' in api("GET", "/metrics").text


def test_a_retry_is_one_impression(work: Path) -> None:
    with serving(work) as api:
        released(api)
        body = {"customer_id": "v", "campaign_id": "ads", "placement": "top", "audience": "mobile"}
        first = api("POST", "/v1/decisions", body, idempotency_key="k")
        assert api("POST", "/v1/decisions", body, idempotency_key="k") == first
        api("POST", "/v1/decisions", body | {"placement": "other"}, 422, idempotency_key="k")
        assert api("GET", ADS)["pace"]["pace"]["seen"] == 1


def test_a_visitor_sees_each_creative_no_more_than_the_cap_in_a_day_whoever_answers(work: Path) -> None:
    with serving(work) as one:
        one.server.clock.behind_ms = 2 * DAY_MS
        released(one)
        first = [show(one, "v")["offer_id"] for _ in range(30)]
        assert {name: n for name, n in Counter(first).items() if name != "none"} == {"a": 2, "b": 2}
    with serving(work) as two:  # started anew, and then a day later
        two.key = one.key
        two.server.clock.behind_ms = 2 * DAY_MS - 60_000
        again = show(two, "v", explain=True)
        assert again["offer_id"] == "none"
        assert {each["reason"] for each in again["ineligible"]} == {"frequency cap: 2 times in 1 days"}
        two.server.clock.behind_ms = DAY_MS - 120_000
        assert show(two, "v")["offer_id"] in "ab"


@pytest.mark.parametrize("kind", KINDS)
def test_two_servers_never_pass_the_budget(tmp_path: Path, kind: str) -> None:
    work = planned(tmp_path / "ads", budget=40)
    open_ledger(tmp_path, kind).close()
    url = ledger_url(tmp_path, kind)
    with serving(work, ledger=url) as one, serving(work, ledger=url) as two:
        released(one)
        two.key = one.key
        two.server.reload_keys()
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda n: show((one, two)[n % 2], f"v{n}"), range(120)))
        shown = [each["decision_id"] for each in made if each["offer_id"] != "none"]
        assert 30 <= len(set(shown)) == len(shown) <= 40
        assert one("GET", ADS)["pace"]["pace"]["spent"] == len(shown)


def test_what_a_thousand_cost_is_held_within_the_budget_of_money(tmp_path: Path) -> None:
    work = planned(tmp_path / "ads", budget=50, price_cents=0.1)
    with serving(work) as api:
        released(api)
        assert {each.offer_id for each in many(api, range(1000, 1200))} == {"none"}  # more at once than is left
        shown = sum(each.offer_id != "none" for each in many(api, range(80), together=1))
        assert 0 < shown <= 50
        assert api("GET", ADS)["pace"]["pace"]["spent"] == pytest.approx(0.1 * shown)


def test_the_budget_lasts_the_time_it_should(tmp_path: Path) -> None:
    work = planned(tmp_path / "ads", budget=200)
    with serving(work) as api:
        api.server.clock.behind_ms = DAY_MS
        released(api)
        paced(api, budget_days=1.0)
        shown = []
        for minute in range(0, 1440, 24):  # 1,200 come where 1,000 were expected
            api.server.clock.behind_ms = DAY_MS - minute * 60_000
            shown += [each.offer_id != "none" for each in many(api, range(minute * 20, minute * 20 + 20))]
        assert sum(shown) <= 200
        assert sum(shown) >= 180
        assert 70 <= sum(shown[:600]) <= 130
        api.server.clock.behind_ms = -1000
        late = show(api, "y", explain=True)
        assert late["offer_id"] == "none"
        assert "pacing" in late["ineligible"][0]["reason"]


def test_shares_are_those_drawn_and_logged(work: Path) -> None:
    with serving(work) as api:
        released(api)
        paced(api, arrivals=2000.0)  # every other one sees none
        made = [each for each in many(api, range(1500)) if each.offer_id != "none"]
        assert 600 <= len(made) <= 900
        rates = Counter(each.offer_id for each in made)
        assert rates["a"] / len(made) == pytest.approx(0.75, abs=0.06)
        with api.server.ledger.read() as db:
            log = load_impressions(db, "ads")
        assert {(name, round(prob, 9)) for name, prob in log.select("creative", "prob").iter_rows()} == {
            ("a", 0.75), ("b", 0.25),
        }  # fmt: skip
        assert all(0.1 < each.record["propensity"] < 0.6 for each in made if each.offer_id == "a")
        strange = many(api, range(5000, 5200), "never seen")
        shares = {round(each.record["propensity"] / (1 - each.record["price"]), 9) for each in strange
                  if each.offer_id != "none"}  # fmt: skip
        assert shares <= set(TOP.values())


def test_who_said_no_gets_what_everybody_gets_and_who_was_erased_nothing(tmp_path: Path) -> None:
    with serving(planned(tmp_path / "ads", cap=100)) as api:
        released(api)
        no = {"userId": "v", "traits": {"consent": False}, "messageId": "no"}
        api("POST", "/v1/identify", no, 202)
        asked = [show(api, "v", explain=True) for _ in range(20)]
        assert {each["reason"] for each in asked} == {
            "shares: drawn anew by the shares of the placement, whoever looks"
        }
        probs = {each["offer"]: round(each["prob"], 9) for each in asked[0]["candidates"] if each["offer"] != "none"}
        assert probs == TOP
        assert show(api, "w")["reason"] == "shares: drawn anew by the plan's shares"
        api("POST", "/v1/privacy/v:erase")
        assert show(api, "v")["offer_id"] == "none"
        kept = api("GET", f"/v1/decisions/{asked[0]['decision_id']}:replay")
        assert kept["again"]["customer_id"] != "v"
        assert api("GET", "/v1/audit:verify")["holds"]
    with serving(planned(tmp_path / "asked", unasked=False)) as api:
        released(api)
        assert show(api, "new")["reason"].endswith("whoever looks")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    async def child(self: LearningScheduler, campaign_id: str) -> LearningProposal:
        return await asyncio.to_thread(run_task, self.task(campaign_id))

    monkeypatch.setattr(LearningScheduler, "_child", child)


def learned(api: Api) -> Any:
    api("POST", f"{ADS}:learn", status=202)
    while (run := api("GET", f"{ADS}/learning"))["status"] == "running":
        pass
    return run


@pytest.mark.usefixtures("here")
def test_what_was_clicked_moves_the_shares_and_its_value_is_the_truth(tmp_path: Path) -> None:
    rates, rng = {"a": 0.05, "b": 0.2, "c": 0.1}, np.random.default_rng(0)
    with serving(planned(tmp_path / "ads", budget=6000), learn={"release": True}) as api:
        released(api)
        paced(api, arrivals=6000.0)
        assert learned(api)["status"] == "nothing proposed"
        made = [*many(api, range(2500)), *many(api, range(2500, 5000), "desk")]
        shown = [each for each in made if each.offer_id != "none"]
        clicks = [
            {"type": "track", "userId": each.record["customer_id"], "event": "Promotion Clicked",
             "properties": {"decision_id": each.record["decision_id"]}}
            for each in shown if rng.random() < rates[each.offer_id]
        ]  # fmt: skip
        seen = [
            {"type": "track", "userId": each.record["customer_id"], "event": "Promotion Viewed",
             "properties": {"decision_id": each.record["decision_id"]}}
            for each in shown[:100]
        ]  # fmt: skip
        api("POST", "/v1/batch", {"batch": clicks + seen + [{**one, "messageId": "2nd"} for one in clicks[:1]]}, 202)
        with api.server.ledger.read() as db:
            log = load_impressions(db, "ads")
        assert (log.height, log["clicks"].sum()) == (len(shown), len(clicks))
        policy = pl.DataFrame({"placement": "top", "creative": ["a", "b"], "share": [0.2, 0.8]})
        value = estimate_policy_values(log, {"another": policy}).values["another"]
        width = value.high - value.low
        assert (
            abs(value.value - (0.2 * 0.05 + 0.8 * 0.2)) < width
        )  # four standard errors: the draws are new in each run
        assert width < 0.06
        run = learned(api)
        assert run["status"] == "released"
        assert "clicks per impression" in run["why"]
        assert api("GET", ADS)["release"] in run["why"]
        then = show(api, "z", explain=True)
        prob = {each["offer"]: each["prob"] for each in then["candidates"]}
        assert prob["b"] / (1 - prob["none"]) > 0.8
        assert then["policy_version"] != shown[0].record["policy_version"]


@pytest.mark.usefixtures("here")
def test_learning_leaves_out_excluded_days_and_impressions_whose_clicks_are_gone(tmp_path: Path) -> None:
    with serving(planned(tmp_path / "ads"), keep={"events_days": 1.0}) as api:
        api.server.clock.behind_ms = 2 * DAY_MS
        released(api)
        old = [each for each in many(api, range(60)) if each.offer_id != "none"]
        api.server.clock.behind_ms = 0
        new = [each for each in many(api, range(60, 90)) if each.offer_id != "none"]
        assert len(old) > len(new) > 0
        for number, each in enumerate((*old[:1], *new[:2])):
            clicked = {"userId": each.record["customer_id"], "event": "Promotion Clicked", "messageId": f"m{number}"}
            api("POST", "/v1/track", clicked | {"properties": {"decision_id": each.record["decision_id"]}}, 202)
        assert f" {len(new)} served in all" in learned(api)["why"]
        today = datetime.fromtimestamp(api.server.clock.now_ms() / 1000, UTC).date()
        days = {"first": str(today - timedelta(1)), "last": str(today + timedelta(1)), "text": "outage"}
        api("POST", "/v1/annotations", days | {"excluded": True}, 201)
        run = learned(api)
        assert (run["status"], run["why"][:24]) == ("nothing proposed", "creatives: nobody clicke")


def test_impressions_are_told_from_offers_that_the_same_campaign_served(work: Path) -> None:
    with serving(work) as api:
        released(api)
        made = show(api, "v")["decision_id"]

        def offer(db: Any, some: list[Any]) -> list[None]:
            row = db.execute(select(DECISIONS).where(DECISIONS.c.decision_id == made)).mappings().one()
            rows = [{**row, "decision_id": f"{made}{n}", "policy_id": policy, "terms": "{}"}
                    for n, policy in enumerate(("greedy", row["policy_id"]))]  # fmt: skip
            db.execute(insert(DECISIONS), rows)
            return [None for _ in some]

        api.server.ledger.write(offer)
        with api.server.ledger.read() as db:
            assert load_impressions(db, "ads")["placement"].to_list() == ["top"]


def test_offers_and_creatives_stand_beside_each_other_on_one_server(api: Api, folder: Path, work: Path) -> None:
    with Store(work) as store:
        release_id = freeze_shares(folder, CreativeCatalogue.load_shares(store), CreativeCatalogue.load(store))
    api("POST", f"/v1/releases/{release_id}:activate")
    api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"policy": {"caps": [{"offers": 1, "days": 7}]}})
    dry = {who: api("POST", "/v1/decisions:dry", {"customer_id": who})["offer_id"] for who in PEOPLE}
    who = min(each for each, offer in dry.items() if offer != "none")
    shown = [api("POST", "/v1/decisions", {"customer_id": who, "placement": "top"}) for _ in range(9)]
    assert {each["campaign_id"] for each in shown} == {"ads"}
    given = api("POST", "/v1/decisions", {"customer_id": who})  # creatives use up no cap of offers
    assert (given["campaign_id"], given["offer_id"]) == (CAMPAIGN, dry[who])
    closed = {each["reason"].partition(":")[0] for each in api.decide(who, explain=True)["ineligible"]}
    assert "frequency cap" in closed
    lines = [{"line_id": "1", "product_id": "p-tea", "quantity": 1, "price_cents": 100}]
    assert api("POST", "/v1/carts:price", {"customer_id": who, "lines": lines})["currency"] == "USD"


def test_a_creative_is_no_message(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URL", "KEY", "CAMPAIGN"):
        monkeypatch.setenv(f"PROMOLIFT_BRAZE_{name}", "https://rest.example")
    with serving(work) as api:
        released(api)
        wish = {"decision_id": show(api, "v")["decision_id"], "by": "braze"}
        assert api("POST", "/v1/messages", wish, 422)["code"] == "decision_of_another"


@pytest.mark.parametrize("own", [{}, {"caps": [{"offers": 7, "days": 3.0}]}, {"rest_days": 3.0}])
def test_a_campaign_that_is_there_already_begins_with_the_cap_and_pace_that_it_lacks(
    work: Path, own: dict[str, Any]
) -> None:
    with serving(work) as api:
        api("PUT", ADS, {"paused": True, "policy": own})
        release_id = released(api)
        found = api("GET", ADS)
        kept = found["policy"]
        assert kept["pacing"]["arrivals"] == 1000.0
        assert kept["caps"][0]["offers"] == (7 if "caps" in own else 2)
        assert kept["rest_days"] == own.get("rest_days", 14.0)
        assert found["paused"]
        api("PATCH", ADS, {"policy": {"caps": []}})
        api("POST", f"/v1/releases/{release_id}:activate")
        assert api("GET", ADS)["policy"]["caps"] == []


def test_impressions_push_no_offer_out_of_a_cart(api: Api, folder: Path, tmp_path: Path) -> None:
    with Store(planned(tmp_path / "ads", cap=100)) as store:
        release_id = freeze_shares(folder, CreativeCatalogue.load_shares(store), CreativeCatalogue.load(store))
    api("POST", f"/v1/releases/{release_id}:activate")
    made = next(each for each in map(api.decide, PEOPLE) if each["offer_id"] != "none")
    who = made["customer_id"]
    shown = [show(api, who)["offer_id"] for _ in range(60)]
    assert sum(each != "none" for each in shown) >= MAX_DECISIONS
    line = {"line_id": "1", "product_id": f"p-{made['offer']['covers']}", "quantity": 1, "price_cents": 1000}
    found = api("POST", "/v1/carts:price", {"customer_id": who, "lines": [line]})
    assert [each["decision_id"] for each in found["applied"]] == [made["decision_id"]]


@pytest.mark.slow
def test_a_plan_of_no_impression_is_no_release_and_a_creative_is_worth_nothing_in_a_cart(tmp_path: Path) -> None:
    with serving(planned(tmp_path / "poor", budget=1, price_cents=0.5)) as api:
        assert api("POST", "/v1/releases", status=422)["code"] == "budget_too_small"
    with serving(planned(tmp_path / "ads")) as api:
        released(api)
        made = show(api, "v")
        body = {"customer_id": "v", "lines": [{"line_id": "1", "product_id": "p", "quantity": 1, "price_cents": 100}]}
        assert api("POST", "/v1/carts:price", body)["applied"] == []
        assert api("POST", "/v1/privacy/v:export")
        assert made["decision_id"]


@pytest.mark.parametrize("layout", ["impressions", "tests"])
def test_the_walk_goes_from_a_log_to_served_creatives(tmp_path: Path, layout: str) -> None:
    n = np.arange(3000)
    log = {"item_id": np.array(["x", "y"])[n % 2], "position": "top", "device": "desk", "image": "p.png",
           "click": (n % 7 == 0).astype(int), "propensity_score": 0.5,
           "headline": np.array(["Hot", "Cold"])[n % 2]}  # fmt: skip
    tests = {"headline": [f"{'Now' if k % 2 else 'Later'} {k}" for k in n[:200]], "test_id": n[:200] // 2,
             "impressions": 3000, "clicks": np.where(n[:200] % 2, 300, 100)}  # fmt: skip
    pl.DataFrame(log if layout == "impressions" else tests).write_csv(tmp_path / "log.csv")
    said = TradeAnswers({"audience": "device", "picture": "image"} if layout == "impressions" else {})
    config = tmp_path / "promolift.toml"
    start_project("ads", [tmp_path / "log.csv"], config, False, said)
    project = read_project(config)
    assert project is not None
    project.run(tmp_path / "work", tmp_path / "out", lambda *_: None)
    with serving(tmp_path / "work") as api:
        released(api)
        where = "top" if layout == "impressions" else "99"
        made = show(api, "v", placement=where, audience="desk")
        shown = made["offer"]["text"], made["offer"]["picture"]
        assert shown in (("Hot", "p.png"), ("Cold", "p.png"), ("Now 199", None), ("Later 198", None))


def test_a_release_that_finishes_loading_within_a_round_is_not_there_yet(api: Api) -> None:
    decider, found = api.server.decider, iter([None])
    ask, now_ms = DecisionRequest(PEOPLE[0], CAMPAIGN, placement="top"), api.server.clock.now_ms()
    with api.server.ledger.read() as db:
        made = decider._decided(db, [ask], now_ms, lambda name: next(found, decider.releases[name]))
    assert [(each.record, each.reason) for each in made.answers] == [(None, "release: still being loaded")]


def test_one_visitor_who_asks_many_times_at_once_is_capped(work: Path) -> None:
    with serving(work) as api:
        released(api)
        ask = DecisionRequest("v", "ads", placement="top", audience="mobile")
        made = api.server.ledger.write(lambda db, some: [api.server.decider.work(db, [ask] * 30) for _ in some])
        shown = [each for each in made if each.offer_id != "none"]
        assert len({each.record["decision_id"] for each in made}) == 30
        assert Counter(each.offer_id for each in shown) == {"a": 2, "b": 2}
