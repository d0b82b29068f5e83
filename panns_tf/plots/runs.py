"""Run directories, finished or not, read for drawing."""

import csv
import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from panns_tf.plots.settings import comparable
from panns_tf.run_directory import LOG, is_finished, read_config, read_log

#: Names in ``metrics.jsonl`` by metric and split.
METRICS = ("mAP", "mAUC", "d_prime", "loss")
SPLITS = ("held-out", "training")


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """One evaluation of a run.

    Attributes:
        name: of its folder in ``evaluation/``; empty for the last one of training itself.
        metrics: what ``metrics.json`` says; empty if it is not there.
        classes: rows of ``per_class.csv`` by label; numbers, None where a cell is empty.
    """

    name: str
    metrics: Mapping
    classes: Mapping[str, Mapping[str, float | None]]


@dataclasses.dataclass(frozen=True)
class Run:
    """One run directory.

    Attributes:
        path: the directory.
        name: its last parts, enough to tell it from the other runs read with it.
        config: settings as ``config.json`` has them.
        settings: what decides how it learns, in comparable form; see
            `panns_tf.plots.settings.comparable`.
        labels: the classes.
        training_clips: of each class, None where unknown.
        curves: ``{step: value}`` by name: ``loss``, ``mAP``, ``training_mAP`` ...
        held_out: ``num_clips``, ``num_classes`` and ``chance_mAP`` of the last evaluation line.
        evaluations: of ``evaluation/``.
        finished: whether ``final.keras`` is there.
        notes: what was damaged, one line each.
    """

    path: Path
    name: str
    config: Mapping
    settings: Mapping
    labels: tuple[str, ...]
    training_clips: tuple[int, ...] | None
    curves: Mapping[str, Mapping[int, float]]
    held_out: Mapping[str, float]
    evaluations: tuple[Evaluation, ...]
    finished: bool
    notes: tuple[str, ...]

    @property
    def step(self) -> int:
        """The last step of which something is known."""
        return max((max(curve) for curve in self.curves.values() if curve), default=0)

    @property
    def state(self) -> str:
        """``"finished"``, or how far it came."""
        if self.finished:
            return "finished"
        return f"unfinished: step {self.step} of {self.config.get('steps', 'unknown')}"

    def curve(self, metric: str, split: str = "held-out") -> Mapping[int, float]:
        """``{step: value}`` of a metric; empty if it was never measured."""
        known = metric if metric == "loss" or split == "held-out" else f"training_{metric}"
        return self.curves.get(known, {})

    def final(self) -> tuple[float | None, str]:
        """The held-out mAP with which training ended or has come so far, and where it is from."""
        for evaluation in self.evaluations:
            value = evaluation.metrics.get("mAP")
            if isinstance(value, (int, float)):
                return float(value), "/".join(filter(None, ("evaluation", evaluation.name)))
        curve = self.curve("mAP")
        return (curve[max(curve)], f"step {max(curve)}") if curve else (None, "")


def read_runs(paths: Iterable[str | Path]) -> tuple[list[Run], list[str]]:
    """Reads run directories, and folders that hold some.

    Returns:
        The runs, in the order of their paths, and a line for each that cannot be read.

    Raises:
        ValueError: if there is no such path, or no run that can be read.
    """
    paths = [Path(path) for path in paths]
    found: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise ValueError(f"no such directory: {path}; expected a run, or a folder of runs")
        own = path / "config.json"
        files = [own] if own.is_file() else sorted(path.rglob("config.json"))
        found |= dict.fromkeys(file.parent.resolve() for file in files if _is_run(file.parent))
    names = _short_names(list(found))
    runs, notes = [], []
    for path, name in zip(found, names, strict=True):
        try:
            runs.append(read_run(path, name))
        except ValueError as error:
            notes.append(str(error))
    if not runs:
        why = f": {'; '.join(notes)}" if notes else "; a run has a config.json"
        raise ValueError(f"no run in {', '.join(map(str, paths))}{why}")
    return runs, notes


