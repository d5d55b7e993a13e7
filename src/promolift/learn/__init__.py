"""Room 8. Predictions, decisions and outcomes in; what happened, how sure we are and what to do next out.

`join_outcomes` puts what was bought beside what was decided; `analyse` gives verdicts that print their rule;
`off_policy_value` says what another policy would have earned. Figures of trials are in `uplift`, effects of drawn arms
in `arms`, drift in `drift`.
"""

from typing import TYPE_CHECKING

from promolift.lazy import lazy

__all__ = [
    "Calibration", "Score", "analyse", "auc", "calibration", "compare", "join_outcomes", "log_loss",
    "off_policy_value", "sums_by",
]  # fmt: skip

if TYPE_CHECKING:
    from promolift.learn.compare import compare
    from promolift.learn.experiment import analyse
    from promolift.learn.join import join_outcomes
    from promolift.learn.metrics import Calibration, Score, auc, calibration, log_loss
    from promolift.learn.off_policy import off_policy_value
    from promolift.learn.sums import sums_by
else:
    lazy(__name__)
