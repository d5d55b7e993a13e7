"""The worked case through the real path, events in, decision out; and words that learn from what is taken up."""

import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, time
from typing import Any

import polars as pl
import pytest
from serve_helpers import Api, released, serving
from sqlalchemy import select

from promolift.core import effects, offers
from promolift.core.allocation import strategic_rules
from promolift.core.messages import Draft
from promolift.core.messages.text_pool import PoolText
from promolift.core.offers import MenuItem, OfferRules
from promolift.core.offers.terms import Benefit
from promolift.foundation.storage.local_store import Store
from promolift.server.api.client import Client
from promolift.server.decisions.message_rendering import render_message
from promolift.server.ledger.event_rows import MESSAGE_WITHHELD, OFFER_MESSAGE
from promolift.server.ledger.records import LearningTask
from promolift.server.ledger.schema import EVENTS
from promolift.server.tasks.learning_task import read_decisions, read_messages
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.planning.offer_candidates import OfferCandidates
from promolift.shop.pipeline.pool_file import load_pool
from promolift.shop.pipeline.steps import plan
from promolift.shop.results.messages import Offers, PoolWords
from promolift.shop.results.work_folder.run_context import Job, moments

ZH = "尊敬的用户A，您刚刚购买了商品1，现在购买商品2可以享受8折优惠！"
EN = "Dear Customer A, you just bought Product 1, and now you can enjoy 20% off Product 2!"
GOLDEN = {
    "zh": Draft("{deal}｜刚好搭配", "您刚刚购买了{bought}"),
    "en": Draft("{deal}: goes with it", "you just bought {bought}"),
}
GOODS = {"zh": {"1": "商品1", "2": "商品2"}, "en": {"1": "Product 1", "2": "Product 2"}}
NAMES = {"zh": "用户A", "en": "Customer A"}
PEOPLE = ["A", *(f"u{n:03d}" for n in range(200))]


def shop(folder: Path, language: str, texts: tuple[PoolText, ...], held: float = 0.0, **told: Any) -> None:
    """A planned shop whose one offer for everybody is 20 % off product 2."""
    item = MenuItem(id="viewed-20", benefit=Benefit(type="percent_off", percent=20), scope="product", valid_days=7)
    spoken = tuple(dict.fromkeys((language, "zh", "en")))
    config = Config(
        data={"source": "complete-journey"}, menu=(item,), consent={"default": True},
        shop={"name": "Shop", "zone": "UTC", "languages": spoken, "currency": "CNY"},
        plan={
            "campaign": "cmp_test", "budget_cents": 10**7, "holdout_share": held, "asof": "2026-01-05",
            "test_share": 0.0,
        },
    )  # type: ignore[arg-type]  # fmt: skip
    with Store(folder) as store:
        job = Job(config, store, lambda *_: None)
        store.save_json("span", {"first_ms": 1_700_000_000_000, "last_ms": 1_767_000_000_000})
        people = pl.DataFrame({"customer_id": PEOPLE, "consent": True, "name": NAMES[language], **told})
        store.save("customers", people)
        goods = GOODS[language]
        store.save("products", pl.DataFrame({
            "product_id": [*goods, "9"], "name": [*goods.values(), "Condoms"],
            "category": ["a", "b", "FAMILY PLANNING"],
            "type": pl.Series([None] * 3, dtype=pl.String), "cost_cents": 100,
        }))  # fmt: skip
        response = effects.assumed_response("made up", effects.DiscountSettings(prior_response=3.0))
        store.save_json("response", response.to_dict())
        profiles = pl.DataFrame({
            "customer_id": PEOPLE, "price_sensitivity": 0.1, "orders_expected": 2.0, "basket_mean_cents": 3000.0,
            "basket_sd_cents": 900.0, "online": True,
        })  # fmt: skip
        targets = pl.DataFrame({
            "customer_id": PEOPLE, "target": "2", "scope": "product", "kind": "product", "base_cents": 900.0,
            "base_se_cents": 50.0, "buy_prob": 0.5, "bought": False, "margin_rate": 0.6,
        })  # fmt: skip
        nobody = pl.DataFrame(schema={"customer_id": pl.String, "target": pl.String})
        listed = offers.list_candidates(profiles, targets, config.menu, OfferRules(), nobody)
        rows = strategic_rules.add_caution(effects.add_effects(listed, response, None, config.value), config.plan.risk)
        made = plan.decide(job, moments(job), OfferCandidates(plan.PartitionedFrame.of(rows), "assumed", config.menu))
        chosen = made.chosen.select("customer_id", "offer_id")
        store.save("messages", chosen.with_columns(message_zh=pl.lit("计划"), message_en=pl.lit("planned")))
        Offers(offers=()).keep(store)
        PoolWords(texts=texts, approve="judged").keep(store)


