"""The table of metrics, their means over classes, and how certain these are."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

from panns_tf.metrics.bootstrap import (
    LEVEL,
    Estimate,
    Seed,
    around,
    class_replicates,
    share_around,
    share_estimate,
    tails,
)
from panns_tf.metrics.calibration import calibration
from panns_tf.metrics.ranking import (
    by_class,
    checked,
    d_prime,
    micro_average_precision,
    weighted_mean,
)
from tfrecords.text import some

# Each replicate of micro AP passes over all pairs of clip and class: so many in all, but no fewer
# than 100 replicates.
_MICRO_PAIRS, _MICRO_REPLICATES = 200_000_000, 100


@dataclasses.dataclass(frozen=True)
class Summary:
    """Metrics by class, and their means over the classes where they are defined."""

    average_precision: np.ndarray  # float64 (classes,), NaN where undefined
    auc: np.ndarray  # the same
    positives: np.ndarray  # int64 (classes,), clips of each class
    num_clips: int

    @property
    def defined(self) -> np.ndarray:
        """Classes with at least one positive and one negative clip: bool (classes,)."""
        return np.isfinite(self.auc)

    @property
    def d_prime(self) -> np.ndarray:
        """Of each class's AUC: float64 (classes,), NaN where undefined, infinite at an AUC of 1."""
        return d_prime(self.auc)

    @property
    def chance(self) -> np.ndarray:
        """The average precision that ranking at random would give: float64 (classes,)."""
        return self.positives / self.num_clips

    @property
    def lift(self) -> np.ndarray:
        """How many times chance the average precision is: float64 (classes,), NaN undefined."""
        return self.average_precision / np.where(self.positives > 0, self.chance, 1)

    @property
    def chance_map(self) -> float:
        """The mAP that ranking at random would give: the mean share of positives."""
        return float(weighted_mean(self.chance, self.defined))

    def mean(self, key: str) -> float:
        """A mean over classes, by its key in `METRICS`."""
        metric = _class_metric(key)
        return float(metric.scale(metric.mean(self), self))

    def as_dict(self) -> dict[str, float | int]:
        """``mAP``, ``mAUC``, ``d_prime`` (of the mean AUC, as the paper), and the counts."""
        return {
            **{metric.key: self.mean(metric.key) for metric in METRICS if metric.in_training},
            "chance_mAP": self.chance_map,
            "num_clips": self.num_clips,
            "num_classes": len(self.positives),
            "classes_left_out": int((~self.defined).sum()),
        }


def _accuracy(target: np.ndarray, score: np.ndarray, replicates: int) -> Estimate | None:
    if not (target.sum(axis=1) == 1).all():
        return None
    hits = (score.argmax(axis=1) == target.argmax(axis=1)).sum()
    return share_estimate(hits, len(target)) if replicates else Estimate(hits / len(target))


