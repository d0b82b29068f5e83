"""The metrics beside scikit-learn's, on an evaluation of AudioSet's size.

    python benchmarks/metrics.py
    python benchmarks/metrics.py --replicates 1000    # the bootstrap too

Scores of 18,887 clips and 527 classes are drawn, with as many positives of each class as AudioSet's
evaluation set has about. Both compute each metric in turns in one process, `--rounds` times; every
result is compared first, to 1e-9. Takes about five minutes.
"""

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
from common import CLASSES, print_table, ratios, reset_peak, resident, spread, training_counts
from sklearn import metrics as theirs
from sklearn.calibration import calibration_curve

from panns_tf import metrics as ours

CLIPS = 18887
TOLERANCE = 1e-9
_LEAST_POSITIVE = 60 / 20371  # AudioSet's evaluation set has about 60 clips of its rarest classes
_LEVELS = 200  # distinct scores where there are many ties


def evaluation(clips: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Targets, bool, and probabilities, float64: (clips, classes) each."""
    rng = np.random.default_rng(0)
    counts = training_counts()
    share = np.maximum(counts / 2.1e6, _LEAST_POSITIVE)[np.arange(classes) % len(counts)]
    target = rng.random((clips, classes)) < share
    logit = rng.standard_normal((clips, classes)) + 2.5 * target - 3
    return target, 1 / (1 + np.exp(-logit))


def _rank_ours(target, score) -> np.ndarray:
    summary = ours.summarise(target, score)
    return np.stack([summary.average_precision, summary.auc])


def _rank_theirs(target, score) -> np.ndarray:
    both = (theirs.average_precision_score, theirs.roc_auc_score)
    return np.stack([metric(target, score, average=None) for metric in both])


def _columns(target, score) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each class, contiguous, as functions of one class are best called."""
    return zip(np.ascontiguousarray(target.T), np.ascontiguousarray(score.T), strict=True)


def _curves(curve: Callable, **options) -> Callable:
    def every_class(target, score) -> list[np.ndarray]:
        columns = _columns(target, score)
        return [part for hits, values in columns for part in curve(hits, values, **options)]

    return every_class


def _f1_theirs(target, score) -> np.ndarray:
    best = []
    for hits, values in _columns(target, score):
        precision, recall, threshold = theirs.precision_recall_curve(hits, values)
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-300)
        at = f1[:-1].argmax()
        best.append((f1[at], threshold[at]))
    # Compared by F1 alone: rounding decides between thresholds that do equally well.
    return np.array([f1 for f1, _ in best])


def _reliability_ours(target, score) -> np.ndarray:
    found = ours.calibration(target, score)
    used = found.count > 0
    return np.stack([found.frequency[used], found.confidence[used]])


def _reliability_theirs(target, score) -> np.ndarray:
    return np.stack(calibration_curve(target.ravel(), score.ravel(), n_bins=15))


def cases() -> list[tuple[str, Callable, Callable]]:
    """What is compared on float32 scores: name, ours, scikit-learn's."""
    return [
        (
            "mAP, weighted",
            ours.weighted_average_precision,
            lambda t, s: theirs.average_precision_score(t, s, average="weighted"),
        ),
        (
            "mAP, micro",
            ours.micro_average_precision,
            lambda t, s: theirs.average_precision_score(t, s, average="micro"),
        ),
        (
            "precision-recall curves",
            _curves(ours.precision_recall_curve),
            _curves(theirs.precision_recall_curve),
        ),
        (
            "ROC curves",
            _curves(ours.roc_curve),
            _curves(theirs.roc_curve, drop_intermediate=False),
        ),
        ("best F1 thresholds", lambda t, s: ours.best_f1(t, s)[1], _f1_theirs),
        ("reliability, 15 bins", _reliability_ours, _reliability_theirs),
    ]


def timed(function: Callable, *values) -> tuple[float, list | np.ndarray | float]:
    """Seconds, and the result."""
    began = time.perf_counter()
    result = function(*values)
    return time.perf_counter() - began, result


def apart(first, second) -> float:
    """The largest difference between two results; infinite if they are not of one shape."""
    if isinstance(first, list):
        return max(apart(*pair) for pair in zip(first, second, strict=True))
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape:
        return np.inf
    differing = first != second  # equal infinities have no difference
    return float(np.abs(first[differing] - second[differing]).max(initial=0))


def compare(name: str, first: Callable, second: Callable, target, score, rounds: int) -> tuple:
    """A row of the table; stops where the two differ."""
    seconds, most = ([], []), 0.0
    for number in range(rounds):
        results = [None, None]
        for which in (0, 1) if number % 2 else (1, 0):
            spent, results[which] = timed((first, second)[which], target, score)
            seconds[which].append(spent)
        most = max(most, apart(*results))
        if not most <= TOLERANCE:
            raise SystemExit(f"{name}: ours and scikit-learn's differ by {most:g}")
    mine, others = (spread(each, ".2f")[0] for each in seconds)
    return name, mine, others, ratios(seconds[1], seconds[0]), f"{most:.0e}"


def main() -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--classes", type=int, default=CLASSES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--replicates", type=int, default=0, help="of the bootstrap (%(default)s)")
    args = parser.parse_args()
    target, score = evaluation(args.clips, args.classes)
    single, tied = score.astype(np.float32), (np.round(score * _LEVELS) / _LEVELS).astype("float32")
    print(
        f"{args.clips:,} clips, {args.classes} classes, {target.sum():,} labels; median of "
        f"{args.rounds} rounds in turns, times with their range"
    )
    rows = [
        compare(f"AP and AUC of every class, {kind}", _rank_ours, _rank_theirs, target, values, n)
        for n in (args.rounds,)
        for kind, values in (
            ("float32", single),
            (f"float32 of {_LEVELS + 1} values", tied),
            ("float64", score),
        )
    ]
    rows += [compare(*case, target, single, args.rounds) for case in cases()]
    header = ("metric", "ours, s", "scikit-learn, s", "times as fast", "apart by at most")
    print_table(header, rows)
    if args.replicates:
        reset_peak()
        before = resident()["now"]
        spent, _ = timed(lambda: ours.bootstrap(target, single, args.replicates).auc)
        print(
            f"bootstrap of {args.replicates:,} replicates: {spent:.0f} s, "
            f"{resident()['peak'] - before:.0f} MB more memory"
        )


if __name__ == "__main__":
    main()
