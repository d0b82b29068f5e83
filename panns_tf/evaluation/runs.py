"""What a run's directory tells of the model that is evaluated."""

import dataclasses
import hashlib
from pathlib import Path

from panns_tf.run_directory import is_finished, read_config, read_log


@dataclasses.dataclass(frozen=True)
class Run:
    """A training run, as its files tell of it.

    Attributes:
        path: its directory.
        config: the settings of `panns_tf.config.TrainConfig`, as far as written.
        labels: its classes, or None if unknown.
        training_clips: of each class, or None if not written.
        step: of the last line of ``metrics.jsonl``; 0 before the first.
        best_step: at which held-out mAP was best, or None before the first evaluation.
        finished: whether ``final.keras`` is there.
    """

    path: Path
    config: dict
    labels: tuple[str, ...] | None
    training_clips: tuple[int, ...] | None
    step: int
    best_step: int | None
    finished: bool

    @property
    def progress(self) -> str:
        """How far the run is, for a person."""
        steps = self.config.get("steps")
        how_far = f"step {self.step} of {steps}" if steps else f"step {self.step}"
        return how_far if self.step else f"{how_far}, as far as metrics.jsonl says"


def read_run(model: Path) -> Run | None:
    """Returns the run that a model belongs to, or None if it belongs to none.

    Args:
        model: a run directory, or a file or SavedModel in one.

    Raises:
        ValueError: if ``config.json`` cannot be read.
    """
    for folder in (model, model.parent):
        if (folder / "config.json").is_file():
            return _read(folder)
    return None


def _read(folder: Path) -> Run:
    recorded = read_config(folder)
    step, best_step, best = 0, None, None
    for line in read_log(folder)[0]:
        step = max(step, line["step"])
        if line.get("mAP") is not None and (best is None or line["mAP"] > best):
            best, best_step = line["mAP"], line["step"]
    return Run(
        folder,
        recorded.config,
        recorded.labels or None,
        recorded.training_clips,
        step,
        best_step,
        is_finished(folder),
    )


def find_model(path: Path) -> Path:
    """Returns the model that is meant: a file as it is, of a run the final or the best one.

    Raises:
        ValueError: if a run has no model yet; says how far it is.
    """
    for name in ("final.keras", "best.keras"):
        if (path / name).is_file():
            return path / name
    if (path / "saved_model.pb").is_file() or not (path / "config.json").is_file():
        return path  # what is no model, the loader refuses
    run = _read(path)
    raise ValueError(
        f"{path} is an unfinished run without a model: it is at {run.progress}, and best.keras is "
        "written at its first evaluation, final.keras at its end; continue it with train.py "
        f"--run-dir {path} --resume"
    )


def unfinished(run: Run | None, model: Path) -> str | None:
    """Returns what is to be said of a model whose run has not ended, or None."""
    if run is None or run.finished:
        return None
    best = f" of step {run.best_step}" if model.name == "best.keras" and run.best_step else ""
    return f"{run.progress}; {model.name}{best} is evaluated"


def model_sha256(path: Path) -> str:
    """Returns the SHA-256 of a model: of its file, or of all files of a SavedModel by name."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(x for x in path.rglob("*") if x.is_file())
    for file in files:
        if file != path:
            digest.update(f"{file.relative_to(path).as_posix()}\n".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
