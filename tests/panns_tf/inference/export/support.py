"""What the tests of exported files share."""

import numpy as np

from tests.panns_tf.inference.support import sound


def clips(rate: int = 32000, count: int = 4) -> list[np.ndarray]:
    """Clips of different lengths to calibrate on."""
    return [sound(1, rate // 2 + 997 * number)[0] for number in range(count)]
