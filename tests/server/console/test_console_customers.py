"""One customer looked up: what they would get now is what a decision gives, and looking leaves no trace; erasing."""

import threading
from html import unescape
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pytest
from console_helpers import CONFIG, Shop, opened
from sqlalchemy import func, select, update

from promolift.foundation.storage.local_store import Store
from promolift.server.console.screens import customers as screens
from promolift.server.console.screens.customers import natural_order, sort_naturally
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


def test_each_filter_says_how_many_it_leaves_beside_the_others(live: Shop) -> None:
    viewer = live.person("viewer")
    everybody = viewer.json("/customers")
    given, seen = (everybody["filters"][name] for name in ("given", "seen"))
    for choices in (given, seen):
        assert choices[0]["number"] == 110 == sum(each["number"] for each in choices[1:])
    for one in (*given[1:], *seen[1:]):
        narrowed = viewer.json(one["path"].removeprefix("/console"))
        assert narrowed["number"] == one["number"]
        for name in ("given", "seen"):
            for both in narrowed["filters"][name]:
                assert viewer.json(both["path"].removeprefix("/console"))["number"] == both["number"]


def test_every_column_sorts_both_ways_and_every_customer_stands_on_one_page(live: Shop) -> None:
    viewer = live.person("viewer")
    fields = {"orders": "orders", "recency": "recency_days", "gain": "gain_cents", "spent": "revenue_52w_cents"}
    for key, name in fields.items():
        found, path = [], f"/customers?sort={key}"
        while path:
            shown = viewer.json(path)
            found += shown["rows"]
            path = shown["after"].removeprefix("/console")
        assert len({row["customer_id"] for row in found}) == len(found) == 110
        known = [row[name] for row in found if row[name] is not None]
        assert known == sorted(known, reverse=key != "recency")
        assert all(row[name] is None for row in found[len(known) :])  # what is not known comes last
        back = viewer.json(shown["columns"][key]["path"].removeprefix("/console"))
        assert back["columns"][key]["sorted"] != shown["columns"][key]["sorted"]
        assert back["rows"][0][name] == (known[-1])


def test_the_list_is_searched_by_offer_and_a_wrong_address_shows_everybody(live: Shop) -> None:
    viewer = live.person("viewer")
    (best, *_) = viewer.json("/customers?given=offer")["rows"]
    found = viewer.json(f"/customers?q={quote(best['offer'][:14].upper())}")
    assert best["customer_id"] in {row["customer_id"] for row in found["rows"]}
    odd = viewer.json("/customers?given=x&seen=y&sort=z&way=w&page=-3")
    assert odd["number"] == 110
    assert odd["page"] == 1
    assert viewer.json("/customers?page=99999999999")["page"] == odd["pages"]


def test_ids_of_one_prefix_are_sorted_as_all_others_are() -> None:
    for ids in (["u10", "u2", "u1"], ["10", "9", "100"], ["a1", "b1", "a"], ["u2", "u", "x-3"], ["u07", "u7", "u1"]):
        frame = pl.DataFrame({"customer_id": ids})
        assert sort_naturally(frame, "customer_id").equals(frame.sort(*natural_order("customer_id"), nulls_last=True))


def test_a_large_shop_has_its_list_loaded_before_somebody_opens_it(live: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = live.app.console._kept
    screens.prepare_customers(live.app.console)
    assert not kept
    monkeypatch.setattr(screens, "LARGE_SHOP", 1)
    screens.prepare_customers(live.app.console)
    assert {language for _, language in kept} == {*CONFIG.shop.languages}


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
    assert f'<td class="num wide-only">{known}</td>' in listed
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
    shown = viewer.json("/customers/one?id=u001")
    assert {"log", "decision", "event"} <= {each["source"] for each in shown["timeline"]}
    assert {"order", "decision", "view"} <= {each["kind"] for each in shown["timeline"]}
    assert {each["kind"]: each["number"] for each in shown["kinds"]}["decision"] == 1
    views = viewer.json("/customers/one?id=u001&show=view")["timeline"]
    assert [each["text"] for each in views] == ["Looked at a product: <script>alert(1)</script>"]
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


def test_a_page_from_which_a_customer_may_be_erased_starts_the_process_that_searches_once(live: Shop) -> None:
    def reading() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each.name == "reader"]

    live.person("approver").get("/customers/one?id=u004")
    assert not reading()
    admin = live.person()
    admin.get("/customers/one?id=u004")
    (thread,) = reading()
    thread.join()
    admin.get("/customers/one?id=u005")
    assert not reading()


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
    assert {each["source"] for each in again["timeline"]} <= {"log"}


def test_without_a_plan_the_screen_says_what_to_do(tmp_path: Path) -> None:
    with opened(tmp_path / "empty") as shop:
        assert shop.person("viewer").json("/customers")["first"] == "/data"
        assert shop.person("viewer").json("/plan")["first"] == "/data"
        assert "Make a plan" in shop.person("viewer").get("/")
