"""Measure how well logged propensities cover a new policy, and refuse where they cannot.

Legend: N logged decisions, A actions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.lazy_message import gettext_lazy

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class PolicySupport:
    """What the weights w = new probability / propensity say of how well the log covers the policy.

    `effective` is (sum of w)^2 / sum of w^2, the rows of a plain average as precise (Kish 1965). `mean` is 1 up to
    noise (`mean_se`) if the propensities are right. `unseen` is the part of the policy that lies on actions the log
    could not take, or on actions that it never took where only the propensity of the logged action is known.
    """

    rows: int
    effective: float
    largest: float
    mean: float
    mean_se: float
    unseen: float

    @property
    def odd(self) -> bool:
        """Whether the weights average so far from 1 that the logged propensities cannot be the true ones."""
        return abs(self.mean - 1.0) > 5.0 * self.mean_se + 1e-9 and self.unseen == 0


def measure_support(weight_N: Floats, unseen: float) -> PolicySupport:
    """The support of one policy by its weights."""
    rows, total, square = len(weight_N), float(weight_N.sum()), float((weight_N**2).sum())
    mean = total / rows
    spread = float(np.sqrt(max(square / rows - mean**2, 0.0) / rows))
    return PolicySupport(rows, total**2 / square if square else 0.0, float(weight_N.max()), mean, spread, unseen)


def unseen_mass(action_N: NDArray[np.int64], policy_NA: Floats, logging_NA: Floats | None) -> float:
    """How much of the policy the log could not (or, where only the logged action's propensity is known, never) do."""
    if logging_NA is not None:
        return float(np.where(logging_NA > 0, 0.0, policy_NA).sum(axis=1).mean())
    taken = np.zeros(policy_NA.shape[1], dtype=bool)
    taken[action_N] = True
    return float(policy_NA[:, ~taken].sum(axis=1).mean())


def require_support(support: PolicySupport, most_unseen: float, least_effective: float) -> None:
    """Raises SupportError where the log cannot answer: an unknown is not a zero."""
    if support.unseen > most_unseen:
        raise SupportError(
            "no_overlap",
            gettext_lazy(
                "policy: {share} of it lies on actions the log never takes there (at most {most} is allowed); log "
                "those actions with some probability first, or take them out of the policy",
                share=f"{support.unseen:.1%}",
                most=f"{most_unseen:.1%}",
            ),
        )
    if support.effective < least_effective:
        raise SupportError(
            "effective_sample_too_small",
            gettext_lazy(
                "policy: {rows} logged rows are worth {effective} for it (at least {least} are needed); log more, "
                "explore more, or ask for a policy closer to the logged one",
                rows=support.rows,
                effective=f"{support.effective:.1f}",
                least=f"{least_effective:g}",
            ),
        )
    if support.odd:
        raise SupportError(
            "weights_invalid",
            gettext_lazy(
                "log: the weights average {mean} where 1 is expected (noise {mean_se}); the logged "
                "propensities are not those the actions were drawn with, or a few rare rows carry the "
                "policy",
                mean=f"{support.mean:.3f}",
                mean_se=f"{support.mean_se:.3f}",
            ),
        )
