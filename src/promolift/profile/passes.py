"""Second and third pass over a shard: its rows and the earlier sums in, its contribution to the next tables out."""

from collections.abc import Iterator

import polars as pl
from duckdb import DuckDBPyRelation as Relation

from promolift.profile.affinity import FIRSTS
from promolift.profile.choices import read_cells, read_pace, read_targets
from promolift.profile.lines import read_lines, read_slices, read_visits
from promolift.profile.novel import check_sums, incidence, matrix_targets, pair_sums, score, space_of
from promolift.profile.sensitivity import Fit, basket_sums, fit_customers, population_sums, read_deal_trials, variance
from promolift.profile.settings import ProfileSettings
from promolift.profile.shared import Shard, Shared, Tables, moments_of
from promolift.profile.sums import all_asofs, first_step, population
from promolift.sql import DAY_MS, fetch


def second_step(shard: Shard, shared: Shared, settings: ProfileSettings) -> Tables:
    """Which targets are bought by the same customers, and how alike the lines of one basket are."""
    lines, firsts = _read(shard, shared, settings)
    chosen = matrix_targets(shared["targets"], settings)
    parts = [
        pair_sums(firsts, chosen.filter(pl.col("asof_ms") == asof_ms)["target"].sort().to_list(), asof_ms)
        for asof_ms in all_asofs(shared, settings)
    ]
    likeness = [basket_sums(fit) for fit in _fits(lines, shared, settings)]
    return {"pairs": pl.concat(parts), "likeness": pl.concat(likeness)}


def third_step(shard: Shard, shared: Shared, settings: ProfileSettings) -> Tables:
    """How often plausible targets of one window earlier were bought since, and how customers' sensitivities spread."""
    lines, firsts = _read(shard, shared, settings)
    slices = read_slices(lines)
    checks = [_check(firsts, slices, shared, asof_ms, settings) for asof_ms in shared.asofs]
    spread = [population_sums(fit, variance(fit, shared["likeness"])) for fit in _fits(lines, shared, settings)]
    return {"calibration": pl.concat(checks), "sensitivity": pl.concat(spread)}


def _fits(lines: Relation, shared: Shared, settings: ProfileSettings) -> Iterator[Fit]:
    """Sensitivities of every customer of the shard, one moment at a time."""
    trials = read_deal_trials(lines, shared["deals"])
    for asof_ms in shared.asofs:
        yield fit_customers(trials, population(lines, moments_of([asof_ms])), settings.zone)


def _read(shard: Shard, shared: Shared, settings: ProfileSettings) -> tuple[Relation, pl.DataFrame]:
    everybody = population(shard.events, moments_of([max(shared.asofs)]))
    lines = read_lines(shard.events, shard.products, everybody, settings.zone)
    return lines, fetch(read_cells(lines, read_targets(shard.products)).query("cells", FIRSTS))


def _check(
    firsts: pl.DataFrame, slices: Relation, shared: Shared, asof_ms: int, settings: ProfileSettings
) -> pl.DataFrame:
    """Scores as of one window before `asof_ms`, compared with the first purchases up to `asof_ms`."""
    before = asof_ms - settings.window_days * DAY_MS
    pace = _pace(slices, before, settings)
    space = space_of(shared, before, settings)
    customers = pace["customer_id"].to_list()
    bought_NK = incidence(firsts, customers, space.targets, before)
    later_NK = incidence(firsts, customers, space.targets, asof_ms) - bought_NK
    if not bought_NK.size:
        return pl.DataFrame(
            schema={"asof_ms": pl.Int64, "bin": pl.Int64, "rows": pl.Int64, "prior": pl.Float64, "bought": pl.Int64}
        )
    prior_NK, score_NK = score(bought_NK, pace, space, settings)
    return check_sums(bought_NK, later_NK, prior_NK, score_NK, asof_ms)


def _pace(slices: Relation, asof_ms: int, settings: ProfileSettings) -> pl.DataFrame:
    moments = population(slices, moments_of([asof_ms]))
    return fetch(read_pace(read_visits(slices, moments), settings)).sort("customer_id")


STEPS = (first_step, second_step, third_step)
