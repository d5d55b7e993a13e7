"""The settings classes and the example files in; docs/configuration.md out: what every key means and how it is written.

A key is described where it is declared (`Field(description=..., examples=[...])`), and nowhere else.
"""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import IPvAnyNetwork
from pydantic.fields import FieldInfo

from promolift.extensions.ads.results import CreativeFile
from promolift.extensions.finance.results import FinanceFile
from promolift.foundation.extension import RegisteredName
from promolift.foundation.i18n.lazy_message import LazyMessage
from promolift.foundation.money import Currency
from promolift.foundation.settings import Settings, Zone, settings_class_in, toml_key
from promolift.server.ledger.policy import Policy
from promolift.server.settings import ServeSettings
from promolift.shop.configuration.column_mapping import REQUIRED_ROLES, ROLES
from promolift.shop.configuration.configuration import RAW_NAMES, Config

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMED = {get_args(Currency)[1]: "currency code (ISO 4217)", get_args(Zone)[1]: "name of a time zone"}
PATTERNS = {
    r"^\d+(\.\d+)?(MB|GB)$": "size in MB or GB",
    r"^\d{4}-\d{2}-\d{2}$": "day as YYYY-MM-DD",
    r"^[a-z0-9][a-z0-9-]*$": "small letters, digits and hyphens",
    r"^[^|,=\[\]]+$": "text without | , = [ ]",
    r"^([A-Za-z_][A-Za-z0-9_]*)?$": "name of a column",
    r"^https?://": "address that begins with http:// or https://",
    r"^[A-Z][A-Z0-9_]*$": "capitals, digits and _",
    r"^[A-Z]{2}$": "two capitals",
    r"^(auto|[^/\s:]+:\d+)$": "auto, or host:port",
}
INTRO = """\
# Settings

Generated from the settings classes, `examples/promolift.toml`, `examples/serve/serve.toml` and
`examples/serve/policy.json` by `make docs`; edit those files.

What is left out has its default; an unknown key is an error that names the nearest known one. Money is in minor units
(cents) where a key ends in `_cents`, and time in milliseconds where it ends in `_ms`. A share is written as 0.1, not as
10 %.
"""


@dataclass(frozen=True)
class Book:
    """One file of settings: its class and title, what is said of it, and the example that its parts are cut from."""

    kind: type[Settings]
    title: str
    about: str
    example: Path

    @property
    def text(self) -> str:
        """The example as it stands."""
        return self.example.read_text(encoding="utf-8")

    @property
    def is_json(self) -> bool:
        """Whether it is written as JSON."""
        return self.example.suffix == ".json"

    @property
    def values(self) -> dict[str, Any]:
        """The example as it is read."""
        read: dict[str, Any] = json.loads(self.text) if self.is_json else tomllib.loads(self.text)
        return read

    def part(self, path: str, whole: bool = False) -> str:
        """What the example says under `path`, ready to be copied; with what lies below it if `whole`."""
        if self.is_json:
            top = path.partition(".")[0]
            return json.dumps({top: self.values[top]}) if path else self.text.strip()
        under = f"{path}." if whole else path
        return "\n\n".join(
            text for name, text in _blocks(self.text) if name == path or (whole and name.startswith(under))
        )


BOOKS = (
    Book(
        Config,
        "promolift.toml",
        "The shop, its data and its plan. `promolift init` writes one for your files; a whole one to copy from is "
        "[examples/promolift.toml](../examples/promolift.toml).",
        EXAMPLES / "promolift.toml",
    ),
    Book(
        FinanceFile,
        "A bank's offers",
        "`promolift init --trade finance` writes one ([trades](trades.md)). A whole one: "
        "[examples/finance.toml](../examples/finance.toml).",
        EXAMPLES / "finance.toml",
    ),
    Book(
        CreativeFile,
        "Creatives",
        "`promolift init --trade ads` writes one ([trades](trades.md)). A whole one: "
        "[examples/ads.toml](../examples/ads.toml).",
        EXAMPLES / "ads.toml",
    ),
    Book(
        ServeSettings,
        "The server",
        "`promolift serve --settings serve.toml`; every key is optional. A whole file: "
        "[examples/serve/serve.toml](../examples/serve/serve.toml).",
        EXAMPLES / "serve/serve.toml",
    ),
    Book(
        Policy,
        "The policy of a campaign",
        '`PUT /v1/campaigns/{campaign_id}` with `{"policy": ...}` ([how](serve.md#4-redeem-15-minutes)). The whole: '
        "[examples/serve/policy.json](../examples/serve/policy.json).",
        EXAMPLES / "serve/policy.json",
    ),
)


def page() -> str:
    """docs/configuration.md: every key with its type, default, meaning and an example."""
    lines = [INTRO]
    for book in BOOKS:
        links = (f"[{place.path}](#{re.sub(r'[^a-z_-]', '', place.path)})" for place in places(book.kind))
        lines += [f"## {book.title}", "", book.about, "", f"Parts: {' · '.join(links)}", ""]
        if keys(book.kind):
            lines += table(book.kind, book.is_json)
            lines += fenced(book, "")
        for place in places(book.kind):
            lines += [f"### `{place.path}`", ""]
            if place.said:
                lines += [place.said, ""]
            if place.like:
                lines += [f"Its keys are those of `{place.like}`.", ""]
            else:
                lines += [" ".join((place.kind.__doc__ or "").split()), ""]
                lines += table(place.kind, book.is_json)
            lines += fenced(book, place.path, whole=bool(place.like))
        if book.kind is Config:
            lines += roles()
    return "\n".join(lines).rstrip() + "\n"


