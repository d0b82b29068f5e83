"""Training on this machine's CPU against the PyTorch reference, part by part, in turns.

    pip install torch==2.13.0 h5py librosa
    git clone https://github.com/qiuqiangkong/audioset_tagging_cnn
    git clone https://github.com/qiuqiangkong/torchlibrosa
    python benchmarks/training.py --reference audioset_tagging_cnn --torchlibrosa torchlibrosa

Both sides take the same records (ours packed, theirs their own HDF5), batches of 8 clips of 2 s,
and the paper's recipe; each measurement is a fresh process, by turns. Prints for each network the
clips a second of: reading the input; the log-mel layer; the network forward; the update, its batch
in memory (forward, backward, Adam); and everything together, as training runs. Beside them the
share of the machine's matrix product peak, measured in the same process, and the most memory that
the process had by the end of the updates. Expected on two cores: updates at least 1.4 times as
fast, in no more memory. Takes about 15 minutes.
"""

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import (
    RATE,
    in_process,
    print_table,
    ratios,
    reference_flags,
    reference_module,
    resident,
    seconds_of,
    spread,
)
from reading import reference_batches, write_hdf5

CLASSES, CLIPS = 12, 96
PARTS = ("input", "front end", "forward", "update", "everything")


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reference_flags(parser)
    parser.add_argument("--networks", default="Cnn14,Wavegram_Logmel_Cnn14")
    parser.add_argument("--batch-size", type=int, default=8, help="clips per update, after mixing")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a clip")
    parser.add_argument("--mixup", action="store_true", help="mix pairs, as the paper does")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=5, help="in a measurement")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(parts: dict[str, tuple[Callable, int]], times: int) -> dict:
    """Clips a second of all parts, the updates first, while nothing else has taken memory."""
    found = {}
    for name in ("update", "everything", "forward", "front end", "input"):
        call, clips = parts[name]
        for _ in range(2):
            call()
        found[name] = clips / statistics.median(seconds_of(call) for _ in range(times))
        if name == "update":
            found["megabytes"] = resident()["peak"]
    return found


def gigaflops(product: Callable[[], object]) -> float:
    """10^9 floating point operations a second of a product of two matrices of 2048 x 2048."""
    product()
    return 2 * 2048**3 / 1e9 / statistics.median(seconds_of(product) for _ in range(7))


def ours(options: argparse.Namespace) -> dict:
    """This project, as training runs."""
    import tensorflow as tf

    from panns_tf import create_model
    from panns_tf.config import TrainConfig
    from panns_tf.training.data import RecordData
    from panns_tf.training.distribution import distribute, numerics
    from panns_tf.training.evaluator import compiled_predictor
    from panns_tf.training.step import TrainStep

    config = TrainConfig(
        arch=options.networks,
        data=str(options.folder / "pcm16"),
        batch_size=options.batch_size,
        mixup="features" if options.mixup else "none",
    )
    with numerics(config.precision, 0):
        distribution = distribute()
        network = create_model(options.networks, num_classes=CLASSES)
        step = TrainStep(config, network, distribution)
        data = RecordData(config, RATE, distribution)
        batches, inputs = data.batches(0), data.batches(0)
        batch = next(batches)
        kept = iter(tf.data.Dataset.from_tensors(batch).repeat())
        predict = compiled_predictor(network)
        samples = tf.cast(batch["waveform"], tf.float32) / 32767
        layer = network.get_layer("log_mel")
        matrix = tf.random.normal((2048, 2048))

        def update(source) -> None:
            step.run(source, 1)
            step.flush()["loss"].numpy()

        clips = config.clips_per_step
        parts = {
            "update": (lambda: update(kept), options.batch_size),
            "everything": (lambda: update(batches), options.batch_size),
            "forward": (lambda: predict(batch["waveform"]).numpy(), clips),
            "front end": (lambda: layer(samples).numpy(), clips),
            "input": (lambda: next(inputs), clips),
        }
        found = measured(parts, options.updates)
        return {**found, "gigaflops": gigaflops(lambda: tf.matmul(matrix, matrix).numpy())}


