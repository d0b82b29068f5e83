"""Log-mel throughput against torchlibrosa, both on this machine, in turns, in one process.

    pip install torch
    git clone https://github.com/qiuqiangkong/torchlibrosa
    python benchmarks/log_mel.py --torchlibrosa torchlibrosa

Expected on two cores of an AMD EPYC: at least 6 times the reference (see benchmarks/README.md).
Takes about a minute.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from common import in_turns, ratios, spread


def ours(waveform: np.ndarray) -> Callable[[], np.ndarray]:
    """A call of this project's layer on a TensorFlow tensor, as in a model."""
    import tensorflow as tf

    from panns_tf import LogMel

    layer = LogMel(32000, 1024, 320, 64, 50, 14000)
    tensor = tf.constant(waveform)
    return lambda: layer(tensor).numpy()


def theirs(waveform: np.ndarray) -> Callable[[], np.ndarray]:
    """A call of torchlibrosa's layers, with the settings of the PANNs, on a tensor."""
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torchlibrosa", type=Path, metavar="DIR", help="unless installed")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    if options.torchlibrosa:
        sys.path.insert(0, str(options.torchlibrosa.resolve()))
    shape = (options.batch, int(options.seconds * 32000))
    waveform = np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype("float32")
    calls = {"panns_tf": ours(waveform), "torchlibrosa": theirs(waveform)}
    outputs = [call() for call in calls.values()]
    print(f"largest difference: {np.abs(outputs[0] - outputs[1]).max():.1e} dB")
    seconds = in_turns(calls, options.rounds, warm_up=True)
    print(f"batch {options.batch} x {options.seconds:g} s, {options.rounds} rounds in turns")
    for name, values in seconds.items():
        middle, least, most = spread([1000 * value for value in values], ".1f")
        print(f"  {name:13} median {middle} ms ({least} to {most})")
    print(f"panns_tf is {ratios(seconds['torchlibrosa'], seconds['panns_tf'])} times as fast")


if __name__ == "__main__":
    main()
