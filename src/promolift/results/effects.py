"""What the effect step read from the past, kept in a work folder: how demand answers discounts, and what is missing."""

from collections.abc import Sequence
from typing import ClassVar

from promolift.effect import DiscountResponse
from promolift.results.base import Note
from promolift.store import Store


class Targeting(Note):
    """How past campaigns were aimed: see `effect.judge_targeting`. `campaigns` is None where there were none."""

    NAME: ClassVar[str] = "targeting"
    ratio: float | None = None
    campaigns: int | None = None
    weeks: int | None = None
    refusal: str | None = None


class NoModel(Note):
    """Why a model could not be fitted, by its name; None where it was."""

    NAME: ClassVar[str] = "no_model"
    redemption: str | None = None
    spend: str | None = None


def response(store: Store) -> DiscountResponse:
    """The discount response of this work folder. StepError if there is none yet."""
    return DiscountResponse.from_dict(store.load_json("response"))


def halves(store: Store) -> list[DiscountResponse]:
    """The responses of the two halves of the customers; none where the response is only assumed."""
    return [DiscountResponse.from_dict(half) for half in store.load_json("halves")]


def keep_responses(store: Store, main: DiscountResponse, each_half: Sequence[DiscountResponse]) -> None:
    """Keep both."""
    store.save_json("response", main.to_dict())
    store.save_json("halves", [half.to_dict() for half in each_half])
