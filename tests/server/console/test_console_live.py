"""What happens now is what the ledger holds; pausing and limits change what decisions give, audited."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from console_helpers import CONFIG, Shop, opened
from serve_helpers import derived
from sqlalchemy import insert

from promolift.foundation.storage.local_store import Store
from promolift.foundation.time.clock import DAY_MS, wall_ms
from promolift.server.ledger.limits import period_key
from promolift.server.ledger.schema import REDEMPTIONS, USAGE
from promolift.shop.results.plan import Plan

CAMPAIGN = CONFIG.plan.campaign


@pytest.fixture
def live(folder: Path) -> Iterator[Shop]:
    """A server whose plan decides."""
    with opened(folder, demo=True) as found:
        yield found


def given(folder: Path) -> str:
    with Store(folder) as store:
        return str(Plan.load(store).chosen["customer_id"][0])


def test_the_last_decisions_are_those_of_the_ledger(live: Shop, folder: Path) -> None:
    viewer, who = live.person("viewer"), given(folder)
    assert viewer.json("/live")["decisions"] == []
    assert "No decision yet" in viewer.get("/live")
    made = [live.api("POST", "/v1/decisions", {"customer_id": each, "campaign_id": CAMPAIGN}) for each in (who, "u007")]
    said = viewer.json("/live")
    assert [row["customer_id"] for row in said["decisions"]] == [row["customer_id"] for row in reversed(made)]
    assert said["summary"]["hour"]["decisions"] == 2
    assert said["summary"]["hour"]["none"] == sum(row["offer_id"] == "none" for row in made)
    shown = viewer.json("/live?offer=given&part=now")["decisions"]
    assert [row["customer_id"] for row in shown] == [
        row["customer_id"] for row in reversed(made) if row["offer_id"] != "none"
    ]


def test_a_pause_holds_at_once_and_stands_on_today(live: Shop, folder: Path) -> None:
    approver, who = live.person("approver"), given(folder)
    asked = {"customer_id": who, "campaign_id": CAMPAIGN}
    approver.post("/live/pause", paused="yes")
    assert live.api("POST", "/v1/decisions", asked)["offer_id"] == "none"
    assert "The campaign is paused" in approver.get("/")
    approver.post("/live/pause", paused="no")
    assert live.api("POST", "/v1/decisions", asked)["offer_id"] != "none"
    actions = [
        row["actor"] for row in live.api("GET", "/v1/audit?limit=1000")["data"] if row["action"] == "campaign.put"
    ]
    assert actions == ["person approver", "person approver"]


def test_a_limit_is_shown_as_it_is_used_and_changed(live: Shop, folder: Path) -> None:
    limits = [
        {"limit_id": "month", "metric": "discount_amount", "amount": 1000, "period": "month"},
        {"limit_id": "twice", "metric": "redemptions", "amount": 2, "per": "customer"},
    ]
    live.api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"limits": limits})
    made = live.api("POST", "/v1/decisions", {"customer_id": given(folder), "campaign_id": CAMPAIGN})
    claim = {"customer_id": made["customer_id"], "decision_id": made["decision_id"], "amount_cents": 950}
    live.api("POST", "/v1/redemptions:reserve", claim)
    approver = live.person("approver")
    assert "95\N{NO-BREAK SPACE}%" in approver.get("/")
    said = approver.json("/live")
    assert said["shown"]["month"] == "$9.50 of $10.00"
    assert said["summary"]["held_cents"] == 950
    approver.post("/live/limits/month", amount="25")
    kept = {each["limit_id"]: each["amount"] for each in live.api("GET", f"/v1/campaigns/{CAMPAIGN}")["limits"]}
    assert kept | {"month": 2500, "twice": 2} == kept
    assert kept.keys() == {"month", "twice", "release-budget"}  # the release's own is not a person's to change
    approver.post("/live/limits/release-budget", 422, amount="9999")
    approver.post("/live/limits/month", amount="7.5")
    assert approver.json("/live")["shown"]["month"] == "$9.50 of $7.50"
    approver.post("/live/limits/twice", 422, amount="1.5")
    for wrong in ("-1", "1.555", "", "١٢", "1e3", "nan"):
        approver.post("/live/limits/month", 422, amount=wrong)
    approver.post("/live/limits/none", 422, amount="1")


def test_what_a_limit_counted_in_an_earlier_period_waits_for_nobody(live: Shop) -> None:
    limits = [{"limit_id": "month", "metric": "discount_amount", "amount": 1000, "period": "month"}]
    live.api("PATCH", f"/v1/campaigns/{CAMPAIGN}", {"limits": limits})
    cells = (
        {"period_key": "2020-01", "spent": 990},
        {"period_key": period_key("month", wall_ms(), "UTC"), "spent": 40},
    )

    def used(db: Any, some: list[None]) -> list[None]:
        for cell in cells:
            db.execute(insert(USAGE).values(campaign_id=CAMPAIGN, limit_id="month", subject=CAMPAIGN, **cell))
        return some

    live.server.ledger.write(used)
    approver = live.person("approver")
    assert approver.json("/live")["shown"]["month"] == "$0.40 of $10.00"
    assert "The limit month" not in approver.get("/")


def redeemed(live: Shop, cents: list[int], now_ms: int) -> None:
    """So much on each of the last days, the last one a day before now."""
    row = {"campaign_id": CAMPAIGN, "offer_id": "o", "customer_id": "u001", "person": "u001", "expires_ms": 0}
    rows = [
        row | {"redemption_id": f"rdm_{at}", "reserved_cents": each, "final_cents": each, "status": "confirmed",
               "ts_ms": now_ms - (len(cents) - at) * DAY_MS}
        for at, each in enumerate(cents)
    ]  # fmt: skip

    def add(db: Any, some: list[None]) -> list[None]:
        db.execute(insert(REDEMPTIONS), rows)
        return some

    live.server.ledger.write(add)


def test_spend_is_carried_on_with_a_cone_that_widens(live: Shop) -> None:
    daily = [100, 300, 200, 0, 400, 200, 100, 300]
    redeemed(live, daily, wall_ms())
    said = live.api("GET", f"/v1/campaigns/{CAMPAIGN}/spend")
    assert [each["cents"] for each in said["spent"]] == [0, *np.cumsum(daily).tolist()]
    assert said["budget_cents"] == CONFIG.plan.budget_cents
    ends, n, k = said["ahead"], len(daily), CONFIG.plan.window_days - len(daily)
    assert (ends[0]["day"], ends[0]["cents"], ends[-1]["day"]) == (n, sum(daily), CONFIG.plan.window_days)
    half = 1.96 * np.std(daily, ddof=1) * np.sqrt(k * (1 + k / n))
    assert ends[-1]["cents"] == pytest.approx(sum(daily) + k * np.mean(daily))
    assert ends[-1]["high_cents"] == pytest.approx(ends[-1]["cents"] + half, rel=1e-3)
    assert all(each["low_cents"] >= sum(daily) for each in ends)  # what is spent is spent
    page = live.person("viewer").get("/live")
    assert "$16.00 spent since" in page
    assert "by the end" in page


def test_of_few_days_nothing_is_said_of_those_ahead(live: Shop) -> None:
    viewer = live.person("viewer")
    assert "Nothing was redeemed yet" in viewer.get("/live")
    redeemed(live, [100, 300], wall_ms())
    assert live.api("GET", f"/v1/campaigns/{CAMPAIGN}/spend")["ahead"] == []
    assert "7 are needed" in viewer.get("/live")


def test_codes_left_price_and_latency_are_told(live: Shop, folder: Path) -> None:
    viewer = live.person("viewer")
    assert viewer.json("/live")["nearly_s"] is None
    with Store(folder) as store:
        who, offer = Plan.load(store).chosen.select("customer_id", "offer_id").row(0)
    live.api("POST", f"/v1/campaigns/{CAMPAIGN}/codes", {"offer_id": offer, "codes": ["A1", "A2", "A3"]})
    live.api("POST", "/v1/decisions", {"customer_id": who, "campaign_id": CAMPAIGN})
    said = viewer.json("/live")
    assert [(each["offer_id"], each["left"], each["total"]) for each in said["stock"]] in (
        [(offer, 2, 3)],
        [(offer, 3, 3)],
    )
    assert said["price"] >= 0
    assert 0 < said["half_s"] <= said["nearly_s"]


def test_a_release_is_rolled_back_here_too(live: Shop) -> None:
    approver = live.person("approver")
    assert "Roll back now" not in approver.get("/live")
    first = live.api("GET", f"/v1/campaigns/{CAMPAIGN}")["release"]
    other = derived(
        live.server.settings.work, first, live.server.decider.ensure(first).terms.model_copy(update={"price": 1e6})
    )
    live.api("POST", f"/v1/releases/{other}:activate")
    assert "Roll back now" in approver.get("/live")
    assert "Roll back now" not in live.person("editor").get("/live")
    approver.post("/roll-back")
    assert live.api("GET", f"/v1/campaigns/{CAMPAIGN}")["release"] == first
