"""Purchases and shelf prices of past weeks in; how each customer answers a discount, and what offers add, out.

Legend: N customers, J pairs of a customer and a product they bought, P products, G groups (categories), W weeks, L
depths on a grid, M cells, K offers.

Units of product p that customer i buys in week w are Poisson with mean r_ip s_gw exp(b_i d_pw): their rate, the week's
factor of the product's group (season, shelf-wide demand), and their response b_i to the depth d of the price cut that
everybody sees. Given how much of p they bought in all, WHEN they bought it tells b_i and needs no r_ip (conditional
likelihood: McFadden 1974; Hausman, Hall & Griliches 1984). log b_i ~ N(mu, tau^2): demand never falls when a price
does, and customers who bought little are drawn to the others. mu and tau by EM with Laplace's approximation
(Tierney & Kadane 1986), s_gw as what the group sold over what it should have sold at these prices.

Level `adjusted`: it rests on price cuts that are not timed by a customer's own need within their group and week.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from promolift.errors import InputError, SupportError
from promolift.settings import Settings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LINES = ("customer_id", "product_id", "week", "units")
SHELF = ("product_id", "group", "week", "depth")


class _Names(NamedTuple):
    """What the axes N, P, G and W stand for, each in sorted order."""

    customers: list[str]
    products: list[str]
    groups: list[str]
    weeks: list[int]


class PersonalSettings(Settings):
    """`grid`: depths are rounded to it. `rounds` of EM, of `steps` Newton steps each. `start`: the first guess of b."""

    grid: float = Field(default=0.05, gt=0, le=0.5)
    rounds: int = Field(default=12, ge=1)
    steps: int = Field(default=3, ge=1)
    start: float = Field(default=2.0, gt=0)
    min_units: int = Field(default=200, ge=1)


@dataclass(frozen=True)
class PersonalResponse:
    """`customers`: customer_id, response (the mode of b_i), response_se, units. `rates`: customer_id, group, rate in
    units a week in a usual week at full price. `shares`: product_id, group, share of the group's units at full price.
    `season`: group, week, factor. `mean_log`, `spread_log`: mu and tau.
    """

    customers: pl.DataFrame
    rates: pl.DataFrame
    shares: pl.DataFrame
    season: pl.DataFrame
    mean_log: float
    spread_log: float
    level: str = "adjusted"

    def scaled(self, factor: float) -> "PersonalResponse":
        """Everybody's response times `factor`, as `response_scale` finds it when the times have changed."""
        customers = self.customers.with_columns(pl.col("response", "response_se") * factor)
        mean_log = self.mean_log + float(np.log(factor))
        return PersonalResponse(customers, self.rates, self.shares, self.season, mean_log, self.spread_log, self.level)


@dataclass(frozen=True)
class _Data:
    """Pairs and exposure: who, what, units, units x depth; each product's group; depth on the grid by product, week."""

    who_J: Ints
    what_J: Ints
    units_J: Floats
    deep_J: Floats
    group_P: Ints
    at_PW: Ints
    sold_GW: Floats
    depth_L: Floats


def fit_personal(
    lines: pl.DataFrame, shelf: pl.DataFrame, settings: PersonalSettings | None = None
) -> PersonalResponse:
    """Fit on `lines` (customer_id, product_id, week, units; one or more rows each) and the whole `shelf`
    (product_id, group, week, depth in [0, 1), one row for every product and week, cut or not).

    InputError where a line has no shelf price or the shelf has gaps; SupportError where too few units were sold or no
    price was ever cut.
    """
    knobs = settings or PersonalSettings()
    names = _Names(
        sorted(lines["customer_id"].unique()),
        *(sorted(shelf[column].unique()) for column in ("product_id", "group", "week")),
    )
    data = _read(lines, shelf, names, knobs)
    log_N = np.full(len(names.customers), np.log(knobs.start))
    mean, spread = float(np.log(knobs.start)), 0.5
    for _ in range(knobs.rounds):
        season_GW = _season(data, np.exp(log_N), len(names.groups))
        expose_PL = _exposure(data, season_GW)
        for _ in range(knobs.steps):
            log_N, info_N = _newton(data, expose_PL, log_N, mean, spread)
        mean = float(log_N.mean())
        spread = float(np.sqrt(np.clip(np.mean((log_N - mean) ** 2 + 1 / info_N), 1e-4, 4.0)))
    return _result(data, names, log_N, info_N, mean, spread)


class ResponseScale(NamedTuple):
    """A factor on everybody's response, and its standard error."""

    scale: float
    se: float


