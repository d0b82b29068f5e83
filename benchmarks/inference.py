"""Inference of every network on this machine against the PyTorch reference, in one run.

    python benchmarks/inference.py --reference DIR [--torchlibrosa DIR] [--networks Cnn14,Cnn6]

DIR is a clone of https://github.com/qiuqiangkong/audioset_tagging_cnn; torchlibrosa is imported
from where it is installed, or from its own clone. Both sides take the same weights and the same 4
clips of 10 s; rounds alternate between them, the medians are compared. Prints a Markdown table.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
import torch

import panns_tf
from panns_tf.models import find


def reference_network(name: str, network):
    """The reference's network of that name, with the weights of ours."""
    import models

    frontend = find(name).frontend
    arguments = {
        key: getattr(frontend, key)
        for key in ("sample_rate", "window_size", "hop_size", "mel_bins", "fmin", "fmax")
    }
    reference = getattr(models, name)(**arguments, classes_num=527)
    state = {k: torch.from_numpy(v) for k, v in panns_tf.to_torch_state(network).items()}
    reference.load_state_dict(state, strict=True)
    return reference.eval()


def compiled(network):
    """The network as one XLA-compiled function of waveforms to probabilities."""

    @tf.function(jit_compile=True, autograph=False)
    def infer(waveform):
        return network(waveform, training=False)["clipwise_output"]

    return infer


def seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--reference", type=Path, required=True, metavar="DIR")
    parser.add_argument("--torchlibrosa", type=Path, metavar="DIR")
    parser.add_argument("--networks", help="separated by commas; default: all")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for folder in (options.reference / "pytorch", options.reference / "utils"):
        sys.path.insert(0, str(folder))
    if options.torchlibrosa:
        sys.path.insert(0, str(options.torchlibrosa))
    names = options.networks.split(",") if options.networks else panns_tf.list_models()
    print("| network | PyTorch | panns_tf | ratio | largest difference |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in names:
        if name == "VGGish":
            continue  # the reference has none
        network = panns_tf.create_model(name)
        reference = reference_network(name, network)
        samples = 10 * find(name).frontend.sample_rate
        rng = np.random.default_rng(0)
        sound = rng.uniform(-0.5, 0.5, (options.clips, samples)).astype("float32")
        tensor, ours = torch.from_numpy(sound), compiled(network)
        constant = tf.constant(sound)

        def theirs(reference=reference, tensor=tensor):
            with torch.inference_mode():
                return reference(tensor)["clipwise_output"].numpy()

        def mine(ours=ours, constant=constant):
            return ours(constant).numpy()

        difference = np.abs(theirs() - mine()).max()  # compiles, too
        times = [(seconds(theirs), seconds(mine)) for _ in range(options.rounds)]
        slow, fast = (statistics.median(column) for column in zip(*times, strict=True))
        print(
            f"| {name} | {1000 * slow:.0f} ms | {1000 * fast:.0f} ms | {slow / fast:.2f} "
            f"| {difference:.0e} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
