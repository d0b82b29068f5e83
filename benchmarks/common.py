"""What the benchmarks share: clips to measure with, the reference's modules, tables."""

import contextlib
import csv
import importlib
import importlib.util
import statistics
import sys
import types
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tfrecords.classes import audioset_classes  # noqa: E402
from tfrecords.decode import decode_clip  # noqa: E402
from tfrecords.sounds import SOUNDS  # noqa: E402
from tfrecords.synthesize import render  # noqa: E402

RATE, SECONDS = 32000, 10
CLASSES = 527
_AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
_MOST_RECORDINGS = 400


def waveforms(clips: int, audio: Path | None, rate: int = RATE) -> Iterator[np.ndarray]:
    """Yields clips of 10 s, float64 in [-0.9, 0.9].

    Each is a mix of two recordings from a folder, repeated where they are shorter, or without a
    folder one to three sounds that are computed.
    """
    samples = SECONDS * rate
    if audio is None:
        names = list(SOUNDS)
        for number in range(clips):
            rng = np.random.default_rng(number)
            kinds = rng.choice(names, rng.integers(1, 4), replace=False)
            yield render(rng, kinds, samples, rate)
        return
    paths = sorted(path for path in audio.rglob("*") if path.suffix.lower() in _AUDIO_ENDINGS)
    if not paths:
        raise SystemExit(f"{audio} holds no audio files")
    recordings = [_recording(path, rate) for path in paths[:_MOST_RECORDINGS]]
    for number in range(clips):
        rng = np.random.default_rng(number)
        mix = np.zeros(samples)
        for which in rng.integers(len(recordings), size=2):
            start = rng.integers(len(recordings[which]))
            mix += rng.uniform(0.2, 1) * np.resize(np.roll(recordings[which], -start), samples)
        yield mix * (rng.uniform(0.3, 0.9) / max(1, np.abs(mix).max()))


def _recording(path: Path, rate: int) -> np.ndarray:
    """A recording of at most 10 s, mono."""
    seconds = min(SECONDS, soundfile.info(path).duration)
    samples = decode_clip(path, rate, max(1, int(seconds * rate)))
    return samples.astype(np.float32) / 32767


def write_audioset(
    folder: Path, clips: int, audio: Path | None, rate: int = RATE, ending: str = "wav"
) -> Path:
    """Writes `audio/Y<id>.<ending>` and `metadata.csv`, as AudioSet has them.

    Every clip has one to three labels, two in the middle, and every class has clips.

    Returns:
        The metadata file.
    """
    if clips < CLASSES:
        raise SystemExit(f"--clips must be at least {CLASSES}: the reference needs every class")
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    ids = audioset_classes().ids
    rng = np.random.default_rng(0)
    metadata = folder / "metadata.csv"
    with metadata.open("w") as file:
        file.write("# Segments csv\n# num_ytids\n")
        file.write("# YTID, start_seconds, end_seconds, positive_labels\n")
        for number, samples in enumerate(waveforms(clips, audio, rate)):
            clip_id = f"{number:011d}"
            path = folder / "audio" / f"Y{clip_id}.{ending}"
            _write(path, samples, rate)
            labels = {number % CLASSES, *rng.integers(CLASSES, size=rng.integers(0, 3))}
            names = ",".join(ids[label] for label in sorted(labels))
            file.write(f'{clip_id}, 0.000, 10.000, "{names}"\n')
    return metadata


def _write(path: Path, samples: np.ndarray, rate: int) -> None:
    if path.suffix != ".ogg":
        soundfile.write(path, samples, rate, subtype="PCM_16")
        return
    # libsndfile's Vorbis encoder takes a stack as large as what it is given.
    with soundfile.SoundFile(path, "w", rate, 1) as file:
        for part in np.array_split(samples, SECONDS):
            file.write(part)


def reference_module(folder: Path, name: str) -> types.ModuleType:
    """Imports a module of the reference's `utils`, as it is; says what it lacked on stderr."""
    folder = folder.resolve()
    utils = folder / "utils"
    if not (utils / f"{name}.py").is_file():
        raise SystemExit(f"{folder} is no checkout of audioset_tagging_cnn: no utils/{name}.py")
    if not hasattr(np, "bool"):  # NumPy 1.24 to 1.26
        np.bool = np.bool_
    if "pandas" not in sys.modules and importlib.util.find_spec("pandas") is None:
        print("pandas, which the reference imports, is stood in for: unused here", file=sys.stderr)
        sys.modules["pandas"] = types.ModuleType("pandas")
    sys.path.insert(0, str(utils))
    with contextlib.chdir(folder):  # it reads its class list relative to there
        return importlib.import_module(name)


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a Markdown table, numbers to the right."""
    rows = [tuple(header), *map(tuple, rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    for number, row in enumerate(rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print(f"| {' | '.join(cells)} |")
        if not number:
            print(
                f"| {' | '.join(['-' * widths[0], *('-' * (w - 1) + ':' for w in widths[1:])])} |"
            )
    sys.stdout.flush()


def spread(values: Sequence[float], form: str = ",.0f") -> tuple[str, str, str]:
    """The median, the least and the most of some rounds, for a table."""
    return tuple(format(f(values), form) for f in (statistics.median, min, max))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """How many times theirs ours are, round by round."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def resident() -> dict[str, float]:
    """MB (10^6 bytes) of this process: resident now, and at most since the last `reset_peak`."""
    status = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in status)
    return {
        name: int(found[key].split()[0]) * 1024 / 1e6
        for name, key in (("now", "VmRSS"), ("peak", "VmHWM"))
    }


def reset_peak() -> None:
    """Forget the most memory that this process has used."""
    Path("/proc/self/clear_refs").write_text("5")


def training_counts() -> np.ndarray:
    """(527,) int: how many clips each class has in AudioSet's training set."""
    path = ROOT / "panns_tf/data/training_clips_per_class.csv"
    with path.open(newline="") as file:
        return np.array([int(row["training_clips"]) for row in csv.DictReader(file)])
