"""Assign each customer to the groups whose treatment is compared, such as age bands or loyalty."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import polars as pl

from promolift.core.customers.segments import parse_numbers
from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.i18n.suggestion import did_you_mean

DEFAULT_COLUMNS = ("age", "sex", "gender", "income", "region", "province", "city")  # compared where nothing is named
AGE_BANDS = (25, 35, 45, 55, 65)
MAX_GROUPS = 12  # the most that are told apart in one column: of more, the less frequent ones are one group
MAX_UNBANDED_VALUES = 8  # different numbers from which a column is cut into bands
UNKNOWN_GROUP, OTHER_GROUP = "not given", "other"
LOYALTY, NEW, LOYAL = "loyalty", "new", "loyal"


def find_groups(profiles: pl.DataFrame, customers: pl.DataFrame, columns: Sequence[str], new_days: int) -> pl.DataFrame:
    """customer_id and a column of texts for each of `columns` and for `loyalty` (new or loyal), of everybody in
    PROFILES of one moment; who gave no value is a group of their own.

    Without `columns` the usual ones that somebody has a value in. ConfigError names a column that is not there.
    """
    own = customers.select("customer_id", *(name for name in customers.columns if name not in profiles.columns))
    people = profiles.join(own, on="customer_id", how="left", maintain_order="left")
    for name in columns:
        if name not in people.columns or name == "customer_id":
            hint = did_you_mean(
                name,
                people.columns,
                gettext_lazy("customers have {columns}", columns=", ".join(own.columns[1:]) or "none"),
            )
            raise ConfigError(
                "column_unknown",
                gettext_lazy(
                    "fairness.columns: no column {name} of customers or profiles; {hint}", name=repr(name), hint=hint
                ),
            )
    chosen = columns or [name for name in DEFAULT_COLUMNS if name in people.columns and people[name].drop_nulls().len()]
    new = pl.col("tenure_days").fill_null(0.0) < new_days
    return people.select(
        "customer_id",
        *(column_groups(people[name]) for name in dict.fromkeys(chosen)),
        pl.when(new).then(pl.lit(NEW)).otherwise(pl.lit(LOYAL)).alias(LOYALTY),
    )


def column_groups(column: pl.Series) -> pl.Series:
    """A column as the texts that name its groups: numbers in bands, the most frequent of many texts, and who gave
    none.
    """
    values = parse_numbers(column)
    if values.dtype.is_numeric() and values.n_unique() > MAX_UNBANDED_VALUES:
        cuts = list(AGE_BANDS) if column.name == "age" else quartiles(values)
        ends = [f"{cut:.4g}" for cut in cuts]
        labels = [f"below {ends[0]}", *(f"{low} to below {high}" for low, high in pairwise(ends))]
        labels.append(f"{ends[-1]} and more")
        band = np.searchsorted(cuts, values.fill_null(0).to_numpy(), side="right")
        found = pl.Series(values.name, [labels[at] for at in band])
        return pl.select(
            pl.when(values.is_null()).then(pl.lit(UNKNOWN_GROUP)).otherwise(found).alias(values.name)
        ).to_series()
    texts = column.cast(pl.String).str.strip_chars().replace("", None)
    often = texts.drop_nulls().value_counts(sort=True).sort(["count", texts.name], descending=[True, False])
    named = often[texts.name].head(MAX_GROUPS if often.height <= MAX_GROUPS else MAX_GROUPS - 1)
    rest = pl.when(texts.is_null()).then(pl.lit(UNKNOWN_GROUP)).otherwise(pl.lit(OTHER_GROUP))
    shown = pl.when(texts.is_in(named.implode())).then(texts).otherwise(rest)
    return pl.select(shown.alias(texts.name)).to_series()


def quartiles(values: pl.Series) -> list[float]:
    """The different values below which a quarter, half and three quarters of the known ones lie."""
    found = [values.quantile(part) for part in (0.25, 0.5, 0.75)]
    return sorted({float(each) for each in found if each is not None})


def group_lists(groups: pl.DataFrame) -> pl.DataFrame:
    """Return customer_id and `groups`, a list of `column=value`, as candidates carry it and limits name it."""
    names = [pl.format("{}={}", pl.lit(name), pl.col(name)) for name in groups.columns if name != "customer_id"]
    return groups.select("customer_id", pl.concat_list(names).alias("groups"))
