"""Check which packages are installed, which are missing and which pip command installs them."""

import platform
import re
from importlib.metadata import PackageNotFoundError, distribution, requires, version
from pathlib import Path
from typing import NamedTuple

from promolift.foundation.i18n.catalogue import gettext, gettext_noop
from promolift.foundation.progress import StepSummary
from promolift.foundation.version import __version__
from promolift.shop.configuration.configuration import Config, load_config
from promolift.shop.configuration.model_status import endpoint_notes

# What each extra is for. Sizes that it adds on a disk are those of Linux wheels on Python 3.11, in MB.
EXTRAS: dict[str, tuple[str, int]] = {
    "demo": (gettext_noop("a year of real groceries for `promolift demo`"), 80),
    "deep": (gettext_noop("networks: encoder and generator of offers; with CUDA, as Linux gets it, several GB"), 650),
    "image": (gettext_noop("pictures of products"), 7),
    "llm": (gettext_noop("drafts of texts by a language model"), 120),
    "serve": (gettext_noop("the server, its ledger, the console"), 50),
    "postgres": (gettext_noop("the ledger on PostgreSQL"), 15),
    "warehouse": (gettext_noop("a warehouse as source and sink"), 27),
    "agents": (gettext_noop("agents may ask, by the Model Context Protocol"), 15),
    "cloud": (gettext_noop("work folders in object storage"), 16),
    "privacy": (gettext_noop("a private encoder: counts what its steps tell; with torch, which it needs"), 660),
    "speech": (gettext_noop("recordings to text in this process, with the weights of Whisper base"), 490),
    "cluster": (gettext_noop("many machines, by Ray"), 250),
    "sso": (gettext_noop("single sign-on to the console by OpenID Connect"), 18),
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
    head = gettext("promolift {version}, Python {python}, {platform}", version=__version__,
                   python=platform.python_version(), platform=platform.platform())  # fmt: skip
    lines, faults = [head], 0
    figures: dict[str, object] = {"step": "doctor", "version": __version__, "python": platform.python_version()}
    parts: dict[str, dict[str, object]] = {}
    for part in ("", *EXTRAS):
        mine = [each for each in needed if each.extra == part]
        if not mine:
            continue
        wrong = [each for each in mine if not each.fits]
        state = (
            gettext_noop("installed")
            if not wrong
            else gettext_noop("missing")
            if all(each.installed is None for each in wrong)
            else gettext_noop("too old or new")
        )
        parts[part or "core"] = {
            "state": state, "packages": {each.name: each.installed for each in mine}, "asked_by": asked.get(part),
        }  # fmt: skip
        bad = bool(wrong) and (not part or part in asked)
        faults += bad
        lines.append(_line(part, state, wrong, asked.get(part)))
    if not needed:
        lines.append(
            gettext(
                "promolift itself is not installed here: its source runs from a folder, so pip knows no package of it"
            )
        )
    else:
        lines.append(gettext("on the disk here: {size} MB of packages", size=f"{_megabytes(needed):,}"))
    notes = endpoint_notes(settings) if settings else []
    lines += [note.text for note in notes]
    faults += sum(note.fault for note in notes)
    figures |= {"parts": parts, "endpoints": [note.text for note in notes], "faults": faults}
    return StepSummary("\n".join(lines), figures)


def _line(part: str, state: str, wrong: list[Requirement], key: str | None) -> str:
    if not part:
        if not wrong:
            return gettext("core: installed")
        wants = ", ".join(
            gettext("{package} (here: {installed})", package=f"{each.name}{each.wanted}",
                    installed=each.installed or gettext("none"))
            for each in wrong
        )  # fmt: skip
        said = {"state": gettext(state), "packages": wants}
        return gettext("core: {state}; pip install --upgrade promolift, for {packages}", **said)
    meaning, size = EXTRAS[part]
    if not wrong:
        return gettext("[{part}] installed: {meaning}", part=part, meaning=gettext(meaning))
    known = {"part": part, "state": gettext(state), "meaning": gettext(meaning), "size": size}
    if key:
        return gettext(
            "[{part}] {state}: {meaning}; pip install 'promolift[{part}]', about {size} MB; {key} in promolift.toml "
            "asks "
            "for it",
            key=key,
            **known,
        )
    return gettext("[{part}] {state}: {meaning}; pip install 'promolift[{part}]', about {size} MB", **known)


def _megabytes(needed: list[Requirement]) -> int:
    """What the packages that are there take, by their own lists of files; those they need in turn are not in it."""
    names = {each.name for each in needed if each.installed}
    return round(sum(file.size or 0 for name in names for file in distribution(name).files or ()) / 1e6)
