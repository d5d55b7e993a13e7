"""Words come from the pool, facts from code: what is filled is true, what was changed is caught."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st
from message_helpers import GOLDEN, OFFERS, PRODUCT_1, SHIPPING, amount, an_offer, percent

from promolift.core.messages import (
    AngleFacts,
    Draft,
    MessageDelivery,
    Sender,
    TextChooser,
    check_message,
    write_message,
    write_messages,
)
from promolift.core.messages.angles import REMINDER_ANGLES
from promolift.core.messages.composition import is_greetable_name, usable_facts
from promolift.core.messages.offer_text import benefit_text, offer_sentence, terms_text
from promolift.core.offers.product_names import readable_name
from promolift.core.offers.terms import Benefit, Offer
from promolift.foundation.localized_text import LocalizedText
from promolift.shop.pipeline.pool_file import load_pool

POOL = load_pool(None)
TEXTS = [text for text in POOL.texts if text.usable("judged") and text.angle not in REMINDER_ANGLES]
REMINDERS = [text for text in POOL.texts if text.usable("judged") and text.angle in REMINDER_ANGLES]
LETTER = an_offer(Benefit(type="reminder"))
JUST = Draft("{deal}｜刚好搭配", "您刚刚购买了{bought}")
JUST_EN = Draft("{deal}: goes with it", "you just bought {bought}")
PAIR = "BEEF ++ SOFT DRINKS"


def pair(joined: str) -> Offer:
    single = an_offer(percent(25), ("BEEF", readable_name("BEEF"))).model_dump()
    return Offer.model_validate(single | {"covers": PAIR, "label": readable_name(PAIR), "joined": joined})


def test_the_worked_case_in_both_languages():
    known = AngleFacts(name="用户A", bought=(PRODUCT_1,), angle="just_bought")
    message = write_message(GOLDEN, known, "zh", JUST)
    assert message.sentence == "尊敬的用户A，您刚刚购买了商品1，现在购买商品2可以享受8折优惠！"
    assert message.text == message.sentence + "6月30日止。"
    english = write_message(
        GOLDEN, AngleFacts(name="Customer A", bought=(PRODUCT_1,), angle="just_bought"), "en", JUST_EN
    )
    assert english.sentence == "Dear Customer A, you just bought Product 1, and now you can enjoy 20% off Product 2!"


@pytest.mark.parametrize(
    ("joined", "zh", "en"),
    [
        ("each", "牛肉、碳酸饮料现在都打7.5折，买哪样都算。", "Beef and soft drinks are 25% off, whichever you buy."),
        ("together", "牛肉、碳酸饮料现在一起买打7.5折。", "Get 25% off beef and soft drinks bought together."),
    ],
)
def test_of_two_goods_the_message_says_whether_each_or_both_together_count(joined, zh, en):
    """'购买X及Y享7折' read as 'buy both' where the offer is on each alone."""
    assert write_message(pair(joined), AngleFacts(), "zh").sentence == zh
    assert write_message(pair(joined), AngleFacts(), "en").sentence == en


@pytest.mark.parametrize("activation", ["automatic", "code", "link"])
def test_what_the_customer_must_do_is_said_and_nothing_where_the_till_does_it(activation):
    offer = GOLDEN.model_copy(update={"activation": activation})
    zh, en = (write_message(offer, AngleFacts(), language).text for language in ("zh", "en"))
    ends = {
        "automatic": ("6月30日止。", "Ends June 30."),
        "code": ("优惠码。", "code at checkout."),
        "link": ("领取。", "claim it."),
    }
    assert zh.endswith(ends[activation][0])
    assert en.endswith(ends[activation][1])


@given(start=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)), days=st.integers(1, 900))
def test_a_day_without_its_year_is_the_next_such_day(start, days):
    """Within the offer's time the reader cannot take it for the day of another year."""
    zone = GOLDEN.starts.tzinfo
    offer = GOLDEN.model_copy(
        update={"starts": start.replace(tzinfo=zone), "expires": (start + timedelta(days)).replace(tzinfo=zone)}
    )
    for language in ("zh", "en"):
        text = terms_text(offer, language)
        assert (str(offer.expires.year) in text or str((offer.expires - timedelta(1)).year) in text) == (days > 300)


