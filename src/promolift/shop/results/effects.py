"""Stored results of the effect step: the discount response, its checks, and the models that could not be fitted."""

from collections.abc import Mapping, Sequence
from math import expm1, log1p
from typing import ClassVar, Self

import polars as pl

from promolift.core.effects.offer_value.discount_response import DiscountResponse
from promolift.foundation.evidence import Z95, Level
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.lazy_message import LazyMessage
from promolift.foundation.settings import Settings
from promolift.foundation.storage.local_store import Store
from promolift.foundation.storage.stored_model import Note
from promolift.shop.results.histograms import nulls_for_non_finite, rows_as

DEPTH = 0.2  # the discount at which categories are compared for people
MAIN = gettext_noop("discount now")  # the row of the placebo table that is the effect itself


class MissingModels(Note):
    """Why a model could not be fitted, by its name; None where it was."""

    NAME: ClassVar[str] = "no_model"
    redemption: LazyMessage | None = None


def load_response(store: Store) -> DiscountResponse:
    """Load the discount response of this work folder. StepError if there is none yet."""
    return DiscountResponse.from_dict(store.load_json("response"))


def load_half_responses(store: Store) -> list[DiscountResponse]:
    """Load the responses of the two halves of the customers; empty if the response is only assumed."""
    return [DiscountResponse.from_dict(half) for half in store.load_json("halves")]


def save_responses(store: Store, main: DiscountResponse, each_half: Sequence[DiscountResponse]) -> None:
    """Save the discount response and the responses of the two halves."""
    store.save_json("response", main.to_dict())
    store.save_json("halves", [half.to_dict() for half in each_half])


class CurvePoint(Settings):
    """The change of demand at a discount of `depth` of the price, both shares, from so many cells of the panel."""

    depth: float
    lift: float
    low: float | None
    high: float | None
    cells: int


class CurveGroup(Settings):
    """The discount curve of some customers, the smallest discount first."""

    group: str
    points: tuple[CurvePoint, ...]

    @property
    def cells(self) -> int:
        return sum(point.cells for point in self.points)

    def lift_at(self, depth: float) -> float:
        """The change of demand at a depth, from the nearest point of the curve: demand grows by exp(response depth)."""
        near = min(self.points, key=lambda point: abs(point.depth - depth))
        return expm1(log1p(near.lift) * depth / near.depth)


class Placebo(Settings):
    """An effect that cannot exist, on the scale of the effect itself, which stands beside it as `main`.

    `main_share` is its size as a part of the main effect; None where that is none or not known.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    meaning: str | None
    main: bool
    main_share: float | None

    @property
    def passed(self) -> bool | None:
        """Whether the interval holds zero; None where there is none."""
        return None if self.low is None or self.high is None else self.low <= 0 <= self.high


class CategoryResponse(Settings):
    """The response of a category, log of demand per unit of depth, with its 95 % interval."""

    category: str
    response: float
    low: float | None
    high: float | None
    cells: int

    @property
    def lift(self) -> float:
        return expm1(DEPTH * self.response)

    @property
    def lift_low(self) -> float | None:
        return None if self.low is None else expm1(DEPTH * self.low)

    @property
    def lift_high(self) -> float | None:
        return None if self.high is None else expm1(DEPTH * self.high)


class ResponseFigures(Settings):
    """What a discount does, for people to read; `why` says where the evidence `level` comes from.

    A discount d multiplies demand by exp(`beta` d). Of that, `new_share` is not only bought earlier. One standard
    deviation more of price sensitivity adds `beta_z`, `beta_z_errors` times its standard error (None: not known).
    Read from so many `cells` (a customer's week in a category) of `customers`. `categories`: the strongest first.
    """

    level: Level
    why: LazyMessage
    beta: float
    beta_se: float
    new_share: float | None
    beta_z: float
    beta_z_errors: float | None
    cells: int
    customers: int
    curve: tuple[CurveGroup, ...] = ()
    placebos: tuple[Placebo, ...] = ()
    categories: tuple[CategoryResponse, ...] = ()

    @property
    def tests(self) -> tuple[Placebo, ...]:
        """The placebos without the effect itself."""
        return tuple(each for each in self.placebos if not each.main)

    @property
    def tests_made(self) -> int:
        return len(self.tests)

    @property
    def tests_passed(self) -> int:
        return sum(each.passed is True for each in self.tests)

    @property
    def strongest(self) -> CurveGroup | None:
        """The group that answers most, beside everybody; None without groups."""
        return max(self.curve[1:], key=lambda group: (group.points[-1].lift, group.group), default=None)

    def lift_at(self, depth: float) -> float:
        """What everybody's demand changes by at a depth: by the curve, or by the response alone without one."""
        return self.curve[0].lift_at(depth) if self.curve else expm1(self.beta * depth)

    @property
    def categories_read(self) -> int:
        return len(self.categories)

    @property
    def categories_sure(self) -> int:
        return sum(each.low is not None and each.low > 0 for each in self.categories)

    @classmethod
    def of(cls, found: DiscountResponse, names: Mapping[str, str]) -> Self:
        """`names`: the targets to be told of, as they are printed."""
        curve = nulls_for_non_finite(found.curve).drop_nulls(["depth", "lift"])
        return cls(
            level=found.level, why=found.why, beta=found.beta, beta_se=found.beta_se,
            new_share=1 + found.later / found.beta if found.beta else None,
            beta_z=found.beta_z, beta_z_errors=found.beta_z / found.beta_z_se if found.beta_z_se else None,
            cells=found.cells, customers=found.customers,
            curve=tuple(
                CurveGroup(group=name, points=rows_as(CurvePoint, rows.sort("depth")))
                for (name,), rows in curve.group_by("group", maintain_order=True)
            ),
            placebos=_placebos(nulls_for_non_finite(found.placebo).drop_nulls("value")),
            categories=_categories(found.targets, names),
        )  # fmt: skip


def _placebos(rows: pl.DataFrame) -> tuple[Placebo, ...]:
    main = next(iter(rows.filter(pl.col("name") == MAIN)["value"]), None)
    part = (pl.col("value") / main).abs() if main else pl.lit(None, pl.Float64)
    return rows_as(Placebo, rows.with_columns(main=pl.col("name") == MAIN, main_share=part))


def _categories(targets: pl.DataFrame, names: Mapping[str, str]) -> tuple[CategoryResponse, ...]:
    known = nulls_for_non_finite(targets).drop_nulls("response").filter(pl.col("target").is_in(list(names)))
    rows = known.with_columns(
        pl.col("target").replace_strict(names, return_dtype=pl.String).alias("category"),
        low=pl.col("response") - Z95 * pl.col("response_se"), high=pl.col("response") + Z95 * pl.col("response_se"),
    )  # fmt: skip
    return rows_as(CategoryResponse, rows.sort(["response", "category"], descending=[True, False]))
