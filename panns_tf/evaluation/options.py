"""Settings of an evaluation."""

import dataclasses
from functools import partial
from pathlib import Path

from panns_tf.config import TrainConfig
from panns_tf.windows import Windows
from tfrecords.flags import redeclare, setting
from tfrecords.index import load_index

_evaluated = partial(setting, None, group="what is evaluated")
_report = partial(setting, group="what is reported")
_INPUT = "how clips are given to the network"


@dataclasses.dataclass(frozen=True)
class EvaluateSettings(Windows):
    """What is evaluated, how clips are given to the network, and what is reported."""

    model: Path | None = _evaluated(
        "a run directory (its final.keras, or best.keras while it is unfinished), a .keras file or "
        "a SavedModel"
    )
    data: Path | None = _evaluated("a directory of packed records")
    compare: list | None = _evaluated(
        "two or more to compare with the first; --model, if given, comes before them",
        nargs="+",
        parse=Path,
        metavar="RUN",
    )
    output: Path | None = _evaluated(
        "where to write", shown="evaluation/<data's name> beside the model, or comparison here"
    )
    batch_size: int = setting(32, "clips at a time", minimum=1, group=_INPUT)
    decimation: str = redeclare(TrainConfig, "decimation", "lowpass", group=_INPUT)
    damaged: str = redeclare(TrainConfig, "damaged", "raise", group=_INPUT)
    bootstrap: int = _report(1000, "resamples of the clips for intervals; 0 for none", minimum=0)
    training_clips: Path | None = _report(
        None,
        "CSV of each class's training clips: training_clips and index, display_name or label",
        shown="those of the run, or AudioSet's counts for AudioSet's classes",
    )
    label_quality: Path | None = _report(
        None, "AudioSet's qa_true_counts.csv, for metrics by label quality"
    )
    ontology: Path | None = _report(
        None, "JSON, for metrics by branch", shown="AudioSet's ontology"
    )
    mistakes: int = _report(12, "false alarms shown on the page, and as many misses", minimum=0)
    audio: bool = _report(True, "audio of the mistakes on the page")
    report: bool = _report(True, "write report.html or comparison.html")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bootstrap == 1:
            raise ValueError("--bootstrap must be 0, for no intervals, or at least 2; received 1")

    def as_dict(self) -> dict:
        """What decides the scores of a given model, as ``scores.npz`` states it."""
        sha256 = load_index(self.data).info.index_sha256
        return {"index_sha256": sha256, "decimation": self.decimation, **super().as_dict()}
