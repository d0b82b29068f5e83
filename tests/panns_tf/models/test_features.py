import keras
import numpy as np

from panns_tf.weights.loading import create_model


def test_channels_become_planes_of_frequencies():
    model = create_model("Wavegram_Tiny", num_classes=2)
    planes, permute = model.get_layer("pre_planes"), model.get_layer("pre_frequencies")
    x = np.arange(2 * 3 * 128, dtype="float32").reshape(2, 3, 128)
    y = np.asarray(permute(planes(x)))
    assert y.shape == (2, 3, 32, 4)
    for channel in (0, 31, 32, 100, 127):
        # architectures.md, section 5: plane c // 32, frequency c % 32
        np.testing.assert_array_equal(y[:, :, channel % 32, channel // 32], x[:, :, channel])


def test_bn0_and_spec_augment_come_before_mixing():
    model = create_model("Tiny", num_classes=2)
    order = [layer.name for layer in model.layers]
    names = ["log_mel", "bn0", "spec_augmenter", "conv_block1.conv1"]
    places = [order.index(name) for name in names]
    assert places == sorted(places)


def test_spec_augment_stripes_grow_with_the_mel_bins():
    for mel_bins, width in ((32, 4), (64, 8), (128, 16)):
        layer = create_model("Tiny", num_classes=2, mel_bins=mel_bins).get_layer("spec_augmenter")
        assert (layer.time_width, layer.frequency_width, layer.stripes) == (64, width, 2)


def test_wavegram_is_concatenated_after_the_log_mel():
    model = create_model("Wavegram_Tiny", num_classes=2)
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 32000)).astype("float32")
    names = ("conv_block1.pool", "pre_block4.pool", "concatenate")
    probe = keras.Model(model.input, [model.get_layer(name).output for name in names])
    log_mel, wavegram, both = (np.asarray(x) for x in probe(sound))
    np.testing.assert_array_equal(both, np.concatenate([log_mel, wavegram], axis=-1))
