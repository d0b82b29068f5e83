"""Sounds, files and weights that are the same whenever they are made."""

from pathlib import Path

import keras
import numpy as np
import soundfile

RATE = 8000
#: Settings with which `write_source` is packed.
PACKING = ("--sample-rate", "8000", "--clips-per-shard", "16", "--workers", "0")


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Returns noise whose level changes, (samples,) float32."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.uniform(0, 0.5, samples // 4000 + 1), 4000)[:samples]
    return (level * rng.uniform(-1, 1, samples)).astype("float32")


def clip(number: int, samples: int) -> np.ndarray:
    """Returns the audio of clip ``number`` of `write_source`, (samples,) int16."""
    return np.random.default_rng(number).integers(-20000, 20000, samples).astype("int16")


def stored(number: int, samples: int) -> np.ndarray:
    """Returns what a record holds of `clip`: full scale is 32767 there, and 32768 in a file."""
    return np.rint(clip(number, samples) / 32768 * 32767).astype("int16")


def write_source(folder: Path, clips: int = 60, samples: int = 400) -> Path:
    """Writes wav files and ``metadata.csv``.

    Clip i has the class ``"abc"[i % 3]``, every fifth ``d`` too, every twentieth also ``rare``.
    """
    (folder / "audio").mkdir(parents=True)
    lines = ["filename,labels"]
    for number in range(clips):
        name = f"clip_{number:04d}.wav"
        soundfile.write(folder / "audio" / name, clip(number, samples), RATE, subtype="PCM_16")
        labels = ["abc"[number % 3], *["d"] * (number % 5 == 0), *["rare"] * (number % 20 == 0)]
        lines.append(f"{name},{';'.join(labels)}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return folder


def look_trained(network: keras.Model) -> keras.Model:
    """Gives weights values as training leaves them, the same under every version of Keras."""
    network.labels = [f"class {number}" for number in range(network.num_classes)]
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            channels = layer.gamma.shape
            mean, deviation = (-28, 25) if layer.name == "bn0" else (0, 1)  # decibels
            layer.set_weights(
                [
                    rng.uniform(0.5, 1.5, channels),
                    rng.normal(0, 0.3, channels),
                    mean + rng.normal(0, 0.3, channels) * deviation,
                    rng.uniform(0.5, 2, channels) * deviation**2,
                ]
            )
            continue
        if hasattr(layer, "kernel"):
            deviation = np.sqrt(2 / np.prod(layer.kernel.shape[:-1]))
            layer.kernel.assign(rng.normal(0, deviation, layer.kernel.shape))
        if hasattr(layer, "bias") and layer.use_bias:
            layer.bias.assign(rng.normal(0, 0.3, layer.bias.shape))
    return network


def outputs(model, waveform: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what a network gives for a batch of clips, by name."""
    return {name: np.asarray(value) for name, value in model(waveform).items()}
