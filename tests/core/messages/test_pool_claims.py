"""Each claim of a stored text stands in it and names the fact that entails it, which its angle has."""

import re

import pytest

from promolift.core.messages.angles import _CONDITIONS, ANGLE_RULES, ANGLES, REMINDER_ANGLES
from promolift.core.messages.text_pool import PoolText
from promolift.shop.pipeline.pool_file import shipped_pool

TEXTS = [text for text in shipped_pool().texts if text.state == "judged"]
# of the customer: a view and a gap in their purchases are reasons to write, and saying them shows that they are watched
SAY_NOTHING = {"generic", "remind", "basket_nudge", "viewed_not_bought", "try_new"}
# Words that say something of the customer, and the angles whose fields entail it.
BOUGHT = {"just_bought", "remind_bought"}
LATE = {"win_back", "lapsed_category"}
HABIT = {"favourite", "pair_you_buy", "replenish_due", "lapsed_category"}
CUES = {
    "zh": {
        "购物车": {"cart_left"}, "看过|看的|看中": {"viewed_not_bought"}, "刚(?:买|下|刚|才)|买好": BOUGHT,
        "常买|常备|老样子|照常": HABIT,
        "好久|一阵|有段|阵子|久违": LATE, "这么久|老顾客|一直": {"loyalty_thanks", "win_back"},
        "第一份|首份|头一份|头一次": {"first_coupon"}, "上次|(?<!送)上一份|用过优惠": {"coupon_returner"},
        "没买过|没试过": {"try_new"},
        "快没了|还有剩|该补|又该": {"replenish_due"}, "回来": {*LATE, "viewed_not_bought"},
    },
    "en": {
        r"\bcarts?\b": {"cart_left"}, r"\blook(?:ed|ing) (?:at|before|for)|liked what": {"viewed_not_bought"},
        r"\bjust (?:bought|picked)|\bordering\b": BOUGHT, r"\busual|\bregular": {*HABIT, "loyalty_thanks"},
        r"\ba while\b": LATE, r"\bso long\b|long-standing|time and again|sticking": {"loyalty_thanks"},
        r"\bfirst offer|haven't sent": {"first_coupon"}, r"\blast (?:one|offer)": {"coupon_returner"},
        r"not tried|haven't bought any here yet|new to you": {"try_new"},
        r"running low|nearly out|about due|run out": {"replenish_due"},
    },
}  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.text_id)
def test_each_claim_stands_in_its_text_and_names_a_fact_that_its_angle_has(text: PoolText) -> None:
    facts = {"angle", "slots", "terms"}
    if not ANGLE_RULES[text.angle].fields:
        facts.remove("angle")
    if text.angle in REMINDER_ANGLES:
        facts -= {"slots", "terms"}
    for claim in text.claims:
        assert claim.by in facts, claim
        assert any(claim.claim in part for part in (text.title, text.hook, text.call)), claim
    assert ("{deal}" in text.title) == ("{deal}" in {claim.claim for claim in text.claims})


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.text_id)
def test_what_a_text_says_of_the_customer_is_a_claim_that_its_angle_entails(text: PoolText) -> None:
    claims = [claim.claim for claim in text.claims if claim.by == "angle"]
    for cue, angles in CUES[text.language].items():
        for part in (text.title, text.hook, text.call):
            for match in re.finditer(cue, part, re.IGNORECASE):
                assert text.angle in angles, (match.group(), text.words)
                assert any(match.group() in claim for claim in claims), (match.group(), text.words, claims)


def test_nearly_every_text_of_a_reason_says_it() -> None:
    silent = [text.words for text in TEXTS
              if text.angle not in SAY_NOTHING and "angle" not in {claim.by for claim in text.claims}]  # fmt: skip
    assert len(silent) <= 4, silent  # suggestions, which claim nothing: "How about {product} for a change?"


def test_the_fields_of_an_angle_are_the_columns_that_its_condition_reads() -> None:
    for angle in ANGLES:
        told = set(ANGLE_RULES[angle].fields)
        if angle in _CONDITIONS:
            read = set(_CONDITIONS[angle].meta.root_names())
            assert told <= read
            assert read - told <= {"asof_ms", "target", "scope"}, (angle, read - told)
        else:
            assert told <= {"bought_name"}


# How code prints a condition of an offer; a text with such words would state one that the offer may not have.
CONDITIONS = {
    "zh": "一起买|一起购买|买哪样都算|会员|满\\d|最高减|优惠码|点消息里的链接",
    "en": r"bought together|whichever you buy|for members|\bspend\b|up to|\byour code\b|\bthe link\b",
}


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.text_id)
def test_no_text_has_words_by_which_code_states_a_condition(text: PoolText) -> None:
    assert not re.search(CONDITIONS[text.language], text.words, re.IGNORECASE), text.words
