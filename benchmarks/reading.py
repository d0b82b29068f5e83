"""Reading balanced batches against the PyTorch reference, both on this machine, in turns.

    pip install torch h5py librosa
    git clone https://github.com/qiuqiangkong/audioset_tagging_cnn
    python benchmarks/reading.py --reference audioset_tagging_cnn [--audio DIR]

Makes clips of 10 s at 32 kHz, mixed from the recordings in a folder or else computed, packs them
as pcm16 and as flac, and writes the same samples to HDF5 as the reference does. Then reads batches
from the page cache: ours by `tfrecords.dataset`, theirs by their own dataset, sampler and
`collate_fn` in a `DataLoader` of two workers, in a process of its own. Needs 3 GB of disk for 1500
clips. Takes about five minutes. None of the reference's code is part of this project.
"""

import argparse
import itertools
import json
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import CLASSES, print_table, ratios, reference_module, spread, write_audioset

from tfrecords.index import load_index
from tfrecords.pack import pack_clips
from tfrecords.quiet import import_tensorflow_quietly
from tfrecords.records import RecordReader
from tfrecords.settings import PackSettings

# Before each measurement: more than either side reads ahead.
WARM_UP = 8
BLOCK = 64  # clips written to HDF5 at a time
THEIRS = "reference, HDF5"


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR")
    parser.add_argument("--audio", type=Path, metavar="DIR", help="recordings to make clips of")
    parser.add_argument("--clips", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--folder", type=Path, help="where the clips are kept, and used again")
    return parser.parse_args()


def prepare(folder: Path, clips: int, audio: Path | None) -> None:
    """Writes `pcm16/`, `flac/`, `waveforms.h5` and `index.h5`, all of the same samples."""
    made = folder / "made.json"
    wanted = {"clips": clips, "audio": audio and str(audio.resolve())}
    if made.exists() and json.loads(made.read_text()) == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    names = ("made.json", "source", "pcm16", "flac", "waveforms.h5", "index.h5")
    if any((folder / name).exists() for name in names):
        raise SystemExit(f"{folder} holds other clips, or part of some; choose another folder")
    metadata = write_audioset(folder / "source", clips, audio)
    for codec in ("pcm16", "flac"):
        settings = PackSettings(metadata, folder / "source" / "audio", folder / codec, codec=codec)
        pack_clips(settings, progress=False)
    shutil.rmtree(folder / "source")
    write_hdf5(folder)
    made.write_text(json.dumps(wanted))


def write_hdf5(folder: Path) -> None:
    """Writes the packed samples as the reference's two HDF5 files."""
    import h5py

    index = load_index(folder / "pcm16")
    reader, count = RecordReader(index), index.num_clips
    names = [b"Y%s.wav" % clip_id for clip_id in index.clip_ids.tolist()]
    targets = index.targets().astype(bool)
    waveforms = (folder / "waveforms.h5").resolve()
    with h5py.File(waveforms, "w") as file:
        file.create_dataset("audio_name", data=names, dtype="S20")
        file.create_dataset("target", data=targets, dtype=bool)
        file.create_dataset("waveform", shape=(count, index.info.clip_samples), dtype=np.int16)
        file.attrs.create("sample_rate", data=index.info.sample_rate, dtype=np.int32)
        for start in range(0, count, BLOCK):
            clips = np.arange(start, min(start + BLOCK, count))
            file["waveform"][start : start + BLOCK] = reader.waveforms(clips)[0]
    with h5py.File(folder / "index.h5", "w") as file:
        file.create_dataset("audio_name", data=names, dtype="S20")
        file.create_dataset("target", data=targets, dtype=bool)
        file.create_dataset("hdf5_path", data=[str(waveforms).encode()] * count, dtype="S200")
        file.create_dataset("index_in_hdf5", data=np.arange(count), dtype=np.int32)


def reference_batches(reference: Path, folder: Path, batch_size: int) -> Iterator[dict]:
    """Returns the reference's batches, by its own loader."""
    import torch

    theirs = reference_module(reference, "data_generator")
    sampler = theirs.BalancedTrainSampler(str(folder / "index.h5"), batch_size)
    loader = torch.utils.data.DataLoader(
        theirs.AudioSetDataset(sample_rate=32000),
        batch_sampler=sampler,
        collate_fn=theirs.collate_fn,
        num_workers=2,
        pin_memory=False,
        multiprocessing_context="fork",  # as on Linux when the reference was written
    )
    return iter(loader)


def speed(batches: Iterator[dict], seconds: float) -> float:
    """Clips a second, over at least so many seconds."""
    for _ in itertools.islice(batches, WARM_UP):
        pass
    clips, began = 0, time.perf_counter()
    while (passed := time.perf_counter() - began) < seconds:
        clips += next(batches)["waveform"].shape[0]
    return clips / passed


def serve_reference(reference: Path, folder: Path, batch_size: int, pipe) -> None:
    """In a process without TensorFlow: sends one batch, then a speed whenever asked for."""
    batches = reference_batches(reference, folder, batch_size)
    pipe.send(next(batches))
    while seconds := pipe.recv():
        pipe.send(speed(batches, seconds))


def check_same(theirs: dict, folder: Path) -> None:
    """Stops where the reference's batch has other samples or targets than ours."""
    index = load_index(folder / "pcm16")
    numbers = {clip_id: number for number, clip_id in enumerate(index.clip_ids.tolist())}
    clips = np.array([numbers[name[1:-4].encode()] for name in theirs["audio_name"]])
    ours = RecordReader(index).waveforms(clips)[0]
    same = (ours / 32767).astype(np.float32) == theirs["waveform"]
    if not (same.all() and (index.targets(clips) == theirs["target"]).all()):
        raise SystemExit("the reference's batch differs from ours")


def our_datasets(folder: Path, batch_size: int) -> dict:
    """Returns what is measured of ours, by name."""
    import tensorflow as tf

    from tfrecords import dataset

    def data(codec: str, **options):
        return dataset(
            folder / codec, batch_size=batch_size, sampling="balanced", seed=1, **options
        )

    def as_floats(batch: dict) -> dict:
        return batch | {"waveform": tf.cast(batch["waveform"], tf.float32) / 32767}

    return {
        "ours, pcm16": data("pcm16"),
        "ours, pcm16, as float32": data("pcm16").map(as_floats, num_parallel_calls=2).prefetch(1),
        "ours, flac": data("flac"),
        "ours, pcm16, to 16 kHz (lowpass)": data("pcm16", sample_rate=16000),
    }


def main() -> None:
    """Measures and prints."""
    options = parse()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        prepare(folder, options.clips, options.audio)
        measure(options, folder)


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Measures and prints, once the clips are there."""
    spawn = multiprocessing.get_context("spawn")
    pipe, theirs = spawn.Pipe()
    arguments = (options.reference, folder, options.batch, theirs)
    process = spawn.Process(target=serve_reference, args=arguments)
    process.start()
    theirs.close()
    try:
        import_tensorflow_quietly()
        batch = pipe.recv()
        check_same(batch, folder)
        datasets = our_datasets(folder, options.batch)
        batches = {name: iter(data) for name, data in datasets.items()}
        kinds = {name: data.element_spec["waveform"].dtype.name for name, data in datasets.items()}
        kinds[THEIRS] = batch["waveform"].dtype.name
        speeds = {name: [] for name in (THEIRS, *batches)}
        for _ in range(options.rounds):
            for name, own in batches.items():
                speeds[name].append(speed(own, options.seconds))
            pipe.send(options.seconds)
            speeds[THEIRS].append(pipe.recv())
        pipe.send(0)
        process.join(60)
    finally:
        process.terminate()
        process.join()
    report(options, folder, speeds, kinds)


def report(options: argparse.Namespace, folder: Path, speeds: dict, kinds: dict) -> None:
    """Prints the table."""
    total = {
        codec: sum(shard.bytes for shard in load_index(folder / codec).info.shards)
        for codec in ("pcm16", "flac")
    }
    print(
        f"{options.clips} clips of 10 s at 32 kHz, {CLASSES} classes, balanced, batches of "
        f"{options.batch}, from the page cache; {options.rounds} rounds in turns of "
        f"{options.seconds:g} s"
    )
    print_table(
        ("clips a second", "samples", "median", "least", "most", "times the reference"),
        [
            (name, kinds[name], *spread(values), ratios(values, speeds[THEIRS]))
            for name, values in speeds.items()
        ],
    )
    pcm, flac = total["pcm16"], total["flac"]
    made = f"mixes from {options.audio.name}" if options.audio else "computed sounds"
    print(
        f"pcm16 {pcm / 1e6:.0f} MB, flac {flac / 1e6:.0f} MB: {flac / pcm:.0%} of it ({made}); "
        f"ours reads {statistics.median(speeds['ours, pcm16']) * pcm / options.clips / 1e9:.1f} "
        "GB of pcm16 a second"
    )


if __name__ == "__main__":
    main()
