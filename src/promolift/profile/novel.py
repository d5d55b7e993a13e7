"""Who bought what so far in; the chance that a customer buys a target for the first time in the window out.

Two signals, multiplied and rooted: P0, the Gamma-Poisson chance for somebody who comes as often as he does and has not
bought the target in so many orders (forecast.py); and the affinity of a ridge regression of every target on all others
(EASE: Steck 2019, "Embarrassingly shallow autoencoders", WWW) on the matrix of who bought what. Their score is turned
into a probability by the rate of first purchases that scores of that size were followed by, one window earlier.

Letters: N customers, K targets.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.isotonic import isotonic_regression

from promolift.profile.encoder_data import Ints
from promolift.profile.forecast import order_prior, target_prior
from promolift.profile.settings import ProfileSettings
from promolift.profile.shared import Shared

Matrix = NDArray[np.float64]
BINS_PER_OCTAVE = 2
CHUNK = 10_000  # customers whose matrix is held at once: 10,000 x 500 targets are 40 MB
FLOOR = 1e-4  # scores below are all alike: such a target is never among the plausible ones
PRIOR_ROWS = 20.0  # a bin of scores needs about so many customers to speak against P0


class Space(NamedTuple):
    """What one shared moment knows: its targets (sorted), their priors and the EASE weights between them."""

    targets: list[str]
    prior: pl.DataFrame
    weights_KK: Matrix


def matrix_targets(targets: pl.DataFrame, settings: ProfileSettings) -> pl.DataFrame:
    """The most widely bought targets of each moment, columns asof_ms and target: as many as the matrix may have."""
    order = [pl.col("customers"), pl.col("target")]
    ranked = targets.sort(["asof_ms", *order], descending=[False, True, False])
    return ranked.group_by("asof_ms", maintain_order=True).head(settings.matrix_targets).select("asof_ms", "target")


def columns_of(targets: list[str], words: pl.DataFrame) -> Ints:
    """The column of each of a shard's numbered words (lines.py): its place among the targets, -1 for other words."""
    place = pl.DataFrame({"word": targets}, schema={"word": pl.String}).with_row_index("column")
    found = words.sort("code").join(place, on="word", how="left", maintain_order="left")["column"]
    return found.cast(pl.Int64).fill_null(-1).to_numpy()


def incidence(firsts: pl.DataFrame, customers: Ints, column_W: Ints, size: int, asof_ms: int) -> Matrix:
    """1 where the customer bought the target before the moment, as N x K; `customers` are sorted, K is `size`.

    `firsts`: customer_id, target (both as numbers) and first_ms; `column_W` as from `columns_of`.
    """
    bought_NK = np.zeros((len(customers), size))
    who, column = firsts["customer_id"].to_numpy(), column_W[firsts["target"].to_numpy()]
    row = np.searchsorted(customers, who)
    known = (row < len(customers)) & (column >= 0) & (firsts["first_ms"].to_numpy() < asof_ms)
    known[known] = customers[row[known]] == who[known]
    bought_NK[row[known], column[known]] = 1.0
    return bought_NK


def pair_sums(firsts: pl.DataFrame, targets: list[str], words: pl.DataFrame, asof_ms: int) -> pl.DataFrame:
    """How many customers of the shard bought both targets before the moment; the diagonal counts single ones."""
    customers, column_W = firsts["customer_id"].unique().sort().to_numpy(), columns_of(targets, words)
    both_KK = np.zeros((len(targets), len(targets)))
    for start in range(0, len(customers), CHUNK):  # a matrix of everybody would not fit
        bought_NK = incidence(firsts, customers[start : start + CHUNK], column_W, len(targets), asof_ms)
        both_KK += bought_NK.T @ bought_NK
    first, second = np.nonzero(both_KK)
    names = pl.Series(targets, dtype=pl.String)
    return pl.DataFrame(
        {
            "asof_ms": np.full(len(first), asof_ms),
            "target": names.gather(first),
            "other": names.gather(second),
            "customers": both_KK[first, second].round().astype(np.int64),
        },
        schema={"asof_ms": pl.Int64, "target": pl.String, "other": pl.String, "customers": pl.Int64},
    )


