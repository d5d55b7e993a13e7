"""Texts of people are read against an offer: what is untrue is refused, what code cannot read is said to be unread."""

from decimal import Decimal

import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st
from message_helpers import CONTEXTS, GOLDEN, OFFERS, PRODUCT_1, an_offer, percent, texts

from promolift.core.messages import AngleFacts, count_sms_parts, extract_facts, find_broken_rules, write_message
from promolift.core.messages.numerals import normalise_text, parse_number
from promolift.core.offers.terms import Benefit
from promolift.foundation.localized_text import LocalizedText
from promolift.shop.pipeline.pool_file import load_pool


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


GREEN_TEA = ("GREEN TEA", LocalizedText(zh="绿茶", en="green tea"))
MUG = LocalizedText(zh="马克杯", en="coffee mug")
BOTH = ("BREAD ++ JAM", LocalizedText(zh="面包、果酱", en="bread and jam"))
TERMS = {
    "tea": an_offer(Benefit(type="buy_x_get_y", buy=2, get=1, percent=100), GREEN_TEA, "USD"),
    "mug": an_offer(Benefit(type="gift", item=MUG), None, "USD", 5000),
    "points": an_offer(Benefit(type="points", points=200), GREEN_TEA, "USD"),
    "price": an_offer(Benefit(type="fixed_price", price_cents=990), GREEN_TEA, "USD"),
    "half": an_offer(percent(20), GREEN_TEA, "USD"),
}
MEMBERS = TERMS["half"].model_copy(update={"members": True})
BY_CODE = TERMS["half"].model_copy(update={"activation": "code"})


@pytest.mark.parametrize(
    ("offer", "language", "text", "code"),
    [
        (TERMS["tea"], "en", "Buy 3 green teas, get 1 free through June 30.", "wrong_amount"),
        (TERMS["tea"], "zh", "绿茶买三送一，6月30日止。", "wrong_amount"),
        (TERMS["points"], "en", "Earn 2,000 points when you buy green tea. Ends June 30.", "wrong_amount"),
        (TERMS["points"], "zh", "买绿茶送300积分，6月30日止。", "wrong_amount"),
        (TERMS["price"], "en", "Green tea is free through June 30.", "wrong_benefit"),
        (TERMS["price"], "en", "Green tea for $8.90 through June 30.", "wrong_amount"),
        (TERMS["mug"], "en", "Drop in for a free coffee mug through June 30.", "missing_threshold"),
        (TERMS["half"], "en", "Save a third on green tea: 20% off through June 30.", "wrong_percent"),
        (TERMS["half"], "en", "A $10 tin of green tea for $7. That's 20% off, through June 30.", "wrong_percent"),
        (TERMS["half"], "en", "Green tea is 20% off through Monday, June 30.", "wrong_date"),
        (TERMS["half"], "en", "Green tea and butter are 20% off through June 30.", "wrong_scope"),
        (TERMS["half"], "zh", "绿茶和黄油都打8折，6月30日止。", "wrong_scope"),
        (TERMS["half"], "zh", "绿茶8折，比隔壁便宜，6月30日止。", "comparison"),
        (TERMS["half"], "en", "Nine in ten buy it again: green tea, 20% off through June 30.", "popularity"),
        (TERMS["half"], "en", "You have won! Green tea is 20% off through June 30.", "prize"),
        (MEMBERS, "en", "Green tea is 20% off through June 30.", "missing_condition"),
        (MEMBERS, "zh", "绿茶8折，人人都能享受，6月30日止。", "wrong_scope"),
        (BY_CODE, "zh", "绿茶8折，无需优惠码，6月30日止。", "wrong_code"),
        (BY_CODE, "en", "Green tea is 20% off through June 30.", "missing_condition"),
    ],
)  # fmt: skip
def test_terms_that_a_text_denies_hides_or_states_wrongly_are_found(offer, language, text, code):
    assert code in {rule.code for rule in find_broken_rules(text, offer, language)}


@pytest.mark.parametrize(
    ("offer", "language", "text"),
    [
        (TERMS["tea"], "en", "Buy two green teas, get one free through June 30."),
        (TERMS["tea"], "zh", "绿茶买二送一，6月30日止。"),
        (TERMS["mug"], "en", "Spend $50 and take home a free coffee mug. Through June 30."),
        (TERMS["points"], "zh", "买绿茶送200积分，6月30日止。"),
        (TERMS["price"], "en", "Green tea for $9.90 through June 30."),
        (TERMS["half"], "en", "A $10 tin of green tea for $8: that's 20% off, through June 30."),
        (TERMS["half"], "en", "Green tea is 20% off through Tuesday, June 30."),
        (TERMS["half"], "zh", "绿茶限时8折，6月30日止。"),
        (MEMBERS, "zh", "亲爱的会员，绿茶8折，6月30日止。"),
        (BY_CODE, "en", "Use your code for 20% off green tea through June 30."),
    ],
)
def test_terms_that_a_text_states_rightly_are_not_refused(offer, language, text):
    assert [rule for rule in find_broken_rules(text, offer, language) if rule.code != "unread"] == []


