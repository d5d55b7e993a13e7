"""Estimate the probability that a customer buys a target for the first time within the window.

Two signals, multiplied and rooted: P0, the Gamma-Poisson probability for somebody who comes as often and has not
bought the target in so many orders (repeat_purchases.py); and the affinity of a ridge regression of every target on
all others
(EASE: Steck 2019, "Embarrassingly shallow autoencoders", WWW) on the matrix of who bought what. Their score is turned
into a probability by the rate of first purchases that scores of that size were followed by, one window earlier.

Letters: N customers, K targets.
"""

from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.sparse import csr_array
from sklearn.isotonic import isotonic_regression

from promolift.core.customers.forecasts.repeat_purchases import order_prior, target_prior
from promolift.core.customers.profiles.population_sums import UNITS, PopulationSums
from promolift.core.customers.settings import ProfileSettings
from promolift.foundation.jit import Ints, jit_compile

Matrix = NDArray[np.float64]
BINS_PER_OCTAVE = 2
CHUNK = 10_000  # customers whose matrix is held at once: 10,000 x 500 targets are 40 MB
FLOOR = 1e-4  # scores below are all alike: such a target is never among the plausible ones
LOWEST = 27  # the bin of FLOOR lies so far below that of 1
PRIOR_UNITS = 2.0**30  # in 1, of which probabilities are summed: 8 billion fit into 64 bits
PRIOR_ROWS = 20.0  # a bin of scores needs about so many customers to speak against P0


class TargetSpace(NamedTuple):
    """What one shared moment knows: its targets (sorted), their priors and the EASE weights between them."""

    targets: list[str]
    prior: pl.DataFrame
    weights_KK: Matrix


def matrix_targets(targets: pl.DataFrame, settings: ProfileSettings) -> pl.DataFrame:
    """The most widely bought targets of each moment, columns asof_ms and target: as many as the matrix may have."""
    order = [pl.col("customers"), pl.col("target")]
    ranked = targets.sort(["asof_ms", *order], descending=[False, True, False])
    return ranked.group_by("asof_ms", maintain_order=True).head(settings.matrix_targets).select("asof_ms", "target")


def target_columns(targets: list[str], words: pl.DataFrame) -> Ints:
    """The column of each of a shard's numbered words (purchase_lines.py): its place among the targets, -1 for other
    words.
    """
    place = pl.DataFrame({"word": targets}, schema={"word": pl.String}).with_row_index("column")
    found = words.sort("code").join(place, on="word", how="left", maintain_order="left")["column"]
    return found.cast(pl.Int64).fill_null(-1).to_numpy()


def incidence(firsts: pl.DataFrame, customers: Ints, column_W: Ints, size: int, asof_ms: int) -> csr_array:
    """1 where the customer bought the target before the moment, as N x K; `customers` are sorted, K is `size`.

    `firsts`: customer_id, target (both as numbers) and first_ms; `column_W` as from `target_columns`.
    """
    who, column = firsts["customer_id"].to_numpy(), column_W[firsts["target"].to_numpy()]
    row = np.searchsorted(customers, who)
    known = (row < len(customers)) & (column >= 0) & (firsts["first_ms"].to_numpy() < asof_ms)
    known[known] = customers[row[known]] == who[known]
    ones = np.ones(int(known.sum()))
    found = csr_array((ones, (row[known], column[known])), shape=(len(customers), size))
    found.sort_indices()  # so that sums over a row do not depend on the order of the shard's rows
    return found


def pair_sums(firsts: pl.DataFrame, targets: list[str], words: pl.DataFrame, asof_ms: int) -> pl.DataFrame:
    """How many customers of the shard bought both targets before the moment; the diagonal counts single ones.

    `row` and `column` are places in `targets`, the sorted `matrix_targets` of the whole shop.
    """
    customers, column_W = firsts["customer_id"].unique().sort().to_numpy(), target_columns(targets, words)
    bought_NK = incidence(firsts, customers, column_W, len(targets), asof_ms)
    both_KK = (bought_NK.T @ bought_NK).tocoo()
    return pl.DataFrame(
        {"row": both_KK.row, "column": both_KK.col, "customers": both_KK.data.round()},
        schema={"row": pl.Int32, "column": pl.Int32, "customers": pl.Int64},
        strict=False,
    ).select(pl.lit(asof_ms, pl.Int64).alias("asof_ms"), "row", "column", "customers")


