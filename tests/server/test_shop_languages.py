"""Texts, columns, reviews, report and console exist in the languages of the shop alone."""

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from console_helpers import opened
from planned_shop import CAMPAIGN, menu, planned_shop, shop_config
from serve_helpers import released

from promolift.foundation.localized_text import LANGUAGES, Language
from promolift.foundation.storage.local_store import Store
from promolift.shop.pipeline.pool_file import load_pool, save_pool, shipped_pool
from promolift.shop.reports.plan_rows import plan_rows
from promolift.shop.results.messages import Messages, Offers, PoolWords
from promolift.shop.results.plan import Plan

HAN = re.compile(r"[\u4e00-\u9fff]")
SPOKEN: list[tuple[Language, ...]] = [("en",), ("zh",), ("en", "zh"), ("zh", "en")]
PLAY = {
    "id": "big", "audience": "select customer_id from customers where basket_mean_cents > 5000",
    "benefits": ["10 %", "reminder"], "reason": "The new season has begun.", "reason_zh": "新一季开始了。",
}  # fmt: skip


def config_of(languages: tuple[Language, ...], **more: Any) -> Any:
    shop = {"name": "Shop", "zone": "UTC", "languages": languages}
    wide = {"min_evidence": "assumed", "budget_cents": 6000}
    return shop_config(shop=shop, plan=wide, menu=menu(0.9), message={"approve": "judged"}, **more)


@pytest.mark.parametrize("languages", SPOKEN)
@pytest.mark.parametrize("seed", [0, 3])
def test_no_result_file_or_release_has_a_text_in_a_language_that_the_shop_lacks(
    languages: tuple[Language, ...], seed: int, tmp_path: Path
) -> None:
    config = planned_shop(tmp_path, seed, config_of(languages, plays=[PLAY]))
    with Store(tmp_path) as store:
        said, wording = Messages.load(store), PoolWords.load(store)
        plan, offers = Plan.load(store), Offers.load(store).offers
        rows = plan_rows(
            said.rows.with_columns(channel=pl.lit("site"), reason=pl.lit("")), plan.decisions, offers, languages
        )
    assert {*said.languages} == {each.language for each in said.written} == {*languages}
    assert {text.language for text in wording.texts} == {*languages}
    assert [name for name in rows.columns if name.startswith("message_")] == [
        f"message_{each}" for each in LANGUAGES if each in languages
    ]
    with opened(tmp_path, config) as shop:
        folder = tmp_path / "serve" / "releases" / released(shop.api)
        frozen = pl.read_parquet(folder / "messages.parquet")
        assert {name.rpartition("_")[2] for name in frozen.columns if name.startswith("message_")} == {*languages}
        some = said.rows["customer_id"].head(8).to_list()
        for who in some:
            for asked in LANGUAGES:
                body = {"customer_id": who, "campaign_id": CAMPAIGN, "language": asked}
                made = shop.api("POST", "/v1/decisions", body)
                assert made["language"] == (asked if asked in languages else languages[0])
                assert bool(HAN.search(made["message"])) == (made["language"] == "zh")


@pytest.mark.parametrize("languages", SPOKEN)
def test_reasons_are_answered_in_the_readers_language_and_recorded_in_one(
    languages: tuple[Language, ...], tmp_path: Path
) -> None:
    config = planned_shop(tmp_path, 0, config_of(languages))
    with opened(tmp_path, config) as shop:
        released(shop.api)
        who = "nobody-knows-them"
        for asked, accepted in [(None, None), ("zh", None), ("en", None), (None, "zh-CN,zh;q=0.9"), (None, "*")]:
            wanted = asked or (accepted or "")[:2]
            own = wanted if wanted in languages else languages[0]
            body = {"customer_id": who, "campaign_id": CAMPAIGN} | ({"language": asked} if asked else {})
            headers = {"accept_language": accepted} if accepted else {}
            one = shop.api("POST", "/v1/decisions", body | {"explain": True}, **headers)
            dry = shop.api("POST", "/v1/decisions:dry", body, **headers)
            many = {"customer_ids": [who]} | {name: body[name] for name in body if name != "customer_id"}
            (other,) = shop.api("POST", "/v1/decisions:batch", many, **headers)["data"]
            for made in (one, dry, other):
                assert bool(HAN.search(made["reason"])) == (own == "zh"), (asked, accepted)
                assert not HAN.search(made["rule"])
            recorded = shop.api("GET", f"/v1/decisions/{one['decision_id']}:explain", **headers)
            spoken = (accepted or "")[:2] if (accepted or "")[:2] in languages else languages[0]
            assert bool(HAN.search(recorded["text"])) == (spoken == "zh")
            assert recorded["rule"] == one["rule"]
            for each in one["ineligible"]:
                assert bool(HAN.search(each["reason"])) == (own == "zh")
                assert not HAN.search(each["rule"])


@pytest.mark.parametrize("languages", SPOKEN)
def test_the_console_speaks_and_offers_the_languages_of_the_shop(
    languages: tuple[Language, ...], tmp_path: Path
) -> None:
    with opened(planned(tmp_path), config_of(languages)) as shop:
        for accepted in ("en-GB", "zh-CN", "fr"):
            page = shop.nobody(accepted).get("/sign-in")
            own = accepted[:2] if accepted[:2] in languages else languages[0]
            assert bool(HAN.search(page)) == (own == "zh"), accepted
        person = shop.person("editor")
        for wanted in LANGUAGES:
            person.post("/language", language=wanted, back="/account")
            page = person.get("/offers")
            spoken = wanted if wanted in languages else languages[0]
            assert bool(re.search('<html[^>]*lang="zh', page)) == (spoken == "zh")
            assert {*re.findall(r'name="language" value="(\w+)"', page)} == {*languages} - {spoken}
            printed = person.get("/offers/preview?type=percent_off&percent=20&scope=category")
            assert {*re.findall(r'<p lang="(\w+)', printed)} == {*languages}
        listed = person.json("/words?state=all&language=")
        assert {each["text"]["language"] for each in listed["texts"]} <= {*languages}
        assert listed["number"] == len(shipped_pool().in_languages(languages).texts)


def planned(folder: Path) -> Path:
    planned_shop(folder, 0, config_of(("en",)))
    return folder


def test_texts_in_a_language_that_the_shop_dropped_stay_in_its_file(tmp_path: Path) -> None:
    file, every = tmp_path / "words.jsonl", shipped_pool()
    save_pool(every, file)
    english = load_pool(file).in_languages(["en"])
    save_pool(english.retire([english.texts[0].text_id], "2026-01-05"), file, ["en"])
    found = {text.text_id: text for text in load_pool(file).texts}
    assert len(found) == len(every.texts)
    assert found[english.texts[0].text_id].state == "retired"
