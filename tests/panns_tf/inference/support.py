"""Networks and sounds of the tests of inference."""

import functools

import numpy as np

from panns_tf.models import Network, create_model


def trained(name: str, num_classes: int = 3) -> Network:
    """A network with statistics and outputs of its own, as after training."""
    network = create_model(name, num_classes)
    rng = np.random.default_rng(1)
    for layer in network.layers:
        if hasattr(layer, "moving_mean"):
            shape, first = layer.moving_mean.shape, layer.name == "bn0"
            mean = rng.normal(-50 if first else 0, 0.1, shape)
            variance = rng.uniform(0.5, 2, shape) * (400 if first else 1)
            values = [rng.uniform(0.8, 1.2, shape), rng.normal(0, 0.2, shape), mean, variance]
            layer.set_weights([value.astype("float32") for value in values])
    network.labels = [f"sound {number}" for number in range(num_classes)]
    return network


@functools.cache
def kept(name: str) -> Network:
    """A network of which several tests of a process make use; none changes it."""
    return trained(name)


def sound(samples: int, seed: int = 0) -> np.ndarray:
    """Noise whose level changes, (samples,) float32."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.uniform(0, 0.5, samples // 4000 + 1), 4000)[:samples]
    return (level * rng.uniform(-1, 1, samples)).astype("float32")