@given(st.data())
def test_what_leaves_is_refused_by_no_rule_for_texts_of_people(data):
    """A regular greeting, 'the cheapest of them' and '第3件打5折' were."""
    text = data.draw(st.sampled_from([each for each in load_pool(None).texts if each.state == "judged"]))
    offer = data.draw(st.sampled_from([*OFFERS.values(), *TERMS.values(), MEMBERS, BY_CODE]))
    part = data.draw(st.sampled_from([None, 50, 76]))
    if offer.benefit.type == "buy_x_get_y" and part:
        offer = offer.model_copy(update={"benefit": offer.benefit.model_copy(update={"percent": part})})
    known = AngleFacts(name=data.draw(st.sampled_from([None, "Anna"])), bought=(PRODUCT_1,), angle=text.angle)
    message = write_message(offer, known, text.language, text.draft)
    found = find_broken_rules(message.text, offer, text.language, known=known)
    assert [rule for rule in found if rule.code != "unread"] == []


@pytest.mark.parametrize(
    ("key", "language", "text", "code"),
    [
        ("half", "en", "20% off green tea, on top of any other coupon, through June 30.", "wrong_benefit"),
        ("half", "zh", "绿茶8折，还能叠加其他优惠券，6月30日截止。", "wrong_benefit"),
        ("half", "en", "20% off green tea, same-day delivery, through June 30.", "delivery_speed"),
        ("half", "zh", "绿茶8折，次日送达，6月30日截止。", "delivery_speed"),
        ("half", "en", "You ordered a lot last month: 20% off green tea through June 30.", "unknown_purchase"),
        ("half", "zh", "您买过三次，绿茶8折，6月30日截止。", "unknown_purchase"),
        ("half", "en", "20% off green tea, good for your liver, through June 30.", "health_claim"),
        ("half", "zh", "绿茶8折，血糖更稳，6月30日截止。", "health_claim"),
        ("half", "en", "20% off green tea until early August.", "wrong_date"),
        ("half", "zh", "绿茶8折，7月初还能用。", "wrong_date"),
        ("half", "en", "20% off green tea through the new year.", "wrong_date"),
        ("half", "zh", "绿茶8折，只限周末。", "wrong_date"),
        ("half", "en", "Green tea at a fifth of the price through June 30.", "wrong_percent"),
        ("half", "zh", "绿茶立减两成五，6月30日截止。", "wrong_percent"),
        ("half", "en", "20% off green tea and green tea cups through June 30.", "wrong_scope"),
        ("half", "en", "Only a few bags left: 20% off green tea through June 30.", "stock"),
        ("half", "zh", "绿茶8折，限前50名，6月30日截止。", "stock"),
        ("half", "zh", "王芳，您好！绿茶8折，6月30日截止。", "wrong_name"),
        ("points", "en", "Double points: 200 points with green tea through June 30.", "wrong_amount"),
        ("mug", "en", "A free coffee mug for every $50 you spend, through June 30.", "wrong_threshold"),
        ("mug", "zh", "食品类满50美元送马克杯，6月30日截止。", "wrong_scope"),
    ],
)
def test_what_goes_beyond_the_terms_is_refused_and_not_only_unread(key, language, text, code):
    assert code in {rule.code for rule in find_broken_rules(text, TERMS[key], language)}


@pytest.mark.parametrize(
    ("key", "language", "text"),
    [
        ("half", "zh", "绿茶8折，今天的第一杯，6月30日截止。"),
        ("half", "zh", "送您一个优惠码：绿茶8折，6月30日截止。"),
        ("half", "zh", "各位街坊，您好！绿茶8折，6月30日截止。"),
        ("half", "en", "Tea first, then everything else. 20% off green tea through June 30."),
        ("half", "en", "20% off green tea. Top up before June 30 is over."),
        ("half", "en", "A third pot today? Green tea is 20% off through June 30."),
        ("half", "zh", "绿茶8折，本优惠不可与其他优惠同享，6月30日截止。"),
    ],
)
def test_what_a_good_marketer_writes_is_not_refused(key, language, text):
    assert {rule.code for rule in find_broken_rules(text, TERMS[key], language)} <= {"unread"}
