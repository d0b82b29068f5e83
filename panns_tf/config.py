"""Settings in physical units, as frozen dataclasses; each is declared here once."""

import dataclasses
from functools import partial

from tfrecords.flags import CheckedSettings, redeclare, setting, settings_of

WINDOWS = ("hann", "hamming")

_network = partial(setting, group="network overrides")
_learning = partial(setting, group="learning")
_clips = partial(setting, group="clips")
_devices = partial(setting, group="devices")
_run = partial(setting, group="the run")
_place = partial(_run, changes_training=False)
_saving = partial(setting, group="evaluation, logs and checkpoints", changes_training=False)


@dataclasses.dataclass(frozen=True)
class Frontend(CheckedSettings):
    """How a waveform becomes a log-mel spectrogram; the defaults are those of the 32 kHz networks.

    ``window`` is ``"hann"`` (published weights) or ``"hamming"`` (the paper's text), periodic.
    ValueError for settings that have no spectrogram.
    """

    sample_rate: int = _network(32000, "sample rate, in Hz", minimum=1)
    window_size: int = _network(1024, "samples in a Fourier window", minimum=1)
    hop_size: int = _network(320, "samples from one frame to the next", minimum=1)
    mel_bins: int = _network(64, "mel filters", minimum=1)
    fmin: float = _network(50.0, "lower edge of the lowest mel filter, in Hz", minimum=0)
    fmax: float = _network(14000.0, "upper edge of the highest mel filter, in Hz", above=0)
    window: str = _network("hann", "Fourier window", choices=WINDOWS, flag="")

    def __post_init__(self) -> None:
        for name in ("sample_rate", "window_size", "hop_size", "mel_bins"):
            value = getattr(self, name)
            if isinstance(value, bool) or int(value) != value or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1; received {value}")
            object.__setattr__(self, name, int(value))
        super().__post_init__()
        if self.window_size % 2:
            raise ValueError(f"window_size must be even; received {self.window_size}")
        if not self.fmin < self.fmax <= self.sample_rate / 2:
            raise ValueError(
                "expected 0 <= fmin < fmax <= sample_rate / 2; received "
                f"fmin={self.fmin}, fmax={self.fmax}, sample_rate={self.sample_rate}; "
                f"for this rate pass for instance fmax={self.sample_rate // 2}"
            )


@dataclasses.dataclass(frozen=True)
class NetworkOverrides:
    """What differs from the network's row in the registry; None for its own."""

    sample_rate: int | None = redeclare(Frontend, "sample_rate", None)
    window_size: int | None = redeclare(Frontend, "window_size", None)
    hop_size: int | None = redeclare(Frontend, "hop_size", None)
    mel_bins: int | None = redeclare(Frontend, "mel_bins", None)
    fmin: float | None = redeclare(Frontend, "fmin", None)
    fmax: float | None = redeclare(Frontend, "fmax", None)
    embedding_size: int | None = _network(None, "width of the embedding", minimum=1)

    @property
    def overrides(self) -> dict:
        values = {name: getattr(self, name) for name in settings_of(NetworkOverrides)}
        return {name: value for name, value in values.items() if value is not None}


@dataclasses.dataclass(frozen=True)
class FitSettings(CheckedSettings):
    """What every training of a network has; the defaults are the paper's recipe."""

    batch_size: int = _learning(
        32, "clips per update after mixing, over all devices; mixup draws twice as many", minimum=1
    )
    learning_rate: float = _learning(1e-3, "highest learning rate", above=0)
    schedule: str = _learning("constant", "cosine ends at 0", choices=("constant", "cosine"))
    warmup_steps: int = _learning(0, "updates over which the rate rises from zero", minimum=0)
    weight_decay: float = _learning(0.0, "AdamW's weight decay; 0 is Adam", minimum=0)
    ema: float | None = _learning(
        None, "decay of the weights' moving average, such as 0.999", above=0, below=1, shown="off"
    )
    label_smoothing: float = _learning(0.0, "e: targets are t (1 - e) + e / 2", minimum=0, below=1)
    dropout: bool = _learning(True, "dropout")
    mixup: str = _clips(
        "features",
        "where pairs are mixed; features: where the network's row says",
        choices=("features", "waveform", "none"),
    )
    mixup_alpha: float = _clips(1.0, "mixup weights are sampled from Beta(alpha, alpha)", above=0)
    spec_augment: bool = _clips(True, "SpecAugment: stripes of the log-mel masked")
    time_shift: float = _clips(0.0, "clips rotated by up to so many s", minimum=0, maximum=3600)
    gain: float = _clips(0.0, "clips up to so many dB louder or softer", minimum=0, maximum=100)
    precision: str = _devices(
        "float32",
        "tf32 is float32 whose products a GPU rounds to 10 bits of mantissa",
        choices=("float32", "tf32", "mixed_bfloat16", "mixed_float16"),
    )
    seed: int = _run(1234, "random seed; 1234 is the reference's", minimum=0, maximum=2**32 - 1)

    @property
    def clips_per_step(self) -> int:
        return self.batch_size * (1 if self.mixup == "none" else 2)

    @property
    def policy(self) -> str:
        return "float32" if self.precision == "tf32" else self.precision


