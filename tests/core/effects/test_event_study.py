"""Laws of the estimator of past promotions, on series and windows drawn at random."""

from itertools import pairwise

import numpy as np
import pytest
from drawn import cases
from error_checks import raises_code
from hypothesis import given
from hypothesis import strategies as st

from promolift.core.effects.event_study import (
    AFTER_DAYS,
    Window,
    after_days,
    merge_windows,
    promotion_days,
    study_windows,
    why_untold,
)
from promolift.core.effects.past_promotions import (
    DailySales,
    PromotionWindow,
    adjust_verdicts,
    always_reduced,
    find_coupon_days,
    find_cuts,
    find_sales,
    judge_group,
    judge_sitewide,
    leave_unjudged,
)

SALE = Window(150, 7)
WINDOWS = st.lists(st.builds(Window, st.integers(0, 200), st.integers(1, 12)), min_size=1, max_size=6)


def orders(seed: int, days: int = 300, lift: float = 0.0, window: Window = SALE) -> np.ndarray:
    """Orders a day with weekdays and a trend; `lift` more of them in the window, as a share."""
    day = np.arange(days)
    mean = 40 * (1 + 0.3 * (day % 7 == 5)) * (1 + 0.2 * day / days)
    mean = mean * np.where((day >= window.first) & (day < window.end), 1 + lift, 1)
    return np.random.default_rng(seed).poisson(mean).astype(float)


def shop(seed: int, depth: float = 0.2, lift: float = 0.0, window: Window = SALE, days: int = 300) -> DailySales:
    """A shop whose orders are worth 1,000 each, half of it margin, with one sale of this depth."""
    count, zero = orders(seed, days, lift, window), np.zeros(days)
    on = np.zeros(days)
    on[window.first : window.end] = 1
    value = 1000 * count
    return DailySales((0.5 - depth * on) * value, count, value, depth * on * value, zero, on * value, zero)


def net(daily: DailySales) -> list[tuple[float, float, float]]:
    judged = judge_sitewide(daily, [PromotionWindow(each, "sitewide") for each in find_sales(daily)])
    return [tuple(each.margin.net) for each in judged if each.margin]


def test_a_planted_lift_is_found_and_its_interval_holds_it() -> None:
    held = certain = 0
    usual = 40 * 1.1 * 7.3  # of seven days in the middle of the log, one of them busier
    for seed in range(8):
        [judged] = judge_sitewide(shop(seed, lift=0.5), [PromotionWindow(SALE, "sitewide")])
        held += judged.orders.within.low <= 0.5 * usual <= judged.orders.within.high
        certain += judged.orders.within.low > 0
    assert held >= 7
    assert certain == 8


def test_a_sale_that_brings_nobody_loses_its_discount_and_is_not_said_to_earn() -> None:
    verdicts = [
        adjust_verdicts(judge_sitewide(shop(seed, depth=0.5), [PromotionWindow(SALE, "sitewide")]))[0]
        for seed in range(3)
    ]
    assert {each.verdict for each in verdicts} <= {"lost", "unclear"}
    cost = 0.5 * 1000 * 40 * 1.1 * 7.3
    assert all(abs(each.margin.within.value + cost) < 0.25 * cost for each in verdicts)
    assert all(each.cost == pytest.approx(cost, rel=0.2) for each in verdicts)


def test_without_an_effect_few_series_make_a_claim() -> None:
    drawn = np.random.default_rng(1)
    claims = 0
    for seed in range(8):
        windows = [PromotionWindow(Window(int(drawn.integers(40, 220)), 5), "sitewide") for _ in range(2)]
        judged = adjust_verdicts(judge_sitewide(shop(seed, depth=0.0), windows))
        claims += any(each.verdict in ("earned", "lost") for each in judged)
    assert claims <= 1


@cases(12)
@given(seed=st.integers(0, 10**6), factor=st.sampled_from((0.01, 100.0, 12_345.0)))
def test_the_unit_of_money_changes_nothing(seed: int, factor: float) -> None:
    y, busy = orders(seed), promotion_days([SALE], 300)
    [small], [large] = (study_windows(k * y, [SALE], busy) for k in (1.0, factor))
    assert np.allclose(np.array(small.net) * factor, large.net, rtol=1e-6)
    assert small.p == pytest.approx(large.p, rel=1e-5)


@cases(12)
@given(seed=st.integers(0, 10**6), order=st.permutations(range(3)))
def test_the_order_of_promotions_changes_nothing(seed: int, order: list[int]) -> None:
    found = [PromotionWindow(Window(first, 5), "sitewide", str(first)) for first in (60, 90, 200)]
    daily = shop(seed, depth=0.0)
    assert judge_sitewide(daily, found) == judge_sitewide(daily, [found[i] for i in order])


