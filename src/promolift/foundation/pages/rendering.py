"""Render a `Page` as one HTML file that needs no network and no other file."""

import json
import math
import re
from base64 import b64encode
from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from promolift.foundation.i18n.catalogue import gettext, ngettext, pgettext
from promolift.foundation.i18n.formatting import currency_symbol, current_locale, minor_digits
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.pages.blocks import Figure, Page, widen_lone_blocks

if TYPE_CHECKING:
    from jinja2 import Environment


def render_page(page: Page) -> str:
    """Return the page as one HTML document in the language that is in use. The same page gives the same text.

    Customers' texts are escaped, the charts' data are JSON in a block that runs nothing, and a Content-Security-Policy
    allows only this document's scripts and styles, by hash.
    """
    chapters = [replace(chapter, blocks=widen_lone_blocks(chapter.blocks)) for chapter in page.chapters]
    figures = {b.id: b.spec for chapter in chapters for b in chapter.blocks if isinstance(b, Figure)}
    money = {"symbol": currency_symbol(page.currency), "digits": minor_digits(page.currency)}
    style = _asset("vendor/fonts.css") + _asset("static/report.css")
    scripts = [_asset(name) for name in ("vendor/echarts.report.min.js", "static/draw.js", "static/report.js")]
    text = (
        _templates()
        .get_template("report.html")
        .render(
            csp=_policy(style, scripts),
            style=Markup(style),
            scripts=[Markup(script) for script in scripts],
            data=Markup(embed_json({"money": money, "language": current_locale(), "figures": figures})),
            page=page,
            chapters=chapters,
        )
    )
    return text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate cannot be written to a file


def embed_json(value: object) -> str:
    """Return JSON that may stand inside <script>: no text can close the element or open a comment; NaN becomes null."""
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):  # six figures are more than a screen can show
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


@lru_cache
def _asset(name: str) -> str:
    # browsers hash what they parsed, and they parse every line end as \n
    return files("promolift.foundation.pages").joinpath(name).read_text("utf-8").replace("\r\n", "\n")


def _policy(style: str, scripts: list[str]) -> str:
    allowed = " ".join(_digest(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_digest(style)}; font-src data:; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def mark_code(text: str) -> Markup:
    """Return text with the parts between backquotes marked as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def template_environment(*packages: str) -> "Environment":
    """Return the templates of some packages with the functions that all of them use. Every text is escaped."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined  # a refusal need not wait for it

    made = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "gettext": gettext,
        "ngettext": ngettext,
        "pgettext": pgettext,
        "current_locale": current_locale,
    }
    made.filters |= {"code": mark_code, "render_message": render_message}
    return made


@lru_cache
def _templates() -> "Environment":
    return template_environment("promolift.foundation.pages")
