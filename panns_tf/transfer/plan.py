"""What a transfer run is to do."""

import dataclasses
import hashlib
import json
from pathlib import Path

from panns_tf.models import Network
from panns_tf.transfer.clips import Collection
from panns_tf.transfer.settings import FROZEN, TransferConfig


@dataclasses.dataclass(frozen=True)
class Plan:
    """A data set, a network and how the one learns the other.

    Args:
        collection: the data set; of one's own it may still be without splits.
        arch: name of the network's row.
        weights: where the base's weights come from, as the user said it; None for random ones.
        overrides: of the network, as for `panns_tf.create_model`.
        config: of the training.
        clip_seconds: that the network hears at once where it is tested; longer clips are cut into
            windows of it, whose predictions are averaged.
        metric: one of `panns_tf.transfer.scoring.METRICS`.
        clips_per_class: numbers of training clips of each class to try; None for all of them.
        seeds: of the trainings.
        folds: splits to make of a data set without its own; None for one.
        test: part of the clips that is tested, of one split.
        validation: part of the training clips that decides when to stop.
        only: names of the splits to run; empty for all.
        batch_size: windows at a time where nothing is trained.
        save_models: whether the network of every training is kept.
    """

    collection: Collection
    arch: str
    weights: str | None
    overrides: dict
    config: TransferConfig
    clip_seconds: float
    metric: str
    clips_per_class: tuple[int | None, ...] = (None,)
    seeds: tuple[int, ...] = (0,)
    folds: int | None = None
    test: float = 0.2
    validation: float = 0.15
    only: tuple[str, ...] = ()
    batch_size: int = 32
    save_models: bool = True

    @property
    def frozen(self) -> bool:
        """Whether the pretrained network stays as it is."""
        return self.config.strategy in FROZEN

    def identity(self, base: Network | None, fingerprint: str | None) -> dict:
        """Returns what decides the results, to tell whether kept ones are of the same run."""
        found = dataclasses.asdict(self.config)
        found |= {"arch": self.arch, "fingerprint": fingerprint, "overrides": self.overrides}
        found |= {"clip_seconds": self.clip_seconds, "metric": self.metric, "folds": self.folds}
        found |= {"test": self.test, "validation": self.validation}
        found |= {"classes": list(self.collection.classes), "clips": len(self.collection.clips)}
        found |= {"labelling": _labelling(self.collection)}
        return json.loads(json.dumps(found))  # tuples as lists, as a file gives them back


def _labelling(collection: Collection) -> str:
    """A digest of what is said of the clips, wherever their files lie."""
    clips = [(clip.clip_id, clip.labels, clip.fold, clip.group) for clip in collection.clips]
    splits = [dataclasses.astuple(split) for split in collection.splits]
    said = json.dumps([collection.multi_label, clips, splits])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def part_name(clips_per_class: int | None, seed: int, fold: str) -> str:
    """Returns what the files of one training are called."""
    return f"{clips_per_class or 'all'}-seed{seed}-fold{fold}"


def part_folder(output: Path, plan: Plan) -> Path:
    """Returns the folder of what a strategy's trainings came to."""
    return output / "parts" / f"{plan.arch}-{plan.config.strategy}"
