"""Settings in physical units, as frozen dataclasses; each is declared here once."""

import dataclasses

from tfrecords.flags import check_settings, redeclare, setting, settings_of

WINDOWS = ("hann", "hamming")

_NETWORK = "network overrides"
_LEARNING = "learning"
_CLIPS = "clips"
_DEVICES = "devices"
_SAVING = "evaluation, logs and checkpoints"


@dataclasses.dataclass(frozen=True)
class Frontend:
    """How a waveform becomes a log-mel spectrogram.

    The defaults are those of the published 32 kHz networks.

    Args:
        sample_rate: samples per second, in Hz.
        window_size: samples in one Fourier window; an even number.
        hop_size: samples from one frame to the next.
        mel_bins: number of mel filters.
        fmin: lower edge of the lowest filter, in Hz.
        fmax: upper edge of the highest filter, in Hz, at most ``sample_rate / 2``.
        window: ``"hann"`` (the published weights) or ``"hamming"`` (the paper's text); periodic.

    Raises:
        ValueError: for a combination that has no spectrogram.
    """

    sample_rate: int = setting(32000, "sample rate, in Hz", minimum=1, group=_NETWORK)
    window_size: int = setting(1024, "samples in a Fourier window", minimum=1, group=_NETWORK)
    hop_size: int = setting(320, "samples from one frame to the next", minimum=1, group=_NETWORK)
    mel_bins: int = setting(64, "mel filters", minimum=1, group=_NETWORK)
    fmin: float = setting(
        50.0, "lower edge of the lowest mel filter, in Hz", minimum=0, group=_NETWORK
    )
    fmax: float = setting(
        14000.0, "upper edge of the highest mel filter, in Hz", above=0, group=_NETWORK
    )
    window: str = setting("hann", "Fourier window", choices=WINDOWS, flag="")

    def __post_init__(self) -> None:
        for name in ("sample_rate", "window_size", "hop_size", "mel_bins"):
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1; received {value}")
            object.__setattr__(self, name, int(value))
        if self.window_size % 2:
            raise ValueError(f"window_size must be even; received {self.window_size}")
        if self.window not in WINDOWS:
            raise ValueError(f"window must be one of {WINDOWS}; received {self.window!r}")
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError(
                "expected 0 <= fmin < fmax <= sample_rate / 2; received "
                f"fmin={self.fmin}, fmax={self.fmax}, sample_rate={self.sample_rate}; "
                f"for this rate pass for instance fmax={self.sample_rate // 2}"
            )


#: The front end's settings, and the embedding's width, each None for the network's own.
NetworkOverrides = dataclasses.make_dataclass(
    "NetworkOverrides",
    [
        *(
            (name, kinds[0] | None, redeclare(Frontend, name, None))
            for name, (_, about, kinds) in settings_of(Frontend).items()
            if about.flag != ""
        ),
        (
            "embedding_size",
            int | None,
            setting(None, "width of the layer before the classifier", minimum=1, group=_NETWORK),
        ),
    ],
    frozen=True,
    namespace={
        "__module__": __name__,
        "__doc__": "What differs from the network's row in the registry; None for its own.",
        "overrides": property(
            lambda self: {
                name: getattr(self, name)
                for name in settings_of(NetworkOverrides)
                if getattr(self, name) is not None
            },
            doc="The settings that were given, by name.",
        ),
    },
)


