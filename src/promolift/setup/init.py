"""Raw files in; a commented promolift.toml with the guessed meaning of every column out."""

import json
import os
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from promolift import data
from promolift.config import RAW, Config
from promolift.errors import ConfigError, InputError
from promolift.results.job import StepSummary
from promolift.setup.files import EventFile, TiedFile, kind_by_name, open_logs
from promolift.sources.files import open_file
from promolift.store import Store

INSIDE: tuple[tuple[Literal["products", "customers"], str], ...] = (
    ("products", "product_id"),
    ("customers", "customer_id"),
)  # tables that may stand inside the events, and the column by which their rows differ
HEAD = """\
# promolift's settings for this shop. Every key is explained in docs/configuration.md; what is left out has a default.

[shop]
name = "My shop"
currency = {currency}
zone = {zone}            # what a local day is; a name such as Asia/Shanghai or America/New_York
language = "en"          # zh or en: for customers whose language is unknown

[value]
margin_rate = 0.30       # assumed margin on undiscounted value, where products carry no cost: please set yours

[encoder]
depth = 0                # 2 learns what each customer will do next; needs pip install 'promolift[deep]'

[consent]
default = {consent}           # {consent_why}

[plan]
campaign = "cmp_1"
window_days = 28
# budget_cents = 100000  # left out: 0.2 % of the revenue of the last window
holdout_share = 0.10     # these customers get nothing, so that what the plan earns can be measured
min_evidence = "auto"

[data]
source = "files"
"""


