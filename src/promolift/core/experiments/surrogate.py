"""Predict the margin that customers bring after a moment, from sales by customer and day.

Fitted on earlier moments of the same log, so that a window's end tells what the weeks after it will bring: a surrogate
index (Athey, Chetty, Imbens, Kang 2019). A return after a long pause is worth what past returns were worth; a purchase
that only came earlier is followed by the pause that such purchases were followed by.

Sales: customer_id, day (whole days), value_cents (margin, what offers cost taken off), coupon_cents; a row per day.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import lightgbm
import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]
SPANS = (28, 56, 112, 364)
FEATURES = (
    "recency", "tenure", "gap", *(f"{what}_{days}" for what in ("orders", "value") for days in SPANS), "per_order",
)  # fmt: skip
RECENCY = ("active", "slowing", "lapsed", "long lapsed")
EDGES = (28.0, 56.0, 112.0)  # days away from which the next name holds, for those whose own rhythm is not slower
RHYTHM = (2.0, 3.0, 5.0)  # the same in multiples of their own typical gap
SLOWEST = 45.0  # a typical gap is taken to be no longer: who comes twice a year is not active for ten months
FEW, EVERYBODY = 160, "all customers"  # customers below which groups would be too small to compare anything in
MOMENTS = 6  # earlier moments that are learned from, a window apart
TREES: dict[str, Any] = {
    "objective": "regression", "num_leaves": 15, "min_data_in_leaf": 40, "learning_rate": 0.08, "num_threads": 1,
    "deterministic": True, "force_row_wise": True, "seed": 0, "verbose": -1,
}  # fmt: skip


class Spans(NamedTuple):
    """Days of a window, and of the horizon over which an offer's value is counted, the window among them."""

    window: int
    horizon: int


class ExpectedMargin(NamedTuple):
    """Margin in cents that customers are expected to bring in the window, in the horizon, and in the horizon's rest if
    it began now."""

    window_N: Floats
    horizon_N: Floats
    rest_N: Floats


@dataclass(frozen=True, eq=False)
class SurrogateModel:
    """A fitted model of the margin of the weeks ahead. `sd` is the spread, by group, of what came in a window and is
    expected of its end, around what was expected before it; `away` the share without a purchase in the window, by
    group, and `comeback` how much more those brought in the horizon who made one.
    """

    spans: Spans
    trees: tuple[lightgbm.Booster, lightgbm.Booster, lightgbm.Booster]
    sd: dict[str, float]
    away: dict[str, float]
    comeback: dict[str, float]

    def predict(self, known: pl.DataFrame) -> ExpectedMargin:
        x = known.select(FEATURES).to_numpy()
        return ExpectedMargin(*(np.asarray(tree.predict(x, num_threads=1), dtype=np.float64) for tree in self.trees))


def features(sales: pl.DataFrame, day: int) -> pl.DataFrame:
    """customer_id, FEATURES and `group` of everybody with a purchase before `day`, in order of customer_id."""
    past = sales.filter(pl.col("day") < day).with_columns(age=day - pl.col("day"))
    rows = past.group_by("customer_id").agg(
        pl.col("age").min().cast(pl.Float64).alias("recency"),
        pl.col("age").max().cast(pl.Float64).alias("tenure"),
        pl.len().alias("orders"),
        *((pl.col("age") <= span).sum().cast(pl.Float64).alias(f"orders_{span}") for span in SPANS),
        *(
            pl.col("value_cents").filter(pl.col("age") <= span).sum().cast(pl.Float64).alias(f"value_{span}")
            for span in SPANS
        ),
        pl.col("value_cents").mean().alias("per_order"),
    )
    gap = pl.when(pl.col("orders") > 1).then((pl.col("tenure") - pl.col("recency")) / (pl.col("orders") - 1))
    return add_activity_group(rows.with_columns(gap.fill_null(28.0).alias("gap"))).sort("customer_id")


def add_activity_group(rows: pl.DataFrame) -> pl.DataFrame:
    """With `group`: how long a customer has been away against their own rhythm, and whether they are worth more than
    the middle of those alike; everybody is one group where there are fewer than FEW."""
    if rows.height < FEW:
        return rows.with_columns(group=pl.lit(EVERYBODY))
    gap = pl.min_horizontal("gap", pl.lit(SLOWEST))
    ends = [pl.max_horizontal(pl.lit(edge), times * gap) for edge, times in zip(EDGES, RHYTHM, strict=True)]
    late = pl.sum_horizontal((pl.col("recency") >= end).cast(pl.Int64) for end in ends)
    name = late.replace_strict(dict(enumerate(RECENCY)), return_dtype=pl.String)
    worth = pl.col("per_order") * pl.col("orders").clip(upper_bound=10)
    named = rows.with_columns(name.alias("group"), worth.alias("worth"))
    high = pl.col("worth") > pl.col("worth").median().over("group")
    half = pl.when(high).then(pl.lit("high value")).otherwise(pl.lit("low value"))
    return named.with_columns(pl.format("{}, {}", "group", half).alias("group")).drop("worth")