@dataclasses.dataclass(frozen=True)
class FitSettings:
    """What every training of a network has; the defaults are the paper's recipe."""

    batch_size: int = setting(
        32,
        "clips per update after mixing, over all devices; mixup draws twice as many",
        minimum=1,
        group=_LEARNING,
    )
    learning_rate: float = setting(1e-3, "highest learning rate", above=0, group=_LEARNING)
    schedule: str = setting(
        "constant",
        "learning-rate schedule; cosine falls to zero at the last step",
        choices=("constant", "cosine"),
        group=_LEARNING,
    )
    warmup_steps: int = setting(
        0, "updates over which the learning rate rises from zero", minimum=0, group=_LEARNING
    )
    weight_decay: float = setting(
        0.0, "AdamW's weight decay; 0 is Adam", minimum=0, group=_LEARNING
    )
    ema: float | None = setting(
        None,
        "decay of the moving average of weights that is evaluated and saved, such as 0.999",
        above=0,
        below=1,
        group=_LEARNING,
        shown="off",
    )
    label_smoothing: float = setting(
        0.0,
        "label smoothing e: targets become t (1 - e) + e / 2",
        minimum=0,
        below=1,
        group=_LEARNING,
    )
    dropout: bool = setting(True, "dropout", group=_LEARNING)
    mixup: str = setting(
        "features",
        "where pairs are mixed; features: where the network's row says",
        choices=("features", "waveform", "none"),
        group=_CLIPS,
    )
    mixup_alpha: float = setting(
        1.0, "mixup weights are sampled from Beta(alpha, alpha)", above=0, group=_CLIPS
    )
    spec_augment: bool = setting(True, "SpecAugment: stripes of the log-mel masked", group=_CLIPS)
    time_shift: float = setting(
        0.0,
        "clips are rotated by up to this many seconds, either way",
        minimum=0,
        maximum=3600,
        group=_CLIPS,
    )
    gain: float = setting(
        0.0,
        "clips are made louder or softer by up to this many dB",
        minimum=0,
        maximum=100,
        group=_CLIPS,
    )
    precision: str = setting(
        "float32",
        "tf32 is float32 whose products a GPU rounds to 10 bits of mantissa",
        choices=("float32", "tf32", "mixed_bfloat16", "mixed_float16"),
        group=_DEVICES,
    )
    seed: int = setting(
        1234,
        "random seed of weights, sampling, mixup and dropout; 1234 is the reference's",
        minimum=0,
        maximum=2**32 - 1,
        group="the run",
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def clips_per_step(self) -> int:
        """Clips read for one update."""
        return self.batch_size * (1 if self.mixup == "none" else 2)

    @property
    def policy(self) -> str:
        """The Keras dtype policy of the precision."""
        return "float32" if self.precision == "tf32" else self.precision


@dataclasses.dataclass(frozen=True)
class TrainConfig(FitSettings, NetworkOverrides):
    """Everything that decides a training run on packed records; the defaults are the paper's."""

    arch: str = setting("Wavegram_Logmel_Cnn14", "name of the network", group="the run")
    data: str = setting(
        "",
        "directory of packed training records (panns-tf pack)",
        group="the run",
        shown="a demo set of synthetic sounds",
    )
    eval_data: str | None = setting(None, "directory of packed held-out records", group="the run")
    run_dir: str = setting(
        "",
        "where the run writes",
        group="the run",
        shown="runs/<network>-<time>",
        changes_training=False,
    )
    recipe: str | None = setting(
        None,
        "settings from a file: a name of panns_tf/recipes, or a path; flags override the recipe",
        group="the run",
        changes_training=False,
    )
    steps: int = setting(600_000, "updates", minimum=1, group="the run", shown="600000; demo fewer")
    accumulate: int = setting(
        1,
        "parts into which a batch is cut, whose gradients are averaged; takes the memory of one "
        "part, and each part has batch statistics of its own",
        minimum=1,
        group=_LEARNING,
    )
    distill: str | None = setting(
        None,
        "trained model (knowledge distillation): its probabilities become part of the targets",
        group=_LEARNING,
    )
    distill_weight: float = setting(
        0.5, "part of the target that is the teacher's", above=0, maximum=1, group=_LEARNING
    )
    sampling: str = setting(
        "balanced",
        "order of the clips",
        choices=("balanced", "shuffled", "alternate", "streamed"),
        group=_CLIPS,
    )
    exclude: str | None = setting(None, "file that lists clips to exclude", group=_CLIPS)
    fraction: float = setting(
        1.0,
        "part of the training clips, chosen by a hash of their ids",
        above=0,
        maximum=1,
        group=_CLIPS,
    )
    decimation: str = setting(
        "lowpass",
        "records of a higher sample rate than the network's: low-passed, or every k-th sample as "
        "in the reference",
        choices=("lowpass", "skip"),
        group=_CLIPS,
    )
    damaged: str = setting(
        "raise",
        "at a damaged record: end with an error, or skip the clip and count it",
        choices=("raise", "skip"),
        group=_CLIPS,
    )
    xla: str = setting(
        "auto",
        "compile the training step by XLA; auto: on a GPU",
        choices=("auto", "on", "off"),
        group=_DEVICES,
    )
    steps_per_call: int | None = setting(
        None,
        "training steps per host call (Keras: steps_per_execution)",
        minimum=1,
        group=_DEVICES,
        shown="1 on a CPU, 10 on a GPU",
        changes_training=False,
    )
    sync_batchnorm: bool = setting(
        False, "batch statistics over all devices together", group=_DEVICES
    )
    eval_steps: int | None = setting(
        None,
        "updates between evaluations",
        minimum=1,
        group=_SAVING,
        shown="as many as keep them below 3 % of the work, at least 2000",
        changes_training=False,
    )
    eval_training_clips: int = setting(
        1000,
        "training clips to evaluate too, at most the number of held-out clips; 0 for none",
        minimum=0,
        group=_SAVING,
        changes_training=False,
    )
    pictures: bool = setting(
        True,
        "TensorBoard: pictures, audio and curves besides numbers",
        group=_SAVING,
        changes_training=False,
    )
    watch_classes: str | None = setting(
        None,
        "TensorBoard: precision-recall curves of these labels, such as 'Dog;Rain'",
        group=_SAVING,
        shown="a few from the largest to the smallest",
        changes_training=False,
    )
    profile: str | None = setting(
        None,
        "TensorBoard: a profile of these steps",
        metavar="START:STOP",
        group=_SAVING,
        changes_training=False,
    )
    log_steps: int = setting(
        10,
        "updates between lines of metrics.jsonl",
        minimum=1,
        group=_SAVING,
        changes_training=False,
    )
    checkpoint_minutes: float | None = setting(
        15.0, "minutes between checkpoints", above=0, group=_SAVING, changes_training=False
    )
    checkpoint_steps: int | None = setting(
        None,
        "updates between checkpoints, besides those by minutes",
        minimum=1,
        group=_SAVING,
        changes_training=False,
    )
    keep_checkpoints: int = setting(
        2, "checkpoints to keep", minimum=1, group=_SAVING, changes_training=False
    )
    full_disk: str = setting(
        "continue",
        "what to do when a checkpoint cannot be written",
        choices=("continue", "stop"),
        group=_SAVING,
        changes_training=False,
    )
    demo: bool = setting(False, "whether the run made its own data", flag="")

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.profiled
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be cut into {self.accumulate} equal parts "
                "(accumulate)"
            )

    @classmethod
    def from_settings(cls, settings: FitSettings, **others) -> "TrainConfig":
        """The configuration of a training with the settings that every training has."""
        shared = {name: getattr(settings, name) for name in settings_of(FitSettings)}
        return cls(**shared, **others)

    @property
    def profiled(self) -> tuple[int, int] | None:
        """The steps after which a profile begins and ends."""
        if self.profile is None:
            return None
        start, _, stop = self.profile.partition(":")
        if not (start.isdecimal() and stop.isdecimal() and int(start) < int(stop)):
            raise ValueError(
                "profile must be START:STOP, two numbers of steps such as 20:30; received "
                f"{self.profile!r}"
            )
        if int(stop) > self.steps:
            raise ValueError(f"profile {self.profile} goes beyond the {self.steps} steps")
        return int(start), int(stop)


def train_config(settings: dict) -> TrainConfig:
    """The configuration that ``config.json`` of a run holds, also one of an earlier version.

    Raises:
        ValueError: in one line, for a setting that is unknown or out of range.
    """
    known = settings_of(TrainConfig)
    unknown = [
        name
        for name, value in settings.items()
        if name not in known and not (name in REMOVED and value is None)
    ]
    if unknown:
        raise ValueError(f"unknown settings: {', '.join(unknown)}")
    return TrainConfig(**{name: value for name, value in settings.items() if name in known})


#: Settings of earlier versions, which a run of theirs may still state as not set.
REMOVED = ("cache",)

#: Settings of the network that a run may change.
NETWORK_SETTINGS = tuple(settings_of(NetworkOverrides))

#: Settings of where a run lies and how it is logged and saved; none changes what it learns.
NON_LEARNING_SETTINGS = tuple(
    name for name, (_, about, _) in settings_of(TrainConfig).items() if not about.changes_training
)
