"""A small data set of synthetic sounds: real audio files, their metadata, and the packed records.

For trying programs and for tests: these are sounds computed from formulas, NOT AudioSet.
"""

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import soundfile

from tfrecords.files import TFRecordsError, write_csv
from tfrecords.index import INFO_NAME
from tfrecords.pack import PackReport, pack_clips
from tfrecords.plan import PackSettings
from tfrecords.progress import progress as shown

#: Fills an array of a length with a sound at a sample rate; its parameters vary modestly.
Sound = Callable[[np.random.Generator, int, int], np.ndarray]

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
    """Writes ``audio/*.wav``, ``metadata.csv`` and ``labels.csv`` into ``output``, and packs them.

    Each clip holds 1 to 3 different sounds over noise. Classes are geometrically less frequent,
    20 to 1 from the first to the last. A clip is a function of seed, split, its number and the
    number of clips and classes: the same arguments write the same bytes.

    Args:
        clips: how many; below about 30 the ratio of 20 to 1 is only approximate.
        clip_seconds: at least 0.25 s.
        sample_rate: Hz, at least 8000.
        split: its name; another split with the same seed has other sounds.
        num_classes: take only the first so many of the 12 classes; None for all.

    Raises:
        TFRecordsError: a wrong argument, or ``output`` already holds records.
    """
    names = list(SOUNDS)[:num_classes]
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
    if existing := [path for path in paths if path.exists()]:
        raise TFRecordsError(f"{existing[0]} exists already; choose another output folder")
    settings.audio.mkdir(parents=True, exist_ok=True)

    root = (seed & 0xFFFFFFFFFFFFFFFF, zlib.crc32(split.encode()))
    labels = assign_labels(np.random.default_rng(root), clips, len(names))
    write_csv(settings.labels, ("display_name",), ([name] for name in names))
    sounds = {
        f"{split}_{number:05d}.wav": [names[label] for label in clip]
        for number, clip in enumerate(labels)
    }
    rows = ((file, ";".join(kinds)) for file, kinds in sounds.items())
    write_csv(settings.metadata, ("filename", "labels"), rows)
    for number, file in enumerate(shown(sounds) if progress else sounds):
        rng = np.random.default_rng((*root, number))
        audio = render(rng, sounds[file], settings.clip_samples, sample_rate)
        soundfile.write(settings.audio / file, audio, sample_rate, subtype="PCM_16")
    return pack_clips(settings, progress=progress)


def class_counts(clips: int, num_classes: int) -> np.ndarray:
    """Clips of each class, (num_classes,) int, geometric: the first has 20 times the last's.

    Each has 1 to ``clips``, all together ``clips`` to 3 * ``clips`` where that is possible, so that
    every clip can have 1 to 3 classes.
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
    """Gives each clip 1 to 3 different classes such that each class has exactly its count."""
    counts = class_counts(clips, num_classes)
    pool = rng.permutation(np.repeat(np.arange(num_classes), counts))
    # First every clip gets one of the shuffled labels, then the others go where they fit.
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
    clip = background(rng, samples, sample_rate)
    fade = np.minimum(1, np.arange(1, samples + 1) / (0.01 * sample_rate))
    for kind in kinds:
        length = int(samples * rng.uniform(0.6, 1))
        start = rng.integers(samples - length + 1)
        sound = SOUNDS[kind](rng, length, sample_rate)
        sound = sound * fade[:length] * fade[:length][::-1]
        level = np.sqrt(np.mean(sound**2)) + 1e-9
        gain = 10 ** (rng.uniform(10, 20) / 20) / level
        clip[start : start + length] += gain * sound
    # Loudness varies between clips; a peak at full scale would tell a compressed recording.
    return clip * (rng.uniform(0.3, 0.9) / np.abs(clip).max())


def sine_tone(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """One steady line, 400 to 600 Hz."""
    return np.sin(_phase(np.full(samples, rng.uniform(400, 600)), sample_rate))


def rising_chirp(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """A line that climbs from about 300 Hz to about 3 kHz."""
    return _sweep(rng.uniform(250, 350), rng.uniform(2500, 3200), samples, sample_rate)


def falling_chirp(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """A line that falls from about 3 kHz to about 300 Hz."""
    return _sweep(rng.uniform(2500, 3200), rng.uniform(250, 350), samples, sample_rate)


def siren(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """A line with harmonics that swings between about 600 and 1400 Hz, 3 to 4 times a second."""
    time = np.arange(samples) / sample_rate
    swing = np.sin(2 * np.pi * (rng.uniform(3, 4) * time + rng.random()))
    phase = _phase(1000 + 400 * swing, sample_rate)
    return np.sin(phase) + 0.5 * np.sin(2 * phase)


def bell(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Strokes of inharmonic partials that ring out, about two a second."""
    base = rng.uniform(700, 900)
    partials = ((1.0, 1.0), (1.48, 0.7), (2.09, 0.6), (2.56, 0.5), (3.42, 0.3))
    time = np.arange(int(0.8 * sample_rate)) / sample_rate
    stroke = sum(
        gain * np.exp(-time * 5 * ratio) * np.sin(2 * np.pi * ratio * base * time)
        for ratio, gain in partials
        if ratio * base < _top(sample_rate)
    )
    return _repeat(rng, stroke, rng.uniform(1.8, 2.4), samples, sample_rate)


