"""List the assumptions behind a plan's gain, each with the value at which the gain would be zero."""

import polars as pl

from promolift.core import effects
from promolift.foundation.i18n.catalogue import gettext, pgettext
from promolift.foundation.i18n.formatting import money, percent, use_locale
from promolift.foundation.i18n.translation import translate
from promolift.shop.results.plan_note import Assumption

STEPS = 40  # halvings of the interval in which the response that breaks even is looked for


def list_assumptions(
    chosen: pl.DataFrame,
    response: effects.DiscountResponse,
    stated: effects.ValueSettings,
    costs_known: bool,
    currency: str,
    luck_cents: float = 0.0,
    drawn: bool = False,
) -> tuple[Assumption, ...]:
    """Each thing that nobody measured and on which the gain of `chosen` stands; none for an empty plan.

    `costs_known`: whether any product has a cost; without, the margin is the stated one. `luck_cents` is what luck in
    the choice takes off the gain. Errors of the response are what a choice is lucky by, so it is taken off what is
    added, in proportion to the response. `drawn`: gains are what draws showed of each line, so no response, reach or
    stretch was assumed for them; the margin and the cost of a message were.
    """
    with use_locale("zh"):
        chinese = _assumptions(chosen, response, stated, costs_known, currency, luck_cents, drawn)
    found = _assumptions(chosen, response, stated, costs_known, currency, luck_cents, drawn)
    return tuple(en.model_copy(update={"text_zh": zh.text}) for en, zh in zip(found, chinese, strict=True))


def _assumptions(
    chosen: pl.DataFrame,
    response: effects.DiscountResponse,
    stated: effects.ValueSettings,
    costs_known: bool,
    currency: str,
    luck: float,
    drawn: bool,
) -> list[Assumption]:
    if chosen.is_empty() or _gain(chosen) - luck <= 0:  # what is expected to lose stands on nothing
        return []
    modelled = [] if drawn else [
        _suppliers(chosen, luck),
        _response(chosen, response, luck),
        _reach(stated.coupon_reach, chosen, luck),
        _stretch(stated.stretch_share, chosen),
    ]  # fmt: skip
    found = [
        None if costs_known else _margin(stated, chosen, luck),
        *modelled,
        _sending(stated, chosen, currency, luck),
    ]
    return [each for each in found if each is not None]


def _gain(chosen: pl.DataFrame) -> float:
    return float(chosen["gain_cents"].sum())


def _flip(flips_at: float | None, never: str) -> str:
    at = percent(flips_at)
    return never if flips_at is None else gettext("at {at} this plan would earn nothing", at=at)


def _margin(stated: effects.ValueSettings, chosen: pl.DataFrame, luck: float) -> Assumption:
    value, added = stated.margin_rate, float(chosen["added_cents"].sum()) - luck
    flips = value * float(chosen["cost_cents"].sum()) / added if added > 0 else None
    own = "margin_rate" in stated.model_fields_set
    source = (
        pgettext("assumptions", "as promolift.toml states")
        if own
        else gettext("a usual value, since no product has a cost")
    )
    at = _flip(flips, gettext("no margin would pay"))
    text = gettext(
        "A margin of {value} for every product, {source}: {at}.", value=percent(value), source=source, at=translate(at)
    )
    return Assumption(name="margin", value=value, flips_at=flips, text=text)


def _suppliers(chosen: pl.DataFrame, luck: float) -> Assumption | None:
    """Of a benefit B the shop pays (1 - s) B: the share s at which the whole plan earns nothing."""
    rows = chosen.filter((pl.col("supplier_share") > 0) & (pl.col("supplier_share") < 1))
    paid = float(rows["subsidy_cents"].sum())
    whole = float((rows["subsidy_cents"] / (1 - rows["supplier_share"])).sum())
    if whole <= 0 and (chosen["supplier_share"] >= 1).any():
        text = gettext("Suppliers pay the whole discount, as promolift.toml states; from which part on is not known.")
        return Assumption(name="supplier_share", value=1.0, flips_at=None, text=text)
    if whole <= 0:
        return None
    value, flips = 1 - paid / whole, 1 - (_gain(chosen) - luck + paid) / whole
    flips_at = None if flips < 0 else flips
    at = _flip(flips_at, gettext("this plan would pay without them, too"))
    text = gettext(
        "Suppliers pay {value} of the discounts, as promolift.toml states: {at}.",
        value=percent(value),
        at=translate(at),
    )
    return Assumption(name="supplier_share", value=value, flips_at=flips_at, text=text)


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
    at = percent(flips)
    if response.level == "assumed":
        how = pgettext("assumptions", "assumed")
    else:
        how = gettext("read from past shelf prices, not proven by an experiment")
    turn = gettext("at {at} of it this plan would earn nothing", at=at)
    never = gettext("it would pay without any")
    end = never if flips is None else turn
    text = gettext("The response to discounts is {how}: {end}.", how=how, end=end)
    return Assumption(name="response", value=1.0, flips_at=flips, text=text)


def _reach(value: float, chosen: pl.DataFrame, luck: float) -> Assumption | None:
    """Coupons of which no model says how many are used."""
    unseen = (pl.col("activation") != "automatic") & pl.col("coupon_prob").is_null()
    rows = chosen.filter(unseen | ((pl.col("benefit") != "percent_off") & (pl.col("activation") != "automatic")))
    if rows.is_empty():
        return None
    part = float((rows["added_cents"] - rows["subsidy_cents"]).sum())
    left = 1 - (_gain(chosen) - luck) / part if part > 0 else -1.0
    flips = value * left if left > 0 else None
    at = _flip(flips, gettext("fewer would not turn the plan"))
    text = gettext("{value} of customers notice a coupon: {at}.", value=percent(value), at=translate(at))
    return Assumption(name="coupon_reach", value=value, flips_at=flips, text=text)


def _sending(stated: effects.ValueSettings, chosen: pl.DataFrame, currency: str, luck: float) -> Assumption:
    """What a message costs, in minor units, and from which cost on the whole plan earns nothing."""
    value = float(chosen["send_cost_cents"].mean() or 0.0)  # type: ignore[arg-type]
    flips = value + (_gain(chosen) - luck) / chosen.height
    cost, at = money(value, currency), money(flips, currency)
    own = value > 0 or "send_cost_cents" in stated.model_fields_set
    source = gettext("as promolift.toml states") if own else gettext("since value.send_cost_cents is not stated")
    text = gettext(
        "A message costs {cost}, {source}: at {at} this plan would earn nothing.", cost=cost, source=source, at=at
    )
    return Assumption(name="send_cost", unit="money", value=value, flips_at=flips, text=text)


def _stretch(value: float, chosen: pl.DataFrame) -> Assumption | None:
    if (chosen["benefit"].is_in(["percent_off", "fixed_price"])).all():
        return None
    text = gettext(
        "{value} of orders just below a threshold are filled up to it: nothing in the log varies it.",
        value=percent(value),
    )
    return Assumption(name="stretch_share", value=value, flips_at=None, text=text)
