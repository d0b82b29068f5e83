"""Settings of an evaluation."""

import dataclasses
from pathlib import Path

from panns_tf.config import TrainConfig
from panns_tf.windows import Windows
from tfrecords.flags import check_settings, redeclare, setting
from tfrecords.index import load_index

_INPUT, _REPORT = "how clips are given to the network", "what is reported"


@dataclasses.dataclass(frozen=True)
class EvalInput:
    """A directory of packed records, and how they are given to a model."""

    data: Path
    windows: Windows = dataclasses.field(default_factory=Windows)
    batch_size: int = setting(32, "clips at a time", minimum=1, group=_INPUT)
    decimation: str = redeclare(TrainConfig, "decimation", "lowpass", group=_INPUT)
    damaged: str = redeclare(TrainConfig, "damaged", "raise", group=_INPUT)

    def __post_init__(self) -> None:
        check_settings(self)

    def as_dict(self) -> dict:
        """What decides the scores of a given model, as ``scores.npz`` states it."""
        return {
            "index_sha256": load_index(self.data).info.index_sha256,
            "decimation": self.decimation,
            **self.windows.as_dict(),
        }


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """What an evaluation reports besides exact metrics."""

    bootstrap: int = setting(
        1000, "resamples of the clips for intervals; 0 for none", minimum=0, group=_REPORT
    )
    training_clips: Path | None = setting(
        None,
        "CSV of each class's training clips: training_clips and index, display_name or label",
        group=_REPORT,
        shown="those of the run, or AudioSet's counts for AudioSet's classes",
    )
    label_quality: Path | None = setting(
        None, "AudioSet's qa_true_counts.csv, for metrics by label quality", group=_REPORT
    )
    ontology: Path | None = setting(
        None, "JSON, for metrics by branch", group=_REPORT, shown="AudioSet's ontology"
    )
    mistakes: int = setting(
        12, "false alarms shown on the page, and as many misses", minimum=0, group=_REPORT
    )
    audio: bool = setting(True, "audio of the mistakes on the page", group=_REPORT)
    report: bool = setting(True, "write report.html or comparison.html", group=_REPORT)

    def __post_init__(self) -> None:
        check_settings(self)
        if self.bootstrap == 1:
            raise ValueError("--bootstrap must be 0, for no intervals, or at least 2; received 1")
