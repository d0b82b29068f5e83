"""Synthetic sounds, NOT AudioSet, for trying programs and for tests: audio, metadata, records."""

import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile

from tfrecords.files import write_csv
from tfrecords.index import INFO_NAME
from tfrecords.pack import PackReport, pack_clips
from tfrecords.plan import PackSettings
from tfrecords.progress import progress as shown
from tfrecords.storage import TFRecordsError

#: Methods of `Synthesizer`, from the most frequent class of a data set to the rarest.
SOUNDS = ("sine_tone", "click_train", "hiss", "siren", "rumble", "rising_chirp")
SOUNDS += ("bird", "buzz", "tremolo_noise", "bell", "falling_chirp", "knock")

IMBALANCE = 20  # clips of the most frequent class for each of the rarest
_LABELS_PER_CLIP = 1.9  # about AudioSet's
_MOST_LABELS = 3


def synthesize_clips(
    output: str | Path,
    *,
    clips: int = 600,
    clip_seconds: float = 1.0,
    sample_rate: int = 32000,
    seed: int = 0,
    split: str = "train",
    num_classes: int | None = None,
    clips_per_shard: int = 256,
    workers: int = 0,
    progress: bool = True,
) -> PackReport:
    """Writes `audio/*.wav`, `metadata.csv` and `labels.csv` into `output`, and packs them there.

    Each clip holds 1 to 3 of the first `num_classes` (default: all 12) sounds over noise, the first
    20 times as frequent as the last, from about 30 clips on. The same arguments write the same
    bytes; another `split` has other sounds. TFRecordsError for clips under 0.25 s, a rate under
    8000 Hz, another wrong argument, or an `output` that already holds records.
    """
    names = SOUNDS[:num_classes]
    is_possible = clips > 0 and sample_rate >= 8000 and clip_seconds >= 0.25
    if not is_possible or num_classes not in (None, *range(1, len(SOUNDS) + 1)):
        raise TFRecordsError(
            f"synthetic data need 1 clip of 0.25 s at 8000 Hz, of 1 to {len(SOUNDS)} classes, or "
            f"more; received {clips} clips of {clip_seconds} s at {sample_rate} Hz, classes "
            f"{num_classes}"
        )
    output = Path(output)
    settings = PackSettings(
        metadata=output / "metadata.csv",
        audio=output / "audio",
        output=output,
        format="csv",
        labels=output / "labels.csv",
        split=split,
        sample_rate=sample_rate,
        clip_seconds=clip_seconds,
        clips_per_shard=clips_per_shard,
        workers=workers,
        description=f"synthetic sounds, not AudioSet (seed {seed})",
    )
    paths = (output / INFO_NAME, settings.metadata, settings.labels, settings.audio)
    if taken := [path for path in paths if path.exists()]:
        raise TFRecordsError(f"{taken[0]} is there already; choose another output folder")
    settings.audio.mkdir(parents=True, exist_ok=True)

    root = (seed & 0xFFFFFFFFFFFFFFFF, zlib.crc32(split.encode()))
    labels = assign_labels(np.random.default_rng(root), clips, len(names))
    write_csv(settings.labels, ("display_name",), ([name] for name in names))
    clips_of = {
        f"{split}_{number:05d}.wav": [names[label] for label in clip]
        for number, clip in enumerate(labels)
    }
    rows = ((file, ";".join(kinds)) for file, kinds in clips_of.items())
    write_csv(settings.metadata, ("filename", "labels"), rows)
    numbered = list(enumerate(clips_of.items()))
    for number, (file, kinds) in shown(numbered) if progress else numbered:
        rng = np.random.default_rng((*root, number))
        audio = render(rng, kinds, settings.clip_samples, sample_rate)
        soundfile.write(settings.audio / file, audio, sample_rate, subtype="PCM_16")
    return pack_clips(settings, progress=progress)


