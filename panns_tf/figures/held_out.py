"""Whether runs were evaluated on the same clips and classes, so that they may share a panel."""

from collections.abc import Sequence

from panns_tf.figures.grouping import plain_path
from panns_tf.run import Run


def difference(first: Run, second: Run, evaluated: bool = True) -> str | None:
    """How the held-out data of two runs differ, or None.

    Folders of the same name and numbers are taken for copies of the same data.

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
    names = [_data(run) for run in (first, second)]
    same = len({name.split("/")[-1] for name in names}) == 1
    return None if same else f"held-out data {names[0]} and {names[1]}"


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


def require_same(runs: Sequence[Run], evaluated: bool = True) -> None:
    """Raises ValueError if runs were evaluated on different clips or classes."""
    sets = partition(runs, evaluated)
    if len(sets) > 1:
        first, second = sets[0][0], sets[1][0]
        raise ValueError(
            f"{first.name} and {second.name} cannot share a panel: "
            f"{difference(first, second, evaluated)}; draw them in a figure each"
        )


def held_out_counts(run: Run) -> dict[str, float]:
    """``num_clips`` and ``chance_mAP`` of the last evaluation in the log."""
    last = next((line for line in reversed(run.lines) if "mAP" in line), {})
    return {key: last[key] for key in ("num_clips", "chance_mAP") if last.get(key) is not None}


def describe_data(run: Run) -> str:
    """Held-out data and classes of a run, for a title."""
    count = held_out_counts(run).get("num_clips")
    clips = f", {int(count):,} clips" if count else ""
    return f"{'/'.join(_data(run).split('/')[-2:])} ({len(run.labels)} classes{clips})"


def _data(run: Run) -> str:
    return plain_path(run.config.get("eval_data"), run.path) or "none"
