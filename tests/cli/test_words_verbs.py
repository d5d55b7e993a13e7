"""`promolift words` and `promolift check`: what a shop's person does with texts, and what they are told."""

import json
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from promolift.cli.application import main
from promolift.shop.pipeline.text_pool import load_pool

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


def model(asks):
    """Drafts where drafts are asked for, verdicts else."""
    drafts = {"drafts": [GOOD, BAD]}
    return [Answer(json.dumps(drafts if "drafts" in ask.user else YES)) for ask in asks]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "promolift.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("promolift.shop.pipeline.text_pool.open_language_model", lambda *_: model)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["words", *command])
    said = capsys.readouterr()
    assert stop.value.code in (0, None), said.err
    return said.out + said.err


def test_drafts_are_judged_reviewed_and_approved_by_a_person(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = told(capsys, "draft", "--several", "2", "--angle", "favourite")
    assert "are faulty" in said
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
    assert "1 approved" in told(capsys, "import", "in.csv", "--by", "Ann")
    (text,) = load_pool(shop / "words.jsonl").usable("person").texts
    assert (text.hook, text.by) == (GOOD["hook"], "Ann")


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
