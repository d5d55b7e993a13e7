"""Array types that the allocation algorithms share: kernel inputs, limit coefficients and limit usage."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from promolift.foundation.i18n.lazy_message import LazyMessage, gettext_lazy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Slots = NDArray[np.int32]
Keys = NDArray[np.uint64]


class KernelColumns(NamedTuple):
    """What the kernels read of each row."""

    gain_NK: Floats
    cost_NK: Floats
    units_NK: Floats
    offer_NK: Slots
    label_N: Slots


class LimitCoefficients(NamedTuple):
    """The limit rows that touch a class, class by class and in rising order, and their coefficients for every offer."""

    first_S: Ints
    row_R: Ints
    coef_JR4: Floats


class TieBreaking(NamedTuple):
    """How ties are settled by the hash with `seed`: see `kernel.choose`."""

    width: float
    share: float
    seed: np.uint64


class LimitState(NamedTuple):
    """Use of every limit row, what it may be, and the fine for each unit above."""

    used_M: Floats
    bound_M: Floats
    fine_M: Floats


@dataclass(frozen=True)
class LimitUsage:
    """How far a limit is used: `used <= at_most` or `used >= at_least`; `price` is the gain one more unit would add."""

    name: str
    used: float
    bound: float
    floor: bool
    price: float

    @property
    def binding(self) -> bool:
        """True where loosening the limit would pay."""
        return self.price > 0.0

    def explain(self) -> LazyMessage:
        """One sentence on a binding limit."""
        found = {
            "name": self.name, "bound": f"{self.bound:,.6g}", "used": f"{self.used:,.6g}", "price": f"{self.price:,.3g}"
        }  # fmt: skip
        if self.floor:
            return gettext_lazy(
                "The limit '{name}' (at least {bound}, used {used}) holds gain back: one unit looser would add about "
                "{price}.",
                **found,
            )
        return gettext_lazy(
            "The limit '{name}' (at most {bound}, used {used}) holds gain back: one unit looser would add about "
            "{price}.",
            **found,
        )
