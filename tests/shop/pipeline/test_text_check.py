"""A text that a person wrote passes only where code and, if one is configured, the judge have read it."""

import json
from pathlib import Path

import pytest
from fake_endpoint import answer, serving
from message_helpers import MILK, an_offer, percent

from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.pipeline import demo_config
from promolift.shop.pipeline.text_pool import OfferText, TextCheck, check_texts
from promolift.shop.results.messages import Offers

OFFER = an_offer(percent(20), MILK)
READ, UNREAD = "Milk is 20% off through June 30.", "Milk is 20% off through June 30, whatever the weather brings us."
WRONG = "Milk is 30% off through June 30."


def verdict(fit: bool) -> dict[str, object]:
    claim = {"claim": "milk is 20 % off", "entailed": fit, "by": "offer" if fit else "none"}
    return answer(json.dumps({"claims": [claim], "fit": fit, "why": "as the offer says"}))


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path) as made:
        Offers(offers=(OFFER,)).keep(made)
        yield made


def check(store: Store, config: Config, text: str):
    return check_texts(config, store, [OfferText(text, OFFER.id)], TextCheck(None, "en", "plain"), "here").figures


def with_judge(url: str, **more: object) -> Config:
    values = demo_config().model_dump()
    judge = {"base_url": url, "model": "fake", "retries": 0, "cost_cap_cents": 1000} | more
    return Config.model_validate(values | {"llm": values["llm"] | {"judge": judge}})


@pytest.mark.parametrize("text", [READ, UNREAD])
@pytest.mark.parametrize(
    ("told", "refused", "waiting"),
    [(verdict(True), 0, 0), (verdict(False), 1, 0), (answer("no verdict"), 0, 1), (500, 0, 1)],
)
def test_a_text_passes_only_by_the_judges_yes(store, monkeypatch, text, told, refused, waiting) -> None:
    """A text that code had read to the end used to pass without the judge, and some of those were untrue."""
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    with serving(told) as (fake, url):
        found = check(store, with_judge(url), text)
    assert fake.requests
    assert (found["refused"], found["waiting"]) == (refused, waiting)


def test_without_a_judge_what_code_cannot_read_waits_for_a_person(store) -> None:
    config = demo_config()
    assert [check(store, config, text)["waiting"] for text in (READ, UNREAD, WRONG)] == [0, 1, 0]
    assert [check(store, config, text)["refused"] for text in (READ, UNREAD, WRONG)] == [0, 0, 1]


def test_no_call_is_made_for_a_text_that_breaks_a_rule(store, monkeypatch) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    with serving(verdict(True)) as (fake, url):
        assert check(store, with_judge(url), WRONG)["refused"] == 1
    assert fake.requests == []


def test_where_the_cap_forbids_the_call_the_text_waits_for_a_person(store, monkeypatch) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    with serving(verdict(True)) as (fake, url):
        capped = with_judge(url, price_out_cents=1e6, cost_cap_cents=0.01)
        assert check(store, capped, READ)["waiting"] == 1
    assert fake.requests == []
