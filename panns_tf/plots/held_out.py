"""Whether runs were evaluated on the same clips and classes, so that they may share a panel."""

import json
from collections.abc import Sequence
from pathlib import Path

from panns_tf.plots.runs import Run
from panns_tf.plots.settings import place


def difference(first: Run, second: Run, evaluated: bool = True) -> str | None:
    """Says what keeps two runs apart, or returns None.

    Args:
        first, second: the runs.
        evaluated: whether held-out data matter too, and not the classes alone.
    """
    if first.labels != second.labels:
        return _of_classes(first, second)
    if not evaluated:
        return None
    for key, what in (("num_clips", "clips"), ("chance_mAP", "chance mAP")):
        values = [run.held_out.get(key) for run in (first, second)]
        if None not in values and abs(values[0] - values[1]) > 1e-9:
            return f"held-out data of {values[0]:g} and {values[1]:g} {what}"
    names = [_data(run) for run in (first, second)]
    indices = [_index(run) for run in (first, second)]
    if None not in indices:
        same = indices[0] == indices[1]
    else:  # not on this machine: another folder of the same name is taken for a copy
        same = names[0].split("/")[-1] == names[1].split("/")[-1]
    return None if same else f"held-out data {names[0]} and {names[1]}"


def assumed(first: Run, second: Run) -> str | None:
    """Says that two runs' held-out data were taken for the same without certainty, or None."""
    names = [_data(run) for run in (first, second)]
    if names[0] == names[1] or None not in (_index(first), _index(second)):
        return None
    return (
        f"held-out data {names[0]} and {names[1]} are taken for the same: they have the same name "
        "and as many clips, and cannot be compared here"
    )


def partition(runs: Sequence[Run], evaluated: bool = True) -> list[list[Run]]:
    """Puts runs together that may share a panel, the largest set first."""
    sets: list[list[Run]] = []
    for run in runs:
        for members in sets:
            if difference(members[0], run, evaluated) is None:
                members.append(run)
                break
        else:
            sets.append([run])
    return sorted(sets, key=len, reverse=True)


def require_same(runs: Sequence[Run], evaluated: bool = True) -> list[str]:
    """Returns what had to be assumed, one line each.

    Raises:
        ValueError: if runs were evaluated on different clips or classes.
    """
    sets = partition(runs, evaluated)
    if len(sets) > 1:
        first, second = sets[0][0], sets[1][0]
        raise ValueError(
            f"{first.name} and {second.name} cannot share a panel: "
            f"{difference(first, second, evaluated)}; draw them in a figure each"
        )
    if not evaluated:
        return []
    return list(dict.fromkeys(filter(None, (assumed(runs[0], run) for run in runs[1:]))))


def _of_classes(first: Run, second: Run) -> str:
    if len(first.labels) != len(second.labels):
        return f"{len(first.labels)} and {len(second.labels)} classes"
    pairs = zip(first.labels, second.labels, strict=True)
    a, b = next((a, b) for a, b in pairs if a != b)
    return f"different classes, {a!r} and {b!r} first"


def data_of(run: Run) -> str:
    """Held-out data and classes of a run, for a person."""
    count = run.held_out.get("num_clips")
    clips = f", {int(count):,} clips" if count else ""
    name = "/".join(_data(run).split("/")[-2:])
    return f"{name} ({len(run.labels)} classes{clips})"


def _data(run: Run) -> str:
    return place(run.config.get("eval_data"), run.path) or "none"


def _index(run: Run) -> str | None:
    """The checksum of the held-out data's index, if the data are within reach."""
    data = run.config.get("eval_data")
    if not data:
        return None
    try:
        info = json.loads((Path(data) / "dataset.json").read_text(encoding="utf-8"))
        return str(info["index_sha256"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
