import numpy as np
import pytest
from keras import ops

from panns_tf.layers.framing import frames_of, shared_blocks


@pytest.mark.parametrize(("size", "hop"), [(1024, 320), (512, 160), (256, 256), (400, 7), (6, 9)])
@pytest.mark.parametrize("samples", [1024, 1999])
def test_both_ways_cut_the_same_frames(size, hop, samples):
    signal = np.random.default_rng(0).normal(size=(2, samples)).astype("float32")
    count = (samples - size) // hop + 1
    expected = np.stack([signal[:, i * hop : i * hop + size] for i in range(count)], axis=1)
    for cut in (frames_of, shared_blocks):
        np.testing.assert_array_equal(ops.convert_to_numpy(cut(signal, size, hop)), expected)
