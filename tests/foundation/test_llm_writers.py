"""Whatever a model or its endpoint does, every ask gets one reply, in order, that is usable or says why it is not."""

import json
from dataclasses import dataclass, field, replace

import pytest
from error_checks import raises_code
from fake_endpoint import GOOD, answer, serving

from promolift.foundation.language_model import (
    LlmSettings,
    LocalLanguageModel,
    LocalSettings,
    RecordedReplies,
    RemoteLanguageModel,
    RemoteSettings,
    Reply,
    ReplyRecorder,
    open_language_model,
    parse_completion,
)

pytest.importorskip("openai")


@dataclass(frozen=True)
class One:
    """An ask."""

    system: str = "You write."
    user: str = "Product: soup"
    schema: dict = field(default_factory=lambda: {"type": "object"})
    seed: int = 7


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    for name in ("PROMOLIFT_LLM_URL", "PROMOLIFT_LLM_MODEL", "PROMOLIFT_LLM_GGUF"):
        monkeypatch.delenv(name, raising=False)


def writer(url: str, **more: object) -> RemoteLanguageModel:
    return RemoteLanguageModel(RemoteSettings.model_validate({"base_url": url, "model": "fake", "retries": 2, **more}))


def test_a_good_answer_is_the_text_with_its_cost():
    with serving(answer(tokens=1000)) as (fake, url):
        (reply,) = writer(url)([One()])
    assert reply.text == GOOD
    assert reply.fault is None
    assert (reply.tokens_in, reply.tokens_out) == (10_000, 1000)
    assert reply.cost_cents == pytest.approx(10_000 * 15e-6 + 1000 * 60e-6)
    sent = fake.requests[0]
    assert sent["response_format"]["json_schema"]["strict"] is True
    assert sent["seed"] == 7


@pytest.mark.parametrize(
    ("act", "fault"),
    [
        (400, "400"),
        (401, "401"),
        (429, "429"),
        (500, "500"),
        (503, "503"),
        ("drop", "no readable answer"),
        (b"<html>not json</html>", ""),
        (b'{"choices": [', ""),
        (b"", ""),
        (b"null", "empty"),
        (b'"a text"', ""),
        ({"unexpected": 1}, "empty"),
        ({"choices": []}, "empty"),
        ({"choices": "none"}, "empty"),
        ({"choices": [{"message": None}]}, "empty"),
        (answer(""), "empty"),
        (answer("   "), "empty"),
        (answer(None), "empty"),
        (answer({"title": 1}), "empty"),
        (answer('{"title":"A', finish="length"), "cut off"),
        (answer(None, refusal="I cannot help with that"), "refused"),
        (answer() | {"usage": None}, None),
        (answer() | {"usage": {"prompt_tokens": "many"}}, None),
    ],
)
def test_whatever_the_endpoint_does_is_one_reply(act, fault):
    with serving(act) as (_, url):
        (reply,) = writer(url, retries=0)([One()])
    if fault is None:
        assert (reply.text, reply.fault) == (GOOD, None)
    else:
        assert reply.text == ""
        assert reply.fault
        assert fault in reply.fault


@pytest.mark.parametrize("failure", [429, 500, 503, "drop"])
def test_a_passing_failure_is_tried_again(failure):
    with serving(failure, failure, answer()) as (fake, url):
        (reply,) = writer(url)([One()])
    assert reply.text == GOOD
    assert len(fake.requests) == 3


def test_a_wrong_request_is_not_tried_again():
    with serving(400) as (fake, url):
        writer(url)([One()])
    assert len(fake.requests) == 1


def test_a_hanging_endpoint_is_given_up():
    with serving("hang") as (_, url):
        (reply,) = writer(url, retries=0, timeout_s=0.2)([One()])
    assert reply.fault == "no answer within 0.2 s"


