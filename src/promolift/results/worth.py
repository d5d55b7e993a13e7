"""A plan's chosen offers in; how its gain comes about out: what would be bought anyway, what more, margin and costs."""

from typing import Self

import polars as pl

from promolift import effect
from promolift.settings import Settings


class Worth(Settings):
    """How the promised gain of a plan comes about, in minor units.

    `anyway_cents` is what those with an offer are expected to buy in the window of what it is on, at full price and
    without it; `more_cents` what they buy beyond that, without what is only bought earlier; both None where not every
    offer is a percentage off, as orders beyond a threshold are not split so. `margin_cents` is the margin of what is
    bought more; `discount_cents` and `send_cents` what the discounts and telling cost the shop. `small`: offers whose
    gain is below `small_below_cents`.
    """

    offers: int
    anyway_cents: float | None
    more_cents: float | None
    margin_cents: float
    discount_cents: float
    send_cents: float
    gain_cents: float
    small: int
    small_below_cents: float

    @classmethod
    def of(cls, chosen: pl.DataFrame, small_below_cents: float) -> Self | None:
        """From the plan's `chosen`; None for an empty plan."""
        if chosen.is_empty():
            return None
        rows, anyway, more = effect.unfold(chosen), None, None
        if (rows["benefit"] == "percent_off").all() and "response_net" in rows.columns:
            base = pl.col("base_cents") * pl.col("reach")
            grown = base * ((pl.col("response_net") * pl.col("depth")).exp() - 1)
            anyway, more = (float(x) for x in rows.select(base.sum(), more=grown.sum()).row(0))
        totals = {name: float(chosen[f"{name}_cents"].sum()) for name in ("added", "subsidy", "cost", "gain")}
        return cls(
            offers=chosen.height, anyway_cents=anyway, more_cents=more, margin_cents=totals["added"],
            discount_cents=totals["subsidy"], send_cents=totals["cost"] - totals["subsidy"], gain_cents=totals["gain"],
            small=chosen.filter(pl.col("gain_cents") < small_below_cents).height, small_below_cents=small_below_cents,
        )  # fmt: skip
