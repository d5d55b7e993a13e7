"""Check features, treatments and outcomes of a trial and convert them to plain arrays.

Legend: N customers, F encoded features, K treatments, A = K + 1 arms (arm 0 is control).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from promolift.foundation.errors import InputError
from promolift.foundation.evidence import Level
from promolift.foundation.frames import as_frame, is_pandas
from promolift.foundation.hashing import hash_int, mix_bits
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Features = pl.DataFrame | NDArray[np.generic]
Family = Literal["binary", "count", "real"]
MAX_FEATURE_VALUE = 1e100  # features beyond are held here: their squares must stay numbers
CHUNK_ROWS = 200_000  # rows whose wide design matrix is held at once
T = TypeVar("T")
MAX_LEVELS = 20  # values of a text column that get a column of their own; the rarer ones share "other"


@dataclass(frozen=True)
class Effect:
    """What each treatment adds to the outcome of each customer over control, its standard error, the evidence level
    and the reason for it."""

    gain_NK: Floats
    se_NK: Floats
    level: Level
    reason: str = ""


@dataclass(frozen=True)
class FeatureColumn:
    """How one column becomes numbers: itself, or one 0/1 column for each of `levels` and one for all others."""

    name: str
    levels: tuple[str, ...] | None


@dataclass(frozen=True)
class FeatureEncoder:
    """Frames or arrays of the training's columns to x_NF; missing stays NaN. Text unseen in training is "other"."""

    columns: tuple[FeatureColumn, ...]

    @property
    def names(self) -> list[str]:
        return [
            name
            for column in self.columns
            for name in (
                [column.name]
                if column.levels is None
                else [*(f"{column.name} = {level}" for level in column.levels), f"{column.name} = other"]
            )
        ]

    @property
    def owners(self) -> list[str]:
        """The column that each encoded feature is made of."""
        return [c.name for c in self.columns for _ in range(1 if c.levels is None else len(c.levels) + 1)]

    def encode(self, features: Features) -> Floats:
        """x_NF. Raises InputError if a column of the training is missing or cannot be read as its kind."""
        frame = _frame(features)
        parts: list[Floats] = []
        for column in self.columns:
            if column.name not in frame.columns:
                raise InputError(
                    "column_missing",
                    gettext_lazy(
                        "features: no column {name}, which the model was trained with", name=repr(column.name)
                    ),
                )
            parts.extend(_encode(frame[column.name], column))
        return np.column_stack(parts) if parts else np.zeros((frame.height, 0))


@dataclass(frozen=True)
class TrialArrays:
    """Checked arrays of one experiment. `prob_NA`: each arm's propensity; `key_N` ties folds to a row's own values."""

    x_NF: Floats
    arm_N: Ints
    outcome_N: Floats
    prob_NA: Floats
    key_N: NDArray[np.uint64]
    names: tuple[str, ...]

    @property
    def arms(self) -> int:
        return int(self.prob_NA.shape[1])


def fit_encoder(features: Features) -> FeatureEncoder:
    """Learn the columns: numbers, dates and booleans stay one column, text becomes 0/1 columns of its values."""
    frame = _frame(features)
    return FeatureEncoder(tuple(_column(frame[name]) for name in frame.columns))


def row_keys(x_NF: Floats, seed: int) -> NDArray[np.uint64]:
    """A hash of each row's values and, for equal rows, of how often they came before: any row order, equal folds."""
    words = np.ascontiguousarray(x_NF).view(np.uint64).astype(np.uint64)
    key_N = np.full(len(words), hash_int("row", seed), dtype=np.uint64)
    for f in range(words.shape[1]):
        key_N = mix_bits(key_N ^ words[:, f])
    order = np.argsort(key_N, kind="stable")
    same = np.r_[False, key_N[order][1:] == key_N[order][:-1]]
    starts = np.where(~same, np.arange(len(order)), 0)
    copy_N = np.empty(len(order), dtype=np.uint64)
    copy_N[order] = (np.arange(len(order)) - np.maximum.accumulate(starts)).astype(np.uint64)
    return mix_bits(key_N + copy_N * np.uint64(0x9E3779B97F4A7C15))


def chunks(rows: int) -> list[slice]:
    """Slices of at most CHUNK_ROWS, so that wide design matrices of many rows are never held at once."""
    return [slice(start, start + CHUNK_ROWS) for start in range(0, max(rows, 1), CHUNK_ROWS)]