def approved(language: str) -> tuple[PoolText, ...]:
    draft = GOLDEN[language]
    values = {"title": draft.title, "hook": draft.hook, "state": "approved", "by": "Ann"}
    return (PoolText(text_id=draft.text_id, angle="just_bought", language=language, **values),)


def story(who: str, *events: tuple[str, str, int]) -> list[dict[str, Any]]:
    """Events of the last minutes: name, product, minutes ago."""
    batch = []
    for number, (name, product, minutes) in enumerate(events):
        moment = datetime.fromtimestamp(time() - 60 * minutes, UTC).isoformat()
        about = {"product_id": product} if name != "Order Completed" else {
            "order_id": "o1", "products": [{"product_id": product, "price": 9.9}], "total": 9.9}  # fmt: skip
        event = {"type": "track", "userId": who, "event": name, "properties": about, "timestamp": moment}
        batch.append(event | {"messageId": f"{who} {number} {product}"})
    return batch


def happened(api: Api, who: str, *events: tuple[str, str, int]) -> None:
    batch = story(who, *events)
    assert api("POST", "/v1/batch", {"batch": batch}, 202)["rejected_count"] == 0


VIEWED, BOUGHT, ADDED = "Product Viewed", "Order Completed", "Product Added"
STORY = ((VIEWED, "1", 9), (VIEWED, "2", 7), (BOUGHT, "1", 2))


@pytest.mark.parametrize(("language", "sentence"), [("zh", ZH), ("en", EN)])
def test_the_worked_case_events_in_decision_out(tmp_path: Path, language: str, sentence: str) -> None:
    shop(tmp_path, language, approved(language))
    with serving(tmp_path) as api:
        released(api)
        happened(api, "A", *STORY)
        made = api.decide("A", language=language)
    assert made["message"].startswith(sentence)
    assert made["angle"] == "just_bought"
    assert made["text_id"] == GOLDEN[language].text_id
    assert made["text_propensity"] == 1.0
    assert made["title"].startswith("8折" if language == "zh" else "20% off")


