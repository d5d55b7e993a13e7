"""Find columns that cannot have been known before the treatment, by their names and by what they tell.

A feature that is a consequence of the treatment takes a part of the effect away, wherever it weights, adjusts or ranks.
Legend: N customers.
"""

import re

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from promolift.foundation.errors import InputError
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
OUTCOME_WORDS = re.compile(
    r"expos|visit|click|\bopen(?!ing)|conver|purchas|bought|spen[dt]|respon|reten|redeem|churn|cancel|renew|outcome"
    r"|target|impression|rounds|session|duration|\bads?\b|\bpost(?!al|code| ?code)|after"
)
# Names that can mean nothing else, as files of several outcomes have them beside each other.
OUTCOME_NAMES = re.compile(
    r"(?:is |has )?(?:visit(?:s|ed)?|conver(?:sions?|ted)|spen[dt]|expos(?:ure|ed)|click(?:s|ed)?|purchase[ds]?|bought"
    r"|responded|outcome|redeemed|churn(?:ed)?|retained)"
)
# In benchmark files: the outcome under the other arm, what it was expected to be, the effect on this very customer.
COUNTERFACTUAL_NAMES = re.compile(
    r"c(ounter)?factual|\by ?cf\b|^(ite|cate|tau)$|^true (effect|uplift|ite|cate|tau)|potential outcome"
)
POTENTIAL_OUTCOME = re.compile(r"^(y|mu|po) ?([01])$")
PRE_TREATMENT_WORDS = re.compile(r"before|past|prev|prior|last|hist|first|since|\bpre\b|\d[dwmy]\b")
# What no offer can change, as a whole name: a lot that differs in it was broken, not measured late.
FIXED_NAME = re.compile(
    r"((customer|client|member|user) )?(age|gender|sex|birth ?(year|date|day)|year of birth|education|marital( status)?"
    r"|nationality)( (group|band|range|years))?|年龄|性别|生日|出生年份|民族|学历"
)
# Names that state a moment before the treatment; `recency`, `history` or `tier` may as well be of today.
STATED_BEFORE = re.compile(r"before|\b(prior|prev(ious)?|past|pre|baseline)\b|以前|之前|过去")
LEAK_RANK_CORRELATION = (
    0.95  # a feature whose rank tells the outcome of an arm as surely as this was hardly known before
)
MAX_CATEGORIES = 20  # values of a text that are looked at for this
LEAK_SAMPLE_ROWS = 20_000  # rows that show it
GAP_RATIO, GAP_CHANCE = 3.0, 1e-5  # of the outcome where a value is known over where not, at so small a p, is a leak
ONE_ARMED = 1e-6  # chance below which a feature that varies in all arms but one is no accident


def find_unknowable(names: list[str]) -> list[str]:
    """Columns that only a simulation can fill; y0 or mu0 alone may be a baseline, beside y1 or mu1 it is none."""
    said = {name: spoken_name(name) for name in names}
    worlds = {name: match for name, words in said.items() if (match := POTENTIAL_OUTCOME.match(words))}
    stems = [match[1] for match in worlds.values()]
    both = [name for name, match in worlds.items() if stems.count(match[1]) == 2]
    return [name for name, words in said.items() if name in both or COUNTERFACTUAL_NAMES.search(words)]


def spoken_name(name: str) -> str:
    """Return a column name as lower-case words."""
    return re.sub(r"[\W_]+", " ", name).strip().lower()


def find_late_names(features: tuple[str, ...]) -> list[str]:
    """Names that sound like what customers did afterwards."""
    words = {name: spoken_name(name) for name in features}
    return [name for name, said in words.items() if OUTCOME_WORDS.search(said) and not PRE_TREATMENT_WORDS.search(said)]


def is_stated_before(name: str) -> bool:
    """Return whether the name says that it was known before the treatment, or names what no offer changes."""
    return is_fixed(name) or bool(STATED_BEFORE.search(spoken_name(name)))


def is_fixed(name: str) -> bool:
    """Return whether a name is, as a whole, that of what no offer can change."""
    return bool(FIXED_NAME.fullmatch(spoken_name(name)))


def find_gaps(features: pl.DataFrame, outcomes: dict[str, Floats], arm_N: Ints) -> list[str]:
    """Columns that have a value, or another than the usual one, where the outcome came or in one arm: what is recorded
    only of buyers was not known before.

    Of names that say they were known before only those that have a value of buyers alone, or of all but them.
    """
    found = []
    for column in features:
        if column.dtype.is_nested():
            continue
        sure = is_stated_before(column.name)
        gone = column.is_null() if column.dtype != pl.String else column.is_null() | (column.str.strip_chars() == "")
        known_N = ~gone.fill_null(True).to_numpy()
        usual = column.drop_nulls().mode().sort()
        other_N = column.ne_missing(usual[0]).to_numpy() if len(usual) and not sure else known_N
        arms = [np.bincount(arm_N[mask], minlength=int(arm_N.max()) + 1) for mask in (known_N, ~known_N)]
        partly = 0 < known_N.sum() < len(known_N) and not sure
        uneven = partly and scipy.stats.chi2_contingency(np.array(arms)).pvalue < ONE_ARMED
        ratio = np.inf if STATED_BEFORE.search(spoken_name(column.name)) else GAP_RATIO
        if uneven or any(_only_with(known_N, y, ratio) or _only_with(other_N, y, np.inf) for y in outcomes.values()):
            found.append(column.name)
    return found


