"""A run on disk: ``config.json``, ``metrics.jsonl``, ``evaluation/`` and the models."""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfrecords.files import read_csv, read_json
from tfrecords.text import one_line, some

CONFIG, LOG, FINAL, BEST = "config.json", "metrics.jsonl", "final.keras", "best.keras"
CHECKPOINTS, EVALUATION, SAVED_MODEL = "checkpoints", "evaluation", "saved_model"


class RunError(Exception):
    """Training that cannot go on; the text says why, and what to do, in one line."""


@dataclasses.dataclass(frozen=True)
class Evaluation:
    name: str  # of its folder in evaluation/; empty for that of training itself
    metrics: Mapping  # of metrics.json; empty if there is none
    classes: Mapping[str, Mapping[str, float | None]]  # rows of per_class.csv by label


@dataclasses.dataclass(frozen=True)
class Run:
    path: Path
    name: str  # the last parts of the path, enough to tell it from the other runs read with it
    config: Mapping  # settings by name, as `TrainConfig` had them then
    labels: tuple[str, ...]  # empty if not written
    training_clips: tuple[int, ...] | None  # of each class, or None if not written
    lines: tuple[Mapping, ...]  # of metrics.jsonl, each with "step"
    evaluations: tuple[Evaluation, ...]  # that of training itself first
    notes: tuple[str, ...]  # what was damaged and left out, a line each

    @property
    def finished(self) -> bool:
        return is_finished(self.path)

    @property
    def step(self) -> int:
        """The last step that was logged; 0 before the first."""
        return max((line["step"] for line in self.lines), default=0)

    @property
    def progress(self) -> str:
        if self.finished:
            return "finished"
        return f"unfinished: step {self.step} of {self.config.get('steps', 'unknown')}"

    @property
    def best_step(self) -> int | None:
        """The step of the best held-out mAP, or None before the first evaluation."""
        curve = self.curve("mAP")
        return max(curve, key=lambda step: (curve[step], -step)) if curve else None

    def curve(self, name: str) -> dict[int, float]:
        """``{step: value}`` of an entry of ``metrics.jsonl``, finite values only."""
        values = {line["step"]: line.get(name) for line in self.lines if line.get(name) is not None}
        return {step: float(value) for step, value in values.items() if math.isfinite(value)}

    def final(self) -> tuple[float | None, str]:
        """The held-out mAP at the end or so far, and where it is from."""
        for evaluation in self.evaluations:
            value = evaluation.metrics.get("mAP")
            if isinstance(value, int | float) and math.isfinite(value):
                return float(value), "/".join(filter(None, (EVALUATION, evaluation.name)))
        curve = self.curve("mAP")
        return (curve[max(curve)], f"step {max(curve)}") if curve else (None, "")


def is_run(path: str | Path) -> bool:
    return (Path(path) / CONFIG).is_file()


def is_finished(path: str | Path) -> bool:
    return (Path(path) / FINAL).is_file()


def run_of(model: str | Path) -> Run | None:
    """The run that a model file or SavedModel belongs to, or that a folder is; else None."""
    model = Path(model)
    return next((read_run(folder) for folder in (model, model.parent) if is_run(folder)), None)


def find_model(path: str | Path) -> Path:
    """The model that is meant: a file or SavedModel as it is; of a run the final, else the best."""
    if not str(path):  # which Path takes for this folder
        raise ValueError("an empty name of a model; expected a run directory, a file or a network")
    path = Path(path)
    for name in (FINAL, BEST):
        if (path / name).is_file():
            return path / name
    if not path.is_dir() or (path / "saved_model.pb").is_file():
        return path  # what is no model, the loader refuses
    if is_run(path):
        raise ValueError(
            f"{path} is an unfinished run without a model ({read_run(path).progress}): {BEST} is "
            f"written at its first evaluation, {FINAL} at its end; continue it with train.py "
            f"--run-dir {path} --resume"
        )
    if folds := sorted(fold.parent for fold in path.glob(f"fold-*/{FINAL}")):
        raise ValueError(f"{path} holds a network for each fold; name one, such as {folds[0]}")
    raise ValueError(
        f"{path} is a folder without {FINAL} or {BEST}; expected a run directory, a SavedModel, a "
        ".keras or .pth file or the name of a network"
    )


