"""Room 8. Predictions, decisions and outcomes in; what happened, how sure we are and what to do next out.

`join_outcomes` puts what was bought beside what was decided; `analyse` gives verdicts that print their rule;
`off_policy_value` says what another policy would have earned; `propose` the next release. Figures of trials are in the
module `uplift`, drift in `drift`.
"""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "Analysis",
    "Bin",
    "Calibration",
    "Cap",
    "CompareSettings",
    "Design",
    "Guardrails",
    "JoinSettings",
    "Joined",
    "Metric",
    "OffPolicySettings",
    "OffPolicyValue",
    "Proposal",
    "Score",
    "Sums",
    "Verdict",
    "analyse",
    "assign",
    "auc",
    "calibration",
    "compare",
    "join_outcomes",
    "log_loss",
    "mae",
    "off_policy_value",
    "propose",
    "ranked_hits",
    "recall_at",
    "sample_ratio",
    "spearman",
    "sums_by",
]

if TYPE_CHECKING:
    from promolift.learn.compare import CompareSettings, compare
    from promolift.learn.experiment import Analysis, Design, Verdict, analyse, assign, sample_ratio
    from promolift.learn.join import Joined, JoinSettings, join_outcomes
    from promolift.learn.lift import Metric
    from promolift.learn.metrics import (
        Bin,
        Calibration,
        Score,
        auc,
        calibration,
        log_loss,
        mae,
        ranked_hits,
        recall_at,
        spearman,
    )
    from promolift.learn.off_policy import OffPolicySettings, OffPolicyValue, off_policy_value
    from promolift.learn.release import Guardrails, Proposal, propose
    from promolift.learn.sums import Cap, Sums, sums_by
else:
    lazy(__name__)
