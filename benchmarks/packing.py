"""Packing against the PyTorch reference, both on this machine, in turns.

    pip install h5py librosa
    git clone https://github.com/qiuqiangkong/audioset_tagging_cnn
    python benchmarks/packing.py --reference audioset_tagging_cnn [--audio DIR]

Packs clips of 10 s, once from wav files of 32 kHz, which need no resampling, and once from Ogg
Vorbis files of 44.1 kHz: ours with two processes, checksums and every file synced to the disk;
theirs by `pack_waveforms_to_hdf5`, one process that leaves the disk to the system, its log off.
All from the page cache. Also measures two limits: decoding alone in two processes, and writing as
many bytes to the disk. Takes about ten minutes, and 3 GB of disk.
"""

import argparse
import contextlib
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from common import (
    RATE,
    SECONDS,
    print_table,
    ratios,
    reference_module,
    seconds_of,
    spread,
    write_audioset,
)

CORES = 2
#: Sample rate, suffix, and how many times --clips: more of what is fast, since starting the
#: workers takes as long as hundreds of such clips.
SETS = {"32 kHz wav": (32000, ".wav", 3), "44.1 kHz Ogg Vorbis": (44100, ".ogg", 1)}
THEIRS = "reference"


def make_files(folder: Path, clips: int, audio: Path | None, rate: int, suffix: str) -> None:
    """Writes files and their metadata, and the same files under the reference's names."""
    write_audioset(folder, clips, audio, rate, suffix)
    (folder / "named").mkdir()
    for path in (folder / "audio").iterdir():
        (folder / "named" / path.with_suffix(".wav").name).symlink_to(path)
        path.read_bytes()  # into the page cache


def ours(folder: Path, clips: int, codec: str) -> None:
    """Packs with this project."""
    from tfrecords import PackSettings, pack_clips

    settings = PackSettings(
        folder / "metadata.csv",
        folder / "audio",
        folder / "packed",
        codec=codec,
        clips_per_shard=-(-clips // 6),  # several for each process, as with a whole data set
        workers=CORES,
    )
    if pack_clips(settings).info.num_clips != clips:
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
    from tfrecords.audio import open_audio

    for path in paths:
        with open_audio(path, RATE) as stream:
            stream.read_int16(SECONDS * RATE)


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


def timed(folder: Path, call) -> float:
    """Seconds of a call, with the disk at rest before; removes what it packed."""
    os.sync()
    seconds = seconds_of(call)
    shutil.rmtree(folder / "packed", ignore_errors=True)
    return seconds


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR")
    parser.add_argument("--audio", type=Path, metavar="DIR", help="recordings to make clips of")
    parser.add_argument("--clips", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    module = reference_module(options.reference, "dataset")
    module.create_logging = lambda *arguments, **named: None
    with (
        tempfile.TemporaryDirectory() as temporary,
        contextlib.chdir(temporary),  # for its empty log folder
        ProcessPoolExecutor(CORES) as pool,
    ):
        list(pool.map(time.sleep, [0.1] * CORES))  # starts them
        for name, (rate, suffix, times) in SETS.items():
            folder, clips = Path(temporary) / suffix[1:], times * options.clips
            make_files(folder, clips, options.audio, rate, suffix)
            calls = {
                THEIRS: partial(theirs, module, folder),
                "ours, pcm16": partial(ours, folder, clips, "pcm16"),
                "ours, flac": partial(ours, folder, clips, "flac"),
                f"limit: decoding alone, {CORES} processes": partial(decode_all, pool, folder),
                "limit: the disk, written and synced": partial(write, folder, clips),
            }
            timed(folder, partial(theirs, module, folder, mini=True))  # loads what it needs
            speeds: dict[str, list[float]] = {what: [] for what in calls}
            for _ in range(options.rounds):
                for what, call in calls.items():
                    speeds[what].append(clips / timed(folder, call))
            print(f"{clips} clips of 10 s from {name}, {options.rounds} rounds in turns")
            print_table(
                ("clips a second", "median", "least", "most", "times the reference"),
                [(what, *spread(v), ratios(v, speeds[THEIRS])) for what, v in speeds.items()],
            )
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
