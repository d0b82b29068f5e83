"""The settings of a transfer, and what the strategies set of them."""

import dataclasses

from panns_tf.config import TrainConfig

#: The paper's four, and the classifier that is solved for rather than trained.
STRATEGIES = ("scratch", "finetune", "freeze_l1", "freeze_l3", "linear_probe")
#: Those that take a pretrained network as it is.
FROZEN = ("freeze_l1", "freeze_l3", "linear_probe")


@dataclasses.dataclass(frozen=True)
class TransferConfig:
    """What decides the training on a new task.

    Args:
        strategy: one of `STRATEGIES`.
        epochs: rounds of the training clips, at most.
        min_steps: updates at least, however few clips there are.
        batch_size: clips per update, after mixing.
        learning_rate: the highest.
        schedule: ``"constant"`` or ``"cosine"``.
        warmup_steps: updates in which the rate rises.
        weight_decay, ema, label_smoothing, mixup, mixup_alpha, time_shift, gain, dropout,
            spec_augment, precision: as `panns_tf.config.TrainConfig` has them.
        sampling: ``"shuffled"`` or ``"balanced"``.
        class_weights: whether clips of rare classes count more, in the inverse ratio of the clips.
        layer_decay: the learning rate of a stage over that of the stage after it.
        unfreeze_epochs: epochs after which one more stage learns, from the classifier on; 0 for
            all at once.
        patience: epochs without a better validation figure after which training ends and the
            best weights are taken; None for the last weights.
        crop_seconds: of a clip that training hears at a time; None for what the task hears.
        seed: of weights, order, mixup and dropout.
    """

    strategy: str = "finetune"
    epochs: int = 30
    min_steps: int = 100
    batch_size: int = 32
    learning_rate: float = 1e-4
    schedule: str = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    ema: float | None = None
    label_smoothing: float = 0.0
    mixup: str = "features"
    mixup_alpha: float = 1.0
    time_shift: float = 0.0
    gain: float = 0.0
    dropout: bool = True
    spec_augment: bool = True
    precision: str = "float32"
    sampling: str = "shuffled"
    class_weights: bool = False
    layer_decay: float = 1.0
    unfreeze_epochs: int = 0
    patience: int | None = None
    crop_seconds: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise ValueError(f"strategy must be one of {STRATEGIES}; received {self.strategy!r}")
        for name, least in (("epochs", 1), ("min_steps", 1), ("unfreeze_epochs", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}; received {getattr(self, name)}")
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience must be at least 1 epoch; received {self.patience}")
        if not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay must lie in (0, 1]; received {self.layer_decay}")
        if self.crop_seconds is not None and not 0 < self.crop_seconds <= 3600:
            raise ValueError(f"crop_seconds must lie in (0, 3600]; received {self.crop_seconds}")
        if self.sampling not in ("shuffled", "balanced"):
            raise ValueError(f"sampling must be shuffled or balanced; received {self.sampling!r}")
        self.train_config(1)

    def steps_per_epoch(self, clips: int) -> int:
        """Returns the updates in which every one of so many clips is heard about once."""
        return max(1, round(clips / self.train_config(1).clips_per_step))

    def steps(self, clips: int) -> int:
        """Returns the updates of a training on so many clips."""
        return max(self.min_steps, self.epochs * self.steps_per_epoch(clips))

    def train_config(self, steps: int, schedule: str | None = None) -> TrainConfig:
        """Returns the configuration of the updates."""
        names = {field.name for field in dataclasses.fields(TrainConfig)}
        shared = {k: v for k, v in dataclasses.asdict(self).items() if k in names}
        del shared["sampling"]
        shared["schedule"] = schedule or self.schedule
        return TrainConfig(**shared, steps=steps, log_steps=max(1, steps))


#: What the strategies set, unless told otherwise.
DEFAULTS = {
    "scratch": {"epochs": 100, "learning_rate": 1e-3, "schedule": "cosine", "warmup_steps": 20},
    "finetune": {"epochs": 30, "learning_rate": 1e-4},
    # One layer has no way to go wrong, and embeddings of few units learn slowly.
    "freeze_l1": {"epochs": 200, "min_steps": 1000, "learning_rate": 1e-2, "schedule": "cosine"},
    "freeze_l3": {"epochs": 100, "min_steps": 500, "learning_rate": 1e-3, "schedule": "cosine"},
    "linear_probe": {},
}
