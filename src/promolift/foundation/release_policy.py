"""How figures that were learned across customers are released: as they are, or as an extension decides.

Whatever is learned from many customers and reaches others (a price, an effect, a sum of the shop) passes a
`ReleasePolicy`. Without an extension it is released unchanged. Differential privacy replaces the policy: it adds noise,
and counts what was released against a budget.

Shapes: N customers, V figures of each.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from promolift.foundation import extension

if TYPE_CHECKING:
    from promolift.foundation.settings import Settings
    from promolift.foundation.storage.local_store import Store

Floats = NDArray[np.float64]
LARGEST = 1e100  # larger numbers are cut here, so that their squares stay finite


class Released(NamedTuple):
    """Figures as they may be used, and the standard deviation of the noise in each; 0 where there is none."""

    values: Floats
    sd: float


class RecordedRelease(NamedTuple):
    """One release: what for, when, its noise as a multiple of the clip, and how often."""

    purpose: str
    at_ms: int
    noise: float
    steps: int


class BudgetUse(NamedTuple):
    """What a policy has spent of its budget: by purpose, all together, and what is left.

    `labels` names the purposes for people, and `text` says all of it in a sentence. `exact` lists what is released
    without noise, `left_out` what a run then does not learn. All texts are in the current language.
    """

    purposes: Mapping[str, float]
    labels: Mapping[str, str]
    releases: tuple[RecordedRelease, ...]
    spent: float
    left: float
    text: str
    exact: tuple[str, ...]
    left_out: tuple[str, ...]


class ReleasePolicy(Protocol):
    """Decides how a total over customers is released.

    `purpose` names what the figure is for; a policy may spend another part of its budget on each. `clip` is the length
    that no customer's part of the total exceeds: see `clip_rows`. `releases` says how many totals of this purpose a run
    releases.
    """

    is_exact: bool  # whether figures are released as they are

    def noise_sd(self, purpose: str, clip: float, releases: int = 1) -> float:
        """Return the standard deviation of the noise in a total, before anything is released."""

    def release(self, purpose: str, name: str, total_V: Floats, clip: float, releases: int = 1) -> Released:
        """Return a total as it may be used. `name` is its own: a total that did not change is not released twice.

        Raises BudgetError, and releases nothing, where the policy allows no more.
        """

    def known_figure(self, name: str) -> float | None:
        """Return a figure of the shop as a whole that follows from earlier releases, such as `revenue_cents`.

        None where the exact figure may be computed instead.
        """

    def budget_use(self) -> BudgetUse | None:
        """Return what was spent of the policy's budget; None where it has none."""


class ExactRelease:
    """The policy without an extension: everything is released as it is."""

    is_exact = True

    def noise_sd(self, purpose: str, clip: float, releases: int = 1) -> float:
        return 0.0

    def release(self, purpose: str, name: str, total_V: Floats, clip: float, releases: int = 1) -> Released:
        return Released(total_V, 0.0)

    def known_figure(self, name: str) -> float | None:
        return None

    def budget_use(self) -> BudgetUse | None:
        return None


def open_release_policy(config: "Settings", store: "Store") -> ReleasePolicy:
    """Return the policy that the settings of a shop ask for.

    `Extension.release_policy` refers to a function of the settings and the work folder, which returns a policy, or None
    where the settings ask for none.
    """
    for each in extension.extensions():
        if each.release_policy is not None:
            open_policy: Callable[[Settings, Store], ReleasePolicy | None]
            open_policy = extension.load_reference(each.release_policy)
            if (policy := open_policy(config, store)) is not None:
                return policy
    return ExactRelease()


def clip_rows(value_NV: Floats, clip: float) -> Floats:
    """Return the customers' rows, each shortened to the length `clip` where it is longer.

    One customer more or less then moves the sum of the rows by `clip` at most. Numbers that are not finite count as 0.
    """
    value_NV = np.nan_to_num(np.asarray(value_NV, np.float64), nan=0.0, posinf=0.0, neginf=0.0).clip(-LARGEST, LARGEST)
    length_N = np.linalg.norm(value_NV, axis=1)
    return np.asarray(value_NV * np.minimum(1.0, clip / np.maximum(length_N, clip))[:, None])
