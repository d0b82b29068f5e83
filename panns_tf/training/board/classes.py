"""Precision-recall curves of a few classes, as TensorBoard's own panel shows them."""

import difflib

import numpy as np
import tensorflow as tf

#: Classes chosen by themselves: from the largest to the smallest.
WATCHED = 6
THRESHOLDS = 127


def chosen(labels: list[str], sizes: np.ndarray, wanted: str | None) -> list[int]:
    """Returns the numbers of the classes to watch.

    Args:
        labels: of all classes.
        sizes: int (classes,), training clips of each.
        wanted: labels separated by semicolons, or None for some evenly from the largest to the
            smallest.

    Raises:
        ValueError: if a label is unknown; names the nearest.
    """
    if wanted is None:
        order = np.argsort(-np.asarray(sizes), kind="stable")
        places = np.linspace(0, len(order) - 1, min(WATCHED, len(order))).round().astype(int)
        return order[places].tolist()
    found = []
    for label in filter(None, (part.strip() for part in wanted.split(";"))):
        if label not in labels:
            near = difflib.get_close_matches(label, labels, n=3, cutoff=0.4) or labels[:3]
            raise ValueError(
                f"--watch-classes: no class {label!r}; the nearest are: {', '.join(near)}"
            )
        found.append(labels.index(label))
    return found


def curve(target: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Counts at thresholds from 0 to 1.

    Args:
        target: (n,), of 0 and 1.
        score: (n,), in [0, 1]; positive where it is at least the threshold.

    Returns:
        (6, THRESHOLDS) float64: true and false positives, true and false negatives, precision
        and recall.
    """
    thresholds = np.linspace(0, 1, THRESHOLDS)
    positive, negative = (np.sort(score[target.astype(bool) == side]) for side in (True, False))
    true = len(positive) - np.searchsorted(positive, thresholds, "left")
    false = len(negative) - np.searchsorted(negative, thresholds, "left")
    called = true + false
    # Where nothing is called positive the panel expects 1, so that a curve ends at the axis.
    precision = np.where(called, true / np.maximum(called, 1), 1.0)
    recall = true / max(1, len(positive))
    counts = (true, false, len(negative) - false, len(positive) - true)
    return np.stack([*counts, precision, recall]).astype(np.float64)


def write_curves(target, score, labels: list[str], numbers: list[int]) -> None:
    """Writes the curves of some classes; of all decisions together as ``all classes``."""
    pairs = {labels[k]: (target[:, k], score[:, k]) for k in numbers if target[:, k].any()}
    pairs["all classes"] = (target.reshape(-1), score.reshape(-1))
    for label, (of_class, scores) in pairs.items():
        write_curve(f"precision and recall/{label}", curve(of_class, scores))


def write_curve(tag: str, counts: np.ndarray) -> None:
    """Writes one curve for the panel "PR curves"."""
    from tensorboard.plugins.pr_curve import metadata

    about = metadata.create_summary_metadata(tag, "", counts.shape[1])
    content = tf.compat.v1.SummaryMetadata.FromString(about.SerializeToString())
    tf.summary.write(tag, tf.constant(counts, tf.float32), metadata=content)
