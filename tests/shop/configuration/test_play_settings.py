"""[[plays]] of promolift.toml: what a stranger may write in ten lines, and what is refused where and why."""

from typing import Any

import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.customers.named_audiences import named_audiences
from promolift.shop.configuration.configuration import Config

TEA = "select customer_id from customers where top_category_1 = 'tea' and recency_days > 40"


def config(*plays: dict[str, Any], **parts: Any) -> Config:
    return Config.parse({"data": {"source": "complete-journey"}, "plays": plays} | parts, "promolift.toml")


def play(**more: Any) -> dict[str, Any]:
    return {"id": "tea-lovers", "audience": TEA, "benefits": ["10 %", "reminder"]} | more


def test_a_play_brings_its_benefits_as_lines_for_its_customers_alone() -> None:
    found = config(play(benefits=["category-20", "10 %", "5 off from 50", "free delivery from 30.5", "reminder"]))
    (mine,) = found.plays
    lines = mine.lines(found.menu, "USD")
    assert [(each.id, each.benefit.type, each.min_spend_cents, each.segments) for each in lines] == [
        ("category-20", "percent_off", 0, ()),
        ("tea-lovers-10", "percent_off", 0, ("tea-lovers",)),
        ("tea-lovers-5-off-from-50", "amount_off", 5000, ("tea-lovers",)),
        ("tea-lovers-free-delivery-from-30-5", "free_shipping", 3050, ("tea-lovers",)),
        ("tea-lovers-reminder", "reminder", 0, ("tea-lovers",)),
    ]
    assert {each.id for each in found.lines} == {each.id for each in (*found.menu, *lines)}
    assert config(play(benefits=["5 off from 50"]), shop={"currency": "JPY"}).lines[-1].min_spend_cents == 50


@pytest.mark.parametrize("name", [*named_audiences()])
def test_every_named_audience_can_be_a_play(name: str) -> None:
    wanted = named_audiences()[name].benefits or ("reminder",)
    (mine,) = config({"id": "mine", "audience": name, "benefits": wanted}).plays
    assert mine.group == ("mine" if named_audiences()[name].query else name)
    assert mine.stated() == wanted


@pytest.mark.parametrize(
    ("more", "code", "named"),
    [
        ({"audience": "select customer_id from oders"}, "audience_invalid", "'orders'"),
        ({"audience": "abscent"}, "audience_unknown", "'absent'"),
        ({"benefits": ["10 precent"]}, "benefit_unknown", "10 precent"),
        ({"benefits": ["category-21"]}, "benefit_unknown", "tea-lovers"),
        ({"benefits": []}, "setting_missing", "benefits"),
        ({"benefits": ["50 off from 50"]}, "setting_invalid", "min_spend_cents"),
        ({"benefits": ["120 %"]}, "setting_invalid", "percent"),
        ({"id": "due"}, "settings_conflict", "due"),
        ({"id": "Tea lovers"}, "setting_invalid", "Tea lovers"),
        ({"reason": "Only 3 days left."}, "reason_unfit", "3"),
        ({"reason": "Hurry, the new teas are here."}, "reason_unfit", "Hurry"),
        ({"reason": "See https://tea.example"}, "reason_unfit", "https://"),
        ({"reason": "新茶到了。"}, "reason_unfit", "新茶到了。"),
        ({"reason_zh": "最后机会"}, "reason_unfit", "最后机会"),
        ({"reason_zh": "新茶到了，打折"}, "reason_unfit", "折"),
        ({"reson": "The new teas have arrived."}, "setting_unknown", "'reason'"),
    ],
)
def test_a_wrong_play_is_refused_with_code_place_and_remedy(more: dict[str, Any], code: str, named: str) -> None:
    with raises_code(code, "promolift.toml", "play", named):
        config(play(**more))


def test_plays_differ_from_each_other_from_segments_and_from_the_menu() -> None:
    with raises_code("setting_invalid", "tea-lovers"):
        config(play(), play())
    with raises_code("setting_invalid", "tea-lovers"):
        config(play(), segment=[{"name": "tea-lovers", "where": "recency_days > 3"}])
    menu = [{"id": "tea-lovers-10", "benefit": {"type": "percent_off", "percent": 10}}]
    with raises_code("setting_invalid", "tea-lovers-10"):
        config(play(), menu=menu)
    with raises_code("settings_conflict", "privacy.epsilon"):
        config(play(), privacy={"epsilon": 1.0})


@cases(60)
@given(st.integers(1, 100), st.integers(1, 400), st.integers(1, 400), st.sampled_from(["", " "]))
def test_a_benefit_means_what_it_says(percent: int, amount: int, more: int, gap: str) -> None:
    text = [f"{percent}{gap}%", f"{amount} off from {amount + more}"]
    (mine,) = config(play(benefits=text)).plays
    share, off = mine.lines((), "USD")
    assert share.benefit.percent == percent
    assert (off.benefit.amount_cents, off.min_spend_cents) == (100 * amount, 100 * (amount + more))
