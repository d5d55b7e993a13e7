"""Extensions: how a package adds settings, steps, commands and more to promolift without a change to its core.

A distribution names an `Extension` under the entry-point group `promolift.extensions`. Every value in an `Extension` is
a reference such as `"package.module:attribute"`, which is imported when it is first used, so that `promolift --help`
does not wait for libraries of models. docs/extending.md builds an extension.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from promolift.foundation.errors import ConfigError
from promolift.foundation.i18n.lazy_message import gettext_lazy

GROUP = "promolift.extensions"


@dataclass(frozen=True)
class Project:
    """A settings file of another kind than a shop's, such as a bank's. Its one section names the kind.

    `settings` is the class of the whole file. `init` takes the data file, the path of the settings file to write and
    the answers of the command line. `run` takes the settings of the section, the path of the settings file, the work
    folder, the output folder and a progress function. Both return a `StepSummary`.
    """

    name: str
    row: str  # what one row of the data file is, as an error message says it
    settings: str
    init: str
    run: str


@dataclass(frozen=True)
class PipelineStep:
    """A step of `promolift run`, which stands directly before or after a step that exists."""

    name: str
    run: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class ReportChapter:
    """A chapter of the report, which follows the named chapter, or stands last."""

    name: str
    build: str
    after: str = ""


@dataclass(frozen=True)
class MessageSender:
    """A service that sends messages: the function, and the environment variables that it needs."""

    send: str
    environment: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extension:
    """What an extension adds to promolift. Every field but the name has an empty default."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)  # section of promolift.toml: its settings class
    projects: tuple[Project, ...] = ()
    steps: tuple[PipelineStep, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)  # name in data.source: function that opens the source
    candidates: Mapping[str, str] = field(default_factory=dict)  # name in offer.proposals: function that proposes
    chapters: tuple[ReportChapter, ...] = ()
    routes: tuple[str, ...] = ()  # routers of API routes
    screens: tuple[str, ...] = ()  # modules of console screens
    sign_in: tuple[str, ...] = ()  # functions of the server's settings: a way to sign in, or None
    commands: tuple[str, ...] = ()  # functions that add commands to a promolift.cli.command_line.CommandLine
    senders: Mapping[str, MessageSender] = field(default_factory=dict)  # by name in the server's settings
    tasks: Mapping[str, str] = field(default_factory=dict)  # command: function of a server and progress, run beside it
    executors: Mapping[str, str] = field(default_factory=dict)  # engine.kind: function that opens the executor
    storages: Mapping[str, str] = field(default_factory=dict)  # URL scheme: function that opens the storage
    release_policy: str | None = None


@cache
def extensions() -> tuple[Extension, ...]:
    """Return all installed extensions, sorted by the names of their entry points.

    Raises ConfigError if one cannot be loaded, or if two of them claim the same name.
    """
    found = tuple(_load(each) for each in sorted(entry_points(group=GROUP), key=lambda each: each.name))
    check_conflicts(found)
    return found


def _load(entry: EntryPoint) -> Extension:
    distribution = entry.dist.name if entry.dist else entry.value
    try:
        extension = entry.load()
    except Exception as error:
        raise ConfigError(
            "extension_broken",
            gettext_lazy(
                "{distribution}: its extension {name} cannot be loaded ({error}); pip install --upgrade "
                "{distribution}, or uninstall it",
                distribution=distribution,
                name=repr(entry.name),
                error=error,
            ),
        ) from error
    if not isinstance(extension, Extension):
        raise ConfigError(
            "extension_broken",
            gettext_lazy(
                "{distribution}: its extension {name} is a {type_name}; {value} must be a "
                "promolift.foundation.extension.Extension",
                distribution=distribution,
                name=repr(entry.name),
                type_name=type(extension).__name__,
                value=entry.value,
            ),
        )
    return extension


def check_conflicts(some: tuple[Extension, ...]) -> None:
    """Raise ConfigError if two extensions claim the same name of the same kind."""
    claimed: dict[tuple[str, str], str] = {}
    for extension in some:
        for kind, name in _claims(extension):
            if other := claimed.get((kind, name)):
                raise ConfigError(
                    "extension_conflict",
                    gettext_lazy(
                        "extensions {other} and {name} both register {repr_name} under {kind}; uninstall one of them",
                        other=repr(other),
                        name=repr(extension.name),
                        repr_name=repr(name),
                        kind=kind,
                    ),
                )
            claimed[kind, name] = extension.name


class Claim(NamedTuple):
    """A name that an extension registers, and the kind of thing it names."""

    kind: str
    name: str


def _claims(extension: Extension) -> Iterator[Claim]:
    """Yield everything that an extension registers by name."""
    yield Claim("extensions", extension.name)
    if extension.release_policy:
        yield Claim("release_policy", "release_policy")
    for each in fields(extension):
        value = getattr(extension, each.name)
        if isinstance(value, Mapping):
            yield from (Claim(each.name, str(name)) for name in value)
        elif isinstance(value, tuple):
            yield from (Claim(each.name, str(getattr(item, "name", item))) for item in value)


def registered(kind: str) -> dict[str, Any]:
    """Return what all extensions register in a field that is a mapping, such as `senders`, by name."""
    return {name: value for extension in extensions() for name, value in getattr(extension, kind).items()}


def listed(kind: str) -> tuple[Any, ...]:
    """Return what all extensions register in a field that is a tuple, such as `chapters`."""
    return tuple(item for extension in extensions() for item in getattr(extension, kind))


def load_reference(reference: str) -> Any:
    """Import what a reference such as `"package.module:attribute"` names.

    Raises ConfigError if there is no such module or attribute. An ImportError of a library that the module needs is
    passed on: whoever uses the reference knows what to install.
    """
    module, _, attribute = reference.partition(":")
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        raise _missing(reference) from error
    if not hasattr(found, attribute):
        raise _missing(reference)
    return getattr(found, attribute)


def _missing(reference: str) -> ConfigError:
    return ConfigError(
        "extension_broken",
        gettext_lazy(
            "an extension registers {reference}, but this module or attribute does not exist; upgrade "
            "the extension, or uninstall it",
            reference=reference,
        ),
    )


class RegisteredName:
    """Annotates a `str`: one of `names`, or a name that an extension registers in this field of `Extension`.

    It validates, and is described in a JSON schema, as a Literal of all these names. Extensions are read when the first
    value that is none of `names` is validated.
    """

    def __init__(self, field: str, *names: str) -> None:
        """`names` are those that need no extension."""
        self.field, self.names = field, names

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._validate, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "enum": list(self.all_names())}

    def all_names(self) -> Sequence[str]:
        """Return the names that are valid now."""
        return [*self.names, *(name for name in registered(self.field) if name not in self.names)]

    def _validate(self, value: str) -> str:
        if value in self.names or value in registered(self.field):
            return value
        *rest, last = map(repr, self.all_names())
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(rest)} or {last}" if rest else last})