def _is_run(folder: Path) -> bool:
    # A SavedModel or a checkpoint may have a config.json of its own.
    return not {"saved_model", "checkpoints", "evaluation"} & {folder.name, folder.parent.name}


def read_run(path: str | Path, name: str | None = None) -> Run:
    """Reads one run directory.

    Raises:
        ValueError: in one line, if its ``config.json`` is absent or damaged.
    """
    path = Path(path)
    recorded = read_config(path)
    curves, held_out, notes = _read_lines(path)
    evaluations, more = _read_evaluations(path / "evaluation")
    return Run(
        path,
        name or path.name,
        recorded.config,
        comparable(recorded.config, path),
        recorded.labels,
        recorded.training_clips,
        curves,
        held_out,
        evaluations,
        is_finished(path),
        (*notes, *more),
    )


def _read_lines(folder: Path) -> tuple[dict, dict, list[str]]:
    """Curves by name, the last evaluation's counts, and what is wrong with the log."""
    if not (folder / LOG).is_file():
        return {}, {}, [f"{LOG} is missing"]
    curves: dict[str, dict[int, float]] = {}
    held_out: dict[str, float] = {}
    lines, damaged = read_log(folder)
    for values in lines:
        for name, value in values.items():
            # null stands for what is not finite, such as the d-prime of a perfect ranking.
            if name != "step" and _is_finite(value):
                curves.setdefault(name, {})[values["step"]] = float(value)
        if "mAP" in values:
            held_out = {
                name: values[name]
                for name in ("num_clips", "num_classes", "chance_mAP")
                if _is_finite(values.get(name))
            }
    if not damaged:
        return curves, held_out, []
    last = damaged == [len(lines) + 1]
    where = "the last line" if last else f"line {_numbers(damaged)}"
    return curves, held_out, [f"{LOG}: {where} is damaged and was left out"]


def _is_finite(value) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _numbers(values: Sequence[int]) -> str:
    shown = ", ".join(map(str, values[:5]))
    return shown if len(values) <= 5 else f"{shown} and {len(values) - 5} more"


def _read_evaluations(folder: Path) -> tuple[tuple[Evaluation, ...], list[str]]:
    found, notes = [], []
    places = [folder, *sorted(p.parent for p in folder.glob("*/per_class.csv"))]
    for place in places:
        name = "" if place == folder else place.name
        metrics, classes = {}, {}
        try:
            if (place / "metrics.json").is_file():
                metrics = dict(json.loads((place / "metrics.json").read_text(encoding="utf-8")))
            if (place / "per_class.csv").is_file():
                classes = read_per_class(place / "per_class.csv")
        except (ValueError, TypeError) as error:
            where = "/".join(filter(None, ("evaluation", name)))
            notes.append(f"{where} is damaged and was left out: {' '.join(str(error).split())}")
            continue
        if metrics or classes:
            found.append(Evaluation(name, metrics, classes))
    return tuple(found), notes


def read_per_class(path: str | Path) -> dict[str, dict[str, float | None]]:
    """Reads ``per_class.csv``, columns by name in any order.

    Returns:
        By label, in the order of ``index``: numbers by column, None where a cell is empty or no
        number.

    Raises:
        ValueError: if a column is missing or a row is cut off.
    """
    path = Path(path)
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = {"label", "average_precision"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path.name} has no column {' and no '.join(sorted(missing))}")
        rows = list(reader)
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ValueError(f"{path.name}: line {number} is cut off")
    parsed = [(row["label"], {key: _number(value) for key, value in row.items()}) for row in rows]
    parsed.sort(key=lambda item: item[1].get("index") or 0)
    return dict(parsed)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or as many more as tell it from the others."""
    names = []
    for path in paths:
        for depth in range(1, len(path.parts) + 1):
            name = "/".join(path.parts[-depth:])
            if sum(other.parts[-depth:] == path.parts[-depth:] for other in paths) == 1:
                break
        names.append(name)
    return names
