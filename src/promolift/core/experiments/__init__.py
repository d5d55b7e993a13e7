"""Room 8. Predictions, decisions and outcomes in; what happened, how sure we are and what to do next out.

`join_outcomes` puts what was bought beside what was decided; `analyse` gives verdicts that print their rule;
`off_policy_value` says what another policy would have earned. Figures of trials are in `uplift`, effects of drawn arms
in `arms`, drift in `drift`.
"""

from typing import TYPE_CHECKING

from promolift.foundation.lazy_imports import lazy

__all__ = [
    "Calibration",
    "Score",
    "analyse",
    "auc",
    "calibration",
    "compare",
    "join_outcomes",
    "log_loss",
    "off_policy_value",
    "sums_by",
]

if TYPE_CHECKING:
    from promolift.core.experiments.arm_sums import sums_by
    from promolift.core.experiments.experiment_design import analyse
    from promolift.core.experiments.off_policy.estimators import off_policy_value
    from promolift.core.experiments.outcome_join import join_outcomes
    from promolift.core.experiments.policy_comparison import compare
    from promolift.core.experiments.prediction_metrics import Calibration, Score, auc, calibration, log_loss
else:
    lazy(__name__)
