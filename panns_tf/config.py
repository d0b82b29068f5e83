"""Settings in physical units, as frozen dataclasses."""

import dataclasses
import math
import typing

WINDOWS = ("hann", "hamming")


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

    sample_rate: int = 32000
    window_size: int = 1024
    hop_size: int = 320
    mel_bins: int = 64
    fmin: float = 50.0
    fmax: float = 14000.0
    window: str = "hann"

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


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Everything that decides a training run. The defaults are the paper's recipe.

    Args:
        arch: name of the network.
        data: directory of packed training records.
        eval_data: directory of packed held-out records, or None.
        run_dir: where the run writes.
        recipe: where settings came from, or None; see `panns_tf.training.recipes`.
        sample_rate, window_size, hop_size, mel_bins, fmin, fmax: of the log-mel, as `Frontend`
            has them; None for the network's own.
        embedding_size: width of the layer before the classifier; None for the network's own.
        steps: updates.
        batch_size: clips per update after mixing, over all devices; mixup draws twice as many.
        accumulate: parts into which a batch is cut, whose gradients are averaged; takes the
            memory of one part. Every part has batch statistics of its own.
        learning_rate: the highest.
        schedule: ``"constant"``, or ``"cosine"``, which falls to zero at the last step.
        warmup_steps: updates over which the rate rises from zero.
        weight_decay: above 0 makes Adam AdamW.
        ema: decay of the moving average of weights that is evaluated and saved, or None.
        label_smoothing: targets move by half of this towards each other, in [0, 1).
        sampling: ``"balanced"``, ``"shuffled"``, ``"alternate"`` or ``"streamed"``.
        exclude: file that lists clips never to be drawn, or None.
        fraction: of the training clips, in (0, 1], chosen by a hash of their ids.
        decimation: how clips stored at a higher rate than the network's are brought to it:
            ``"lowpass"``, or ``"skip"`` as the reference does.
        damaged: ``"raise"`` at a damaged record, or ``"skip"`` and count it.
        cache: folder on a local disk that keeps what is read of records that are far, or None.
        mixup: ``"features"`` (where the network says), ``"waveform"`` or ``"none"``.
        mixup_alpha: weights are drawn from Beta(alpha, alpha); 1 is uniform.
        time_shift: clips are rotated by up to this many seconds, either way.
        gain: clips are made louder or softer by up to this many dB.
        distill: a trained model, whose probabilities for the same clips become targets, or None.
        distill_weight: their part of the target, in (0, 1].
        dropout: False switches every dropout off.
        spec_augment: False switches SpecAugment off.
        precision: ``"float32"``, ``"tf32"`` (float32 whose products a GPU rounds to 10 bits of
            mantissa), ``"mixed_bfloat16"`` or ``"mixed_float16"``.
        xla: ``"auto"`` compiles the training step on a GPU, where that is faster.
        steps_per_call: updates between two looks of the host; None for 1 on a CPU, 10 on a GPU.
        sync_batchnorm: whether batch statistics are those of all devices together.
        seed: of weights, order, mixup and dropout; 1234 is the reference's.
        eval_steps: updates between evaluations; None for as many as keep them below 3 % of the
            work, at least 2000.
        eval_training_clips: so many training clips are evaluated too, but no more than held-out
            ones; 0 for none.
        pictures: whether TensorBoard gets pictures, sound and curves, besides numbers.
        watch_classes: labels of which TensorBoard gets precision-recall curves, separated by
            semicolons; None for a few from the largest to the smallest.
        profile: ``"START:STOP"``, the steps of which TensorBoard gets a profile, or None.
        log_steps: updates between lines of ``metrics.jsonl``.
        checkpoint_minutes: minutes between checkpoints; None for by steps alone.
        checkpoint_steps: updates between checkpoints; None for by minutes alone.
        keep_checkpoints: how many are kept.
        full_disk: what to do when a checkpoint cannot be written: ``"continue"`` or ``"stop"``.
        demo: whether the run made its own data.
    """

    arch: str = "Wavegram_Logmel_Cnn14"
    data: str = ""
    eval_data: str | None = None
    run_dir: str = ""
    recipe: str | None = None
    sample_rate: int | None = None
    window_size: int | None = None
    hop_size: int | None = None
    mel_bins: int | None = None
    fmin: float | None = None
    fmax: float | None = None
    embedding_size: int | None = None
    steps: int = 600_000
    batch_size: int = 32
    accumulate: int = 1
    learning_rate: float = 1e-3
    schedule: str = "constant"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    ema: float | None = None
    label_smoothing: float = 0.0
    sampling: str = "balanced"
    exclude: str | None = None
    fraction: float = 1.0
    decimation: str = "lowpass"
    damaged: str = "raise"
    cache: str | None = None
    mixup: str = "features"
    mixup_alpha: float = 1.0
    time_shift: float = 0.0
    gain: float = 0.0
    distill: str | None = None
    distill_weight: float = 0.5
    dropout: bool = True
    spec_augment: bool = True
    precision: str = "float32"
    xla: str = "auto"
    steps_per_call: int | None = None
    sync_batchnorm: bool = False
    seed: int = 1234
    eval_steps: int | None = None
    eval_training_clips: int = 1000
    pictures: bool = True
    watch_classes: str | None = None
    profile: str | None = None
    log_steps: int = 10
    checkpoint_minutes: float | None = 15.0
    checkpoint_steps: int | None = None
    keep_checkpoints: int = 2
    full_disk: str = "continue"
    demo: bool = False

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_type(field.name, field.type, getattr(self, field.name))
        for name in _COUNTS:
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1; received {value}")
        for name in ("learning_rate", "checkpoint_minutes", "mixup_alpha"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name} must be above 0; received {value}")
        not_negative = ("warmup_steps", "weight_decay", "time_shift", "gain", "eval_training_clips")
        for name in not_negative:
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative; received {getattr(self, name)}")
        for name, most in (("time_shift", 3600), ("gain", 100)):
            if getattr(self, name) > most:
                raise ValueError(f"{name} must be at most {most}; received {getattr(self, name)}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}; received {getattr(self, name)}")
        for name in ("fraction", "distill_weight"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in (0, 1]; received {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"label_smoothing must lie in [0, 1); received {self.label_smoothing}")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"ema must lie between 0 and 1; received {self.ema}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be 0 to 2**32 - 1; received {self.seed}")
        _ = self.profiled
        if self.batch_size % self.accumulate:
            raise ValueError(
                f"batch_size {self.batch_size} cannot be cut into {self.accumulate} equal parts "
                "(accumulate)"
            )

    @property
    def clips_per_step(self) -> int:
        """Clips drawn for one update."""
        return self.batch_size * (1 if self.mixup == "none" else 2)

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

    @property
    def overrides(self) -> dict[str, int | float]:
        """What differs from the network's row in the registry."""
        given = {name: getattr(self, name) for name in OVERRIDES}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def policy(self) -> str:
        """The Keras dtype policy of the precision."""
        return "float32" if self.precision == "tf32" else self.precision


