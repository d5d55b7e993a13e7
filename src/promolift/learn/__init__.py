"""Room 8. Predictions and outcomes in; how good they were and what another policy would have earned out."""

from promolift.learn.compare import CompareSettings, compare
from promolift.learn.metrics import (
    Bin,
    Calibration,
    Score,
    auc,
    average_precision,
    brier,
    calibration,
    log_loss,
    mae,
    ndcg_at,
    ranked_hits,
    recall_at,
    spearman,
)

__all__ = [
    "Bin",
    "Calibration",
    "CompareSettings",
    "Score",
    "auc",
    "average_precision",
    "brier",
    "calibration",
    "compare",
    "log_loss",
    "mae",
    "ndcg_at",
    "ranked_hits",
    "recall_at",
    "spearman",
]
