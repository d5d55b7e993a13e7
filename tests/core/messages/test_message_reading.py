"""Texts of people are read against an offer: what is untrue is refused, what code cannot read is said to be unread."""

from decimal import Decimal

import pytest
from error_checks import raises_code
from message_helpers import CONTEXTS, GOLDEN, OFFERS, PRODUCT_1, texts

from promolift.core.messages import AngleFacts, count_sms_parts, extract_facts, find_broken_rules, write_message
from promolift.core.messages.fact_check import normalise_text, parse_number
from promolift.shop.pipeline.text_pool import load_pool


def codes(text: str, offer: str = "meals20", language: str = "zh", **known: object) -> set[str]:
    return {rule.code for rule in find_broken_rules(text, OFFERS[offer], language, known=AngleFacts(**known))}


@pytest.mark.parametrize(
    ("offer", "language", "text"),
    [
        ("meals20", "zh", "冷冻方便餐打八折，有效期至6月30日。"),
        ("meals20", "zh", "冷冻方便餐打８折，7月1日前有效。"),
        ("meals20", "en", "Get 20% off frozen meals through June 30."),
        ("meals20", "en", "Frozen meals: twenty percent off, valid until 30 June 2026."),
        ("all30/200", "zh", "全场满200元立减30元，6月30日截止。"),
        ("all30/200$", "en", "Save $30 when you spend $200 or more, until June 30."),
        ("ship50$", "en", "Free shipping when you spend $50 or more, through June 30, 2026."),
        ("meals20cap10", "zh", "冷冻方便餐8折，最高减10元，有效期至2026年6月30日。"),
        ("meals25", "zh", "冷冻方便餐七五折，6月30日到期。"),
    ],
)
def test_true_texts_are_read_to_the_end(offer, language, text):
    assert find_broken_rules(text, OFFERS[offer], language) == []


@pytest.mark.parametrize(
    ("offer", "language", "text", "code"),
    [
        ("meals20", "zh", "冷冻方便餐打7折，6月30日前有效。", "wrong_percent"),
        ("meals20", "zh", "冷冻方便餐打8折，7月30日截止。", "wrong_date"),
        ("meals20", "zh", "全场打8折，6月30日截止。", "wrong_scope"),
        ("meals20", "zh", "冷冻方便餐有优惠，6月30日截止。", "missing_benefit"),
        ("meals20", "zh", "打8折，6月30日截止。", "missing_name"),
        ("meals20", "zh", "冷冻方便餐打8折。", "missing_date"),
        ("meals20", "en", "30% off frozen meals through June 30.", "wrong_percent"),
        ("meals20", "en", "20% off frozen meals before June 30.", "wrong_date"),
        ("meals20", "en", "Half price frozen meals through June 30.", "wrong_percent"),
        ("meals20", "en", "20% off frozen meals and free shipping through June 30.", "wrong_benefit"),
        ("all30/200$", "en", "Save $30 through June 30.", "missing_threshold"),
        ("all30/200$", "en", "Save $40 when you spend $200 through June 30.", "wrong_amount"),
        ("all30/200$", "en", "Save €30 when you spend $200 through June 30.", "wrong_currency"),
        ("meals20cap10", "zh", "冷冻方便餐8折，6月30日截止。", "missing_cap"),
        ("meals20", "en", "The best deal: 20% off frozen meals through June 30.", "superlative"),
        ("meals20", "zh", "限时！冷冻方便餐8折，6月30日截止。", "vague_deadline"),
        ("meals20", "zh", "尊敬的李雷，冷冻方便餐8折，6月30日截止。", "wrong_name"),
        ("meals20", "zh", "您刚刚购买了牛奶，冷冻方便餐8折，6月30日截止。", "unknown_purchase"),
        ("meals20", "zh", "冷冻方便餐8折，优惠码ABC123，6月30日截止。", "wrong_code"),
        ("meals20", "zh", "", "empty"),
        ("meals20", "zh", "Get 20% off frozen meals through June 30.", "wrong_language"),
        ("meals20", "en", "20% off frozen meals through June 30, see https://x.io", "markup"),
    ],
)
def test_false_texts_are_refused_with_their_reason(offer, language, text, code):
    rules = find_broken_rules(text, OFFERS[offer], language)
    assert code in {rule.code for rule in rules}
    assert all(rule.source for rule in rules)
    assert all(rule.span == text[rule.start : rule.end] for rule in rules)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("zh", "隔壁老王也在囤冷冻方便餐，8折，6月30日截止。"),
        ("en", "Chefs swear by our frozen meals, 20% off through June 30."),
        ("en", "20% off frozen meals through June 30. Collect 3 stamps."),
        ("en", "20% off frozen meals through June 30, this weekend too."),
        ("zh", "冷冻方便餐配冰淇淋，8折，6月30日截止。"),
    ],
)
def test_what_code_cannot_read_is_unread_and_not_guessed(language, text):
    assert {rule.code for rule in find_broken_rules(text, OFFERS["meals20"], language)} == {"unread"}


