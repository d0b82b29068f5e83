"""Whether runs were evaluated on the same clips and classes, so that they may share a panel."""

from collections.abc import Sequence
from pathlib import Path

from panns_tf.figures.grouping import plain_path
from panns_tf.run import Run
from tfrecords.files import read_json


def difference(first: Run, second: Run, evaluated: bool = True) -> str | None:
    """How the held-out data of two runs differ, or None.

    Args:
        first, second: the runs.
        evaluated: whether the clips matter, and not the classes alone.
    """
    if len(first.labels) != len(second.labels):
        return f"{len(first.labels)} and {len(second.labels)} classes"
    for one, other in zip(first.labels, second.labels, strict=True):
        if one != other:
            return f"different classes, {one!r} and {other!r} first"
    if not evaluated:
        return None
    for key, what in (("num_clips", "clips"), ("chance_mAP", "chance mAP")):
        values = [held_out_counts(run).get(key) for run in (first, second)]
        if None not in values and abs(values[0] - values[1]) > 1e-9:
            return f"held-out data of {values[0]:g} and {values[1]:g} {what}"
    names, hashes = [_data(run) for run in (first, second)], [_hash(first), _hash(second)]
    if None in hashes:  # not on this machine: another folder of the same name is taken for a copy
        hashes = [name.split("/")[-1] for name in names]
    return None if hashes[0] == hashes[1] else f"held-out data {names[0]} and {names[1]}"


def partition(runs: Sequence[Run], evaluated: bool = True) -> list[list[Run]]:
    """Sets of runs that may share a panel, the largest first."""
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
    """Returns what had to be assumed, a line each.

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
    names = {_data(run): run for run in runs if evaluated}
    if len(names) < 2 or all(_hash(run) for run in names.values()):
        return []
    return [
        f"held-out data {' and '.join(names)} are taken for the same: they have the same name and "
        "as many clips, and cannot be compared here"
    ]


def held_out_counts(run: Run) -> dict[str, float]:
    """``num_clips``, ``num_classes`` and ``chance_mAP`` of the last evaluation in the log."""
    names = ("num_clips", "num_classes", "chance_mAP")
    last = next((line for line in reversed(run.lines) if "mAP" in line), {})
    return {name: last[name] for name in names if last.get(name) is not None}


def describe_data(run: Run) -> str:
    """Held-out data and classes of a run, for a title."""
    count = held_out_counts(run).get("num_clips")
    clips = f", {int(count):,} clips" if count else ""
    name = "/".join(_data(run).split("/")[-2:])
    return f"{name} ({len(run.labels)} classes{clips})"


def _data(run: Run) -> str:
    return plain_path(run.config.get("eval_data"), run.path) or "none"


def _hash(run: Run) -> str | None:
    """The hash of the index of the held-out data, or None if they are not on this machine."""
    if not run.config.get("eval_data"):
        return None
    try:
        return str(read_json(Path(run.config["eval_data"]) / "dataset.json")["index_sha256"])
    except (ValueError, TypeError, KeyError):
        return None
