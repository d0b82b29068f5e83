"""Parts of all benchmarks: clips, the reference's modules, timing in turns, tables."""

import contextlib
import csv
import importlib
import importlib.util
import json
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tfrecords.text import markdown_table  # noqa: E402

RATE, SECONDS, CLASSES = 32000, 10, 527
_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
_MOST_RECORDINGS = 400


def waveforms(clips: int, audio: Path | None, rate: int = RATE) -> Iterator[np.ndarray]:
    """Yields clips of 10 s, float64 in [-0.9, 0.9].

    Each is a mix of two recordings of a folder, repeated where they are shorter, or without a
    folder of a chirp, a modulated tone and noise.
    """
    samples = SECONDS * rate
    recordings = [] if audio is None else _recordings(audio, rate)
    for number in range(clips):
        rng = np.random.default_rng(number)
        if recordings:
            mix = np.zeros(samples)
            for which in rng.integers(len(recordings), size=2):
                rolled = np.roll(recordings[which], -rng.integers(len(recordings[which])))
                mix += rng.uniform(0.2, 1) * np.resize(rolled, samples)
        else:
            seconds = np.arange(samples) / rate
            first, second, third = rng.uniform(100, rate / 4, 3)
            mix = np.sin(2 * np.pi * (first + (second - first) * seconds / 20) * seconds)
            mix += np.sin(2 * np.pi * third * seconds) * (np.sin(20 * seconds) > 0)
            mix += rng.uniform(0.01, 0.3) * rng.standard_normal(samples)
        yield mix * (rng.uniform(0.3, 0.9) / max(1, np.abs(mix).max()))


def _recordings(folder: Path, rate: int) -> list[np.ndarray]:
    """The beginnings of the recordings of a folder."""
    from tfrecords.audio import open_audio

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if not paths:
        raise SystemExit(f"{folder} holds no audio files")
    found = []
    for path in paths[:_MOST_RECORDINGS]:
        with open_audio(path, rate) as stream:
            found.append(stream.read(SECONDS * rate))
    return found


def write_audioset(
    folder: Path, clips: int, audio: Path | None, rate: int = RATE, suffix: str = ".wav"
) -> Path:
    """Writes ``audio/Y<id>.wav`` and ``metadata.csv``, in AudioSet's layout.

    Every clip has one to three labels, two on average, and every class has clips.

    Returns:
        The metadata file.
    """
    import soundfile

    if clips < CLASSES:
        raise SystemExit(f"--clips must be at least {CLASSES}: the reference needs every class")
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    ids = audioset_ids()
    rng = np.random.default_rng(0)
    metadata = folder / "metadata.csv"
    with metadata.open("w") as file:
        file.write("# Segments csv\n# num_ytids\n")
        file.write("# YTID, start_seconds, end_seconds, positive_labels\n")
        for number, samples in enumerate(waveforms(clips, audio, rate)):
            path = folder / "audio" / f"Y{number:011d}{suffix}"
            subtype = {"subtype": "VORBIS"} if suffix == ".ogg" else {"subtype": "PCM_16"}
            with soundfile.SoundFile(path, "w", rate, 1, **subtype) as sound:
                # libsndfile's Vorbis encoder takes a stack as large as what it is given.
                for part in np.array_split(samples, SECONDS):
                    sound.write(part)
            labels = {number % CLASSES, *rng.integers(CLASSES, size=rng.integers(0, 3))}
            names = ",".join(ids[label] for label in sorted(labels))
            file.write(f'{number:011d}, 0.000, 10.000, "{names}"\n')
    return metadata


def audioset_ids() -> list[str]:
    """Machine ids of AudioSet's classes, in order."""
    with (ROOT / "tfrecords/data/class_labels_indices.csv").open(newline="") as file:
        return [row["mid"] for row in csv.DictReader(file)]


def training_counts() -> np.ndarray:
    """(527,) int: how many clips each class has in AudioSet's training set."""
    path = ROOT / "panns_tf/data/training_clips_per_class.csv"
    with path.open(newline="") as file:
        return np.array([int(row["training_clips"]) for row in csv.DictReader(file)])


def pack(metadata: Path, output: Path, *flags: str) -> None:
    """Packs the audio beside a metadata file by the command."""
    words = [sys.executable, "-m", "tfrecords", "pack", "--metadata", str(metadata)]
    words += ["--audio", str(metadata.parent / "audio"), "--output", str(output), *flags]
    subprocess.run(words, cwd=ROOT, check=True, stdout=sys.stderr)


def reference_module(folder: Path, name: str) -> types.ModuleType:
    """Imports a module of the reference, audioset_tagging_cnn, as it is."""
    folder = folder.resolve()
    if not (folder / "utils" / "data_generator.py").is_file():
        raise SystemExit(f"{folder} is no checkout of audioset_tagging_cnn")
    if not hasattr(np, "bool"):  # NumPy 1.24 to 1.26
        np.bool = np.bool_
    if "pandas" not in sys.modules and importlib.util.find_spec("pandas") is None:
        sys.modules["pandas"] = types.ModuleType("pandas")  # imported, and not used here
    for place in ("pytorch", "utils"):
        if str(folder / place) not in sys.path:
            sys.path.insert(0, str(folder / place))
    with contextlib.chdir(folder):  # it reads its class list relative to there
        return importlib.import_module(name)


def reference_flags(parser, required: bool = True) -> None:
    """Adds the flags that name the reference's clones."""
    parser.add_argument("--reference", type=Path, required=required, metavar="DIR")
    parser.add_argument("--torchlibrosa", type=Path, metavar="DIR", help="unless installed")


def in_process(file: str, words: Sequence[str]) -> dict:
    """Runs a benchmark file in a process of its own; the last line it prints is JSON."""
    done = subprocess.run([sys.executable, file, *words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def seconds_of(call: Callable[[], object]) -> float:
    """How long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def in_turns(calls: dict[str, Callable], rounds: int, warm_up: bool = False) -> dict[str, list]:
    """Seconds of each call, round by round.

    Args:
        calls: by name; called once before, which compiles and warms up.
        rounds: number of turns.
        warm_up: whether a call that is not counted precedes each: the threads of another library
            spin on for a while after its turn.
    """
    seconds: dict[str, list] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(rounds):
        for name, call in calls.items():
            if warm_up:
                call()
            seconds[name].append(seconds_of(call))
    return seconds


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Prints a Markdown table."""
    print(markdown_table([tuple(header), *map(tuple, rows)]), flush=True)


def spread(values: Sequence[float], form: str = ",.0f") -> tuple[str, str, str]:
    """The median, the least and the most of some rounds, for a table."""
    return tuple(format(f(values), form) for f in (statistics.median, min, max))


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Median, least and most of ours as a multiple of theirs, round by round."""
    each = [a / b for a, b in zip(ours, theirs, strict=True)]
    return f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})"


def resident() -> dict[str, float]:
    """MB (10^6 bytes) of this process: resident now, and at most since the last `reset_peak`."""
    status = Path("/proc/self/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in status)
    keys = {"now": "VmRSS", "peak": "VmHWM"}
    return {name: int(found[key].split()[0]) * 1024 / 1e6 for name, key in keys.items()}


def reset_peak() -> None:
    """Forgets the most memory that this process has used."""
    Path("/proc/self/clear_refs").write_text("5")