@cases(100)
@given(windows=WINDOWS, gap=st.integers(0, 30))
def test_merged_windows_hold_every_day_and_lie_apart(windows: list[Window], gap: int) -> None:
    merged = merge_windows(windows, gap)
    assert merge_windows(list(reversed(windows)), gap) == merged
    assert all(any(m.first <= w.first and w.end <= m.end for m in merged) for w in windows)
    assert all(b.first - a.end >= max(gap, 0) for a, b in pairwise(merged))


@cases(100)
@given(windows=WINDOWS, days=st.integers(150, 300))
def test_days_after_end_with_the_next_promotion_and_the_log(windows: list[Window], days: int) -> None:
    for each in windows:
        counted = after_days(each, windows, days)
        assert 0 <= counted <= AFTER_DAYS
        assert each.end + counted <= max(days, each.end)
        assert not any(each.end <= other.first < each.end + counted for other in windows)


@pytest.mark.parametrize(
    ("window", "others", "days", "why"),
    [
        (Window(20, 5), [], 300, "too_early"),
        (Window(285, 5), [], 300, "too_recent"),
        (Window(100, 5), [Window(first, 3) for first in range(0, 300, 21)], 300, "always"),
        (Window(60, 5), [], 120, "always"),
        (Window(150, 5), [], 300, None),
    ],
)
def test_why_a_promotion_cannot_be_told(window: Window, others: list[Window], days: int, why: str | None) -> None:
    assert why_untold(window, promotion_days([window, *others], days)) == why


def test_a_sale_is_found_on_its_days_and_on_no_others() -> None:
    assert find_sales(shop(3)) == [SALE]
    assert find_sales(shop(3, depth=0.0)) == []
    assert net(shop(3, depth=0.0)) == []


def test_coupon_days_are_found_where_far_more_orders_than_usual_use_one() -> None:
    daily = shop(4, depth=0.0)
    used = 0.04 * daily.orders_D
    used[100:104] = 0.5 * daily.orders_D[100:104]
    assert find_coupon_days(DailySales(**{**vars(daily), "coupon_orders_D": used})) == [Window(100, 4)]
    assert find_coupon_days(daily) == []


def test_a_products_cut_lasts_over_days_without_a_sale_of_it() -> None:
    daily = shop(5, window=Window(150, 10))
    gone = {name: np.where(np.arange(300) == 154, 0.0, each) for name, each in vars(daily).items()}
    assert find_cuts(DailySales(**gone)) == [Window(150, 10)]


def test_a_shop_that_always_has_a_discount_has_no_sale_and_is_known_for_it() -> None:
    daily = shop(6, window=Window(0, 300))
    assert find_sales(daily) == []
    assert always_reduced(daily)
    assert not always_reduced(shop(6))


def test_few_orders_and_equal_days_are_not_judged() -> None:
    daily = shop(7)
    few = DailySales(*(each * 0.01 for each in vars(daily).values()))
    [judged] = judge_sitewide(few, [PromotionWindow(SALE, "sitewide")])
    assert (judged.reason, judged.margin, judged.orders) == ("few_orders", None, None)
    flat = DailySales(*(np.full(300, 50.0) for _ in range(7)))
    [judged] = judge_sitewide(flat, [PromotionWindow(SALE, "sitewide")])
    assert judged.reason == "no_variation"
    assert (
        adjust_verdicts([leave_unjudged(daily, PromotionWindow(SALE, "campaign", "a"), "rolling")])[0].verdict
        == "untold"
    )


def test_what_all_others_do_on_the_same_days_is_no_effect_of_a_campaign() -> None:
    daily, mine = shop(8, depth=0.0), shop(9, depth=0.0)
    storm = np.where((np.arange(300) >= 140) & (np.arange(300) < 215), 1.6, 1.0)  # everybody buys more
    raised = [DailySales(*(each * storm for each in vars(one).values())) for one in (mine, daily)]
    [judged] = judge_group(*raised, [PromotionWindow(SALE, "campaign", "a")], [])
    assert judged.orders.net.low < 0 < judged.orders.net.high
    assert abs(judged.orders.net.value) < 0.15 * raised[0].orders_D[150:213].sum()


def test_more_promotions_never_make_more_certain() -> None:
    judged = judge_sitewide(shop(10, depth=0.5), [PromotionWindow(SALE, "sitewide")])
    alone = adjust_verdicts(judged)[0]
    among = adjust_verdicts([*judged, *(each._replace(p=0.9) for each in judged * 30)])[0]
    assert among.p == pytest.approx(min(31 * alone.p, 1.0))


@pytest.mark.parametrize(
    ("change", "code"),
    [({"orders_D": np.zeros(3)}, "shape_invalid"), ({"list_D": np.full(300, np.nan)}, "value_invalid")],
)
def test_bad_daily_sales_are_refused(change: dict[str, np.ndarray], code: str) -> None:
    with raises_code(code, next(iter(change))):
        DailySales(**{**vars(shop(1)), **change})