def click_train(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Very short broad-band clicks, 12 to 16 a second."""
    click = np.zeros(max(2, sample_rate // 2000))
    click[0], click[-1] = 1, -1
    return _repeat(rng, click, rng.uniform(12, 16), samples, sample_rate)


def tremolo_noise(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Noise of 800 to 2500 Hz whose level swings 5 to 7 times a second."""
    time = np.arange(samples) / sample_rate
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * (rng.uniform(5, 7) * time + rng.random()))
    return _band(rng, samples, sample_rate, 800, 2500) * swing**2


def hiss(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Steady noise in the upper half of the band."""
    top = _top(sample_rate)
    return _band(rng, samples, sample_rate, rng.uniform(0.45, 0.55) * top, top)


def rumble(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Steady noise below 200 Hz."""
    return _band(rng, samples, sample_rate, 60, rng.uniform(170, 220))


def buzz(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """A comb of all harmonics of 90 to 120 Hz, up to 6 kHz."""
    base = rng.uniform(90, 120)
    phase = _phase(np.full(samples, base), sample_rate)
    count = int(min(6000, _top(sample_rate)) / base)
    # The closed form of sum(cos(k * phase)), k = 1 .. count.
    half = np.sin(phase / 2 + 1e-9)
    return np.sin((count + 0.5) * (phase + 2e-9)) / (2 * half) - 0.5


def knock(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Low damped thumps, 4 to 5 a second."""
    time = np.arange(int(0.12 * sample_rate)) / sample_rate
    thump = np.exp(-time * 40) * np.sin(2 * np.pi * rng.uniform(150, 200) * time)
    thump += 0.5 * np.exp(-time * 80) * np.sin(2 * np.pi * rng.uniform(380, 450) * time)
    return _repeat(rng, thump, rng.uniform(4, 5), samples, sample_rate)


def bird(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Short calls that drop from a high pitch, 7 to 9 a second."""
    top = min(7000, 0.9 * _top(sample_rate))
    length = int(0.07 * sample_rate)
    call = _sweep(top * rng.uniform(0.9, 1), top * rng.uniform(0.55, 0.65), length, sample_rate)
    return _repeat(rng, call * np.hanning(length), rng.uniform(7, 9), samples, sample_rate)


# From the most frequent class of a synthetic data set to the rarest.
SOUNDS: dict[str, Sound] = {
    function.__name__: function
    for function in (
        *(sine_tone, click_train, hiss, siren, rumble, rising_chirp),
        *(bird, buzz, tremolo_noise, bell, falling_chirp, knock),
    )
}


def background(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Noise whose power falls by 0 (white) to 1.5 powers of the frequency, of unit level."""
    bins = np.fft.rfftfreq(samples, 1 / sample_rate)
    bins[0] = bins[1] if len(bins) > 1 else 1
    noise = np.fft.irfft(_spectrum(rng, len(bins)) * bins ** -rng.uniform(0, 0.75), samples)
    return noise / np.sqrt(np.mean(noise**2) + 1e-12)


def _top(sample_rate: int) -> float:
    return min(14000, 0.45 * sample_rate)


def _phase(frequency: np.ndarray, sample_rate: int) -> np.ndarray:
    return 2 * np.pi * np.cumsum(frequency) / sample_rate


def _sweep(first: float, last: float, samples: int, sample_rate: int) -> np.ndarray:
    return np.sin(_phase(np.geomspace(first, last, samples), sample_rate))


def _spectrum(rng: np.random.Generator, bins: int) -> np.ndarray:
    return rng.standard_normal(bins) + 1j * rng.standard_normal(bins)


def _band(
    rng: np.random.Generator, samples: int, sample_rate: int, low: float, high: float
) -> np.ndarray:
    """Noise between two frequencies in Hz."""
    bins = np.fft.rfftfreq(samples, 1 / sample_rate)
    inside = (bins >= low) & (bins <= high)
    return np.fft.irfft(_spectrum(rng, len(bins)) * inside, samples) * np.sqrt(samples)


def _repeat(
    rng: np.random.Generator, stroke: np.ndarray, rate: float, samples: int, sample_rate: int
) -> np.ndarray:
    """A stroke repeated ``rate`` times a second, from a random moment of the first period."""
    period = sample_rate / rate
    out = np.zeros(samples + len(stroke))
    for start in np.arange(rng.random() * period * 0.5, samples, period).astype(int):
        out[start : start + len(stroke)] += stroke
    return out[:samples]