@dataclass(frozen=True)
class Place:
    """A settings class at its place in the file, and what is said of that place beyond what the class says.

    `like` is the earlier place of the same class, whose keys it has; empty where this is the first.
    """

    path: str
    kind: type[Settings]
    said: str
    like: str


def places(kind: type[Settings], path: str = "", seen: dict[type, str] | None = None) -> Iterator[Place]:
    """The parts below a settings class in order; what lies in a class only where it comes first."""
    seen = {} if seen is None else seen
    for name, field in kind.model_fields.items():
        inner = settings_class_in(field.annotation)
        if inner is None:
            continue
        below = f"{path}.{name}" if path else name
        yield Place(below, inner, field.description or "", seen.get(inner, ""))
        if inner not in seen:
            seen[inner] = below
            yield from places(inner, below, seen)


def keys(kind: type[Settings]) -> dict[str, FieldInfo]:
    """The keys of a part that are values and no parts of their own."""
    return {name: field for name, field in kind.model_fields.items() if settings_class_in(field.annotation) is None}


def table(kind: type[Settings], as_json: bool) -> list[str]:
    """The keys of one part."""
    lines = ["| key | type and allowed values | default | meaning | example |", "| --- | --- | --- | --- | --- |"]
    for name, field in keys(kind).items():
        value = shown(example(field), as_json)
        wrote = f'"{name}": {value}' if as_json else f"{name} = {value}"
        cells = (
            f"`{name}`",
            in_words(field.annotation, field.metadata),
            default(field, as_json),
            field.description or "",
        )
        lines.append(f"| {' | '.join(map(_cell, (*cells, f'`{wrote}`')))} |")
    return [*lines, ""]


def example(field: FieldInfo) -> Any:
    """A value as somebody would write it: the stated one, else the default."""
    return field.examples[0] if field.examples else field.get_default(call_default_factory=True)


def default(field: FieldInfo, as_json: bool) -> str:
    """What is taken where the key is left out."""
    if field.is_required():
        return "needed"
    if field.default_factory_takes_validated_data:  # other settings decide
        return "left out"
    value = field.get_default(call_default_factory=True)
    return "left out" if value is None else "none" if value in ("", (), {}) else f"`{shown(value, as_json)}`"


def in_words(kind: Any, rules: Sequence[Any] = ()) -> str:
    """A type with its bounds, in words."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return in_words(parts[0], (*rules, *(rule for part in parts[1:] for rule in getattr(part, "metadata", [part]))))
    if origin is Literal:
        return "one of " + ", ".join(f"`{part}`" for part in parts)
    if origin is tuple:
        return "list of " + _several(parts[0])
    if origin is dict:
        return f"for each name {in_words(parts[1])}"
    if origin is not None:
        return ", or ".join(in_words(part, rules) for part in parts if part is not type(None))
    if registered := next((rule for rule in rules if isinstance(rule, RegisteredName)), None):
        return "one of " + ", ".join(f"`{name}`" for name in registered.all_names())
    if kind is bool:
        return "true or false"
    if kind in (int, float):
        return _number(kind, rules)
    if issubclass(kind, Path):
        return "folder"
    named = (NAMED.get(rule) for rule in rules)
    patterns = (PATTERNS[rule.pattern] for rule in rules if hasattr(rule, "pattern"))
    return next(filter(None, (*named, *patterns)), "text")


def _several(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "any of " + ", ".join(f"`{part}`" for part in get_args(kind))
    if get_origin(kind) is Annotated:
        return in_words(kind).replace("number", "numbers", 1)
    return {str: "texts", LazyMessage: "texts", int: "whole numbers", IPvAnyNetwork: "addresses or networks"}[kind]


def _number(kind: type, rules: Sequence[Any]) -> str:
    bounds = {name: getattr(rule, name) for rule in rules for name in ("ge", "gt", "le", "lt") if hasattr(rule, name)}
    share = kind is float and bounds.get("le", bounds.get("lt", 2)) <= 1
    told = "whole number" if kind is int else "share" if share else "number"
    most = " to {:g}" if "ge" in bounds else ", at most {:g}"
    says = {"ge": " from {:g}", "gt": " above {:g}", "le": most, "lt": ", below {:g}"}
    return told + "".join(says[name].format(bounds[name]) for name in says if name in bounds)


def shown(value: Any, as_json: bool = False) -> str:
    """A value as it would stand in the file."""
    if isinstance(value, dict) and not as_json:
        return "{ " + ", ".join(f"{toml_key(name)} = {shown(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(shown(each, as_json) for each in value)}]"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def fenced(book: Book, path: str, whole: bool = False) -> list[str]:
    """The part of the example file, to be copied."""
    text = book.part(path, whole)
    return [f"```{book.example.suffix[1:]}", text, "```", ""] if text else []


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """The tables of a TOML file with their names; what stands before the first has none."""
    parts = re.split(r"^(?=\[)", text, flags=re.M)
    head = "\n".join(line for line in parts[0].splitlines() if not line.startswith("#")).strip()
    yield "", head
    for part in parts[1:]:
        yield part.splitlines()[0].strip("[]"), part.strip()


def roles() -> list[str]:
    """What a column can be, for each raw table that promolift.toml names."""
    lines = ["### Roles", "", "What `columns` and `constants` of a mapping may name; roles in bold are needed.", ""]
    for name in RAW_NAMES:
        lines += [f"| role in `{name}` | what the column says |", "| --- | --- |"]
        for role, meaning in ROLES[name].items():
            lines.append(f"| {f'**`{role}`**' if role in REQUIRED_ROLES[name] else f'`{role}`'} | {_cell(meaning)} |")
        lines.append("")
    return lines


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
