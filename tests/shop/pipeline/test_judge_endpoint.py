"""With a judge that answers in structured output, what it says decides, and caps stop the calls."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from fake_endpoint import answer, serving
from planned_shop import planned_shop, shop_config

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks" / "core"))
from message_gate import offer_of
from message_gate import texts as gate_texts

from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration import model_status
from promolift.shop.configuration.configuration import Config
from promolift.shop.pipeline.pipeline import demo_config, plan_summary
from promolift.shop.pipeline.text_pool import OfferText, TextCheck, check_texts
from promolift.shop.results.ingest import Health
from promolift.shop.results.messages import Offers
from promolift.shop.results.work_folder.run_context import Job

pytest.importorskip("openai")
DEAD = "http://127.0.0.1:9/v1"
FALSE = "the weather decides the price"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    monkeypatch.delenv("PROMOLIFT_LLM_URL", raising=False)
    model_status._probe.cache_clear()


def structured(request: dict[str, Any]) -> dict[str, Any]:
    """A judge's answer in the schema that the request asks for: a no to what says FALSE, each claim with a fact."""
    schema = request["response_format"]["json_schema"]
    assert schema["strict"]
    fact = schema["schema"]["properties"]["claims"]["items"]["properties"]["by"]["enum"][0]
    untrue = FALSE in request["messages"][1]["content"]
    claim = {"claim": "the offer", "entailed": not untrue, "by": "none" if untrue else fact}
    return answer(json.dumps({"claims": [claim], "fit": not untrue, "why": "as the facts say"}), tokens=40)


def with_judge(url: str, **more: object) -> Config:
    values = demo_config().model_dump()
    judge = {"base_url": url, "model": "fake", "retries": 0, "cost_cap_cents": 1000, "concurrency": 1} | more
    return Config.model_validate(values | {"llm": values["llm"] | {"judge": judge}})


def check(folder: Path, config: Config, language: str, texts: list[tuple[str, str]]) -> Any:
    """The result of `promolift check` on texts with the key of their offer."""
    with Store(folder) as store:
        Offers(offers=tuple(offer_of(key, language) for key in dict.fromkeys(key for _, key in texts))).keep(store)
        with use_locale("en"):
            several = [OfferText(text, key) for text, key in texts]
            return check_texts(config, store, several, TextCheck(None, language, "plain"), "here")


@pytest.mark.parametrize("language", ["zh", "en"])
def test_of_good_texts_less_than_a_tenth_stays_unread(tmp_path: Path, language: str) -> None:
    """Without a judge most of them wait for a person."""
    good = [each for each in gate_texts() if (each.label, each.language) == ("good", language)]
    texts = [(each.text, each.offer) for each in good if each.half in ("fourth", "sixth") and each.context == "plain"]
    with serving(structured) as (fake, url):
        figures = check(tmp_path, with_judge(url), language, texts).figures
    assert len(texts) >= 60
    assert len(fake.requests) == 3 * len(texts)
    assert figures["waiting"] <= len(texts) / 10
    assert figures["refused"] == 0
    assert check(tmp_path, demo_config(), language, texts).figures["waiting"] > len(texts) / 2


def test_what_the_judge_calls_untrue_is_refused_whatever_code_says(tmp_path: Path) -> None:
    text = f"Books are 15% off through November 30, up to $10, and {FALSE}."
    with serving(structured) as (_, url):
        found = check(tmp_path, with_judge(url), "en", [(text, "book15")])
    assert found.figures["refused"] == 1
    assert found.figures["texts"][0]["judge"] is False


@pytest.mark.parametrize("cap", [{"token_cap": 4_000}, {"cost_cap_cents": 0.2, "price_out_cents": 100}])
def test_a_cap_of_a_run_stops_its_calls_and_says_so(tmp_path: Path, cap: dict[str, float]) -> None:
    """The cap used to hold for each text alone, and nothing said that it was reached."""
    texts = [(f"Books are 15% off through November 30, up to $10. Shelf {n}.", "book15") for n in range(20)]
    with serving(structured) as (fake, url):
        found = check(tmp_path, with_judge(url, **cap), "en", texts)
    assert 0 < len(fake.requests) < 60
    name = next(iter(cap))
    assert found.figures["capped"] == name
    assert f"llm.judge.{name}" in found.text
    assert found.figures["waiting"] >= 10
    usage = found.figures["usage"]
    assert usage["requests"] == len(fake.requests)
    assert usage["tokens_in"] + usage["tokens_out"] <= cap.get("token_cap", 10**9)
    assert usage["cost_cents"] <= cap.get("cost_cap_cents", 1000)
    assert f"Requests: {usage['requests']}." in found.text


@pytest.mark.parametrize(
    ("writer", "said"), [("remote", "127.0.0.1:9 cannot be reached"), ("pool", "nothing calls it")]
)
def test_a_run_ends_with_what_is_wrong_with_an_endpoint(tmp_path: Path, writer: str, said: str) -> None:
    planned_shop(tmp_path, 1, shop_config(plan={"budget_cents": 9000}))
    with Store(tmp_path) as store, use_locale("en"):
        Health(tables=(), summary={}, abilities=(), warnings=(), notes=()).keep(store)
        quiet = shop_config(plan={"budget_cents": 9000})
        job = Job(quiet, store, lambda *_: None)
        assert "llm.remote" not in plan_summary(job, "report")["text"]
        values = quiet.model_dump(exclude_unset=True)
        dead = values | {"message": {"writer": writer}, "llm": {"remote": {"base_url": DEAD}}}
        text = plan_summary(Job(Config.model_validate(dead), store, lambda *_: None), "report")["text"]
    assert "warning: llm.remote" in text
    assert said in text
