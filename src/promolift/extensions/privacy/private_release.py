"""Release figures with noise, and count them against the privacy budget of the work folder."""

from typing import cast

import polars as pl

from promolift.core.experiments.experiment_design import HOLDOUT
from promolift.extensions.privacy.mechanisms.noise import EFFECT_CLIP, effect_rows, private_difference
from promolift.extensions.privacy.mechanisms.privacy_budget import Purpose
from promolift.extensions.privacy.results import load_shop_sums, privacy_spent, release_total, require_budget
from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.catalogue import gettext
from promolift.foundation.i18n.formatting import money
from promolift.foundation.progress import StepSummary, no_progress
from promolift.foundation.release_policy import BudgetUse, Floats, Released
from promolift.foundation.storage.local_store import Store
from promolift.shop.configuration.configuration import Config
from promolift.shop.feedback.decision_outcomes import Evidence
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

    def budget_use(self) -> BudgetUse | None:
        return privacy_spent(self.job.config, self.job.store)


def open_private_release(config: Config, store: Store) -> PrivateRelease | None:
    """Return the policy; None where the settings state no budget."""
    return None if config.privacy.epsilon is None else PrivateRelease(Job(config, store, no_progress))


def private_effect(job: Job, evidence: Evidence) -> StepSummary:
    """What may be published of a test: the gain per customer with an interval that knows the noise, in a sentence."""
    rows = evidence.customers.filter(pl.col("arm").is_in([evidence.release.policy_id, HOLDOUT]))
    cap = load_shop_sums(job.store).largest_cents
    offered = (rows["arm"] != HOLDOUT).to_numpy()
    total = effect_rows(rows["value"].to_numpy().astype(float), offered, cap).sum(axis=0)
    values, sd = release_total(job, "effect", f"effect_{evidence.release.campaign_id}", total, EFFECT_CLIP)
    try:
        each = private_difference(values, cap, sd / EFFECT_CLIP)
    except SupportError as reason:
        return StepSummary(reason.message, {"private_effect": None, "why_no_private_effect": str(reason)})
    gain, low, high, most = (
        money(cents, job.config.shop.currency) for cents in (each.difference, each.low, each.high, cap)
    )
    text = gettext(
        "Private: {gain} per customer over the holdout (95 % interval {low} to {high}, noise "
        "included; amounts above {most} count as {most}). This figure may be published, the "
        "others are exact.",
        gain=gain,
        low=low,
        high=high,
        most=most,
    )
    figures = {"cents": each.difference, "low": each.low, "high": each.high, "cap_cents": cap,
               "offered": each.n_treated, "held_out": each.n_control}  # fmt: skip
    return StepSummary(text, {"private_effect": figures})
