"""Several campaigns and one customer: one decides, says why, and no budget or cap that they share is passed."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from error_checks import raises_code
from serve_helpers import CAMPAIGN, MENU, PEOPLE, Api, claim, coded, planned, serving

from promolift.foundation.storage.local_store import Store
from promolift.server.decisions.decisions import DecisionRequest
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.planning.segment_decisions import decide_segment, write_decisions
from promolift.shop.pipeline.release import build_release
from promolift.shop.results.work_folder.run_context import Job

OTHER = "cmp_other"
BOTH = [CAMPAIGN, OTHER]


def plan(folder: Path, campaign: str) -> Config:
    """The plan of one of the two."""
    paid = tuple(item.model_copy(update={"supplier_share": 0.4}) for item in MENU)
    on: dict[str, Any] = {"targets": ("tea",), "menu": paid} if campaign == OTHER else {}
    return planned(folder, campaign=campaign, budget_cents=40_000, **on)


@pytest.fixture
def meeting(folder: Path) -> Iterator[Api]:
    """A server with two live campaigns: one on all targets, one on tea whose supplier pays, too, more or less."""
    ids = []
    for name in BOTH:
        plan(folder, name)
        with Store(folder) as store:
            ids.append(build_release(store))
    with serving(folder) as api:
        for each in ids:
            api("POST", f"/v1/releases/{each}:activate")
        yield api


def decide(api: Api, who: str, campaigns: Any = BOTH, **more: Any) -> Any:
    return api("POST", "/v1/decisions", {"customer_id": who, "campaign_id": campaigns} | more)


def rule(api: Api, campaign: str, **policy: Any) -> None:
    api("PATCH", f"/v1/campaigns/{campaign}", {"policy": policy})


def alone(api: Api, who: str, campaign: str) -> Any:
    return api("POST", "/v1/decisions:dry", {"customer_id": who, "campaign_id": campaign})


def worth(dry: Any) -> float:
    """Of the best open offer of a campaign at its price."""
    best: float = max((each["worth_at_price_cents"] for each in dry["candidates"]), default=0.0)
    return best if best > 1e-5 else 0.0  # whoever stands at the price is worth next to nothing


def test_the_campaign_with_the_greater_worth_decides_as_it_would_alone_and_says_why(meeting: Api) -> None:
    won = Counter[str]()
    for who in PEOPLE:
        dry = {name: alone(meeting, who, name) for name in BOTH}
        made = decide(meeting, who)
        bids = {each["campaign_id"]: each["worth_cents"] for each in made["considered"]["campaigns"]}
        refused = dry[CAMPAIGN]["reason"].startswith("consent")
        assert bids == {name: 0.0 if refused else pytest.approx(worth(dry[name]), abs=1e-5) for name in BOTH}
        best = max(bids.values())
        assert bids[made["campaign_id"]] == best
        assert made["offer_id"] == dry[made["campaign_id"]]["offer_id"]
        assert made["propensity"] == dry[made["campaign_id"]]["propensity"]
        if len(set(bids.values())) == 2 and min(bids.values()) > 0:
            assert made["considered"]["why"] == "value"
        won[made["campaign_id"] if best else "none"] += 1
        assert meeting("GET", f"/v1/decisions/{made['decision_id']}:replay")["same"]
        assert meeting("GET", f"/v1/decisions/{made['decision_id']}:explain")["considered"] == made["considered"]
        assert decide(meeting, who, None)["considered"] == made["considered"]  # all that are live
    assert min(won[name] for name in (*BOTH, "none")) > 0, won


def test_a_higher_priority_goes_first_but_not_with_an_offer_that_does_not_pay(meeting: Api) -> None:
    rule(meeting, OTHER, priority=1)
    whys = Counter[str]()
    for who in PEOPLE:
        made = decide(meeting, who)
        mine, other = (each["worth_cents"] for each in reversed(made["considered"]["campaigns"]))
        assert (made["campaign_id"] == OTHER) == (other > 0 or mine <= 0)
        whys[made["considered"]["why"]] += 1
    assert whys["priority"] > 10, whys
    assert whys["value"] == 0


def test_a_batch_and_decisions_together_are_those_of_one_by_one(meeting: Api) -> None:
    one = {who: decide(meeting, who) for who in PEOPLE}
    found = meeting("POST", "/v1/decisions:batch", {"customer_ids": PEOPLE, "campaign_id": BOTH})["data"]
    listed = meeting("GET", "/v1/decisions?limit=1000")["data"]
    assert len(listed) == 2 * len(PEOPLE)  # a campaign that did not decide keeps nothing
    asks = [DecisionRequest(who, tuple(BOTH)) for who in PEOPLE]
    server = meeting.server
    together = server.ledger.write(lambda db, some: [server.decider.work(db, asks) for _ in some])
    for made, answer in zip(found, together, strict=True):
        mine = one[made["customer_id"]]
        for name in ("campaign_id", "offer_id", "reason", "propensity", "considered"):
            assert made[name] == mine[name]
        assert (answer.record["campaign_id"], answer.offer_id) == (mine["campaign_id"], mine["offer_id"])


def test_a_whole_segment_is_decided_as_the_server_decides_one_by_one(meeting: Api, tmp_path: Path) -> None:
    one = {who: decide(meeting, who) for who in PEOPLE}
    config, _ = (plan(tmp_path / name, name) for name in BOTH)
    with Store(tmp_path / CAMPAIGN) as mine, Store(tmp_path / OTHER) as other:
        job = Job(config, mine, lambda *_: None)
        found = decide_segment(job, None, 1_767_600_000_000, [other])
        with raises_code("campaign_duplicate", "plan.campaign", CAMPAIGN):
            decide_segment(job, None, 0, [mine])
        write_decisions(job, None, 0, tmp_path / "all.csv", [other])
    assert found.height == len(PEOPLE)
    for made in found.iter_rows(named=True):
        alone = one[made["customer_id"]]
        assert {"why": made["why"], "campaigns": made["considered"]} == alone["considered"]
        for name in ("campaign_id", "offer_id", "reason", "propensity", "holdout"):
            assert made[name] == alone[name]
    assert pl.read_csv(tmp_path / "all.csv")["why"].to_list() == found["why"].to_list()


def test_a_cap_counts_offers_of_other_campaigns_that_were_asked_for_in_the_same_moment(meeting: Api) -> None:
    who = next(w for w in PEOPLE if all(alone(meeting, w, name)["offer_id"] != "none" for name in BOTH))
    for name in BOTH:
        rule(meeting, name, caps=[{"offers": 1, "days": 7}])
    asks = [
        DecisionRequest(who, CAMPAIGN),
        DecisionRequest(who, OTHER),
        DecisionRequest(who, tuple(BOTH)),
        DecisionRequest(who, CAMPAIGN),
    ]
    decider = meeting.server.decider
    made = meeting.server.ledger.write(lambda db, some: [decider.work(db, asks) for _ in some])
    assert [each.offer_id != "none" for each in made] == [True, False, False, True]  # the last shares the first's
    assert made[0] == made[3]


def test_a_paused_campaign_has_no_part_and_none_alone_is_no_offer(meeting: Api) -> None:
    who = next(w for w in PEOPLE if decide(meeting, w)["offer_id"] != "none")
    meeting("PATCH", f"/v1/campaigns/{OTHER}", {"paused": True})
    made = decide(meeting, who)
    assert made["campaign_id"] == CAMPAIGN
    assert "considered" not in made  # nobody met
    meeting("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"paused": True})
    assert decide(meeting, who)["reason"] == "campaign: unknown, paused or without a release"
    assert decide(meeting, who, ["unknown"])["offer_id"] == "none"


def test_a_shared_limit_counts_over_all_campaigns_per_customer_and_in_all(meeting: Api) -> None:
    limits = [
        {"limit_id": "all", "metric": "discount_amount", "amount": 500},
        {"limit_id": "each", "metric": "redemptions", "amount": 1, "per": "customer"},
    ]
    coded(meeting, 0, 5)
    coded(meeting, 5, 10, campaign=OTHER)

    def wish(number: int, who: str, cents: int, status: int = 200) -> Any:
        return meeting("POST", "/v1/redemptions:reserve", claim(number, cents, customer_id=who), status)

    wish(0, "u01", 200)  # what was held before a limit counts in it, too
    found = meeting("PUT", "/v1/limits", {"limits": limits})["data"]
    assert {each["limit_id"]: each["held"] for each in found} == {"all": 200, "each": 1}
    assert wish(5, "u01", 10, 409)["code"] == "limit_reached"
    wish(6, "u02", 250)
    assert wish(1, "u03", 51, 409)["code"] == "limit_reached"
    wish(2, "u03", 50)
    offered = next(w for w in PEOPLE if w not in ("u01", "u02", "u03"))
    assert decide(meeting, offered)["offer_id"] == "none"
    why = alone(meeting, offered, OTHER)["ineligible"]
    assert {each["reason"] for each in why} >= {"the budget of the campaign is used up"}
    meeting("POST", "/v1/redemptions:rollback", {"redemption_id": "rdm_0"})
    wish(7, "u01", 200)
    assert {each["limit_id"]: each["held"] for each in meeting("GET", "/v1/limits")["data"]} == {"all": 500, "each": 3}
    own = meeting("GET", f"/v1/campaigns/{CAMPAIGN}")["limits"]
    assert [each["limit_id"] for each in own] == ["release-budget"]
    meeting("PUT", "/v1/limits", {"limits": [limits[0] | {"offer_id": "o"}]}, 422)
