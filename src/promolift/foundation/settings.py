"""Base class of all settings: frozen, with an error for unknown keys that names the nearest known key. Also reads TSV
files and writes TOML.
"""

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated, Any, ClassVar, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from promolift.foundation.errors import ConfigError, SettingError
from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy
from promolift.foundation.i18n.suggestion import did_you_mean
from promolift.foundation.i18n.validation_text import broken_rule

# Units in which a column may count its times: seconds of one.
SECONDS_PER_UNIT = {"weeks": 604_800, "days": 86_400, "hours": 3_600, "minutes": 60, "seconds": 1}


class Settings(BaseModel):
    """Immutable, strict about keys. Subclass it beside the function that takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    RENAMED: ClassVar[dict[str, str]] = {}  # keys of earlier versions: their names of today
    NEW_VALUES: ClassVar[dict[str, dict[str, str]]] = {}  # of renamed keys whose values changed, too, as TOML texts
    REMOVED: ClassVar[dict[str, str]] = {}  # keys of earlier versions that are no setting any more: what holds instead
    ALIASES: ClassVar[dict[str, str]] = {}  # the same, read as they are: `migrate` rewrites no file that holds them

    @model_validator(mode="before")
    @classmethod
    def _name_the_nearest_key(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        aliases = {old: new for old, new in cls.ALIASES.items() if new not in values}
        values = {aliases.get(key, key): value for key, value in values.items()}
        for key in values:
            if key in cls.RENAMED:
                raise SettingError(
                    "setting_renamed",
                    gettext_lazy(
                        "{key} is called {renamed} now; `promolift migrate` rewrites the file",
                        key=repr(key),
                        renamed=repr(cls.RENAMED[key]),
                    ),
                )
            if key in cls.REMOVED:
                raise SettingError(
                    "setting_removed",
                    gettext_lazy(
                        "{key} is no setting any more: {removed}; `promolift migrate` takes it out of the file",
                        key=repr(key),
                        removed=cls.REMOVED[key],
                    ),
                )
            if key not in cls.model_fields:
                hint = did_you_mean(
                    str(key),
                    cls.model_fields,
                    gettext_lazy("known keys: {model_fields}", model_fields=", ".join(cls.model_fields)),
                )
                raise SettingError(
                    "setting_unknown", gettext_lazy("unknown key {key}; {hint}", key=repr(key), hint=hint)
                )
        return values

    @classmethod
    def parse(cls, values: Any, where: str) -> Self:
        """Validate `values`; on failure raise ConfigError with `where`, the dotted key, its value and the rule."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            given = f" = {first['input']!r}" if key and first["type"] != "missing" else ""
            dotted = f"{key}{given}: " if key and not isinstance(first["input"], dict) else f"{key}: " if key else ""
            usual = "setting_missing" if first["type"] == "missing" else "setting_invalid"
            code = getattr(first.get("ctx", {}).get("error"), "code", usual)
            raise ConfigError(
                code, gettext_lazy("{where}: {setting}{rule}", where=where, setting=dotted, rule=broken_rule(first))
            ) from None


def read_tsv(file: str) -> list[list[str]]:
    """Return the rows of a tab-separated file of this package. Lines that begin with `#` are comments."""
    lines = files("promolift").joinpath(file).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def to_toml(values: Mapping[str, Any], table: str = "") -> str:
    """Return TOML that reads back as `values`: plain values first, then tables. A small table is one line."""
    below = {key: value for key, value in values.items() if _is_table(value, bool(table)) or _is_tables(value)}
    lines = [f"{toml_key(key)} = {toml_value(value)}" for key, value in values.items() if key not in below]
    for key, value in below.items():
        path = f"{table}.{toml_key(key)}" if table else toml_key(key)
        for each in [value] if isinstance(value, Mapping) else value:
            head = f"[{path}]" if isinstance(value, Mapping) else f"[[{path}]]"
            lines += ["", head, to_toml(each, path).rstrip("\n")]
    return "\n".join(lines) + "\n"


def _is_table(value: Any, small_in_line: bool) -> bool:
    if not isinstance(value, Mapping):
        return False
    return not small_in_line or any(isinstance(each, Mapping | list | tuple) for each in value.values())


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)


def toml_value(value: Any) -> str:
    """Return a value as TOML, on one line unless it is a list of three or more. A message keeps its arguments."""
    if isinstance(value, LazyMessage):
        value = value.to_stored()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{toml_key(key)} = {toml_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        items = [toml_value(item) for item in value]
        return "[" + ", ".join(items) + "]" if len(items) < 3 else "[\n    " + ",\n    ".join(items) + ",\n]"
    # JSON text is TOML text, but for the one control character JSON leaves bare.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_key(key: str) -> str:
    """Return a key as TOML, quoted if necessary."""
    return key if key.isascii() and key.replace("_", "").replace("-", "").isalnum() else toml_value(key)


def settings_class_in(annotation: object) -> type[Settings] | None:
    """Return the settings class inside an annotation such as `X`, `X | None` or `tuple[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((found for part in get_args(annotation) if (found := settings_class_in(part)) is not None), None)


def _known_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise SettingError(
            "timezone_unknown",
            gettext_lazy("not a time zone; use a name such as UTC, America/New_York or Asia/Shanghai"),
        ) from None
    return zone


Zone = Annotated[str, AfterValidator(_known_zone)]
