"""`promolift words` and `promolift check`: what a shop's person does with texts, and what they are told."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from fake_endpoint import answer, serving

from promolift.cli.application import main
from promolift.core.messages.text_value import TextValue
from promolift.shop.pipeline.pool_file import load_pool
from promolift.shop.results.learned_policy import TextEarnings

TOML = """
[shop]
name = "Shop"
[data]
source = "complete-journey"
[message]
writer = "remote"
pool = "words.jsonl"
[llm.remote]
base_url = "http://127.0.0.1:9/v1"
model = "made-up"
"""
GOOD = {"title": "{deal}: your {product}", "hook": "{product} again?", "call": ""}
BAD = {"title": "{deal}: hurry", "hook": "only 3 left!", "call": ""}
YES = {"claims": [{"claim": "a regular", "entailed": True, "by": "angle"}], "fit": True, "why": "fine"}


@dataclass(frozen=True)
class Answer:
    text: str
    model: str = "made-up"
    fault: str | None = None
    cost_cents: float = 0.0
    tokens_in: int = 500
    tokens_out: int = 100
    attempts: int = 1


def model(asks):
    """Drafts where drafts are asked for, verdicts else."""
    drafts = {"drafts": [GOOD, BAD]}
    return [Answer(json.dumps(drafts if "drafts" in ask.user else YES)) for ask in asks]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "promolift.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("promolift.shop.configuration.model_status.open_language_model", lambda *_: model)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["words", *command])
    said = capsys.readouterr()
    assert stop.value.code in (0, None), said.err
    return said.out + said.err


def test_drafts_are_judged_reviewed_and_approved_by_a_person(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(capsys, "draft", "--several", "2", "--angle", "favourite")
    assert "Faulty drafts: 1." in said
    assert "vague_deadline" in said  # a person is told why
    assert "Nobody has approved any" in told(capsys, "judge")
    said = told(capsys, "export", "out.csv")
    assert "promolift words import out.csv --by NAME" in said
    rows = pl.read_csv("out.csv", infer_schema=False)
    mine = rows.filter(pl.col("hook") == GOOD["hook"], pl.col("state") == "judged")
    assert mine.height == 1
    changed = rows.with_columns(
        approved=pl.when(pl.col("text_id") == mine["text_id"][0]).then(pl.lit("yes")).otherwise("approved")
    )
    changed.write_csv("in.csv")
    assert "Approved: 1." in told(capsys, "import", "in.csv", "--by", "Ann")
    (text,) = load_pool(shop / "words.jsonl").usable("person").texts
    assert (text.hook, text.by) == (GOOD["hook"], "Ann")


@pytest.mark.parametrize("command", ["draft", "judge"])
def test_what_a_person_decides_while_a_model_answers_is_kept(
    command: str, shop: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told(capsys, "draft", "--angle", "favourite")
    waiting = next(t for t in load_pool(shop / "words.jsonl").texts if t.state == "drafted" and t.hook == GOOD["hook"])

    def slow_model(asks):
        told(capsys, "review", "--reject", waiting.text_id, "--because", "off", "--by", "Ann")
        return model(asks)

    monkeypatch.setattr("promolift.shop.configuration.model_status.open_language_model", lambda *_: slow_model)
    told(capsys, command, *(["--angle", "favourite"] if command == "draft" else []))
    (kept,) = (text for text in load_pool(shop / "words.jsonl").texts if text.text_id == waiting.text_id)
    assert (kept.state, kept.by, kept.rejected_because) == ("rejected", "Ann", "off")


def test_changes_of_several_processes_are_all_kept(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [t.text_id for t in load_pool(None).texts if t.state == "judged" and t.language == "en"][:6]
    calls = [
        [sys.executable, "-m", "promolift.cli", "words", "review", "--approve", each, "--by", "Ann"] for each in texts
    ]
    running = [subprocess.Popen(call, cwd=shop, stdout=subprocess.DEVNULL) for call in calls]
    assert [each.wait(120) for each in running] == [0] * len(texts)
    kept = {text.text_id for text in load_pool(shop / "words.jsonl").texts if text.by == "Ann"}
    assert kept == set(texts)


def test_randomised_tests_of_texts_give_every_text_its_start(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Titles that ask were clicked more: texts that ask start above those that do not."""
    arms = [
        {"test_id": f"t{n}", "text": text, "shown": 4000, "clicked": clicked}
        for n in range(60)
        for text, clicked in ((f"about item number {n}?", 300), (f"about item number {n}.", 200))
    ]
    pl.DataFrame(arms).write_csv("tests.csv")
    told(capsys, "judge", "--tests", "tests.csv")
    texts = [t for t in load_pool(shop / "words.jsonl").texts if t.language == "en" and t.usable("judged")]
    asks = [t.prior for t in texts if "?" in t.draft.plain]
    says = [t.prior for t in texts if "?" not in t.draft.plain]
    assert sum(asks) / len(asks) > 0 > sum(says) / len(says)


