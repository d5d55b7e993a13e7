"""Sums as people print them, and the sentences of the templates."""

from datetime import timedelta

import pytest
from message_helpers import GOLDEN, MEALS, OFFERS, PRODUCT_1, SHIPPING, amount, an_offer, percent

from promolift.currency import CURRENCY_DIGITS
from promolift.errors import ConfigError, InputError
from promolift.message import Bought, Recipient, Style, write
from promolift.message.templates import FRAMES, addressable, compose, money, nameable
from promolift.terms import Benefit, Offer, Words

PLANNING = ("FAMILY PLANNING", Words(zh="计生用品", en="family planning products"))


@pytest.mark.parametrize(
    ("cents", "currency", "en", "zh"),
    [
        (123450, "USD", "$1,234.50", "1,234.50美元"),
        (20000, "CNY", "¥200", "200元"),
        (123450, "CNY", "¥1,234.50", "1,234.50元"),
        (1000, "JPY", "¥1,000", "1,000日元"),
        (1050, "CHF", "CHF 10.50", "10.50瑞士法郎"),
        (1500, "KWD", "KWD 1.500", "1.500 KWD"),
        (5, "EUR", "€0.05", "0.05欧元"),
        (99, "CLP", "CLP 99", "99 CLP"),
        (100, "XQQ", "XQQ 1", "1 XQQ"),
    ],
)
def test_sums_follow_currency_and_language(cents, currency, en, zh):
    assert (money(cents, currency, "en"), money(cents, currency, "zh")) == (en, zh)


def test_decimals_are_those_of_iso_4217():
    assert {code for code, digits in CURRENCY_DIGITS.items() if digits == 0} == {
        "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
    }  # fmt: skip
    assert {code for code, digits in CURRENCY_DIGITS.items() if digits == 3} == {
        "BHD",
        "IQD",
        "JOD",
        "KWD",
        "LYD",
        "OMR",
        "TND",
    }


def said(offer: Offer, language: str, frame: int = 0, style: Style | None = None) -> str:
    return compose(offer, Recipient(), language, frame, style or Style()).text


@pytest.mark.parametrize(
    ("off", "zhe"), [(20, "8折"), (25, "7.5折"), (15, "8.5折"), (5, "9.5折"), (90, "1折"), (91, "0.9折"), (50, "5折")]
)
def test_percent_off_is_zhe_in_chinese(off, zhe):
    assert f"享受{zhe}优惠" in said(an_offer(percent(off), MEALS), "zh")


def test_the_whole_price_off_is_no_zhe():
    text = said(an_offer(percent(100), MEALS), "zh")
    assert "全额减免" in text
    assert "折" not in text


@pytest.mark.parametrize(
    ("offer", "zh", "en"),
    [
        (
            OFFERS["all30/200"],
            "现在全场购物满200元可以立减30元！",
            "now you can enjoy ¥30 off when you spend ¥200 or more!",
        ),
        (
            OFFERS["meals20/50$"],
            "现在购买冷冻方便餐满50美元可以享受8折优惠！",
            "now you can enjoy 20% off when you spend $50 or more on frozen meals!",
        ),
        (
            OFFERS["meals20cap10$"],
            "现在购买冷冻方便餐可以享受8折优惠（最高减10美元）！",
            "now you can enjoy 20% off frozen meals (up to $10)!",
        ),
        (an_offer(SHIPPING), "现在全场购物可以享受免运费优惠！", "now you can enjoy free shipping on your order!"),
        (an_offer(amount(500), currency="USD"), "现在全场购物可以立减5美元！", "now you can enjoy $5 off your order!"),
    ],
)
def test_the_first_phrasing_of_every_benefit(offer, zh, en):
    assert compose(offer, Recipient(), "zh", 0, Style()).body == zh
    assert compose(offer, Recipient(), "en", 0, Style()).body == en


def test_terms_say_the_last_day_or_the_hour():
    assert said(OFFERS["meals20"], "zh").endswith("有效期至2026年6月30日。")
    assert said(OFFERS["meals20"], "en").endswith(" Valid through June 30, 2026.")
    at_six = OFFERS["meals20@18:00"]
    assert said(at_six, "zh").endswith("有效期至2026年6月30日18:00。")
    assert said(at_six, "en").endswith(" Valid until 6:00 p.m. on June 30, 2026.")


@pytest.mark.parametrize("expires", [(2026, 6, 30, 23, 59), (2026, 6, 30, 23, 59, 59), (2026, 7, 1, 0, 0)])
def test_midnight_belongs_to_the_day_it_ends(expires):
    assert "June 30, 2026" in said(an_offer(percent(20), MEALS, expires=expires), "en")


def test_before_its_first_day_an_offer_is_not_now_and_says_when_it_begins():
    early = Style(sent=GOLDEN.starts - timedelta(days=3))
    zh, en = (said(GOLDEN, language, 0, early) for language in ("zh", "en"))
    assert "现在" not in zh
    assert "now" not in en
    assert "2026年6月1日起" in zh
    assert "from June 1, 2026" in en


