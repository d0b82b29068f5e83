"""All metrics of an evaluation: means with intervals, by class, and by groups of classes."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from panns_tf import metrics
from panns_tf.evaluation.scores import Scores
from panns_tf.metrics.bootstrap import LEVEL
from panns_tf.metrics.class_groups import ClassMetadata, group_rows

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclasses.dataclass(frozen=True)
class Measures:
    """All metrics of an evaluation."""

    summary: metrics.Summary
    bootstrap: metrics.Bootstrap | None
    estimates: dict[str, metrics.Estimate]  # of `metrics.METRICS`, but those without meaning here
    calibration: metrics.Calibration | None  # None where scores lie outside [0, 1]
    classes: "DataFrame"  # a row a class, the columns that are added to per_class.csv
    groups: list[dict]  # of `class_groups.group_rows`
    notes: list[str]

    @property
    def certainty(self) -> str:
        """Where the intervals are from."""
        if self.bootstrap is None:
            return "Without intervals: the bootstrap was switched off."
        return (
            f"Intervals of {100 * LEVEL:.0f} % from {len(self.bootstrap.auc):,} resamples of the "
            "clips: of the choice of clips, not of another training run."
        )

    def as_metrics(self) -> dict:
        """The entries of ``metrics.json``; undefined metrics are NaN."""
        intervals = {key: each.ends or None for key, each in self.estimates.items()}
        always = ("mAP", "mAUC", "d_prime")
        return {
            **self.summary.as_dict(),
            **{key: each.value for key, each in self.estimates.items()},
            "intervals": {key: ends for key, ends in intervals.items() if ends or key in always},
            "interval_level": None if self.bootstrap is None else LEVEL,
            "strata": self.groups,
            "notes": self.notes,
        }


def measure(scores: Scores, metadata: ClassMetadata, replicates: int = 1000) -> Measures:
    """Computes all metrics of finite scores; without intervals for 0 replicates.

    Draws depend on the seed and the number of clips alone, so that runs compare in pairs.
    """
    import pandas as pd

    target, score = scores.target, scores.score
    summary, boot = metrics.summarise(target, score), None
    ap_low = ap_high = auc_low = auc_high = np.nan
    if replicates:
        boot = metrics.bootstrap(target, score, replicates)
        ap_low, ap_high = boot.class_interval("average_precision").T
        auc_low, auc_high = boot.class_interval("auc").T
    estimates = {m.key: m.estimate(target, score, summary, boot) for m in metrics.METRICS}
    calibration, threshold, f1 = None, np.nan, np.nan
    if score.min() >= 0 and score.max() <= 1:
        calibration = metrics.calibration(target, score)
        threshold, f1 = metrics.best_f1(target, score)
    classes = {
        "ap_low": ap_low,
        "ap_high": ap_high,
        "auc_low": auc_low,
        "auc_high": auc_high,
        "chance": np.where(summary.positives > 0, summary.chance, np.nan),
        "lift": summary.lift,
        "best_f1": f1,
        "f1_threshold": threshold,
        "calibration_error": np.nan if calibration is None else calibration.class_error,
        "training_clips": metadata.training_clips,
        "label_quality": metadata.quality,
        "branch": ["; ".join(names) for names in metadata.branches],
    }
    return Measures(
        summary,
        boot,
        {key: estimate for key, estimate in estimates.items() if estimate is not None},
        calibration,
        pd.DataFrame(classes),
        group_rows(summary, metadata.groups),
        metrics.remarks(target, score, scores.labels),
    )
