"""Reading balanced batches against the PyTorch reference, both on this machine, in turns.

    pip install torch h5py librosa
    git clone https://github.com/qiuqiangkong/audioset_tagging_cnn
    python benchmarks/reading.py --reference audioset_tagging_cnn [--audio DIR]

Makes clips of 10 s at 32 kHz, mixed from the recordings of a folder or else computed, packs them
as pcm16 and as flac, and writes the same samples to HDF5 as the reference does. Then reads batches
from the page cache: ours by `tfrecords.dataset`, theirs by their own dataset, sampler and
`collate_fn` in a `DataLoader` of two workers, in a process of its own. Needs 3 GB of disk for 1500
clips. Takes about five minutes.
"""

import argparse
import itertools
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import CLASSES, pack, print_table, ratios, reference_module, spread, write_audioset

#: Batches before each measurement: more than either side reads ahead.
WARM_UP = 8
THEIRS = "reference, HDF5"


def write_hdf5(packed: Path, folder: Path) -> None:
    """Writes packed samples as the reference's ``waveforms.h5`` and ``index.h5``."""
    import h5py

    from tfrecords import dataset, load_index

    index = load_index(packed)
    count, info = index.num_clips, index.info
    waveforms = (folder / "waveforms.h5").resolve()
    names, targets = np.zeros(count, "S20"), np.zeros((count, len(info.classes)), bool)
    with h5py.File(waveforms, "w") as file:
        file.create_dataset("waveform", shape=(count, info.clip_samples), dtype=np.int16)
        start = 0
        for batch in dataset(packed, batch_size=64):
            stop = start + len(batch["clip_id"])
            file["waveform"][start:stop] = batch["waveform"].numpy()
            names[start:stop] = [b"Y%s.wav" % name for name in batch["clip_id"].numpy()]
            targets[start:stop] = batch["target"].numpy()
            start = stop
        file.create_dataset("audio_name", data=names)
        file.create_dataset("target", data=targets)
        file.attrs.create("sample_rate", data=info.sample_rate, dtype=np.int32)
    with h5py.File(folder / "index.h5", "w") as file:
        file.create_dataset("audio_name", data=names)
        file.create_dataset("target", data=targets)
        file.create_dataset("hdf5_path", data=[str(waveforms).encode()] * count, dtype="S200")
        file.create_dataset("index_in_hdf5", data=np.arange(count), dtype=np.int32)


def reference_batches(reference: Path, index: Path, batch_size: int, rate: int) -> Iterator[dict]:
    """The reference's batches, by its own loader in two processes."""
    import torch

    module = reference_module(reference, "data_generator")
    loader = torch.utils.data.DataLoader(
        module.AudioSetDataset(sample_rate=rate),
        batch_sampler=module.BalancedTrainSampler(str(index), batch_size),
        collate_fn=module.collate_fn,
        num_workers=2,
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
    batches = reference_batches(reference, folder / "index.h5", batch_size, 32000)
    pipe.send(next(batches))
    while seconds := pipe.recv():
        pipe.send(speed(batches, seconds))


def check_same(theirs: dict, folder: Path) -> None:
    """Ends with an error where the reference's batch has other samples or targets than ours."""
    from tfrecords import dataset

    wanted = {name[1:-4].encode(): i for i, name in enumerate(theirs["audio_name"])}
    for batch in dataset(folder / "pcm16", batch_size=1):
        i = wanted.pop(batch["clip_id"].numpy()[0], None)
        if i is not None:
            ours = (batch["waveform"].numpy()[0] / 32767).astype(np.float32)
            if not (ours == theirs["waveform"][i]).all():
                raise SystemExit("the reference's batch has other samples than ours")
            if not (batch["target"].numpy()[0] == theirs["target"][i]).all():
                raise SystemExit("the reference's batch has other targets than ours")
    if wanted:
        raise SystemExit("the reference's batch has other clips than ours")


def our_batches(folder: Path, batch_size: int) -> dict[str, Iterator[dict]]:
    """What is measured of ours, by name."""
    import tensorflow as tf

    from tfrecords import dataset

    def data(codec: str, **options):
        settings = {"batch_size": batch_size, "sampling": "balanced", "seed": 1}
        return dataset(folder / codec, **settings, **options)

    def as_floats(batch: dict) -> dict:
        return batch | {"waveform": tf.cast(batch["waveform"], tf.float32) / 32767}

    found = {
        "ours, pcm16": data("pcm16"),
        "ours, pcm16, as float32": data("pcm16").map(as_floats, num_parallel_calls=2).prefetch(1),
        "ours, flac": data("flac"),
        "ours, pcm16, to 16 kHz (lowpass)": data("pcm16", sample_rate=16000),
    }
    return {name: iter(each) for name, each in found.items()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR")
    parser.add_argument("--audio", type=Path, metavar="DIR", help="recordings to make clips of")
    parser.add_argument("--clips", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        metadata = write_audioset(folder / "source", options.clips, options.audio)
        for codec in ("pcm16", "flac"):
            pack(metadata, folder / codec, "--codec", codec)
        shutil.rmtree(folder / "source")
        write_hdf5(folder / "pcm16", folder)
        speeds = measure(options, folder)
        sizes = [
            sum(path.stat().st_size for path in (folder / codec).glob("*.tfrecord"))
            for codec in ("pcm16", "flac")
        ]
    print(
        f"{options.clips} clips of 10 s at 32 kHz, {CLASSES} classes, balanced, batches of "
        f"{options.batch}, from the page cache; {options.rounds} rounds in turns"
    )
    header = ("clips a second", "median", "least", "most", "times the reference")
    rows = [(name, *spread(each), ratios(each, speeds[THEIRS])) for name, each in speeds.items()]
    print_table(header, rows)
    print(f"flac takes {sizes[1] / sizes[0]:.0%} of the disk")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, list[float]]:
    """Clips a second of each, round by round."""
    spawn = multiprocessing.get_context("spawn")
    pipe, theirs = spawn.Pipe()
    arguments = (options.reference, folder, options.batch, theirs)
    process = spawn.Process(target=serve_reference, args=arguments)
    process.start()
    theirs.close()
    try:
        check_same(pipe.recv(), folder)
        batches = our_batches(folder, options.batch)
        speeds: dict[str, list[float]] = {name: [] for name in (THEIRS, *batches)}
        for _ in range(options.rounds):
            for name, each in batches.items():
                speeds[name].append(speed(each, options.seconds))
            pipe.send(options.seconds)
            speeds[THEIRS].append(pipe.recv())
        pipe.send(0)
        process.join(60)
    finally:
        process.terminate()
        process.join()
    return speeds


if __name__ == "__main__":
    main()
