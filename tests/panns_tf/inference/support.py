"""Networks that look trained: nothing in them is a fresh 0 or 1."""

import functools

import numpy as np

from panns_tf.inference.events import Event, EventFinder, in_order
from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.layers.cpu import traced_for
from panns_tf.models.network import Network
from panns_tf.weights.loading import create_model


def trained(name: str, num_classes: int = 3, **overrides) -> Network:
    """A network whose normalisations and last layer have values as training leaves them."""
    network = create_model(name, num_classes, **overrides)
    network.labels = [f"class {number}" for number in range(num_classes)]
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, BatchNorm):
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
        elif hasattr(layer, "bias") and layer.use_bias:
            layer.bias.assign(rng.normal(0, 0.3, layer.bias.shape))
    return network


@functools.cache
def kept(name: str) -> Network:
    """A network of which several tests of a process make use; none changes it."""
    return trained(name)


def outputs_of(network: Network, waveforms: np.ndarray) -> dict[str, np.ndarray]:
    """A network's outputs for (batch, samples), without compiling a layer for the length."""
    with traced_for("portable"):
        outputs = network(waveforms, training=False)
    return {name: value.numpy() for name, value in outputs.items()}


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Noise whose level changes, (samples,) float32."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.uniform(0, 0.5, samples // 4000 + 1), 4000)[:samples]
    return (level * rng.uniform(-1, 1, samples)).astype("float32")


def sound(clips: int, samples: int) -> np.ndarray:
    """Noise and a tone, float32 (clips, samples)."""
    rng = np.random.default_rng(samples)
    tone = 0.3 * np.sin(0.05 * np.arange(samples) * np.arange(1, clips + 1)[:, None])
    return (tone + rng.uniform(-0.3, 0.3, (clips, samples))).astype("float32")


def find_events(probabilities, labels, settings, step_seconds, seconds=np.inf) -> tuple[Event, ...]:
    """The events of probabilities (steps, classes) that come at once."""
    finder = EventFinder(labels, settings, step_seconds)
    return tuple(in_order([*finder.feed(probabilities), *finder.finish(seconds)]))
