"""Typed results and a page in; the numbers on the page that none of the results holds out."""

import json
import re
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from html import unescape
from typing import Any

import polars as pl

from promolift.foundation.i18n.formatting import (
    currency_symbol,
    day_count,
    money,
    number,
    per_unit,
    percent,
    upper_first,
)
from promolift.foundation.settings import Settings

TOKEN = re.compile(r"(?<![\w.])[+−±]?(?:[A-Z]{0,3}[$¥€])?\d+(?:,\d{3})*(?:\.\d+)?(?:\s(?:%|M|bn)(?!\w)|%)?")
UNITS = ("cents", "days", "share", "prob")
CLOCK = re.compile(r"\b\d{1,2}:00\b")


class Held:
    """Every number that some typed results hold, in the forms that its name allows, and every text, printed whole."""

    def __init__(self, currency: str, results: Iterable[Any]) -> None:
        self.currency = currency
        self.printed = {f"{currency_symbol(currency)}1", clean(percent(0.95))}
        self.raw: set[float] = {0.0}
        self.texts: set[str] = set()
        self.many("", list(results))

    def one(self, unit: str, value: object) -> None:
        """A number in the forms of its unit, a text as it is; a text that is but a number is a number."""
        if isinstance(value, str) and re.search(r"\d", value):
            told = {clean(value), upper_first(clean(value))}
            (self.printed if TOKEN.fullmatch(value) else self.texts).update(told)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return
        self.printed |= {bare(token) for text in self.printable(unit, value) for token in TOKEN.findall(clean(text))}
        self.raw.add(float(f"{value:.6g}"))

    def printable(self, unit: str, value: float) -> list[str]:
        """How a number of this unit may be printed; `.0f` and `.0%` are those of a customer's facts."""
        if unit == "next_cents":
            return [money(value, self.currency), per_unit(value, self.currency)]
        if unit == "cents":
            return [money(value, self.currency)]
        if isinstance(value, int):
            return [f"{value:,}"]
        if unit == "days":
            return [day_count(value), number(value), f"{value:.0f}"]
        if unit in ("share", "prob"):
            return [percent(value), percent(value, 1), f"{value:.0%}"]
        return [
            percent(value),
            percent(value, 1),
            number(value),
            *(f"{value:{form}}" for form in (",.0f", ".1f", ".2f")),
        ]

    def many(self, unit: str, values: Any) -> None:
        """Everything inside a typed result or a table: fields, properties, cells; what has no unit in its name has that
        of what it is in.
        """
        if isinstance(values, Settings) or (is_dataclass(values) and not isinstance(values, type)):
            own = type(values).model_fields if isinstance(values, Settings) else [f.name for f in fields(values)]
            derived = [n for n, v in vars(type(values)).items() if isinstance(v, property)]
            self.many(unit, {name: getattr(values, name) for name in [*own, *derived]})
        elif isinstance(values, pl.DataFrame):
            self.many(unit, values.to_dict(as_series=False))
        elif isinstance(values, dict):
            for key, value in values.items():
                self.many(self.named(key, unit), value)
        elif isinstance(values, list | tuple):
            for each in values:
                self.many(unit, each)
        else:
            self.one(unit, values)

    def named(self, key: str, outer: str) -> str:
        """What is told of a field by its name: its unit, else that of what it is in."""
        return unit_of(key) or outer

    def strays(self, text: str) -> list[str]:
        """Numbers in `text` that nobody holds."""
        return [token for token in self.tokens(text) if bare(token) not in self.printed]

    def tokens(self, text: str) -> list[str]:
        """Numbers in `text`, without those of texts that are held as a whole."""
        for known in sorted(self.texts, key=len, reverse=True):
            text = text.replace(known, " ")
        return TOKEN.findall(text)


def unit_of(name: str) -> str:
    """The unit in the name of a field, if any."""
    if name == "next_cents":
        return name
    return next((unit for unit in UNITS if name.split("_")[-1] == unit), "")


def bare(token: str) -> str:
    """A number without its sign."""
    return token.lstrip("+−±")


def clean(text: str) -> str:
    """A text as a browser shows it: blanks are one blank."""
    return " ".join(text.split())


def visible(html: str) -> str:
    """The text of some HTML: no tags, no script, no numbering of chapters, no hours of the day."""
    for element in ("script", "style", "svg", "nav"):
        html = re.sub(rf"<{element}\b.*?</{element}>", " ", html, flags=re.S)
    html = re.sub(r'<span class="ordinal".*?</span>', " ", html)
    return CLOCK.sub(" ", clean(unescape(re.sub(r"<[^>]+>", " ", html))))


def parts(page: str) -> dict[str, str]:
    """The visible text of the first screen, of each chapter without its figures, and of each figure."""
    found = {"first screen": visible(page[page.index('<header class="hero">') : page.index('<div class="page">')])}
    for section in page.split('<section id="')[1:]:
        figures = re.findall(r'<figure .*?id="figure-([\w-]+)">(.*?)</figure>', section, flags=re.S)
        found |= {f"figure {name}": visible(inner) for name, inner in figures}
        rest = re.sub(r"<figure .*?</figure>", " ", section.split("<footer")[0], flags=re.S)
        found[section.split('"')[0]] = visible(f'<section id="{rest}')
    return found


def charts(page: str) -> dict[str, Any]:
    """The data of each figure's chart."""
    figures: dict[str, Any] = json.loads(page.split('id="report-data">')[1].split("</script>")[0])["figures"]
    return {f"figure {name}": figure for name, figure in figures.items()}


def drawn(values: Any) -> tuple[list[str], list[float]]:
    """Texts and numbers of a chart."""
    if isinstance(values, str):
        return [values], []
    if isinstance(values, bool) or values is None:
        return [], []
    if isinstance(values, int | float):
        return [], [float(f"{values:.6g}")]
    each = [drawn(value) for value in (values.values() if isinstance(values, dict) else values)]
    return [t for texts, _ in each for t in texts], [n for _, numbers in each for n in numbers]


def strays(page: str, held: dict[str, Held]) -> dict[str, list[Any]]:
    """Numbers of a page that nobody holds, by where they stand. KeyError for a part that has no typed results."""
    found: dict[str, list[Any]] = {name: list(held[name].strays(text)) for name, text in parts(page).items()}
    for name, data in charts(page).items():
        (texts, numbers), known = drawn(data), held[name]
        found[name] += [*known.strays(clean(" \n ".join(texts))), *(x for x in numbers if x not in known.raw)]
    return {name: some for name, some in found.items() if some}