def response_scale(mean_M: Floats, pull_M: Floats, units_M: Floats, block_M: Ints) -> ResponseScale:
    """How much stronger than `pull_M` (response x depth) recent demand answers.

    units ~ Poisson(f_block x mean x exp(scale x pull)), the blocks' factors (group x week) taken out by conditioning on
    each block's total; the error is widened by the dispersion found (quasi-likelihood, McCullagh & Nelder 1989).
    Raises SupportError where no block both sold and had prices that differ.
    """
    scale, blocks = 1.0, int(block_M.max()) + 1 if block_M.size else 0
    total = np.bincount(block_M, units_M, blocks)
    for _ in range(50):
        share = mean_M * np.exp(np.clip(scale * pull_M, -30, 30))
        mass = np.maximum(np.bincount(block_M, share, blocks), 1e-300)
        centre = np.bincount(block_M, share * pull_M, blocks) / mass
        fitted = share * (total / mass)[block_M]
        info = float(np.sum(fitted * (pull_M - centre[block_M]) ** 2))
        if not info > 1e-9:
            raise SupportError("recent sales: no group and week sold at prices that differ, so no response can be read")
        step = float(np.sum(units_M * (pull_M - centre[block_M]))) / info
        scale += float(np.clip(step, -1.0, 1.0))
        if abs(step) < 1e-8:
            break
    # a ratio of sums: single cells of almost no mean would decide a mean of ratios
    dispersion = float(np.sum((units_M - fitted) ** 2) / np.sum(fitted))
    return ResponseScale(scale, float(np.sqrt(max(1.0, dispersion) / info)))


def _read(lines: pl.DataFrame, shelf: pl.DataFrame, names: _Names, knobs: PersonalSettings) -> _Data:
    customers, products, groups, weeks = names
    _check(lines, shelf, len(products) * len(weeks))
    ordered = shelf.sort("product_id", "week")
    depth_PW = ordered["depth"].to_numpy().reshape(len(products), len(weeks))
    grid_PW = np.rint(depth_PW / knobs.grid).astype(np.int64)
    found = np.unique(grid_PW)
    if found.size < 2:
        raise SupportError("shelf: no price was ever cut, so nobody can be seen answering to a discount")
    at_PW = np.searchsorted(found, grid_PW)
    group = ordered.group_by("product_id").agg(pl.col("group").first()).sort("product_id")["group"]
    group_P = np.searchsorted(np.array(groups), group.to_numpy())
    who = np.searchsorted(np.array(customers), lines["customer_id"].to_numpy())
    what = np.searchsorted(np.array(products), lines["product_id"].to_numpy())
    week = np.searchsorted(np.array(weeks), lines["week"].to_numpy())
    units = lines["units"].to_numpy().astype(np.float64)
    if units.sum() < knobs.min_units:
        raise SupportError(f"lines: {units.sum():.0f} units were sold; at least {knobs.min_units} are needed")
    pair, index = np.unique(who * len(products) + what, return_inverse=True)
    depth_L: Floats = (found * knobs.grid).astype(np.float64)
    sold = np.zeros((len(groups), len(weeks)))
    np.add.at(sold, (group_P[what], week), units)
    return _Data(
        pair // len(products), pair % len(products), np.bincount(index, units).astype(np.float64),
        np.bincount(index, units * depth_L[at_PW[what, week]]).astype(np.float64), group_P, at_PW, sold, depth_L,
    )  # fmt: skip


def _check(lines: pl.DataFrame, shelf: pl.DataFrame, cells: int) -> None:
    for name, frame, need in (("lines", lines, LINES), ("shelf", shelf, SHELF)):
        if missing := [column for column in need if column not in frame.columns]:
            raise InputError(f"{name}: columns {missing} are missing; it has {frame.columns}")
    whole = shelf.select("product_id", "week").n_unique()
    if shelf.height != cells or whole != cells:
        raise InputError(f"shelf: {shelf.height} rows, {whole} different; give one for every product and week: {cells}")
    if not shelf.select(pl.col("depth").is_between(0, 1, closed="left").fill_null(False).all()).item():
        raise InputError("shelf.depth: every value must lie in [0, 1); 0 where the price was not cut")
    lost = lines.join(shelf, on=["product_id", "week"], how="anti").height
    if lost:
        raise InputError(f"lines: {lost} of {lines.height} rows have no price on the shelf table; leave them out")
    if not lines.select((pl.col("units") >= 0).fill_null(False).all()).item():
        raise InputError("lines.units: every value must be a number of units, at least 0")