@contextmanager
def running(folder: Path) -> Iterator[Client]:
    """`promolift serve` as a process of its own, and a client that speaks to it over HTTP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "promolift.cli", "serve", "--work", str(folder), "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        try:
            first = {"admin key": "", "ready": ""}
            for line in server.stdout:
                first |= {name: line.split()[-1] for name in first if line.startswith(name)}
                if first["ready"]:
                    break
            with Client(first["ready"], first["admin key"]) as client:
                yield client
        finally:
            server.terminate()


@pytest.mark.slow
@pytest.mark.parametrize(("language", "sentence"), [("zh", ZH), ("en", EN)])
def test_the_worked_case_from_a_running_server(tmp_path: Path, language: str, sentence: str) -> None:
    """`promolift serve` in a process of its own: events in over HTTP, the decision with its message out."""
    shop(tmp_path, language, approved(language))
    with running(tmp_path) as client:
        release = client.call("POST", "/v1/releases")
        client.call("POST", f"/v1/releases/{release['release_id']}:activate")
        client.track(story("A", *STORY))
        made = client.decide("A", "cmp_test", language=language)
    assert made["message"].startswith(sentence)
    assert made["angle"] == "just_bought"


@pytest.fixture(scope="module")
def api(folder: Path) -> Iterator[Api]:
    with serving(folder) as api:
        released(api)
        yield api


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("words")
    refused = [who == "u001" for who in PEOPLE]
    shop(
        made, "zh", load_pool(None).texts, personal=pl.Series(["no" if no else None for no in refused], dtype=pl.String)
    )
    return made


def test_the_angle_of_the_last_minutes(api: Api) -> None:
    happened(api, "u010", *STORY)
    happened(api, "u011", (VIEWED, "2", 3))
    happened(api, "u012", (VIEWED, "1", 3))
    happened(api, "u013", (BOUGHT, "9", 3))
    happened(api, "u001", *STORY)
    made = {who: api.decide(who) for who in ("u010", "u011", "u012", "u013")}
    assert {who: each["angle"] for who, each in made.items()} == {
        "u010": "just_bought", "u011": "viewed_not_bought", "u012": "generic", "u013": "generic",
    }  # fmt: skip
    assert "商品1" in made["u010"]["message"]
    assert "商品2" in made["u010"]["message"]
    assert "8折" in made["u010"]["message"]
    assert "Condoms" not in made["u013"]["message"]  # a private purchase
    assert api.decide("u001")["reason"] == "营销同意：客户已拒绝个性化决策"


def test_who_refused_personal_decisions_gets_what_is_for_everybody(api: Api) -> None:
    campaign = api("GET", "/v1/campaigns")["data"][0]["campaign_id"]
    terms = {"campaign_id": campaign, "benefit": {"type": "percent_off", "percent": 5}}
    api("PUT", "/v1/promotions/for-all", terms)
    items = [{"product_id": "3", "price_cents": 1000}]
    for who in ("u001", "u002"):
        (price,) = api("POST", "/v1/prices", {"customer_id": who, "items": items})["data"]
        assert "for-all" in price["promotion_ids"] or price["personal"]
    (price,) = api("POST", "/v1/prices", {"customer_id": "u001", "items": items})["data"]
    assert (price["price_cents"], price["personal"], price["notices"]) == (950, False, [])
    lines = [{"line_id": "1", "product_id": "3", "price_cents": 1000}]
    found = api("POST", "/v1/carts:price", {"customer_id": "u001", "lines": lines})
    assert [each["promotion_id"] for each in found["applied"]] == ["for-all"]
    api("DELETE", "/v1/promotions/for-all")


def test_a_decision_on_who_refused_names_what_everybody_has_and_chooses_nothing(api: Api) -> None:
    campaign = api("GET", "/v1/campaigns")["data"][0]["campaign_id"]
    benefit = {"type": "percent_off", "percent": 5}
    more = {"over": {"expires": "2001-01-01T00:00:00Z"}, "coded": {"holder": "code"}, "full": {}, "for-all": {}}
    for name, own in more.items():
        api("PUT", f"/v1/promotions/{name}", {"campaign_id": campaign, "benefit": benefit, **own})
    limit = {"limit_id": "none-left", "offer_id": "full", "metric": "redemptions", "amount": 0}
    api("PATCH", f"/v1/campaigns/{campaign}", {"limits": [limit]})
    made = api.decide("u001")
    assert (made["offer_id"], made["offer"], made["holdout"]) == ("none", None, None)
    named = [each["promotion_id"] for each in made["general"]]
    assert named == ["for-all"]
    assert made["general"][0]["benefit"]["percent"] == 5
    assert api("POST", "/v1/decisions:dry", {"customer_id": "u001"})["general"] == made["general"]
    batch = api("POST", "/v1/decisions:batch", {"customer_ids": ["u001", "u002"]})["data"]
    assert [each.get("general") for each in batch] == [made["general"], None]
    assert api("POST", "/v1/decisions", {"customer_id": "u001", "campaign_id": "other"}).get("general") is None
    api("PATCH", f"/v1/campaigns/{campaign}", {"limits": None})
    for name in more:
        api("DELETE", f"/v1/promotions/{name}")
    assert api.decide("u001")["general"] == []


def test_the_choice_is_logged_learns_and_reaches_the_next_plan(api: Api, folder: Path) -> None:
    """Decide, feedback, learn: the text that is taken up is chosen more often, with its propensity on record."""
    favourite = None
    for who in PEOPLE[20:170]:
        made = api.decide(who, language="en")
        favourite = favourite or made["text_id"]
        if made["text_id"] == favourite:
            api("POST", "/v1/feedback", {"decision_id": made["decision_id"], "name": "Click"}, 202)
    with api.server.ledger.read() as db:
        rows = db.exec_driver_sql("select name, body from events where decision_id is not null").all()
    logged = [json.loads(body) for name, body in rows if name == OFFER_MESSAGE]
    assert len(logged) >= 150
    assert all(0 < each["propensity"] <= 1 for each in logged)
    assert api.server.count_texts(0.0)
    choice = api.server.texts.choice(next(iter(api.server.decider.releases.values())))
    arms = choice.arms("generic", "percent_off", "en")
    share = {text.text_id: value for text, value in zip(arms.texts, arms.share_V, strict=True)}
    assert share[favourite] > 2 / len(arms.texts)
    after = Counter(api.decide(who, language="en")["text_id"] for who in PEOPLE[170:])
    assert after[favourite] >= 3
    tallies = json.loads((folder / "serve" / "words.json").read_text())
    mine = next(row for row in tallies if row[0] == favourite)
    assert mine[1] == "percent_off"
    assert mine[2] >= mine[3] > 0


def test_the_text_that_a_held_out_customer_would_have_got_is_logged_and_answered_nothing(tmp_path: Path) -> None:
    texts = tuple(text for text in load_pool(None).texts if text.usable("judged"))
    shop(tmp_path, "en", texts, held=0.4)
    with serving(tmp_path) as api:
        released(api)
        made = {who: api.decide(who, language="en") for who in PEOPLE}
        assert api.server.count_texts(0.0)  # once all events are stored
        tallies = api.server.texts.tallies
        with api.server.ledger.read() as db:
            rows = db.execute(select(EVENTS.c.customer_id, EVENTS.c.name)).all()
            task = LearningTask(ledger="", work=tmp_path, campaign_id="cmp_test")
            decided = read_decisions(db, task)
            found = read_messages(db, decided)
    held = set(decided.filter("holdout")["customer_id"])
    assert held
    assert {who for who, name in rows if name == MESSAGE_WITHHELD} == held
    assert all(made[who]["message"] is None and made[who]["offer_id"] == "none" for who in held)
    assert set(found.filter("held")["customer_id"]) == held
    assert set(found["customer_id"]) == set(PEOPLE)
    assert found["propensity"].is_between(0, 1, closed="right").all()
    assert set(found["scope"]) == {"product"}
    assert sum(each.shown for each in tallies) == len(PEOPLE) - len(held)  # what was withheld was shown to nobody


def test_a_redemption_counts_as_taken_up_once_however_often_it_is_told(api: Api, folder: Path) -> None:
    """Decide, reserve, confirm, click: of what was shown once, one is taken."""
    before = counted(api)
    made = api.decide("u019", language="zh")
    use = {"customer_id": "u019", "decision_id": made["decision_id"], "amount_cents": 100}
    held = api("POST", "/v1/redemptions:reserve", use)
    assert since(before, api, made["text_id"]) == (1, 0)  # held is not yet taken
    api("POST", "/v1/redemptions:confirm", {"redemption_id": held["redemption_id"]})
    assert since(before, api, made["text_id"]) == (1, 1)
    api("POST", "/v1/feedback", {"decision_id": made["decision_id"], "name": "Click"}, 202)
    assert since(before, api, made["text_id"]) == (1, 1)


def counted(api: Api) -> dict[str, tuple[int, int]]:
    """How often each text was shown and taken, counted now."""
    api.server.count_texts(0.0)
    return {each.text_id: (each.shown, each.taken) for each in api.server.texts.tallies}


def since(before: dict[str, tuple[int, int]], api: Api, text_id: str) -> tuple[int, int]:
    """How often a text was shown and taken since; others may have read it before."""
    (shown, taken), (old_shown, old_taken) = counted(api)[text_id], before.get(text_id, (0, 0))
    return shown - old_shown, taken - old_taken


def test_a_message_takes_less_than_a_millisecond(api: Api) -> None:
    happened(api, "u015", *STORY)
    api.decide("u015")
    release = next(iter(api.server.decider.releases.values()))
    choice = api.server.texts.choice(release)
    (offer_id,) = release.labels
    now_ms = round(time() * 1000)
    begin = perf_counter()
    for n in range(200):
        render_message(release, f"u{n:03d}", offer_id, now_ms, "zh", None, choice)
    assert (perf_counter() - begin) / 200 < 0.001
