"""Inference of every network on this machine against the PyTorch reference, in turns.

    python benchmarks/inference.py --reference DIR [--torchlibrosa DIR] [--networks Cnn14,Cnn6]

DIR is a clone of https://github.com/qiuqiangkong/audioset_tagging_cnn; torchlibrosa is imported
from where it is installed, or from its own clone. Both sides take the same weights and the same 4
clips of 10 s; rounds alternate between them, the medians are compared. Prints a Markdown table.
"""

import argparse
import statistics
import sys

import numpy as np
from common import in_turns, print_table, ratios, reference_flags, reference_module


def sides(name: str, models, clips: int) -> dict:
    """A call of each side for a network, on the same clips and weights."""
    import tensorflow as tf
    import torch

    import panns_tf
    from panns_tf.models.registry import find

    frontend = find(name).frontend
    network = panns_tf.create_model(name)
    keys = ("sample_rate", "window_size", "hop_size", "mel_bins", "fmin", "fmax")
    settings = {key: getattr(frontend, key) for key in keys}
    reference = getattr(models, name)(**settings, classes_num=527).eval()
    state = {k: torch.from_numpy(v) for k, v in panns_tf.to_torch_state(network).items()}
    reference.load_state_dict(state, strict=True)
    shape = (clips, 10 * frontend.sample_rate)
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype("float32")
    theirs, ours = torch.from_numpy(sound), tf.constant(sound)

    @tf.function(jit_compile=True, autograph=False)
    def infer(waveform):
        return network(waveform, training=False)["clipwise_output"]

    def reference_call() -> np.ndarray:
        with torch.inference_mode():
            return reference(theirs)["clipwise_output"].numpy()

    return {"reference": reference_call, "panns_tf": lambda: infer(ours).numpy()}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    reference_flags(parser)
    parser.add_argument("--networks", help="separated by commas; default: all of the reference")
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.torchlibrosa:
        sys.path.insert(0, str(options.torchlibrosa.resolve()))
    models = reference_module(options.reference, "models")
    import panns_tf

    names = [name for name in panns_tf.list_models() if hasattr(models, name)]
    rows = []
    for name in options.networks.split(",") if options.networks else names:
        calls = sides(name, models, options.clips)
        outputs = [call() for call in calls.values()]
        seconds = in_turns(calls, options.rounds)
        cells = [f"{1000 * statistics.median(each):.0f} ms" for each in seconds.values()]
        apart = np.abs(outputs[0] - outputs[1]).max()
        times = ratios(seconds["reference"], seconds["panns_tf"])
        rows.append((name, *cells, times, f"{apart:.0e}"))
        print(*rows[-1], file=sys.stderr, flush=True)
    print_table(("network", "PyTorch", "panns_tf", "ratio", "largest difference"), rows)


if __name__ == "__main__":
    main()
