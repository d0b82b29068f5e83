"""All metrics of an evaluation: means with intervals, by class, and by groups of classes."""

import numpy as np

from panns_tf import metrics
from panns_tf.evaluation.scores import Scores
from panns_tf.metrics.bootstrap import LEVEL
from panns_tf.metrics.class_groups import ClassMetadata, group_rows


class Measures:
    """All metrics of finite scores; without intervals for 0 replicates."""

    def __init__(self, scores: Scores, metadata: ClassMetadata, replicates: int = 1000):
        import pandas as pd

        target, score = scores.target, scores.score
        self.bootstrap = metrics.bootstrap(target, score, replicates)
        self.summary = self.bootstrap.summary
        every = {m.key: m.estimate(target, score, self.bootstrap) for m in metrics.METRICS}
        #: By key in `METRICS`, but those without meaning here.
        self.estimates = {key: found for key, found in every.items() if found is not None}
        self.calibration, threshold, f1 = None, np.nan, np.nan
        if score.min() >= 0 and score.max() <= 1:
            self.calibration = metrics.calibration(target, score)
            threshold, f1 = metrics.best_f1(target, score)
        ap_low, ap_high = self.bootstrap.class_interval("average_precision").T
        auc_low, auc_high = self.bootstrap.class_interval("auc").T
        classes = {
            "ap_low": ap_low,
            "ap_high": ap_high,
            "auc_low": auc_low,
            "auc_high": auc_high,
            "chance": np.where(self.summary.positives > 0, self.summary.chance, np.nan),
            "lift": self.summary.lift,
            "best_f1": f1,
            "f1_threshold": threshold,
            "calibration_error": self.calibration.class_error if self.calibration else np.nan,
            "training_clips": metadata.training_clips,
            "label_quality": metadata.quality,
            "branch": ["; ".join(names) for names in metadata.branches],
        }
        #: A row a class, the columns that are added to per_class.csv.
        self.classes = pd.DataFrame(classes)
        self.groups = group_rows(self.summary, metadata.groups)
        self.notes = metrics.remarks(target, score, scores.labels)

    @property
    def certainty(self) -> str:
        """Where the intervals are from."""
        if not len(self.bootstrap.auc):
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
            "interval_level": LEVEL if len(self.bootstrap.auc) else None,
            "strata": self.groups,
            "notes": self.notes,
        }
