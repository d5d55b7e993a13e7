"""Evaluate predictions, decisions and experiments: figures with intervals, verdicts and off-policy values.

`join_outcomes` joins purchases to decisions. `analyse` returns verdicts that print their rule. `off_policy_value`
estimates what another policy would have earned. Metrics of trials are in `uplift_curves`, effects of drawn arms in
`arm_shares`, drift in `drift`.
"""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import make_lazy

__all__ = [
    "Calibration",
    "Score",
    "analyse",
    "auc",
    "calibration",
    "compare_policies",
    "join_outcomes",
    "log_loss",
    "off_policy_value",
    "sum_by_group",
]

if TYPE_CHECKING:
    from promolift.core.experiments.arm_sums import sum_by_group
    from promolift.core.experiments.experiment_design import analyse
    from promolift.core.experiments.off_policy.estimators import off_policy_value
    from promolift.core.experiments.outcome_join import join_outcomes
    from promolift.core.experiments.policy_comparison import compare_policies
    from promolift.core.experiments.prediction_metrics import Calibration, Score, auc, calibration, log_loss
else:
    make_lazy(__name__)
