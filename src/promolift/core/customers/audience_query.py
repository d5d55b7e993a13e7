"""Read an audience from a SELECT of customer_id over four views: customers, orders, events and products.

The query runs in a database of its own that holds these views and can open no file. What would make its answer differ
from one run to the next (a clock, a random number, a sample) is refused: the moment of the plan is in the columns
`days_ago`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
import polars as pl

from promolift.foundation.errors import ConfigError, SettingError
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.i18n.suggestion import did_you_mean

VIEWS = ("customers", "orders", "events", "products")
CHANGING_FUNCTIONS = re.compile(
    r"^(current_\w+|get_current_\w+|now|today|age|transaction_timestamp|txid_current|random|setseed|uuid\w*"
    r"|gen_random_uuid|nextval|currval|setval|sleep_ms|write_log|getvariable|getenv|localtime\w*)$",
    re.IGNORECASE,
)
COLUMN_ID = "customer_id"
MISSING_COLUMN = re.compile(r'Referenced column "([^"]+)" not found|does not have a column named "([^"]+)"')


def check_query(query: str) -> None:
    """Raise SettingError (`audience_invalid`) unless `query` is one SELECT over `VIEWS` with a lasting answer."""
    nodes = list(_nodes(_tree(query)))
    ctes = {str(each["key"]).lower() for node in nodes for each in node.get("cte_map", {}).get("map", ())}
    for node in nodes:
        kind, name = node.get("type"), str(node.get("table_name", ""))
        if kind == "TABLE_FUNCTION":
            name = f"{node['function']['function_name']}(...)"
            raise _invalid(query, gettext_lazy("{name} is no view; the views are {views}", name=name, views=_listed()))
        if kind == "BASE_TABLE" and (name.lower() not in {*VIEWS, *ctes} or node["schema_name"]):
            hint = did_you_mean(name, VIEWS, gettext_lazy("the views are {views}", views=_listed()))
            raise _invalid(query, gettext_lazy("no view {name}; {hint}", name=repr(name), hint=hint))
        if node.get("sample"):
            raise _invalid(query, gettext_lazy("a sample differs from one run to the next; leave it out"))
        said = [node.get("function_name", "")] if node.get("class") == "FUNCTION" else node.get("column_names", ())
        if changing := next((each for each in said if CHANGING_FUNCTIONS.match(each)), None):
            raise _invalid(
                query,
                gettext_lazy(
                    "{name} differs from one run to the next; days_ago counts back from the day of the plan",
                    name=changing,
                ),
            )


def read_views(query: str) -> set[str]:
    """Return which of `VIEWS` a checked query names."""
    names = {str(node["table_name"]).lower() for node in _nodes(_tree(query)) if node.get("type") == "BASE_TABLE"}
    return names & {*VIEWS}


def query_audience(query: str, views: Mapping[str, pl.DataFrame], where: str) -> pl.Series:
    """Return the distinct customer_id of a checked query, sorted; ConfigError with `where` as it fails on these views.

    `views` holds at least those that the query names.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": "false", "threads": "1", "autoload_known_extensions": "false",
    }  # fmt: skip
    with duckdb.connect(config=settings) as db:
        for name in read_views(query):
            db.register(name, views[name].to_arrow())
        try:
            found: pl.DataFrame = db.sql(query).pl()
        except duckdb.Error as error:
            raise _failure(str(error), [column for view in views.values() for column in view.columns], where) from None
    if COLUMN_ID not in found.columns:
        listed = ", ".join(found.columns)
        raise ConfigError(
            "audience_invalid",
            gettext_lazy(
                "{where}: it selects {listed}; begin with `select {column_id} from`",
                where=where,
                listed=listed,
                column_id=COLUMN_ID,
            ),
        )
    return found[COLUMN_ID].cast(pl.String).drop_nulls().unique().sort()


def _failure(said: str, columns: Sequence[str], where: str) -> ConfigError:
    if missing := MISSING_COLUMN.search(said):
        name = missing[1] or missing[2]
        hint = did_you_mean(name, sorted({*columns}), gettext_lazy("docs/plays.md lists the columns of each view"))
        return ConfigError(
            "column_unknown", gettext_lazy("{where}: no column {name}; {hint}", where=where, name=repr(name), hint=hint)
        )
    return ConfigError("audience_failed", gettext_lazy("{where}: {said}", where=where, said=said.splitlines()[0]))


def _tree(query: str) -> Any:
    read = json.loads(duckdb.execute("select json_serialize_sql(?)", [query]).fetchall()[0][0])
    if read["error"]:
        raise _invalid(query, LazyMessage.untranslated(read["error_message"]))
    if len(read["statements"]) != 1:
        raise _invalid(query, gettext_lazy("write one SELECT"))
    return read["statements"][0]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a parse tree."""
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _listed() -> str:
    return ", ".join(VIEWS)


def _invalid(query: str, why: LazyMessage) -> SettingError:
    return SettingError("audience_invalid", gettext_lazy("{query}: {why}", query=repr(query), why=why))
