"""Scores become figures: exact, with intervals, by class and by groups of classes."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from panns_tf import metrics, strata
from panns_tf.evaluation.facts import Facts
from panns_tf.evaluation.resampling import accuracy_interval, micro_interval, weighted_interval
from panns_tf.evaluation.scores import Scores, few

#: Of every interval.
LEVEL = 0.95
#: Below so many positive clips a figure is mostly luck.
_FEW_CLIPS = 5
_SEED = 0


@dataclasses.dataclass(frozen=True)
class Measures:
    """All figures of an evaluation.

    Attributes:
        summary: average precision and AUC by class.
        bootstrap: their replicates, or None without.
        intervals: by name of a figure, (low, high) at `LEVEL`.
        micro, weighted: average precision of all pairs of clip and class, and averaged with the
            classes' positives as weights.
        accuracy: where every clip has one label, else None.
        lift: mAP over that of ranking at random.
        calibration: None where scores lie outside [0, 1].
        f1_threshold, f1: (classes,), NaN where unknown.
        rows: figures of groups of classes, of `panns_tf.strata.strata_rows`.
        notes: what a reader must be told.
    """

    summary: metrics.Summary
    bootstrap: metrics.Bootstrap | None
    intervals: dict[str, tuple[float, float]]
    micro: float
    weighted: float
    accuracy: float | None
    lift: float
    calibration: metrics.Calibration | None
    f1_threshold: np.ndarray
    f1: np.ndarray
    rows: list[dict]
    notes: list[str]

    @property
    def chance(self) -> np.ndarray:
        """Average precision of ranking at random, (classes,); NaN where none is defined."""
        share = self.summary.positives / self.summary.num_clips
        return np.where(np.isnan(self.summary.average_precision), np.nan, share)

    def class_interval(self, name: str) -> np.ndarray:
        """(classes, 2) of "average_precision" or "auc"; NaN without a bootstrap."""
        if self.bootstrap is None:
            return np.full((len(self.summary.positives), 2), np.nan)
        interval = np.array(self.bootstrap.class_interval(name, LEVEL), np.float64)
        interval[~self.summary.defined] = np.nan
        return interval


def measure(
    scores: Scores,
    facts: Facts,
    ontology: Path | None = None,
    replicates: int = 1000,
    progress: Callable | None = None,
) -> Measures:
    """Computes all figures.

    Args:
        scores: finite ones.
        facts: of the classes.
        ontology: AudioSet's ``ontology.json``, or None for that of the package.
        replicates: of the bootstrap over clips; 0 for no intervals.
        progress: see `panns_tf.metrics.bootstrap`.

    Raises:
        ValueError: if no class has both positive and negative clips.
    """
    target, score = scores.target, scores.score
    summary = metrics.summarise(target, score)
    boot, intervals = None, {}
    if replicates:
        # Draws depend on the seed and the number of clips alone, so that runs compare in pairs.
        boot = metrics.bootstrap(target, score, replicates, seed=_SEED, progress=progress)
        for name in ("mAP", "mAUC", "d_prime"):
            intervals[name] = boot.interval(name, LEVEL)
    values = summary.as_dict()
    notes = class_notes(scores, summary)
    accuracy = None
    if (target.sum(axis=1) == 1).all():
        # With one label a clip the most likely class is right or wrong.
        hits = score.argmax(axis=1) == target.argmax(axis=1)
        accuracy = float(hits.mean())
    unknown = np.full(len(scores.labels), np.nan)
    calibration, threshold, f1 = None, unknown, unknown
    if scores.in_unit_range:
        calibration = metrics.calibration(target, score)
        threshold, f1 = metrics.best_f1(target, score)
    else:
        notes.append(
            f"scores lie outside [0, 1] (from {score.min():.4g} to {score.max():.4g}): they are "
            "ranked, but calibration and F1 need probabilities and are left out"
        )
    micro = float(metrics.micro_average_precision(target, score))
    if boot is not None:
        intervals.update(_more_intervals(boot, scores, micro, accuracy, intervals["mAP"]))
        # Without any spread, as of a perfect ranking, there is no interval.
        intervals = {key: ends for key, ends in intervals.items() if not np.isnan(ends).any()}
    return Measures(
        summary=summary,
        bootstrap=boot,
        intervals=intervals,
        micro=micro,
        weighted=summary.weighted_average_precision,
        accuracy=accuracy,
        lift=values["mAP"] / values["chance_mAP"],
        calibration=calibration,
        f1_threshold=threshold,
        f1=f1,
        rows=strata.strata_rows(summary, facts.strata(scores.labels, ontology)),
        notes=notes,
    )


def _more_intervals(
    boot: metrics.Bootstrap, scores: Scores, micro: float, accuracy: float | None, of_map
) -> dict[str, tuple[float, float]]:
    """The intervals of what is no mean over classes, or follows from one."""
    replicates, clips = boot.auc.shape[0], len(scores.score)
    chance = boot.summary.as_dict()["chance_mAP"]
    pairs = (scores.target, scores.score)
    found = {
        "lift": (of_map[0] / chance, of_map[1] / chance),
        "mAP_weighted": weighted_interval(boot, LEVEL),
        "mAP_micro": micro_interval(micro, *pairs, replicates, LEVEL, _SEED),
    }
    if accuracy is not None:
        found["accuracy"] = accuracy_interval(accuracy, clips, replicates, LEVEL, _SEED)
    return found


def class_notes(scores: Scores, summary: metrics.Summary) -> list[str]:
    """Names the classes that have no figure, or one that means little, and says why."""
    positives, clips, score = summary.positives, summary.num_clips, scores.score
    left_out = (
        "they have no AP and no AUC and are left out of the means over classes; micro AP and "
        "calibration take in their scores"
    )
    kinds = (
        (positives == 0, f"have no positive clip: {left_out}"),
        (positives == clips, f"have no negative clip: {left_out}"),
        (
            (positives > 0) & (positives < _FEW_CLIPS),
            f"have fewer than {_FEW_CLIPS} positive clips",
        ),
        (summary.defined & (score == score[0]).all(axis=0), "have one score for all clips"),
    )
    notes = []
    for chosen, what in kinds:
        names = [scores.labels[number] for number in np.flatnonzero(chosen)]
        if names:
            notes.append(f"{len(names)} of {len(positives)} classes {what} ({few(names)})")
    return notes


def as_metrics(measures: Measures) -> dict:
    """The entries that an evaluation adds to ``metrics.json``; unknown figures are None."""
    calibration = measures.calibration
    return {
        "mAP_micro": measures.micro,
        "mAP_weighted": measures.weighted,
        "lift": measures.lift,
        "accuracy": measures.accuracy,
        "expected_calibration_error": None if calibration is None else calibration.expected_error,
        # The three are always named; null where there is none.
        "intervals": {**dict.fromkeys(("mAP", "mAUC", "d_prime")), **measures.intervals},
        "interval_level": LEVEL if measures.bootstrap is not None else None,
        "strata": measures.rows,
        "notes": measures.notes,
    }


def class_columns(measures: Measures, facts: Facts) -> dict[str, list]:
    """The columns that an evaluation adds to ``per_class.csv``, by name."""
    summary = measures.summary
    ap, auc = (measures.class_interval(name) for name in ("average_precision", "auc"))
    chance = measures.chance
    unknown = [None] * len(chance)
    calibration = measures.calibration
    return {
        "ap_low": ap[:, 0],
        "ap_high": ap[:, 1],
        "auc_low": auc[:, 0],
        "auc_high": auc[:, 1],
        "chance": chance,
        "lift": summary.lift,
        "best_f1": measures.f1,
        "f1_threshold": measures.f1_threshold,
        "calibration_error": unknown if calibration is None else calibration.class_error,
        "training_clips": unknown if facts.training_clips is None else facts.training_clips,
        "label_quality": unknown if facts.quality is None else facts.quality,
        "branch": ["; ".join(names) for names in facts.branches],
    }
