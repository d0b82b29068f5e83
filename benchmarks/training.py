"""Training on this machine's CPU against the PyTorch reference, part by part, in turns.

    pip install torch==2.13.0 h5py librosa
    git clone https://github.com/qiuqiangkong/audioset_tagging_cnn
    git clone https://github.com/qiuqiangkong/torchlibrosa
    python benchmarks/training.py --reference audioset_tagging_cnn --torchlibrosa torchlibrosa

Both sides take the same records (ours packed, theirs their own HDF5), batches of 8 clips of 2 s,
and the paper's recipe; each measurement is a fresh process, by turns. Prints for each network the
clips per second of: reading the input; the log-mel layer; the network forward; the update, its
batch in memory (forward, backward, Adam); and everything together, as training runs. Beside them
the share of the machine's matrix product peak, measured in the same process, and the most memory
that the process had by the end of the updates. Expected on two cores: updates at least 1.4 times as
fast, in no more memory. Takes about 15 minutes. None of the reference's code is part of this
project.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from common import print_table, ratios, reference_module, resident, spread

CLASSES = 12
CLIPS = 96
RATE = 32000
PARTS = ("input", "front end", "forward", "update", "everything")


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR")
    parser.add_argument("--torchlibrosa", type=Path, metavar="DIR", help="if it is not installed")
    parser.add_argument("--networks", default="Cnn14,Wavegram_Logmel_Cnn14")
    parser.add_argument("--batch-size", type=int, default=8, help="clips per update, after mixing")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a clip")
    parser.add_argument("--mixup", action="store_true", help="mix pairs, as the paper does")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=5, help="in a measurement")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def speed(take: Callable[[], None], clips: int, times: int) -> float:
    """Clips a second: the median of so many calls, each of so many clips."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        take()
        seconds.append(time.perf_counter() - began)
    return clips / statistics.median(seconds)


def gigaflops(product: Callable[[], None], size: int = 2048) -> float:
    """10^9 floating point operations a second of a product of two square matrices."""
    product()
    return speed(product, 1, 7) * 2 * size**3 / 1e9


def measured(parts: dict[str, tuple[Callable, int]], options: argparse.Namespace, memory) -> dict:
    """Measures all parts, the updates first, while nothing else has taken memory."""
    found = {}
    for name in ("update", "everything", "forward", "front end", "input"):
        take, clips = parts[name]
        for _ in range(2):
            take()
        found[name] = speed(take, clips, options.updates)
        if name == "update":
            found["megabytes"] = memory()["peak"]
    return found


def drawn(options: argparse.Namespace) -> int:
    """Clips drawn for one update."""
    return options.batch_size * (2 if options.mixup else 1)


def ours(options: argparse.Namespace) -> dict:
    """This project, as train.py has it."""
    from tfrecords.quiet import import_tensorflow_quietly

    import_tensorflow_quietly()
    import keras
    import tensorflow as tf

    from panns_tf import create_model
    from panns_tf.config import TrainConfig
    from panns_tf.training.data import RecordData
    from panns_tf.training.distribution import distribute
    from panns_tf.training.evaluator import compiled_predictor
    from panns_tf.training.step import TrainStep

    tf.config.experimental.enable_op_determinism()
    distribution = distribute()
    keras.utils.set_random_seed(0)
    config = TrainConfig(
        arch=options.networks,
        data=str(options.folder / "pcm16"),
        batch_size=options.batch_size,
        mixup="features" if options.mixup else "none",
    )
    network = create_model(options.networks, num_classes=CLASSES)
    update = TrainStep(config, network, distribution)
    data = RecordData(config, RATE, distribution)
    batches, inputs = data.batches(0), data.batches(0)
    batch = next(batches)
    same = iter(tf.data.Dataset.from_tensors(batch).repeat())

    def take(batches: Iterator) -> None:
        update.run(batches, 1)
        update.flush()["loss"].numpy()

    predict = compiled_predictor(network)
    samples = tf.cast(batch["waveform"], tf.float32) / 32767
    layer = network.get_layer("log_mel")
    matrix = tf.random.normal((2048, 2048))
    clips = drawn(options)
    parts = {
        "update": (lambda: take(same), options.batch_size),
        "everything": (lambda: take(batches), options.batch_size),
        "forward": (lambda: predict(batch["waveform"]).numpy(), clips),
        "front end": (lambda: layer(samples).numpy(), clips),
        "input": (lambda: next(inputs), clips),
    }
    found = measured(parts, options, resident)
    return {**found, "gigaflops": gigaflops(lambda: tf.matmul(matrix, matrix).numpy())}


