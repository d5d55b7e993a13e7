"""Detect names of products and customer columns that reveal a sensitive topic, such as health or religion.

By words in English and Chinese (sensitive.toml). A list finds what is called by its name, and no more.
"""

import re
import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

import polars as pl

from promolift.foundation.i18n.catalogue import gettext_noop

SensitiveTopic = Literal["health", "religion", "sex_life", "union", "politics", "children"]
SENSITIVE_TOPICS: tuple[SensitiveTopic, ...] = get_args(SensitiveTopic)
SENSITIVE_TOPIC_NAMES: dict[str, str] = {
    "health": gettext_noop("health"),
    "religion": gettext_noop("religion"),
    "sex_life": gettext_noop("sex life"),
    "union": gettext_noop("union membership"),
    "politics": gettext_noop("politics"),
    "children": gettext_noop("children"),
}
REQUIRED_COLUMNS = frozenset(("customer_id", "consent", "language"))  # of customers, whatever their columns are called


@cache
def _lists() -> dict[str, Any]:
    return tomllib.loads(
        files("promolift.core.customers").joinpath("sensitive_topics.toml").read_text(encoding="utf-8")
    )


def _pattern(parts: Collection[str]) -> str:
    return f"(?i){'|'.join(parts)}"


def _matter(texts: pl.Expr, part: Literal["products", "columns"]) -> pl.Expr:
    plain = texts.str.replace_all("_", " ").str.replace_all(r"([a-z])([A-Z])", "$1 $2")
    plain = plain.str.replace_all(_pattern(_lists()["harmless"]["words"]), " ")
    lists = _lists()[part]
    found = [
        pl.when(plain.str.contains(_pattern(lists[each]))).then(pl.lit(each))
        for each in SENSITIVE_TOPICS
        if each in lists
    ]
    return pl.coalesce(*found)


def names_sensitive_topic(text: str) -> bool:
    """Whether the name of a product or a category tells of any matter."""
    return bool(_any().search(_harmless().sub(" ", text)))


@cache
def _any() -> re.Pattern[str]:
    return re.compile("|".join(part for parts in _lists()["products"].values() for part in parts), re.IGNORECASE)


@cache
def _harmless() -> re.Pattern[str]:
    return re.compile("|".join(_lists()["harmless"]["words"]), re.IGNORECASE)


def find_sensitive_topics(texts: pl.Series, part: Literal["products", "columns"] = "products") -> pl.Series:
    """Of each text the first matter it tells of; null for none."""
    return pl.DataFrame({"text": texts}).select(_matter(pl.col("text").cast(pl.String), part).alias("matter"))["matter"]


def sensitive_products(catalogue: pl.DataFrame, allowed: Collection[str] = ()) -> pl.DataFrame:
    """product_id and matter of the products whose name, category or type tells of one that is not `allowed`."""
    named = [
        _matter(pl.col(name).cast(pl.String), "products")
        for name in ("name", "category", "type")
        if name in catalogue.columns
    ]
    if not named:
        return pl.DataFrame(schema={"product_id": pl.String, "matter": pl.String})
    found = catalogue.select("product_id", pl.coalesce(*named).alias("matter")).drop_nulls()
    return found.filter(~pl.col("matter").is_in(sorted(allowed)))


def sensitive_columns(names: Mapping[str, str], allowed: Collection[str] = ()) -> dict[str, str]:
    """Of customer columns, given with what the shop calls them, those that tell of a matter that is not `allowed`."""
    some = [name for name in names if name not in REQUIRED_COLUMNS]
    found = zip(
        some, find_sensitive_topics(pl.Series([names[name] for name in some], dtype=pl.String), "columns"), strict=True
    )
    return {name: matter for name, matter in found if matter is not None and matter not in allowed}
