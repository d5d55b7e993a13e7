"""What a message calls a customer, a product and a category can be read in its language, and stands in a sentence."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from message_helpers import GOLDEN

from promolift.core.messages import AngleFacts, Draft, find_broken_rules, write_message
from promolift.core.messages.channels import Sender, find_breaches
from promolift.core.messages.composition import MessageDelivery, is_greetable_name
from promolift.core.messages.offer_text import category_phrase, describe_offer, offer_sentence
from promolift.core.offers.product_names import load_product_names, readable_name
from promolift.core.offers.terms import Benefit, Offer
from promolift.foundation.localized_text import LocalizedText, reads_in
from promolift.shop.pipeline.steps.message import readable_label

HAN = st.text("商品用户茶乌龙小安", min_size=2, max_size=6)
JUST = Draft("{deal}: goes with it", "you just bought {bought}")


def on(label: LocalizedText, scope: str = "category", percent: int = 10) -> Offer:
    return Offer(
        id="off_1", menu_id="m", benefit=Benefit(type="percent_off", percent=percent), scope=scope, covers=label.en,
        label=label, starts=datetime(2026, 6, 1, tzinfo=UTC), expires=datetime(2026, 6, 30, 23, 59, 59, tzinfo=UTC),
        currency="CNY",
    )  # fmt: skip


@given(person=HAN.filter(is_greetable_name), product=HAN, bought=HAN, scope=st.sampled_from(["category", "product"]))
def test_an_english_message_holds_no_name_that_its_reader_cannot_read(person, product, bought, scope):
    """It used to read "Dear 用户A, 商品2 is 20% off."."""
    known = AngleFacts(name=person, bought=(readable_name(bought, "product"),), angle="just_bought")
    message = write_message(on(LocalizedText(zh=product, en=product), scope), known, "en", JUST)
    assert reads_in(message.title + message.text, "en")
    assert "Dear" not in message.text
    assert message.text_id is None
    in_chinese = write_message(on(LocalizedText(zh=product, en=product), scope), replace(known, angle="generic"), "zh")
    assert person in in_chinese.text
    assert product in in_chinese.text


def test_the_golden_customer_is_greeted_in_chinese_alone():
    assert write_message(GOLDEN, AngleFacts(name="用户A"), "en").text.startswith("Product 2 is")
    assert write_message(GOLDEN, AngleFacts(name="用户A"), "zh").text.startswith("尊敬的用户A，")


@pytest.mark.parametrize(
    ("text", "language", "readable"),
    [
        ("Ann", "en", True), ("Renée Müller", "en", True), ("iPhone 15", "zh", True), ("用户A", "en", False),
        ("Иван", "en", False), ("Иван", "zh", False), ("チーズ", "en", False), ("乌龙茶", "zh", True),
        ("8 × 2", "en", True),
    ],
)  # fmt: skip
def test_which_letters_a_reader_can_read(text, language, readable):
    assert reads_in(text, language) is readable


def test_a_product_that_cannot_be_named_is_told_by_its_category():
    label = readable_label(LocalizedText(zh="乌龙茶", en="乌龙茶"), "tea")
    assert (label.zh, label.en) == ("乌龙茶", "a selected product in tea")
    assert offer_sentence(on(label, "product"), "en") == "a selected product in tea is 10% off."
    assert readable_label(LocalizedText(zh="乌龙茶", en="乌龙茶"), "茶").en == "乌龙茶"
    assert readable_label(LocalizedText(zh="Oolong", en="Oolong"), "茶") == LocalizedText(zh="指定茶", en="Oolong")
    assert readable_label(LocalizedText(zh="Oolong", en="Oolong"), "tea").zh == "Oolong"  # the neutral form says it
    assert offer_sentence(on(readable_label(LocalizedText(zh="Oolong", en="Oolong"), "tea"), "product"), "zh") == (
        "指定商品现在打9折。"
    )


@pytest.mark.parametrize(
    ("name", "en", "zh"),
    [
        ("brewing", "everything in Brewing", "指定商品"),
        ("GIFT_IDEAS_FOR_HIM", "everything in Gift Ideas for Him", "指定商品"),
        ("green tea", "green tea", "指定商品"),
        ("teapots", "teapots", "指定商品"),
        ("冲煮 Brewing", "everything in Brewing", "冲煮类商品"),
        ("茶具 Tea ware", "everything in Tea Ware", "茶具"),
    ],
)
def test_a_category_is_said_as_a_sentence_needs_it(name, en, zh):
    """It used to read "brewing is 10% off", and in Chinese "brewing类商品现在打9折"."""
    offer = on(readable_name(name))
    assert offer_sentence(offer, "en").startswith(en + (" are " if en == "teapots" else " is "))
    assert offer_sentence(offer, "zh").startswith(f"{zh}现在打9折")
    assert en in describe_offer(offer, "en")
    for language in ("en", "zh"):
        told = write_message(offer, AngleFacts(), language)
        assert [rule.code for rule in find_broken_rules(told.text, offer, language) if rule.code != "unread"] == []


def test_the_names_of_the_table_stand_as_they_are():
    for row in load_product_names().values():
        for language in ("en", "zh"):
            name = row.words.text_in(language)
            assert category_phrase(name, language) == name


def test_everything_in_a_category_is_no_offer_on_everything():
    offer = on(readable_name("brewing"))
    codes = {rule.code for rule in find_broken_rules("Everything is 10% off through June 30.", offer, "en")}
    assert "wrong_scope" in codes
    codes = {rule.code for rule in find_broken_rules("Everything in our shop is 10% off through June 30.", offer, "en")}
    assert "wrong_scope" in codes


def test_a_title_and_a_slot_name_the_category_alone():
    message = write_message(
        on(readable_name("brewing")), AngleFacts(), "en", Draft("{deal}: hello", "{product} again?")
    )
    assert message.text.startswith("Brewing again?")
    assert write_message(on(readable_name("brewing")), AngleFacts(), "en").title == "10% off everything in Brewing"


@pytest.mark.parametrize(("language", "end"), [("zh", "拒收请回复R"), ("en", " Reply R to opt out.")])
def test_an_sms_ends_in_its_own_language(language, end):
    """An English SMS used to end with 拒收请回复R."""
    way = MessageDelivery("sms_cn", (), Sender(name="Shop"))
    message = write_message(GOLDEN, AngleFacts(), language, None, way)
    assert message.text.endswith(end)
    assert ("拒" in message.text) == (language == "zh")
    without = message.text.removesuffix(end)
    assert [each.code for each in find_breaches(without, GOLDEN, "sms_cn", language=language)] == ["sms_opt_out"]
    found = find_broken_rules(message.text, GOLDEN, language, "sms_cn")
    assert [rule.code for rule in found if rule.code != "unread"] == []