def theirs(options: argparse.Namespace) -> dict:
    """The PyTorch reference, by the calls of its own main.py."""
    for folder in (options.reference / "pytorch", options.reference / "utils"):
        sys.path.insert(0, str(folder.resolve()))
    if options.torchlibrosa:
        sys.path.insert(0, str(options.torchlibrosa.resolve()))
    import models
    import torch
    from pytorch_utils import do_mixup

    model = getattr(models, options.networks)(RATE, 1024, 320, 64, 50, 14000, CLASSES).train()
    optimizer = torch.optim.Adam(
        model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=True
    )
    weights = reference_module(options.reference, "utilities").Mixup(mixup_alpha=1.0)
    batches, inputs = (reference_batches(options) for _ in range(2))
    kept = next(batches)
    kept = {name: np.array(value) for name, value in kept.items()}

    def take(batch: dict) -> None:
        waveform, target = torch.Tensor(batch["waveform"]), torch.Tensor(batch["target"])
        weight = None
        if options.mixup:
            weight = torch.Tensor(weights.get_lambda(batch_size=len(batch["waveform"])))
            target = do_mixup(target, weight)
        output = model(waveform, weight)["clipwise_output"]
        loss = torch.nn.functional.binary_cross_entropy(output, target)
        loss.backward()
        loss.item()
        optimizer.step()
        optimizer.zero_grad()

    def forward() -> None:
        model.eval()
        with torch.no_grad():
            model(samples, None)["clipwise_output"].numpy()
        model.train()

    def front_end() -> None:
        with torch.no_grad():
            model.logmel_extractor(model.spectrogram_extractor(samples)).numpy()

    samples = torch.Tensor(kept["waveform"])
    matrix = torch.randn(2048, 2048)
    clips = drawn(options)
    parts = {
        "update": (lambda: take(kept), options.batch_size),
        "everything": (lambda: take(next(batches)), options.batch_size),
        "forward": (forward, clips),
        "front end": (front_end, clips),
        "input": (lambda: next(inputs), clips),
    }
    found = measured(parts, options, resident)
    return {**found, "gigaflops": gigaflops(lambda: matrix @ matrix)}


def reference_batches(options: argparse.Namespace) -> Iterator[dict]:
    """The reference's own loader, in two processes."""
    import torch

    module = reference_module(options.reference, "data_generator")
    sampler = module.BalancedTrainSampler(str(options.folder / "index.h5"), drawn(options))
    loader = torch.utils.data.DataLoader(
        module.AudioSetDataset(sample_rate=RATE),
        batch_sampler=sampler,
        collate_fn=module.collate_fn,
        num_workers=2,
        multiprocessing_context="fork",
    )
    return iter(loader)


SIDES = {"panns_tf": ours, "reference": theirs}


def prepare(folder: Path, seconds: float) -> None:
    """Writes the same synthetic clips as packed records and as the reference's HDF5."""
    from reading import write_hdf5

    from tfrecords import synthesize_clips

    synthesize_clips(
        folder / "pcm16",
        clips=CLIPS,
        clip_seconds=seconds,
        sample_rate=RATE,
        num_classes=CLASSES,
        progress=False,
    )
    write_hdf5(folder)


def in_a_process(options: argparse.Namespace, network: str, side: str, folder: Path) -> dict:
    """Measures one side of one network once."""
    words = [sys.executable, __file__, "--side", side, "--networks", network]
    words += ["--reference", str(options.reference), "--folder", str(folder)]
    words += ["--batch-size", str(options.batch_size), "--seconds", str(options.seconds)]
    words += ["--updates", str(options.updates), *(["--mixup"] if options.mixup else [])]
    if options.torchlibrosa:
        words += ["--torchlibrosa", str(options.torchlibrosa)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{side}, {network}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def work_per_clip(network: str, seconds: float) -> dict[str, float]:
    """10^9 floating point operations a clip; an update is a pass forward and two backward."""
    from panns_tf.complexity import complexity

    forward = 2 * complexity(network, seconds, CLASSES).multiply_adds / 1e9
    return {"forward": forward, "update": 3 * forward, "everything": 3 * forward}


def report(network: str, options: argparse.Namespace, found: dict[str, list[dict]]) -> None:
    """Prints the table of a network."""
    mixed = "mixed pairs" if options.mixup else "clips"
    print(f"\n**{network}**, batches of {options.batch_size} {mixed} of {options.seconds:g} s\n")
    work = work_per_clip(network, options.seconds)
    rows = []
    for part in PARTS:
        mine, other = ([each[part] for each in found[side]] for side in SIDES)
        cells = []
        for side, values in (("panns_tf", mine), ("reference", other)):
            peak = statistics.median(each["gigaflops"] for each in found[side])
            share = statistics.median(values) * work[part] / peak if part in work else None
            cells += [spread(values, ",.1f")[0], f"{share:.0%}" if share else ""]
        rows.append((part, *cells, ratios(mine, other)))
    memory = [[each["megabytes"] for each in found[side]] for side in SIDES]
    rows.append(
        ("most memory, MB", spread(memory[0])[0], "", spread(memory[1])[0], "", ratios(*memory))
    )
    header = ("clips a second", "panns_tf", "of peak", "reference", "of peak", "times")
    print_table(header, rows)


def main() -> None:
    """Measures and prints."""
    options = parse()
    if options.side:
        print(json.dumps(SIDES[options.side](options)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder, options.seconds)
        for network in options.networks.split(","):
            found = {side: [] for side in SIDES}
            for _ in range(options.rounds):
                for side in SIDES:
                    found[side].append(in_a_process(options, network, side, folder))
            report(network, options, found)


if __name__ == "__main__":
    main()
