"""Who may be written to where nothing else is known: the settings of consent."""

from pydantic import Field

from promolift.settings import Settings

OLDEST = 120  # a larger number is a year or a code, not an age


class ConsentSettings(Settings):
    """`default` answers for a customer who was never asked; `minimum_age` bars minors where an age is known."""

    default: bool = False
    minimum_age: int = Field(default=18, ge=0, le=OLDEST)
