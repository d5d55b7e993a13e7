"""Who may be written to where nothing else is known: the settings of consent."""

from pydantic import Field

from promolift.settings import Settings

OLDEST = 120  # a larger number is a year or a code, not an age


class ConsentSettings(Settings):
    """Who may be written to."""

    default: bool = Field(
        default=False, description="Whether a customer of whom no yes or no is known may be sent an offer."
    )
    minimum_age: int = Field(
        default=18,
        ge=0,
        le=OLDEST,
        description="Years below which nobody is sent one; an age band counts by its youngest. An unknown age bars "
        "nobody.",
    )
