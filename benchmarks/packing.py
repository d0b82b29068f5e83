"""Packing against the PyTorch reference, both on this machine, in turns.

    pip install h5py librosa
    git clone https://github.com/qiuqiangkong/audioset_tagging_cnn
    python benchmarks/packing.py --reference audioset_tagging_cnn [--audio DIR]

Packs clips of 10 s, once from wav files of 32 kHz, which need no resampling, and once from Ogg
Vorbis files of 44.1 kHz: ours by `pack_clips` with two workers and its file on the disk at the end;
theirs by `pack_waveforms_to_hdf5`, which has one process and leaves the disk to the system. Its
log is off. All of it from the page cache. Also measures the two limits: decoding alone, in two
processes, and writing as many bytes to the disk. Takes about ten minutes, and 3 GB of disk. None
of the reference's code is part of this project.
"""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from common import (
    RATE,
    ROOT,
    SECONDS,
    print_table,
    ratios,
    reference_module,
    spread,
    write_audioset,
)

from tfrecords.decode import decode_clip
from tfrecords.pack import pack_clips
from tfrecords.settings import PackSettings

CORES = 2
# So that each process has several shards, as with a whole data set.
SHARDS = 6
# Sample rate, ending, and how many times --clips there are: of what is fast more, since starting
# the workers takes as long as hundreds of such clips.
SETS = {"32 kHz wav": (32000, "wav", 3), "44.1 kHz Ogg Vorbis": (44100, "ogg", 1)}
OURS, THEIRS = "ours, pcm16", "reference"
DECODING = f"limit: decoding alone, {CORES} processes"


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR")
    parser.add_argument("--audio", type=Path, metavar="DIR", help="recordings to make clips of")
    parser.add_argument("--clips", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def make_files(folder: Path, clips: int, audio: Path | None, rate: int, ending: str) -> None:
    """Writes files and their metadata, and the same files under the names the reference expects."""
    write_audioset(folder, clips, audio, rate, ending)
    (folder / "named").mkdir()
    for path in (folder / "audio").iterdir():
        (folder / "named" / path.with_suffix(".wav").name).symlink_to(path)
        path.read_bytes()  # into the page cache


def ours(folder: Path, clips: int, codec: str) -> None:
    """Packs with this project."""
    settings = PackSettings(
        folder / "metadata.csv",
        folder / "audio",
        folder / "packed",
        codec=codec,
        clips_per_shard=-(-clips // SHARDS),
        workers=CORES,
    )
    if pack_clips(settings, progress=False).info.num_clips != clips:
        raise SystemExit("not every clip was packed")


def theirs(module, folder: Path, mini: bool = False) -> None:
    """Packs with the reference."""
    (folder / "packed").mkdir()
    module.pack_waveforms_to_hdf5(
        argparse.Namespace(
            audios_dir=str(folder / "named"),
            csv_path=str(folder / "metadata.csv"),
            waveforms_hdf5_path=str(folder / "packed" / "waveforms.h5"),
            mini_data=mini,
        )
    )


def decode(paths: list[Path]) -> None:
    """Decodes files, and drops the samples."""
    for path in paths:
        decode_clip(path, RATE, SECONDS * RATE)


def decode_all(pool: ProcessPoolExecutor, folder: Path) -> None:
    """Decodes all files in as many processes as there are cores."""
    paths = sorted((folder / "audio").iterdir())
    list(pool.map(decode, (paths[core::CORES] for core in range(CORES))))


def write(folder: Path, clips: int) -> None:
    """Writes as many bytes as the records have, and waits for the disk."""
    (folder / "packed").mkdir()
    clip = os.urandom(2 * SECONDS * RATE)
    with (folder / "packed" / "bytes").open("wb") as file:
        for _ in range(clips):
            file.write(clip)
        file.flush()
        os.fsync(file.fileno())


def seconds(folder: Path, function: Callable[[], None]) -> float:
    """How long a call takes, with the disk at rest before; removes what it packed."""
    os.sync()
    began = time.perf_counter()
    function()
    passed = time.perf_counter() - began
    shutil.rmtree(folder / "packed", ignore_errors=True)
    return passed


def main() -> None:
    """Measures and prints."""
    options = parse()
    module = reference_module(options.reference, "dataset")
    module.create_logging = lambda *arguments, **named: None
    with (
        tempfile.TemporaryDirectory() as temporary,
        contextlib.chdir(temporary),  # for its empty log folder
        ProcessPoolExecutor(CORES) as pool,
    ):
        list(pool.map(time.sleep, [0.1] * CORES))  # starts them
        for name, (rate, ending, times) in SETS.items():
            folder, clips = Path(temporary) / ending, times * options.clips
            make_files(folder, clips, options.audio, rate, ending)
            speeds = measure(options.rounds, folder, clips, module, pool)
            print(f"{clips} clips of 10 s from {name}, {options.rounds} rounds in turns")
            report(speeds, clips)
            shutil.rmtree(folder)


def measure(
    rounds: int, folder: Path, clips: int, module, pool: ProcessPoolExecutor
) -> dict[str, list[float]]:
    """Clips a second of everything, round by round."""
    functions = {
        THEIRS: partial(theirs, module, folder),
        OURS: partial(ours, folder, clips, "pcm16"),
        "ours, flac": partial(ours, folder, clips, "flac"),
        DECODING: partial(decode_all, pool, folder),
        "limit: the disk, written and synced": partial(write, folder, clips),
    }
    # Untimed, what loads or grows once.
    seconds(folder, partial(theirs, module, folder, mini=True))
    seconds(folder, functions[DECODING])
    speeds = {what: [] for what in functions}
    for _ in range(rounds):
        for what, function in functions.items():
            speeds[what].append(clips / seconds(folder, function))
    return speeds


def report(speeds: dict[str, list[float]], clips: int) -> None:
    """Prints the table of one set of files."""
    print_table(
        ("clips a second", "median", "least", "most", "times the reference"),
        [
            (what, *spread(values), ratios(values, speeds[THEIRS]))
            for what, values in speeds.items()
        ],
    )
    share = statistics.median(a / b for a, b in zip(speeds[OURS], speeds[DECODING], strict=True))
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import tfrecords.worker"], cwd=ROOT, check=True)
    print(
        f"ours, pcm16, runs at {share:.0%} of the limit of decoding; a worker starts in "
        f"{time.perf_counter() - began:.2f} s of the {clips / statistics.median(speeds[OURS]):.1f} "
        "s that it takes in all\n",
        flush=True,
    )


if __name__ == "__main__":
    main()
