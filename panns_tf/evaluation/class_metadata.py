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
            its training data if they are still there, else, for AudioSet's classes, the counts
            that this package carries.
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
        raise ValueError(
            f"none of the {len(labels)} classes is in {ontology}, the first being {labels[0]!r}; "
            "expected an ontology that names them"
        )
    groups += class_groups.by_branch(labels, ontology)
    return ClassMetadata(counts, source, quality, branches, groups)


def _known_counts(labels: Sequence[str], run: Run | None) -> tuple[np.ndarray | None, str]:
    if run is not None and (not run.labels or list(run.labels) == list(labels)):
        if run.training_clips is not None and len(run.training_clips) == len(labels):
            return np.array(run.training_clips), "the run's config.json"
        try:
            index = load_index(run.config["data"])
            exclude = run.config.get("exclude")
            exclude = read_black_list(exclude) if exclude else ()
            if list(index.info.classes) == list(labels):
                clips = index.select(exclude, run.config.get("fraction", 1.0))
                source = f"the run's training data, {run.config['data']}"
                return index.count_classes(clips), source
        except (KeyError, OSError, TFRecordsError):
            pass  # they are gone
    counts = class_groups.audioset_training_clips(labels)
    if counts is not None:
        return counts, "AudioSet's training sets, as the paper counts them"
    return None, "unknown"


def _read_counts(path: Path, labels: Sequence[str]) -> np.ndarray:
    rows = read_csv(path)
    columns = list(rows[0]) if rows else []
    key = next((name for name in ("index", "display_name", "label") if name in columns), None)
    if key is None or "training_clips" not in columns:
        raise ValueError(
            f"{path} needs the column training_clips and one of index, display_name and label; "
            f"it has {', '.join(sorted(columns)) or 'no row'}"
        )
    try:
        counts = {row[key]: int(row["training_clips"]) for row in rows}
    except ValueError as error:
        raise ValueError(f"{path}: training_clips must be whole numbers ({error})") from None
    keys = [str(number) for number in range(len(labels))] if key == "index" else list(labels)
    missing = [label for name, label in zip(keys, labels, strict=True) if name not in counts]
    if missing or min(counts.values()) < 0:
        what = f"lacks the class {missing[0]!r}" if missing else "has a count below 0"
        raise ValueError(f"{path} {what}; expected a count for each of {len(labels)} classes")
    return np.array([counts[name] for name in keys])