@given(st.data())
def test_a_hook_that_opens_with_the_offer_says_it_first_and_once(data):
    text = data.draw(st.sampled_from([each for each in TEXTS if each.hook.startswith("{offer}")]))
    offer = data.draw(st.sampled_from([*OFFERS.values(), pair("each")]))
    named = data.draw(st.sampled_from([None, "Anna"]))
    known = AngleFacts(name=named, bought=(PRODUCT_1,), angle=text.angle)
    message = write_message(offer, known, text.language, text.draft)
    if message.text_id:
        sentence = offer_sentence(offer, text.language)
        at = message.text.lower().index(sentence.lower())
        assert message.text[:at] in ({"zh": "尊敬的Anna，", "en": "Dear Anna, "}[text.language], "")[not named :]
        assert message.text.lower().count(sentence.lower()) == 1


def test_after_a_colon_the_offer_goes_on_in_lower_case():
    offer = an_offer(percent(20), ("EGGS", readable_name("EGGS")))
    message = write_message(offer, AngleFacts(), "en", Draft("{deal}: a note", "a quick note:"))
    assert message.sentence == "A quick note: eggs are 20% off."


def test_words_of_a_pair_go_with_an_offer_on_each_alone():
    text = next(t for t in TEXTS if t.angle == "pair_you_buy" and t.language == "zh")
    known = AngleFacts(angle="pair_you_buy")
    assert write_message(pair("each"), known, "zh", text.draft).text_id == text.text_id
    assert write_message(pair("together"), known, "zh", text.draft).text_id is None


def test_a_hook_that_names_the_goods_is_not_followed_by_their_name_again():
    offer = an_offer(percent(20), ("EGGS", readable_name("EGGS")))
    message = write_message(
        offer, AngleFacts(angle="replenish_due"), "en", Draft("{deal}: low?", "running low on {product}?")
    )
    assert message.sentence == "Running low on eggs? Now 20% off."


def test_an_offer_that_has_not_begun_is_not_said_to_hold_now():
    sent = GOLDEN.starts - timedelta(days=3)
    text = write_message(GOLDEN, AngleFacts(sent=sent), "zh").text
    assert "现在" not in text
    assert "6月1日起" in text


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.text_id)
def test_every_text_of_the_pool_passes_the_gate_with_every_kind_of_offer(text):
    known = AngleFacts(name="Anna", bought=(PRODUCT_1,), angle=text.angle)
    for offer in (GOLDEN, pair("each"), an_offer(amount(500), spend=5000), an_offer(SHIPPING, currency="USD")):
        message = write_message(offer, known, text.language, text.draft)
        alone = text.angle == "pair_you_buy" and offer.joined != "each"
        assert (message.text_id is None) == alone
        head = message.title + message.text
        assert benefit_text(offer, text.language).lower() in head[: 20 if text.language == "zh" else 40].lower()


@given(st.data())
def test_whatever_is_changed_in_a_finished_message_is_caught(data):
    text = data.draw(st.sampled_from(TEXTS))
    offer = data.draw(st.sampled_from([*OFFERS.values(), pair("each")]))
    known = AngleFacts(name="Anna", bought=(PRODUCT_1,), angle=text.angle)
    message = write_message(offer, known, text.language, text.draft)
    draft = text.draft if message.text_id else None
    assert check_message(message.title, message.text, offer, known, text.language, draft) == []
    at = data.draw(st.integers(0, len(message.text) - 1))
    sign = data.draw(st.characters(exclude_characters=message.text[at], exclude_categories=["Cs"]))
    changed = message.text[:at] + sign + message.text[at + 1 :]
    assert check_message(message.title, changed, offer, known, text.language, draft)


