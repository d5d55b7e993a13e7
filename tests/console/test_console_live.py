"""What happens now is what the ledger holds; pausing and limits change what decisions give, audited."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from console_helpers import CONFIG, Shop, opened
from sqlalchemy import insert

from promolift.results.plan import Plan
from promolift.serve.clock import wall_ms
from promolift.store import Store
from promolift.store.ledger_money import period_key
from promolift.store.ledger_schema import USAGE

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
    approver.post("/live/limits/month", amount="2500")
    kept = {each["limit_id"]: each["amount"] for each in live.api("GET", f"/v1/campaigns/{CAMPAIGN}")["limits"]}
    assert kept == {"month": 2500, "twice": 2}
    for wrong in ("-1", "1.5", "", "١٢"):
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
