"""List the assumptions behind a plan's gain, each with the value at which the gain would be zero."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import polars as pl
from scipy.optimize import brentq

from promolift.core import effects
from promolift.foundation.evidence import Level
from promolift.shop.results.plan_note import Assumption, AssumptionName, AssumptionSource

THRESHOLDS = ("amount_off", "free_shipping")  # benefits that an order must reach a sum for
MOST_OF_COST = 100.0  # times what was taken, up to which a cost is tried


class Lever(NamedTuple):
    """A number that the plan's value was computed with: what was taken, the values that it may have, and the value of
    the plan as it stands at each of them. `source` is where the number comes from.
    """

    name: AssumptionName
    taken: float
    low: float
    high: float
    value_at: Callable[[float], float]
    source: AssumptionSource = "stated"
    unit: Literal["share", "money"] = "share"

    def flips_at(self) -> float | None:
        """The nearest number at which the plan earns nothing, by bisection to either side."""
        now, found = self.value_at(self.taken), list[float]()
        for end in (self.low, self.high):
            if end != self.taken and now * self.value_at(end) < 0:
                found.append(float(brentq(self.value_at, self.taken, end, xtol=1e-12)))
        return min(found, key=lambda x: abs(x - self.taken), default=None)


@dataclass(frozen=True)
class ScaledPrior:
    """The response that each row of a plan was valued with; `prior_response` is that of offers with a threshold."""

    level: Level
    prior_response: float
    prior_se: float

    def respond(self, candidates: pl.DataFrame) -> pl.DataFrame:
        return candidates


def list_assumptions(
    chosen: pl.DataFrame,
    response: effects.DiscountResponse,
    stated: effects.ValueSettings,
    costs_known: bool,
    luck_cents: float = 0.0,
    drawn: bool = False,
    drawers: Sequence[str] = (),
) -> tuple[Assumption, ...]:
    """Each number that nobody measured and that moves the gain of `chosen`; none for an empty plan.

    Every number that the gain was computed with is perturbed until the plan as it stands earns nothing. `costs_known`:
    whether any product has a cost; without, the margin is the stated one. `luck_cents` is what luck in the choice takes
    off the gain. Errors of the response are what a choice is lucky by, so it is taken off what is added, in proportion
    to the response. `drawers` drew their offers, `drawn` says that all did: their gains are what is believed of each
    line, so no response, reach or stretch was assumed for them. A plan that is expected to lose stands on what a drawn
    message is believed to add, and on nothing else.
    """
    if chosen.is_empty():
        return ()
    return tuple(
        Assumption(name=each.name, unit=each.unit, value=each.taken, flips_at=each.flips_at(), source=each.source)
        for each in find_levers(chosen, response, stated, costs_known, luck_cents, drawn, drawers)
    )


def find_levers(
    chosen: pl.DataFrame,
    response: effects.DiscountResponse,
    stated: effects.ValueSettings,
    costs_known: bool,
    luck: float = 0.0,
    drawn: bool = False,
    drawers: Sequence[str] = (),
) -> list[Lever]:
    """Every number that moves the gain of `chosen` rows; see `list_assumptions`."""
    by_draw = pl.col("customer_id").is_in(list(drawers)) if drawers else pl.lit(drawn)
    modelled, sampled = chosen.filter(~by_draw), chosen.filter(by_draw)
    value = _gain(chosen) - luck
    if value <= 0:
        levers = [_message(sampled, value)] if drawers or drawn else []
    else:
        levers = [
            None if costs_known else _margin(stated, chosen, luck),
            _suppliers(chosen, value),
            _response(modelled, response, stated, luck, value),
            _reach(stated, modelled, value),
            _stretch(stated, modelled, response, value),
            _delivery(stated, modelled, response, value),
            _sending(stated, chosen, value),
            _message(sampled, value) if drawers else None,
        ]
    return [lever for lever in levers if lever is not None]


def _gain(chosen: pl.DataFrame) -> float:
    return float(chosen["gain_cents"].sum())


def _sum(values: pl.Series) -> float:
    return float(values.sum() or 0.0)


def _margin(stated: effects.ValueSettings, chosen: pl.DataFrame, luck: float) -> Lever:
    taken, cost = stated.margin_rate, _sum(chosen["cost_cents"])
    added, rows = _gain(chosen) + cost, chosen.filter(pl.col("margin_rate") > 0)
    sold = _sum((rows["gain_cents"] + rows["cost_cents"]) / rows["margin_rate"])  # list value that the offers add
    kept = 1 - luck / added if added > 0 else 1.0
    own = "margin_rate" in stated.model_fields_set
    source: AssumptionSource = "stated" if own else "usual"

    def gain(margin: float) -> float:
        return kept * (added + (margin - taken) * sold) - cost

    return Lever("margin", taken, 0.0, 1.0, gain, source)


def _suppliers(chosen: pl.DataFrame, value: float) -> Lever | None:
    """Of a benefit B the shop pays (1 - s) B, whatever part s each line states."""
    rows = chosen.filter((pl.col("supplier_share") > 0) & (pl.col("supplier_share") < 1))
    own = rows["cost_cents"] - rows["send_cost_cents"]  # as draws showed it, where an offer was drawn
    paid, whole = _sum(own), _sum(own / (1 - rows["supplier_share"]))
    if whole <= 0 and (chosen["supplier_share"] >= 1).any():
        return Lever("supplier_share", 1.0, 1.0, 1.0, lambda share: value, "whole")
    if whole <= 0:
        return None
    taken = 1 - paid / whole
    return Lever("supplier_share", taken, 0.0, 1.0, lambda share: value + paid - (1 - share) * whole)


def _response(
    modelled: pl.DataFrame, response: effects.DiscountResponse, stated: effects.ValueSettings, luck: float, value: float
) -> Lever | None:
    """The part of the expected response: of percentages as each was valued, of thresholds by the prior."""
    measured = response.level == "randomised"
    percents = modelled.filter(pl.col("benefit") == "percent_off") if not measured else modelled.clear()
    if percents.is_empty() and not _thresholds(modelled).height:
        return None
    scaled, prior = effects.gain_by_response_scale(percents), _revalue(modelled, response, stated)
    own, base = scaled(1.0), prior()

    def value_at(part: float) -> float:
        lost = luck * (1 - part)  # errors of the response are what a choice is lucky by
        return value + scaled(part) - own + prior(part) - base + lost

    assumed = response.level == "assumed" or percents.is_empty()
    return Lever("response", 1.0, 0.0, 1.0, value_at, "assumed" if assumed else "read")


def _thresholds(modelled: pl.DataFrame) -> pl.DataFrame:
    known = {"orders_expected", "basket_mean_cents", "basket_sd_cents", "amount_cents"} <= {*modelled.columns}
    return modelled.filter(pl.col("benefit").is_in(THRESHOLDS)) if known else modelled.clear()


def _revalue(
    modelled: pl.DataFrame, response: effects.DiscountResponse, stated: effects.ValueSettings
) -> Callable[..., float]:
    """The gain of offers with a threshold at a part of the prior response and with other settings, as `add_effects`
    values them.
    """
    rows = _thresholds(modelled)
    made = ["gain_cents", "gain_se_cents", "cost_cents", "added_cents", "subsidy_cents", "redeem_prob", "evidence",
            "coupon_prob", "reach", "parts"]  # fmt: skip
    bare = rows.drop(made, strict=False)

    def gain(part: float = 1.0, **other: float) -> float:
        if bare.is_empty():
            return 0.0
        model = ScaledPrior(response.level, part * response.prior_response, response.prior_se)
        return _gain(effects.add_effects(bare, model, None, stated.model_copy(update=other)))

    return gain


def _reach(stated: effects.ValueSettings, modelled: pl.DataFrame, value: float) -> Lever | None:
    """Coupons of which no model says how many are used."""
    if modelled.is_empty():
        return None
    taken = stated.coupon_reach
    unseen = (pl.col("activation") != "automatic") & pl.col("coupon_prob").is_null()
    rows = modelled.filter(unseen | ((pl.col("benefit") != "percent_off") & (pl.col("activation") != "automatic")))
    if rows.is_empty():
        return None
    part = _sum(rows["added_cents"] - rows["subsidy_cents"])

    return Lever("coupon_reach", taken, 0.0, taken, lambda reach: value + part * (reach / taken - 1))


def _stretch(
    stated: effects.ValueSettings, modelled: pl.DataFrame, response: effects.DiscountResponse, value: float
) -> Lever | None:
    """Orders that are filled up to a threshold."""
    if modelled.filter(~pl.col("benefit").is_in(["percent_off", "fixed_price", "reminder"])).is_empty():
        return None
    taken, revalued = stated.stretch_share, _revalue(modelled, response, stated)
    base = revalued()

    return Lever("stretch_share", taken, 0.0, 1.0, lambda share: value + revalued(stretch_share=share) - base)


def _delivery(
    stated: effects.ValueSettings, modelled: pl.DataFrame, response: effects.DiscountResponse, value: float
) -> Lever | None:
    """What a free delivery costs the shop."""
    taken = float(stated.delivery_cost_cents)
    if taken <= 0 or _thresholds(modelled).filter(pl.col("benefit") == "free_shipping").is_empty():
        return None
    revalued = _revalue(modelled, response, stated)
    base = revalued()
    source: AssumptionSource = "stated" if "delivery_cost_cents" in stated.model_fields_set else "unset"

    def value_at(cost: float) -> float:
        return value + revalued(delivery_cost_cents=cost) - base

    return Lever("delivery_cost", taken, taken, MOST_OF_COST * taken, value_at, source, "money")


def _sending(stated: effects.ValueSettings, chosen: pl.DataFrame, value: float) -> Lever:
    """What a message costs, in minor units."""
    taken, messages = _sum(chosen["send_cost_cents"]) / chosen.height, chosen.height
    own = taken > 0 or "send_cost_cents" in stated.model_fields_set
    source: AssumptionSource = "stated" if own else "unset"
    high = taken + 2 * value / messages
    return Lever("send_cost", taken, taken, high, lambda cost: value - (cost - taken) * messages, source, "money")


def _message(sampled: pl.DataFrame, value: float) -> Lever | None:
    """What an offer that is drawn adds before its cost, as believed, a reminder among them."""
    if sampled.is_empty():
        return None
    messages, taken = sampled.height, (_gain(sampled) + _sum(sampled["cost_cents"])) / sampled.height
    reach = 2 * abs(value) / messages + 1e-9
    return Lever(
        "message_effect", taken, taken - reach, taken + reach, lambda added: value + (added - taken) * messages,
        unit="money",
    )  # fmt: skip
