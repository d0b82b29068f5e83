"""Exported files against the networks they were made of."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from panns_tf.inference.export.runtimes import open_exported
from panns_tf.inference.export.saved_model import describe
from panns_tf.inference.model import in_precision
from panns_tf.layers.compiled import without_xla
from panns_tf.models import Network

#: Seconds of the clips that are tried: extended by zeros, round and crooked.
SECONDS = (0.3, 2.0, 3.22)

#: Probabilities of a float32 file may be this far from the network's, embeddings this much
#: times their largest value, if that is above 1.
TOLERANCE = 1e-5

#: A class agrees with the first of a clip if its probability is this share of the first's at least:
#: rounding may swap two that are as good as equal.
EQUAL = 0.98

#: A rounded file that agrees on fewer first classes of the calibration clips is of no use.
LEAST_AGREEMENT = 0.5


def check_export(
    path: str | Path,
    network: Network,
    lengths: Sequence[int] | None = None,
    clips: Sequence[np.ndarray] = (),
) -> dict:
    """Loads an exported file in its own runtime and compares it with its network.

    Args:
        path: of the file, or of a SavedModel.
        network: what it was made of.
        lengths: samples of the made-up clips to try, two at a time; `SECONDS` unless given. A
            file for one length is tried with that one.
        clips: real ones, each (samples,) or (1, samples), to try as well.

    Returns:
        ``runtime``, ``precision``, ``bytes``; ``lengths`` tried; ``largest`` and ``mean``
        absolute differences of each output; ``agreement``, the share of clips with the same
        first class (see `EQUAL`), and ``clips``, how many there were.

    Raises:
        ValueError: if the file cannot be run, is of another network, gives values that are not
            finite, or is too far from it: see `TOLERANCE` and `LEAST_AGREEMENT`.
    """
    call, description = open_exported(path)
    wanted = describe(network)
    for name, value in wanted.items():
        if description.get(name) != value:
            raise ValueError(f"{path} is of another network: its {name} differ")
    rate = wanted["sample_rate"]
    fixed = description.get("clip_samples")
    if lengths is None:
        lengths = [round(rate * seconds) for seconds in SECONDS]
    sounds = [made_up_sound(1 if fixed else 2, n) for n in ([fixed] if fixed else lengths)]
    real = [np.atleast_2d(clip).astype("float32") for clip in clips]
    if fixed:
        real = [of_length(clip, fixed) for clip in real]
    network = in_precision(network)
    pairs = [_both(call, network, sound) for sound in (*sounds, *real)]
    measured = {
        "runtime": description["runtime"],
        "precision": description["precision"],
        "bytes": size_of(Path(path)),
        "lengths": [sound.shape[1] for sound in sounds],
        **_differences(pairs),
        "clips": len(real),
    }
    _refuse(path, measured, pairs, _agreement(pairs[len(sounds) :]) if real else 1.0)
    return measured


def _both(call, network: Network, sound: np.ndarray) -> tuple[dict, dict]:
    try:
        found = call(sound)
    except Exception as error:  # whatever runtimes raise
        reason = " ".join(str(error).split())
        raise ValueError(
            f"the file fails on clips of {sound.shape[1]} samples: {reason}"
        ) from error
    with without_xla():
        expected = network(sound, training=False)
    expected = {name: np.asarray(value) for name, value in expected.items()}
    for name, value in expected.items():
        if name not in found or found[name].shape != value.shape:
            shape = found[name].shape if name in found else "nothing"
            raise ValueError(f"the file gives {shape} for {name}, expected {value.shape}")
    return found, expected


def _differences(pairs: list[tuple[dict, dict]]) -> dict:
    largest, mean = {}, {}
    for name in pairs[0][1]:
        distances = [np.abs(found[name] - expected[name]).ravel() for found, expected in pairs]
        largest[name] = float(max(distance.max() for distance in distances))
        mean[name] = float(np.concatenate(distances).mean())
    return {"largest": largest, "mean": mean, "agreement": _agreement(pairs)}


def _agreement(pairs: list[tuple[dict, dict]]) -> float:
    agree = []
    for found, expected in pairs:
        mine, theirs = expected["clipwise_output"], found["clipwise_output"]
        chosen = np.take_along_axis(mine, theirs.argmax(1)[:, None], axis=1)[:, 0]
        agree.append(chosen >= EQUAL * mine.max(1))
    return float(np.concatenate(agree).mean())


def _refuse(path, measured: dict, pairs: list[tuple[dict, dict]], agreement: float) -> None:
    for name, value in measured["largest"].items():
        if not np.isfinite(value):
            raise ValueError(f"{path} gives values of {name} that are not finite")
        scale = 1.0
        if name == "embedding":
            scale = max(1.0, *(float(np.abs(expected[name]).max()) for _, expected in pairs))
        if measured["precision"] == "float32" and value > TOLERANCE * scale:
            raise ValueError(
                f"{path} is {value:.1e} from the network in {name}; at most "
                f"{TOLERANCE * scale:.0e} was expected"
            )
    if agreement < LEAST_AGREEMENT:
        raise ValueError(
            f"{path} agrees with the network on the first class of {agreement:.0%} of the "
            f"calibration clips only; calibrate on clips like those it is for, or take another "
            "precision"
        )


def made_up_sound(clips: int, samples: int) -> np.ndarray:
    """Returns a falling tone in noise for each clip: float32 (clips, samples) in [-1, 1]."""
    place = np.arange(samples) / max(1, samples)
    tones = np.sin(0.3 * np.arange(1, clips + 1)[:, None] * np.arange(samples) * (1 - place / 2))
    noise = np.random.default_rng(0).uniform(-1, 1, (clips, samples))
    return (0.4 * tones + 0.2 * noise).astype("float32")


def of_length(clip: np.ndarray, samples: int) -> np.ndarray:
    """Returns (batch, any length) cut or extended by zeros to (batch, samples)."""
    return np.pad(clip[:, :samples], ((0, 0), (0, max(0, samples - clip.shape[1]))))


def size_of(path: Path) -> int:
    """Returns the bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
