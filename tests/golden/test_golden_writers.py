"""The worked case again, said by every writer: template, endpoint, replay, and a local model where one is at hand."""

import json
import os
import sys
from pathlib import Path

import polars as pl
import pytest

from promolift.llm import LlmSettings, Recorder, RemoteSettings, RemoteWriter, Replay, writer_of
from promolift.message import Message, Recipient, Style, briefs, broken_rules, fill_pool, reviewer, write
from promolift.message.reading.text import Context
from promolift.terms import Language

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "llm")]
from fake_endpoint import answer, serving  # noqa: E402
from test_golden_customer_a import BOUGHT, EN, OFFER, TERMS, ZH  # noqa: E402

CASES: list[tuple[Language, str, str]] = [("zh", "用户A", ZH), ("en", "Customer A", EN)]
LINES = {
    "zh": '{"use": "用具", "title": "轻松的一天", "line": "忙完一天，家里备上商品2，用着顺手。"}',
    "en": '{"use": "tool", "title": "A calm day", "line": "After a long day, keep Product 2 close to hand."}',
}
LIES = {
    "zh": '{"use": "用具", "title": "最低价", "line": "忙完一天，商品2打7折，医生也推荐。"}',
    "en": '{"use": "tool", "title": "Best price", "line": "After a long day, take 30% off Product 2, as doctors do."}',
}


def said_by(writer, language: Language, name: str) -> Message:
    """Customer A's message with the words of a writer, as `promolift message` makes it."""
    plan = pl.DataFrame({"customer_id": ["A"], "offer_id": [OFFER.id]})
    needed = briefs(plan, {OFFER.id: OFFER}, languages=(language,))
    pool = fill_pool(list(needed), writer, reviewer(needed))
    drafts = {entry.brief: entry.draft for entry in pool if entry.draft}
    return write(OFFER, Recipient(customer_id="A", name=name, bought=BOUGHT), language, Style(), drafts)


def check(message: Message, language: Language, name: str, sentence: str, *, line: bool) -> None:
    assert message.sentence == sentence
    assert message.text.startswith(sentence + TERMS[language])
    assert bool(message.line) == line
    known = Context(name=name, bought=(BOUGHT.label,))
    assert broken_rules(f"{message.text}\n{message.title}", OFFER, language, context=known, strict=True) == []


@pytest.mark.parametrize(("language", "name", "sentence"), CASES)
@pytest.mark.parametrize("words", [LINES, LIES])
def test_from_an_endpoint_and_from_its_replay(language, name, sentence, words, monkeypatch, tmp_path):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    with serving(answer(words[language])) as (fake, url):
        kept = Recorder(RemoteWriter(RemoteSettings(base_url=url, retries=0)))
        check(said_by(kept, language, name), language, name, sentence, line=words is LINES)
        assert len(fake.requests) == (1 if words is LINES else 2)
    kept.save(tmp_path / "records.jsonl")
    replay = Replay(tmp_path / "records.jsonl")
    check(said_by(replay, language, name), language, name, sentence, line=words is LINES)


@pytest.mark.parametrize(("language", "name", "sentence"), CASES)
def test_from_the_template(language, name, sentence):
    message = write(OFFER, Recipient(customer_id="A", name=name, bought=BOUGHT), language)
    check(message, language, name, sentence, line=False)


@pytest.mark.skipif("PROMOLIFT_LLM_GGUF" not in os.environ, reason="names no model")
@pytest.mark.parametrize(("language", "name", "sentence"), CASES)
def test_from_a_local_model(language, name, sentence):
    message = said_by(writer_of("local", LlmSettings()), language, name)
    print(json.dumps([message.title, message.text], ensure_ascii=False))
    check(message, language, name, sentence, line=True)
