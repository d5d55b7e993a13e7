"""Whatever a model or its endpoint does, every ask gets one reply, in order, that is usable or says why it is not."""

import json
from dataclasses import dataclass, field, replace

import pytest
from error_checks import raises_code
from fake_endpoint import GOOD, answer, serving
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promolift.foundation.language_model import (
    LlmSettings,
    LocalLanguageModel,
    LocalSettings,
    RecordedReplies,
    RemoteLanguageModel,
    RemoteSettings,
    Reply,
    ReplyRecorder,
    UsageMeter,
    estimate_tokens,
    estimate_usage,
    find_endpoint_fault,
    open_judge,
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
    max_tokens: int = 0


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


@given(
    cap=st.floats(0, 40), tokens=st.integers(1, 400), concurrency=st.integers(1, 4), calls=st.integers(1, 12),
)  # fmt: skip
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_cost_cap_is_never_passed_and_no_call_is_refused_that_fits(cap, tokens, concurrency, calls):
    """Prices such that the longest answer (400 tokens) costs 4 cents, and prompts nothing."""
    more = {"cost_cap_cents": cap, "max_tokens": 400, "price_in_cents": 0, "price_out_cents": 10_000}
    with serving(answer(tokens=tokens)) as (fake, url):
        meter = UsageMeter(writer(url, concurrency=concurrency, **more))
        meter([One(seed=i) for i in range(calls)])
    spent, each = len(fake.requests) * tokens / 100, tokens / 100
    assert meter.usage.cost_cents == pytest.approx(spent)
    assert spent <= cap + 1e-9
    assert bool(meter.capped) == (len(fake.requests) < calls)
    if meter.capped:
        assert spent + 4 > cap - 1e-9, f"a call of {each} cents was refused with {spent} of {cap} cents spent"


def test_an_endpoint_that_tells_no_usage_is_charged_by_estimate():
    with serving(answer() | {"usage": None}) as (_, url):
        (reply,) = writer(url)([One()])
    assert reply.tokens_in > 0
    assert reply.cost_cents > 0


REFUSED = {"error": {"message": "This response_format type is unavailable now", "type": "invalid_request_error"}}


def test_an_endpoint_without_structured_output_is_asked_without_it():
    fenced = answer(f"```json\n{GOOD}\n```")
    with serving((400, REFUSED), (400, REFUSED), fenced) as (fake, url):
        replies = writer(url, concurrency=1)([One(), One()])
    assert [reply.text for reply in replies] == [GOOD, GOOD]
    forms = [request.get("response_format", {}).get("type") for request in fake.requests]
    assert forms == ["json_schema", "json_object", None, None]
    assert '{"type": "object"}' in fake.requests[-1]["messages"][0]["content"]


@given(most=st.integers(1, 4000), setting=st.integers(16, 4000))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_longest_answer_is_what_the_prompt_needs_or_the_settings_allow(most, setting):
    with serving(answer()) as (fake, url):
        writer(url, max_tokens=setting)([One(max_tokens=most)])
    assert fake.requests[0]["max_tokens"] == max(most, setting)


@given(st.text(max_size=300), st.text(max_size=300))
def test_a_longer_text_is_never_estimated_at_fewer_tokens(text, more):
    assert estimate_tokens(text) <= estimate_tokens(text + more) <= estimate_tokens(text) + len(more)


def test_an_estimate_calls_nothing_and_is_at_least_what_is_charged():
    asks = [One(seed=i, max_tokens=300) for i in range(3)]
    with serving(answer(tokens=5)) as (fake, url):
        model = writer(url)
        guess = estimate_usage(asks, model.settings)
        assert fake.requests == []
        meter = UsageMeter(model)
        meter(asks)
    assert (guess.requests, guess.tokens_out) == (3, 900)
    assert meter.usage.cost_cents <= guess.cost_cents


def test_another_endpoint_judges_where_one_is_set():
    with serving(answer("draft")) as (_, url), serving(answer("verdict")) as (judge, other):
        remote = {"base_url": url, "model": "a"}
        both = LlmSettings.model_validate({"remote": remote, "judge": {"base_url": other, "model": "b"}})
        assert open_language_model("remote", both)([One()])[0].text == "draft"
        assert open_judge("remote", both)([One()])[0].text == "verdict"
        alone = LlmSettings.model_validate({"remote": remote})
        assert open_judge("remote", alone)([One()])[0].text == "draft"
    assert judge.requests[0]["model"] == "b"


def test_why_an_endpoint_cannot_be_used_is_found_without_a_paid_call(monkeypatch):
    with serving(answer()) as (fake, url):
        assert find_endpoint_fault(RemoteSettings(base_url=url)) is None
        assert fake.requests == []
        monkeypatch.delenv("OPENAI_API_KEY")
        assert find_endpoint_fault(RemoteSettings(base_url=url)) == "key_missing"
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    assert find_endpoint_fault(RemoteSettings(base_url="http://127.0.0.1:9/v1")) == "unreachable"


@pytest.mark.parametrize(("status", "fault"), [(401, "key_refused"), (403, "key_refused"), (404, None), (302, None),
                                               (500, "unreachable")])  # fmt: skip
def test_an_answer_of_any_kind_but_a_refused_key_or_a_failure_is_an_endpoint(status, fault):
    with serving(answer(), models=status) as (_, url):
        assert find_endpoint_fault(RemoteSettings(base_url=url)) == fault


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
    ("kind", "stated", "code", "fact"),
    [
        ("local", {}, "setting_missing", "llm.local.path"),
        ("replay", {}, "setting_missing", "llm.records"),
        ("replay", {"records": "/nowhere.jsonl"}, "file_not_found", "/nowhere.jsonl"),
        ("oracle", {}, "value_invalid", "oracle"),
    ],
)
def test_what_a_writer_lacks_is_named(kind, stated, code, fact):
    with raises_code(code, fact):
        open_language_model(kind, LlmSettings.model_validate(stated))


def test_the_environment_wins_over_the_settings(monkeypatch):
    with serving(answer()) as (fake, url):
        monkeypatch.setenv("PROMOLIFT_LLM_URL", url)
        monkeypatch.setenv("PROMOLIFT_LLM_MODEL", "other")
        (reply,) = open_language_model("remote", LlmSettings())([One()])
    assert reply.fault is None
    assert fake.requests[0]["model"] == "other"
