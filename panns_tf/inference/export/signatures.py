"""What a SavedModel is asked for, by name."""

from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import tensorflow as tf

#: What every signature takes: clips of one length, both axes of any size.
WAVEFORM = tf.TensorSpec((None, None), tf.float32, name="waveform")

#: Becomes ``serving_default`` too, being the first; Keras' TFSMLayer looks for this name.
WHOLE = "serve"


def signatures(
    network: keras.Model, table: tf.lookup.StaticHashTable, k: int
) -> dict[str, Callable]:
    """Returns the functions of an exported network, which share one graph and its weights.

    All outputs have the batch as their first axis, as TensorFlow Serving's row format needs.

    Args:
        network: gives outputs by name; called with ``training=False``.
        table: the label of every class, by its number.
        k: classes that ``tag`` gives.

    Returns:
        By name, functions of ``waveform`` (batch, samples): ``serve`` gives the network's
        outputs; ``tag`` gives ``labels`` (batch, k), strings, and ``scores`` (batch, k), the most
        probable first; ``embed`` gives ``embedding`` (batch, width); ``detect``, of networks that
        have it, ``framewise_output`` (batch, frames, classes).
    """

    @tf.function(input_signature=[WAVEFORM], autograph=False)
    def serve(waveform):
        return network(waveform, training=False)

    def tag(waveform):
        scores, numbers = tf.math.top_k(serve(waveform)["clipwise_output"], k)  # (batch, k)
        return {"labels": table.lookup(tf.cast(numbers, tf.int64)), "scores": scores}

    def only(name: str) -> Callable:
        return lambda waveform: {name: serve(waveform)[name]}

    found = {WHOLE: serve, "tag": tag, "embed": only("embedding")}
    if "framewise_output" in network.output:
        found["detect"] = only("framewise_output")
    return found


def write_labels(labels: Sequence[str], path: Path) -> None:
    """Writes labels as a table reads them: one a line, none of them empty."""
    lines = (" ".join(str(label).split()) or f"class {i}" for i, label in enumerate(labels))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def label_table(path: Path) -> tf.lookup.StaticHashTable:
    """Returns a table from numbers of classes to labels; its file goes into the SavedModel."""
    lookup = tf.lookup.TextFileIndex
    lines = tf.lookup.TextFileInitializer(
        str(path), tf.int64, lookup.LINE_NUMBER, tf.string, lookup.WHOLE_LINE
    )
    return tf.lookup.StaticHashTable(lines, default_value="")