def theirs(options: argparse.Namespace) -> dict:
    """The PyTorch reference, by the calls of its own main.py."""
    if options.torchlibrosa:
        sys.path.insert(0, str(options.torchlibrosa.resolve()))
    models = reference_module(options.reference, "models")
    import torch
    from pytorch_utils import do_mixup

    model = getattr(models, options.networks)(RATE, 1024, 320, 64, 50, 14000, CLASSES).train()
    optimizer = torch.optim.Adam(
        model.parameters(), lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=True
    )
    clips = options.batch_size * (2 if options.mixup else 1)
    weights = reference_module(options.reference, "utilities").Mixup(mixup_alpha=1.0)
    index = options.folder / "index.h5"
    batches, inputs = (reference_batches(options.reference, index, clips, RATE) for _ in range(2))
    kept = next(batches)

    def take(batch: dict) -> None:
        waveform, target, weight = torch.Tensor(batch["waveform"]), batch["target"], None
        target = torch.Tensor(np.asarray(target, np.float32))
        if options.mixup:
            weight = torch.Tensor(weights.get_lambda(batch_size=len(waveform)))
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
    parts = {
        "update": (lambda: take(kept), options.batch_size),
        "everything": (lambda: take(next(batches)), options.batch_size),
        "forward": (forward, clips),
        "front end": (front_end, clips),
        "input": (lambda: next(inputs), clips),
    }
    return {**measured(parts, options.updates), "gigaflops": gigaflops(lambda: matrix @ matrix)}


SIDES = {"panns_tf": ours, "reference": theirs}


def report(network: str, options: argparse.Namespace, found: dict[str, list[dict]]) -> None:
    """Prints the table of a network."""
    from panns_tf.complexity import complexity

    pairs = "mixed pairs" if options.mixup else "clips"
    print(f"\n**{network}**, batches of {options.batch_size} {pairs} of {options.seconds:g} s\n")
    # 10^9 operations a clip; an update is a pass forward and two backward.
    forward = 2 * complexity(network, options.seconds, CLASSES).multiply_adds / 1e9
    work = {"forward": forward, "update": 3 * forward, "everything": 3 * forward}
    rows = []
    for part in PARTS:
        cells, speeds = [], [[each[part] for each in found[side]] for side in SIDES]
        for side, values in zip(SIDES, speeds, strict=True):
            peak = statistics.median(each["gigaflops"] for each in found[side])
            share = statistics.median(values) * work.get(part, 0) / peak
            cells += [spread(values, ",.1f")[0], f"{share:.0%}" if share else ""]
        rows.append((part, *cells, ratios(*speeds)))
    memory = [[each["megabytes"] for each in found[side]] for side in SIDES]
    cells = [spread(each)[0] for each in memory]
    rows.append(("most memory, MB", cells[0], "", cells[1], "", ratios(*memory)))
    print_table(("clips a second", "panns_tf", "of peak", "reference", "of peak", "times"), rows)


def main() -> None:
    """Measures and prints."""
    options = parse()
    if options.side:
        print(json.dumps(SIDES[options.side](options)))
        return
    from tfrecords import synthesize_clips

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        settings = {"clip_seconds": options.seconds, "sample_rate": RATE, "num_classes": CLASSES}
        synthesize_clips(folder / "pcm16", clips=CLIPS, **settings)
        write_hdf5(folder / "pcm16", folder)
        for network in options.networks.split(","):
            found: dict[str, list[dict]] = {side: [] for side in SIDES}
            words = [*sys.argv[1:], "--networks", network, "--folder", str(folder)]
            for _ in range(options.rounds):
                for side in SIDES:
                    found[side].append(in_process(__file__, [*words, "--side", side]))
            report(network, options, found)


if __name__ == "__main__":
    main()
