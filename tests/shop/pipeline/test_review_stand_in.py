"""A card of a text that names goods is shown with a stand-in where the plan's goods have no name in its language."""

from message_helpers import an_offer, percent

from promolift.core.messages import AngleFacts, Draft
from promolift.core.messages.composition import MessageDelivery
from promolift.core.offers.product_names import readable_name
from promolift.shop.pipeline.text_review import ReviewExample, fill_text

TEA = an_offer(percent(20), ("tea", readable_name("tea")), scope="category")
NAMES, ASKS = Draft("{deal}｜看看", "还在考虑{product}吗？"), Draft("{deal}｜看看", "{offer}看看家里缺不缺。")


def test_a_card_names_a_stand_in_and_says_so() -> None:
    example = ReviewExample(TEA, AngleFacts(angle="viewed_not_bought"))
    filled = fill_text(NAMES, example, "zh", MessageDelivery())
    assert filled.message.startswith("还在考虑咖啡吗？")
    assert filled.stand_in == "咖啡"
    assert not filled.findings
    assert fill_text(ASKS, example, "zh", MessageDelivery()).stand_in == ""
    english = fill_text(Draft("{deal}: tempted?", "still thinking about {product}?"), example, "en", MessageDelivery())
    assert (english.stand_in, english.message[:26]) == ("", "Still thinking about tea? ")


def test_a_purchase_without_a_name_is_shown_with_a_stand_in_too() -> None:
    example = ReviewExample(TEA, AngleFacts(bought=(readable_name("Oolong", "product"),), angle="just_bought"))
    filled = fill_text(Draft("{deal}｜再看一样", "刚买好{bought}，再看一样："), example, "zh", MessageDelivery())
    assert filled.message.startswith("刚买好面包，再看一样：")
    assert filled.stand_in == "面包"
    assert not filled.findings
    both = fill_text(Draft("{deal}｜{product}", "您刚刚购买了{bought}"), example, "zh", MessageDelivery())
    assert ("咖啡" in both.stand_in, "面包" in both.stand_in) == (True, True)
    assert not both.findings  # one name for both was taken for an offer on what was bought
