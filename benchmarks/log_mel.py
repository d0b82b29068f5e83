"""Log-mel throughput against torchlibrosa, both on this machine, in turns, in one process.

    pip install torch
    git clone https://github.com/qiuqiangkong/torchlibrosa
    python benchmarks/log_mel.py --reference torchlibrosa

Expected on two cores of an AMD EPYC: at least 6 times the reference (see benchmarks/README.md).
Takes about a minute. None of the reference's code is part of this project.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from tfrecords.quiet import import_tensorflow_quietly


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--reference",
        type=Path,
        required=True,
        help="folder that holds the torchlibrosa package, or a checkout of its repository",
    )
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=21)
    return parser.parse_args()


def ours(waveform: np.ndarray) -> Callable[[], np.ndarray]:
    """Returns a call of this project's layer on a TensorFlow tensor, as in a model."""
    import tensorflow as tf

    from panns_tf import LogMel

    layer = LogMel(32000, 1024, 320, 64, 50, 14000)
    tensor = tf.constant(waveform)
    return lambda: layer(tensor).numpy()


def theirs(waveform: np.ndarray, folder: Path) -> Callable[[], np.ndarray]:
    """Returns a call of torchlibrosa's layers, with the settings of the PANNs, on a tensor."""
    sys.path.insert(0, str(folder.resolve()))
    import torch
    from torchlibrosa.stft import LogmelFilterBank, Spectrogram

    spectrogram = Spectrogram(1024, 320, 1024, "hann", True, "reflect", freeze_parameters=True)
    log_mel = LogmelFilterBank(32000, 1024, 64, 50, 14000, ref=1.0, amin=1e-10, top_db=None)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")

    tensor = torch.from_numpy(waveform)

    def call() -> np.ndarray:
        with torch.no_grad():
            return log_mel(spectrogram(tensor))[:, 0].numpy()

    return call


def main() -> None:
    """Measures and prints."""
    options = parse()
    import_tensorflow_quietly()
    rng = np.random.default_rng(0)
    shape = (options.batch, int(options.seconds * 32000))
    waveform = rng.uniform(-0.5, 0.5, shape).astype("float32")
    functions = {"panns_tf": ours(waveform), "torchlibrosa": theirs(waveform, options.reference)}
    outputs = [function() for function in functions.values()]  # compiles and warms up
    print(f"largest difference: {np.abs(outputs[0] - outputs[1]).max():.1e} dB")
    seconds = {name: [] for name in functions}
    for _ in range(options.rounds):
        for name, function in functions.items():
            function()  # untimed: the other library's threads spin on for a while after its turn
            began = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - began)
    ratios = [b / a for a, b in zip(*seconds.values(), strict=True)]
    print(f"batch {options.batch} x {options.seconds:g} s, {options.rounds} rounds in turns")
    for name, values in seconds.items():
        low, middle, high = (1e3 * f(values) for f in (min, statistics.median, max))
        print(f"  {name:13} median {middle:7.1f} ms ({low:.1f} to {high:.1f})")
    low, high = min(ratios), max(ratios)
    print(f"panns_tf is {statistics.median(ratios):.1f} times as fast ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