def test_nothing_listens():
    (reply,) = writer("http://127.0.0.1:9/v1", retries=0)([One()])
    assert "no readable answer" in str(reply.fault)


def test_nothing_more_is_asked_once_the_cap_is_spent():
    with serving(answer(tokens=100_000)) as (fake, url):
        replies = writer(url, cost_cap_cents=30, concurrency=1)([One(seed=i) for i in range(5)])
    assert [reply.fault is None for reply in replies] == [True, True, False, False, False]
    assert len(fake.requests) == 2
    assert "cost cap" in str(replies[-1].fault)


def test_replies_come_in_order_and_no_more_than_allowed_are_under_way():
    with serving("slow") as (fake, url):
        replies = writer(url, concurrency=3)([One(seed=i) for i in range(9)])
    assert [reply.text for reply in replies] == [GOOD] * 9
    assert 1 < fake.most_at_once <= 3


def test_without_a_key_nothing_is_tried(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with raises_code("api_key_missing", "OPENAI_API_KEY"):
        writer("http://127.0.0.1:9/v1")


def test_a_missing_model_file_is_named():
    with raises_code("file_not_found", "/nowhere.gguf"):
        LocalLanguageModel(LocalSettings(path="/nowhere.gguf"))


@pytest.mark.parametrize(
    ("raw", "fault"),
    [
        ({"code": 500, "message": "out of memory"}, "out of memory"),
        ({"error": {"code": 503}}, "503"),
        ({"choices": []}, "no readable answer"),
        ("a text", "a text"),
        (answer(""), "empty"),
        (answer('{"a', finish="length"), "cut off"),
    ],
)
def test_a_failed_run_of_a_local_model_is_a_failed_attempt(raw, fault):
    reply = parse_completion(raw, "m.gguf")
    assert reply.text == ""
    assert fault in str(reply.fault)


def test_a_local_answer_is_read():
    assert parse_completion(answer(), "m.gguf") == Reply(GOOD, "m.gguf", None, 200, 20)


def test_a_recorded_run_is_given_again_word_for_word(tmp_path):
    asks = [One(seed=1), One(seed=2), One(user="Product: 汤")]
    recorder = ReplyRecorder(lambda several: [Reply(f"{ask.user} {ask.seed}", "m", cost_cents=2.0) for ask in several])
    first = recorder(asks)
    recorder.save(tmp_path / "replies.jsonl")
    replay = RecordedReplies(tmp_path / "replies.jsonl")
    assert replay(list(reversed(asks))) == list(reversed(first))
    assert replay([replace(asks[0], seed=9)])[0].fault == "no such ask was recorded"


@pytest.mark.parametrize("line", ["no json", "[]", '{"text": "a"}', json.dumps({"ask": "x", "colour": "red"})])
def test_a_broken_record_is_named_by_its_line(tmp_path, line):
    (tmp_path / "r.jsonl").write_text(line)
    with raises_code("file_unreadable", "r.jsonl", "1"):
        RecordedReplies(tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    ("kind", "settings", "code", "fact"),
    [
        ("local", {}, "setting_missing", "llm.local.path"),
        ("replay", {}, "setting_missing", "llm.records"),
        ("replay", {"records": "/nowhere.jsonl"}, "file_not_found", "/nowhere.jsonl"),
        ("oracle", {}, "value_invalid", "oracle"),
    ],
)
def test_what_a_writer_lacks_is_named(kind, settings, code, fact):
    with raises_code(code, fact):
        open_language_model(kind, LlmSettings.model_validate(settings))


def test_the_environment_wins_over_the_settings(monkeypatch):
    with serving(answer()) as (fake, url):
        monkeypatch.setenv("PROMOLIFT_LLM_URL", url)
        monkeypatch.setenv("PROMOLIFT_LLM_MODEL", "other")
        (reply,) = open_language_model("remote", LlmSettings())([One()])
    assert reply.fault is None
    assert fake.requests[0]["model"] == "other"