def value_between(sales: pl.DataFrame, people: pl.Series, first: int, last: int) -> Floats:
    """Margin of `people` from day `first` until before day `last`."""
    each = sales.filter(pl.col("day").is_between(first, last, closed="left")).group_by("customer_id")
    rows = pl.DataFrame({"customer_id": people}).join(
        each.agg(pl.col("value_cents").sum()), on="customer_id", how="left", maintain_order="left"
    )
    return rows["value_cents"].fill_null(0).cast(pl.Float64).to_numpy()


def fit_surrogate(sales: pl.DataFrame, day: int, spans: Spans) -> SurrogateModel:
    """Learned from what followed earlier moments, all of it before `day`. SupportError where nobody bought.

    In a log shorter than two windows and the horizon, shorter spans are learned from and what came is scaled up.
    """
    first = int(sales["day"].min()) if sales.height else day  # type: ignore[arg-type]
    if not features(sales, day).height:
        raise SupportError(
            "too_few_purchases",
            gettext_lazy("nobody bought anything before the first draw, so nothing can be expected of the weeks ahead"),
        )
    scale = min(1.0, (day - first) / (spans.horizon + 2 * spans.window))
    seen = Spans(*(int(scale * span) for span in spans))
    if seen.window < 1:
        return _as_so_far(sales, day, day - first, spans)
    moments = [day - seen.horizon - k * seen.window for k in range(MOMENTS)]
    moments = [moment for moment in moments if moment - first >= 2 * seen.window] or [day - seen.horizon]
    known = [features(sales, moment) for moment in moments]
    ends = (seen.window, seen.horizon, seen.horizon - seen.window)
    x = np.concatenate([rows.select(FEATURES).to_numpy() for rows in known])
    came = [
        np.concatenate(
            [value_between(sales, rows["customer_id"], at, at + end) for rows, at in zip(known, moments, strict=True)]
        )
        for end in ends
    ]
    trees = tuple(_trees(x, y) for y in came)
    group = pl.concat([rows["group"] for rows in known])
    rest = np.concatenate(_surprises(known, came, trees))
    both = pl.Series([EVERYBODY]).extend_constant(EVERYBODY, len(group) - 1)  # for a shop that was smaller then
    seen_rows = pl.DataFrame({"group": group, "rest": rest, "away": came[0] == 0, "came": came[1]})
    by = pl.concat([seen_rows, seen_rows.with_columns(both.alias("group"))]).group_by("group")
    back = pl.col("came").filter(~pl.col("away")).mean() - pl.col("came").filter("away").mean()
    scaled = (spans.horizon / seen.horizon) * back.fill_null(0.0).clip(lower_bound=0.0)
    figures = by.agg(pl.col("rest").fill_nan(None).std().fill_null(0.0), pl.col("away").mean(), scaled.alias("back"))
    spread, away, comeback = (dict(figures.select("group", name).iter_rows()) for name in ("rest", "away", "back"))
    return SurrogateModel(spans, trees, spread, away, comeback)  # type: ignore[arg-type]


def _surprises(
    known: list[pl.DataFrame], came: list[Floats], trees: tuple[lightgbm.Booster, ...]
) -> list[Floats]:  # fmt: skip
    """Of each moment, the last first: what draws are judged by of a customer's value, less what was expected.

    A window ends where the moment after it begins. The last one's end was not looked at: NaN, or, where there is no
    other, all that came.
    """
    ends = np.cumsum([rows.height for rows in known])[:-1]
    window, horizon = (np.split(each, ends) for each in came[:2])
    expected = [np.asarray(trees[1].predict(rows.select(FEATURES).to_numpy(), num_threads=1)) for rows in known]
    found = [horizon[0] - expected[0]]
    for k in range(1, len(known)):
        later = known[k - 1].select("customer_id").with_columns(
            rest=pl.Series(np.asarray(trees[2].predict(known[k - 1].select(FEATURES).to_numpy(), num_threads=1)))
        )  # fmt: skip
        rest = known[k].select("customer_id").join(later, on="customer_id", how="left", maintain_order="left")["rest"]
        found.append(window[k] + rest.fill_null(0.0).to_numpy() - expected[k])
    if len(found) > 1:
        found[0] = np.full(len(found[0]), np.nan)
    return found


def _as_so_far(sales: pl.DataFrame, day: int, days: int, spans: Spans) -> SurrogateModel:
    """Of a log of a few days: everybody goes on as they began."""
    known = features(sales, day)
    x, rate = known.select(FEATURES).to_numpy(), known[f"value_{SPANS[-1]}"].to_numpy() / days
    ends = (spans.window, spans.horizon, spans.horizon - spans.window)
    return SurrogateModel(spans, tuple(_trees(x, end * rate) for end in ends), {}, {}, {})  # type: ignore[arg-type]


def _trees(x: Floats, y: Floats) -> lightgbm.Booster:
    return lightgbm.train(TREES, lightgbm.Dataset(x, y, params={"verbose": -1}), num_boost_round=60)
