"""All metrics of an evaluation: means with intervals, by class, and by groups of classes."""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import stats

from panns_tf import metrics
from panns_tf.evaluation.class_metadata import ClassMetadata
from panns_tf.evaluation.scores import Scores
from panns_tf.metrics.class_groups import group_rows

#: Of every interval.
LEVEL = 0.95
_SEED = 0
# Each replicate of micro AP passes over all pairs of clip and class: so many in all, but no fewer
# than 100 replicates.
_MICRO_PAIRS, _MICRO_REPLICATES = 200_000_000, 100


@dataclasses.dataclass(frozen=True)
class Measures:
    """All metrics of an evaluation.

    Attributes:
        summary: average precision and AUC by class.
        bootstrap: their replicates, or None without.
        intervals: by name of a metric, (low, high) at `LEVEL`.
        micro: average precision of all pairs of clip and class.
        accuracy: where every clip has one label, else None.
        calibration: None where scores lie outside [0, 1].
        f1_threshold, f1: (classes,), NaN where unknown.
        groups: rows of `panns_tf.metrics.class_groups.group_rows`.
        notes: what a reader must know.
    """

    summary: metrics.Summary
    bootstrap: metrics.Bootstrap | None
    intervals: dict[str, tuple[float, float]]
    micro: float
    accuracy: float | None
    calibration: metrics.Calibration | None
    f1_threshold: np.ndarray
    f1: np.ndarray
    groups: list[dict]
    notes: list[str]

    def class_interval(self, name: str) -> np.ndarray:
        """(classes, 2) of "average_precision" or "auc"; NaN without a bootstrap."""
        interval = np.full((len(self.summary.positives), 2), np.nan)
        if self.bootstrap is not None:
            defined = self.summary.defined
            interval[defined] = self.bootstrap.class_interval(name, LEVEL)[defined]
        return interval

    def as_metrics(self) -> dict:
        """The entries that an evaluation adds to ``metrics.json``; unknown metrics are None."""
        calibration = self.calibration
        return {
            "mAP_micro": self.micro,
            "mAP_weighted": self.summary.weighted_average_precision,
            "lift": self.summary.mean_lift,
            "accuracy": self.accuracy,
            "expected_calibration_error": calibration and calibration.expected_error,
            # The three are always named; null where there is none.
            "intervals": {**dict.fromkeys(("mAP", "mAUC", "d_prime")), **self.intervals},
            "interval_level": None if self.bootstrap is None else LEVEL,
            "strata": self.groups,
            "notes": self.notes,
        }

    def class_columns(self, metadata: ClassMetadata) -> dict[str, list]:
        """The columns that an evaluation adds to ``per_class.csv``, by name."""
        summary, calibration = self.summary, self.calibration
        ap, auc = (self.class_interval(name) for name in ("average_precision", "auc"))
        unknown = [None] * len(summary.positives)
        columns = {
            "ap_low": ap[:, 0],
            "ap_high": ap[:, 1],
            "auc_low": auc[:, 0],
            "auc_high": auc[:, 1],
            "chance": np.where(summary.positives > 0, summary.chance, np.nan),
            "lift": summary.lift,
            "best_f1": self.f1,
            "f1_threshold": self.f1_threshold,
            "calibration_error": None if calibration is None else calibration.class_error,
            "training_clips": metadata.training_clips,
            "label_quality": metadata.quality,
            "branch": ["; ".join(names) for names in metadata.branches],
        }
        return {name: unknown if of is None else list(of) for name, of in columns.items()}


def measure(
    scores: Scores,
    metadata: ClassMetadata,
    replicates: int = 1000,
    progress: Callable[[int], None] | None = None,
) -> Measures:
    """Computes all metrics of finite scores.

    Args:
        scores: of the evaluation.
        metadata: of the classes.
        replicates: of the bootstrap over clips; 0 for no intervals.
        progress: see `panns_tf.metrics.bootstrap`.

    Raises:
        ValueError: if no class has both positive and negative clips.
    """
    target, score = scores.target, scores.score
    summary, hits, boot = metrics.summarise(target, score), None, None
    if (target.sum(axis=1) == 1).all():  # the most likely class is right or wrong
        hits = score.argmax(axis=1) == target.argmax(axis=1)
    calibration, threshold, f1 = None, *np.full((2, len(scores.labels)), np.nan)
    if scores.in_unit_range:
        calibration = metrics.calibration(target, score)
        threshold, f1 = metrics.best_f1(target, score)
    intervals = {}
    if replicates:
        # Draws depend on the seed and the number of clips alone, so that runs compare in pairs.
        boot = metrics.bootstrap(target, score, replicates, _SEED, progress)
        intervals = {name: boot.interval(name, LEVEL) for name in ("mAP", "mAUC", "d_prime")}
        chance = summary.as_dict()["chance_mAP"]
        intervals["lift"] = tuple(end / chance for end in intervals["mAP"])
        intervals["mAP_weighted"] = boot.interval("mAP_weighted", LEVEL)
        clips, classes = target.shape
        pairs = metrics.bootstrap(
            target.reshape(-1, 1),
            score.reshape(-1, 1),
            min(replicates, max(_MICRO_REPLICATES, _MICRO_PAIRS // score.size)),
            _SEED,
            clusters=np.repeat(np.arange(clips), classes),
        )
        intervals["mAP_micro"] = pairs.interval("mAP", LEVEL)
        if hits is not None:
            share = stats.binomtest(int(hits.sum()), clips)
            intervals["accuracy"] = tuple(share.proportion_ci(LEVEL, method="wilson"))
        # Without any spread, as of a perfect ranking, there is no interval.
        intervals = {name: ends for name, ends in intervals.items() if not np.isnan(ends).any()}
    return Measures(
        summary=summary,
        bootstrap=boot,
        intervals=intervals,
        micro=metrics.micro_average_precision(target, score),
        accuracy=None if hits is None else float(hits.mean()),
        calibration=calibration,
        f1_threshold=threshold,
        f1=f1,
        groups=group_rows(summary, metadata.groups),
        notes=metrics.remarks(target, score, scores.labels),
    )