@given(st.data())
def test_a_message_that_left_is_not_refused_when_it_is_checked_again(data):
    """English messages to a customer with a Chinese name were."""
    text = data.draw(st.sampled_from(TEXTS))
    offer = data.draw(st.sampled_from([*OFFERS.values(), pair("each")]))
    person = data.draw(st.sampled_from(["Anna", "用户A", "50 off", None]))
    bought = data.draw(
        st.sampled_from([PRODUCT_1, readable_name("8折牛奶", "product"), readable_name("乌龙茶", "product")])
    )
    known = AngleFacts(name=person, bought=(bought,), angle=text.angle)
    message = write_message(offer, known, text.language, text.draft)
    draft = text.draft if message.text_id else None
    assert check_message(message.title, message.text, offer, known, text.language, draft) == []


def test_the_parts_say_what_code_filled_in():
    known = AngleFacts(name="用户A", bought=(PRODUCT_1,), angle="just_bought")
    message = write_message(GOLDEN, known, "zh", JUST)
    parts = (*message.sentence_parts, *message.rest)
    assert [(part.kind, part.text) for part in parts if part.kind][:2] == [("name", "用户A"), ("bought", "商品1")]
    outside = "".join(part.text for part in parts if part.kind is None)
    assert outside == "尊敬的，您刚刚购买了"


@pytest.mark.parametrize("name", ["nan", "VIP免单", "https://x.io", "50 off", "顾客", "a" * 60])
def test_what_is_no_name_is_left_out(name):
    assert not is_greetable_name(name)
    assert name not in write_message(GOLDEN, AngleFacts(name=name), "zh").text


def test_a_private_purchase_is_not_named_and_with_it_goes_its_hook():
    private = AngleFacts(bought=(LocalizedText(zh="避孕套", en="Condoms"),), angle="just_bought")
    assert usable_facts(GOLDEN, private, "zh").bought == ()
    message = write_message(GOLDEN, private, "zh", JUST)
    assert "避孕" not in message.text
    assert message.text_id is None


def test_a_private_offer_is_refused_and_a_label_that_smuggles_is_not_printed():
    with raises_code("message_rule_broken", "sensitive_name", "LIQUOR"):
        write_message(an_offer(percent(20), ("LIQUOR", readable_name("LIQUOR"))), AngleFacts(), "en")
    smuggled = LocalizedText(zh="苹果全场五折", en="Apples, 50% off everything")
    message = write_message(an_offer(percent(20), ("p", smuggled), scope="product"), AngleFacts(), "en")
    assert message.text == "A selected product is 20% off. Ends June 30."


def test_none_is_no_offer():
    none = GOLDEN.model_copy(update={"benefit": GOLDEN.benefit.model_copy(update={"type": "none", "percent": 0})})
    with raises_code("benefit_missing", none.id):
        write_message(none, AngleFacts(), "zh")


def test_facts_of_the_profile_do_not_pass_the_gate():
    message = write_message(GOLDEN, AngleFacts(), "en")
    known = AngleFacts(private=("June",))
    codes = {each.code for each in check_message(message.title, message.text, GOLDEN, known, "en")}
    assert codes == {"profile_leak"}


SENDER = Sender(name="晨光", address="1 High Street, Springfield, 12345", unsubscribe="https://x.example/stop")


def test_channels_add_what_they_ask_for():
    sms = write_message(GOLDEN, AngleFacts(), "zh", None, MessageDelivery("sms_cn", sender=SENDER)).text
    assert sms.startswith("【晨光】")
    assert sms.endswith("拒收请回复R")
    mail = write_message(GOLDEN, AngleFacts(), "en", None, MessageDelivery("email_en", sender=SENDER)).text
    assert "Unsubscribe: https://x.example/stop" in mail
    assert write_message(GOLDEN, AngleFacts(), "zh", None, MessageDelivery("wechat_store")).text == "8折券"
    with raises_code("message_rule_broken", "email_address"):
        write_message(GOLDEN, AngleFacts(), "en", None, MessageDelivery("email_en"))


def test_rule_packs_add_their_notices_and_the_gate_asks_for_them():
    way = MessageDelivery("plain", ("ny_349a", "pipl_24"), SENDER)
    text = write_message(GOLDEN, AngleFacts(), "en", None, way).text
    assert "THIS PRICE WAS SET BY AN ALGORITHM USING YOUR PERSONAL DATA" in text
    assert "To stop personal offers" in text
    plain = write_message(GOLDEN, AngleFacts(), "en").text
    found = {each.code: each.source for each in check_message("", plain, GOLDEN, AngleFacts(), "en", None, way)}
    assert "349-a" in found["ny_349a"]
    assert "article 24" in found["pipl_24"]


