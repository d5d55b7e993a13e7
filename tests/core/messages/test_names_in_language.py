"""No sentence mixes languages: a name is printed where its language has it, and the neutral form says it elsewhere."""

import re

import polars as pl
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st
from message_helpers import an_offer, percent
from pydantic import ValidationError

from promolift.core.messages import AngleFacts, MessageSettings, TextChooser, write_message, write_messages
from promolift.core.messages.composition import text_angle, unfillable_slots, usable_facts
from promolift.core.messages.drafts import BOUGHT_ANGLES, REMINDER_ANGLES
from promolift.core.offers.product_names import brand_in_latin, names_in, readable_name
from promolift.core.offers.terms import Benefit, Offer
from promolift.foundation.localized_text import LANGUAGES, LocalizedText
from promolift.shop.pipeline.pool_file import shipped_pool
from promolift.shop.pipeline.steps.message import readable_label

POOL = shipped_pool().usable("judged")
ENGLISH = ("tea", "Oolong", "Whole milk", "running shoes", "Brewing", "HOME_DECOR", "Nike running shoes", "SKU-4411")
CHINESE = ("茶叶", "冲煮", "乌龙茶", "跑鞋", "家居装饰")
BRANDS = ("Nike", "iPhone 15 Pro", "LEGO", "UNIQLO", "Nintendo Switch")
BOTH = ("零食 Snacks", "Anker 充电宝", "T恤")
NAMES = st.sampled_from(ENGLISH + CHINESE + BRANDS + BOTH)
LATIN = re.compile(r"[A-Za-z]{2,}")


@st.composite
def labels(draw: st.DrawFn) -> Offer:
    """An offer on a product, with or without a known category, on a category, or on two."""
    kind, name, other = draw(st.sampled_from(["product", "category", "pair"])), draw(NAMES), draw(NAMES)
    if kind == "product":
        label = readable_label(readable_name(name, "product"), draw(st.sampled_from([None, other])))
        return an_offer(percent(15), ("p", label), scope="product")
    if kind == "category":
        return an_offer(percent(15), (name, readable_name(name)), scope="category")
    pair = f"{name} ++ {other}"
    return an_offer(percent(15), (pair, readable_name(pair)), joined=draw(st.sampled_from(["each", "together"])))


@cases(60)
@given(labels(), NAMES)
def test_no_message_with_any_text_of_the_pool_mixes_languages(offer: Offer, bought: str) -> None:
    """It used to read 'tea中的指定商品', '茶、coffee' and '又该买指定商品了吗？'."""
    label, names = offer.label, readable_name(bought, "product")
    reminder = an_offer(Benefit(type="reminder"))
    for text in POOL.texts:
        about = reminder if text.angle in REMINDER_ANGLES else offer
        facts = usable_facts(about, AngleFacts(bought=(names,), angle=text.angle), text.language)
        message = write_message(about, facts, text.language, text.draft)
        said = message.title + message.text
        printed = [each.text_in(text.language) for each in (label, names) if each is not None]
        rest = said
        for name in sorted((each for each in printed if names_in(each, text.language)), key=len, reverse=True):
            rest = rest.replace(name, "")
        if text.language == "zh":
            assert not LATIN.search(rest), said
        else:
            assert not re.search(r"[\u4e00-\u9fff]", said), said
        words = [part.text for part in (*message.titles, *message.sentence_parts) if part.kind in ("product", "bought")]
        if message.text_id is not None:
            assert not [each for each in words if "指定" in each or "selected product" in each], said


@cases(60)
@given(labels(), NAMES)
def test_where_there_is_no_name_a_text_that_needs_none_is_chosen(offer: Offer, bought: str) -> None:
    chooser = TextChooser(POOL.texts)
    for language in LANGUAGES:
        for angle in sorted({text.angle for text in POOL.texts} - REMINDER_ANGLES - {"pair_you_buy"}):
            known = usable_facts(offer, AngleFacts(bought=(readable_name(bought, "product"),), angle=angle), language)
            without = unfillable_slots(offer, language)
            picked = chooser.choose(text_angle(offer, known), "percent_off", language, "k", offer.covers, without)
            assert picked.text is not None
            message = write_message(offer, known, language, picked.text.draft)
            assert message.text_id == picked.text.text_id, picked.text


def test_every_reason_has_texts_that_name_no_goods() -> None:
    for language in LANGUAGES:
        for angle in sorted({text.angle for text in POOL.texts} - BOUGHT_ANGLES):
            mine = [text for text in POOL.texts if (text.angle, text.language) == (angle, language)]
            assert len([text for text in mine if "{product}" not in text.words]) >= 2, (angle, language)


@pytest.mark.parametrize(
    ("bought", "language", "said"),
    [("乌龙茶", "en", "Thank you for your last order."), ("Oolong", "zh", "感谢您上次的订单。")],
)
def test_a_reminder_without_a_name_in_the_language_gives_a_reason(bought: str, language: str, said: str) -> None:
    """It used to stop the whole plan with `message_without_content`."""
    letter = an_offer(Benefit(type="reminder"))
    rows = pl.DataFrame({"customer_id": ["u"], "offer_id": [letter.id], "bought_name": [bought]})
    made = write_messages(rows, {letter.id: letter}, TextChooser(POOL.texts), languages=(language,))
    assert made[f"message_{language}"][0].startswith(said)
    assert made[f"text_{language}"][0] in {text.text_id for text in POOL.texts if text.angle == "remind"}
    with raises_code("message_without_content", letter.id):
        write_messages(rows.drop("bought_name"), {letter.id: letter}, TextChooser(POOL.texts), languages=(language,))


@pytest.mark.parametrize(
    ("name", "brand"),
    [
        ("nike", "Nike"), ("LEGO", "LEGO"), ("iphone 15 Pro", "iPhone 15 Pro"), ("Sony WH-1000XM5", "Sony WH-1000XM5"),
        ("Nike running shoes", None), ("Nike Running Shoes", None), ("apple", None), ("tea", None), ("Oolong", None),
        ("fresh", None),
    ],
)  # fmt: skip
def test_a_brand_is_a_name_of_the_list_with_a_model_at_most(name: str, brand: str | None) -> None:
    assert brand_in_latin(name) == brand
    assert names_in(name, "zh") == (brand is not None)


def test_a_brand_is_printed_as_it_is_in_both_languages() -> None:
    offer = an_offer(percent(20), ("NIKE", readable_name("NIKE")), scope="category")
    assert write_message(offer, AngleFacts(), "zh").text.startswith("Nike商品现在打8折。")
    assert write_message(offer, AngleFacts(), "en").text.startswith("Everything from Nike is 20% off.")


def test_an_everyday_name_in_chinese_has_chinese_characters_or_is_a_brand() -> None:
    MessageSettings(names={"A1": LocalizedText(zh="Acme咖啡机", en="Acme"), "N": LocalizedText(zh="Nike", en="Nike")})
    with pytest.raises(ValidationError):
        MessageSettings(names={"A1": LocalizedText(zh="milk", en="milk")})
