"""What a customer's text is about, with a probability that can be believed; other languages are not guessed at."""

import re
from pathlib import Path

import polars as pl
import pytest

from promolift.core.customers.text_intents import INTENTS, language_of_text, predict_intents
from promolift.foundation.settings import read_tsv

KEPT_APART = Path(__file__).parents[3] / "benchmarks" / "extensions" / "intents.tsv"
OURS = read_tsv("core/customers/text_intents.tsv")


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("This is far too expensive for me", "too_expensive"),
        ("太贵了，买不起", "too_expensive"),
        ("My package has not arrived yet", "late"),
        ("快递还没有到，都等了一个星期", "late"),
        ("The cup was broken when it came", "damaged"),
        ("我想退货，怎么申请", "return"),
        ("When do I get my money back?", "refund"),
        ("请问有货吗", "stock"),
        ("I love it, will buy again", "praise"),
        ("STOP", "stop"),
        ("退订", "stop"),
        ("What time do you close?", "other"),
    ],
)
def test_plain_texts_are_read(text: str, intent: str) -> None:
    found = predict_intents([text]).row(0, named=True)
    assert found["intent"] == intent
    assert found["intent_prob"] > 0.5


def test_probabilities_are_shares_and_a_complaint_is_the_sum_of_its_kinds() -> None:
    found = predict_intents([text for _, _, text in OURS[::5]])
    assert found.select(pl.all_horizontal(pl.col("^.*_prob$").is_between(0, 1)).all()).item()
    late = found.filter(pl.col("intent").is_in(["late", "damaged", "return", "refund"]))
    assert (late["complaint_prob"] >= late["intent_prob"] - 1e-9).all()


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where is my parcel?", "en"), ("超慢，的的差评 lol", "zh"),
        ("Wo ist das Paket, ich warte nicht länger", "other"),
        ("Où est le colis, je ne suis pas content", "other"),
        ("посылка не пришла", "other"), ("届いていません", "other"),
        ("배송이 늦어요", "other"), ("!!! 😡", "other"), ("", "other"),
    ],
)  # fmt: skip
def test_languages_are_told_apart_and_others_stay_unread(text: str, language: str) -> None:
    assert language_of_text(text) == language
    found = predict_intents([text, "太贵了"])
    assert (found["intent"][0] is None) == (language == "other")
    assert found["intent"][1] == "too_expensive"


def test_a_long_text_takes_bounded_time_and_its_end_counts() -> None:
    assert predict_intents(["bla " * 500_000 + "I want a refund, give me my money back"])["language"][0] == "en"


def test_our_texts_and_those_kept_apart_share_none() -> None:
    def bare(text: str) -> str:
        return re.sub(r"[\W_]+", "", text.casefold())

    lines = KEPT_APART.read_text(encoding="utf-8").splitlines()
    apart = [bare(line.split("\t")[2]) for line in lines if not line.startswith("#")]
    ours = [bare(text) for _, _, text in OURS]
    assert len(apart) == 400
    assert not set(ours) & set(apart)
    assert len(set(ours)) == len(ours)
    assert {intent for intent, *_ in OURS} == set(INTENTS)
    assert {language for _, language, _ in OURS} == {"en", "zh"}
