"""Render a console screen as HTML, and serve the static files of its pages: style, script, fonts, charts.

All files come from this server under a Content-Security-Policy without inline scripts or styles. Their names contain
their hash, so browsers cache them until they change.
"""

import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from functools import lru_cache, partial
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from jinja2 import Environment
from markupsafe import Markup

from promolift.core.customers.reason_text import render_reason
from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.i18n.formatting import (
    DASH,
    MoneyFormat,
    count,
    currency_symbol,
    current_locale,
    date,
    finite_or_none,
    number,
    percent,
    upper_first,
)
from promolift.foundation.i18n.lazy_message import render_message
from promolift.foundation.localized_text import LANGUAGE_NAMES
from promolift.foundation.money import currency_digits
from promolift.foundation.pages.rendering import embed_json, template_environment
from promolift.server.console.pages.command_links import mark_commands
from promolift.server.console.pages.context import Screen, chart_options
from promolift.server.console.pages.form_refill import refill
from promolift.server.console.pages.navigation import list_places
from promolift.server.console.state.console_state import FlashMessage
from promolift.server.console.state.users import ROLES, Visitor
from promolift.server.translations import translate_key
from promolift.shop.configuration.configuration import ShopSettings

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
FONT = re.compile(r"url\(data:font/woff2;base64,([A-Za-z0-9+/=]+)\)")
TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "woff2": "font/woff2",
    "svg": "image/svg+xml",
}


PAGES, CONSOLE = "promolift.foundation.pages", "promolift.server.console"
FILES = (
    (PAGES, "report.css", "static/report.css"), (CONSOLE, "console.css", "static/console.css"),
    (PAGES, "echarts.js", "vendor/echarts.report.min.js"), (PAGES, "draw.js", "static/draw.js"),
    (CONSOLE, "htmx.js", "vendor/htmx.min.js"), (CONSOLE, "icon.svg", "static/icon.svg"),
    (CONSOLE, "console.js", "static/console.js"), (CONSOLE, "review.js", "static/review.js"),
)  # fmt: skip
_ZONE: ContextVar[str] = ContextVar("zone", default="UTC")


@lru_cache
def assets() -> dict[str, bytes]:
    """Every file that pages load, by its name, which holds a part of its hash."""
    found: dict[str, bytes] = {}

    def put(name: str, content: bytes) -> str:
        stem, _, end = name.rpartition(".")
        found[named := f"{stem}.{sha256(content).hexdigest()[:12]}.{end}"] = content
        return named

    def text(package: str, name: str) -> str:
        return files(package).joinpath(name).read_text("utf-8")

    def fontfile(match: re.Match[str]) -> str:
        return f"url({put('font.woff2', b64decode(match[1]))})"

    put("fonts.css", FONT.sub(fontfile, text("promolift.foundation.pages", "vendor/fonts.css")).encode())
    for package, name, file in FILES:
        put(name, text(package, file).encode())
    return found


def asset(name: str) -> str:
    """The path of a file by its plain name."""
    stem, _, end = name.rpartition(".")
    (one,) = [each for each in assets() if each.startswith(f"{stem}.") and each.endswith(f".{end}")]
    return f"/console/static/{one}"


SHIPPED_ORIGINS = (  # writer and note of the texts that come with promolift, as their file keeps them
    gettext_noop("a large language model"),
    gettext_noop("no person has approved this text"),
)


def name_origin(kept: str) -> str:
    """Return who wrote or judged a text, or its note, for the reader; what people wrote themselves stays as it is."""
    return gettext(kept) if kept in SHIPPED_ORIGINS else kept


@lru_cache
def _templates() -> Environment:
    made = template_environment("promolift.server.console", "promolift.foundation.pages")
    made.filters |= {
        "upper_first": upper_first,
        "render_reason": render_reason,
        "code": mark_commands,
        "origin": name_origin,
    }
    made.globals |= {
        "asset": asset,
        "date": date,
        "count": count,
        "number": number,
        "share": percent,
        "roles": ROLES,
        "render_message": render_message,
        "language_names": LANGUAGE_NAMES,
        "moment": format_moment,
        "act": partial(translate_key, "act"),
        "status_name": partial(translate_key, "state"),
        "step_name": partial(translate_key, "step"),
        "role_name": partial(translate_key, "role_name"),
    }
    return made


class PageFrame(NamedTuple):
    """What stands around every screen: who is signed in, where they are, whose shop it is, what they are told once,
    which days count in no result, since when days were simulated, and what all pages say at present.
    """

    visitor: Visitor | None
    address: str
    settings: ShopSettings
    nav: Mapping[str, str] = {}
    messages: Sequence[FlashMessage] = ()
    left_out: Sequence[str] = ()
    played: str = ""
    notices: Sequence[str] = ()

    @property
    def here(self) -> str:
        """The path of the page."""
        return self.address.partition("?")[0]

    @property
    def shop(self) -> str:
        """Its name."""
        return self.settings.name

    @property
    def zone(self) -> str:
        """Its time zone."""
        return self.settings.zone


def render_html(screen: Screen, frame: PageFrame) -> bytes:
    """Render the page, or a part of it."""
    cash = MoneyFormat(frame.settings.currency)
    _ZONE.set(frame.zone)
    money = {"symbol": currency_symbol(frame.settings.currency), "digits": currency_digits(frame.settings.currency)}
    figures = screen.figures or chart_options(screen.data.get("blocks", ()))
    chart_data = Markup(embed_json({"money": money, "language": current_locale(), "figures": figures}))
    visitor = frame.visitor
    given: dict[str, Any] = {
        "screen": screen, "frame": frame, "cash": cash, "token": visitor.token if visitor else "", "paths": frame.nav,
        "places": list_places(frame.nav, frame.here),
        "figure_data": chart_data if figures else "", "may": visitor.may if visitor else lambda _: False,
    }  # fmt: skip
    text = _templates().get_template(screen.template).render(**given, **screen.data)
    if screen.refused is not None:
        text = refill(text, screen.refused)
    return text.encode("utf-8", "replace")


def format_moment(ms: object) -> str:
    """Format a date and time in the shop's time zone."""
    value = finite_or_none(ms)
    if value is None:
        return DASH
    local = datetime.fromtimestamp(value / 1000, ZoneInfo(_ZONE.get()))
    return f"{date(ms, _ZONE.get())} {local:%H:%M}"
