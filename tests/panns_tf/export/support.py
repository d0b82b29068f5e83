"""What the tests of exported files share."""

import numpy as np

from panns_tf.export.check import excess, open_exported
from tests.panns_tf.inference.support import sound, trained

__all__ = ["assert_any_clip_is_the_same", "clips", "sound", "trained"]


def clips(rate: int = 32000, count: int = 4) -> list[np.ndarray]:
    """Clips of different lengths to calibrate on."""
    return [sound(1, rate // 2 + 997 * number)[0] for number in range(count)]


def assert_any_clip_is_the_same(network, path) -> None:
    """One clip of a sample, and three at an odd length."""
    call, _ = open_exported(path)
    for clips_in_batch, samples in ((1, 1), (3, 45678)):
        waveform = sound(clips_in_batch, samples)
        expected = {name: np.asarray(x) for name, x in network(waveform, training=False).items()}
        found = call(waveform)
        assert set(found) == set(expected)
        assert excess(found, expected) <= 1