def read_run(path: str | Path, name: str | None = None) -> Run:
    """Reads one run; ValueError, in one line, if its ``config.json`` is absent or damaged."""
    path = Path(path)
    file, content = path / CONFIG, read_json(path / CONFIG)
    try:
        config, labels = dict(content["config"]), tuple(content.get("labels") or ())
        clips = tuple(map(int, content.get("training_clips") or ())) or None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{file} is damaged: {one_line(repr(error))}") from error
    if clips and len(clips) != len(labels):
        raise ValueError(
            f"{file} is damaged: {len(clips)} counts of training_clips for {len(labels)} labels"
        )
    lines, damaged = read_log(path)
    notes = []
    if not (path / LOG).is_file():
        notes.append(f"{LOG} is missing")
    elif damaged:
        where = "the last line" if damaged == [len(lines) + 1] else f"line {some(damaged)}"
        notes.append(f"{LOG}: {where} is damaged and was left out")
    evaluations, more = _read_evaluations(path / EVALUATION)
    notes = (*notes, *more)
    return Run(path, name or path.name, config, labels, clips, tuple(lines), evaluations, notes)


def read_log(path: str | Path) -> tuple[list[dict], list[int]]:
    """The whole lines of ``metrics.jsonl``, if there, and the numbers, from 1, of damaged ones."""
    file = Path(path) / LOG
    texts = file.read_text(errors="replace").splitlines() if file.is_file() else []
    lines, damaged = [], []
    for number, text in enumerate(texts, start=1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            line["step"] = int(line["step"])
            if any(isinstance(value, str | list | dict) for value in line.values()):
                raise ValueError("no number")
            lines.append(line)
        except (ValueError, TypeError, KeyError):
            damaged.append(number)
    return lines, damaged


def _read_evaluations(folder: Path) -> tuple[tuple[Evaluation, ...], list[str]]:
    evaluations, notes = [], []
    for place in (folder, *sorted(file.parent for file in folder.glob("*/per_class.csv"))):
        name = "" if place == folder else place.name
        metrics, classes = {}, {}
        try:
            if (place / "metrics.json").is_file():
                metrics = dict(read_json(place / "metrics.json"))
            if (place / "per_class.csv").is_file():
                classes = read_per_class(place / "per_class.csv")
        except (ValueError, TypeError) as error:
            where = "/".join(filter(None, (EVALUATION, name)))
            notes.append(f"{where} is damaged and was left out: {one_line(error)}")
        else:
            if metrics or classes:
                evaluations.append(Evaluation(name, metrics, classes))
    return tuple(evaluations), notes


def read_per_class(path: str | Path) -> dict[str, dict[str, float | None]]:
    """Numbers of ``per_class.csv`` by label and column; None for cells without a number."""
    rows = read_csv(path, required=("label", "average_precision"))
    parsed = [(row["label"], {key: _number(value) for key, value in row.items()}) for row in rows]
    return dict(sorted(parsed, key=lambda item: item[1].get("index") or 0))


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def read_runs(paths: Iterable[str | Path]) -> tuple[list[Run], list[str]]:
    """The runs in folders at any depth, at least one, and a line for each that cannot be read."""
    paths = [Path(path) for path in paths]
    folders: dict[Path, None] = {}
    for path in paths:
        if not path.is_dir():
            raise ValueError(f"no such directory: {path}; expected a run, or a folder of runs")
        files = [path / CONFIG] if is_run(path) else sorted(path.rglob(CONFIG))
        # A SavedModel or a checkpoint may have a config.json of its own.
        inner = {SAVED_MODEL, CHECKPOINTS, EVALUATION}
        folders |= {
            file.parent.resolve(): None
            for file in files
            if not inner & {file.parent.name, file.parent.parent.name}
        }
    runs, notes = [], []
    for path, name in zip(folders, short_names(list(folders)), strict=True):
        try:
            runs.append(read_run(path, name))
        except ValueError as error:
            notes.append(str(error))
    if not runs:
        why = f": {'; '.join(notes)}" if notes else "; a run has a config.json"
        raise ValueError(f"no run in {some(paths)}{why}")
    return runs, notes


def short_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path, or as many more as tell it from the others."""
    names = []
    for path in paths:
        for depth in range(1, len(path.parts) + 1):
            if sum(other.parts[-depth:] == path.parts[-depth:] for other in paths) == 1:
                break
        names.append("/".join(path.parts[-depth:]))
    return names
