"""Texts read, checked as they are typed, approved, rejected, rewritten; what a person says is kept and audited."""

import html
import json
import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from console_helpers import CONFIG, Shop, opened

from promolift.core.messages import PoolText
from promolift.core.messages.text_value import TextValue
from promolift.server.translations import translate_group
from promolift.shop.pipeline.pool_file import load_pool
from promolift.shop.results.learned_policy import TextEarnings


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    """A shop's own pool: the texts that come with promolift."""
    path = tmp_path / "words.jsonl"
    shutil.copyfile(str(files("promolift.shop.pipeline") / "demo_pool.jsonl"), path)
    return path


@pytest.fixture
def own(folder: Path, pool: Path) -> Iterator[Shop]:
    """A server whose shop has its own pool."""
    config = CONFIG.model_copy(update={"message": CONFIG.message.model_copy(update={"pool": str(pool)})})
    with opened(folder, config) as found:
        yield found


def waiting(pool: Path, language: str = "en") -> PoolText:
    """A text that waits for a person, of a reason that everybody may be given."""
    texts = load_pool(pool).texts
    return next(t for t in texts if t.state == "judged" and t.language == language and t.angle == "favourite")


def test_the_list_holds_what_the_pool_holds(own: Shop, pool: Path) -> None:
    said = own.person("viewer").json("/words?language=")
    texts = load_pool(pool).texts
    assert said["number"] == sum(text.state in ("judged", "edited") for text in texts)
    assert said["usable"] == 0
    every = own.person("viewer").json("/words?state=all&language=zh&page=1")
    assert every["number"] == sum(text.language == "zh" for text in texts)
    assert every["texts"]
    assert "No text here" in own.person("viewer").get("/words?state=retired")


def test_the_list_says_how_often_a_text_is_taken_up_and_which_are_no_longer_sent(
    own: Shop, pool: Path, folder: Path
) -> None:
    texts = [t for t in load_pool(pool).texts if (t.state, t.language, t.angle) == ("judged", "en", "favourite")][:3]
    approver = own.person("approver")
    for text in texts:
        approver.post(f"/words/{text.text_id}/judge", said="yes")
    counts = [(texts[0].text_id, "percent_off", 400, 60), (texts[1].text_id, "percent_off", 400, 2)]
    (folder / "serve").mkdir(exist_ok=True)
    (folder / "serve" / "words.json").write_text(json.dumps(counts), "utf-8")
    seen = approver.get("/words?state=approved&language=en")
    assert seen.count("a percentage off: sent 400, taken up ") == 2
    assert re.search(r"taken up 60; 1\d\.\d\s%.{0,40}interval.{0,30} of readers .{0,30}. Sent in \d\d", seen)
    assert re.search(r"taken up 2; \d\.\d\s%.{0,80} No longer sent: others do better", seen)


def test_a_yes_is_to_exactly_these_words_and_names_the_person(own: Shop, pool: Path) -> None:
    text, approver = waiting(pool), own.person("approver")
    approver.post(f"/words/{text.text_id}/judge", said="yes")
    kept = next(each for each in load_pool(pool).texts if each.text_id == text.text_id)
    assert (kept.state, kept.by) == ("approved", "approver")
    assert "no person has approved" in text.note
    assert not kept.note
    assert "text.approve" in [row["action"] for row in own.api("GET", "/v1/audit?limit=1000")["data"]]


def test_a_rejected_text_may_not_be_sent(own: Shop, pool: Path) -> None:
    text, approver = waiting(pool, "zh"), own.person("approver")
    assert "[why_missing]" in approver.post(f"/words/{text.text_id}/judge", 422, said="no").text
    approver.post(f"/words/{text.text_id}/judge", said="no", why="sounds pushy")
    kept = next(each for each in load_pool(pool).texts if each.text_id == text.text_id)
    assert (kept.state, kept.rejected_because) == ("rejected", "sounds pushy")
    assert kept not in load_pool(pool).usable("judged").texts


def test_other_words_are_another_text_that_waits(own: Shop, pool: Path) -> None:
    text, editor = waiting(pool), own.person("editor")
    words = {"title": text.title, "hook": text.hook, "call": "Have a look."}
    where = editor.post(f"/words/{text.text_id}/edit", **words).headers["location"]
    new = next(each for each in load_pool(pool).texts if where.endswith(each.text_id))
    assert (new.state, new.by, new.call) == ("edited", "editor", "Have a look.")
    assert next(each for each in load_pool(pool).texts if each.text_id == text.text_id).state == "retired"


