"""List the assumptions behind a plan's gain, each with the value at which the gain would be zero."""

import polars as pl

from promolift.core import effects
from promolift.shop.results.plan_note import Assumption, AssumptionSource

STEPS = 40  # halvings of the interval in which the response that breaks even is looked for


def list_assumptions(
    chosen: pl.DataFrame,
    response: effects.DiscountResponse,
    stated: effects.ValueSettings,
    costs_known: bool,
    luck_cents: float = 0.0,
    drawn: bool = False,
) -> tuple[Assumption, ...]:
    """Each thing that nobody measured and on which the gain of `chosen` stands; none for an empty plan.

    `costs_known`: whether any product has a cost; without, the margin is the stated one. `luck_cents` is what luck in
    the choice takes off the gain. Errors of the response are what a choice is lucky by, so it is taken off what is
    added, in proportion to the response. `drawn`: gains are what draws showed of each line, so no response, reach or
    stretch was assumed for them; the margin and the cost of a message were.
    """
    if chosen.is_empty() or _gain(chosen) - luck_cents <= 0:  # what is expected to lose stands on nothing
        return ()
    modelled = [] if drawn else [
        _suppliers(chosen, luck_cents),
        _response(chosen, response, luck_cents),
        _reach(stated.coupon_reach, chosen, luck_cents),
        _stretch(stated.stretch_share, chosen),
    ]  # fmt: skip
    found = [
        None if costs_known else _margin(stated, chosen, luck_cents),
        *modelled,
        _sending(stated, chosen, luck_cents),
    ]
    return tuple(each for each in found if each is not None)


def _gain(chosen: pl.DataFrame) -> float:
    return float(chosen["gain_cents"].sum())


def _margin(stated: effects.ValueSettings, chosen: pl.DataFrame, luck: float) -> Assumption:
    value, added = stated.margin_rate, float(chosen["added_cents"].sum()) - luck
    flips = value * float(chosen["cost_cents"].sum()) / added if added > 0 else None
    source: AssumptionSource = "stated" if "margin_rate" in stated.model_fields_set else "usual"
    return Assumption(name="margin", value=value, flips_at=flips, source=source)


def _suppliers(chosen: pl.DataFrame, luck: float) -> Assumption | None:
    """Of a benefit B the shop pays (1 - s) B: the share s at which the whole plan earns nothing."""
    rows = chosen.filter((pl.col("supplier_share") > 0) & (pl.col("supplier_share") < 1))
    paid = float(rows["subsidy_cents"].sum())
    whole = float((rows["subsidy_cents"] / (1 - rows["supplier_share"])).sum())
    if whole <= 0 and (chosen["supplier_share"] >= 1).any():
        return Assumption(name="supplier_share", value=1.0, flips_at=None, source="whole")
    if whole <= 0:
        return None
    value, flips = 1 - paid / whole, 1 - (_gain(chosen) - luck + paid) / whole
    flips_at = None if flips < 0 else flips
    return Assumption(name="supplier_share", value=value, flips_at=flips_at)


def _response(chosen: pl.DataFrame, response: effects.DiscountResponse, luck: float) -> Assumption | None:
    """The part of the expected response at which discounts earn nothing, by bisection."""
    if response.level == "randomised" or chosen.filter(pl.col("benefit") == "percent_off").is_empty():
        return None
    scaled = effects.gain_by_response_scale(chosen)

    def left(part: float) -> float:
        return scaled(part) - luck * part

    low, high = 0.0, 1.0
    if left(low) < 0 < left(high):
        for _ in range(STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if left(middle) > 0 else (middle, high)
    flips = high if left(0.0) < 0 < left(1.0) else None
    source: AssumptionSource = "assumed" if response.level == "assumed" else "read"
    return Assumption(name="response", value=1.0, flips_at=flips, source=source)


def _reach(value: float, chosen: pl.DataFrame, luck: float) -> Assumption | None:
    """Coupons of which no model says how many are used."""
    unseen = (pl.col("activation") != "automatic") & pl.col("coupon_prob").is_null()
    rows = chosen.filter(unseen | ((pl.col("benefit") != "percent_off") & (pl.col("activation") != "automatic")))
    if rows.is_empty():
        return None
    part = float((rows["added_cents"] - rows["subsidy_cents"]).sum())
    left = 1 - (_gain(chosen) - luck) / part if part > 0 else -1.0
    flips = value * left if left > 0 else None
    return Assumption(name="coupon_reach", value=value, flips_at=flips)


def _sending(stated: effects.ValueSettings, chosen: pl.DataFrame, luck: float) -> Assumption:
    """What a message costs, in minor units, and from which cost on the whole plan earns nothing."""
    value = float(chosen["send_cost_cents"].mean() or 0.0)  # type: ignore[arg-type]
    flips = value + (_gain(chosen) - luck) / chosen.height
    source: AssumptionSource = "stated" if value > 0 or "send_cost_cents" in stated.model_fields_set else "unset"
    return Assumption(name="send_cost", unit="money", value=value, flips_at=flips, source=source)


def _stretch(value: float, chosen: pl.DataFrame) -> Assumption | None:
    if (chosen["benefit"].is_in(["percent_off", "fixed_price"])).all():
        return None
    return Assumption(name="stretch_share", value=value, flips_at=None)
