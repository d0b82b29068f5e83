"""Networks as SavedModels, which run without this package."""

import contextlib
import dataclasses
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from panns_tf.inference.export.signatures import (
    WAVEFORM,
    label_table,
    signatures,
    write_labels,
)
from panns_tf.inference.fold import folded
from panns_tf.inference.model import in_precision
from panns_tf.layers.compiled import without_xla
from panns_tf.models import Network

#: TensorFlow keeps this folder of a SavedModel for files of its users.
DESCRIPTION = Path("assets.extra") / "panns_tf.json"
LABELS = Path("assets") / "labels.txt"

#: Classes that the signature ``tag`` gives.
TOP_K = 10

#: How far an export may be from its network, in probabilities; see `difference`.
TOLERANCE = 1e-5

#: Clips to check an export with: how many, and their seconds. The first is shorter than a frame.
CHECKS = ((1, 0.005), (2, 1.0), (1, 2.34))


def export_saved_model(network: Network, path: str | Path, top_k: int = TOP_K) -> Path:
    """Writes a network as a SavedModel, front end included.

    Its signatures take ``waveform``, float32 (batch, samples) in [-1, 1], both axes of any size:

    - ``serving_default`` gives the network's outputs by name;
    - ``tag`` gives the most probable classes: ``labels`` (batch, k), strings, and ``scores``
      (batch, k);
    - ``embed`` gives ``embedding`` (batch, width);
    - ``detect``, of decision-level networks, gives ``framewise_output`` (batch, frames, classes).

    They share one copy of the weights, with batch normalisation folded into the convolutions
    unless its rounding shows, and run in float32 whatever the training policy, and without XLA, so
    that clips of ever new lengths compile nothing. ``assets/labels.txt``, from which ``tag`` reads,
    has a label a line; ``assets.extra/panns_tf.json`` describes the network. What was written is
    loaded and compared with the network before it gets its name; the description keeps how far
    apart they were.

    Args:
        network: from `panns_tf.create_model`.
        path: a directory; replaced if it holds a SavedModel already.
        top_k: classes that ``tag`` gives; all of a network that has fewer.

    Returns:
        The path.

    Raises:
        ValueError: if something else is at ``path``, a weight is not finite, or what was written
            differs from the network.
    """
    path = Path(path)
    check_place(path)
    if isinstance(top_k, bool) or int(top_k) != top_k or top_k < 1:
        raise ValueError(f"top_k must be a whole number above 0; received {top_k}")
    undefined = [v.path for v in network.variables if not np.isfinite(v.numpy()).all()]
    if undefined:
        raise ValueError(f"the weights of {network.name} hold NaN or infinity ({undefined[0]})")
    top_k = min(int(top_k), network.num_classes)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"partial-{path.name}")
    try:
        exact = in_precision(network)
        for fold in (True, False):
            shutil.rmtree(partial, ignore_errors=True)
            model = folded(exact) if fold else exact
            _write(model, labels_of(network), top_k, partial)
            apart = difference(exact, partial)
            if apart <= TOLERANCE:
                break
        else:
            raise ValueError(
                f"the SavedModel of {network.name} differs from the network by {apart:.2g}, more "
                f"than {TOLERANCE:g}; nothing was written to {path}"
            )
        about = {**describe(network), "top_k": top_k, "folded": fold, "difference": apart}
        (partial / DESCRIPTION).parent.mkdir(exist_ok=True)
        (partial / DESCRIPTION).write_text(json.dumps(about, indent=2) + "\n")
        shutil.rmtree(path, ignore_errors=True)
        partial.replace(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def check_place(path: Path) -> None:
    """Raises ValueError if there is something at a path that an export would destroy."""
    if path.exists() and not (path / "saved_model.pb").exists():
        raise ValueError(f"{path} exists and is no SavedModel; choose another place")


def _write(model: keras.Model, labels: Sequence[str], top_k: int, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder, without_xla():
        write_labels(labels, Path(folder) / LABELS.name)
        table = label_table(Path(folder) / LABELS.name)
        archive = keras.export.ExportArchive()
        # Not the model: what it is made of is found by itself, and would be stored twice.
        archive.track(table)
        for name, function in signatures(model, table, top_k).items():
            archive.add_endpoint(name, function, input_signature=[WAVEFORM])
        archive.write_out(path, verbose=False)


def difference(network: Network, path: Path) -> float:
    """Returns how far a SavedModel is from its network, at three lengths and in all signatures.

    Args:
        network: in float32, as it was exported.
        path: the SavedModel.

    Returns:
        The largest distance between two values; of outputs with values beyond 1, such as
        embeddings, as a part of the largest. Infinity if any is undefined.
    """
    labels = np.array((path / LABELS).read_text(encoding="utf-8").split("\n")[:-1])
    rng = np.random.default_rng(0)
    apart = [0.0]
    # On the CPU, where the order of sums is much the same with folding and without.
    with tf.device("CPU:0"), without_xla(), _full_products():
        loaded = tf.saved_model.load(str(path))  # owns the weights
        served = loaded.signatures
        for batch, seconds in CHECKS:
            samples = round(seconds * network.row.frontend.sample_rate)
            sound = rng.uniform(-0.5, 0.5, (batch, samples)).astype("float32")
            expected = _arrays(network(sound, training=False))
            found = {name: _arrays(served[name](waveform=tf.constant(sound))) for name in served}
            tagged = found.pop("tag")
            for outputs in found.values():
                apart += [_apart(value, expected[key]) for key, value in outputs.items()]
            apart.append(_tags_apart(tagged, expected["clipwise_output"], labels))
    return max(apart)


def _arrays(outputs: dict) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in outputs.items()}


def _apart(found: np.ndarray, expected: np.ndarray) -> float:
    if found.shape != expected.shape:
        return np.inf
    distance = np.nan_to_num(np.abs(found - expected), nan=np.inf)
    return float(distance.max() / max(1.0, np.abs(expected).max()))


def _tags_apart(tagged: dict, clips: np.ndarray, labels: np.ndarray) -> float:
    """The largest distance of a tag's score from that of a class with its label, and in order."""
    k = tagged["scores"].shape[1]
    apart = [_apart(tagged["scores"], -np.sort(-clips, axis=1)[:, :k])]
    for names, scores, clip in zip(tagged["labels"], tagged["scores"], clips, strict=True):
        for name, score in zip(names, scores, strict=True):
            its = clip[labels == name.decode()]
            apart.append(min((_apart(score, value) for value in its), default=np.inf))
    return max(apart)


@contextlib.contextmanager
def _full_products() -> Iterator[None]:
    """Has GPUs multiply in full float32, since the shorter products round in their own ways."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def labels_of(network: Network) -> list[str]:
    """Returns the names of a network's classes, or numbers for names."""
    return list(network.labels or (f"class {number}" for number in range(network.num_classes)))


def describe(network: Network) -> dict:
    """Returns what a user of an exported network must know of it, as JSON takes it.

    ``inputs`` says what the network sees: where that is no ``log_mel``, of ``frontend`` the
    ``sample_rate`` alone has a meaning, and for a ``wavegram`` the number of ``mel_bins``.
    ``frame_seconds`` lie between frames of ``framewise_output``; None if it has none.
    """
    front = network.row.frontend
    frames = "framewise_output" in network.output_shapes
    return {
        "network": network.row.name,
        "sample_rate": front.sample_rate,
        "num_classes": network.num_classes,
        "labels": list(network.labels) if network.labels else None,
        "inputs": list(network.row.inputs),
        "frontend": dataclasses.asdict(front),
        "frame_seconds": front.hop_size / front.sample_rate if frames else None,
        "overrides": {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in network.overrides.items()
        },
    }
