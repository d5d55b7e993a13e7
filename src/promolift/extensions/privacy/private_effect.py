"""Estimate what the policy adds over the holdout from a noisy sum, so that the result may be published."""

import polars as pl

from promolift.core.experiments.experiment_design import HOLDOUT
from promolift.extensions.privacy.mechanisms.noise import EFFECT_CLIP, effect_rows, private_difference
from promolift.extensions.privacy.results import load_shop_sums, release_total
from promolift.foundation.errors import SupportError
from promolift.foundation.i18n.formatting import localize, money
from promolift.foundation.progress import StepSummary
from promolift.shop.feedback.decision_outcomes import Evidence
from promolift.shop.results.work_folder.run_context import Job


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
        return StepSummary(str(reason), {"private_effect": None, "why_no_private_effect": str(reason)})
    gain, low, high, most = (
        money(cents, job.config.shop.currency) for cents in (each.difference, each.low, each.high, cap)
    )
    text = localize(
        f"Private: {gain} per customer over the holdout (95 % interval {low} to {high}, noise included; amounts above "
        f"{most} count as {most}). This figure may be published, the others are exact.",
        f"私密效果：相对对照组每位客户{gain}（95%区间{low}至{high}，已含噪声；超过{most}的金额按{most}计）。"
        "该数字可以公开，其余为精确值。",
    )
    figures = {"cents": each.difference, "low": each.low, "high": each.high, "cap_cents": cap,
               "offered": each.n_treated, "held_out": each.n_control}  # fmt: skip
    return StepSummary(text, {"private_effect": figures})
