"""Networks smaller still than those of `tests.support`, for tests that write many files of them."""

import dataclasses
import functools

import numpy as np

from panns_tf.models.network import Network
from panns_tf.models.registry import ARCHITECTURES, FRONTEND_8K, FRONTEND_16K, Architecture
from panns_tf.weights.loading import create_model


def _row(name: str, **changes) -> Architecture:
    settings = {"frontend": FRONTEND_8K, "widths": (4,), "kernels": (3,), "embedding_size": 8}
    return Architecture(name, 0, **{**settings, **changes})


SMALL = {
    row.name: row
    for row in (
        _row("Small"),
        _row("Small_DecisionLevelMax", head="max"),
        _row("Small_5x5", kernels=(5,)),
        _row("Small_16k", frontend=FRONTEND_16K),
        dataclasses.replace(
            ARCHITECTURES["DaiNet19"], name="Small_DaiNet", widths=(4,), embedding_size=8
        ),
    )
}


def use_small_networks(monkeypatch, tmp_path) -> None:
    """Adds the networks above to the table; an empty cache, and no way to the real record."""
    for name, row in SMALL.items():
        monkeypatch.setitem(ARCHITECTURES, name, row)
    monkeypatch.setenv("PANNS_TF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PANNS_TF_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@functools.cache
def filled(name: str, num_classes: int = 3) -> Network:
    """A network whose weights are all different numbers, so that swapped ones are noticed."""
    network = create_model(name, num_classes)
    rng = np.random.default_rng(0)
    network.set_weights([rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in network.weights])
    return network


def assert_same(network: Network, other: Network) -> None:
    assert len(network.weights) == len(other.weights)
    for ours, theirs in zip(network.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