def test_words_that_break_a_rule_are_not_kept(own: Shop, pool: Path) -> None:
    text, editor = waiting(pool), own.person("editor")
    before = pool.read_bytes()
    typed = {"title": "{deal}", "hook": "The best price in the world, guaranteed {nonsense}", "call": text.call}
    query = "&".join(f"{name}={value}" for name, value in typed.items())
    found = editor.json(f"/words/{text.text_id}/check?{query}")["findings"]
    assert found
    editor.post(f"/words/{text.text_id}/edit", 422, **typed)
    assert pool.read_bytes() == before


def test_a_text_is_shown_as_each_channel_shows_it(own: Shop, pool: Path) -> None:
    said = own.person("viewer").json(f"/words/{waiting(pool, 'zh').text_id}")
    shown = {each["channel"]: each for each in said["previews"]}
    assert set(shown) == {"SMS", "push", "e-mail", "site or till"}
    assert shown["SMS"]["text"] == "" or "拒收请回复R" in shown["SMS"]["text"]


def test_the_first_text_is_approved_without_any_setting(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to be refused until somebody named a pool in promolift.toml, on the server."""
    monkeypatch.chdir(tmp_path)
    with opened(folder, CONFIG) as shop:
        approver = shop.person("approver")
        assert "come with promolift" in approver.get("/words")
        text = approver.json("/words")["texts"][0]["text"]["text_id"]
        approver.post(f"/words/{text}/judge", said="yes")
        assert [each.text_id for each in load_pool(tmp_path / "words.jsonl").usable("person").texts] == [text]
        assert "come with promolift" not in approver.get("/words")
        approver.get("/words/nonsense", 422)


def test_list_and_text_say_what_a_message_with_it_earned(own: Shop, pool: Path, folder: Path) -> None:
    text = waiting(pool)
    value = TextValue(text.text_id, text.angle, text.language, 821, 433, 612.0, 171.0, 1053.0, None)
    learned = folder / "serve" / "learn" / CONFIG.plan.campaign / "learn.json"
    learned.parent.mkdir(parents=True, exist_ok=True)
    learned.write_text(json.dumps({"texts": [TextEarnings(value, text.words).to_json()]}), "utf-8")
    viewer = own.person("viewer")
    listed = viewer.json("/words?language=en&state=all&angle=favourite")["texts"]
    assert [one["text"]["text_id"] for one in listed if one["earned"]] == [text.text_id]
    assert "821" in viewer.json(f"/words/{text.text_id}")["earned"]
    assert "821" in viewer.get(f"/words/{text.text_id}")


def test_what_learning_dropped_is_written_anew_or_brought_back_by_a_person(own: Shop, pool: Path, folder: Path) -> None:
    texts = [t for t in load_pool(pool).texts if (t.state, t.language, t.angle) == ("judged", "en", "favourite")][:3]
    approver, editor = own.person("approver"), own.person("editor")
    for text in texts:
        approver.post(f"/words/{text.text_id}/judge", said="yes")
    winner, loser, other = texts
    counts = [(winner.text_id, "percent_off", 900, 140), (loser.text_id, "percent_off", 900, 9)]
    (folder / "serve").mkdir(exist_ok=True)
    (folder / "serve" / "words.json").write_text(json.dumps(counts), "utf-8")
    (wanted,) = editor.json("/words")["wanted"]
    assert winner.hook in wanted["said"]
    assert loser.hook in wanted["said"]
    where, typed = "/words/write/favourite/en", {"title": "{deal} on {product}", "call": ""}
    refused = html.unescape(editor.post(where, 422, hook="only 3 left!", **typed).text)
    assert "[text_faulty]" in refused
    assert "'only 3 left': " in refused  # the words at fault, and the rule
    assert translate_group("lint")["stock"] in refused
    assert "[text_not_wanted]" in editor.post("/words/write/generic/en", 422, hook="{product} again?", **typed).text
    editor.post(where, hook="{product} again?", **typed)
    (new,) = (text for text in load_pool(pool).texts if text.successor_of)
    assert (new.state, new.successor_of, new.writer) == ("edited", (loser.text_id,), "editor")
    assert editor.json("/words")["wanted"] == []
    assert "[text_not_dropped]" in approver.post(f"/words/{other.text_id}/restore", 422).text
    approver.post(f"/words/{loser.text_id}/restore")
    (kept,) = (text for text in load_pool(pool).texts if text.text_id == loser.text_id)
    assert kept.restored_by == "approver"
    assert "text.restore" in [row["action"] for row in own.api("GET", "/v1/audit?limit=1000")["data"]]
    assert "No longer sent" not in approver.get("/words?state=approved&language=en")