def build_target_space(shared: PopulationSums, asof_ms: int, settings: ProfileSettings) -> TargetSpace:
    """Priors and EASE weights as of one shared moment; no targets where nothing was bought before it."""
    known: TargetSpace | None = shared.spaces.get((asof_ms, settings))
    if known is None:
        at = pl.col("asof_ms") == asof_ms
        orders = shared["orders"].filter(at)
        names = matrix_targets(shared["targets"].filter(at), settings)["target"].sort().to_list()
        prior = target_prior(shared["targets"].filter(at, pl.col("target").is_in(names)), orders).sort("target")
        weights_KK = _ease(shared["pairs"].filter(at), names, settings)
        known = TargetSpace(names, prior.join(order_prior(orders), on="shared_ms"), weights_KK)
        shared.spaces[asof_ms, settings] = known
    return known


def _ease(pairs: pl.DataFrame, names: list[str], settings: ProfileSettings) -> Matrix:
    both_KK = np.zeros((len(names), len(names)))
    both_KK[pairs["row"].to_numpy(), pairs["column"].to_numpy()] = pairs["customers"].to_numpy()
    if not names:
        return both_KK
    # the ridge grows with the shop, or a large shop would be regularised less than it needs
    both_KK[np.diag_indices_from(both_KK)] += 1.0 + settings.ridge * np.diag(both_KK).max()
    inverse_KK = np.linalg.inv(both_KK)
    weights_KK = -inverse_KK / np.diag(inverse_KK)
    np.fill_diagonal(weights_KK, 0.0)
    return weights_KK


class Prospects(NamedTuple):
    """Some customers before one moment: what they bought (columns by row), what that makes likely, and their pace."""

    start_N: Ints
    bought: Ints
    affinity_NK: Matrix
    size_N: Matrix
    rate_N: Matrix
    chances_N: Matrix
    a_K: Matrix
    b_K: Matrix


def prospects(bought_NK: csr_array, pace: pl.DataFrame, space: TargetSpace, settings: ProfileSettings) -> Prospects:
    """What P0 and the score are made of; `pace` rows are the customers in order."""
    alpha, beta = (float(space.prior[name][0]) if len(space.prior) else 0.0 for name in ("alpha", "beta"))
    size_N = alpha + pace["eff_orders"].to_numpy()
    return Prospects(
        bought_NK.indptr.astype(np.int64),
        bought_NK.indices.astype(np.int64),
        bought_NK @ space.weights_KK,
        size_N,
        size_N / (beta + pace["eff_days"].to_numpy()) * settings.window_days,
        (pace["faded_choices"] / pace["choice_weight"]).to_numpy(),
        space.prior["a"].to_numpy(),
        space.prior["b"].to_numpy(),
    )


@jit_compile
def _prior(expected: float, size: float, a: float) -> float:
    """P0, from a negative binomial with so many orders expected in the window."""
    spread = 1 / size + 1 / a
    return float(1 - (1 + expected * spread) ** (-1 / spread))


@jit_compile
def _score(affinity: float, prior: float) -> float:
    return float(min(max(np.sqrt(max(affinity, FLOOR) * prior), FLOOR), 1.0))


class PlausibleTargets(NamedTuple):
    """Never bought targets, by customer and from the highest score down."""

    row: Ints
    column: Ints
    prior: Matrix
    score: Matrix


def find_plausible_targets(seen: Prospects, most: int) -> PlausibleTargets:
    """The never bought targets of highest score, at most so many a customer; ties by place."""
    shape = (len(seen.size_N), most)
    column_NT, prior_NT, score_NT = np.full(shape, -1), np.zeros(shape), np.zeros(shape)
    if most:
        _plausible(tuple(seen), column_NT, prior_NT, score_NT)
    found_NT = column_NT >= 0
    return PlausibleTargets(np.nonzero(found_NT)[0], column_NT[found_NT], prior_NT[found_NT], score_NT[found_NT])


