"""Second and third pass over a shard: what it kept of the first and the sums in, its part of the next tables out."""

import polars as pl

from promolift.profile.choices import firsts, pace
from promolift.profile.lines import words
from promolift.profile.novel import (
    CHUNK,
    check_sums,
    columns_of,
    incidence,
    matrix_targets,
    pair_sums,
    prospects,
    space_of,
)
from promolift.profile.sensitivity import basket_sums, fits, population_sums, with_variance
from promolift.profile.settings import ProfileSettings
from promolift.profile.shared import Shard, Shared, Tables, add
from promolift.profile.sums import all_asofs, first_step
from promolift.sql import DAY_MS

CHECK = {"asof_ms": pl.Int64, "bin": pl.Int64, "rows": pl.Int64, "prior": pl.Float64, "bought": pl.Int64}


def second_step(shard: Shard, shared: Shared, settings: ProfileSettings) -> Tables:
    """Which targets are bought by the same customers, and how alike the lines of one basket are."""
    first, chosen = firsts(shard, settings), matrix_targets(shared["targets"], settings)
    parts = []
    for asof_ms in all_asofs(shared, settings):
        targets = chosen.filter(pl.col("asof_ms") == asof_ms)["target"].sort().to_list()
        parts.append(pair_sums(first, targets, words(shard, settings.zone), asof_ms))
    likeness = [basket_sums(fits(shard, shared, asof_ms, settings)) for asof_ms in shared.asofs]
    return {"pairs": pl.concat(parts), "likeness": pl.concat(likeness)}


def third_step(shard: Shard, shared: Shared, settings: ProfileSettings) -> Tables:
    """How often plausible targets of one window earlier were bought since, and how customers' sensitivities spread."""
    checks = [_check(shard, shared, asof_ms, settings) for asof_ms in shared.asofs]
    fitted = [with_variance(fits(shard, shared, asof_ms, settings), shared["likeness"]) for asof_ms in shared.asofs]
    return {"calibration": pl.concat(checks), "sensitivity": pl.concat(population_sums(fit) for fit in fitted)}


def _check(shard: Shard, shared: Shared, asof_ms: int, settings: ProfileSettings) -> pl.DataFrame:
    """Scores as of one window before `asof_ms`, compared with the first purchases up to `asof_ms`."""
    before = asof_ms - settings.window_days * DAY_MS
    first, space = firsts(shard, settings), space_of(shared, before, settings)
    column_W, size = columns_of(space.targets, words(shard, settings.zone)), len(space.targets)
    parts: list[Tables] = [{"calibration": pl.DataFrame(schema=CHECK)}]
    for chunk in pace(shard, before, settings).iter_slices(CHUNK):
        who = chunk["customer_id"].to_numpy()
        bought_NK = incidence(first, who, column_W, size, before)
        later_NK = incidence(first, who, column_W, size, asof_ms)
        parts.append({"calibration": check_sums(prospects(bought_NK, chunk, space, settings), later_NK, asof_ms)})
    return add(parts)["calibration"]


STEPS = (first_step, second_step, third_step)