def class_counts(clips: int, num_classes: int) -> np.ndarray:
    """Clips of each class, (num_classes,) int, geometric: the first has 20 times the last's. Each
    has 1 to `clips`, all together `clips` to 3 * `clips`: 1 to 3 classes a clip.
    """
    shape = np.geomspace(IMBALANCE, 1, num_classes) if num_classes > 1 else np.ones(1)
    labels = min(_LABELS_PER_CLIP, num_classes) * clips
    rarest = max(1, min(round(labels / shape.sum()), clips // IMBALANCE))
    counts = np.minimum(np.rint(rarest * shape).astype(int), clips)
    # Few clips: the floor of 1 and the cap leave too few labels or too many.
    while counts.sum() < clips:
        counts[np.argmin(counts)] += 1
    while counts.sum() > _MOST_LABELS * clips and counts.max() > 1:
        counts[np.argmax(counts)] -= 1
    return counts


def assign_labels(rng: np.random.Generator, clips: int, num_classes: int) -> list[tuple[int, ...]]:
    """1 to 3 different classes for each clip, such that each class has exactly its count."""
    counts = class_counts(clips, num_classes)
    pool = rng.permutation(np.repeat(np.arange(num_classes), counts))
    # First every clip gets one of the shuffled labels, then what is left goes where it fits.
    chosen = np.zeros((clips, num_classes), bool)
    chosen[np.arange(clips), pool[:clips]] = True
    for label, extra in enumerate(np.bincount(pool[clips:], minlength=num_classes)):
        room = np.flatnonzero(~chosen[:, label] & (chosen.sum(axis=1) < _MOST_LABELS))
        chosen[rng.permutation(room)[:extra], label] = True
    return [tuple(np.flatnonzero(row)) for row in chosen]


def render(
    rng: np.random.Generator, kinds: Iterable[str], samples: int, sample_rate: int
) -> np.ndarray:
    """One clip in [-0.9, 0.9]: sounds of 60 to 100 % of its length, 10 to 20 dB above a noise."""
    clip = Synthesizer(rng, samples, sample_rate).background()
    fade = np.minimum(1, np.arange(1, samples + 1) / (0.01 * sample_rate))
    for kind in kinds:
        length = int(samples * rng.uniform(0.6, 1))
        start = rng.integers(samples - length + 1)
        sound = getattr(Synthesizer(rng, length, sample_rate), kind)()
        sound = sound * fade[:length] * fade[:length][::-1]
        level = np.sqrt(np.mean(sound**2)) + 1e-9
        gain = 10 ** (rng.uniform(10, 20) / 20) / level
        clip[start : start + length] += gain * sound
    # Loudness varies between clips; a peak at full scale would tell a compressed recording.
    return clip * (rng.uniform(0.3, 0.9) / np.abs(clip).max())


class Synthesizer:
    """Sounds of a length at a sample rate, (samples,) float64, whose parameters vary modestly."""

    def __init__(self, rng: np.random.Generator, samples: int, sample_rate: int):
        self.rng, self.samples, self.rate = rng, samples, sample_rate
        self.top = min(14000, 0.45 * sample_rate)  # the highest frequency, in Hz

    def sine_tone(self) -> np.ndarray:
        return np.sin(self._phase(np.full(self.samples, self.rng.uniform(400, 600))))

    def click_train(self) -> np.ndarray:
        """Very short broad-band clicks, 12 to 16 a second."""
        click = np.zeros(max(2, self.rate // 2000))
        click[0], click[-1] = 1, -1
        return self._repeat(click, self.rng.uniform(12, 16))

    def hiss(self) -> np.ndarray:
        return self._band(self.rng.uniform(0.45, 0.55) * self.top, self.top)

    def siren(self) -> np.ndarray:
        """A line with harmonics that swings from 600 to 1400 Hz, 3 to 4 times a second."""
        phase = self._phase(1000 + 400 * np.sin(self._swing(3, 4)))
        return np.sin(phase) + 0.5 * np.sin(2 * phase)

    def rumble(self) -> np.ndarray:
        return self._band(60, self.rng.uniform(170, 220))

    def rising_chirp(self) -> np.ndarray:
        first, last = self.rng.uniform(250, 350), self.rng.uniform(2500, 3200)
        return self._sweep(first, last, self.samples)

    def bird(self) -> np.ndarray:
        """Short calls that drop from a high pitch, 7 to 9 a second."""
        top = min(7000, 0.9 * self.top)
        first, last = top * self.rng.uniform(0.9, 1), top * self.rng.uniform(0.55, 0.65)
        length = int(0.07 * self.rate)
        call = self._sweep(first, last, length) * np.hanning(length)
        return self._repeat(call, self.rng.uniform(7, 9))

    def buzz(self) -> np.ndarray:
        """A comb of all harmonics of 90 to 120 Hz, up to 6 kHz."""
        base = self.rng.uniform(90, 120)
        phase = self._phase(np.full(self.samples, base))
        count = int(min(6000, self.top) / base)
        # The closed form of sum(cos(k * phase)), k = 1 .. count.
        half = np.sin(phase / 2 + 1e-9)
        return np.sin((count + 0.5) * (phase + 2e-9)) / (2 * half) - 0.5

    def tremolo_noise(self) -> np.ndarray:
        """Noise of 800 to 2500 Hz whose level swings 5 to 7 times a second."""
        swing = 0.5 - 0.5 * np.cos(self._swing(5, 7))
        return self._band(800, 2500) * swing**2

    def bell(self) -> np.ndarray:
        """Strokes of inharmonic partials that ring out, about two a second."""
        base = self.rng.uniform(700, 900)
        partials = ((1.0, 1.0), (1.48, 0.7), (2.09, 0.6), (2.56, 0.5), (3.42, 0.3))
        time = np.arange(int(0.8 * self.rate)) / self.rate
        stroke = sum(
            gain * np.exp(-time * 5 * ratio) * np.sin(2 * np.pi * ratio * base * time)
            for ratio, gain in partials
            if ratio * base < self.top
        )
        return self._repeat(stroke, self.rng.uniform(1.8, 2.4))

    def falling_chirp(self) -> np.ndarray:
        first, last = self.rng.uniform(2500, 3200), self.rng.uniform(250, 350)
        return self._sweep(first, last, self.samples)

    def knock(self) -> np.ndarray:
        time = np.arange(int(0.12 * self.rate)) / self.rate
        thump = np.exp(-time * 40) * np.sin(2 * np.pi * self.rng.uniform(150, 200) * time)
        thump += 0.5 * np.exp(-time * 80) * np.sin(2 * np.pi * self.rng.uniform(380, 450) * time)
        return self._repeat(thump, self.rng.uniform(4, 5))

    def background(self) -> np.ndarray:
        """Noise whose power falls by 0 (white) to 1.5 powers of the frequency, of unit level."""
        bins = self._bins()
        bins[0] = bins[1] if len(bins) > 1 else 1
        noise = np.fft.irfft(self._spectrum() * bins ** -self.rng.uniform(0, 0.75), self.samples)
        return noise / np.sqrt(np.mean(noise**2) + 1e-12)

    def _bins(self) -> np.ndarray:
        return np.fft.rfftfreq(self.samples, 1 / self.rate)

    def _spectrum(self) -> np.ndarray:
        real, imaginary = self.rng.standard_normal((2, self.samples // 2 + 1))
        return real + 1j * imaginary

    def _band(self, low: float, high: float) -> np.ndarray:
        """Noise between two frequencies in Hz."""
        inside = (self._bins() >= low) & (self._bins() <= high)
        return np.fft.irfft(self._spectrum() * inside, self.samples) * np.sqrt(self.samples)

    def _swing(self, slowest: float, fastest: float) -> np.ndarray:
        """The phase of a swing, so many times a second, from a random moment."""
        time = np.arange(self.samples) / self.rate
        return 2 * np.pi * (self.rng.uniform(slowest, fastest) * time + self.rng.random())

    def _phase(self, frequency: np.ndarray) -> np.ndarray:
        return 2 * np.pi * np.cumsum(frequency) / self.rate

    def _sweep(self, first: float, last: float, samples: int) -> np.ndarray:
        return np.sin(self._phase(np.geomspace(first, last, samples)))

    def _repeat(self, stroke: np.ndarray, rate: float) -> np.ndarray:
        """A stroke over and over, `rate` times a second, from a random moment of the first."""
        period = self.rate / rate
        out = np.zeros(self.samples + len(stroke))
        for start in np.arange(self.rng.random() * period * 0.5, self.samples, period).astype(int):
            out[start : start + len(stroke)] += stroke
        return out[: self.samples]