def _season(data: _Data, beta_N: Floats, groups: int) -> Floats:
    """Each group's factor by week, mean 1: units sold over what the shelf's depths alone would have sold."""
    lift_JL = np.exp(beta_N[data.who_J][:, None] * data.depth_L)
    seen_PL = _counts(data.at_PW, data.depth_L.size)
    rate_J = data.units_J / np.maximum((seen_PL[data.what_J] * lift_JL).sum(axis=1), 1e-12)
    wants_PL = np.stack(
        [np.bincount(data.what_J, rate_J * lift_JL[:, k], len(seen_PL)) for k in range(data.depth_L.size)], axis=1
    )
    wants_PW = np.take_along_axis(wants_PL, data.at_PW, axis=1)
    wants_GW = np.stack([wants_PW[data.group_P == g].sum(axis=0) for g in range(groups)])
    factor = (data.sold_GW + 1.0) / (wants_GW + 1.0)  # a week of a small group is drawn to the usual one
    season: Floats = factor / factor.mean(axis=1, keepdims=True)
    return season


def _counts(at_PW: Ints, depths: int) -> Floats:
    return np.stack([(at_PW == k).sum(axis=1) for k in range(depths)], axis=1).astype(np.float64)


def _exposure(data: _Data, season_GW: Floats) -> Floats:
    """Weeks at each depth, in usual weeks of the product's group, P x L."""
    season_PW = season_GW[data.group_P]
    depths = range(data.depth_L.size)
    return np.stack([np.where(data.at_PW == k, season_PW, 0.0).sum(axis=1) for k in depths], axis=1)


class _Step(NamedTuple):
    """Everybody's log b after a step, and the information that the step had."""

    log_N: Floats
    info_N: Floats


def _newton(data: _Data, expose_PL: Floats, log_N: Floats, mean: float, spread: float) -> _Step:
    beta_N, size = np.exp(log_N), log_N.size
    weight_JL = expose_PL[data.what_J] * np.exp(beta_N[data.who_J][:, None] * data.depth_L)
    mass_J = np.maximum(weight_JL.sum(axis=1), 1e-300)
    mean_J = weight_JL @ data.depth_L / mass_J
    var_J = np.maximum(weight_JL @ data.depth_L**2 / mass_J - mean_J**2, 0.0)
    score = np.bincount(data.who_J, data.deep_J - data.units_J * mean_J, size) * beta_N - (log_N - mean) / spread**2
    info = np.bincount(data.who_J, data.units_J * var_J, size) * beta_N**2 + 1 / spread**2
    return _Step(log_N + np.clip(score / info, -0.5, 0.5), info)


def _result(data: _Data, names: _Names, log_N: Floats, info_N: Floats, mean: float, spread: float) -> PersonalResponse:
    customers, products, groups, weeks = names
    beta_N, season_GW = np.exp(log_N), _season(data, np.exp(log_N), len(groups))
    expose_PL = _exposure(data, season_GW)
    plain_P = np.bincount(data.what_J, data.units_J / _at_full(data, expose_PL, beta_N), len(products))
    share_P = plain_P / np.maximum(np.bincount(data.group_P, plain_P, len(groups)), 1e-12)[data.group_P]
    units_NG = np.zeros((len(customers), len(groups)))
    np.add.at(units_NG, (data.who_J, data.group_P[data.what_J]), data.units_J)
    lift_NL = np.exp(beta_N[:, None] * data.depth_L)
    spread_GL = np.stack([(share_P[:, None] * expose_PL)[data.group_P == g].sum(axis=0) for g in range(len(groups))])
    rate_NG = units_NG / np.maximum(lift_NL @ spread_GL.T, 1e-12)
    n, g = np.nonzero(units_NG)
    return PersonalResponse(
        pl.DataFrame(
            {
                "customer_id": customers,
                "response": beta_N,
                "response_se": beta_N / np.sqrt(info_N),
                "units": units_NG.sum(axis=1),
            }
        ),
        pl.DataFrame({"customer_id": np.array(customers)[n], "group": np.array(groups)[g], "rate": rate_NG[n, g]}),
        pl.DataFrame({"product_id": products, "group": np.array(groups)[data.group_P], "share": share_P}),
        pl.DataFrame(
            {
                "group": np.repeat(groups, len(weeks)),
                "week": np.tile(weeks, len(groups)),
                "factor": season_GW.ravel(),
            }
        ),
        mean,
        spread,
    )


def _at_full(data: _Data, expose_PL: Floats, beta_N: Floats) -> Floats:
    """Weeks of exposure of each pair, a week at a cut price counting as the sales it multiplies."""
    weight_JL = expose_PL[data.what_J] * np.exp(beta_N[data.who_J][:, None] * data.depth_L)
    total: Floats = np.maximum(weight_JL.sum(axis=1), 1e-12)
    return total
