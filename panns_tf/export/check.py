"""Exported networks, opened in their runtimes and compared with the networks they were made of."""

import dataclasses
import json
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from scipy import special

from panns_tf.export.settings import KEY, NEEDED, SIGNATURE
from panns_tf.inference.model import in_precision
from panns_tf.layers.cpu import traced_for
from panns_tf.models.network import Network
from panns_tf.run import find_model
from panns_tf.weights.loading import read_network_file
from tfrecords.files import read_json
from tfrecords.text import one_line

#: Description of the network within a SavedModel; TensorFlow keeps this folder for users' files.
DESCRIPTION = Path("assets.extra") / "panns_tf.json"

#: Seconds of the clips that are tried: extended by zeros, round and crooked.
SECONDS = (0.3, 2.0, 3.22)

#: Embeddings of a float32 file may be this far from the network's, times their largest value, and
#: logits times the largest logit or embedding. Processors round sums in their own ways, by an
#: amount that grows with what is summed.
EMBEDDING_TOLERANCE, LOGIT_TOLERANCE = 2e-5, 5e-5
#: Those largest values are taken for at least this.
LEAST_EMBEDDING, LEAST_LOGIT = 0.5, 2.0
#: Probabilities are never asked to be closer: some runtimes approximate the sigmoid.
ROUNDING = 5e-7

#: A class agrees with the first of a clip if its probability is this share of the first's at least:
#: rounding may swap two that are as good as equal.
EQUAL = 0.98
#: A rounded file that agrees on fewer first classes of the calibration clips is of no use.
LEAST_AGREEMENT = 0.5