def _micro_ap(target: np.ndarray, score: np.ndarray, replicates: int) -> Estimate:
    value, (clips, classes) = micro_average_precision(target, score), target.shape
    fewer = min(replicates, max(_MICRO_REPLICATES, _MICRO_PAIRS // score.size))
    clusters = np.repeat(np.arange(clips), classes)
    pairs = target.reshape(-1, 1), score.reshape(-1, 1)
    drawn = class_replicates(*pairs, fewer, clusters=clusters)[0, :, 0]
    return Estimate(value, *share_around(value, drawn))


def _calibration_error(target: np.ndarray, score: np.ndarray, _: int) -> Estimate:
    possible = score.min() >= 0 and score.max() <= 1
    return Estimate(calibration(target, score).expected_error if possible else np.nan)


@dataclasses.dataclass(frozen=True)
class Metric:
    """A row of `METRICS`, which files, reports and comparisons follow.

    It is the mean over classes ``of`` an attribute of `Summary`, brought to a rising ``scale``; or
    of targets, scores and a number of replicates, None where it has no meaning.
    """

    key: str  # in files
    name: str
    meaning: str  # may hold entries of `Summary.as_dict`
    of: str = ""
    weighted: bool = False  # by the positives of the classes
    scale: Callable[[float, Summary], float] = lambda mean, _: mean
    of_clips: Callable[[np.ndarray, np.ndarray, int], Estimate | None] | None = None
    digits: int = 3
    share: bool = True  # lies in [0, 1]
    in_training: bool = False  # in metrics.jsonl, groups of classes and comparisons, too

    def mean(self, summary: Summary) -> np.ndarray:
        """The mean over classes before `scale`, also of replicates (replicates, classes)."""
        values = getattr(summary, self.of)
        weights = np.isfinite(values) * summary.positives if self.weighted else summary.defined
        return weighted_mean(values, weights)

    def estimate(self, target, score, boot: "Bootstrap") -> Estimate | None:
        """The metric of scores, with its interval from a bootstrap of them."""
        if self.of_clips is not None:
            return self.of_clips(target, score, len(boot.auc))
        return Estimate(boot.estimate(self.key), *boot.interval(self.key))


# fmt: off
METRICS = (
    Metric("mAP", "mAP", "Mean of the classes' average precision; {chance_mAP:.3f} at random.",
           of="average_precision", in_training=True),
    Metric("mAUC", "mAUC", "Mean area under the ROC curve; 0.5 at random.",
           of="auc", in_training=True),
    Metric("d_prime", "d-prime", "Of the mean AUC; 0 at random.",
           of="auc", scale=lambda mean, _: d_prime(mean), digits=2, share=False,
           in_training=True),
    Metric("accuracy", "accuracy", "Clips whose label scores highest; 1 in {num_classes} by luck.",
           of_clips=_accuracy),
    Metric("mAP_micro", "micro AP", "Of all pairs of clip and class in one ranking.",
           of_clips=_micro_ap),
    Metric("mAP_weighted", "weighted mAP", "Classes weighted by their clips.",
           of="average_precision", weighted=True),
    Metric("lift", "lift", "mAP over that at random.",
           of="average_precision", scale=lambda mean, summary: mean / summary.chance_map,
           digits=1, share=False),
    Metric("expected_calibration_error", "calibration error",
           "Mean distance of scores from the share that has the class.",
           of_clips=_calibration_error),
)
# fmt: on


def _class_metric(key: str) -> Metric:
    rows = {metric.key: metric for metric in METRICS if metric.of}
    if key not in rows:
        raise ValueError(f"expected one of {', '.join(rows)}; received {key!r}")
    return rows[key]


def summarise(target, score) -> Summary:
    """Evaluates (clips, classes); ValueError if no class has both positive and negative clips."""
    target, score = checked(target, score, ndims=(2,))
    ap, auc, *_ = by_class(target, score)
    summary = Summary(ap, auc, target.sum(axis=0), len(target))
    if not summary.defined.any():
        raise ValueError(
            f"no class has both positive and negative clips among the {len(target)} evaluated; "
            "nothing to measure"
        )
    return summary


@dataclasses.dataclass(frozen=True)
class Bootstrap(Summary):
    """The summary of every replicate; names are the keys of means over classes in `METRICS`.

    Average precision and AUC are float32 (replicates, classes), exact; NaN where a replicate has no
    positive clip of a class, or, the AUC, no negative one.
    """

    summary: Summary  # of the clips themselves
    seed: Seed

    def estimate(self, name: str) -> float:
        """A metric of the clips themselves."""
        return self.summary.mean(name)

    def replicates(self, name: str) -> np.ndarray:
        """A metric of every replicate: float64 (replicates,)."""
        metric = _class_metric(name)
        return metric.scale(metric.mean(self), self.summary)

    def interval(self, name: str, level: float = LEVEL) -> tuple[float, float]:
        """The interval of a metric: of what another evaluation of as many clips gives on average.

        NaN where replicates do not differ, as those of a perfect ranking.
        """
        metric = _class_metric(name)
        ends = share_around(float(metric.mean(self.summary)), metric.mean(self), level)
        return tuple(float(metric.scale(end, self.summary)) for end in ends)

    def class_interval(self, name: str, level: float = LEVEL) -> np.ndarray:
        """Intervals of each class's ``average_precision`` or ``auc``: float64 (classes, 2).

        Normal on the scale of log odds. With few positive clips those of the AUC are too narrow: in
        simulations 83 % rather than 95 % held the mean of other evaluations with 4 to 9 of them, 88
        to 91 % with 10 to 26. NaN for fewer than two, and where replicates do not differ.
        """
        estimate, positives = getattr(self.summary, name), self.summary.positives
        with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # a class of NaN alone
            spread = np.nanstd(getattr(self, name).astype(np.float64), axis=0)
            # Replicates deviate as n - 1 positives do rather than n, as of any variance.
            spread = spread * np.sqrt(positives / (positives - 1.0)) / (estimate * (1 - estimate))
            steps = special.ndtri(tails(level)) * spread[:, None]
            ends = special.expit(special.logit(estimate)[:, None] + steps)
        known = (positives > 1) & (spread > 0) & np.isfinite(spread)
        return np.where(known[:, None], ends, np.nan)

    def minus(self, other: "Bootstrap") -> "Difference":
        """How much better these metrics are than another's, replicate by replicate."""
        mine, theirs = (
            (x.seed, x.auc.shape, x.num_clips, x.positives.tolist()) for x in (self, other)
        )
        if mine != theirs:
            raise ValueError(
                "only bootstraps of the same clips, seed and replicates can be compared in pairs"
            )
        return Difference(self, other)


@dataclasses.dataclass(frozen=True)
class Difference:
    """Paired differences of two bootstraps, the first less the second; methods as `Bootstrap`'s."""

    first: Bootstrap
    second: Bootstrap

    def estimate(self, name: str) -> float:
        return self.first.estimate(name) - self.second.estimate(name)

    def replicates(self, name: str) -> np.ndarray:
        with np.errstate(invalid="ignore"):  # the d-primes of two perfect rankings
            return self.first.replicates(name) - self.second.replicates(name)

    def interval(self, name: str, level: float = LEVEL) -> tuple[float, float]:
        return around(self.estimate(name), self.replicates(name), level)

    def class_interval(self, name: str, level: float = LEVEL) -> np.ndarray:
        values = getattr(self.first, name) - getattr(self.second, name)
        estimates = getattr(self.first.summary, name) - getattr(self.second.summary, name)
        return np.array([around(*pair, level) for pair in zip(estimates, values.T, strict=True)])


def bootstrap(
    target, score, replicates: int = 1000, seed: Seed = 0, clusters: np.ndarray | None = None
) -> Bootstrap:
    """Evaluates resamples of the clips, (clips, classes); with 0 replicates every interval is NaN.

    ``replicates`` is 0 or at least two; ``clusters``, int (clips,), are numbers from 0 of what is
    drawn together, None for single clips. The draws depend on the seed and the number of clips or
    clusters alone.
    """
    summary = summarise(target, score)
    drawn = class_replicates(target, score, replicates, seed, clusters)
    return Bootstrap(*drawn, summary.positives, summary.num_clips, summary, seed)


def remarks(target, score, labels: Sequence[str] | None = None) -> list[str]:
    """Notes on classes that have no metrics, or metrics that mean little, and why."""
    target, score = checked(target, score, ndims=(2,))
    positives, clips = target.sum(axis=0), len(target)
    defined = (positives > 0) & (positives < clips)
    left_out = (
        "they have no AP and no AUC and are left out of the means over classes; micro AP and "
        "calibration take in their scores"
    )
    kinds = {
        f"have no positive clip: {left_out}": positives == 0,
        f"have no negative clip: {left_out}": positives == clips,
        "have fewer than 5 positive clips": defined & (positives < 5),  # mostly luck
        "have one score for all clips": defined & (score == score[:1]).all(axis=0),
    }
    notes = []
    for what, which in kinds.items():
        if which.any():
            names = f" ({some(np.array(labels)[which])})" if labels else ""
            notes.append(f"{which.sum()} of {len(positives)} classes {what}{names}")
    if score.size and (score.min() < 0 or score.max() > 1):
        notes.append(
            f"scores lie outside [0, 1] (from {score.min():.4g} to {score.max():.4g}): they are "
            "ranked, but calibration and F1 need probabilities and are left out"
        )
    return notes
