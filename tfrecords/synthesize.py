"""A small data set of synthetic sounds: real audio files, their metadata, and the packed records.

For trying programs and for tests: these are sounds computed from formulas, NOT AudioSet.
"""

import csv
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from tfrecords.errors import TFRecordsError
from tfrecords.info import FILE_NAME
from tfrecords.pack import pack_clips
from tfrecords.report import PackReport
from tfrecords.settings import PackSettings, check_settings
from tfrecords.sounds import SOUNDS, background

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
    workers: int = 1,
    progress: bool = True,
) -> PackReport:
    """Write `audio/*.wav`, `metadata.csv` and `labels.csv` into `output`, and pack them there.

    Each clip holds 1 to 3 different sounds over noise. Classes are geometrically less frequent,
    20 to 1 from the first to the last. A clip is a function of seed, split, its number and the
    number of clips and classes: the same arguments write the same bytes.

    Args:
        clips: how many; below about 30 the ratio of 20 to 1 is only approximate.
        clip_seconds: length of a clip, s.
        sample_rate: Hz, at least 8000.
        seed: any integer.
        split: the name of the split; another split with the same seed has other sounds.
        num_classes: take only the first so many of the 12 classes.

    Raises:
        TFRecordsError: a wrong argument, or `output` already holds records.
    """
    names = list(SOUNDS)[:num_classes]
    if num_classes is not None and not 1 <= num_classes <= len(SOUNDS):
        raise TFRecordsError(f"classes must lie in 1 to {len(SOUNDS)}, got {num_classes}")
    if clips < 1:
        raise TFRecordsError(f"clips must be at least 1, got {clips}")
    if sample_rate < 8000:
        raise TFRecordsError(f"synthetic sounds need 8000 Hz or more, got {sample_rate}")
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
    check_settings(settings)
    if clip_seconds < 0.25:
        raise TFRecordsError(f"synthetic clips must be 0.25 s or longer, got {clip_seconds}")
    paths = (output / FILE_NAME, settings.metadata, settings.labels, settings.audio)
    taken = [path for path in paths if path.exists()]
    if taken:
        raise TFRecordsError(f"{taken[0]} is there already; choose another output folder")
    settings.audio.mkdir(parents=True, exist_ok=True)

    root = (seed & 0xFFFFFFFFFFFFFFFF, zlib.crc32(split.encode()))
    labels = assign_labels(np.random.default_rng(root), clips, len(names))
    _write_rows(settings.labels, ("display_name",), ([name] for name in names))
    files = [f"{split}_{number:05d}.wav" for number in range(clips)]
    rows = [
        (file, ";".join(names[label] for label in kinds))
        for file, kinds in zip(files, labels, strict=True)
    ]
    _write_rows(settings.metadata, ("filename", "labels"), rows)
    with tqdm(total=clips, unit="sound", disable=not progress) as bar:
        for number, (file, kinds) in enumerate(zip(files, labels, strict=True)):
            rng = np.random.default_rng((*root, number))
            audio = render(rng, [names[k] for k in kinds], settings.clip_samples, sample_rate)
            soundfile.write(settings.audio / file, audio, sample_rate, subtype="PCM_16")
            bar.update()
    return pack_clips(settings, progress=progress)


def class_counts(clips: int, num_classes: int) -> np.ndarray:
    """How many clips each class gets: geometric, the first 20 times the last.

    (num_classes,) int, each at least 1 and at most `clips`. Between `clips` and 3 * `clips`
    in all wherever that is possible, so that every clip can have 1 to 3 classes.
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
    """Give each clip 1 to 3 different classes such that each class has exactly its count."""
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
    """One clip: sounds that each last 60 to 100 % of it, 10 to 20 dB above a noise.

    (samples,) float64 in [-0.9, 0.9].
    """
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


def _write_rows(path: Path, header: tuple[str, ...], rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
