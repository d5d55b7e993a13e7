"""Raw files in; a commented promolift.toml with the guessed meaning of every column out."""

import json
import os
import tempfile
import tomllib
from pathlib import Path

from promolift import data
from promolift.config import RAW, Config
from promolift.errors import ConfigError, InputError
from promolift.sources.files import open_file
from promolift.store import Store

HEAD = """\
# promolift's settings for this shop. Every key is explained in docs/configuration.md; what is left out has a default.

[shop]
name = "My shop"
currency = {currency}
zone = {zone}            # what a local day is; a name such as Asia/Shanghai or America/New_York
language = "en"          # zh or en: for customers whose language is unknown

[value]
margin_rate = 0.30       # assumed margin on undiscounted value, where products carry no cost: please set yours

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

    Nothing is written if a file cannot be understood or `config` is there already (unless `force`).
    """
    if config.exists() and not force:
        raise ConfigError(f"{config}: already there; edit it, or write it anew with --force")
    with tempfile.TemporaryDirectory() as folder, Store(Path(folder)) as store:
        mappings = guess_all(store, files)
    text = compose(files, mappings, config)
    Config.parse(tomllib.loads(text), str(config))
    config.parent.mkdir(parents=True, exist_ok=True)
    draft = config.with_name(f".{config.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(config)
    return shown(files, mappings, config)


def guess_all(store: Store, files: dict[str, Path]) -> dict[str, data.Mapping]:
    """The mapping of each file; products and customers also from within the events, where they have no file."""
    tables = {name: open_file(store.connection, path, store.root / "tmp") for name, path in files.items()}
    samples = {name: table.sample() for name, table in tables.items()}
    mappings = {"events": data.guess_mapping("events", samples["events"])}
    for name in RAW[1:]:
        if name not in files:
            continue
        mappings[name] = data.guess_mapping(
            name, samples[name], zone=mappings["events"].zone, currency=mappings["events"].currency
        )
    for name, key in (("products", "product_id"), ("customers", "customer_id")):
        if name not in files and mappings["events"].has(key):
            inside = within(samples["events"], name, key, mappings["events"])
            if inside is not None:
                mappings[name] = inside
    return mappings


def within(sample: object, name: str, key: str, events: data.Mapping) -> data.Mapping | None:
    """What the events say of products or customers besides the key, or None if they say nothing."""
    used = {source for role in events.columns for source in events.sources(role)} - set(events.sources(key))
    used -= set(events.sources("unit_price"))  # the catalogue's price stands there, too
    try:
        found = data.guess_mapping(name, sample, zone=events.zone, currency=events.currency, leave=used)  # type: ignore[arg-type]
    except InputError:
        return None
    return found if set(found.columns) - {key} else None


def compose(files: dict[str, Path], mappings: dict[str, data.Mapping], config: Path) -> str:
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
