"""The metrics beside scikit-learn's, on an evaluation of AudioSet's size.

    python benchmarks/metrics.py
    python benchmarks/metrics.py --replicates 1000    # the bootstrap too

Scores of 18,887 clips and 527 classes are drawn, with as many positives of each class as AudioSet's
evaluation set has about. Both compute each metric in turns in one process, `--rounds` times; every
result is compared first, to 1e-9. Takes about five minutes.
"""

import argparse
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
from common import (
    CLASSES,
    in_turns,
    print_table,
    ratios,
    reset_peak,
    resident,
    seconds_of,
    spread,
    training_counts,
)
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


def _columns(target, score) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each class, contiguous, as functions of one class are best called."""
    return list(zip(np.ascontiguousarray(target.T), np.ascontiguousarray(score.T), strict=True))


def _curves(curve: Callable, **options) -> Callable:
    """A function of columns that gives their curves one by one: nobody keeps 200 MB of points."""

    def every_class(columns) -> Iterator[np.ndarray]:
        for hits, values in columns:
            yield from curve(hits, values, **options)

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


def cases(target, score) -> list[tuple]:
    """What is compared: name, ours, scikit-learn's, what both are called with."""
    both, columns = (target, score), (_columns(target, score),)
    return [
        (
            "mAP, weighted",
            ours.weighted_average_precision,
            lambda t, s: theirs.average_precision_score(t, s, average="weighted"),
            *both,
        ),
        (
            "mAP, micro",
            ours.micro_average_precision,
            lambda t, s: theirs.average_precision_score(t, s, average="micro"),
            *both,
        ),
        (
            "precision-recall curves",
            _curves(ours.precision_recall_curve),
            _curves(theirs.precision_recall_curve),
            *columns,
        ),
        (
            "ROC curves",
            _curves(ours.roc_curve),
            _curves(theirs.roc_curve, drop_intermediate=False),
            *columns,
        ),
        ("best F1 thresholds", lambda t, s: ours.best_f1(t, s)[1], _f1_theirs, *both),
        ("reliability, 15 bins", _reliability_ours, _reliability_theirs, *both),
    ]


def exhausted(function: Callable, *values) -> Callable:
    """A call of a function; if it gives results one by one, until the last."""

    def call() -> None:
        result = function(*values)
        if isinstance(result, Iterator):
            deque(result, maxlen=0)

    return call


def apart(first, second) -> float:
    """The largest difference between two results; infinite if they are not of one shape."""
    if isinstance(first, Iterator):
        return max(apart(*pair) for pair in zip(first, second, strict=True))
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape:
        return np.inf
    differing = first != second  # equal infinities have no difference
    return float(np.abs(first[differing] - second[differing]).max(initial=0))


def compare(rounds: int, name: str, first: Callable, second: Callable, *values) -> tuple:
    """A row of the table; ends with an error where the two differ."""
    most = apart(first(*values), second(*values))
    if not most <= TOLERANCE:
        raise SystemExit(f"{name}: ours and scikit-learn's differ by {most:g}")
    calls = {"ours": exhausted(first, *values), "theirs": exhausted(second, *values)}
    seconds = in_turns(calls, rounds)
    cells = [spread(each, ".2f")[0] for each in seconds.values()]
    return name, *cells, ratios(seconds["theirs"], seconds["ours"]), f"{most:.0e}"


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
    kinds = {"float32": single, f"float32 of {_LEVELS + 1} values": tied, "float64": score}
    rows = [
        compare(
            args.rounds,
            f"AP and AUC of every class, {kind}",
            _rank_ours,
            _rank_theirs,
            target,
            values,
        )
        for kind, values in kinds.items()
    ]
    rows += [compare(args.rounds, *case) for case in cases(target, single)]
    header = ("metric", "ours, s", "scikit-learn, s", "times as fast", "apart by at most")
    print_table(header, rows)
    if args.replicates:
        reset_peak()
        before = resident()["now"]
        spent = seconds_of(lambda: ours.bootstrap(target, single, args.replicates).auc)
        print(
            f"bootstrap of {args.replicates:,} replicates: {spent:.0f} s, "
            f"{resident()['peak'] - before:.0f} MB more memory"
        )


if __name__ == "__main__":
    main()
