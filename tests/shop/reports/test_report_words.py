"""Numbers read as a person would write them, and never say more than they know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promolift.foundation.i18n import formatting


@pytest.mark.parametrize(
    ("cents", "currency", "text"),
    [
        (420, "USD", "$4.20"),
        (-420, "USD", "−$4.20"),
        (123_456, "USD", "$1,235"),
        (99_999, "EUR", "€999.99"),
        (99_999.6, "EUR", "€1,000"),
        (99_949, "EUR", "€999.49"),
        (1_234, "JPY", "¥1,234"),
        (1_234, "KWD", "KWD\u00a01.234"),
        (990, "CNY", "¥9.90"),
        (234_567_890, "USD", "$2.35\u00a0M"),
        (-234_567_890_000, "GBP", "−£2.35\u00a0bn"),
        (0, "USD", "$0"),
        (-0.2, "USD", "$0"),
        (None, "USD", "—"),
        (float("nan"), "USD", "—"),
        (420, None, "4.20"),
        (420, "XYZ", "XYZ\u00a04.20"),
    ],
)
def test_money_follows_the_currency(cents: float | None, currency: str | None, text: str) -> None:
    assert formatting.money(cents, currency) == text


def test_a_signed_sum_shows_its_plus() -> None:
    assert formatting.money(420, "USD", sign=True) == "+$4.20"
    assert formatting.money(0, "USD", sign=True) == "$0"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2, "20"), (0.034, "3.4"), (0.03, "3"), (-0.05, "−5"), (1.0, "100"), (0.0, "0"), (1.05, "105"),
        (0.996, "99.6"), (0.99951, "> 99.9"), (0.0002, "< 0.1"), (0.0996, "10"),
    ],
)  # fmt: skip
def test_a_share_is_never_rounded_to_none_or_to_all(value: float, text: str) -> None:
    assert formatting.percent(value) == f"{text}\u00a0%"


@given(st.floats(0.0, 1.0, exclude_min=True, exclude_max=True))
def test_only_zero_is_zero_and_only_one_is_everything(value: float) -> None:
    assert formatting.percent(value) not in ("0\u00a0%", "100\u00a0%")


@given(st.one_of(st.none(), st.floats(), st.text(), st.integers(), st.lists(st.none())))
def test_whatever_comes_words_come_out(value: object) -> None:
    for text in (
        formatting.money(value, "USD"),
        formatting.percent(value),
        formatting.count(value),
        formatting.number(value),
    ):
        assert text
        assert "nan" not in text
        assert "inf" not in text
    assert formatting.days(value)
    assert formatting.date(value, "Asia/Shanghai")


def test_a_moment_is_told_in_the_zone_of_the_shop() -> None:
    assert formatting.date(1_508_126_400_000, "America/New_York") == "16 October 2017"
    assert formatting.date(1_508_126_399_999, "America/New_York") == "15 October 2017"
    assert formatting.date(1_508_126_399_999, "Asia/Shanghai") == "16 October 2017"


def test_a_number_too_large_for_a_share_is_not_called_infinite() -> None:
    assert formatting.percent(1e308) == formatting.DASH
    assert formatting.count(-0.2) == "0"


def test_one_is_singular() -> None:
    assert formatting.days(1) == "1 day"
    assert formatting.days(4.56) == "4.6 days"


def test_an_interval_needs_both_ends() -> None:
    assert formatting.interval(1, 2, formatting.number) == "95\u00a0% interval 1.00 to 2.00"
    assert formatting.interval(1, None, formatting.number) == ""


def test_a_long_text_is_cut_on_one_line() -> None:
    assert formatting.truncate("a\n b" + "c" * 99, 10) == "a bcccccc…"
    assert formatting.truncate(None) == "—"


@pytest.mark.parametrize("length", [20, 60, 90, 200])
@pytest.mark.parametrize(
    "text",
    ["It adds $3.50 a day (95 % interval $1.20 to $5.80). Of them 120 are new (see below). Then it ends.",
     "预计每天增加3.50美元（95%区间1.20至5.80美元）。其中120位是新客户（见下文）。然后结束。"],
)  # fmt: skip
def test_a_paragraph_ends_after_a_sentence(text: str, length: int) -> None:
    cut = formatting.first_sentences(text, length)
    assert len(cut) <= length
    assert text.startswith(cut.removesuffix("…"))
    if cut.count("…") == 0:
        assert cut[-1] in ".。"
        assert cut.count("(") == cut.count(")")
        assert cut.count("（") == cut.count("）")
    else:
        assert min(text.find(". ") % 999, text.find("。") % 999) >= length - 1


def test_no_text_can_turn_the_words_around_it() -> None:
    assert formatting.truncate("a\u202eb\x00c\u2066d") == "abcd"
    assert formatting.truncate("\N{WOMAN}\u200d\N{PERSONAL COMPUTER}") == "\N{WOMAN}\u200d\N{PERSONAL COMPUTER}"
    assert formatting.money(420, "\u202e$$") == "4.20"


def test_a_list_reads_as_a_sentence() -> None:
    assert [formatting.join_list(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_what_one_yen_brings_is_no_zero() -> None:
    assert formatting.per_unit(0.493, "JPY") == "¥0.493"
    assert formatting.per_unit(-1.2, "JPY") == "−¥1.20"
    assert formatting.per_unit(48.6, "USD") == "$0.49"
    assert formatting.per_unit(None, "JPY") == "—"