def _only_with(known_N: NDArray[np.bool_], y: Floats, ratio: float) -> bool:
    """Whether the outcome is so many times as frequent where something is known as where not, or the reverse."""
    came_N = y != 0 if (y == 0).any() else y > np.median(y)
    table = np.array([[np.sum(k & c) for c in (came_N, ~came_N)] for k in (known_N, ~known_N)])
    if (table.sum(axis=0) == 0).any() or (table.sum(axis=1) == 0).any():
        return False
    rate = table / table.sum(axis=1, keepdims=True)
    apart = max(rate[0, 0], rate[1, 0]) >= ratio * min(rate[:, 0]) if np.isfinite(ratio) else rate.min() == 0
    return bool(apart) and float(scipy.stats.fisher_exact(table).pvalue) < GAP_CHANCE


def find_leaks(features: pl.DataFrame, outcomes: dict[str, Floats], arm_N: Ints, *, named: bool = False) -> list[str]:
    """Features that all but tell any outcome of any one arm; but those whose names say that they were known before,
    which are asked for with `named` instead: the past may explain an outcome that well.
    """
    asked = [c.name for c in features if bool(PRE_TREATMENT_WORDS.search(spoken_name(c.name))) == named]
    found: list[str] = []
    for arm in range(int(arm_N.max()) + 1) if asked else ():
        rows = np.flatnonzero(arm_N == arm)
        rows = rows[:: max(1, len(rows) // LEAK_SAMPLE_ROWS)]
        some = features[rows].select(asked)
        found += [c.name for c in some if any(_tied(c, outcome_N[rows]) for outcome_N in outcomes.values())]
    return list(dict.fromkeys(found))


def _tied(column: pl.Series, y: Floats) -> bool:
    if column.dtype == pl.String:  # a text is as good as the mean outcome of those who share it
        text = column.fill_null("")
        if text.n_unique() > MAX_CATEGORIES:  # rare ones are taken together
            common = text.value_counts(sort=True)[column.name].head(MAX_CATEGORIES)
            text = pl.select(pl.when(text.is_in(common.implode())).then(text).otherwise(pl.lit(" other"))).to_series()
        frame = pl.DataFrame({"text": text, "y": y})
        x = frame.select(pl.col("y").mean().over("text"))["y"].to_numpy()
    elif column.dtype.is_numeric() or column.dtype == pl.Boolean:
        x = column.cast(pl.Float64).to_numpy()
    else:
        return False
    some = np.isfinite(x) & np.isfinite(y)
    varied = some.sum() >= 100 and np.ptp(x[some]) > 0 and np.ptp(y[some]) > 0
    return bool(varied) and _rank_tie(x[some], y[some]) > LEAK_RANK_CORRELATION


def _rank_tie(x: Floats, y: Floats) -> float:
    """The larger of Spearman's correlation and Somers' D of y by x, without sign.

    Somers' D counts only pairs of customers whose outcomes differ: 2 AUC - 1 for an outcome of 0 and 1, and no less for
    money that most customers spend none of, where the ties hide a leak from a correlation.
    """
    rank_x, rank_y = scipy.stats.rankdata(x), scipy.stats.rankdata(y)
    tied_x, tied_y = (np.sum((np.unique(each, return_counts=True)[1] / len(each)) ** 2) for each in (x, y))
    tau = scipy.stats.kendalltau(rank_x, rank_y, method="asymptotic").statistic
    somers = tau * np.sqrt((1 - tied_x) / (1 - tied_y))
    return float(max(abs(np.corrcoef(rank_x, rank_y)[0, 1]), abs(somers)))


def require_unrevealed_arms(where: str, features: pl.DataFrame, arm_N: Ints, arms: tuple[str, ...]) -> None:
    """Refuse a feature that is the same for a whole arm and not for the others: a lot does not do that."""
    for a, name in enumerate(arms):
        here, others = features.filter(arm_N == a), features.filter(arm_N != a)
        for column in [each for each in here if each.n_unique() == 1]:
            value, n = column[0], len(column)
            share = float(others[column.name].eq_missing(value).mean())
            if share < 1 and n * np.log(max(share, 1e-300)) < np.log(ONE_ARMED):
                shown = f"{value:g}" if isinstance(value, float) else str(value)
                raise InputError(
                    "feature_reveals_treatment",
                    gettext_lazy(
                        "{where}: {name} is {shown} for everybody in {name_2} and not elsewhere, which no "
                        "randomisation does. Known only afterwards? Then say ignore={column_name}. Known before? "
                        "Then the arms were not randomised, and planned has to be left out",
                        where=where,
                        name=repr(column.name),
                        shown=repr(shown),
                        name_2=name,
                        column_name=column.name,
                    ),
                )
