"""Settings in physical units, as frozen dataclasses."""

import dataclasses

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
        steps: updates.
        batch_size: clips per update after mixing; mixup draws twice as many.
        learning_rate: constant.
        sampling: ``"balanced"``, ``"shuffled"``, ``"alternate"`` or ``"streamed"``.
        exclude: file that lists clips never to be drawn, or None.
        fraction: of the training clips, in (0, 1], chosen by a hash of their ids.
        decimation: how clips stored at a higher rate than the network's are brought to it:
            ``"lowpass"``, or ``"skip"`` as the reference does.
        damaged: ``"raise"`` at a damaged record, or ``"skip"`` and count it.
        cache: folder on a local disk that keeps what is read of records that are far, or None.
        mixup: ``"features"`` (where the network says), ``"waveform"`` or ``"none"``.
        dropout: False switches every dropout off.
        spec_augment: False switches SpecAugment off.
        precision: a Keras dtype policy.
        xla: ``"auto"`` compiles the training step on a GPU, where that is faster.
        seed: of weights, order, mixup and dropout; 1234 is the reference's.
        eval_steps: updates between evaluations.
        log_steps: updates between lines of ``metrics.jsonl``.
        checkpoint_minutes: minutes between checkpoints; None for by steps alone.
        checkpoint_steps: updates between checkpoints; None for by minutes alone.
        keep_checkpoints: how many are kept.
        demo: whether the run made its own data.
    """

    arch: str = "Wavegram_Logmel_Cnn14"
    data: str = ""
    eval_data: str | None = None
    run_dir: str = ""
    steps: int = 600_000
    batch_size: int = 32
    learning_rate: float = 1e-3
    sampling: str = "balanced"
    exclude: str | None = None
    fraction: float = 1.0
    decimation: str = "lowpass"
    damaged: str = "raise"
    cache: str | None = None
    mixup: str = "features"
    dropout: bool = True
    spec_augment: bool = True
    precision: str = "float32"
    xla: str = "auto"
    seed: int = 1234
    eval_steps: int = 2000
    log_steps: int = 10
    checkpoint_minutes: float | None = 15.0
    checkpoint_steps: int | None = None
    keep_checkpoints: int = 2
    demo: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "eval_steps", "log_steps", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1; received {getattr(self, name)}")
        for name in ("learning_rate", "checkpoint_minutes", "checkpoint_steps"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be above 0; received {value}")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {choices}; received {getattr(self, name)}")
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction must lie in (0, 1]; received {self.fraction}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be 0 to 2**32 - 1; received {self.seed}")

    @property
    def clips_per_step(self) -> int:
        """Clips drawn for one update."""
        return self.batch_size * (1 if self.mixup == "none" else 2)


CHOICES = {
    "sampling": ("balanced", "shuffled", "alternate", "streamed"),
    "decimation": ("lowpass", "skip"),
    "damaged": ("raise", "skip"),
    "mixup": ("features", "waveform", "none"),
    "precision": ("float32", "mixed_bfloat16", "mixed_float16"),
    "xla": ("auto", "on", "off"),
}