def test_phrasings_differ_and_the_hash_uses_all_of_them():
    for offer in (OFFERS["meals20"], OFFERS["all30/200"], OFFERS["ship50"]):
        for language in ("zh", "en"):
            assert len({said(offer, language, frame) for frame in range(FRAMES)}) == FRAMES
    bodies = {write(OFFERS["meals20"], Recipient(customer_id=str(i)), "en").body for i in range(60)}
    assert len(bodies) == FRAMES
    assert (
        len({write(OFFERS["meals20"], Recipient(customer_id="7"), "en", Style(seed=s)).body for s in range(40)})
        == FRAMES
    )


@pytest.mark.parametrize("name", ["用户A", "李雷", "Anna", "O'Neill", "Maria López", "A", "Jean-Luc Picard"])
def test_people_are_greeted_by_name(name):
    assert addressable(name)
    assert write(GOLDEN, Recipient(name=name), "zh").greeting == f"尊敬的{name}，"


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        " ",
        "null",
        "None",
        "nan",
        "12345",
        "user_851",
        "http://evil.com",
        "www.x",
        "<b>A</b>",
        "{name}",
        "8折",
        "全场5折",
        "50% off",
        "A\u200bB",
        "张*三",
        "x" * 60,
        "Best Shop",
        "customer",
        "Ann\n",
        "@anna",
    ],
)
def test_what_is_no_name_gets_a_natural_anonymous_greeting(name):
    assert write(GOLDEN, Recipient(name=name), "zh").text.startswith("尊敬的顾客，")
    assert write(GOLDEN, Recipient(name=name), "en").text.startswith("Dear customer, ")


def bought(**more: object) -> Recipient:
    facts = {"label": PRODUCT_1, "key": "1", "kind": "product"}
    return Recipient(name="用户A", bought=Bought.model_validate({**facts, **more}))


def test_a_recent_purchase_is_mentioned():
    sent = GOLDEN.starts + timedelta(hours=5)
    assert "您刚刚购买了商品1，" in write(GOLDEN, bought(at=GOLDEN.starts), "zh", Style(sent=sent)).text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"label": Words(zh="避孕套", en="condoms")}, "private by its name"),
        (
            {"label": Words(zh="计生", en="planning"), "key": "FAMILY PLANNING", "kind": "category"},
            "private by the table",
        ),
        ({"category": "DIAPERS & DISPOSABLES"}, "private by its category"),
        ({"key": "2"}, "the offered product itself"),
        ({"label": GOLDEN.label}, "the offered product itself"),
        ({"at": GOLDEN.starts - timedelta(days=9)}, "not just now"),
        ({"at": GOLDEN.starts + timedelta(days=9)}, "in the future"),
        ({"label": Words(zh="见 http://x.cn", en="see http://x.cn")}, "a link"),
    ],
)
def test_a_purchase_that_cannot_be_mentioned_is_left_out(change, why):
    style = Style(sent=GOLDEN.starts + timedelta(hours=5))
    for language in ("zh", "en"):
        text = write(GOLDEN, bought(**change), language, style).text
        assert "您刚刚" not in text, why
        assert "you just" not in text, why


@pytest.mark.parametrize("words", [Words(zh="避孕套", en="item"), Words(zh="商品", en="condoms")])
def test_a_purchase_private_in_one_language_is_named_in_neither(words):
    assert nameable(Bought(label=words, key="1", kind="product"), GOLDEN, Style()) is None


def test_no_message_is_written_about_nothing():
    nothing = an_offer(Benefit(type="none"))
    with pytest.raises(InputError, match="no benefit"):
        write(nothing, Recipient(), "zh")


@pytest.mark.parametrize(
    ("offer", "code"),
    [
        (an_offer(percent(20), PLANNING), "sensitive_name"),
        (an_offer(percent(20), ("p", Words(zh="婴儿湿巾", en="baby wipes")), scope="product"), "sensitive_name"),
        (an_offer(percent(20), ("p", Words(zh="见www.x.com", en="see www.x.com")), scope="product"), "link"),
        (an_offer(percent(20), ("p", Words(zh="<b>灯</b>", en="<b>lamp</b>")), scope="product"), "markup"),
        (an_offer(percent(20), ("p", Words(zh="灯\u200b", en="lamp\u200b")), scope="product"), "control_character"),
        (an_offer(percent(20), ("p", Words(zh=" ", en=" ")), scope="product"), "missing_name"),
    ],
)
def test_what_cannot_be_said_truly_is_an_error_that_names_offer_and_rule(offer, code):
    for language in ("zh", "en"):
        with pytest.raises(InputError, match=f"'off_1' cannot be said truly in '{language}': {code}"):
            write(offer, Recipient(), language)


def test_the_shop_may_decide_to_name_a_private_matter_it_offers():
    offer = an_offer(percent(20), PLANNING)
    assert "计生用品" in write(offer, Recipient(), "zh", Style(allow_sensitive=True)).text


def test_an_offer_that_is_over_is_not_sent():
    with pytest.raises(InputError, match="expired"):
        write(GOLDEN, Recipient(), "zh", Style(sent=GOLDEN.expires + timedelta(days=1)))


def test_a_sending_time_without_zone_is_refused():
    with pytest.raises(ConfigError, match="style: sent"):
        Style.parse({"sent": "2026-06-03T10:00:00"}, "style")
