"""Networks as SavedModels, which run without this package."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from panns_tf.export.check import DESCRIPTION, arrays, describe, excess
from panns_tf.inference.model import folded, in_precision
from panns_tf.layers.cpu import traced_for
from panns_tf.models.network import Network
from tfrecords.files import atomic_path, write_json

LABELS = Path("assets") / "labels.txt"

#: What every signature takes: clips of one length, both axes of any size.
WAVEFORM = tf.TensorSpec((None, None), tf.float32, name="waveform")

#: Classes that the signature ``tag`` gives.
TOP_K = 10

#: Clips to check an export with: how many, and their seconds. The first is shorter than a frame.
CHECKS = ((1, 0.005), (2, 1.0), (1, 2.34))


def export_saved_model(network: Network, path: str | Path, top_k: int = TOP_K) -> Path:
    """Writes a network as a SavedModel with the `signatures`; returns its path.

    It runs in float32, without XLA, so that clips of ever new lengths compile nothing, and with
    batch normalisations folded unless their rounding shows. It replaces an earlier SavedModel once
    it was compared with the network.
    """
    path = Path(path)
    if path.exists() and not (path / "saved_model.pb").exists():
        raise ValueError(f"{path} exists and is no SavedModel; choose another place")
    undefined = [v.path for v in network.variables if not np.isfinite(v.numpy()).all()]
    if undefined:
        raise ValueError(f"the weights of {network.name} hold NaN or infinity ({undefined[0]})")
    top_k = min(top_k, network.num_classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    exact = in_precision(network)
    with atomic_path(path) as temporary:
        for fold in (True, False):
            _write(folded(exact) if fold else exact, network.labels, top_k, temporary)
            distance, over = difference(exact, temporary)
            if over <= 1:
                break
        else:
            raise ValueError(
                f"the SavedModel of {network.name} differs from the network by {distance:.2g}, "
                f"{over:.1f} times what rounding explains; nothing was written to {path}"
            )
        about = {**describe(network), "top_k": top_k, "folded": fold, "difference": distance}
        (temporary / DESCRIPTION).parent.mkdir(exist_ok=True)
        write_json(temporary / DESCRIPTION, about)
    return path


def _write(model: keras.Model, labels, top_k: int, path: Path) -> None:
    classes = model.output["clipwise_output"].shape[-1]
    # One a line, none of them empty.
    lines = [" ".join(label.split()) for label in labels or [""] * classes]
    lines = [line or f"class {number}" for number, line in enumerate(lines)]
    with tempfile.TemporaryDirectory() as folder, traced_for("portable"):
        file = Path(folder) / LABELS.name
        file.write_text("".join(f"{x}\n" for x in lines), encoding="utf-8", newline="\n")
        lookup = tf.lookup.TextFileIndex
        rows = tf.lookup.TextFileInitializer(
            str(file), tf.int64, lookup.LINE_NUMBER, tf.string, lookup.WHOLE_LINE
        )
        table = tf.lookup.StaticHashTable(rows, default_value="")
        archive = keras.export.ExportArchive()
        # Not the model: what it is made of is found by itself, and would be stored twice.
        archive.track(table)
        for name, function in signatures(model, table, top_k).items():
            archive.add_endpoint(name, function, input_signature=[WAVEFORM])
        archive.write_out(path, verbose=False)


def signatures(
    network: keras.Model, table: tf.lookup.StaticHashTable, k: int
) -> dict[str, Callable]:
    """The functions of an exported network, which share one graph and its weights.

    All outputs have the batch as their first axis, as TensorFlow Serving's row format needs. Keras
    names the first ``serving_default`` too, and its TFSMLayer looks for ``serve``.
    """

    @tf.function(input_signature=[WAVEFORM], autograph=False)
    def serve(waveform):
        return network(waveform, training=False)

    def tag(waveform):
        scores, numbers = tf.math.top_k(serve(waveform)["clipwise_output"], k)  # (batch, k)
        return {"labels": table.lookup(tf.cast(numbers, tf.int64)), "scores": scores}

    def only(name: str) -> Callable:
        return lambda waveform: {name: serve(waveform)[name]}

    functions = {"serve": serve, "tag": tag, "embed": only("embedding")}
    if "framewise_output" in network.output:
        functions["detect"] = only("framewise_output")
    return functions


def difference(network: Network, path: Path) -> tuple[float, float]:
    """How far a SavedModel is from its network, at three lengths and in all signatures.

    It is the largest distance between two values, beyond 1 as a part of the output's largest; and
    the largest `excess`.
    """
    labels = np.array((path / LABELS).read_bytes().split(b"\n")[:-1], object)
    rng = np.random.default_rng(0)
    distances, over = [0.0], [0.0]
    # On the CPU, where the order of sums is much the same with folding and without, and in full
    # products, since GPUs' shorter ones round in their own ways.
    short_products = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        with tf.device("CPU:0"), traced_for("portable"):
            loaded = tf.saved_model.load(str(path))  # owns the weights
            for batch, seconds in CHECKS:
                samples = round(seconds * network.arch.frontend.sample_rate)
                waveform = rng.uniform(-0.5, 0.5, (batch, samples)).astype("float32")
                expected = arrays(network(waveform, training=False))
                for name, function in loaded.signatures.items():
                    found, wanted = arrays(function(waveform=tf.constant(waveform))), expected
                    if name == "tag":
                        found, wanted = _tags(found, expected, labels)
                    over.append(excess(found, wanted))
                    for key, value in found.items() if np.isfinite(over[-1]) else ():
                        scale = max(1.0, np.abs(wanted[key]).max())
                        distances.append(float(np.abs(value - wanted[key]).max() / scale))
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(short_products)
    return max(distances), max(over)


def _tags(tagged: dict, expected: dict, labels: np.ndarray) -> tuple[dict, dict]:
    """The scores of ``tag``, and those it should give: for its labels, and in order."""
    scores, clips = tagged["scores"], expected["clipwise_output"]
    # Several classes may share a label: that of the nearest score counts.  (batch, k, classes)
    named = np.where(tagged["labels"][..., None] == labels, clips[:, None], np.inf)
    nearest = np.abs(named - scores[..., None]).argmin(axis=2, keepdims=True)
    named = np.take_along_axis(named, nearest, axis=2)[..., 0]
    ordered = -np.sort(-clips, axis=1)[:, : scores.shape[1]]
    found = {"scores": scores, "scores in order": scores}
    return found, {**expected, "scores": named, "scores in order": ordered}
