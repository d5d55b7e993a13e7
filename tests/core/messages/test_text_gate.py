"""Of the texts of benchmarks/core/message_gate.tsv none that is untrue leaves without a judge or a person."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks" / "core"))
from message_gate import GateText, offer_of, texts

from promolift.core.messages import find_broken_rules

TEXTS = texts()


def broken(text: GateText) -> set[str]:
    found = find_broken_rules(text.text, offer_of(text.offer, text.language), text.language, known=text.known)
    return {rule.code for rule in found}


def test_no_untrue_text_leaves_by_code_alone() -> None:
    untrue = [text for text in TEXTS if text.label == "untrue"]
    assert len(untrue) >= 360
    assert [text.text for text in untrue if not broken(text)] == []


def test_at_most_one_good_text_of_a_hundred_is_refused() -> None:
    good = [text for text in TEXTS if text.label == "good"]
    refused = [text.text for text in good if broken(text) - {"unread"}]
    assert len(refused) <= len(good) // 100, refused


@pytest.mark.parametrize(
    ("offer", "language", "text"),
    [
        ("book15", "zh", "图书文具85折，最多减20元，11月30日止。"),  # two characters more than code reads
        ("book15", "en", "15% off books and notebooks, up to $10, through November 30."),
        (
            "shoe25",
            "en",
            "25% off running shoes through November 30 and after.",
        ),  # plain words, untrue
        ("vase", "zh", "买鲜花送花瓶两只，11月30日截止。"),
    ],
)
def test_a_word_that_code_does_not_read_makes_a_text_wait(offer: str, language: str, text: str) -> None:
    assert "unread" in broken(GateText("-", language, "untrue", offer, "plain", "-", text))
