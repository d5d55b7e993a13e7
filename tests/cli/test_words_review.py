"""`promolift words review` on a terminal: a walk through the cards by keys, saved at every step."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promolift.cli.review_walk import Terminal, read_texts
from promolift.core.messages import Draft, PoolText
from promolift.core.messages.text_pool import TextPool
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.pipeline.pool_file import load_pool, save_pool

TOML = """
[shop]
name = "Shop"
languages = ["en", "zh"]
[data]
source = "complete-journey"
[message]
pool = "words.jsonl"
"""
DRAFTS = [Draft(f"{{deal}}: {word}", f"{word} of {{product}}?") for word in ("low", "short", "out")]
KEYS = "aaerjku"


def text(draft: Draft) -> PoolText:
    return PoolText(
        text_id=draft.text_id, angle="favourite", language="en", state="judged", votes=(True,), **vars(draft)
    )


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    (tmp_path / "promolift.toml").write_text(TOML, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    save_pool(TextPool(tuple(map(text, DRAFTS))), tmp_path / "words.jsonl")
    return load_config(tmp_path / "promolift.toml")


def walked(shop: Config, keys: str, *answers: str) -> list[str]:
    """Press keys and answer questions in turn; an empty answer takes the default. Return what was printed."""
    pressed: Iterator[str] = iter([*keys, "q"])
    given_, said = iter(answers), []
    terminal = Terminal(lambda: next(pressed), lambda _, default: next(given_, "") or default, said.append)
    done = read_texts(shop, None, "Ann", terminal)
    return [*said, done]


def kept() -> dict[str, PoolText]:
    return {each.hook.split()[0]: each for each in load_pool(Path("words.jsonl")).texts}


def test_keys_approve_reject_with_a_reason_and_skip(shop: Config) -> None:
    walked(shop, "arj", "2")
    assert [each.state for each in kept().values()] == ["approved", "rejected", "judged"]
    assert (kept()["low"].by, kept()["low"].rejected_because) == ("Ann", "")
    assert kept()["short"].rejected_because
    walked(shop, "r", "dull")
    assert kept()["out"].rejected_because == "dull"


def test_a_rejection_without_a_reason_changes_nothing(shop: Config) -> None:
    before = Path("words.jsonl").read_bytes()
    walked(shop, "r", "")
    assert Path("words.jsonl").read_bytes() == before


def test_a_faulty_edit_is_asked_again_with_what_was_typed(shop: Config) -> None:
    said = walked(shop, "ea", "", "only 3 left!", "", "", "nearly out of {product}?", "")
    assert any("3" in line and line.startswith("  !") for line in said)
    assert kept()["low"].state == "retired"
    assert (kept()["nearly"].state, kept()["nearly"].by) == ("approved", "Ann")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.sampled_from(KEYS), max_size=8))
def test_undo_takes_the_last_decision_back(shop: Config, keys: str) -> None:
    """Whatever was pressed before: a yes and its undo leave the pool as it was."""
    save_pool(TextPool(tuple(map(text, DRAFTS))), Path("words.jsonl"))
    walked(shop, keys.replace("e", ""))
    before = load_pool(Path("words.jsonl")).texts
    waiting = [each for each in before if each.waits]
    walked(shop, "au" if waiting else "u")
    assert load_pool(Path("words.jsonl")).texts == before
