"""Groups of classes that an evaluation is told apart by: training clips, label quality, branch."""

import csv
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from panns_tf.metrics import Summary, d_prime
from tfrecords.classes import audioset_classes

_DATA = Path(__file__).parent / "data"
_QUALITY_EDGES = (0.5, 0.75, 0.9, 1.0)
_QUALITY_NAMES = ("below 50 %", "50 to 75 %", "75 to 90 %", "90 to 100 %", "100 %")


@dataclasses.dataclass(frozen=True)
class Stratum:
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
    with (_DATA / "training_clips_per_class.csv").open(newline="", encoding="utf-8") as file:
        counts = {row["display_name"]: int(row["training_clips"]) for row in csv.DictReader(file)}
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
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [row for row in csv.reader(file, skipinitialspace=True) if row][1:]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot read the label quality of {path}: {error}") from None
    ids = audioset_classes().ids
    by_id = {row[0]: row for row in lines}
    if num_classes == len(ids) and by_id.keys() >= set(ids):
        lines = [by_id[key] for key in ids]
    if len(lines) != num_classes:
        raise ValueError(
            f"{path} holds {len(lines)} lines after its header; expected one for each of the "
            f"{num_classes} classes, in their order"
        )
    return np.array([_quality(path, number, row) for number, row in enumerate(lines)])


def _quality(path: Path, number: int, row: list[str]) -> float:
    try:
        rated, true = int(row[1]), int(row[2])
    except (IndexError, ValueError):
        rated = true = -1
    if not 0 <= true <= rated:
        raise ValueError(
            f"{path}: class {number} reads {','.join(row)!r}; expected a name, the clips rated, "
            "and how many of them were found true"
        )
    return true / rated if rated else np.nan


def by_training_clips(counts) -> list[Stratum]:
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
        for power in range(20)
    }
    return [
        Stratum("training clips", names[power], np.flatnonzero(digits == power))
        for power in np.unique(digits).tolist()
    ]


def by_label_quality(quality) -> list[Stratum]:
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
    place = np.searchsorted(_QUALITY_EDGES, quality, side="right")
    place[np.isnan(quality)] = len(_QUALITY_NAMES)
    names = (*_QUALITY_NAMES, "not rated")
    return [
        Stratum("label quality", names[number], np.flatnonzero(place == number))
        for number in np.unique(place).tolist()
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
    found = _under(labels, ontology)
    return [
        tuple(name for name, inside in found.items() if inside[number])
        for number in range(len(labels))
    ]


def by_branch(labels: Sequence[str], ontology: str | Path | None = None) -> list[Stratum]:
    """Classes by `branches`; a class of several counts in each, and no group is empty.

    Classes that the ontology lacks make the last group, ``not in the ontology``; if it lacks all of
    them there are no groups.
    """
    found = {name: inside for name, inside in _under(labels, ontology).items() if inside.any()}
    if not found:
        return []
    rest = ~np.any(list(found.values()), axis=0)
    if rest.any():
        found["not in the ontology"] = rest
    return [Stratum("branch", name, np.flatnonzero(inside)) for name, inside in found.items()]


def _under(labels: Sequence[str], ontology: str | Path | None) -> dict[str, np.ndarray]:
    """For each top category, which labels lie under it: bool (labels,)."""
    entries = _read_ontology(_DATA / "ontology.json" if ontology is None else Path(ontology))
    keys = {entry["name"]: key for key, entry in entries.items()}
    known = audioset_classes()
    keys |= {name: key for name, key in zip(known.names, known.ids, strict=True) if key in entries}
    found = {}
    for top in _tops(entries):
        below = set(_below(entries, top))
        found[entries[top]["name"]] = np.array([keys.get(label) in below for label in labels], bool)
    return found


def _tops(entries: dict[str, dict]) -> list[str]:
    children = {child for entry in entries.values() for child in entry["child_ids"]}
    return [key for key in entries if key not in children]


def _below(entries: dict[str, dict], top: str) -> Iterator[str]:
    seen, waiting = {top}, [top]
    while waiting:
        yield (key := waiting.pop())
        new = [child for child in entries[key]["child_ids"] if child not in seen]
        seen.update(new)
        waiting += new


def _read_ontology(path: Path) -> dict[str, dict]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the ontology {path}: {error}") from None
    expected = "expected a list of objects with id, name and child_ids, as AudioSet's ontology.json"
    if not isinstance(found, list) or not found:
        raise ValueError(f"{path} is no ontology: {expected}")
    for number, entry in enumerate(found):
        if not _is_entry(entry):
            raise ValueError(f"{path} is no ontology, entry {number} is malformed: {expected}")
    entries = {entry["id"]: entry for entry in found}
    if len(entries) < len(found):
        raise ValueError(f"{path}: {len(found) - len(entries)} ids occur twice; remove one of each")
    missing = {child for entry in found for child in entry["child_ids"]} - entries.keys()
    if missing:
        raise ValueError(
            f"{path}: {len(missing)} child ids are no entry's id, such as {min(missing)!r}"
        )
    if not _tops(entries):
        raise ValueError(f"{path}: every entry is another's child, so there is no top category")
    return entries


def _is_entry(entry) -> bool:
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("id"), str)
        and isinstance(entry.get("name"), str)
        and isinstance(entry.get("child_ids"), list)
        and all(isinstance(child, str) for child in entry["child_ids"])
    )


def strata_rows(summary: Summary, strata: Sequence[Stratum]) -> list[dict]:
    """The mean figures of each stratum.

    Returns:
        An object for each: ``kind``, ``name``, ``num_classes``, ``classes_left_out`` (those without
        both positive and negative clips, which enter no mean), ``mAP``, ``mAUC`` and ``d_prime`` of
        the mean AUC; None where no class is left.
    """
    return [_row(summary, stratum) for stratum in strata]


def _row(summary: Summary, stratum: Stratum) -> dict:
    used = stratum.classes[summary.defined[stratum.classes]]
    figures = dict.fromkeys(("mAP", "mAUC", "d_prime"))
    if used.size:
        area = float(summary.auc[used].mean())
        precision = float(summary.average_precision[used].mean())
        figures = {"mAP": precision, "mAUC": area, "d_prime": d_prime(area)}
    return {
        "kind": stratum.kind,
        "name": stratum.name,
        "num_classes": int(stratum.classes.size),
        "classes_left_out": int(stratum.classes.size - used.size),
        **figures,
    }
