"""Find past promotions in daily sales and judge what each of them earned.

Promotions for everybody are days on which far more than usual was reduced, or paid with a coupon. Campaigns and price
cuts of single products have a group of their own, customers or a product, with everything else to compare it with.

Legend: D days in order without a gap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.core.effects.event_study import (
    Untold,
    Window,
    WindowEffect,
    merge_windows,
    promotion_days,
    study_windows,
    why_untold,
)
from promolift.core.effects.trial_arrays import holm_adjust
from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]
PromotionKind = Literal["sitewide", "coupons", "campaign", "product"]
Verdict = Literal["earned", "lost", "unclear", "untold"]
Reason = Untold | Literal["too_long", "rolling"]

MIN_ORDERS = 20  # orders in the days of a promotion below which it is not judged
MIN_WEEKLY_ORDERS = 10  # of a product whose price cuts are judged, in the middle one of its weeks
MIN_REDUCED = 0.5  # share of sales that is reduced when everybody gets a discount
MIN_DEPTH_RISE = 0.03  # of list value, above the usual
MIN_COUPON_RISE = 0.05  # share of orders with a coupon, above the usual
MIN_CUT = 0.05  # of a product's list value, above the usual
UNUSUAL = 4.0  # robust standard deviations above the usual
SETTLE_BETWEEN = 21  # days between two promotions below which they are judged together
LONGEST_DAYS = 60  # of a promotion: a longer one is how the shop always is
ALPHA = 0.05


@dataclass(frozen=True)
class DailySales:
    """Sales of a shop, a group of customers or a product, by day; amounts in minor units.

    `list_D` is the value at undiscounted prices, `reduced_D` that of lines with a reduction open to everybody.
    """

    margin_D: Floats
    orders_D: Floats
    list_D: Floats
    shelf_D: Floats
    coupon_D: Floats
    reduced_D: Floats
    coupon_orders_D: Floats

    def __post_init__(self) -> None:
        """Check the arrays. Raises InputError for different lengths and for values that are no numbers."""
        arrays = {name: np.asarray(getattr(self, name)) for name in self.__dataclass_fields__}
        if any(each.ndim != 1 or each.size != self.margin_D.size for each in arrays.values()):
            sizes = ", ".join(f"{name} {each.shape}" for name, each in arrays.items())
            raise InputError(
                "shape_invalid",
                gettext_lazy("daily sales: one value a day is needed in every column, not {sizes}", sizes=sizes),
            )
        for name, each in arrays.items():
            if each.size and not np.isfinite(each.astype(np.float64)).all():
                raise InputError(
                    "value_invalid", gettext_lazy("daily sales: {name} holds values that are no numbers", name=name)
                )

    @property
    def days(self) -> int:
        return self.margin_D.size


class PromotionWindow(NamedTuple):
    """A promotion that was found: its days, its kind and its name (empty if it has none)."""

    window: Window
    kind: PromotionKind
    name: str = ""


class Judged(NamedTuple):
    """What a promotion earned. `orders` and `margin` are None where it cannot be told, for `reason`.

    `cost` is the discount given: of prices beyond the usual, of coupons all. `p` is adjusted for the number of
    promotions that were judged, and
    `names` are those of all promotions that ran too close together to be told apart.
    """

    found: PromotionWindow
    names: tuple[str, ...]
    cost: float
    sold: float
    orders: WindowEffect | None
    margin: WindowEffect | None
    p: float
    verdict: Verdict
    reason: Reason | None


def find_sales(daily: DailySales) -> list[Window]:
    """Return the days on which most sales were reduced, and deeper than usual; one day between them may be missing."""
    trading_D = daily.list_D > 0
    if not trading_D.any():
        return []
    value_D = np.where(trading_D, daily.list_D, 1.0)
    depth_D = np.where(trading_D, daily.shelf_D / value_D, 0.0)
    share_D = np.where(trading_D, daily.reduced_D / value_D, 0.0)
    deep_D = depth_D >= _threshold(depth_D[trading_D], MIN_DEPTH_RISE)
    return _runs(trading_D & deep_D & (share_D >= MIN_REDUCED), 1)


def find_coupon_days(daily: DailySales) -> list[Window]:
    """Return the days on which far more orders than usual used a coupon; one day between them may be missing."""
    trading_D = daily.orders_D > 0
    if not trading_D.any() or not daily.coupon_orders_D.any():
        return []
    orders_D = np.maximum(daily.orders_D, 1.0)
    rate_D = daily.coupon_orders_D / orders_D
    usual = float(daily.coupon_orders_D.sum() / orders_D[trading_D].sum())
    chance_D = UNUSUAL * np.sqrt(max(usual * (1 - usual), 0.0) / orders_D)
    often_D = (rate_D >= _threshold(rate_D[trading_D], MIN_COUPON_RISE)) & (rate_D >= usual + chance_D)
    return _runs(trading_D & often_D & (daily.coupon_orders_D >= 3), 1)


def find_cuts(daily: DailySales) -> list[Window]:
    """Return the days of a product's price cuts. Days without a sale of it belong to the cut around them."""
    sold = np.flatnonzero(daily.list_D > 0)
    if not sold.size:
        return []
    depth_D = daily.shelf_D[sold] / daily.list_D[sold]
    cut_D = depth_D >= float(np.median(depth_D)) + MIN_CUT
    windows: list[Window] = []
    for at in np.flatnonzero(cut_D).tolist():
        day = int(sold[at])
        joined = at > 0 and cut_D[at - 1] and day - int(sold[at - 1]) <= 7
        first = windows.pop().first if joined else day
        windows.append(Window(first, day + 1 - first))
    return windows


