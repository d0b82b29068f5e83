import numpy as np
import pytest

from panns_tf.models import create_model, find
from panns_tf.models.cnn import shortest_clip


@pytest.mark.parametrize(
    ("name", "overrides", "samples"),
    [
        # architectures.md, section 12, measured on the reference by bisection
        ("Cnn14", {}, 9920),
        ("Cnn14", {"sample_rate": 16000, "window_size": 512, "hop_size": 160, "fmax": 8000}, 4960),
        ("Wavegram_Logmel_Cnn14", {}, 10236),
    ],
)
def test_shortest_clip_is_the_references(name, overrides, samples):
    assert shortest_clip(find(name).override(**overrides)) == samples


@pytest.mark.parametrize("name", ["Tiny", "Wavegram_Tiny"])
def test_one_frame_is_left_of_the_shortest_clip_and_none_of_a_shorter(name):
    model = create_model(name, num_classes=2)
    last = model.get_layer("conv_block6.conv1")
    shortest = shortest_clip(model.row)

    def frames(samples: int) -> int:
        import keras

        probe = keras.Model(model.input, last.input)
        model.get_layer("pad").minimum = 0
        return probe(np.zeros((1, samples), "float32")).shape[1]

    assert frames(shortest) == 1
    assert frames(shortest - 1) == 0
