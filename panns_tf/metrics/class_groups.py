"""What is known of classes, and groups of them: by training clips, label quality, branch."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf.metrics.summary import METRICS, Summary
from panns_tf.run import Run
from tfrecords.classes import audioset_classes
from tfrecords.files import read_csv, read_json

_DATA = Path(__file__).parents[1] / "data"
_QUALITY_EDGES = (0.5, 0.75, 0.9, 1.0)
_QUALITY_NAMES = ("below 50 %", "50 to 75 %", "75 to 90 %", "90 to 100 %", "100 %", "not rated")


@dataclasses.dataclass(frozen=True)
class ClassGroup:
    """Classes by number, int64, rising, in a group of a kind such as ``branch``."""

    kind: str
    name: str
    classes: np.ndarray


def audioset_training_clips(labels: Sequence[str]) -> np.ndarray | None:
    """Training clips in AudioSet, int64 (classes,); None unless the labels are its 527 names."""
    names = audioset_classes().names
    if sorted(labels) != sorted(names):
        return None
    counts = _read_counts(_DATA / "training_clips_per_class.csv", names)
    return counts[[names.index(label) for label in labels]]


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


def read_label_quality(path: str | Path, num_classes: int) -> np.ndarray:
    """The share of each class's labels found right, NaN unrated, of a ``qa_true_counts.csv``.

    After a header it has a line a class: anything, clips rated, clips found true. Lines are in the
    order of the classes, or begin with the machine ids of AudioSet's 527.
    """
    rows = [list(row.values()) for row in read_csv(path)]
    ids, by_id = audioset_classes().ids, {row[0]: row for row in rows}
    if num_classes == len(ids) and by_id.keys() >= set(ids):
        rows = [by_id[key] for key in ids]
    try:
        rated, true = np.array([row[1:3] for row in rows], np.int64).reshape(num_classes, 2).T
        if ((true < 0) | (true > rated)).any():
            raise ValueError(f"found {true.tolist()} of {rated.tolist()} true")
    except ValueError as error:
        raise ValueError(
            f"{path} needs a line for each of {num_classes} classes, in their order: a name, the "
            f"clips rated, and how many of them were found true; it has {len(rows)} ({error})"
        ) from None
    return np.where(rated > 0, true / np.maximum(rated, 1), np.nan)


def by_training_clips(counts: np.ndarray) -> list[ClassGroup]:
    """Classes of 1 to 9 training clips, 10 to 99 and so on, of int (classes,); none is empty."""
    digits = np.array([len(str(count)) if count else 0 for count in counts.tolist()], np.int64)
    names = ["none", *(f"{10 ** (n - 1):,} to {10**n - 1:,}" for n in range(1, 20))]
    return _groups("training clips", names, digits)


def by_label_quality(quality: np.ndarray) -> list[ClassGroup]:
    """Classes by label quality, float (classes,) in [0, 1] or NaN; no group is empty."""
    index = np.searchsorted(_QUALITY_EDGES, quality, side="right")
    index[np.isnan(quality)] = len(_QUALITY_NAMES) - 1
    return _groups("label quality", _QUALITY_NAMES, index)


def _groups(kind: str, names: Sequence[str], index: np.ndarray) -> list[ClassGroup]:
    return [
        ClassGroup(kind, names[number], np.flatnonzero(index == number))
        for number in np.unique(index).tolist()
    ]


def branches(labels: Sequence[str], ontology: str | Path | None = None) -> list[tuple[str, ...]]:
    """The top categories, no other's children, that each label lies under, in the file's order.

    Labels are display names of AudioSet's classes, or of a file like its ``ontology.json``.
    """
    members = _branch_members(labels, ontology).items()
    return [tuple(name for name, inside in members if inside[n]) for n in range(len(labels))]


def by_branch(labels: Sequence[str], ontology: str | Path | None = None) -> list[ClassGroup]:
    """Groups by `branches`, which may share classes; none if the ontology lacks all of them."""
    members = _branch_members(labels, ontology)
    if not np.any(list(members.values())):
        return []
    members["not in the ontology"] = ~np.any(list(members.values()), axis=0)
    found = {name: np.flatnonzero(inside) for name, inside in members.items()}
    return [ClassGroup("branch", name, classes) for name, classes in found.items() if classes.size]


def _branch_members(labels: Sequence[str], ontology: str | Path | None) -> dict[str, np.ndarray]:
    """For each top category, which labels lie under it: bool (labels,)."""
    path = _DATA / "ontology.json" if ontology is None else Path(ontology)
    rows, members = read_json(path), {}
    try:
        children = {row["id"]: row["child_ids"] for row in rows}
        inner = set().union(*children.values())
        ids = {row["name"]: row["id"] for row in rows}
        names = zip(audioset_classes().names, audioset_classes().ids, strict=True)
        ids |= {name: key for name, key in names if key in children}
        for top in (row for row in rows if row["id"] not in inner):
            below, waiting = set(), [top["id"]]
            while waiting:
                if (one := waiting.pop()) not in below:
                    below.add(one)
                    waiting += children[one]
            members[top["name"]] = np.array([ids.get(label) in below for label in labels], bool)
    except (TypeError, KeyError):
        members = {}
    if not members or len(children) < len(rows):
        raise ValueError(
            f"{path} is no ontology: expected a list of objects with id, name and child_ids, as "
            "AudioSet's ontology.json"
        )
    return members


def group_rows(summary: Summary, groups: Sequence[ClassGroup]) -> list[dict]:
    """The mean metrics of each group of classes, for ``metrics.json``; NaN if none is defined."""
    rows = []
    keys = ("num_classes", "classes_left_out", *(m.key for m in METRICS if m.in_training))
    columns = summary.average_precision, summary.auc, summary.positives
    for group in groups:
        part = Summary(*(each[group.classes] for each in columns), summary.num_clips).as_dict()
        rows.append({"kind": group.kind, "name": group.name, **{key: part[key] for key in keys}})
    return rows


class ClassMetadata:
    """What is known of classes besides scores, from files as ``panns-tf evaluate`` takes them."""

    def __init__(
        self,
        labels: Sequence[str],
        run: Run | None,
        training_clips: Path | None = None,
        label_quality: Path | None = None,
        ontology: Path | None = None,
    ):
        #: int (classes,), or None.
        self.training_clips, self.training_source = audioset_training_clips(labels), "unknown"
        if training_clips is not None:
            self.training_clips = _read_counts(training_clips, labels)
            self.training_source = str(training_clips)
        elif run is not None and run.training_clips and list(run.labels) == list(labels):
            self.training_clips = np.array(run.training_clips)
            self.training_source = "the run's config.json"
        elif self.training_clips is not None:
            self.training_source = "AudioSet's training sets, as the paper counts them"
        known = self.training_clips is not None
        self.groups = by_training_clips(self.training_clips) if known else []
        self.quality = None  # float (classes,) in [0, 1], NaN where nothing was rated
        if label_quality is not None:
            self.quality = read_label_quality(label_quality, len(labels))
            self.groups += by_label_quality(self.quality)
        self.branches = branches(labels, ontology)
        if ontology is not None and not any(self.branches):
            raise ValueError(f"none of the {len(labels)} classes is in {ontology}: {labels[0]!r}")
        self.groups += by_branch(labels, ontology)
