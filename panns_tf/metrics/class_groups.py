"""Groups of classes with metrics of their own: by training clips, label quality, branch."""

import csv
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
    """How many clips of AudioSet's training set each class has: int64 (classes,).

    None unless the labels are AudioSet's 527 display names, in any order: of other data these
    counts would say nothing.
    """
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
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file, skipinitialspace=True) if row][1:]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot read the label quality of {path}: {error}") from None
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


def by_training_clips(counts) -> list[ClassGroup]:
    """Classes of 1 to 9 training clips, 10 to 99, and so on by powers of ten; none of them empty.

    Args:
        counts: int (classes,).
    """
    counts = np.asarray(counts)
    if counts.ndim != 1 or counts.dtype.kind not in "iu" or (counts < 0).any():
        raise ValueError(
            f"expected a count of training clips for each class; received {counts.dtype} of shape "
            f"{counts.shape}"
        )
    digits = np.array([len(str(count)) if count else 0 for count in counts.tolist()], np.int64)
    names = {
        power: f"{10 ** (power - 1):,} to {10**power - 1:,}" if power else "none"
        for power in np.unique(digits).tolist()
    }
    return [
        ClassGroup("training clips", name, np.flatnonzero(digits == power))
        for power, name in names.items()
    ]


def by_label_quality(quality) -> list[ClassGroup]:
    """Classes by the share of their labels that raters found right; none of the groups empty.

    Args:
        quality: float (classes,), in [0, 1]; NaN, where nothing was rated, makes a group.
    """
    quality = np.asarray(quality, np.float64)
    if quality.ndim != 1 or ((quality < 0) | (quality > 1)).any():
        raise ValueError(
            "expected a label quality in [0, 1] or NaN for each class; received shape "
            f"{quality.shape}, from {np.min(quality, initial=1):g} to "
            f"{np.max(quality, initial=0):g}"
        )
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
    members = {name: inside for name, inside in members.items() if inside.any()}
    if not members:
        return []
    rest = ~np.any(list(members.values()), axis=0)
    if rest.any():
        members["not in the ontology"] = rest
    return [ClassGroup("branch", name, np.flatnonzero(inside)) for name, inside in members.items()]


def _branch_members(labels: Sequence[str], ontology: str | Path | None) -> dict[str, np.ndarray]:
    """For each top category, which labels lie under it: bool (labels,)."""
    entries = _read_ontology(_DATA / "ontology.json" if ontology is None else Path(ontology))
    keys = {entry["name"]: key for key, entry in entries.items()}
    names = zip(audioset_classes().names, audioset_classes().ids, strict=True)
    keys |= {name: key for name, key in names if key in entries}
    members = {}
    for top in _tops(entries):
        below, waiting = {top}, [top]
        while waiting:
            new = set(entries[waiting.pop()]["child_ids"]) - below
            below |= new
            waiting += new
        inside = [keys.get(label) in below for label in labels]
        members[entries[top]["name"]] = np.array(inside, bool)
    return members


def _tops(entries: dict[str, dict]) -> list[str]:
    children = {child for entry in entries.values() for child in entry["child_ids"]}
    return [key for key in entries if key not in children]


def _read_ontology(path: Path) -> dict[str, dict]:
    rows = read_json(path)
    expected = "expected a list of objects with id, name and child_ids, as AudioSet's ontology.json"
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path} is no ontology: {expected}")
    for number, row in enumerate(rows):
        try:
            texts = [row["id"], row["name"], *row["child_ids"]]
        except (TypeError, KeyError):
            texts = [None]
        if not all(isinstance(text, str) for text in texts) or isinstance(row["child_ids"], str):
            raise ValueError(f"{path} is no ontology, entry {number} is malformed: {expected}")
    entries = {row["id"]: row for row in rows}
    if len(entries) < len(rows):
        raise ValueError(f"{path}: {len(rows) - len(entries)} ids occur twice; remove one of each")
    missing = {child for row in rows for child in row["child_ids"]} - entries.keys()
    if missing:
        raise ValueError(
            f"{path}: {len(missing)} child ids are no entry's id, such as {min(missing)!r}"
        )
    if not _tops(entries):
        raise ValueError(f"{path}: every entry is another's child, so there is no top category")
    return entries


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
