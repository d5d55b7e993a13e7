"""The verifier: true texts in unusual words pass, false ones do not, whatever single fact is changed."""

import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from message_helpers import GOLDEN, MEALS, OFFERS, Said, an_offer, percent, texts

from promolift.errors import InputError
from promolift.hashing import hash_int, hash_unit
from promolift.message import Context, broken_rules
from promolift.message.reading.text import number, ready
from promolift.terms import Offer

TRUE, FALSE = texts("true"), texts("false")


def codes(said: Said) -> set[str]:
    return {rule.code for rule in broken_rules(said.text, said.offer, said.language, context=said.context)}


def test_true_texts_in_unusual_words_pass():
    assert len(TRUE) > 500
    assert {said.text: codes(said) for said in TRUE if codes(said)} == {}


def test_false_texts_are_refused():
    assert len(FALSE) > 500
    assert [said.text for said in FALSE if not codes(said)] == []


def test_the_same_text_in_full_width_and_half_width_digits_reads_alike():
    for said in TRUE[::5]:
        wide = "".join(chr(ord(c) + 0xFEE0) if c.isdigit() and c.isascii() else c for c in said.text)
        assert codes(replace(said, text=wide)) == set(), wide


def changed_offers(offer: Offer) -> list[dict[str, object]]:
    """Changes of one fact each, such that a text true of `offer` is false afterwards."""
    benefit = offer.benefit.model_dump()
    changes: list[dict[str, object]] = [{"expires": offer.expires + timedelta(days=days)} for days in (1, -1, 31)] + [
        {"expires": offer.expires.replace(hour=12, minute=0, second=0)}
    ]
    if offer.benefit.type == "percent_off":
        step = 5 if offer.benefit.percent < 90 else -5
        changes += [{"benefit": {**benefit, "percent": offer.benefit.percent + step}}]
        changes += [{"benefit": {"type": "free_shipping"}}]
        if not offer.benefit.max_discount_cents:
            changes += [{"benefit": {**benefit, "max_discount_cents": 77700}}]
    if offer.benefit.type == "amount_off":
        changes += [{"benefit": {**benefit, "amount_cents": offer.benefit.amount_cents + 100}}]
        changes += [{"benefit": {"type": "percent_off", "percent": 30}}]
    if offer.benefit.max_discount_cents:
        changes += [{"benefit": {**benefit, "max_discount_cents": None}}]
    changes += [
        {"min_spend_cents": offer.min_spend_cents + 500000 if not offer.min_spend_cents else offer.min_spend_cents * 2}
    ]
    if offer.min_spend_cents:
        changes += [{"min_spend_cents": 0}]
    if offer.scope == "all":
        changes += [{"scope": "category", "covers": "SOUP", "label": {"zh": "汤罐头与汤料", "en": "soup"}}]
    else:
        changes += [{"label": {"zh": "纸巾盒", "en": "tissue boxes"}}]
    return changes


def test_every_single_changed_fact_is_caught():
    missed, tried = [], 0
    for i, said in enumerate(TRUE):
        changes = changed_offers(said.offer)
        change = changes[hash_int("change", i) % len(changes)]
        if not said.context.full and "expires" in change:
            continue
        other = Offer.model_validate({**said.offer.model_dump(), **change})
        if other == said.offer:
            continue
        tried += 1
        if not codes(replace(said, offer=other)):
            missed.append((said.text, change))
    assert tried > 500
    assert missed == []


def test_every_changed_digit_is_caught():
    missed, tried = [], 0
    for said in TRUE:
        hidden = said.text
        names = [said.offer.label.in_(said.language)] if said.offer.label else []
        for name in [*names, said.context.name or "", *(w.in_(said.language) for w in said.context.bought)]:
            hidden = (
                re.sub(re.escape(name), lambda m: "#" * len(m.group()), hidden, flags=re.IGNORECASE) if name else hidden
            )
        for at in (m.start() for m in re.finditer(r"\d", hidden) if m.group().isascii()):
            if hash_unit("digit", said.text, at) < 0.3:
                digit = str((int(said.text[at]) + 1 + hash_int(said.text, at) % 9) % 10)
                text = said.text[:at] + digit + said.text[at + 1 :]
                tried += 1
                if not codes(replace(said, text=text)):
                    missed.append(text)
    assert tried > 1000
    assert missed == []


