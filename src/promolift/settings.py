"""The frozen base of every settings class: an unknown key is an error that names the nearest known one."""

from difflib import get_close_matches
from importlib.resources import files
from typing import Annotated, Any, ClassVar, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator

from promolift.errors import ConfigError


class Settings(BaseModel):
    """Immutable, strict about keys. Subclass it beside the function that takes it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    RENAMED: ClassVar[dict[str, str]] = {}  # keys of earlier versions: their names of today

    @model_validator(mode="before")
    @classmethod
    def _name_the_nearest_key(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        for key in values:
            if key in cls.RENAMED:
                raise ValueError(f"{key!r} is called {cls.RENAMED[key]!r} now; `promolift migrate` rewrites the file")
            if key not in cls.model_fields:
                near = get_close_matches(str(key), cls.model_fields, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(cls.model_fields)}"
                raise ValueError(f"unknown key {key!r}; {hint}")
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
            raise ConfigError(f"{where}: {dotted}{first['msg'].removeprefix('Value error, ')}") from None


def rows_of(file: str) -> list[list[str]]:
    """The rows of a tab-separated file of this package; lines that begin with `#` are for people."""
    lines = files("promolift").joinpath(file).read_text("utf-8").splitlines()
    return [line.split("\t") for line in lines if line and not line.startswith("#")]


def settings_in(annotation: object) -> type[Settings] | None:
    """The settings class inside an annotation such as `X`, `X | None` or `tuple[X, ...]`."""
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation
    return next((found for part in get_args(annotation) if (found := settings_in(part)) is not None), None)


def _known_zone(zone: str) -> str:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError("not a time zone; use a name such as UTC, America/New_York or Asia/Shanghai") from None
    return zone


Zone = Annotated[str, AfterValidator(_known_zone)]
