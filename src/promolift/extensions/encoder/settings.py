"""Settings of the encoder: the section `[forecast]` of promolift.toml."""

from typing import Literal

from pydantic import Field

from promolift.foundation.settings import Settings


class ForecastSettings(Settings):
    """The learned encoder: what every customer will do next ([how](encoder.md)). It needs the extra `deep`."""

    depth: int = Field(
        default=0,
        ge=0,
        le=64,
        description="Size of the network: as many layers and heads, 16 times as wide. 0 learns none, 2 is made for a "
        "CPU.",
        examples=[2],
    )
    level: Literal["category", "type", "product"] = Field(
        default="category",
        description="What an item of a basket is: a category (in catalogues without any the finer type, or the "
        "product), a type within its category, or a product.",
    )
    epochs: int = Field(default=5, ge=1, description="Times that training goes over the customers, at most.")
    customers: int = Field(
        default=20_000,
        ge=50,
        description="About so many customers, drawn by hash, are learned from; the forecast is made for all.",
    )
    seed: int = Field(default=1, description="Start of the training's random numbers.")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where to train: `auto` takes a GPU where torch finds one."
    )
    memory_gb: float = Field(default=16.0, gt=0, description="Most of a GPU's memory that training may take.")
