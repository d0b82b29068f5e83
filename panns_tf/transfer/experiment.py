"""What a transfer run does: data set, network, settings; and what it is compared with."""

import dataclasses
import hashlib
import json

from panns_tf.transfer.dataset import Dataset
from panns_tf.transfer.settings import FinetuneConfig, Options, used_settings
from panns_tf.transfer.tasks import Task


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A data set, with splits or still without, a network and how it is trained."""

    dataset: Dataset
    task: Task | None
    arch: str
    overrides: dict
    config: FinetuneConfig
    options: Options
    clip_seconds: float = 0.0  # of the windows of test clips; 0 before it is known
    seconds: float | None = None  # of the whole run; None before its end

    @property
    def title(self) -> str:
        return self.task.title if self.task else self.dataset.name

    @property
    def strategy(self) -> str:
        return self.config.strategy

    @property
    def weights(self) -> str | None:
        """Where the pretrained weights are from; None for random ones."""
        return None if self.strategy == "scratch" else self.options.weights or "audioset"

    @property
    def metric(self) -> str:
        default = "mAP" if self.dataset.multi_label else "accuracy"
        return self.options.metric or (self.task.metric if self.task else default)

    @property
    def settings(self) -> dict:
        used = used_settings(self.strategy) - {"strategy"}
        found = {name: value for name, value in vars(self.config).items() if name in used}
        return found | {"clip seconds": self.clip_seconds, **self.overrides}

    @property
    def why_not(self) -> str:
        """In what metric, clips or folds are not the paper's; empty if in nothing."""
        if self.task is None:
            return "no task of the paper"
        if self.metric != self.task.metric:
            return f"{self.metric} measured; the paper has {self.task.metric}"
        clips, published = len(self.dataset.clips), sum(self.task.published.values())
        if abs(clips - published) > 0.01 * published:
            return f"{clips} clips, where the paper had {published}"
        return "not all folds were run" if self.options.only_folds else ""

    def paper(self, count: int | None) -> tuple[float | None, str]:
        """The paper's result with so many clips of each class, or None and why there is none."""
        known = self.task.results if self.task else {}
        if not known:
            return None, ""
        value, why_not = known.get(self.strategy), self.why_not
        if not why_not and count is not None:
            why_not = "it gives results with all clips"
        elif not why_not and value is None:
            why_not = f"it has no certain result of {self.strategy}"
        return (None, f"not compared: {why_not}") if why_not else (value, "")

    def identity(self, weights: str | None, sounds: str) -> dict:
        """What decides the results; weights and sounds are digests of network and audio."""
        dataset, options = self.dataset, self.options
        clips = [(clip.clip_id, clip.labels, clip.fold, clip.group) for clip in dataset.clips]
        splits = [dataclasses.astuple(split) for split in dataset.splits]
        labelling = json.dumps([dataset.multi_label, clips, splits])
        return {
            **dataclasses.asdict(self.config),
            **{name: getattr(self, name) for name in ("arch", "overrides", "clip_seconds")},
            **{name: getattr(options, name) for name in ("folds", "test", "validation")},
            "metric": self.metric,
            "classes": list(dataset.classes),
            "clips": len(clips),
            "fingerprint": weights,
            "labelling": hashlib.sha256(labelling.encode()).hexdigest()[:16],
            "sounds": sounds,
        }