def refused(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    """The code with which a command ends."""
    with pytest.raises(SystemExit) as stop:
        main(["words", *command])
    assert stop.value.code == 2
    return capsys.readouterr().err.rsplit("[", 1)[1].split("]")[0]


def settings(folder: Path, **remote: object) -> None:
    """promolift.toml with other settings of the endpoint."""
    stated = "".join(f"{name} = {json.dumps(value)}\n" for name, value in remote.items())
    (folder / "promolift.toml").write_text(TOML.split("[llm.remote]")[0] + "[llm.remote]\n" + stated, encoding="utf-8")


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which the configured endpoint is really called."""
    pytest.importorskip("openai")
    settings(tmp_path, base_url="http://127.0.0.1:9/v1", retries=0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    monkeypatch.delenv("PROMOLIFT_LLM_URL", raising=False)
    return tmp_path


VOICE = {"speaker": "the owner", "tone": "warm", "address_en": "you", "address_zh": "", "use": ["kettle"], "avoid": [],
         "length": "medium", "examples": ["Come in, the kettle is on."]}  # fmt: skip


def test_a_voice_is_read_from_texts_and_reaches_a_brief(remote: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["Come in, the kettle is on.", "A fresh pot, as every morning.", "Dear Ann, your tea is here", "New cups."]
    (remote / "texts.txt").write_text("\n".join(lines), encoding="utf-8")
    with serving(answer(json.dumps(VOICE))) as (fake, url):
        settings(remote, base_url=url)
        summary = json.loads(told(capsys, "voice", "texts.txt", "--json"))
    assert (summary["left_out"], summary["requests"]) == (1, 1)
    assert "Ann" not in json.dumps(fake.requests)
    prompts = json.loads(told(capsys, "draft", "--dry-run", "--angle", "win_back", "--json"))["prompts"]
    assert all("kettle" in each["user"] and "the owner" in each["user"] for each in prompts)
    assert refused(capsys, "voice", "texts.txt") == "file_exists"


def test_five_answers_make_a_card_without_any_endpoint(remote: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "voice", "--speaker", "the owner", "--tone", "dry", "--address", "you", "--address", "您",
         "--use", "kettle, pot", "--avoid", "folks")  # fmt: skip
    (prompt,) = json.loads(told(capsys, "draft", "--dry-run", "--angle", "win_back", "--json"))["prompts"]
    assert all(word in prompt["user"] for word in ("the owner", "dry", "kettle; pot", "folks"))


def test_a_person_is_asked_five_questions_on_a_terminal(remote: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from promolift.cli import text_commands

    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr("typer.prompt", lambda question, *_, **__: asked.append(question) or "warm")
    text_commands.words_voice(remote / "promolift.toml")
    assert len(asked) == 5
    assert 'tone = "warm"' in (remote / "voice.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("texts", "command", "code"),
    [
        (None, ("voice",), "option_missing"),
        (None, ("voice", "nowhere.txt"), "file_not_found"),
        ("one\ntwo", ("voice", "texts.txt"), "too_few_texts"),
        ("one\ntwo\nthree", ("voice", "texts.txt"), "answer_missing"),
        ("one", ("voice", "texts.txt", "--tone", "warm"), "option_conflict"),
        (None, ("voice", "--example", "Dear Ann, hello"), "personal_data_found"),
        (None, ("draft", "--dry-run", "--angle", "anger"), "option_invalid"),
        (None, ("draft", "--dry-run", "--play", "none"), "option_invalid"),
        (None, ("draft", "--dry-run", "--channel", "pigeon"), "option_invalid"),
    ],
)
def test_what_cannot_be_done_ends_with_a_code(
    remote: Path, capsys: pytest.CaptureFixture[str], texts: str | None, command: tuple[str, ...], code: str
) -> None:
    if texts:
        (remote / "texts.txt").write_text(texts, encoding="utf-8")
    assert refused(capsys, *command) == code


def test_a_card_that_a_person_spoiled_is_refused_at_once(remote: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (remote / "voice.toml").write_text('examples = ["Dear Ann, hello"]', encoding="utf-8")
    assert refused(capsys, "draft") == "personal_data_found"


def test_a_dry_run_calls_nothing_and_tells_tokens_and_cost(remote: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(answer()) as (fake, url):
        settings(remote, base_url=url, price_out_cents=1e6)
        found = [json.loads(told(capsys, "draft", "--dry-run", "--several", n, "--json")) for n in ("2", "4")]
    assert fake.requests == []
    assert [len(each["prompts"]) for each in found] == [16, 16]
    assert found[0]["cost_cents"] < found[1]["cost_cents"] == pytest.approx(16 * (100 + 4 * 130), rel=1e-3)
    assert not (remote / "words.jsonl").exists()


def test_a_cap_ends_a_run_and_keeps_what_was_paid_for(remote: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drafts = json.dumps({"drafts": [GOOD]})
    with serving(answer(drafts, tokens=300)) as (fake, url):
        settings(remote, base_url=url, price_in_cents=0, price_out_cents=10_000, cost_cap_cents=12, concurrency=1)
        assert refused(capsys, "draft", "--several", "6") == "cost_cap_reached"
    assert len(fake.requests) == 2  # 880 tokens at most, 8.8 cents; the first two cost 3 each, and 6 + 8.8 > 12
    assert [each.hook for each in load_pool(remote / "words.jsonl").texts if each.hook == GOOD["hook"]] == [
        GOOD["hook"]
    ]


def test_the_brief_of_a_play_holds_its_audience_and_reason(remote: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play = '\n[[plays]]\nid = "new-teas"\naudience = "absent"\nreason = "The new teas are here."\n'
    with (remote / "promolift.toml").open("a", encoding="utf-8") as file:
        file.write(play)
    (prompt,) = json.loads(told(capsys, "draft", "--dry-run", "--play", "new-teas", "--json"))["prompts"]
    assert "The new teas are here." in prompt["user"]
    assert "away for so long" in prompt["user"]
    assert "long time no see" in prompt["user"]


def test_a_rejection_and_its_reason_reach_the_next_brief(remote: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text_id = next(
        t.text_id for t in load_pool(None).texts if (t.angle, t.language, t.state) == ("win_back", "en", "judged")
    )
    told(capsys, "review", "--reject", text_id, "--by", "Ann")
    (prompt,) = json.loads(told(capsys, "draft", "--dry-run", "--angle", "win_back", "--json"))["prompts"]
    words = next(t for t in load_pool(remote / "words.jsonl").texts if t.text_id == text_id)
    assert words.hook in prompt["user"]


def test_a_draft_takes_back_nobodys_decision_on_the_same_words(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "draft", "--several", "2", "--angle", "favourite")
    text = next(t for t in load_pool(shop / "words.jsonl").texts if t.hook == GOOD["hook"])
    told(capsys, "review", "--approve", text.text_id, "--by", "Ann")
    told(capsys, "draft", "--several", "2", "--angle", "favourite")
    assert next(t for t in load_pool(shop / "words.jsonl").texts if t.text_id == text.text_id).state == "approved"


@pytest.fixture
def learned(shop: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """Two approved texts of one reason, a good one and one that learning dropped, in this order."""
    texts = [t for t in load_pool(None).texts if (t.state, t.language, t.angle) == ("judged", "en", "favourite")][:3]
    ids = [text.text_id for text in texts]
    told(capsys, "review", *(word for each in ids for word in ("--approve", each)), "--by", "Ann")
    (shop / ".promolift/serve").mkdir(parents=True)
    counts = [(ids[0], "percent_off", 900, 140), (ids[1], "percent_off", 900, 9)]
    (shop / ".promolift/serve/words.json").write_text(json.dumps(counts), "utf-8")
    return ids[0], ids[1]


def figures(capsys: pytest.CaptureFixture[str], *command: str) -> dict:
    with pytest.raises(SystemExit) as stop:
        main(["words", *command, "--json"])
    assert stop.value.code in (0, None)
    return json.loads(capsys.readouterr().out)


def test_the_draft_in_place_of_a_dropped_text_is_of_the_winners_kind_and_waits_for_a_person(
    shop: Path, learned: tuple[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    winner, loser = learned
    (wanted,) = figures(capsys, "list")["wanted"]
    assert (wanted["angle"], wanted["successor_of"], wanted["winners"]) == ("favourite", [loser], [winner])
    asked = []

    def writer(asks):
        asked.extend(asks)
        return model(asks)

    monkeypatch.setattr("promolift.shop.configuration.model_status.open_language_model", lambda *_: writer)
    told(capsys, "draft", "--successors")
    words = {text.text_id: text.words for text in load_pool(shop / "words.jsonl").texts}
    (ask,) = asked
    assert ask.user.index(words[loser]) < ask.user.index("no longer sent") + 200
    assert f"in other words: “{words[winner]}”" in ask.user
    new = [text for text in load_pool(shop / "words.jsonl").texts if text.successor_of == (loser,)]
    assert {text.state for text in new} == {"drafted", "faulty"}
    assert not [text for text in new if text.usable("judged")]
    assert figures(capsys, "list")["wanted"] == []
    assert len(asked) == 1
    told(capsys, "draft", "--successors")
    assert len(asked) == 1  # nothing is asked for twice


def test_a_dropped_text_is_brought_back_by_a_person_who_is_named(
    shop: Path, learned: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    winner, loser = learned
    assert {each["text_id"] for each in figures(capsys, "list")["dropped"]} == {loser}
    for command, code in (((loser,), "option_missing"), ((winner, "--by", "Ann"), "text_not_dropped"),
                          (("txt_none", "--by", "Ann"), "text_unknown")):  # fmt: skip
        with pytest.raises(SystemExit) as stop:
            main(["words", "restore", *command])
        assert stop.value.code == 2, capsys.readouterr()
        assert f"[{code}]" in capsys.readouterr().err
    told(capsys, "restore", loser, "--by", "Ann")
    said = figures(capsys, "list")
    assert said["dropped"] == said["wanted"] == []
    (kept,) = (text for text in load_pool(shop / "words.jsonl").texts if text.text_id == loser)
    assert (kept.state, kept.restored_by) == ("approved", "Ann")
    assert "Ann brought it back" in told(capsys, "list")


@pytest.mark.parametrize(("language", "heard"), [("en", "Each message with this text earned"), ("zh", "821")])
def test_the_list_says_what_each_text_earned_in_the_readers_language(
    language: str, heard: str, shop: Path, learned: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = TOML.replace("[shop]", '[shop]\nlanguages = ["en", "zh"]') + f'[report]\nlanguage = "{language}"\n'
    (shop / "promolift.toml").write_text(text, encoding="utf-8")
    value = TextValue(learned[0], "favourite", "en", 821, 433, 612.0, 171.0, 1053.0, None)
    (shop / "learn-report").mkdir()
    numbers = {"texts": [TextEarnings(value, "words").to_json()]}
    (shop / "learn-report/learn.json").write_text(json.dumps(numbers), "utf-8")
    said = told(capsys, "list")
    assert heard in said
    assert "433" in said
    assert ("停发" in said or "不再发送" in said) == (language == "zh")
    (found,) = figures(capsys, "list")["texts"]
    assert (found["text_id"], found["answer"], found["readers"]) == (learned[0], "earns", 821)


def test_a_dry_run_of_the_judge_prints_its_prompts_and_calls_nothing(
    remote: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drafts = json.dumps({"drafts": [GOOD]})
    with serving(answer(drafts)) as (fake, url):
        settings(remote, base_url=url)
        told(capsys, "draft", "--several", "1", "--angle", "favourite")
        before = len(fake.requests)
        found = json.loads(told(capsys, "judge", "--dry-run", "--json"))
    assert len(fake.requests) == before
    assert found["requests"] == 3 * len(found["prompts"]) > 0
    assert all(GOOD["hook"] in each["user"] for each in found["prompts"])
    assert found["cost_cents"] > 0


def test_a_token_cap_ends_a_run_and_names_its_setting(remote: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(answer(json.dumps({"drafts": [GOOD]}), tokens=300)) as (fake, url):
        settings(remote, base_url=url, token_cap=9_000, concurrency=1)
        with pytest.raises(SystemExit):
            main(["words", "draft", "--several", "6"])
    said = capsys.readouterr().err
    assert "llm.remote.token_cap" in said
    assert "cost_cap_reached" in said
    assert 0 < len(fake.requests) < 16
