"""What the tests of exported files share."""

import numpy as np

from panns_tf.inference.export.runtimes import open_exported
from tests.panns_tf.inference.support import sound
from tests.panns_tf.inference.test_fold import distance


def clips(rate: int = 32000, count: int = 4) -> list[np.ndarray]:
    """Clips of different lengths to calibrate on."""
    return [sound(1, rate // 2 + 997 * number)[0] for number in range(count)]


def assert_any_clip_is_the_same(network, path) -> None:
    """One clip of a sample, and three at an odd length."""
    call, _ = open_exported(path)
    for clips_in_batch, samples in ((1, 1), (3, 45678)):
        x = sound(clips_in_batch, samples)
        expected = {name: np.asarray(value) for name, value in network(x).items()}
        found = call(x)
        assert set(found) == set(expected)
        assert distance({name: found[name] for name in expected}, expected) < 1e-5