def open_exported(path: str | Path) -> tuple[Callable[[np.ndarray], dict[str, np.ndarray]], dict]:
    """As `load_predictor`, of an export in its runtime and with arrays; ``runtime`` and
    ``precision`` are in its description too.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f"no such file: {path}")
    try:
        return {".onnx": _open_onnx, ".tflite": _open_litert}.get(path.suffix, _open_folder)(path)
    except ImportError as error:
        raise ValueError(f"{path.suffix} files need {error.name}: {NEEDED}") from None
    except Exception as error:  # the runtimes' own classes, KeyError, BadZipFile
        raise ValueError(f"{path} cannot be loaded as an export: {one_line(error)}") from error


def _open_onnx(path: Path):
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    description = json.loads(session.get_modelmeta().custom_metadata_map[KEY])
    names = [output.name for output in session.get_outputs()]

    def call(waveform: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(names, session.run(names, {"waveform": waveform}), strict=True))

    return call, {**description, "runtime": f"ONNX Runtime {onnxruntime.__version__}"}


def _open_litert(path: Path):
    import ai_edge_litert
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=os.cpu_count())
    run = interpreter.get_signature_runner(SIGNATURE)
    with zipfile.ZipFile(path) as file:
        description = json.loads(file.read(f"{KEY}.json"))

    def call(waveform: np.ndarray) -> dict[str, np.ndarray]:
        return run(waveform=waveform) if interpreter else {}  # the interpreter owns the tensors

    return call, {**description, "runtime": f"LiteRT {ai_edge_litert.__version__}"}


def _open_folder(path: Path):
    model, description = load_predictor(path)
    description = {"precision": "float32", **description, "runtime": "TensorFlow"}
    return lambda waveform: arrays(model(waveform)), description


def load_predictor(path: str | Path) -> tuple[Callable, dict]:
    """The predictions of a ``.keras`` file, a SavedModel of this project or a run directory.

    Returns a function from float32 waveforms (batch, samples) to tensors by name, and the network's
    description, which has the keys of `describe` and ``path``.
    """
    path = find_model(path)
    if path.suffix == ".keras" and path.is_file():
        network = read_network_file(path)
        return network, {**describe(network), "path": str(path)}
    if not (path / "saved_model.pb").is_file():
        raise ValueError(
            f"no model at {path}; expected a .keras file, a SavedModel or a run directory"
        )
    description = read_json(path / DESCRIPTION)
    try:
        loaded = tf.saved_model.load(str(path))
        serve = loaded.signatures["serving_default"]
    except Exception as error:  # TensorFlow raises whatever its readers raise
        raise ValueError(f"{path} cannot be loaded: {one_line(error)}") from error

    def call(waveform):
        # The closure keeps `loaded`, which owns the weights, alive.
        return serve(waveform=waveform) if loaded else None

    return call, {**description, "path": str(path)}


def describe(network: Network) -> dict:
    """What a user of an exported network must know of it, for JSON.

    Where ``inputs`` have no ``log_mel``, of ``frontend`` the ``sample_rate`` alone has a meaning,
    and for a ``wavegram`` the number of ``mel_bins``.
    """
    front = network.arch.frontend
    frames = "framewise_output" in network.output_shapes
    description = {
        "network": network.arch.name,
        "sample_rate": front.sample_rate,
        "num_classes": network.num_classes,
        "labels": network.labels,
        "inputs": network.arch.inputs,
        "frontend": dataclasses.asdict(front),
        # From one frame of framewise_output to the next.
        "frame_seconds": front.hop_size / front.sample_rate if frames else None,
        "overrides": network.overrides,
    }
    return json.loads(json.dumps(description))  # lists, as whoever reads it has them


def arrays(outputs: Mapping) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in outputs.items()}


def check_export(
    path: str | Path,
    network: Network,
    lengths: Sequence[int] | None = None,
    clips: Sequence[np.ndarray] = (),
) -> dict:
    """Compares an exported file in its runtime with its network; refuses what is too far from it.

    It is tried on pairs of made-up clips of so many samples, and on real ``clips``, (samples,) or
    (1, samples). ``largest`` and ``mean`` are absolute differences of each output.
    """
    call, description = open_exported(path)
    for name, value in describe(network).items():
        if description.get(name) != value:
            raise ValueError(f"{path} is of another network: its {name} differ")
    real = [np.atleast_2d(clip).astype("float32") for clip in clips]
    if samples := description.get("clip_samples"):
        waveforms = [noisy_tones(1, samples)]
        real = [of_length(clip, samples) for clip in real]
    else:
        rate = network.arch.frontend.sample_rate
        lengths = lengths or [round(rate * seconds) for seconds in SECONDS]
        waveforms = [noisy_tones(2, samples) for samples in lengths]
    network = in_precision(network)
    pairs = [_outputs(call, network, waveform) for waveform in (*waveforms, *real)]
    largest, mean = {}, {}
    for name in pairs[0][1]:
        distances = np.concatenate([np.abs(a[name] - b[name]).ravel() for a, b in pairs])
        largest[name], mean[name] = float(distances.max()), float(distances.mean())
        if not np.isfinite(largest[name]):
            raise ValueError(f"{path} gives values of {name} that are not finite")
        over = max(excess({name: a[name]}, b) for a, b in pairs)
        if description["precision"] == "float32" and over > 1:
            raise ValueError(
                f"{path} is {largest[name]:.1e} from the network in {name}, {over:.1f} times what "
                "rounding explains"
            )
    agreement = _agreement(pairs[len(waveforms) :]) if real else 1.0
    if agreement < LEAST_AGREEMENT:
        raise ValueError(
            f"{path} agrees with the network on the first class of {agreement:.0%} of the "
            f"calibration clips only; calibrate on clips like those it is for, or take another "
            "precision"
        )
    return {
        "runtime": description["runtime"],
        "precision": description["precision"],
        "bytes": size_of(Path(path)),
        "lengths": [waveform.shape[1] for waveform in waveforms],
        "largest": largest,
        "mean": mean,
        "agreement": _agreement(pairs),
        "clips": len(real),
    }


def excess(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> float:
    """How far outputs are from the network's, as a multiple of what rounding explains.

    Probabilities are compared as logits, which are sums of what the embedding holds. Infinite if a
    shape is another or a value undefined.
    """
    largest = np.abs(expected["embedding"]).max()
    over = [0.0]
    for name, values in found.items():
        if values.shape != expected[name].shape or not np.isfinite(values + expected[name]).all():
            return np.inf
        wanted, values = expected[name].astype("float64"), values.astype("float64")
        if name == "embedding":
            allowed = EMBEDDING_TOLERANCE * max(LEAST_EMBEDDING, largest)
            apart = np.abs(values - wanted) / allowed
        else:
            logits = _logits(wanted)
            allowed = LOGIT_TOLERANCE * max(LEAST_LOGIT, largest, np.abs(logits).max())
            apart = np.abs(_logits(values) - logits) / allowed
            apart = np.minimum(apart, np.abs(values - wanted) / ROUNDING)
        over.append(float(apart.max()))
    return max(over)


def _logits(probabilities: np.ndarray) -> np.ndarray:
    # Beyond this, float32 has no probability next to 1.
    return special.logit(np.clip(probabilities, 2.0**-24, 1 - 2.0**-24))


def _outputs(call, network: Network, waveform: np.ndarray) -> tuple[dict, dict]:
    """What a file gives for a waveform, and what its network does."""
    with traced_for("portable"):
        expected = arrays(network(waveform, training=False))
    try:
        found = call(waveform)
        shapes = {name: found[name].shape for name in expected}
    except Exception as error:  # whatever runtimes raise, and KeyError
        raise ValueError(
            f"the file fails on clips of {waveform.shape[1]} samples: {one_line(error)}"
        ) from error
    wanted = {name: value.shape for name, value in expected.items()}
    if shapes != wanted:
        raise ValueError(f"the file gives outputs of {shapes}, expected {wanted}")
    return found, expected


def _agreement(pairs: list[tuple[dict, dict]]) -> float:
    agree = []
    for found, expected in pairs:
        mine, theirs = expected["clipwise_output"], found["clipwise_output"]
        chosen = np.take_along_axis(mine, theirs.argmax(1)[:, None], axis=1)[:, 0]
        agree.append(chosen >= EQUAL * mine.max(1))
    return float(np.concatenate(agree).mean())


def of_length(clip: np.ndarray, samples: int) -> np.ndarray:
    """(batch, any length) cut or extended by zeros to (batch, samples)."""
    return np.pad(clip[:, :samples], ((0, 0), (0, max(0, samples - clip.shape[1]))))


def noisy_tones(clips: int, samples: int) -> np.ndarray:
    """A falling tone in noise for each clip: float32 (clips, samples) in [-1, 1]."""
    index = np.arange(samples)
    tones = np.sin(0.3 * np.arange(1, clips + 1)[:, None] * index * (1 - index / samples / 2))
    noise = np.random.default_rng(0).uniform(-1, 1, (clips, samples))
    return (0.4 * tones + 0.2 * noise).astype("float32")


def size_of(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file())
