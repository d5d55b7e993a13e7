"""Assign customers to named segments, each defined by a rule on profile columns.

A rule is a condition on one customer's own row, written as in SQL. DuckDB's parser reads it, and it is taken only
if every part of it is of a kind named here: no aggregates, no subqueries, no files.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import numpy as np
import polars as pl
from pydantic import Field, field_validator

from promolift.foundation.errors import ConfigError, SettingError
from promolift.foundation.i18n.lazy_message import gettext_lazy
from promolift.foundation.i18n.suggestion import did_you_mean
from promolift.foundation.localized_text import Language
from promolift.foundation.settings import Settings

ALLOWED_EXPRESSIONS = {"CONJUNCTION", "COMPARISON", "COLUMN_REF", "CONSTANT", "OPERATOR", "BETWEEN"}
ALLOWED_FUNCTIONS = {
    "+", "-", "*", "/", "%", "abs", "lower", "upper", "trim", "coalesce", "contains", "starts_with", "~~", "!~~",
    "~~*", "!~~*",
}  # fmt: skip
COLUMNS_HELP = gettext_lazy(
    "the columns are those of profiles (docs/tables.md), the shop's own columns of customers, and value_decile"
)


class Segment(Settings):
    """A named group of customers, by a rule on what the profile knows of each at the moment of the plan."""

    name: str = Field(
        pattern=r"^[^|,=\[\]]+$",
        max_length=60,
        description="Name of the group. Menu lines, limits and reports refer to it.",
        examples=["frequent"],
    )
    name_zh: str | None = Field(
        default=None, min_length=1, description="The same as Chinese pages print it.", examples=["高频会员"]
    )
    where: str = Field(
        min_length=1,
        max_length=2000,
        description="Who belongs to it: a condition as in SQL on the columns of [profiles](tables.md#profiles), on the "
        "shop's own columns of customers, and on `value_decile` (10: the tenth that spent most in 52 weeks, or in a "
        "shorter log). Texts stand in single quotes. Who has no value in a column that it asks for does not belong.",
        examples=["recency_days <= 28 and orders_16w >= 8", "tier in ('gold', 'platinum')"],
    )

    def name_in(self, language: Language) -> str:
        """Return the name as pages in a language print it."""
        return (self.name_zh if language == "zh" else None) or self.name

    @field_validator("where")
    @classmethod
    def _is_a_condition(cls, where: str) -> str:
        for part in _parts(_tree(where)):
            kind, function = part["class"], part.get("function_name")
            if (
                kind == "FUNCTION"
                and function in ALLOWED_FUNCTIONS
                and not part.get("schema")
                and not part.get("distinct")
            ):
                continue
            if kind not in ALLOWED_EXPRESSIONS or len(part.get("column_names", "1")) != 1:
                said = f"{function}(...)" if function else kind.lower().replace("_", " ")
                raise SettingError(
                    "condition_unsupported",
                    gettext_lazy(
                        "{where}: {said} is not read here; a rule compares columns and values with = <> < <= > >=, "
                        "and, or, not, between, in, like, is null, + - * /",
                        where=repr(where),
                        said=said,
                    ),
                )
        return where


def _tree(where: str) -> dict[str, Any]:
    """The parse tree of a condition. SettingError saying where the text stops being one."""
    text = duckdb.execute("select json_serialize_sql(?)", [f"select ({where}\n)"]).fetchall()[0][0]
    read = json.loads(text)
    if read["error"]:
        raise SettingError(
            "condition_invalid",
            gettext_lazy(
                "{where} is no condition: {error_message}", where=repr(where), error_message=read["error_message"]
            ),
        )
    first, *more = read["statements"]
    node = first["node"]
    only = node["type"] == "SELECT_NODE" and len(node["select_list"]) == 1 and node["from_table"]["type"] == "EMPTY"
    if more or not only or node["modifiers"]:
        raise SettingError("condition_invalid", gettext_lazy("{where} is no single condition", where=repr(where)))
    tree: dict[str, Any] = node["select_list"][0]
    return tree


def _parts(tree: Any) -> Iterator[dict[str, Any]]:
    """Every expression in a parse tree."""
    if isinstance(tree, dict):
        if "class" in tree:
            yield tree
        for value in tree.values():
            yield from _parts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _parts(value)


def find_segments(
    profiles: pl.DataFrame, customers: pl.DataFrame, segments: Sequence[Segment], spent: pl.Series | None = None
) -> pl.DataFrame:
    """customer_id and segments (names, in order of the settings) of everybody in `profiles`, PROFILES of one moment.

    `value_decile` is the customer's place among the others in `profiles`, or where `spent` is given among these amounts
    (of customers who are nobody's business, in minor units); unknown where `spent` is empty.

    `customers` are CUSTOMERS: columns of the shop's own are read as numbers where all that they hold are. ConfigError
    names the segment whose rule asks for a column that is not there, or compares what cannot be compared.
    """
    people = customer_columns(profiles, customers, spent)
    member = zip(segments, segment_members(people, segments), strict=True)
    names = [pl.when(pl.lit(is_in)).then(pl.lit(segment.name)) for segment, is_in in member]
    listed = pl.concat_list(names).list.drop_nulls() if names else pl.lit([], pl.List(pl.String))
    return people.select("customer_id", listed.alias("segments"))


def customer_columns(profiles: pl.DataFrame, customers: pl.DataFrame, spent: pl.Series | None = None) -> pl.DataFrame:
    """The columns that rules on customers may ask for: `profiles`, the shop's own columns, and `value_decile`."""
    more = [name for name in customers.columns if name not in profiles.columns]
    own = customers.select("customer_id", *(parse_numbers(customers[name]) for name in more))
    return profiles.join(own, on="customer_id", how="left", maintain_order="left").with_columns(
        value_decile(spent).alias("value_decile")
    )


def segment_members(people: pl.DataFrame, segments: Sequence[Segment]) -> list[pl.Series]:
    """Of each segment, whether each row belongs to it; ConfigError as of `find_segments`."""
    with duckdb.connect(config={"enable_external_access": "false"}) as db:
        db.register("people", people.to_arrow())
        return [_members(db, segment, people.columns) for segment in segments]


def _members(db: duckdb.DuckDBPyConnection, segment: Segment, columns: Sequence[str]) -> pl.Series:
    where = f"segment {segment.name!r}: where = {segment.where!r}"
    lowered = {name.lower() for name in columns}
    for part in _parts(_tree(segment.where)):
        for name in part.get("column_names", ()):
            if name.lower() not in lowered:
                hint = did_you_mean(name, columns, COLUMNS_HELP)
                quoted = (
                    gettext_lazy("; a text stands in single quotes, as '{name}'", name=name)
                    if f'"{name}"' in segment.where
                    else ""
                )
                raise ConfigError(
                    "column_unknown",
                    gettext_lazy(
                        "promolift.toml: {where}: no column {name}; {hint}{quoted}",
                        where=where,
                        name=repr(name),
                        hint=hint,
                        quoted=quoted,
                    ),
                )
    try:
        found = db.sql(f"select ({segment.where}\n) as is_in from people")
        if str(found.types[0]) != "BOOLEAN":
            raise ConfigError(
                "condition_invalid",
                gettext_lazy("promolift.toml: {where}: not a condition; compare it with something", where=where),
            )
        frame: pl.DataFrame = found.pl()
        return frame["is_in"].fill_null(False)
    except duckdb.Error as error:
        said = str(error).split("\n")[0]
        raise ConfigError(
            "condition_failed", gettext_lazy("promolift.toml: {where}: {said}", where=where, said=said)
        ) from None


def parse_numbers(column: pl.Series) -> pl.Series:
    """A column of texts as numbers, where every text in it is one."""
    if column.dtype != pl.String:
        return column
    numbers = column.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == column.null_count() < len(column) else column


def value_decile(others: pl.Series | None = None) -> pl.Expr:
    """1 to 10 in order of what was spent in 52 weeks, or in a shorter log in all of it; equals share a decile."""
    spent = pl.coalesce("revenue_52w_cents", "revenue_total_cents")
    if others is None:
        return (10 * spent.rank("max") / spent.count()).ceil().cast(pl.Int64)
    amount_S = others.sort().to_numpy()
    place = spent.map_batches(
        lambda own: pl.Series(np.searchsorted(amount_S, own.fill_null(0).to_numpy(), side="right")),
        return_dtype=pl.Int64,
    )
    share = (10 * place / max(len(others), 1)).ceil().clip(lower_bound=1).cast(pl.Int64)
    return pl.when(spent.is_not_null() & (len(others) > 0)).then(share)


def segment_counts(members: pl.DataFrame, segments: Sequence[Segment]) -> pl.DataFrame:
    """segment, customers: how many belong to each, in order of the settings; nobody's is 0."""
    counted = dict(members.explode("segments")["segments"].drop_nulls().value_counts().iter_rows())
    rows = [(each.name, counted.get(each.name, 0)) for each in segments]
    return pl.DataFrame(rows, schema={"segment": pl.String, "customers": pl.Int64}, orient="row")