def init(files: dict[str, Path], config: Path, force: bool, more: Sequence[Path] = ()) -> StepSummary:
    """Write `config` for the raw `files` (events, products, customers, promotions); what was found.

    `more` are further files of events; `open_logs` says what a path of events may hold. Nothing is written if a file
    cannot be understood or `config` is there already (unless `force`).
    """
    if config.exists() and not force:
        raise ConfigError(f"{config}: already there; edit it, or write it anew with --force")
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        parts = guess_all(store, files, more)
    text = compose(parts, config)
    Config.parse(tomllib.loads(text), str(config))
    config.parent.mkdir(parents=True, exist_ok=True)
    draft = config.with_name(f".{config.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(config)
    figures = {"step": "init", "config": str(config), "tables": [part.to_json() for part in parts]}
    return StepSummary(shown(parts, config), figures)


@dataclass(frozen=True)
class Part:
    """A raw table as promolift.toml has it: its mapping, its file, whether it stands inside the events."""

    name: str
    mapping: data.Mapping
    path: Path
    log: EventFile | None = None
    inside: bool = False

    @property
    def joined(self) -> Sequence[TiedFile]:
        """The further files that its rows are joined with, and how."""
        return self.log.tied if self.log and not self.inside else ()

    def to_json(self) -> dict[str, object]:
        """What was guessed: our name for a column, and where it comes from."""
        return {
            "table": self.name.removeprefix("more_"),
            "path": str(self.path),
            "inside_events": self.inside,
            "joined": [str(tied.path) for tied in self.joined],
            "columns": {role: list(self.mapping.sources(role)) for role in self.mapping.columns},
            "constants": dict(self.mapping.constants),
            "notes": list(self.mapping.notes),
        }


def guess_all(store: Store, files: dict[str, Path], more: Sequence[Path] = ()) -> list[Part]:
    """The mapping of each file; products and customers also from within the events, where they have no file."""
    logs = open_logs(store, [files["events"], *more])
    samples = {"events": logs[0].table.sample()}
    events = data.guess_mapping("events", samples["events"])
    unsure = any("constants.kind" in note for note in events.notes)
    mappings = {"events": kind_by_name(logs[0].path, events) if more or unsure else events}
    for name in RAW[1:]:
        if name not in files:
            continue
        events = mappings["events"]
        keys = {key: events.sources(key)[0] for _, key in INSIDE if key in events.columns}
        samples[name] = open_file(store.connection, files[name], store.root / "tmp").sample()
        mappings[name] = data.guess_mapping(
            name,
            samples[name],
            zone=events.zone,
            currency=events.currency,
            keys=keys,
        )
    if "products" in files:
        mappings |= catalogue(mappings["events"], mappings["products"], samples)
    events = mappings["events"]
    parts = [Part("events", events, logs[0].path, logs[0])]
    for log in logs[1:]:
        found = data.guess_mapping("events", log.table.sample(), zone=events.zone, currency=events.currency)
        parts.append(Part("more_events", kind_by_name(log.path, found), log.path, log))
    parts += [Part(name, mappings[name], files[name]) for name in RAW[1:] if name in mappings]
    for name, key in INSIDE:
        if name not in files and events.has(key):
            inside = within(samples["events"], name, key, events)
            if inside is not None:
                parts.append(Part(name, inside, logs[0].path, logs[0], inside=True))
    return parts


def catalogue(
    events: data.Mapping, products: data.Mapping, samples: dict[str, pl.DataFrame]
) -> dict[str, data.Mapping]:
    """Events and products, meeting in a column that both have; what keeps the catalogue from being of use is noted."""
    key, columns = products.sources("product_id")[0], samples["products"].columns
    taken = {source for role in events.columns if role != "product_id" for source in events.sources(role)}
    own = events.sources("product_id")
    if key not in own and not set(own) & set(columns) and key in set(samples["events"].columns) - taken:
        note = f"{key!r} is what both files have: it stands for the product" + (f", not {own[0]!r}" if own else "")
        columns_of = events.columns | {"product_id": key}
        events = events.model_copy(update={"columns": columns_of, "notes": (*events.notes, note)})
    said = []
    if not events.has("product_id"):
        said.append(
            "the events name no product, so the catalogue is of no use: give --events the file with one row per "
            "product bought, joined with who bought it and when"
        )
    if not set(products.columns) - {"product_id"}:
        rest = [name for name in columns if name != key]
        long = {"property", "attribute", "key", "feature"} & {name.lower() for name in rest}
        shape = "it has one row per property: write one row per product, with a column for each; " if long else ""
        said.append(f"{shape}nothing but ids is read, for {', '.join(rest[:8])} are no known names")
    return {"events": events, "products": products.model_copy(update={"notes": (*products.notes, *said)})}


def within(
    sample: pl.DataFrame, name: Literal["products", "customers"], key: str, events: data.Mapping
) -> data.Mapping | None:
    """What the events say of products or customers besides the key, or None if they say nothing."""
    used = {source for role in events.columns for source in events.sources(role)} - set(events.sources(key))
    used -= set(events.sources("unit_price"))  # the catalogue's price stands there, too
    try:
        found = data.guess_mapping(
            name,
            sample,
            zone=events.zone,
            currency=events.currency,
            leave=used,
            keys={key: events.sources(key)[0]},
        )
    except InputError:
        return None
    # Beside the total of a line stands its whole cost, not the cost of one piece.
    kept = {role: source for role, source in found.columns.items() if role != "cost" or not events.has("amount")}
    return found.model_copy(update={"columns": kept}) if set(kept) - {key} else None


def compose(parts: Sequence[Part], config: Path) -> str:
    """The text of promolift.toml."""
    events = parts[0].mapping
    asked = any(part.name == "customers" and part.mapping.has("consent") for part in parts)
    head = HEAD.format(
        currency=json.dumps(events.currency),
        zone=json.dumps(events.zone),
        consent="false" if asked else "true",
        consent_why="customers whose consent is missing are not written to"
        if asked
        else "NO CONSENT COLUMN WAS FOUND: true says that you may send offers to everybody here",
    )
    return head + "".join(_section(part, config.resolve().parent) for part in parts)


def _section(part: Part, folder: Path) -> str:
    """One raw table of promolift.toml; paths start at `folder`."""
    name = f"data.{part.name}"
    many = part.name == "more_events"
    lines = [
        "",
        f"[[{name}]]" if many else f"[{name}]",
        f"path = {_quoted(os.path.relpath(part.path.resolve(), folder))}",
    ]
    if part.inside:
        lines.append('per = "last"             # these columns stand in the events file')
    if part.log and part.log.header:
        header = json.dumps(list(part.log.header), ensure_ascii=False)
        lines.append(f"header = {header}  # the file has no line of names")
    for path, tie, _ in part.log.tied if part.log else ():
        place = _quoted(os.path.relpath(path.resolve(), folder))
        lines += ["", f"[[{name}.join]]", f"path = {place}", f"on = {_quoted(tie.on)}", f"key = {_quoted(tie.key)}"]
    return "\n".join([*lines, "", f"[{name}.mapping]", part.mapping.to_toml()])


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def shown(parts: Sequence[Part], config: Path) -> str:
    """What was guessed, as lines a person can check."""
    lines = []
    for part in parts:
        where = f"inside {part.path.name}" if part.inside else part.path.name
        lines.append(f"{part.name.removeprefix('more_')} ({where})")
        for path, tie, _ in part.joined:
            lines.append(f"  joined: {path.name} by {tie.on} ({tie.share:.1%} of the rows find theirs)")
        lines += [f"  {role:<16} <- {', '.join(part.mapping.sources(role))}" for role in part.mapping.columns]
        lines += [f"  {role:<16} =  {text}" for role, text in part.mapping.constants.items()]
        lines += [f"  note: {note}" for note in part.mapping.notes]
    lines.append(f"\nwritten: {config}. Check it, then: promolift health, promolift run")
    return "\n".join(lines)
