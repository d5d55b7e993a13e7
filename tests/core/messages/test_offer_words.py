"""What an offer is called in a few words, in both languages, and its money as people print it."""

import pytest
from message_helpers import amount, an_offer, percent

from promolift.core.messages import AngleFacts, Draft, describe_menu_line, describe_offer, extract_facts, write_message
from promolift.core.messages.composition import fill_draft
from promolift.core.offers.product_names import readable_name
from promolift.core.offers.terms import Activation, Benefit, Offer
from promolift.foundation.localized_text import LocalizedText

TEA = ("tea", LocalizedText(zh="茶", en="tea"))
PAIR = "BEEF ++ SOFT DRINKS"
BOTH = (PAIR, readable_name(PAIR))
SHIPPING = Benefit(type="free_shipping")
MUG = LocalizedText(zh="马克杯", en="mug")
GIFT = Benefit(type="gift", item=MUG)


def pair(joined: str) -> Offer:
    """An offer on beef and soft drinks."""
    single = an_offer(percent(20), TEA).model_dump()
    return Offer.model_validate(single | {"covers": PAIR, "label": BOTH[1], "joined": joined})


def capped() -> Benefit:
    return Benefit(type="percent_off", percent=20, max_discount_cents=500)


TWICE = Benefit(type="fixed_price", price_cents=990, max_times=2)


def more(buy: int, get: int, percent: int) -> Benefit:
    return Benefit(type="buy_x_get_y", buy=buy, get=get, percent=percent)


@pytest.mark.parametrize(
    ("offer", "en", "zh"),
    [
        (an_offer(percent(20), TEA), "20 % off tea", "茶打8折"),
        (an_offer(percent(25), TEA), "25 % off tea", "茶打7.5折"),
        (an_offer(percent(100), TEA), "100 % off tea", "茶全额减免"),
        (an_offer(percent(10)), "10 % off everything", "全场打9折"),
        (an_offer(percent(20), TEA, "USD", spend=5000), "20 % off tea from $50 up", "茶满50美元打8折"),
        (an_offer(capped(), TEA, "USD"), "20 % off tea, at most $5 off", "茶打8折，最多减5美元"),
        (pair("each"), "20 % off beef and soft drinks, each", "牛肉、碳酸饮料都打8折，买哪样都算"),
        (pair("together"), "20 % off beef and soft drinks, bought together", "牛肉、碳酸饮料一起买打8折"),
        (an_offer(amount(500), currency="JPY", spend=5000), "¥500 off from ¥5,000 up", "满5,000日元减500日元"),
        (an_offer(amount(550), currency="USD", spend=4000), "$5.50 off from $40 up", "满40美元减5.50美元"),
        (an_offer(amount(500), currency="USD"), "$5 off", "减5美元"),
        (an_offer(SHIPPING, currency="USD", spend=3500), "free delivery from $35 up", "满35美元免运费"),
        (an_offer(SHIPPING), "free delivery", "免运费"),
        (an_offer(Benefit(type="fixed_price", price_cents=990), TEA), "tea at ¥9.90", "茶特价9.90元"),
        (an_offer(TWICE, TEA), "tea at ¥9.90, at most 2 times", "茶特价9.90元，最多2份"),
        (an_offer(more(2, 1, 100), TEA), "buy 2, get 1 free on tea", "茶买2送1"),
        (an_offer(more(1, 1, 50), TEA), "buy 1, get 1 at 50% off on tea", "茶第2件打5折"),
        (an_offer(more(3, 2, 30), TEA), "buy 3, get 2 at 30% off on tea", "茶买3件，另2件打7折"),
        (an_offer(GIFT, TEA), "a free mug with tea", "茶买就送马克杯"),
        (an_offer(GIFT, spend=9900), "a free mug from ¥99 up", "全场满99元送马克杯"),
        (
            an_offer(Benefit(type="gift", product_id="851", quantity=2), TEA),
            "free 2 x product 851 with tea",
            "茶买就送2件商品851",
        ),
        (an_offer(Benefit(type="points", points=200), TEA), "200 points with tea", "茶买就送200积分"),
        (
            an_offer(Benefit(type="exchange", item=MUG, price_cents=1000), spend=9900),
            "a mug for ¥10 from ¥99 up",
            "全场满99元可加10元换购马克杯",
        ),
        (
            an_offer(percent(20), TEA).model_copy(update={"members": True}),
            "20 % off tea, members only",
            "茶会员打8折",
        ),
        (an_offer(Benefit(type="reminder")), "a reminder, no discount", "一条提醒，没有折扣"),
    ],
)
def test_an_offer_in_a_few_words(offer: Offer, en: str, zh: str) -> None:
    assert (describe_offer(offer, "en"), describe_offer(offer, "zh")) == (en, zh)


@pytest.mark.parametrize(
    ("activation", "en", "zh"),
    [
        ("automatic", "20 % off tea", "茶打8折"),
        ("code", "20 % off tea, with a code", "茶打8折，凭券"),
        ("link", "20 % off tea, by the link in the message", "茶打8折，点消息里的链接领取"),
    ],
)
def test_how_it_is_activated_is_said(activation: Activation, en: str, zh: str) -> None:
    offer = an_offer(percent(20), TEA).model_copy(update={"activation": activation})
    assert (describe_offer(offer, "en"), describe_offer(offer, "zh")) == (en, zh)


def test_an_unknown_pair_is_named_by_its_label() -> None:
    """Two products carry ids as keys: only the label knows their names."""
    both = LocalizedText(zh="轻跑鞋及云朵枕头", en="Light Runner and Cloud Pillow")
    offer = pair("each").model_copy(update={"scope": "product", "covers": "p1 ++ p2", "label": both})
    assert describe_offer(offer, "en") == "20 % off Light Runner and Cloud Pillow, each"
    assert describe_offer(offer, "zh") == "轻跑鞋及云朵枕头都打8折，买哪样都算"


def test_a_menu_line_is_said_the_same_way() -> None:
    one = LocalizedText(zh="一个品类", en="one category")
    assert describe_menu_line(percent(20), 0, "USD", "en", one) == "20 % off one category"
    assert describe_menu_line(amount(500), 5000, "JPY", "zh") == "满5,000日元减500日元"


def test_a_reminder_promises_nothing_whatever_words_are_at_hand() -> None:
    draft = Draft("{deal} for you", "Long time no see")
    offer = an_offer(Benefit(type="reminder"))
    assert (
        write_message(offer, AngleFacts(name="Ann", angle="win_back"), "en", draft).text
        == "Dear Ann, you are welcome any time."
    )
    assert write_message(offer, AngleFacts(), "zh").text == "欢迎您随时再来。"
    for language in ("zh", "en"):
        title = write_message(offer, AngleFacts(), language).title
        assert title
        assert title == fill_draft(offer, AngleFacts(), language).titles[0].text  # it is not about the whole shop


def test_a_reminder_names_what_was_bought_and_nothing_private() -> None:
    offer, tea = an_offer(Benefit(type="reminder")), LocalizedText(zh="绿茶", en="green tea")
    named = write_message(offer, AngleFacts(bought=(tea,)), "en")
    assert "green tea" in named.text
    assert "绿茶" in write_message(offer, AngleFacts(bought=(tea,)), "zh").text
    assert all(fact.holds for fact in extract_facts(named.text, offer, "en", known=AngleFacts(bought=(tea,))))
    private = LocalizedText(zh="验孕棒", en="pregnancy test")
    assert (
        write_message(offer, AngleFacts(bought=(private,)), "en").text == write_message(offer, AngleFacts(), "en").text
    )
