"""What is known of classes besides their scores: training clips, label quality, branches."""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf import strata
from panns_tf.evaluation.runs import Run
from tfrecords import TFRecordsError, load_index, read_black_list


@dataclasses.dataclass(frozen=True)
class Facts:
    """Of every class.

    Attributes:
        training_clips: int (classes,), or None if unknown.
        training_source: where that is from, for a person.
        quality: float (classes,) in [0, 1], NaN where nothing was rated; or None if unknown.
        branches: of the ontology, a tuple of names for each class; empty where unknown.
    """

    training_clips: np.ndarray | None
    training_source: str
    quality: np.ndarray | None
    branches: list[tuple[str, ...]]

    def strata(self, labels: Sequence[str], ontology: Path | None) -> list[strata.Stratum]:
        """Groups of classes that are worth a figure of their own."""
        groups = []
        if self.training_clips is not None:
            groups += strata.by_training_clips(self.training_clips)
        if self.quality is not None:
            groups += strata.by_label_quality(self.quality)
        if any(self.branches):
            groups += strata.by_branch(labels, ontology)
        return [group for group in groups if len(group.classes)]


def gather_facts(
    labels: Sequence[str],
    run: Run | None,
    training_clips: Path | None = None,
    label_quality: Path | None = None,
    ontology: Path | None = None,
) -> Facts:
    """Looks up what is known of classes.

    Args:
        labels: of the classes, in order.
        run: of the model, or None.
        training_clips: a CSV with a column ``training_clips`` and one of ``index``,
            ``display_name`` and ``label``. Without it the run's ``config.json`` is asked, then
            its training data if they are still there, then, for AudioSet's classes, the counts
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
    quality = None
    if label_quality is not None:
        quality = strata.read_label_quality(label_quality, len(labels))
    branches = strata.branches(labels, ontology)
    if ontology is not None and not any(branches):
        raise ValueError(
            f"none of the {len(labels)} classes is in {ontology}, the first being {labels[0]!r}; "
            "expected an ontology that names them"
        )
    return Facts(counts, source, quality, branches)


def _known_counts(labels: Sequence[str], run: Run | None) -> tuple[np.ndarray | None, str]:
    if run is not None and (run.labels is None or list(run.labels) == list(labels)):
        if run.training_clips is not None and len(run.training_clips) == len(labels):
            return np.array(run.training_clips), "the run's config.json"
        counts = _counts_of_data(run, labels)
        if counts is not None:
            return counts, f"the run's training data, {run.config['data']}"
    counts = strata.audioset_training_clips(labels)
    if counts is not None:
        return np.asarray(counts), "AudioSet's training sets, as the paper counts them"
    return None, "unknown"


def _counts_of_data(run: Run, labels: Sequence[str]) -> np.ndarray | None:
    """Counts of the records a run was trained on; None where they are gone or others now."""
    config = run.config
    try:
        index = load_index(config["data"])
        if list(index.info.classes) != list(labels):
            return None
        exclude = read_black_list(config["exclude"]) if config.get("exclude") else ()
        return index.count_classes(index.select(exclude, config.get("fraction", 1.0)))
    except (KeyError, OSError, TFRecordsError):
        return None


def _read_counts(path: Path, labels: Sequence[str]) -> np.ndarray:
    if not path.is_file():
        raise ValueError(f"--training-clips: there is no file {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV of UTF-8 text ({error})") from None
    columns = set(rows[0]) if rows else set()
    key = next((name for name in ("index", "display_name", "label") if name in columns), None)
    if key is None or "training_clips" not in columns:
        raise ValueError(
            f"{path} needs the column training_clips and one of index, display_name and label; "
            f"it has {', '.join(sorted(filter(None, columns))) or 'no row'}"
        )
    try:
        found = {row[key]: int(row["training_clips"]) for row in rows}
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: training_clips must be whole numbers ({error})") from None
    keys = [str(number) for number in range(len(labels))] if key == "index" else list(labels)
    missing = [label for name, label in zip(keys, labels, strict=True) if name not in found]
    if missing or min(found.values()) < 0:
        what = f"lacks the class {missing[0]!r}" if missing else "has a count below 0"
        raise ValueError(f"{path} {what}; expected a count for each of {len(labels)} classes")
    return np.array([found[name] for name in keys])
