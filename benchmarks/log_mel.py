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
    parser.add_argument("--rounds", type=int, default=11)
    return parser.parse_args()


def ours() -> Callable[[np.ndarray], np.ndarray]:
    """Returns this project's layer, called as a user calls it."""
    from panns_tf import LogMel

    layer = LogMel(32000, 1024, 320, 64, 50, 14000)
    return lambda waveform: layer(waveform).numpy()


def theirs(folder: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Returns torchlibrosa's layers with the settings of the PANNs."""
    sys.path.insert(0, str(folder.resolve()))
    import torch
    from torchlibrosa.stft import LogmelFilterBank, Spectrogram

    spectrogram = Spectrogram(1024, 320, 1024, "hann", True, "reflect", freeze_parameters=True)
    log_mel = LogmelFilterBank(32000, 1024, 64, 50, 14000, ref=1.0, amin=1e-10, top_db=None)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")

    def call(waveform: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return log_mel(spectrogram(torch.from_numpy(waveform)))[:, 0].numpy()

    return call


def main() -> None:
    """Measures and prints."""
    options = parse()
    import_tensorflow_quietly()
    rng = np.random.default_rng(0)
    shape = (options.batch, int(options.seconds * 32000))
    waveform = rng.uniform(-0.5, 0.5, shape).astype("float32")
    functions = {"panns_tf": ours(), "torchlibrosa": theirs(options.reference)}
    outputs = [function(waveform) for function in functions.values()]  # compiles and warms up
    print(f"largest difference: {np.abs(outputs[0] - outputs[1]).max():.1e} dB")
    seconds = {name: [] for name in functions}
    for _ in range(options.rounds):
        for name, function in functions.items():
            began = time.perf_counter()
            function(waveform)
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
