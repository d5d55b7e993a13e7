"""Laws of the fair reading: scenes, questions and moods pass in any words, claims do not, of whatever kind of goods."""

from pathlib import Path

import pytest
from message_helpers import OFFERS, SHIPPING, amount, an_offer, percent

from promolift.message import Context, broken_rules
from promolift.terms import Words

GOODS = {
    "chocolate": an_offer(percent(20), ("chocolate", Words(zh="巧克力", en="chocolate"))),
    "sunglasses": an_offer(percent(15), ("sunglasses", Words(zh="太阳镜", en="sunglasses")), "USD", 5000),
    "all": an_offer(percent(10, 3000)),
    "cookbooks": an_offer(amount(1000), ("cookbooks", Words(zh="食谱书", en="cookbooks")), spend=6000),
    "breaks": an_offer(percent(25), ("breaks", Words(zh="城市周末游", en="city breaks")), "USD", scope="product"),
    "trains": an_offer(amount(500), ("trains", Words(zh="玩具火车", en="toy trains")), "USD"),
    "ship": an_offer(SHIPPING, currency="USD"),
    "cream": an_offer(percent(30), ("cream", Words(zh="面霜", en="face cream"))),
    "tablets": an_offer(amount(20000), ("tablets", Words(zh="平板电脑", en="tablets")), spend=200000),
    "towels": an_offer(percent(50), ("towels", Words(zh="浴巾", en="bath towels"))),
    "all8": an_offer(amount(800), currency="USD", spend=4000),
}
NAMES = {"zh": "小李", "en": "Anna"}
ROWS = Path(__file__).with_name("texts_scenes.tsv").read_text(encoding="utf-8").splitlines()[1:]
TEXTS = [tuple(row.split("\t")) for row in ROWS]


def codes(text, offer, language):
    return {rule.code for rule in broken_rules(text, offer, language, context=Context(name=NAMES[language]))}


@pytest.mark.parametrize(("key", "language", "truth", "text"), TEXTS)
def test_scenes_pass_and_claims_are_refused(key, language, truth, text):
    assert (codes(text, GOODS[key], language) == set()) == (truth == "true")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh", "整个六月冷冻方便餐打8折，30号为最后一天。"),
        ("zh", "冷冻方便餐打8折，六月的最后一天截止。"),
        ("zh", "冷冻方便餐打8折，最后一天是30号。"),
        ("en", "This June, frozen meals are 20% off; the offer ends on the 30th."),
        ("en", "Frozen meals are 20% off, and the 30th is the last day."),
        ("en", "Breakfast at 5 a.m. again? Frozen meals are 20% off, last call June 30."),
        ("zh", "整个6月冷冻方便餐打8折，30日当天也算。"),
        ("zh", "6月买冷冻方便餐打8折，30日晚23:59结束。"),
        ("en", "Frozen meals, 20% off all June, including Tuesday the 30th."),
        ("en", "Pay 20% less for frozen meals any day this June, the 30th included."),
        ("zh", "睡前五分钟搞定一件小事：冷冻方便餐打8折，6月30日截止。"),
    ],
)
def test_a_day_without_its_month_and_the_times_of_a_scene_are_read(language, text):
    assert codes(text, OFFERS["meals20" if language == "zh" else "meals20$"], language) == set()


@pytest.mark.parametrize(
    ("language", "text", "code"),
    [
        ("zh", "整个六月冷冻方便餐打8折，29号为最后一天。", "wrong_date"),
        ("en", "This June, frozen meals are 20% off; the offer ends on the 29th.", "wrong_date"),
        ("en", "Frozen meals are 20% off, valid in July, through June 30.", "wrong_date"),
        ("en", "Frozen meals are 20% off through June 30. Today is the last day.", "vague_deadline"),
        ("zh", "冷冻方便餐打8折，6月30日截止，今天就是最后一天。", "vague_deadline"),
        ("en", "Frozen meals are 20% off through June 30, twice a week.", "wrong_condition"),
    ],
)
def test_what_is_harmless_in_a_scene_is_wrong_of_the_offer(language, text, code):
    assert code in codes(text, OFFERS["meals20" if language == "zh" else "meals20$"], language)


@pytest.mark.parametrize(
    ("key", "language", "text"), [(k, la, text) for k, la, truth, text in TEXTS if truth == "false"]
)
def test_a_strict_reading_accepts_nothing_that_a_fair_one_refuses(key, language, text):
    context = Context(name=NAMES[language])
    assert broken_rules(text, GOODS[key], language, context=context, strict=True) != []


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("Cookbooks: spend ¥60, keep ten back, until June 30.", True),
        ("Cookbooks: spend ¥60, keep nine back, until June 30.", False),
        ("¥10 off cookbooks from ¥60, so an ¥80 order costs ¥70, until June 30.", True),
        ("¥10 off cookbooks from ¥60, so an ¥80 order costs ¥60, until June 30.", False),
        ("¥10 off cookbooks from ¥60, so a ¥20 order costs ¥10, until June 30.", False),
    ],
)
def test_an_example_is_true_if_its_sum_is(text, true):
    assert (codes(text, GOODS["cookbooks"], "en") == set()) == true
