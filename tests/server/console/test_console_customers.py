"""One customer looked up: what they would get now is what a decision gives, and looking leaves no trace; erasing."""

from html import unescape
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pytest
from console_helpers import CONFIG, Shop, opened
from sqlalchemy import func, select, update

from promolift.foundation.storage.local_store import Store
from promolift.server.ledger.schema import CODES, DECISIONS, PEOPLE
from promolift.shop.reports.story_builder import log_days
from promolift.shop.results.plan import Plan
from promolift.shop.results.work_folder.run_context import Job, moments

SAME = ("offer_id", "reason", "propensity", "holdout")
CAMPAIGN = CONFIG.plan.campaign


@pytest.fixture
def live(folder: Path):  # type: ignore[no-untyped-def]
    """A server whose plan decides."""
    with opened(folder, demo=True) as found:
        yield found


def rows(shop: Shop, table: object) -> int:
    with shop.server.ledger.read() as db:
        return int(db.execute(select(func.count()).select_from(table)).scalar_one())


def test_what_they_would_get_is_what_they_get_and_looking_leaves_no_trace(live: Shop, folder: Path) -> None:
    viewer = live.person("viewer")
    with Store(folder) as store:
        people = Plan.load(store).decisions["customer_id"].gather_every(9).to_list()
    shown = {who: viewer.json(f"/customers/one?id={who}")["decided"] for who in people}
    assert (rows(live, DECISIONS), rows(live, CODES)) == (0, 0)
    for who, dry in shown.items():
        made = live.api("POST", "/v1/decisions", {"customer_id": who, "campaign_id": CAMPAIGN})
        assert (dry["offer_id"], dry["reason"], dry["propensity"]) == (
            made["offer_id"],
            made["reason"],
            made["propensity"],
        )
    assert len({each["offer_id"] for each in shown.values()}) > 2


def test_the_api_decides_dry_too(live: Shop) -> None:
    said = live.api("POST", "/v1/decisions:dry", {"customer_id": "u001", "campaign_id": CAMPAIGN})
    assert {"offer_id", "reason", "candidates", "ineligible"} <= said.keys()
    assert rows(live, DECISIONS) == 0
    nobody = live.api("POST", "/v1/decisions:dry", {"customer_id": "u001", "campaign_id": "other"})
    assert nobody["offer_id"] == "none"


def test_everybody_is_found_by_a_part_of_their_id(live: Shop) -> None:
    viewer = live.person("viewer")
    said = viewer.json("/customers?q=u00&part=list")
    assert {row["customer_id"] for row in said["rows"]} == {f"u00{n}" for n in range(10)}
    assert said["everybody"] == 110
    best = viewer.json("/customers?given=offer")["rows"]
    assert [row["gain_cents"] for row in best] == sorted((row["gain_cents"] for row in best), reverse=True)
    assert all(
        row["low_cents"] <= row["gain_cents"] <= row["high_cents"] for row in best if row["low_cents"] is not None
    )
    assert "Nobody fits" in viewer.get("/customers?q=.*&part=list")


@pytest.mark.parametrize(("language", "words"), [("en", "orders in {} days"), ("zh", "{}天订单数")])
def test_a_young_shop_counts_orders_in_the_days_that_it_knows(
    live: Shop, folder: Path, language: str, words: str
) -> None:
    with Store(folder) as store:
        profiles = store.frame("profiles").with_columns(orders_52w=pl.lit(None, pl.Int64))
        store.save("profiles", profiles)
        job = Job(CONFIG, store, lambda *_: None)
        at = moments(job)
        days = log_days(job, at)
        (known,) = profiles.filter(pl.col("customer_id") == "u001")["orders_total"]
        assert days > 7
    spoken = update(PEOPLE).values(language=language)
    viewer = live.person("viewer")
    live.server.ledger.write(lambda db, some: [db.execute(spoken) and None for _ in some])
    listed = viewer.get("/customers?q=u001&part=list")
    assert words.format(days) in listed
    assert f'<td class="num">{known}</td>' in listed
    one = viewer.get("/customers/one?id=u001")
    assert words.format(days) in one
    assert "orders in a year" not in one


def test_one_customer_is_told_of_from_log_ledger_and_plan(live: Shop) -> None:
    live.api("POST", "/v1/decisions", {"customer_id": "u001", "campaign_id": CAMPAIGN})
    event = {
        "type": "track",
        "userId": "u001",
        "event": "Product Viewed",
        "properties": {"name": "<script>alert(1)</script>"},
    }
    live.api("POST", "/v1/track", event, status=202)
    viewer = live.person("viewer")
    kinds = {each["kind"] for each in viewer.json("/customers/one?id=u001")["timeline"]}
    assert {"log", "decision", "event"} <= kinds
    page = viewer.get("/customers/one?id=u001")
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    viewer.get("/customers/one?id=nobody-at-all", 422)


def test_an_id_is_a_text_whatever_it_holds(live: Shop) -> None:
    odd = "a/b?<img src=x>'\"&%"
    live.api("POST", "/v1/track", {"type": "track", "userId": odd, "event": "Viewed"}, status=202)
    page = live.person("viewer").client.get(f"/console/customers/one?id={quote(odd, safe='')}")
    assert "<img src=x>" not in page.text
    assert page.status_code == 200
    assert odd in unescape(page.text)


def test_somebody_who_is_erased_is_found_nowhere(live: Shop) -> None:
    live.api("POST", "/v1/track", {"type": "track", "userId": "u002", "event": "Viewed"}, status=202)
    live.api("POST", "/v1/decisions", {"customer_id": "u002", "campaign_id": CAMPAIGN})
    admin = live.person("admin")
    assert "[id_differs]" in admin.post("/customers/erase", 422, id="u002", typed="u02").text
    assert admin.client.get("/console/customers/export?id=u002").json()["tables"]["events"]
    assert live.person("approver").client.get("/console/customers/export?id=u002").status_code == 403
    admin.post("/customers/erase", id="u002", typed="u002")
    with live.server.ledger.read() as db:
        assert db.execute(select(func.count()).where(DECISIONS.c.customer_id == "u002")).scalar() == 0
    again = admin.json("/customers/one?id=u002")
    assert again["decided"]["offer_id"] == "none"
    assert {each["kind"] for each in again["timeline"]} <= {"log"}


def test_without_a_plan_the_screen_says_what_to_do(tmp_path: Path) -> None:
    with opened(tmp_path / "empty") as shop:
        assert shop.person("viewer").json("/customers")["first"] == "/data"
        assert shop.person("viewer").json("/plan")["first"] == "/data"
        assert "Make a plan" in shop.person("viewer").get("/")