def test_what_is_known_of_the_customer_may_be_said():
    text = "尊敬的用户A，您刚刚购买了商品1，现在购买商品2可以享受8折优惠！有效期至2026年6月30日。"
    assert find_broken_rules(text, GOLDEN, "zh", known=AngleFacts(name="用户A", bought=(PRODUCT_1,))) == []
    assert {rule.code for rule in find_broken_rules(text, GOLDEN, "zh")} >= {"wrong_name", "unknown_purchase"}
    assert "profile_leak" in codes("35岁的您，冷冻方便餐8折，6月30日截止。", private=("35",))


def test_facts_are_ticked_where_they_hold():
    ticked = extract_facts("冷冻方便餐打7折，有效期至6月30日。", OFFERS["meals20"], "zh")
    assert [(fact.kind, fact.holds) for fact in ticked] == [("name", True), ("percent", False), ("end", True)]


@pytest.mark.parametrize(
    "text", [t for t in load_pool(None).texts if t.state == "judged"][::7], ids=lambda t: t.text_id
)
def test_the_facts_of_a_filled_message_are_all_read_and_hold(text):
    offer, known = OFFERS["meals20cap10$"], AngleFacts(bought=(PRODUCT_1,), angle=text.angle)
    if text.angle == "pair_you_buy":
        return
    message = write_message(offer, known, text.language, text.draft)
    read = extract_facts(message.text, offer, text.language, known=known)
    assert {"name", "percent", "cap", "end"} <= {fact.kind for fact in read}
    assert all(fact.holds for fact in read)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1,234.5", "1234.5"), ("两百五", "250"), ("两百零五", "205"), ("七点五", "7.5"), ("twenty-five", "25")],
)
def test_numbers_in_three_scripts(text, value):
    assert parse_number(text) == Decimal(value)


def test_a_readied_text_keeps_its_length():
    text = "满２００元减30元，優惠至６月３０日"
    assert len(normalise_text(text)) == len(text)
    assert normalise_text(text) == "满200元减30元,优惠至6月30日".replace(",", "，")


def test_a_channel_asks_for_its_parts():
    offer, text = OFFERS["meals20"], "冷冻方便餐打8折，有效期至6月30日。"
    assert {r.code for r in find_broken_rules(text, offer, "zh", "sms_cn")} == {"sms_signature", "sms_opt_out"}
    assert find_broken_rules(f"【晨光】{text}拒收请回复R", offer, "zh", "sms_cn") == []
    long = find_broken_rules(f"【晨光】{text * 12}拒收请回复R", offer, "zh", "sms_cn")
    assert "sms_length" in {r.code for r in long}
    assert {"email_unsubscribe", "email_address"} <= {r.code for r in find_broken_rules(text, offer, "zh", "email_en")}
    assert "push_length" in {r.code for r in find_broken_rules(text * 12, offer, "zh", "push")}
    assert {r.code for r in find_broken_rules("冷冻方便餐八折大大优惠券", offer, "zh", "wechat_store")} >= {
        "wechat_name"
    }
    assert [count_sms_parts("字" * n) for n in (70, 71, 134, 135)] == [1, 2, 2, 3]


def test_a_rule_pack_names_its_law():
    rules = find_broken_rules("20% off frozen meals through June 30.", OFFERS["meals20"], "en", packs=("ny_349a",))
    assert [rule.code for rule in rules] == ["ny_349a"]
    assert "349-a" in rules[0].source


def test_long_and_strange_texts_end_without_an_error():
    for text in ("8折" * 600, "\u200b" * 40, "满" * 200, "%" * 100, "一" * 300, "June " * 100):
        assert find_broken_rules(text, OFFERS["meals20"], "zh")
    for said in texts("false")[::9] + texts("true")[::9]:
        find_broken_rules(said.text, said.offer, said.language, known=said.known)


def test_a_moment_without_a_zone_is_refused():
    with raises_code("timezone_missing", "sent"):
        AngleFacts(sent=CONTEXTS["June 23"].sent.replace(tzinfo=None))
