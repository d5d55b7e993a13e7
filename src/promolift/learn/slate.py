"""Lists of items shown together in; what another way of filling the list would have earned per list, out.

Legend: N shown items (one row for each place of each list), S lists.

How far a click depends on the other places decides how far weights must be multiplied (McInerney et al. 2020). With one
place in a list all three are plain IPS.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from promolift.errors import InputError, SupportError
from promolift.learn.ope_interval import standard_error

Floats = NDArray[np.float64]
Clicks = Literal["independent", "cascade", "joint"]
LEAST_EFFECTIVE = 30.0


@dataclass(frozen=True)
class SlateValue:
    """Reward per list with its interval. `effective` is the lists of a plain average as precise."""

    value: float
    se: float
    low: float
    high: float
    lists: int
    effective: float


@dataclass(frozen=True)
class Slates:
    """Rows of lists. `prob_N` and `policy_N` are the logged and the new chance of the shown item at its place.

    For `independent` clicks they are chances of the item at the place whatever else is shown; for the others, given
    the items at the earlier places.
    """

    list_N: ArrayLike
    place_N: ArrayLike
    reward_N: ArrayLike
    prob_N: ArrayLike
    policy_N: ArrayLike


def slate_value(slates: Slates, clicks: Clicks, *, self_normalised: bool = False, level: float = 0.95) -> SlateValue:
    """Value a way of filling lists from logs of another.

    `independent`: what is clicked at a place hangs on that place alone (fewest assumptions broken where lists are
    short, least noise). `cascade`: on the places above it too. `joint`: on the whole list (no assumption, most noise).
    Raises SupportError if the lists are worth fewer than 30.
    """
    list_N, place_N, reward_N, weight_N = _read(slates)
    weight_N = _multiplied(list_N, weight_N, clicks)
    lists = int(list_N[-1]) + 1
    paid_S: Floats = np.bincount(list_N, weights=weight_N * reward_N).astype(np.float64)
    if self_normalised:
        paid_S = np.zeros(lists)
        for place in np.unique(place_N):
            here = place_N == place
            paid_S += here.sum() / lists * _ratio_by_list(list_N, reward_N, weight_N * here, lists)
    effective = _effective(list_N, weight_N, lists)
    if effective < LEAST_EFFECTIVE:
        raise SupportError(
            f"lists: {lists} of them are worth {effective:.1f} for this policy (at least {LEAST_EFFECTIVE:g} are "
            "needed); assume less dependence between places, or log more"
        )
    value, se = float(paid_S.mean()), standard_error(paid_S)
    half = float(scipy.stats.norm.ppf(0.5 + level / 2)) * se
    return SlateValue(value, se, value - half, value + half, lists, effective)


def _read(slates: Slates) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]:
    """The rows in order of list and place, lists numbered from 0, and the weight of each row."""
    list_N = np.unique(np.asarray(slates.list_N), return_inverse=True)[1].astype(np.int64)
    place_N = np.asarray(slates.place_N).astype(np.int64)
    numbers = [np.asarray(each, dtype=np.float64) for each in (slates.reward_N, slates.prob_N, slates.policy_N)]
    if not len(list_N) or any(each.shape != list_N.shape for each in (place_N, *numbers)):
        raise InputError("lists: list, place, reward, prob and policy need one value for each shown item")
    reward_N, prob_N, policy_N = numbers
    if not (np.isfinite(reward_N).all() and (prob_N > 0).all() and (prob_N <= 1).all()):
        raise InputError("lists: rewards must be known and logged chances in (0, 1]")
    if not ((policy_N >= 0) & (policy_N <= 1)).all():
        raise InputError("lists: the new policy's chances must lie in [0, 1]")
    order = np.lexsort((place_N, list_N))
    twice = (np.diff(list_N[order]) == 0) & (np.diff(place_N[order]) == 0)
    if twice.any():
        raise InputError(f"lists: {int(twice.sum())} places are filled twice in the same list")
    return list_N[order], place_N[order], reward_N[order], (policy_N / prob_N)[order]


def _multiplied(list_N: NDArray[np.int64], weight_N: Floats, clicks: Clicks) -> Floats:
    """Weights of single places, multiplied down the list (`cascade`) or over all of it (`joint`)."""
    if clicks == "independent":
        return weight_N
    starts = np.flatnonzero(np.r_[True, np.diff(list_N) > 0])
    sizes = np.diff(np.r_[starts, len(list_N)])
    if clicks == "joint":
        return np.repeat(np.multiply.reduceat(weight_N, starts), sizes)
    found = weight_N.copy()
    for step in range(1, int(sizes.max())):  # the step-th place of every list that is long enough
        at = starts[sizes > step] + step
        found[at] *= found[at - 1]
    return found


def _ratio_by_list(list_N: NDArray[np.int64], reward_N: Floats, weight_N: Floats, lists: int) -> Floats:
    total = float(weight_N.sum())
    if total == 0:
        return np.zeros(lists)
    centre = float((weight_N * reward_N).sum()) / total
    apart_S = np.bincount(list_N, weights=weight_N * (reward_N - centre), minlength=lists)
    return np.asarray(centre + apart_S * (lists / total), dtype=np.float64)


def _effective(list_N: NDArray[np.int64], weight_N: Floats, lists: int) -> float:
    weight_S = np.bincount(list_N, weights=weight_N, minlength=lists)
    square = float((weight_S**2).sum())
    return float(weight_S.sum()) ** 2 / square if square else 0.0