@pytest.mark.parametrize(
    ("text", "code", "span"),
    [
        ("冷冻方便餐打7折，6月30日截止。", "wrong_percent", "7折"),
        ("冷冻方便餐打８５折，6月30日截止。", "wrong_percent", "８５折"),
        ("冷冻方便餐打8折，满50元可用，6月30日截止。", "wrong_threshold", "50元"),
        ("冷冻方便餐打8折，7月1日截止。", "wrong_date", "7月1日"),
        ("冷冻方便餐打8折，6月30日之前有效。", "wrong_date", "6月30日"),
        ("冷冻方便餐打8折，6月30日（周一）截止。", "wrong_date", "6月30日"),
        ("冷冻方便餐打8折，最高减5美元，6月30日截止。", "wrong_currency", "5美元"),
        ("冷冻方便餐打8折，全国最低，6月30日截止。", "superlative", "全国"),
        ("冷冻方便餐打8折，限时，6月30日截止。", "vague_deadline", "限时"),
        ("您浏览过的冷冻方便餐打8折，6月30日截止。", "profile_leak", "您浏览"),
        ("冷冻蔬菜打8折，6月30日截止。", "other_name", "冷冻蔬菜"),
        ("冷冻方便餐打8折，6月30日截止。{name}", "unfilled_slot", "{name}"),
        ("冷冻方便餐打8折，6月30日截止。www.x.cn", "link", "www.x.cn"),
        ("冷冻方便餐打8折，有3000人购买，6月30日截止。", "unknown_number", "3000"),
        ("尊敬的王五，冷冻方便餐打8折，6月30日截止。", "wrong_name", "王五"),
        ("您刚刚购买了冰箱，冷冻方便餐打8折，6月30日截止。", "unknown_purchase", "刚刚购买了"),
    ],
)
def test_a_broken_rule_names_code_span_and_reason(text, code, span):
    found = [r for r in broken_rules(text, OFFERS["meals20"], "zh") if r.code == code and r.span.startswith(span)]
    assert found
    assert all(rule.reason for rule in found)


def test_another_customers_name_and_private_facts_are_found_anywhere():
    context = Context(name="李雷", other_names=("韩梅梅",), private=("教师", "35"))
    end = "，冷冻方便餐打8折，6月30日截止"
    for extra, code in (("，韩梅梅。", "wrong_name"), ("，教师。", "profile_leak"), ("，35。", "profile_leak")):
        rules = broken_rules(f"尊敬的李雷{end}{extra}", OFFERS["meals20"], "zh", context=context)
        assert code in {r.code for r in rules}
    assert not broken_rules(f"尊敬的李雷{end}。", OFFERS["meals20"], "zh", context=context)


def test_a_sentence_without_terms_passes_only_where_the_terms_stand_elsewhere():
    sentence = "现在购买商品2可以享受8折优惠！"
    assert {r.code for r in broken_rules(sentence, GOLDEN, "zh")} == {"missing_date"}
    assert not broken_rules(sentence, GOLDEN, "zh", context=Context(full=False))


def test_each_language_is_checked_against_the_same_offer():
    assert {r.code for r in broken_rules("20% off frozen meals until June 30.", OFFERS["meals20"], "zh")} >= {
        "wrong_language"
    }
    assert {r.code for r in broken_rules("冷冻方便餐8折，6月30日截止。", OFFERS["meals20"], "en")} >= {"wrong_language"}


def test_a_sending_time_without_zone_is_refused():
    with pytest.raises(InputError, match="no time zone"):
        Context(sent=datetime(2026, 6, 3))


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n", "。", "{", "折", "百分之", "满减", "$", "0折", "%", "一" * 99, "一" * 5000, "九" * 50 + "折"],
)
def test_nonsense_is_refused_and_never_crashes(text):
    for offer in OFFERS.values():
        for language in ("zh", "en"):
            assert broken_rules(text, offer, language)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1,234.50", "1234.50"),
        ("七五", "75"),
        ("七点五", "7.5"),
        ("两百五", "250"),
        ("两百零五", "205"),
        ("一千二", "1200"),
        ("三万五", "35000"),
        ("十五", "15"),
        ("百", "100"),
        ("二〇二六", "2026"),
        ("twenty-five", "25"),
        ("two hundred and fifty", "250"),
        ("a hundred", "100"),
        ("three thousand", "3000"),
    ],
)
def test_numbers_are_read_in_three_scripts(text, value):
    assert number(text) == pytest.approx(float(value))


def test_readying_keeps_the_length():
    text = "滿２００減３０，８折％ “A” —　②𝟗🎉"
    assert len(ready(text)) == len(text)
    assert ready(text).startswith("满200减30，8折%")


@pytest.mark.parametrize("verb", ["只需支付", "支付", "只要付"])
def test_a_threshold_without_unit_before_what_is_paid_is_a_sum_and_no_count(verb):
    offer = an_offer(percent(20), MEALS, spend=20000)
    assert not broken_rules(f"冷冻方便餐满200{verb}原价的80%，6月30日截止。", offer, "zh")
    assert broken_rules(f"冷冻方便餐满300{verb}原价的80%，6月30日截止。", offer, "zh")
    assert broken_rules("冷冻方便餐满200只打8折，6月30日截止。", offer, "zh")
