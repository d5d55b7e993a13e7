"""A decision that says on which channel to send its offer and when: quiet hours, caps of a channel, known draws."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from serve_helpers import CAMPAIGN, MENU, PEOPLE, Api, released, serving
from sqlalchemy import select

from promolift.core.decisions import SendSlot
from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import HOUR_MS
from promolift.server.decisions.eligibility import KEY_SEPARATOR, Exclusions
from promolift.server.decisions.release_candidates import ENDS_BEFORE_SENT, close_before_sent
from promolift.server.ledger.schema import DECISIONS
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.plan import Plan

POLICY = f"/v1/campaigns/{CAMPAIGN}"
WAYS = [{"channel": "push", "hours": [12]}, {"channel": "email", "hours": [10, 18, 10]}]
REACHED = ["email", "push"]


def sending(api: Api, explore: float = 0.0, **more: Any) -> None:
    api("PATCH", POLICY, {"policy": {"sending": {"channels": WAYS, "explore": explore}} | more})


def offered(api: Api) -> list[str]:
    return [who for who in PEOPLE if api("POST", "/v1/decisions:dry", {"customer_id": who})["offer_id"] != "none"]


def hour(made: Any) -> int:
    return datetime.fromisoformat(made["send"]["send_at"]).hour


def test_the_first_open_channel_at_its_first_hour_by_the_customers_clock(api: Api) -> None:
    who = offered(api)[0]
    assert "send" not in api.decide(who, channels=REACHED)  # the campaign says nothing of sending
    sending(api)
    made = api.decide(who, channels=REACHED)
    assert (made["send"]["channel"], hour(made), made["send"]["propensity"]) == ("push", 12, 1.0)
    assert "send" not in api.decide(who)  # was not asked for
    there = api.decide(who, channels=REACHED, timezone="Asia/Shanghai")
    assert hour(there) == 4  # 12:00 there
    assert api.decide(who, channels=["email"])["send"]["channel"] == "email"
    sending(api, quiet={"start": 11, "end": 13})
    made = api.decide(who, channels=REACHED)
    assert (made["send"]["channel"], hour(made)) == ("email", 10)
    assert api.decide(who, channels=["push"])["offer_id"] == "none"
    assert api.decide(who, channels=["sms"])["offer_id"] == "none"
    said = api.decide(who, channels=["sms"], explain=True)["ineligible"]
    assert any(each["reason"].startswith("no channel is open") for each in said)


def test_an_offer_is_not_given_where_it_could_be_sent_only_after_its_end(
    shop: tuple[Path, Config], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_day = tuple(item.model_copy(update={"valid_days": 1 if item.id == "cut-10" else 2}) for item in MENU)
    with Store(folder) as store:
        plan = Plan.load(store)
        plan.note.model_copy(update={"menu": one_day}).keep(store)
    with serving(folder, shop[1]) as api:
        release_id = released(api)
        sending(api)
        first_ms = api.server.decider.ensure(release_id).first_ms(api("GET", POLICY)["periods"][release_id]["ends_ms"])
        noon = first_ms + 12 * HOUR_MS
        for now_ms, ended in ((noon - HOUR_MS, False), (noon + HOUR_MS, True)):
            monkeypatch.setattr(api.server.clock, "now_ms", lambda now_ms=now_ms: now_ms)
            lines = Counter[str]()
            for who in PEOPLE:
                made = api("POST", "/v1/decisions:dry", {"customer_id": who, "channels": ["push"]})
                lines[made["offer_id"].split("_")[1] if "_" in made["offer_id"] else "none"] += 1
                late = [each for each in made["ineligible"] if each["reason"] == "it ends before it could be sent"]
                assert all(each["offer"].startswith("off_cut-10_") for each in late)
                assert not late or ended
                others = [each["offer"] for each in made["candidates"] if each["offer"] != "none"]
                assert ended == all(not offer.startswith("off_cut-10_") for offer in others) or not others
            assert (lines["cut-10"] == 0) == ended


def test_a_cap_of_a_channel_closes_that_channel_alone(api: Api) -> None:
    who = offered(api)[0]
    sending(api, caps=[{"offers": 1, "days": 7, "channel": "push"}, {"offers": 3, "days": 7}])
    sent = [api.decide(who, channels=REACHED).get("send", {}).get("channel") for _ in range(4)]
    assert sent == ["push", "email", "email", None]
    other = offered(api)[0]
    assert api.decide(other, channel="push")["offer_id"] != "none"
    assert api.decide(other, channel="push")["offer_id"] == "none"  # asked on it, not drawn
    assert api.decide(other, channel="email")["offer_id"] != "none"


def test_a_cap_on_each_offer_of_a_channel_closes_that_offer_there_alone(api: Api) -> None:
    who = offered(api)[0]
    on_push = {"offers": 1, "days": 7, "channel": "push", "each": True}
    sending(api, caps=[on_push, {"offers": 2, "days": 7, "each": True}])
    first, second, third = (api.decide(who, channels=REACHED, explain=True) for _ in range(3))
    assert [each["send"]["channel"] for each in (first, second)] == ["push", "email"]
    assert first["offer_id"] == second["offer_id"] != third["offer_id"]
    said = {each["offer"]: each["reason"] for each in third["ineligible"]}
    assert said[first["offer_id"]].startswith("frequency cap")


def test_an_offer_capped_on_the_channel_of_its_last_hour_ends_before_it_could_be_sent() -> None:
    soon, later = SendSlot("push", 1), SendSlot("email", 9)
    closed = Exclusions(slots={"v": [soon, later]}, own_slots={f"v{KEY_SEPARATOR}capped": [later]})
    nothing: Any = None
    close_before_sent(closed, nothing, {"capped": 5, "open": 5})
    assert closed.pairs == {f"v{KEY_SEPARATOR}capped": ENDS_BEFORE_SENT}


def test_a_share_is_drawn_evenly_and_apart_from_offer_and_holdout(api: Api, folder: Path) -> None:
    before = {who: api.decide(who) for who in PEOPLE}
    sending(api, explore=0.75)
    drawn, prob = Counter[tuple[str, int]](), {}
    for turn in range(4):
        found = api("POST", "/v1/decisions:batch", {"customer_ids": PEOPLE, "channels": REACHED})["data"]
        for made in found:
            mine = before[made["customer_id"]]
            assert (made["offer_id"], made["propensity"], made["holdout"]) == (
                mine["offer_id"], mine["propensity"], mine["holdout"],
            )  # fmt: skip
            assert ("send" in made) == (made["offer_id"] != "none"), turn
            if "send" in made:
                slot = made["send"]["channel"], hour(made)
                drawn[slot], prob[slot] = drawn[slot] + 1, made["send"]["propensity"]
    assert prob == {("push", 12): 0.5, ("email", 10): 0.25, ("email", 18): 0.25}
    assert min(drawn.values()) > 5
    with api.server.ledger.read() as db:
        columns = DECISIONS.c.offer_id, DECISIONS.c.channel, DECISIONS.c.send_ms, DECISIONS.c.send_prob
        kept = db.execute(select(*columns).where(DECISIONS.c.send_ms.is_not(None))).all()
    assert len(kept) == sum(drawn.values())
    assert all(offer != "none" and name in REACHED and 0 < p < 1 for offer, name, _, p in kept)


def test_the_hour_at_which_a_customer_answers_comes_first_once_it_is_learned(api: Api) -> None:
    from promolift.foundation.time.clock import DAY_MS, HOUR_MS
    from promolift.server.ledger.schema import EVENTS

    who = offered(api)[0]
    sending(api)
    made = api.decide(who, channels=REACHED)
    assert (made["send"]["channel"], hour(made)) == ("push", 12)
    with api.server.ledger.read() as db:
        row = dict(db.execute(select(DECISIONS).where(DECISIONS.c.decision_id == made["decision_id"])).one()._mapping)
    midnight, decisions, events = row["send_ms"] // DAY_MS * DAY_MS - 40 * DAY_MS, [], []
    for n in range(240):  # what was sent at 18 by e-mail was answered, the rest was not
        channel, at = (("push", 12), ("email", 10), ("email", 18))[n % 3]
        sent = midnight + (n // 8) * DAY_MS + at * HOUR_MS
        mine = {"decision_id": f"dec_{n}", "channel": channel, "send_ms": sent, "ts_ms": sent, "send_prob": 0.3}
        decisions.append({**row, **mine, "code": None})
        if at == 18 or n % 12 == 0:
            events.append({"message_id": f"o{n}", "customer_id": who, "ts_ms": sent + 1000, "received_ms": sent + 1000,
                           "name": "Message Opened", "decision_id": f"dec_{n}", "body": "{}"})  # fmt: skip

    def put(db: Any, some: Any) -> Any:
        db.execute(DECISIONS.insert(), decisions)
        db.execute(EVENTS.insert(), events)
        return [None for _ in some]

    api.server.ledger.write(put)
    api.server.fit_send_hours()
    assert api.server.decider.hours is None  # no campaign asks for it
    learned = {"sending": {"channels": WAYS, "explore": 0.0, "learned": True}}
    api("PATCH", POLICY, {"policy": learned})
    api.server.fit_send_hours()
    made = api.decide(who, channels=REACHED)
    assert (made["send"]["channel"], hour(made), made["send"]["propensity"]) == ("email", 18, 1.0)