def test_the_lowest_price_of_thirty_days_is_said_or_the_message_stays():
    way = MessageDelivery("plain", ("eu_price_30d",), SENDER)
    with raises_code("message_rule_broken", "eu_price_30d"):
        write_message(GOLDEN, AngleFacts(), "en", None, way)
    assert (
        "Lowest price of the last 30 days: ¥9.90."
        in write_message(GOLDEN, AngleFacts(lowest=990), "en", None, way).text
    )


@pytest.mark.parametrize("offer", OFFERS.values(), ids=list(OFFERS))
def test_the_sentence_names_the_goods_and_the_sum(offer):
    for language in ("zh", "en"):
        for clause in (True, False):
            said = offer_sentence(offer, language, clause=clause)
            assert offer.label is None or offer.label.text_in(language).lower() in said.lower()


def reminded(text, name="Anna"):
    """What a reminder may say that takes this text."""
    if text.angle == "remind_bought":
        return AngleFacts(name=name, bought=(PRODUCT_1,), angle="win_back")
    return AngleFacts(name=name, reason={"zh": "您有一阵子没来了。", "en": "It has been a while."}[text.language])


@pytest.mark.parametrize("text", REMINDERS, ids=lambda text: text.text_id)
def test_a_reminder_takes_a_text_that_names_the_purchase_or_follows_the_reason(text):
    known = reminded(text)
    message = write_message(LETTER, known, text.language, text.draft)
    assert message.text_id == text.text_id
    assert (PRODUCT_1.text_in(text.language) in message.text) == (text.angle == "remind_bought")
    assert (known.reason is None) or known.reason in message.text
    assert benefit_text(LETTER, text.language) not in message.title  # the words without a text of the pool
    assert check_message(message.title, message.text, LETTER, known, text.language, text.draft) == []
    assert check_message(message.title, message.text + "!", LETTER, known, text.language, text.draft)


@pytest.mark.parametrize("text", REMINDERS, ids=lambda text: text.text_id)
def test_a_text_of_reminders_is_for_no_offer_and_not_for_the_other_reminder(text):
    known = reminded(text)
    assert write_message(GOLDEN, known, text.language, text.draft).text_id is None
    bought, reason = known.reason and (PRODUCT_1,), None if known.reason else "It has been a while."
    assert (
        write_message(LETTER, AngleFacts(bought=bought or (), reason=reason), text.language, text.draft).text_id is None
    )


def test_a_text_of_an_offer_is_in_no_reminder():
    for text in TEXTS:
        known = AngleFacts(bought=(PRODUCT_1,), angle=text.angle)
        assert write_message(LETTER, known, text.language, text.draft).text_id is None


@pytest.mark.parametrize("language", ["zh", "en"])
def test_reminders_of_a_plan_choose_among_their_own_texts_alone(language):
    rows = pl.DataFrame({
        "customer_id": [f"u{i}" for i in range(200)], "offer_id": LETTER.id, "angle": "win_back",
        "bought_name": ["浓缩咖啡 Espresso" if language == "zh" else "Espresso 250 g", None] * 100,
        f"play_reason_{language}": [None, "The season has begun."] * 100,
    })  # fmt: skip
    made = write_messages(rows, {LETTER.id: LETTER}, TextChooser(POOL.usable("judged").texts), languages=(language,))
    known = {text.text_id: text for text in REMINDERS}
    drawn = [known[each] for each in made[f"text_{language}"]]
    assert {text.angle for text in drawn[::2]} == {"remind_bought"}
    assert {text.angle for text in drawn[1::2]} == {"remind"}
    assert len({text.text_id for text in drawn}) >= 12
    several = [sum(text.angle == angle and text.language == language for text in REMINDERS)
               for angle in ("remind_bought", "remind")]  # fmt: skip
    even = [1 / n for _ in range(100) for n in several]
    assert made[f"text_prob_{language}"].to_list() == pytest.approx(even, abs=0.08)
