"""What a new policy would add over the one in force in; a proposal a person approves, or `auto` accepts, out.

Legend: N logged decisions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from promolift.errors import InputError
from promolift.settings import Settings
from promolift.tables import Z95, Interval

Floats = NDArray[np.float64]


class Guardrails(Settings):
    """What may be accepted without a person."""

    max_loss: float = Field(
        default=0.0,
        ge=0,
        description="The lower 95 % bound of what the new policy adds may lie below zero by no more than this, in "
        "minor units per decision.",
        examples=[5.0],
    )
    min_effective: float = Field(
        default=100.0,
        ge=2,
        description="At least so many logged decisions, counted by their weights, must bear on the new policy.",
    )


@dataclass(frozen=True)
class Value:
    """Mean reward per decision with its standard error; `effective`: how many evenly weighted rows it is worth."""

    value: float
    se: float
    effective: float
    n: int

    @property
    def interval(self) -> Interval:
        """95 %, normal."""
        return Interval(self.value - Z95 * self.se, self.value + Z95 * self.se)


@dataclass(frozen=True)
class Proposal:
    """The next release: what it earns and adds to the present one, whether `auto` accepts, and why."""

    value: Value
    lead: Value
    accepted: bool
    why: str


def summarise(value_N: Floats, weight_N: Floats) -> Value:
    """Mean, error and effective number of decisions, (sum w)^2 / sum w^2."""
    if value_N.size < 2:
        raise InputError(f"{value_N.size} decisions: at least 2 are needed for a value and its error")
    effective = float(weight_N.sum() ** 2 / max(float((weight_N**2).sum()), 1e-300))
    return Value(float(value_N.mean()), float(value_N.std(ddof=1) / sqrt(value_N.size)), effective, value_N.size)


def propose(
    value: Value, lead: Value, guardrails: Guardrails, say: Callable[[float], str] = "{:.2f}".format
) -> Proposal:
    """Accept if it is not expected to lose, the lead is above 0, its lower bound above -max_loss, and enough decisions
    bear on the policy.

    `say` puts an amount of the reward into words.
    """
    low = lead.interval.low
    refusals = [
        text
        for failed, text in (
            (value.effective < guardrails.min_effective,
             f"only {value.effective:.0f} effective decisions bear on it, {guardrails.min_effective:.0f} are needed"),
            (value.value < 0, f"it is expected to lose {say(-value.value)} per decision over no offers"),
            (not lead.value > 0, f"it is expected to add {say(lead.value)} per decision, not more than nothing"),
            (low < -guardrails.max_loss,
             f"it may lose {say(-low)} per decision (lower 95 % bound); {say(guardrails.max_loss)} is allowed"),
        )
        if failed
    ]  # fmt: skip
    kept = f"adds {say(lead.value)} per decision, at worst {say(low)} (95 %), within the guardrails"
    return Proposal(value, lead, not refusals, "; ".join(refusals) or kept)
