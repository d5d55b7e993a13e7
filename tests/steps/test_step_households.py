"""The cards of single customers say the offer as it is, and claim no check that was not made."""

from datetime import datetime
from zoneinfo import ZoneInfo

from promolift.pages import Story, render
from promolift.pages.shop import household
from promolift.terms import Benefit, Offer

TOKYO = ZoneInfo("Asia/Tokyo")
ROW = {
    "customer_id": "u1", "offer_id": "off_save", "gain_cents": 90.0, "gain_se_cents": 10.0, "cost_cents": 40.0,
    "reason": "fits the basket",
    "message_zh": "满5,000日元减500日元", "message_en": "¥500 off when you spend ¥5,000", "evidence": "assumed",
}  # fmt: skip


def save_500() -> Offer:
    return Offer(
        id="off_save", menu_id="save", benefit=Benefit(type="amount_off", amount_cents=500), min_spend_cents=5000,
        starts=datetime(2026, 1, 5, tzinfo=TOKYO), expires=datetime(2026, 2, 1, 23, 59, 59, tzinfo=TOKYO),
        currency="JPY",
    )  # fmt: skip


def test_an_amount_off_is_told_as_an_amount_in_its_currency() -> None:
    """It used to read "save" on the card, "5 off" in the list and 10折 in the ticks."""
    assert household(ROW, {}, {}, {}, save_500()).offer == "¥500 off from ¥5,000 up"


def test_a_card_ticks_nothing_that_nobody_read_in_the_text() -> None:
    page = render(Story(households=(household(ROW, {}, {}, {}, save_500()),)))
    card = page.split('<article class="card person">')[1].split("</article>")[0]
    assert "¥500 off when you spend ¥5,000" in card
    assert "<svg" not in card.split('<p class="label">reads</p>')[1]
    assert "agree" not in card
