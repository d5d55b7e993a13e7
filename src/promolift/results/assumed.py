"""A plan's chosen offers in; what must be believed for its gain, and the value at which it would be gone, out."""

import numpy as np
import polars as pl

from promolift import effect
from promolift.results.plan import Assumption
from promolift.words import share

STEPS = 40  # halvings of the interval in which the response that breaks even is looked for


def assumptions(
    chosen: pl.DataFrame, response: effect.DiscountResponse, stated: effect.ValueSettings, costs_known: bool
) -> tuple[Assumption, ...]:
    """Each thing that nobody measured and on which the gain of `chosen` stands; none for an empty plan.

    `costs_known`: whether any product has a cost; without, the margin is the stated one.
    """
    if chosen.is_empty() or _gain(chosen) <= 0:  # what is expected to lose stands on nothing
        return ()
    found = [
        None if costs_known else _margin(stated.margin_rate, chosen),
        _suppliers(chosen),
        _response(chosen, response),
        _reach(stated.coupon_reach, chosen),
        _stretch(stated.stretch_share, chosen),
    ]
    return tuple(each for each in found if each is not None)


def _gain(chosen: pl.DataFrame) -> float:
    return float(chosen["gain_cents"].sum())


def _said(flips_at: float | None, never: str) -> str:
    return never if flips_at is None else f"at {share(flips_at)} this plan as it stands would earn nothing"


def _margin(value: float, chosen: pl.DataFrame) -> Assumption:
    added = float(chosen["added_cents"].sum())
    flips = value * float(chosen["cost_cents"].sum()) / added if added > 0 else None
    text = (
        f"A margin of {share(value)} for every product, since none has a cost: {_said(flips, 'no margin would pay')}."
    )
    return Assumption(name="margin", value=value, flips_at=flips, text=text)


def _suppliers(chosen: pl.DataFrame) -> Assumption | None:
    """Of a benefit B the shop pays (1 - s) B: the share s at which the whole plan earns nothing."""
    rows = chosen.filter((pl.col("supplier_share") > 0) & (pl.col("supplier_share") < 1))
    paid = float(rows["subsidy_cents"].sum())
    whole = float((rows["subsidy_cents"] / (1 - rows["supplier_share"])).sum())
    if whole <= 0 and (chosen["supplier_share"] >= 1).any():
        text = "Suppliers pay the whole discount, as promolift.toml states; from which part on is not known."
        return Assumption(name="supplier_share", value=1.0, flips_at=None, text=text)
    if whole <= 0:
        return None
    value, flips = 1 - paid / whole, 1 - (_gain(chosen) + paid) / whole
    flips_at = None if flips < 0 else flips
    text = (
        f"Suppliers pay {share(value)} of the discounts, as promolift.toml states: "
        f"{_said(flips_at, 'this plan would pay without them, too')}."
    )
    return Assumption(name="supplier_share", value=value, flips_at=flips_at, text=text)


def _response(chosen: pl.DataFrame, response: effect.DiscountResponse) -> Assumption | None:
    """The part of the expected response at which discounts earn nothing, by bisection."""
    if response.level == "randomised" or chosen.filter(pl.col("benefit") == "percent_off").is_empty():
        return None
    scaled = effect.scaled_gain(chosen)
    low, high = 0.0, 1.0
    if scaled(low) < 0 < scaled(high):
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if scaled(middle) > 0 else (middle, high)
    flips = high if scaled(0.0) < 0 < scaled(1.0) else None
    how = "assumed" if response.level == "assumed" else "read from past shelf prices, not proven by an experiment"
    at = "it would pay without any" if flips is None else f"at {share(flips)} of it this plan would earn nothing"
    return Assumption(name="response", value=1.0, flips_at=flips, text=f"The response to discounts is {how}: {at}.")


def _reach(value: float, chosen: pl.DataFrame) -> Assumption | None:
    """Coupons of which no model says how many are used."""
    unseen = (pl.col("activation") != "automatic") & pl.col("coupon_prob").is_null()
    rows = chosen.filter(unseen | ((pl.col("benefit") != "percent_off") & (pl.col("activation") != "automatic")))
    if rows.is_empty():
        return None
    part = float((rows["added_cents"] - rows["subsidy_cents"]).sum())
    left = 1 - _gain(chosen) / part if part > 0 else -1.0
    flips = value * left if left > 0 else None
    text = f"{share(value)} of customers notice a coupon: {_said(flips, 'fewer would not turn the plan')}."
    return Assumption(name="coupon_reach", value=value, flips_at=flips, text=text)


def _stretch(value: float, chosen: pl.DataFrame) -> Assumption | None:
    if not np.isin(chosen["benefit"].to_numpy(), ["amount_off", "free_shipping"]).any():
        return None
    text = f"{share(value)} of orders just below a threshold are filled up to it: nothing in the log varies it."
    return Assumption(name="stretch_share", value=value, flips_at=None, text=text)