@dataclasses.dataclass(frozen=True)
class TrainConfig(FitSettings, NetworkOverrides):
    """Everything that decides a training run on packed records; the defaults are the paper's."""

    arch: str = _run("Wavegram_Logmel_Cnn14", "name of the network")
    data: str = _run("", "packed training records", shown="a demo set of sounds")
    eval_data: str | None = _run(None, "packed held-out records")
    run_dir: str = _place("", "where the run writes", shown="runs/<network>-<time>")
    recipe: str | None = _place(None, "file of settings, or a name of panns_tf/recipes; flags win")
    steps: int = _run(600_000, "updates", minimum=1, shown="600000; demo fewer")
    accumulate: int = _learning(
        1,
        "parts of a batch, each with its batch statistics, whose gradients are averaged",
        minimum=1,
    )
    distill: str | None = _learning(None, "trained model whose probabilities join the targets")
    distill_weight: float = _learning(0.5, "the teacher's part of targets", above=0, maximum=1)
    sampling: str = _clips(
        "balanced", "order of clips", choices=("balanced", "shuffled", "alternate", "streamed")
    )
    exclude: str | None = _clips(None, "file that lists clips to exclude")
    fraction: float = _clips(1.0, "part of the clips, by a hash of their ids", above=0, maximum=1)
    decimation: str = _clips(
        "lowpass",
        "records of a higher rate: low-passed, or every k-th sample as in the reference",
        choices=("lowpass", "skip"),
    )
    damaged: str = _clips(
        "raise", "at a damaged record: an error, or skip and count it", choices=("raise", "skip")
    )
    xla: str = _devices(
        "auto", "compile the training step by XLA; auto: on a GPU", choices=("auto", "on", "off")
    )
    steps_per_call: int | None = _devices(
        None,
        "training steps per host call (Keras: steps_per_execution)",
        minimum=1,
        shown="1 on a CPU, 10 on a GPU",
        changes_training=False,
    )
    sync_batchnorm: bool = _devices(False, "batch statistics over all devices together")
    eval_steps: int | None = _saving(
        None, "updates between evaluations", minimum=1, shown="as few as take 3 % of the work"
    )
    eval_training_clips: int = _saving(1000, "training clips to evaluate too, at most", minimum=0)
    pictures: bool = _saving(True, "TensorBoard: pictures, audio and curves besides numbers")
    watch_classes: str | None = _saving(
        None, "TensorBoard: precision-recall curves of labels such as 'Dog;Rain'", shown="a few"
    )
    profile: str | None = _saving(None, "TensorBoard: profile of steps", metavar="START:STOP")
    log_steps: int = _saving(10, "updates between lines of metrics.jsonl", minimum=1)
    checkpoint_minutes: float | None = _saving(15.0, "minutes between checkpoints", above=0)
    checkpoint_steps: int | None = _saving(None, "updates between checkpoints, too", minimum=1)
    keep_checkpoints: int = _saving(2, "checkpoints to keep", minimum=1)
    full_disk: str = _saving("continue", "if a checkpoint fails", choices=("continue", "stop"))
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
        if not (start.isdecimal() and stop.isdecimal() and int(start) < int(stop) <= self.steps):
            raise ValueError(
                f"profile must be START:STOP, two numbers of steps up to {self.steps} such as "
                f"20:30; received {self.profile!r}"
            )
        return int(start), int(stop)


def train_config(settings: dict) -> TrainConfig:
    """The configuration that ``config.json`` of a run holds, also of 0.1.0 without its cache."""
    settings = {name: value for name, value in settings.items() if (name, value) != ("cache", None)}
    if unknown := settings.keys() - settings_of(TrainConfig).keys():
        raise ValueError(f"unknown settings: {', '.join(sorted(unknown))}")
    return TrainConfig(**settings)


#: Settings of the network that a run may change.
NETWORK_SETTINGS = tuple(settings_of(NetworkOverrides))

#: Settings of where a run lies and how it is logged and saved; none changes what it learns.
NON_LEARNING_SETTINGS = tuple(
    name for name, (_, about, _) in settings_of(TrainConfig).items() if not about.changes_training
)