def sells_steadily(daily: DailySales) -> bool:
    """Return whether there is an order on most days: in the middle week at least MIN_WEEKLY_ORDERS."""
    weeks = daily.days // 7
    return (
        weeks > 0 and float(np.median(daily.orders_D[: weeks * 7].reshape(weeks, 7).sum(axis=1))) >= MIN_WEEKLY_ORDERS
    )


def always_reduced(daily: DailySales) -> bool:
    """Return whether discounts are so usual that no day without one is left to compare with."""
    trading_D = daily.list_D > 0
    if not trading_D.any():
        return False
    reduced_D = daily.reduced_D[trading_D] >= MIN_REDUCED * daily.list_D[trading_D]
    used_D = daily.coupon_orders_D[trading_D] >= MIN_REDUCED * daily.orders_D[trading_D]
    return bool((reduced_D | used_D).mean() > 0.8)


def judge_sitewide(daily: DailySales, found: Sequence[PromotionWindow]) -> list[Judged]:
    """Judge promotions for everybody; those that overlap or follow each other closely are judged as one."""
    whole = merge_windows([each.window for each in found], 0)
    windows = [
        joined for group in _close_groups(whole)
        for joined in ([Window(group[0].first, group[-1].end - group[0].first)] if len(group) > 1 else group)
    ]  # fmt: skip
    busy_D = promotion_days(windows, daily.days)
    judged = []
    for window in windows:
        inside = [each for each in found if window.first <= each.window.first < window.end]
        kind: PromotionKind = "sitewide" if any(each.kind == "sitewide" for each in inside) else inside[0].kind
        names = tuple(dict.fromkeys(each.name for each in inside if each.name))
        judged.append((PromotionWindow(window, kind, names[0] if names else ""), names))
    effects = _effects(daily, windows, busy_D)
    return [
        _judged(daily, each, names, orders, margin, _reason(daily, each.window, busy_D))
        for (each, names), orders, margin in zip(judged, *effects, strict=True)
    ]


def judge_group(
    daily: DailySales, rest: DailySales, found: Sequence[PromotionWindow], others: Sequence[Window]
) -> list[Judged]:
    """Judge the promotions of a group of customers or of a product, compared with all other sales on the same days.

    `others` are promotions that the group met, too, and that are not judged.
    """
    windows = [each.window for each in found]
    busy_D = promotion_days([*windows, *others], daily.days)
    effects = _effects(daily, windows, busy_D, rest, others)
    return [
        _judged(daily, each, (each.name,) if each.name else (), orders, margin, _reason(daily, each.window, busy_D))
        for each, orders, margin in zip(found, *effects, strict=True)
    ]


