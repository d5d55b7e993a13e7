"""What the ledger keeps as JSON is read and written back as it was; answers hold what their types say."""

import json
from typing import Any

import pytest
from serve_helpers import CAMPAIGN, Api

from promolift.server.ledger.audit_log import get_record
from promolift.server.ledger.event_rows import EventsTaken
from promolift.server.ledger.policy import Policy
from promolift.server.ledger.records import Campaign, LearnRun, ReleaseRecord, StoredModel
from promolift.server.response_models import DecisionAnswer, FeedbackTaken, Redeemed

POLICY = Policy(explore=0.2).model_dump(mode="json")
DESIGN = {"name": "x", "arms": {"a": 1.0}, "planned_customers": 10, "primary": "value_cents"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (Campaign, {"paused": False, "policy": {}, "policy_version": 1, "previous": None, "release": "rel_1"}),
        (Campaign, {"paused": True, "policy": POLICY, "policy_version": 3}),
        (Campaign, {"experiment": {"design": DESIGN, "releases": {"a": "rel_2"}}, "paused": False, "policy": POLICY}),
        (Campaign, {"experiment": None, "paused": False, "policy": {}, "said by another version": [1]}),
        (ReleaseRecord, {"release_id": "rel_1", "campaign_id": "c", "price": 0.5}),
        (ReleaseRecord, {"release_id": "rel_1", "campaign_id": "c", "price": 0.5, "status": "asked", "by": "ann"}),
        (LearnRun, {"status": "running", "started_ms": 5}),
        (LearnRun, {"status": "failed", "why": "so", "started_ms": 5, "ended_ms": 6}),
    ],
)  # fmt: skip
def test_a_thing_that_is_only_read_is_written_as_it_was(kind: type[StoredModel], body: dict[str, Any]) -> None:
    assert kind.model_validate(json.loads(json.dumps(body))).to_json() == body


def test_a_policy_is_kept_whole_and_only_another_one_is_a_new_version() -> None:
    first = Campaign().with_policy(False, Policy(explore=0.2))
    assert first.to_json() == {"paused": False, "policy": POLICY, "policy_version": 1}
    read = Campaign.model_validate_json(json.dumps(first.to_json()))
    assert read.with_policy(True, Policy(explore=0.2)).policy_version == 1
    assert read.with_policy(True, Policy(explore=0.3)).policy_version == 2


def test_a_switch_keeps_the_release_before_and_all_else(api: Api) -> None:
    with api.server.ledger.read() as db:
        body = get_record(db, "campaign", CAMPAIGN)
    switched = Campaign.model_validate(body).with_release("rel_next")
    assert switched.to_json() == body | {"release": "rel_next", "previous": body["release"]}
    assert switched.releases == {"rel_next"}


def test_answers_hold_what_their_types_say(api: Api) -> None:
    made = next(each for n in range(60) if (each := api.decide(f"u{n:02d}", explain=True))["offer_id"] != "none")
    assert DecisionAnswer.__required_keys__ <= set(made) <= set(DecisionAnswer.__annotations__)
    assert DecisionAnswer.__required_keys__ <= set(api.decide("stranger")) <= set(DecisionAnswer.__annotations__)
    batch = {"batch": [{"type": "nothing"}]}
    assert set(api("POST", "/v1/batch?dry_run=1", batch, 202)) == set(EventsTaken.__annotations__)
    asked = {"customer_id": made["customer_id"], "decision_id": made["decision_id"], "amount_cents": 5}
    assert set(api("POST", "/v1/redemptions:reserve", asked)) == set(Redeemed.__annotations__)
    said = {"decision_id": made["decision_id"], "value_cents": 5}
    assert set(api("POST", "/v1/feedback", said, 202)) == set(FeedbackTaken.__annotations__)
