"""The worked case: customer A viewed products 1 and 2, bought 1, and is offered 20 % off product 2."""

import runpy
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from promolift.message import Bought, Context, Recipient, Style, broken_rules, write, write_all
from promolift.terms import Benefit, Offer, Words

EXAMPLE = Path(__file__).parents[2] / "examples" / "customer_a.py"
ZH = "尊敬的用户A，您刚刚购买了商品1，现在购买商品2可以享受8折优惠！"
EN = "Dear Customer A, you just bought Product 1, and now you can enjoy 20% off Product 2!"
TERMS = {"zh": "有效期至2026年6月30日。", "en": " Valid through June 30, 2026."}
ZONE = ZoneInfo("Asia/Shanghai")
ONE = Words(zh="商品1", en="Product 1")
OFFER = Offer(
    id="off_a",
    menu_id="viewed",
    benefit=Benefit(type="percent_off", percent=20),
    scope="product",
    covers="2",
    label=Words(zh="商品2", en="Product 2"),
    starts=datetime(2026, 6, 1, tzinfo=ZONE),
    expires=datetime(2026, 6, 30, 23, 59, 59, tzinfo=ZONE),
    currency="CNY",
)
BOUGHT = Bought(label=ONE, key="1", kind="product")


@pytest.mark.parametrize(("language", "name", "sentence"), [("zh", "用户A", ZH), ("en", "Customer A", EN)])
def test_the_sentence_comes_out_exactly_whatever_the_seed(language, name, sentence):
    for seed in range(12):
        recipient = Recipient(customer_id=f"A{seed}", name=name, bought=BOUGHT)
        message = write(OFFER, recipient, language, Style(seed=seed))
        assert message.sentence == sentence
        assert message.text == sentence + TERMS[language]


@pytest.mark.parametrize(("language", "name", "sentence"), [("zh", "用户A", ZH), ("en", "Customer A", EN)])
def test_the_sentence_is_true_only_of_this_case(language, name, sentence):
    context = Context(name=name, bought=(ONE,), full=False)
    assert broken_rules(sentence, OFFER, language, context=context) == []
    for wrong in (
        Context(name="李雷", bought=(ONE,), full=False),
        Context(name=name, full=False),
        Context(name=name, bought=(Words(zh="商品3", en="Product 3"),), full=False),
    ):
        assert broken_rules(sentence, OFFER, language, context=wrong)
    other = OFFER.model_copy(update={"benefit": Benefit(type="percent_off", percent=30)})
    assert broken_rules(sentence, other, language, context=context)


def test_a_plan_of_customer_a_carries_the_sentence():
    columns = {"customer_id": "A", "offer_id": "off_a", "name": "用户A", "bought": "商品1", "bought_kind": "product"}
    written = write_all(pl.DataFrame([columns]), {"off_a": OFFER}, languages=("zh",))
    assert written["message_zh"].to_list() == [ZH + TERMS["zh"]]


def test_the_example_script_prints_both_sentences(capsys):
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert capsys.readouterr().out.splitlines() == [ZH, EN]