def leave_unjudged(daily: DailySales, found: PromotionWindow, reason: Reason) -> Judged:
    """Return a promotion that cannot be told, for `reason`."""
    return _judged(daily, found, (found.name,) if found.name else (), None, None, reason)


def adjust_verdicts(judged: Sequence[Judged]) -> list[Judged]:
    """Return the promotions with p adjusted for their number (Holm 1979) and the verdicts that this leaves."""
    told = [at for at, each in enumerate(judged) if each.margin is not None and each.reason is None]
    adjusted = dict(zip(told, holm_adjust(np.array([judged[at].p for at in told])).tolist(), strict=True))
    out = []
    for at, each in enumerate(judged):
        p = float(adjusted.get(at, 1.0))
        verdict: Verdict = "untold"
        if at in adjusted and each.margin is not None:
            verdict = "unclear" if p >= ALPHA else "earned" if each.margin.net.value > 0 else "lost"
        out.append(each._replace(p=p, verdict=verdict))
    return out


def _threshold(values: Floats, least: float) -> float:
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    return middle + max(least, UNUSUAL * spread)


def _runs(flags_D: NDArray[np.bool_], gap_days: int) -> list[Window]:
    return merge_windows([Window(day, 1) for day in np.flatnonzero(flags_D).tolist()], gap_days + 1)


def _close_groups(windows: Sequence[Window]) -> list[list[Window]]:
    """Group windows with few days between them, as long as a group is no longer than a promotion may be."""
    groups: list[list[Window]] = []
    for each in windows:
        close = groups and each.first - groups[-1][-1].end < SETTLE_BETWEEN
        if close and each.end - groups[-1][0].first <= LONGEST_DAYS:
            groups[-1].append(each)
        else:
            groups.append([each])
    return groups


def _effects(
    daily: DailySales, windows: Sequence[Window], busy_D: NDArray[np.bool_], rest: DailySales | None = None,
    stops: Sequence[Window] = (),
) -> list[list[WindowEffect | None]]:  # fmt: skip
    """Orders and margin of each window; None for all where too few days are left to compare with."""
    if all(why_untold(each, busy_D) for each in windows):
        return [[None] * len(windows)] * 2
    others = (None, None) if rest is None else (rest.orders_D, rest.margin_D)
    return [
        study_windows(y_D, windows, busy_D, other_D, stops)
        for y_D, other_D in zip((daily.orders_D, daily.margin_D), others, strict=True)
    ]


def _reason(daily: DailySales, window: Window, busy_D: NDArray[np.bool_]) -> Reason | None:
    if window.days > LONGEST_DAYS:
        return "too_long"
    if daily.orders_D[window.first : window.end].sum() < MIN_ORDERS:
        return "few_orders"
    return why_untold(window, busy_D)


def _judged(
    daily: DailySales, found: PromotionWindow, names: Sequence[str], orders: WindowEffect | None,
    margin: WindowEffect | None, reason: Reason | None,
) -> Judged:  # fmt: skip
    if reason is None and (orders is None or margin is None):
        reason = "no_variation"
    if reason is not None:
        orders = margin = None
    days = slice(found.window.first, found.window.end)
    given_D = np.zeros(daily.days)
    if found.kind in ("sitewide", "product"):
        given_D += daily.shelf_D - _usual_depth(daily) * daily.list_D
    if found.kind != "product":
        given_D += daily.coupon_D
    cost = float(given_D[days].sum())
    sold = float(daily.orders_D[days].sum())
    p = margin.p if margin is not None else 1.0
    return Judged(found, tuple(names), max(cost, 0.0), sold, orders, margin, p, "untold", reason)


def _usual_depth(daily: DailySales) -> float:
    trading_D = daily.list_D > 0
    return float(np.median(daily.shelf_D[trading_D] / daily.list_D[trading_D])) if trading_D.any() else 0.0
