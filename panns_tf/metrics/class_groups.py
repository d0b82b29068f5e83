"""Groups of classes with metrics of their own: by training clips, label quality, branch."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf.metrics.ranking import d_prime
from panns_tf.metrics.summary import Summary
from tfrecords.classes import audioset_classes
from tfrecords.files import read_csv, read_json

_DATA = Path(__file__).parents[1] / "data"
_QUALITY_EDGES = (0.5, 0.75, 0.9, 1.0)
_QUALITY_NAMES = ("below 50 %", "50 to 75 %", "75 to 90 %", "90 to 100 %", "100 %", "not rated")


@dataclasses.dataclass(frozen=True)
class ClassGroup:
    """Some classes.

    Attributes:
        kind: what they were grouped by: ``training clips``, ``label quality`` or ``branch``.
        name: the group.
        classes: int64 (classes in it,), rising.
    """

    kind: str
    name: str
    classes: np.ndarray


def audioset_training_clips(labels: Sequence[str]) -> np.ndarray | None:
    """Training clips in AudioSet, int64 (classes,); None unless the labels are its 527 names."""
    rows = read_csv(_DATA / "training_clips_per_class.csv")
    counts = {row["display_name"]: int(row["training_clips"]) for row in rows}
    if sorted(labels) != sorted(counts):
        return None
    return np.array([counts[label] for label in labels], np.int64)


def read_label_quality(path: str | Path, num_classes: int) -> np.ndarray:
    """Reads AudioSet's ``qa_true_counts.csv``: how many labels of each class raters found right.

    Args:
        path: a CSV of one header line and a line a class: anything, clips rated, clips found true.
            Lines are in the order of the classes, or begin with the machine ids of AudioSet's 527.
        num_classes: how many classes there should be.

    Returns:
        float64 (classes,), in [0, 1]; NaN where nothing was rated.

    Raises:
        ValueError: if the file is missing, of another number of classes, or holds something else.
    """
    rows = [list(row.values()) for row in read_csv(path)]
    ids = audioset_classes().ids
    by_id = {row[0]: row for row in rows}
    if num_classes == len(ids) and by_id.keys() >= set(ids):
        rows = [by_id[key] for key in ids]
    if len(rows) != num_classes:
        raise ValueError(
            f"{path} holds {len(rows)} lines after its header; expected one for each of the "
            f"{num_classes} classes, in their order"
        )
    quality = np.full(num_classes, np.nan)
    for number, row in enumerate(rows):
        try:
            rated, true = int(row[1]), int(row[2])
        except (IndexError, ValueError):
            rated = true = -1
        if not 0 <= true <= rated:
            raise ValueError(
                f"{path}: class {number} reads {','.join(row)!r}; expected a name, the clips "
                "rated, and how many of them were found true"
            )
        if rated:
            quality[number] = true / rated
    return quality


def by_training_clips(counts: np.ndarray) -> list[ClassGroup]:
    """Classes of 1 to 9 training clips, 10 to 99 and so on, of int (classes,); none is empty."""
    digits = np.array([len(str(count)) if count else 0 for count in counts.tolist()], np.int64)
    return [
        ClassGroup(
            "training clips",
            f"{10 ** (power - 1):,} to {10**power - 1:,}" if power else "none",
            np.flatnonzero(digits == power),
        )
        for power in np.unique(digits).tolist()
    ]


def by_label_quality(quality: np.ndarray) -> list[ClassGroup]:
    """Classes by label quality, float (classes,) in [0, 1] or NaN; no group is empty."""
    index = np.searchsorted(_QUALITY_EDGES, quality, side="right")
    index[np.isnan(quality)] = len(_QUALITY_NAMES) - 1
    return [
        ClassGroup("label quality", _QUALITY_NAMES[number], np.flatnonzero(index == number))
        for number in np.unique(index).tolist()
    ]


def branches(labels: Sequence[str], ontology: str | Path | None = None) -> list[tuple[str, ...]]:
    """The top categories of an ontology that each label lies under, in the file's order.

    A category is at the top if it is no other's child. A label may lie under several, and one that
    the ontology lacks under none.

    Args:
        labels: display names, of AudioSet's classes or the ontology's own.
        ontology: a file of the form of AudioSet's ``ontology.json``, which is used without one.

    Raises:
        ValueError: if the file is no such ontology.
    """
    members = _branch_members(labels, ontology)
    return [
        tuple(name for name, inside in members.items() if inside[number])
        for number in range(len(labels))
    ]


def by_branch(labels: Sequence[str], ontology: str | Path | None = None) -> list[ClassGroup]:
    """Classes by `branches`; a class of several counts in each, and no group is empty.

    Classes that the ontology lacks make the last group, ``not in the ontology``; if it lacks all of
    them there are no groups.
    """
    members = _branch_members(labels, ontology)
    rest = ~np.any(list(members.values()), axis=0)
    if rest.all():
        return []
    members["not in the ontology"] = rest
    return [
        ClassGroup("branch", name, np.flatnonzero(inside))
        for name, inside in members.items()
        if inside.any()
    ]


def _branch_members(labels: Sequence[str], ontology: str | Path | None) -> dict[str, np.ndarray]:
    """For each top category, which labels lie under it: bool (labels,)."""
    path = _DATA / "ontology.json" if ontology is None else Path(ontology)
    rows = read_json(path)
    try:
        children = {row["id"]: set(row["child_ids"]) for row in rows}
        keys = {row["name"]: row["id"] for row in rows}
        tops = [row for row in rows if not any(row["id"] in below for below in children.values())]
        names = zip(audioset_classes().names, audioset_classes().ids, strict=True)
        keys |= {name: key for name, key in names if key in children}
        members = {}
        for top in tops:
            below, waiting = {top["id"]}, [top["id"]]
            while waiting:
                new = children[waiting.pop()] - below
                below |= new
                waiting += new
            members[top["name"]] = np.array([keys.get(label) in below for label in labels], bool)
    except (TypeError, KeyError):
        members = {}
    if not members or len(children) < len(rows):
        raise ValueError(
            f"{path} is no ontology: expected a list of objects with id, name and child_ids, as "
            "AudioSet's ontology.json"
        )
    return members


def group_rows(summary: Summary, groups: Sequence[ClassGroup]) -> list[dict]:
    """The mean metrics of each group of classes.

    Returns:
        An object for each: ``kind``, ``name``, ``num_classes``, ``classes_left_out`` (those without
        both positive and negative clips, which enter no mean), ``mAP``, ``mAUC`` and ``d_prime`` of
        the mean AUC; None where no class is left.
    """
    rows = []
    for group in groups:
        used = group.classes[summary.defined[group.classes]]
        means = dict.fromkeys(("mAP", "mAUC", "d_prime"))
        if used.size:
            auc = float(summary.auc[used].mean())
            precision = float(summary.average_precision[used].mean())
            means = {"mAP": precision, "mAUC": auc, "d_prime": d_prime(auc)}
        rows.append(
            {
                "kind": group.kind,
                "name": group.name,
                "num_classes": int(group.classes.size),
                "classes_left_out": int(group.classes.size - used.size),
                **means,
            }
        )
    return rows