@jit_compile  # the fields of Prospects come as a plain tuple: a compiled function on disk must not know a class by name
def _plausible(seen: Any, column_NT: Ints, prior_NT: Matrix, score_NT: Matrix) -> None:
    start_N, bought, affinity_NK, size_N, rate_N, chances_N, a_K, b_K = seen
    most, bought_K = column_NT.shape[1], np.full(len(a_K), -1)
    for n in range(len(size_N)):
        found = 0
        bought_K[bought[start_N[n] : start_N[n + 1]]] = n
        for k in range(len(a_K)):
            if bought_K[k] == n:
                continue
            expected = rate_N[n] * a_K[k] / (b_K[k] + chances_N[n])
            # P0 is never above what is expected, which costs no power: most targets are left behind here
            if found == most and _score(affinity_NK[n, k], expected) <= score_NT[n, most - 1]:
                continue
            prior = _prior(expected, size_N[n], a_K[k])
            score = _score(affinity_NK[n, k], prior)
            place = found
            while place > 0 and score_NT[n, place - 1] < score:
                place -= 1
            if place == most:
                continue
            found = min(found + 1, most)
            for at in range(found - 1, place, -1):
                column_NT[n, at], prior_NT[n, at] = column_NT[n, at - 1], prior_NT[n, at - 1]
                score_NT[n, at] = score_NT[n, at - 1]
            column_NT[n, place], prior_NT[n, place], score_NT[n, place] = k, prior, score


def calibration_sums(seen: Prospects, later_NK: csr_array, asof_ms: int) -> pl.DataFrame:
    """First purchases that followed, by half-octave bin of the score (0 is a score of 1): the table `calibration`.

    `later_NK` holds what was bought before the end of the window, which is `asof_ms`.
    """
    sum_B3 = np.zeros((LOWEST + 1, 3), np.int64)
    _check(tuple(seen), later_NK.indptr.astype(np.int64), later_NK.indices.astype(np.int64), sum_B3)
    sums = {name: sum_B3[:, at] for at, name in enumerate(("rows", "prior", "bought"))}
    table = pl.DataFrame({"bin": np.arange(-LOWEST, 1)} | sums).filter(pl.col("rows") > 0)
    prior = pl.col("prior").cast(pl.Int128) * round(UNITS / PRIOR_UNITS)
    table = table.with_columns(prior, pl.lit(asof_ms, pl.Int64).alias("asof_ms"))
    return table.select("asof_ms", "bin", "rows", "prior", "bought")


@jit_compile
def _check(seen: Any, later_start_N: Ints, later: Ints, sum_B3: Ints) -> None:
    start_N, bought, affinity_NK, size_N, rate_N, chances_N, a_K, b_K = seen
    bought_K, later_K = np.full(len(a_K), -1), np.full(len(a_K), -1)
    for n in range(len(size_N)):
        bought_K[bought[start_N[n] : start_N[n + 1]]] = n
        later_K[later[later_start_N[n] : later_start_N[n + 1]]] = n
        for k in range(len(a_K)):
            if bought_K[k] != n:
                prior = _prior(rate_N[n] * a_K[k] / (b_K[k] + chances_N[n]), size_N[n], a_K[k])
                at = LOWEST + int(np.floor(np.log2(_score(affinity_NK[n, k], prior)) * BINS_PER_OCTAVE))
                sum_B3[at, 0] += 1
                sum_B3[at, 1] += int(np.floor(prior * PRIOR_UNITS + 0.5))
                sum_B3[at, 2] += later_K[k] == n


def calibrated_probability(
    prior: NDArray[np.float64], scores: NDArray[np.float64], check: pl.DataFrame
) -> NDArray[np.float64]:
    """Probability of a first purchase: the observed rate of the score's bin, shrunk to P0, interpolated in log score.

    Rates are made monotone in the score by pooling. Without a check (too little history) P0 itself is returned.
    """
    if not check.height or not len(scores):
        return prior
    check = check.sort("bin")
    rows = check["rows"].to_numpy().astype(np.float64)
    ratio = (check["bought"].to_numpy() + PRIOR_ROWS * check["prior"].to_numpy() / rows) / (rows + PRIOR_ROWS)
    rate = isotonic_regression(ratio, sample_weight=rows, y_min=0.0, y_max=1.0)
    centre = check["bin"].to_numpy() + 0.5
    return np.asarray(np.interp(np.log2(scores) * BINS_PER_OCTAVE, centre, rate))