def finite_vector(values: ArrayLike, name: str) -> Floats:
    """A vector of finite numbers, or an InputError that says where it is not."""
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            "value_invalid", gettext_lazy("{name}: not numbers; give one number for each customer", name=name)
        ) from None
    if found.ndim != 1:
        raise InputError(
            "shape_invalid",
            gettext_lazy(
                "{name}: has {ndim} dimensions; give one number for each customer", name=name, ndim=found.ndim
            ),
        )
    wrong = np.flatnonzero(~np.isfinite(found))
    if wrong.size:
        raise InputError(
            "value_not_finite",
            gettext_lazy(
                "{name}: {size} of {found_size} values are missing or infinite, first at {wrong}",
                name=name,
                size=wrong.size,
                found_size=found.size,
                wrong=wrong[0],
            ),
        )
    return found


class CachedRows:
    """Rows, and what several models ask of them (basis columns, codes, expected outcomes), worked out once."""

    def __init__(self, x_NF: Floats) -> None:
        self.x_NF = x_NF
        self._known: dict[int, Any] = {}

    def cached(self, of: object, work: Callable[[Floats], T]) -> T:
        """What `of` makes of the rows."""
        if id(of) not in self._known:
            self._known[id(of)] = work(self.x_NF)
        found: T = self._known[id(of)]
        return found


class NamedArms(NamedTuple):
    """Arm numbers, and the arms' names where they were given by name."""

    arm_N: ArrayLike
    names: tuple[str, ...]


def encode_arms(treatment_N: ArrayLike, control: str | None) -> NamedArms:
    """Numbers as they are; names as numbers, `control` 0 and the others by the alphabet. InputError names the arms."""
    given = np.asarray(treatment_N)
    if given.dtype.kind not in "OUST" or (given.dtype.kind == "O" and not any(isinstance(v, str) for v in given.flat)):
        return NamedArms(treatment_N, ())
    gone = sum(value is None or value != value for value in given.flat)
    if gone:
        raise InputError(
            "value_missing",
            gettext_lazy(
                "treatment: {gone} of {size} are missing; say who got what, or take these rows out",
                gone=gone,
                size=given.size,
            ),
        )
    text = given.astype(str)
    names = sorted(set(text.flat))
    known = f"{', '.join(names[:10])}{', ...' if len(names) > 10 else ''}"
    if control is None:
        raise InputError(
            "control_missing",
            gettext_lazy("treatment: text; say which is no treatment with control=, one of {known}", known=known),
        )
    if control not in names:
        raise InputError(
            "control_unknown",
            gettext_lazy(
                "treatment: control {control} is no treatment here: {known}", control=repr(control), known=known
            ),
        )
    order = (control, *(name for name in names if name != control))
    return NamedArms(np.array([order.index(name) for name in text], dtype=np.int64), order)


def _frame(features: Features) -> pl.DataFrame:
    if isinstance(features, pl.DataFrame) or is_pandas(features):
        return as_frame(features, "features")
    values = np.asarray(features)
    if values.ndim != 2:
        raise InputError(
            "shape_invalid",
            gettext_lazy(
                "features: {ndim} dimensions; give a frame or an array of customers x features", ndim=values.ndim
            ),
        )
    return pl.DataFrame({f"x{f}": values[:, f] for f in range(values.shape[1])})


def _column(values: pl.Series) -> FeatureColumn:
    if values.dtype.is_numeric() or values.dtype.is_temporal() or values.dtype in (pl.Boolean, pl.Null):
        return FeatureColumn(values.name, None)
    counts = values.cast(pl.String).drop_nulls().value_counts().sort(["count", values.name], descending=[True, False])
    return FeatureColumn(values.name, tuple(sorted(counts[values.name].head(MAX_LEVELS).to_list())))


def _encode(values: pl.Series, column: FeatureColumn) -> list[Floats]:
    if column.levels is None:
        physical = values.to_physical() if values.dtype.is_temporal() else values
        try:
            found = physical.cast(pl.Float64).to_numpy().astype(np.float64)
        except pl.exceptions.PolarsError:
            raise InputError(
                "column_type_wrong",
                gettext_lazy(
                    "features: column {name} held numbers in training, now {dtype}",
                    name=repr(column.name),
                    dtype=values.dtype,
                ),
            ) from None
        return [np.where(np.isfinite(found), np.clip(found, -MAX_FEATURE_VALUE, MAX_FEATURE_VALUE), np.nan)]
    text = values.cast(pl.String)
    known = [(text == level).cast(pl.Float64) for level in column.levels]
    rest = (~text.is_in(list(column.levels))).cast(pl.Float64)
    return [each.to_numpy().astype(np.float64) for each in [*known, rest]]


def holm_adjust(p_T: Floats) -> Floats:
    """p values adjusted for all being looked at together (Holm 1979)."""
    order = np.argsort(p_T, kind="stable")
    stepped = np.maximum.accumulate(p_T[order] * np.arange(len(p_T), 0, -1))
    out = np.empty(len(p_T))
    out[order] = np.minimum(stepped, 1.0)
    return out
