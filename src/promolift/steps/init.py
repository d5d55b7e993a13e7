"""Raw files in; a commented promolift.toml with the guessed meaning of every column out."""

import json
import os
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from promolift import data
from promolift.config import RAW, Config
from promolift.errors import ConfigError, InputError
from promolift.sources.files import open_file
from promolift.store import Store

INSIDE: tuple[tuple[Literal["products", "customers"], str], ...] = (
    ("products", "product_id"),
    ("customers", "customer_id"),
)  # tables that may stand inside the events, and the column that tells their rows apart
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
weakest_evidence = "auto"

[data]
source = "files"
"""
PART = """
[data.{name}]
path = {path}
{per}
[data.{name}.mapping]
{mapping}"""


def init(files: dict[str, Path], config: Path, force: bool) -> str:
    """Write `config` for the raw `files` (events, products, customers, promotions); return what was found, in words.

    The events' path may end in the columns' names of a file without a line of them: E.csv:user,item,time.
    Nothing is written if a file cannot be understood or `config` is there already (unless `force`).
    """
    files = dict(files)
    files["events"], header = named(files["events"])
    if config.exists() and not force:
        raise ConfigError(f"{config}: already there; edit it, or write it anew with --force")
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        mappings = guess_all(store, files, header)
    text = compose(files, mappings, config, header)
    Config.parse(tomllib.loads(text), str(config))
    config.parent.mkdir(parents=True, exist_ok=True)
    draft = config.with_name(f".{config.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(config)
    return shown(files, mappings, config)


def named(path: Path) -> tuple[Path, list[str]]:
    """A path such as E.csv:user,item,time as the file and its columns' names; any other as it is, without names."""
    file, colon, names = str(path).rpartition(":")
    if not colon or "," not in names or path.exists():
        return path, []
    return Path(file), [name.strip() for name in names.split(",")]


def guess_all(store: Store, files: dict[str, Path], header: Sequence[str] = ()) -> dict[str, data.Mapping]:
    """The mapping of each file; products and customers also from within the events, where they have no file."""
    tables = {
        name: open_file(store.connection, path, store.root / "tmp", (header or None) if name == "events" else None)
        for name, path in files.items()
    }
    samples = {name: table.sample() for name, table in tables.items()}
    mappings = {"events": data.guess_mapping("events", samples["events"])}
    for name in RAW[1:]:
        if name not in files:
            continue
        events = mappings["events"]
        keys = {key: events.sources(key)[0] for _, key in INSIDE if key in events.columns}
        mappings[name] = data.guess_mapping(
            name,
            samples[name],
            zone=events.zone,
            currency=events.currency,
            keys=keys,
        )
    if "products" in files:
        mappings |= catalogue(mappings["events"], mappings["products"], samples)
    for part, key in INSIDE:
        if part not in files and mappings["events"].has(key):
            inside = within(samples["events"], part, key, mappings["events"])
            if inside is not None:
                mappings[part] = inside
    return mappings


def catalogue(
    events: data.Mapping, products: data.Mapping, samples: dict[str, pl.DataFrame]
) -> dict[str, data.Mapping]:
    """Events and products, meeting in a column that both have; what keeps the catalogue from being of use is noted."""
    key, columns = products.sources("product_id")[0], samples["products"].columns
    taken = {source for role in events.columns if role != "product_id" for source in events.sources(role)}
    own = events.sources("product_id")
    if key not in own and not set(own) & set(columns) and key in set(samples["events"].columns) - taken:
        told = f"{key!r} is what both files have: it stands for the product" + (f", not {own[0]!r}" if own else "")
        columns_of = events.columns | {"product_id": key}
        events = events.model_copy(update={"columns": columns_of, "notes": (*events.notes, told)})
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
    told = {role: source for role, source in found.columns.items() if role != "cost" or not events.has("amount")}
    return found.model_copy(update={"columns": told}) if set(told) - {key} else None


def compose(files: dict[str, Path], mappings: dict[str, data.Mapping], config: Path, header: Sequence[str] = ()) -> str:
    """The text of promolift.toml."""
    events = mappings["events"]
    asked = "customers" in mappings and mappings["customers"].has("consent")
    head = HEAD.format(
        currency=json.dumps(events.currency),
        zone=json.dumps(events.zone),
        consent="false" if asked else "true",
        consent_why="customers whose consent is missing are not written to"
        if asked
        else "NO CONSENT COLUMN WAS FOUND: true says that you may send offers to everybody here",
    )
    parts = [head]
    for name, mapping in mappings.items():
        path = files.get(name, files["events"])
        place = os.path.relpath(path.resolve(), config.resolve().parent)
        per = "" if name in files else 'per = "last"             # these columns stand in the events file\n'
        if header and path == files["events"]:
            per += f"header = {json.dumps(list(header), ensure_ascii=False)}  # the file has no line of names\n"
        parts.append(
            PART.format(name=name, path=json.dumps(place, ensure_ascii=False), per=per, mapping=mapping.to_toml())
        )
    return "".join(parts)


def shown(files: dict[str, Path], mappings: dict[str, data.Mapping], config: Path) -> str:
    """What was guessed, as lines a person can check."""
    lines = []
    for name, mapping in mappings.items():
        where = files[name].name if name in files else f"inside {files['events'].name}"
        lines += [f"{name} ({where})"]
        lines += [f"  {role:<16} <- {', '.join(mapping.sources(role))}" for role in mapping.columns]
        lines += [f"  {role:<16} =  {text}" for role, text in mapping.constants.items()]
        lines += [f"  note: {note}" for note in mapping.notes]
    lines.append(f"\nwritten: {config}. Check it, then: promolift health, promolift run")
    return "\n".join(lines)
