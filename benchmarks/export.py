"""Exported files of networks beside Keras: distance, size, loss and latency, in one run.

    python benchmarks/export.py [--networks Cnn14,MobileNetV1] [--audio DIR] [--weights DIR]

Without ``--weights`` (of files NETWORK.keras) networks have the tests' reference weights, which are
random and spread their outputs. Clips are computed, or mixed from recordings in ``--audio``. Rounds
alternate between Keras and all files, one clip of 10 s at a time; latency is the median of the
rounds' ratios to Keras in float32, the network as a ``tf.function`` of any length without XLA.
Loss is of probabilities, on clips that were not calibrated on. Prints two Markdown tables.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import print_table, ratios, seconds_of, waveforms

NETWORKS = "Cnn14,Wavegram_Logmel_Cnn14,MobileNetV1,MobileNetV2,ResNet38,Cnn14_DecisionLevelMax"
LENGTHS = (2.0, 3.22, 10.0)
#: Seconds between calls: the threads of some runtimes spin on for a while.
PAUSE = 0.2
#: The outputs of which differences are shown.
OUTPUTS = ("clipwise_output", "framewise_output", "embedding")


def network_of(name: str, weights: Path | None):
    """A network with given weights, or the tests'."""
    import panns_tf
    from panns_tf.inference.model import load_network
    from tests.support import reference_state

    if weights:
        return load_network(weights / f"{name}.keras")
    network = panns_tf.create_model(name)
    panns_tf.load_torch_state(network, reference_state(name, 0))
    return network


def exported(network, folder: Path, precisions: list[str], clips: list[np.ndarray]) -> dict:
    """Writes the network in every format and precision; returns the files by both."""
    from panns_tf.export.files import export_file
    from panns_tf.export.saved_model import export_saved_model

    files = {("SavedModel", "float32"): export_saved_model(network, folder / "saved_model")}
    for precision in precisions:
        for runtime, suffix in (("ONNX Runtime", ".onnx"), ("LiteRT", ".tflite")):
            path = folder / f"{precision}{suffix}"
            export_file(network, path, precision, clips)
            files[runtime, precision] = path
            print(f"{network.name}: {path.name}", file=sys.stderr, flush=True)
    return files


def latencies(network, files: dict[tuple, Path], clip: np.ndarray, rounds: int) -> dict:
    """Seconds of each round by runtime and precision, Keras among them."""
    import tensorflow as tf

    from panns_tf.export.check import open_exported
    from panns_tf.layers.cpu import traced_for

    signature = [tf.TensorSpec((None, None), tf.float32)]
    function = tf.function(
        lambda x: network(x, training=False), input_signature=signature, autograph=False
    )
    with traced_for("portable"):
        in_keras = function.get_concrete_function()
    calls = {"Keras": lambda x: in_keras(tf.constant(x))["clipwise_output"].numpy()}
    calls |= {key: open_exported(path)[0] for key, path in files.items()}
    times: dict = {key: [] for key in calls}
    for call in calls.values():
        call(clip)  # makes room
    for _ in range(rounds):
        for key, call in calls.items():
            times[key].append(seconds_of(lambda call=call: call(clip)))
            time.sleep(PAUSE)
    return times


def main() -> None:
    """Measures and prints."""
    precisions = ["float32", "float16", "dynamic_int8", "int8"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", default=NETWORKS, help="separated by commas")
    parser.add_argument("--precisions", nargs="+", choices=precisions, default=precisions)
    parser.add_argument("--weights", type=Path, metavar="DIR", help="of NETWORK.keras")
    parser.add_argument("--audio", type=Path, metavar="DIR", help="recordings to mix clips of")
    parser.add_argument("--calibration", type=int, default=16, help="clips, of 5 s")
    parser.add_argument("--clips", type=int, default=16, help="of 5 s, to measure the loss on")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    from panns_tf.export.check import SECONDS, check_export

    distances, costs = [], []
    for name in options.networks.split(","):
        network = network_of(name, options.weights)
        rate = network.arch.frontend.sample_rate
        count = options.calibration + options.clips
        sounds = [x.astype("float32") for x in waveforms(count, options.audio, rate)]
        cut = [sound[: 5 * rate] for sound in sounds]
        with tempfile.TemporaryDirectory() as folder:
            known = cut[: options.calibration]
            files = exported(network, Path(folder), options.precisions, known)
            times = latencies(network, files, sounds[-1][None], options.rounds)
            for (runtime, precision), path in files.items():
                exact = precision == "float32"
                lengths = [round(rate * s) for s in (LENGTHS if exact else SECONDS[:1])]
                unseen = [] if exact else cut[options.calibration :]
                found = check_export(path, network, lengths, unseen)
                costs.append(
                    (
                        *(name, runtime, precision, f"{found['bytes'] / 1e6:.1f}"),
                        *(f"{found[x]['clipwise_output']:.0e}" for x in ("largest", "mean")),
                        f"{found['agreement']:.0%}",
                        ratios(times[runtime, precision], times["Keras"]),
                        f"{1000 * statistics.median(times['Keras']):.0f} ms",
                    )
                )
                if exact:
                    largest = found["largest"]
                    shown = (f"{largest[x]:.0e}" if x in largest else "" for x in OUTPUTS)
                    distances.append((name, runtime, *shown))
        print(*costs[-len(files) :], sep="\n", file=sys.stderr, flush=True)
    print_table(("network", "runtime", *OUTPUTS), distances)
    print()
    quantities = ("MB", "largest loss", "mean loss", "same first class", "latency to Keras")
    print_table(("network", "runtime", "precision", *quantities, "Keras"), costs)


if __name__ == "__main__":
    main()
