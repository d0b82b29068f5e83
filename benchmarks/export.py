"""Exported files of networks beside Keras: distance, size, loss and latency, in one run.

    python benchmarks/export.py [--networks Cnn14,MobileNetV1] [--audio DIR] [--weights DIR]

Without ``--weights`` (of files NETWORK.keras) networks have the tests' reference weights, which are
random and spread their outputs. Clips are computed, or mixed from recordings in ``--audio``. Rounds
alternate between Keras and all files, one clip of 10 s at a time; latency is the median of the
rounds' ratios to Keras in float32, the network as a ``tf.function`` of any length without XLA.
Loss is of probabilities, on clips that were not calibrated on. Prints two Markdown tables.
"""

import argparse
import contextlib
import statistics
import sys
import tempfile
import time
from pathlib import Path

import common
import numpy as np
import tensorflow as tf

import panns_tf
from panns_tf.inference.export import export_saved_model
from panns_tf.inference.export.check import SECONDS, check_export
from panns_tf.inference.export.litert_file import export_litert
from panns_tf.inference.export.onnx_file import export_onnx
from panns_tf.inference.export.precision import PRECISIONS
from panns_tf.inference.export.runtimes import open_exported
from panns_tf.inference.loading import load_network
from panns_tf.layers.compiled import without_xla
from panns_tf.weights.state_dict import load_torch_state
from tests.support import reference_state

NETWORKS = (
    "Cnn14",
    "Wavegram_Logmel_Cnn14",
    "MobileNetV1",
    "MobileNetV2",
    "ResNet38",
    "Cnn14_DecisionLevelMax",
)
LENGTHS = (2.0, 3.22, 10.0)
#: Seconds between calls: the threads of some runtimes spin on for a while.
PAUSE = 0.2

#: The outputs of which differences are shown.
OUTPUTS = ("clipwise_output", "framewise_output", "embedding")
FORMATS = {"ONNX Runtime": (export_onnx, ".onnx"), "LiteRT": (export_litert, ".tflite")}


def network_of(name: str, weights: Path | None):
    if weights:
        return load_network(weights / f"{name}.keras")
    network = panns_tf.create_model(name)
    load_torch_state(network, reference_state(name, 0))
    return network


def exported(
    network, folder: Path, precisions: list[str], calibration: list[np.ndarray]
) -> dict[tuple, Path]:
    """Writes the network in every format and precision; returns the files by both."""
    files = {("SavedModel", "float32"): export_saved_model(network, folder / "saved_model")}
    for runtime, (export, ending) in FORMATS.items():
        for precision in precisions:
            path = folder / f"{precision}{ending}"
            start = time.perf_counter()
            files[runtime, precision] = export(network, path, precision, calibration)
            seconds = time.perf_counter() - start
            print(f"{network.name}: {path.name} in {seconds:.0f} s", file=sys.stderr, flush=True)
    return files


def latencies(network, files: dict[tuple, Path], clip: np.ndarray, rounds: int) -> dict:
    """Seconds of each round by runtime and precision, Keras among them."""
    signature = [tf.TensorSpec((None, None), tf.float32)]
    function = tf.function(
        lambda x: network(x, training=False), input_signature=signature, autograph=False
    )
    with without_xla():
        keras_call = function.get_concrete_function()
    calls = {"Keras": lambda x: keras_call(tf.constant(x))["clipwise_output"].numpy()}
    calls |= {key: open_exported(path)[0] for key, path in files.items()}
    for call in calls.values():
        call(clip)  # makes room
    times = {key: [] for key in calls}
    for _ in range(rounds):
        for key, call in calls.items():
            start = time.perf_counter()
            call(clip)
            times[key].append(time.perf_counter() - start)
            time.sleep(PAUSE)
    return times


def cost(found: dict, times: list[float], keras_times: list[float]) -> list[str]:
    """A row of the second table: of what a check measured, and seconds by round."""
    losses = [f"{found[x]['clipwise_output']:.0e}" for x in ("largest", "mean")]
    return [
        f"{found['bytes'] / 1e6:.1f}",
        *losses,
        f"{found['agreement']:.0%}",
        common.ratios(times, keras_times),
        f"{1000 * statistics.median(keras_times):.0f} ms",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--networks", default=",".join(NETWORKS), help="separated by commas")
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, default=PRECISIONS)
    parser.add_argument("--weights", type=Path, metavar="DIR", help="of NETWORK.keras")
    parser.add_argument("--audio", type=Path, metavar="DIR", help="recordings to mix clips of")
    parser.add_argument("--calibration", type=int, default=16, help="clips, of 5 s")
    parser.add_argument(
        "--clips", type=int, default=16, help="that the loss is measured on, of 5 s"
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    distances, costs = [], []
    for name in options.networks.split(","):
        network = network_of(name, options.weights)
        rate = network.row.frontend.sample_rate
        count = options.calibration + options.clips
        sounds = [x.astype("float32") for x in common.waveforms(count, options.audio, rate)]
        cut = [sound[: 5 * rate] for sound in sounds]
        lengths = [round(rate * seconds) for seconds in LENGTHS]
        with tempfile.TemporaryDirectory() as folder:
            files = exported(network, Path(folder), options.precisions, cut[: options.calibration])
            times = latencies(network, files, sounds[-1][None], options.rounds)
            for key, path in files.items():
                exact = key[1] == "float32"
                tested = lengths if exact else [round(rate * SECONDS[0])]
                unseen = () if exact else cut[options.calibration :]
                found = check_export(path, network, tested, unseen)
                costs.append([name, *key, *cost(found, times[key], times["Keras"])])
                if exact:
                    largest = found["largest"]
                    shown = [f"{largest[x]:.0e}" if x in largest else "" for x in OUTPUTS]
                    distances.append([name, key[0], *shown])
        with contextlib.redirect_stdout(sys.stderr):
            print_tables(distances[-3:], costs[-len(files) :])
    print_tables(distances, costs)


def print_tables(distances: list, costs: list) -> None:
    common.print_table(("network", "runtime", *OUTPUTS), distances)
    print()
    quantities = ("MB", "largest loss", "mean loss", "same first class", "latency to Keras")
    common.print_table(("network", "runtime", "precision", *quantities, "Keras"), costs)
    print(flush=True)


if __name__ == "__main__":
    main()
