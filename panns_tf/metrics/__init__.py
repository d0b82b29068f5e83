"""Exact metrics of multi-label tagging, and how certain they are."""

from panns_tf.metrics.bootstrap import Estimate
from panns_tf.metrics.calibration import Calibration, calibration
from panns_tf.metrics.ranking import (
    average_precision,
    best_f1,
    d_prime,
    micro_average_precision,
    precision_recall_curve,
    roc_auc,
    roc_curve,
    weighted_average_precision,
)
from panns_tf.metrics.summary import (
    METRICS,
    Bootstrap,
    Difference,
    Metric,
    Summary,
    bootstrap,
    remarks,
    summarise,
)

__all__ = [
    "METRICS",
    "Bootstrap",
    "Calibration",
    "Difference",
    "Estimate",
    "Metric",
    "Summary",
    "average_precision",
    "best_f1",
    "bootstrap",
    "calibration",
    "d_prime",
    "micro_average_precision",
    "precision_recall_curve",
    "remarks",
    "roc_auc",
    "roc_curve",
    "summarise",
    "weighted_average_precision",
]
