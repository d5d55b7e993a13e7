"""Types of fields that requests, settings and records share."""

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema

from promolift.foundation.settings import Zone

PRINTABLE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]+$"  # no control characters, no line ends
Id = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=PRINTABLE_PATTERN)]
ZoneName = Annotated[Zone, WithJsonSchema({"type": "string", "enum": sorted(available_timezones())})]
StrictBool = Annotated[bool, Field(strict=True)]
# what a person typed, such as a code: tabs, wide spaces and line ends come along when it is copied
TypedCode = Annotated[
    str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]+$")
]
# a name within paths: "." and ".." would be steps of one
Slug = Annotated[str, StringConstraints(max_length=64, pattern=r"^\.{0,2}[A-Za-z0-9_-][A-Za-z0-9_.-]*$")]


class Body(BaseModel):
    """Base of all requests."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Scope = Literal["write", "decide", "admin"]
Channel = Literal["site", "app", "email", "sms", "push"]


def to_whole_number(value: object) -> object:
    """Convert a whole float to int: JSON has no integers of its own. 5.0 is one, "5" is none."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Cents = Annotated[int, Field(ge=0, le=10**12, strict=True), BeforeValidator(to_whole_number)]
TimestampMs = Annotated[int, Field(ge=0, le=253_402_300_799_999, strict=True), BeforeValidator(to_whole_number)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217 code.", examples=["EUR"])]
# numbers of a request; the bounds stand within, or the document would not say them
Count = Annotated[int, Field(ge=0, strict=True), BeforeValidator(to_whole_number)]
Priority = Annotated[int, Field(ge=-1000, le=1000, strict=True), BeforeValidator(to_whole_number)]
Hour = Annotated[int, Field(ge=0, le=23, strict=True), BeforeValidator(to_whole_number)]
Number = Annotated[float, Field(strict=True)]