def space_of(shared: Shared, asof_ms: int, settings: ProfileSettings) -> Space:
    """Priors and EASE weights as of one shared moment; no targets where nothing was bought before it."""
    at = pl.col("asof_ms") == asof_ms
    orders = shared["orders"].filter(at)
    names = matrix_targets(shared["targets"].filter(at), settings)["target"].sort().to_list()
    prior = target_prior(shared["targets"].filter(at, pl.col("target").is_in(names)), orders).sort("target")
    return Space(
        names, prior.join(order_prior(orders), on="shared_ms"), _ease(shared["pairs"].filter(at), names, settings)
    )


def _ease(pairs: pl.DataFrame, names: list[str], settings: ProfileSettings) -> Matrix:
    place = pl.DataFrame({"target": names}, schema={"target": pl.String}).with_row_index("row")
    cells = pairs.join(place, on="target").join(place.rename({"target": "other", "row": "column"}), on="other")
    both_KK = np.zeros((len(names), len(names)))
    both_KK[cells["row"].to_numpy(), cells["column"].to_numpy()] = cells["customers"].to_numpy()
    if not names:
        return both_KK
    # the ridge grows with the shop, or a large shop would be regularised less than it needs
    both_KK[np.diag_indices_from(both_KK)] += 1.0 + settings.ridge * np.diag(both_KK).max()
    inverse_KK = np.linalg.inv(both_KK)
    weights_KK = -inverse_KK / np.diag(inverse_KK)
    np.fill_diagonal(weights_KK, 0.0)
    return weights_KK


def score(bought_NK: Matrix, pace: pl.DataFrame, space: Space, settings: ProfileSettings) -> tuple[Matrix, Matrix]:
    """P0 and the score of every customer and target, N x K each. `pace` rows are the customers in order."""
    if not space.targets:  # orders of unnamed products
        return bought_NK, bought_NK
    prior_NK = _prior_prob(pace, space, settings.window_days)
    affinity_NK = np.clip(bought_NK @ space.weights_KK, FLOOR, None)
    return prior_NK, np.clip(np.sqrt(affinity_NK * prior_NK), FLOOR, 1.0)


def _prior_prob(pace: pl.DataFrame, space: Space, window_days: float) -> Matrix:
    alpha, beta = float(space.prior["alpha"][0]), float(space.prior["beta"][0])
    size_N1 = (alpha + pace["eff_orders"].to_numpy())[:, None]
    rate_N1 = size_N1 / (beta + pace["eff_days"].to_numpy())[:, None]
    chances_N1 = (pace["faded_choices"] / pace["choice_weight"]).to_numpy()[:, None]
    a_1K, b_1K = space.prior["a"].to_numpy()[None, :], space.prior["b"].to_numpy()[None, :]
    expected_NK = rate_N1 * a_1K / (b_1K + chances_N1) * window_days
    spread_NK = 1 / size_N1 + 1 / a_1K
    return np.asarray(1 - (1 + expected_NK * spread_NK) ** (-1 / spread_NK))


def bins(score_NK: Matrix) -> NDArray[np.int64]:
    """Half-octave bin of each score; 0 is a score of 1."""
    return np.asarray(np.floor(np.log2(score_NK) * BINS_PER_OCTAVE), dtype=np.int64)


def check_sums(bought_NK: Matrix, later_NK: Matrix, prior_NK: Matrix, score_NK: Matrix, asof_ms: int) -> pl.DataFrame:
    """First purchases that followed, by bin of the score: the table `calibration`, booked at the window's end."""
    new = bought_NK == 0
    table = pl.DataFrame({"bin": bins(score_NK[new]), "prior": prior_NK[new], "bought": later_NK[new]})
    sums = table.group_by("bin").agg(
        pl.len().cast(pl.Int64).alias("rows"), pl.col("prior").sum(), pl.col("bought").sum().cast(pl.Int64)
    )
    return sums.select(pl.lit(asof_ms, dtype=pl.Int64).alias("asof_ms"), "bin", "rows", "prior", "bought")


def calibrated(prior: NDArray[np.float64], scores: NDArray[np.float64], check: pl.DataFrame) -> NDArray[np.float64]:
    """Chance of a first purchase: the observed rate of the score's bin, shrunk towards P0, interpolated in log score.

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
