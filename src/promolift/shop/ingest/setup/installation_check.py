"""Check which packages are installed, which are missing and which pip command installs them."""

import platform
import re
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path
from typing import NamedTuple

from promolift.foundation.i18n.formatting import use_locale
from promolift.foundation.progress import StepSummary
from promolift.foundation.version import __version__
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.configuration.model_status import endpoint_notes

# What each extra is for. Sizes that it adds on a disk are those of Linux wheels on Python 3.11, in MB.
EXTRAS: dict[str, tuple[str, int]] = {
    "demo": ("a year of real groceries for `promolift demo`", 80),
    "deep": ("networks: encoder and generator of offers; with CUDA, as Linux gets it, several GB", 650),
    "image": ("pictures of products", 7),
    "llm": ("drafts of texts by a language model", 120),
    "serve": ("the server, its ledger, the console", 50),
    "postgres": ("the ledger on PostgreSQL", 15),
    "warehouse": ("a warehouse as source and sink", 27),
    "agents": ("agents may ask, by the Model Context Protocol", 15),
    "cloud": ("work folders in object storage", 16),
    "privacy": ("a private encoder: counts what its steps tell; with torch, which it needs", 660),
    "speech": ("recordings to text in this process, with the weights of Whisper base", 490),
    "cluster": ("many machines, by Ray", 250),
}
REQUIREMENT = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?\s*([^;]*)(?:;(.*))?$")


class Requirement(NamedTuple):
    """A package that promolift asks for: which versions, for which extra ("" for all), and what is there."""

    name: str
    wanted: str
    extra: str
    installed: str | None

    @property
    def fits(self) -> bool:
        return self.installed is not None and all(
            _holds(self.installed, each) for each in self.wanted.split(",") if each
        )


def _holds(found: str, rule: str) -> bool:
    """Whether a version keeps a rule such as `>=1.2`; the other kinds of rules are not ours."""
    sign, wanted = re.match(r"\s*([<>=]+)\s*(.*?)\s*$", rule).groups()  # type: ignore[union-attr]
    mine, theirs = (tuple(map(int, re.findall(r"\d+", text)[:3])) for text in (found, wanted))
    near = mine[: len(theirs)]
    return {">=": mine >= theirs, "<": mine < theirs, "<=": near <= theirs, ">": mine > theirs, "==": near == theirs}[
        sign
    ]


def list_requirements() -> list[Requirement]:
    """All that promolift asks for on this machine, from its own metadata."""
    try:
        lines = requires("promolift") or []
    except PackageNotFoundError:  # a copy of the source that nobody installed
        return []
    found = []
    for line in lines:
        name, wanted, rule = REQUIREMENT.match(line).groups(default="")  # type: ignore[union-attr]
        extra = re.search(r'extra == "(\w+)"', rule)
        if name == "promolift" or (extra and extra[1] not in EXTRAS):
            continue
        if "win32" in rule and platform.system() == "Windows":
            continue
        found.append(Requirement(name, wanted.strip(" ()"), extra[1] if extra else "", _version(name)))
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def required_extras(config: Config) -> dict[str, str]:
    """The extras that a shop's settings ask for, each with the key that does."""
    asked = {
        "deep": ("encoder.depth", config.encoder.depth > 0),
        "llm": (
            "message.writer",
            config.message.writer in ("local", "remote")
            or config.words.reader in ("local", "remote")
            or config.llm.judge is not None,
        ),
        "privacy": ("privacy.epsilon", config.privacy.epsilon is not None and config.encoder.depth > 0),
        "warehouse": ("warehouse.driver", any(file.query for file in config.data.files.values())),
        "speech": (
            "data.words",
            config.data.words is not None
            and config.data.words.mapping.has("audio")
            and config.speech.recogniser != "replay",
        ),
        "cluster": ("engine.kind", config.engine.kind == "ray"),
        "demo": ("data.source", config.data.source == "complete-journey"),
    }
    return {extra: key for extra, (key, said) in asked.items() if said}


def check_installation(config: Path) -> StepSummary:
    """What is installed, what is missing and the command that brings it; `faults` counts what cannot work as it is.

    A fault is a package of the core, or one that the settings at `config` ask for, which is missing or too old, or an
    endpoint that they call and that cannot be reached.
    """
    needed = list_requirements()
    settings = load_config(config) if config.is_file() else None
    asked = required_extras(settings) if settings else {}
    lines, faults = [f"promolift {__version__}, Python {platform.python_version()}, {platform.platform()}"], 0
    figures: dict[str, object] = {"step": "doctor", "version": __version__, "python": platform.python_version()}
    parts: dict[str, dict[str, object]] = {}
    for part in ("", *EXTRAS):
        mine = [each for each in needed if each.extra == part]
        if not mine:
            continue
        wrong = [each for each in mine if not each.fits]
        state = (
            "installed"
            if not wrong
            else "missing"
            if all(each.installed is None for each in wrong)
            else "too old or new"
        )
        parts[part or "core"] = {
            "state": state, "packages": {each.name: each.installed for each in mine}, "asked_by": asked.get(part),
        }  # fmt: skip
        bad = bool(wrong) and (not part or part in asked)
        faults += bad
        lines.append(_line(part, state, wrong, asked.get(part)))
    if not needed:
        lines.append(
            "promolift itself is not installed here: its source runs from a folder, so pip knows no package of it"
        )
    lines.append(f"on the disk here: {_megabytes(needed):,} MB of packages" if needed else "")
    with use_locale(settings.report_language if settings else "en"):
        notes = endpoint_notes(settings) if settings else []
    lines += [note.text for note in notes]
    faults += sum(note.fault for note in notes)
    figures |= {"parts": parts, "endpoints": [note.text for note in notes], "faults": faults}
    return StepSummary("\n".join(filter(None, lines)), figures)


def _line(part: str, state: str, wrong: list[Requirement], key: str | None) -> str:
    if not part:
        wants = ", ".join(f"{each.name}{each.wanted} (here: {each.installed or 'none'})" for each in wrong)
        return f"core: {state}" + (f"; pip install --upgrade promolift, for {wants}" if wrong else "")
    meaning, size = EXTRAS[part]
    if not wrong:
        return f"[{part}] installed: {meaning}"
    why = f"; {key} in promolift.toml asks for it" if key else ""
    return f"[{part}] {state}: {meaning}; pip install 'promolift[{part}]', about {size} MB{why}"


def _megabytes(needed: list[Requirement]) -> int:
    """What the packages that are there take, by their own lists of files; those they need in turn are not in it."""
    names = {each.name for each in needed if each.installed}
    return round(sum(file.size or 0 for name in names for file in distribution(name).files or ()) / 1e6)
