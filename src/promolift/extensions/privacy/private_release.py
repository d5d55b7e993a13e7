"""Release figures with noise, and count them against the privacy budget of the work folder."""

from typing import cast

from promolift.extensions.privacy.mechanisms.privacy_budget import Purpose
from promolift.extensions.privacy.results import load_shop_sums, release_total, require_budget
from promolift.foundation.progress import no_progress
from promolift.foundation.release_policy import Floats, Released
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.results.work_folder.run_context import Job


class PrivateRelease:
    """The `ReleasePolicy` of a shop that states `privacy.epsilon`."""

    is_exact = False

    def __init__(self, job: Job) -> None:
        """`job` names the budget and the work folder with its ledger."""
        self.job = job

    def noise_sd(self, purpose: str, clip: float, releases: int = 1) -> float:
        return require_budget(self.job).noise(cast(Purpose, purpose), releases) * clip

    def release(self, purpose: str, name: str, total_V: Floats, clip: float, releases: int = 1) -> Released:
        return Released(*release_total(self.job, cast(Purpose, purpose), name, total_V, clip, releases))

    def known_figure(self, name: str) -> float | None:
        figure: float = getattr(load_shop_sums(self.job.store), name)
        return figure


def open_private_release(config: Config, store: Store) -> PrivateRelease | None:
    """Return the policy; None where the settings state no budget."""
    return None if config.privacy.epsilon is None else PrivateRelease(Job(config, store, no_progress))
