"""Metadata of classes besides their scores: training clips, label quality, ontology branches."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf.metrics import class_groups
from panns_tf.run import Run
from tfrecords import TFRecordsError, load_index, read_black_list
from tfrecords.files import read_csv


@dataclasses.dataclass(frozen=True)
class ClassMetadata:
    """Of every class.

    Attributes:
        training_clips: int (classes,), or None if unknown.
        training_source: where that is from, in words.
        quality: float (classes,) in [0, 1], NaN where nothing was rated; or None if unknown.
        branches: of the ontology, a tuple of names for each class; empty where unknown.
        groups: of classes with metrics of their own.
    """

    training_clips: np.ndarray | None
    training_source: str
    quality: np.ndarray | None
    branches: list[tuple[str, ...]]
    groups: list[class_groups.ClassGroup]


def class_metadata(
    labels: Sequence[str],
    run: Run | None,
    training_clips: Path | None = None,
    label_quality: Path | None = None,
    ontology: Path | None = None,
) -> ClassMetadata:
    """Collects what is known of classes.

    Args:
        labels: of the classes, in order.
        run: of the model, or None.
        training_clips: a CSV with a column ``training_clips`` and one of ``index``,
            ``display_name`` and ``label``. Without it: those of the run's ``config.json``, else of
            its training data, else, for AudioSet's classes, the counts of this package.
        label_quality: AudioSet's ``qa_true_counts.csv``.
        ontology: AudioSet's ``ontology.json``.

    Raises:
        ValueError: if a file that was given cannot be read, or has other classes.
    """
    if training_clips is not None:
        counts, source = _read_counts(training_clips, labels), str(training_clips)
    else:
        counts, source = _known_counts(labels, run)
    groups = [] if counts is None else class_groups.by_training_clips(counts)
    quality = None
    if label_quality is not None:
        quality = class_groups.read_label_quality(label_quality, len(labels))
        groups += class_groups.by_label_quality(quality)
    branches = class_groups.branches(labels, ontology)
    if ontology is not None and not any(branches):
        raise ValueError(f"none of the {len(labels)} classes is in {ontology}: {labels[0]!r} ...")
    groups += class_groups.by_branch(labels, ontology)
    return ClassMetadata(counts, source, quality, branches, groups)


def _known_counts(labels: Sequence[str], run: Run | None) -> tuple[np.ndarray | None, str]:
    if run is not None and list(run.labels or labels) == list(labels):
        if run.training_clips is not None:
            return np.array(run.training_clips), "the run's config.json"
        try:
            index = load_index(run.config["data"])
            exclude = run.config.get("exclude")
            exclude = read_black_list(exclude) if exclude else ()
            if list(index.info.classes) == list(labels):
                clips = index.select(exclude, run.config.get("fraction", 1.0))
                return index.count_classes(clips), f"the run's training data, {index.directory}"
        except (KeyError, OSError, TFRecordsError):
            pass  # they are gone
    counts = class_groups.audioset_training_clips(labels)
    if counts is None:
        return None, "unknown"
    return counts, "AudioSet's training sets, as the paper counts them"


def _read_counts(path: Path, labels: Sequence[str]) -> np.ndarray:
    rows = read_csv(path, required=["training_clips"])
    try:
        key = next(name for name in ("index", "display_name", "label") if name in rows[0])
        counts = {row[key]: int(row["training_clips"]) for row in rows}
        names = map(str, range(len(labels))) if key == "index" else labels
        return np.array([counts[name] for name in names], np.uint64).astype(np.int64)
    except (IndexError, StopIteration, KeyError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{path} needs a count of training_clips for each of {len(labels)} classes, by index, "
            f"display_name or label ({error!r})"
        ) from None
