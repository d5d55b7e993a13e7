"""Read a bank's file into features, outcomes and groups of customers, and report which columns were left out.

Protected columns, columns that leak an outcome and proxies of a protected group are no features. Legend: N customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from promolift.core.effects.trial_arrays import Floats, Ints
from promolift.core.experiments.group_gaps import joint_probability, proxy_score
from promolift.extensions.finance.leakage import find_leaks, roc_auc
from promolift.extensions.finance.results import LendingSettings
from promolift.foundation.errors import InputError
from promolift.foundation.files.column_types import infer_types
from promolift.foundation.files.table_files import read_trial_file
from promolift.foundation.hashing import hash_units
from promolift.foundation.i18n.catalogue import gettext_noop
from promolift.foundation.i18n.formatting import count, join_list
from promolift.foundation.i18n.lazy_message import SEMICOLON, LazyMessage, gettext_lazy, join_messages
from promolift.foundation.i18n.suggestion import suggest_nearest
from promolift.trials.analysis.settings import value_text

KEY_UNIQUENESS = 0.9  # texts with a value of their own for more of the rows name customers
MAX_PERIODS = 400  # periods that are told apart; more are taken together
HOLDOUT_SHARE, MIN_HOLDOUT_ROWS, MAX_HOLDOUT_SHARE = (
    0.05,
    500,
    1 / 3,
)  # rows decided on that the models do not see: of the latest periods
GROUP_QUANTILES = (1 / 3, 2 / 3)  # quantiles at which a protected number, such as an age, is cut into groups


LEAKS = gettext_noop("leaks {column}: only what came afterwards tells so much: {leak}")
STANDS_FOR = gettext_noop("stands for {group} (AUC {auc}, the bound is {bound})")


@dataclass(frozen=True)
class BankCustomers:
    """Rows of a file by their meaning; NaN where an outcome or an amount is not known.

    `features` are those that models may use; `groups` has a column of texts for each protected one. `block_N`: the
    period of each row, rising, or None. `amount_N` in minor units.
    """

    rows: pl.DataFrame
    who: pl.Series
    features: pl.DataFrame
    groups: pl.DataFrame
    taken_N: Floats
    defaulted_N: Floats
    amount_N: Floats
    months_N: Floats
    rate_N: Floats
    income_N: Floats
    block_N: Ints | None
    left_out: dict[str, LazyMessage]
    notes: tuple[str, ...]

    def select_rows(self, rows: Ints) -> "BankCustomers":
        """Some of them."""
        names = ("rows", "who", "features", "taken_N", "defaulted_N", "amount_N", "months_N", "rate_N", "income_N")
        arrays: dict[str, Any] = {name: getattr(self, name)[rows] for name in names}
        arrays["groups"] = self.groups[rows] if self.groups.width else self.groups
        return replace(self, **arrays, block_N=None if self.block_N is None else self.block_N[rows])

    def __len__(self) -> int:
        return self.rows.height


def read_customers(path: Path, settings: LendingSettings, like: BankCustomers | None = None) -> BankCustomers:
    """The customers of a file; outcomes are asked for but where there is a file they are to be `like`.

    InputError names the file and the column that is missing, or is not what it should be.
    """
    raw = read_trial_file(path)
    if raw.is_empty():
        raise InputError("table_empty", gettext_lazy("{path}: no rows", path=path))
    outcomes = [name for name in (settings.taken, settings.defaulted) if name]
    roles = {name: getattr(settings, name) for name in ("customer", "amount", "months", "rate", "income", "period")}
    named = [name for name in roles.values() if name] + [*settings.protected, *settings.ignore]
    for name in named + (outcomes if like is None else []):
        if name not in raw.columns:
            text = gettext_lazy(
                "{path}: no column {name}{near}",
                path=path,
                name=repr(name),
                near=suggest_nearest(name, raw.columns),
            )
            raise InputError(
                "column_unknown", gettext_lazy("{text}; it has {columns}", text=text, columns=", ".join(raw.columns))
            )
    frame, doubts = infer_types(raw, (*outcomes, settings.customer))
    size = frame.height
    block_N = _blocks(frame, settings.period)
    left = _left_out(frame, settings, outcomes) if like is None else like.left_out
    others = {*outcomes, *settings.ignore, settings.customer, settings.rate, *left}
    own = frame.select(name for name in frame.columns if name not in others)
    features = own if like is None else _alike(path, frame, like)
    factor = 10 ** _digits(settings.currency)
    rate_N = _numbers(path, frame, settings.rate, size)
    known = rate_N[~np.isnan(rate_N)]
    rate_N = rate_N / 100 if known.size and float(np.median(known)) > 1 else rate_N
    return BankCustomers(
        rows=frame,
        who=_who(raw, settings.customer),
        features=features,
        groups=pl.DataFrame([_group(frame[name], name, like) for name in settings.protected]),
        taken_N=_yes(path, frame, settings.taken, settings.taken_yes, "taken", like),
        defaulted_N=_yes(path, frame, settings.defaulted, settings.defaulted_yes, "defaulted", like),
        amount_N=_numbers(path, frame, settings.amount, size) * factor,
        months_N=_numbers(path, frame, settings.months, size),
        rate_N=rate_N,
        income_N=_numbers(path, frame, settings.income, size) * factor,
        block_N=block_N,
        left_out=dict(left),
        notes=tuple(doubts),
    )


def drop_unusable_features(found: BankCustomers, settings: LendingSettings, learned: Ints) -> BankCustomers:
    """The same without features that stand for a protected group, or that leak an outcome, as the `learned` rows tell.
    With what the features that are left tell of each group together, as a note."""
    some, left, notes = found.select_rows(learned), dict(found.left_out), [*found.notes]
    for name, why in find_proxies(some.features, some.groups, settings).items():
        left[name] = why
    for column, outcome_N in ((settings.taken, some.taken_N), (settings.defaulted, some.defaulted_N)):
        known = np.flatnonzero(~np.isnan(outcome_N))
        if column is None or min(outcome_N[known].sum(), len(known) - outcome_N[known].sum()) < 1:
            continue
        names = [name for name in some.features.columns if name not in left]
        keep = (*settings.known_before, *(n for n in (settings.rate, settings.amount, settings.months) if n))
        for leak in find_leaks(some.features[known].select(names), outcome_N[known], keep):
            left[leak.feature] = gettext_lazy(LEAKS, column=column, leak=leak.text)
    names = [name for name in some.features.columns if name not in left]
    if not names:
        raise InputError(
            "no_usable_features",
            gettext_lazy(
                "{path}: no feature is left to learn from: {reasons}",
                path=settings.path,
                reasons=join_messages(SEMICOLON, *left.values()) if left else "-",
            ),
        )
    for column in some.groups.columns:
        tells = _group_auc(some.features.select(names), some.groups[column], settings.least_customers)
        notes += [
            gettext_lazy("all features together tell {group} with an AUC of {auc}", group=group, auc=f"{value:.2f}")
            for group, value in tells.items()
        ]
    return replace(found, features=found.features.select(names), left_out=left, notes=tuple(notes))


def find_proxies(features: pl.DataFrame, groups: pl.DataFrame, settings: LendingSettings) -> dict[str, LazyMessage]:
    """Features that alone tell a protected group better than the bound, each with why it is left out."""
    found: dict[str, LazyMessage] = {}
    for column in groups.columns:
        for group in _large(groups[column], settings.least_customers):
            in_N = (groups[column] == group).fill_null(False).to_numpy()
            for name in features.columns:
                score_N = proxy_score(features[name], in_N)
                tells = 0.5 if score_N is None else roc_auc(in_N.astype(np.float64), score_N)
                if tells > settings.proxy_bound:
                    found[name] = gettext_lazy(
                        STANDS_FOR, group=f"{column}={group}", auc=f"{tells:.2f}", bound=f"{settings.proxy_bound:g}"
                    )
    return found


def _group_auc(features: pl.DataFrame, column: pl.Series, least: int) -> dict[str, float]:
    found = {}
    for group in _large(column, least)[:4]:
        in_N: NDArray[np.bool_] = (column == group).fill_null(False).to_numpy()
        found[f"{column.name}={group}"] = roc_auc(
            in_N.astype(np.float64), joint_probability(features, features.columns, in_N)
        )
    return found


def _large(column: pl.Series, least: int) -> list[str]:
    counts = column.drop_nulls().value_counts().filter(pl.col("count") >= least)
    names: list[str] = counts[column.name].sort().to_list()
    return names[:1] if len(names) == 2 else names if len(names) > 2 else []


def _left_out(frame: pl.DataFrame, settings: LendingSettings, outcomes: Sequence[str]) -> dict[str, LazyMessage]:
    """Columns that can be no features, each with why."""
    left: dict[str, LazyMessage] = {}
    for column in frame:
        name = column.name
        if name in outcomes or name in settings.ignore or name in (settings.customer, settings.rate):
            continue
        if name in settings.protected:
            left[name] = gettext_lazy("protected")
        elif column.null_count() == len(column) or column.n_unique() < 2:
            left[name] = gettext_lazy("the same for everybody")
        elif column.dtype == pl.String and column.n_unique() > KEY_UNIQUENESS * max(100, len(column)):
            left[name] = gettext_lazy("a value of its own for every row")
        elif column.dtype.is_nested():
            left[name] = gettext_lazy("holds lists")
    return left


def _alike(path: Path, frame: pl.DataFrame, like: BankCustomers) -> pl.DataFrame:
    if missing := [name for name in like.features.columns if name not in frame.columns]:
        raise InputError(
            "column_missing",
            gettext_lazy(
                "{path}: no column {missing}, which the models learned from", path=path, missing=repr(missing[0])
            ),
        )
    columns = []
    for known in like.features:
        column = frame[known.name]
        cast = column.cast(known.dtype, strict=False)
        if (lost := cast.null_count() - column.null_count()) > 0:
            raise InputError(
                "column_type_wrong",
                gettext_lazy(
                    "{path}: {name} held values of type {dtype} before; values that are none now: {lost}",
                    path=path,
                    name=repr(known.name),
                    dtype=known.dtype,
                    lost=count(lost),
                ),
            )
        columns.append(cast)
    return pl.DataFrame(columns)


def _yes(path: Path, frame: pl.DataFrame, name: str | None, yes: str, role: str, like: BankCustomers | None) -> Floats:
    """1 and 0, NaN where nothing is said."""
    if name is None or (like is not None and name not in frame.columns):
        return np.full(frame.height, np.nan)
    text = pl.Series([None if value is None else str(value_text(value)) for value in frame[name]], dtype=pl.String)
    values = text.drop_nulls().unique().sort().to_list()
    if like is None and yes not in values:
        shown = join_list([repr(each) for each in values[:8]], "or")
        raise InputError(
            "value_not_found",
            gettext_lazy(
                "{path}: no row has {name} = {yes}, which {role}_yes names; it is {shown}",
                path=path,
                name=name,
                yes=repr(yes),
                role=role,
                shown=shown,
            ),
        )
    return (text == yes).cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _numbers(path: Path, frame: pl.DataFrame, name: str | None, size: int) -> Floats:
    if name is None:
        return np.full(size, np.nan)
    if frame[name].dtype == pl.String:  # "36 months"
        first = frame[name].str.extract(r"(\d+(?:\.\d+)?)").cast(pl.Float64)
        if first.null_count() == frame[name].null_count():
            return first.fill_null(float("nan")).to_numpy().astype(np.float64)
    if not frame[name].dtype.is_numeric():
        raise InputError(
            "column_type_wrong",
            gettext_lazy(
                "{path}: {name} holds text such as {to_list}; give numbers",
                path=path,
                name=repr(name),
                to_list=frame[name].drop_nulls()[:1].to_list(),
            ),
        )
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy().astype(np.float64)


def _digits(currency: str) -> int:
    from promolift.foundation.money import currency_digits

    return currency_digits(currency)


def _who(raw: pl.DataFrame, name: str | None) -> pl.Series:
    if name is None:
        return pl.Series("customer_id", [str(row + 1) for row in range(raw.height)])
    who = raw[name].cast(pl.String).alias("customer_id")
    if who.null_count() or who.n_unique() < len(who):
        twice = who.filter(who.is_duplicated()).to_list()[:1]
        raise InputError(
            "rows_duplicate" if twice else "value_missing",
            gettext_lazy(
                "column {name}: a row per customer is needed, but {twice} stands twice",
                name=repr(name),
                twice=twice or gettext_lazy("an empty one"),
            ),
        )
    return who


def _group(column: pl.Series, name: str, like: BankCustomers | None) -> pl.Series:
    """A protected column as groups: texts as they are, numbers cut at thirds."""
    if not column.dtype.is_numeric() or column.n_unique() <= 6:
        return column.cast(pl.String).alias(name)
    cuts = _cuts(column) if like is None else _cuts(like.rows[name])
    names = [f"under {cuts[0]:g}", *(f"{low:g} to {high:g}" for low, high in pairwise(cuts)),
             f"{cuts[-1]:g} and over"]  # fmt: skip
    at = np.searchsorted(cuts, column.fill_null(cuts[0]).to_numpy(), side="right")
    return pl.Series(name, [names[place] for place in at]).set(column.is_null(), None)


def _cuts(column: pl.Series) -> list[float]:
    return sorted({float(column.quantile(q, "nearest")) for q in GROUP_QUANTILES})  # type: ignore[arg-type]


def _blocks(frame: pl.DataFrame, name: str | None) -> Ints | None:
    """Numbers of the periods: months of dates, values in the order of the file where they come in runs, else sorted."""
    if name is None:
        return None
    column = frame[name]
    if column.dtype.is_temporal():
        column = column.cast(pl.Date).dt.truncate("1mo")
    runs = column.rle_id()
    if not column.dtype.is_temporal() and int(runs.max() or 0) < min(MAX_PERIODS, len(column) / 5):  # type: ignore[arg-type]
        return runs.cast(pl.Int64).to_numpy()
    rank = (column.rank("dense").cast(pl.Int64) - 1).fill_null(0).to_numpy()
    many = int(rank.max()) + 1
    return rank if many <= MAX_PERIODS else rank * MAX_PERIODS // many


def holdout_rows(found: BankCustomers, seed: int) -> Ints:
    """Rows that are decided on and not learned from: the latest periods, or a part drawn by hash where all are of one
    time."""
    size = len(found)
    if found.block_N is None or len(np.unique(found.block_N)) < 2:
        share = MAX_HOLDOUT_SHARE if size < 6 * MIN_HOLDOUT_ROWS else 0.2
        return np.flatnonzero(hash_units(f"held{seed}", pl.Series([str(n) for n in range(size)])) < share)
    wanted = min(max(HOLDOUT_SHARE * size, MIN_HOLDOUT_ROWS), MAX_HOLDOUT_SHARE * size)
    sizes = np.bincount(found.block_N)
    later = np.cumsum(sizes[::-1])[::-1]
    start = int(np.flatnonzero(later >= wanted)[-1])
    start = max(start, int(found.block_N.min()) + 1)
    return np.flatnonzero(found.block_N >= start)