#: Settings of the network that a run may change.
OVERRIDES = (
    "sample_rate",
    "window_size",
    "hop_size",
    "mel_bins",
    "fmin",
    "fmax",
    "embedding_size",
)

#: Settings of where a run lies and how it is looked at and saved; none changes what it learns.
BESIDES = (
    "run_dir",
    "recipe",
    "steps_per_call",
    "eval_steps",
    "eval_training_clips",
    "pictures",
    "watch_classes",
    "profile",
    "log_steps",
    "checkpoint_minutes",
    "checkpoint_steps",
    "keep_checkpoints",
    "full_disk",
    "cache",
)

_COUNTS = (
    "steps",
    "batch_size",
    "accumulate",
    "steps_per_call",
    "eval_steps",
    "log_steps",
    "checkpoint_steps",
    "keep_checkpoints",
)

CHOICES = {
    "schedule": ("constant", "cosine"),
    "sampling": ("balanced", "shuffled", "alternate", "streamed"),
    "decimation": ("lowpass", "skip"),
    "damaged": ("raise", "skip"),
    "mixup": ("features", "waveform", "none"),
    "precision": ("float32", "tf32", "mixed_bfloat16", "mixed_float16"),
    "xla": ("auto", "on", "off"),
    "full_disk": ("continue", "stop"),
}


def check_type(name: str, wanted: type, value) -> None:
    """Raises ValueError unless a setting is of its type; whole numbers pass as fractions."""
    kinds = typing.get_args(wanted) or (wanted,)
    fits = isinstance(value, (*kinds, int) if float in kinds else kinds)
    if not fits or (isinstance(value, bool) and bool not in kinds):
        names = {type(None): "nothing", int: "a whole number", float: "a number", str: "a text"}
        wanted_names = " or ".join(names.get(kind, kind.__name__) for kind in kinds)
        raise ValueError(f"{name} must be {wanted_names}; received {value!r}")
