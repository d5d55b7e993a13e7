"""Settings of product pictures and texts: the section `[senses]` of promolift.toml."""

from pydantic import Field

from promolift.foundation.settings import Settings


class SensesSettings(Settings):
    """What the words and pictures of the catalogue are used for ([how](senses.md)), where it has any."""

    words: bool = Field(default=True, description="Whether names and descriptions of products are read.")
    pictures: bool = Field(
        default=True,
        description="Whether files of pictures are read; it needs `pip install 'promolift[image]'`.",
    )
    certain: float = Field(
        default=0.95,
        gt=0.5,
        lt=1,
        description="A category or colour that the catalogue leaves out is filled in only where the vectors of words "
        "and pictures are right at least this often: the lower end of a 95 % interval, on products whose own is known.",
    )
