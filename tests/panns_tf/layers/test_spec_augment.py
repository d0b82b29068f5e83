import keras
import numpy as np
import pytest
from scipy import stats

from panns_tf.layers.spec_augment import SpecAugment

CLIPS = 20_000


def test_is_the_identity_at_inference():
    x = np.ones((2, 100, 64), "float32")
    np.testing.assert_array_equal(SpecAugment()(x), x)
    np.testing.assert_array_equal(SpecAugment()(x, training=False), x)


@pytest.mark.parametrize(("total", "bound"), [(101, 64), (64, 8), (70, 64)])
def test_stripes_have_the_reference_distribution(total, bound):
    starts, widths = map(np.asarray, SpecAugment(seed=1).draw(CLIPS, total, bound))
    assert starts.shape == widths.shape == (CLIPS, 2)
    counts = np.bincount(widths.ravel(), minlength=bound)
    assert len(counts) == bound, "the width's upper bound is exclusive"
    assert stats.chisquare(counts).pvalue > 1e-4
    for width in (0, bound // 2, bound - 1):
        places = starts[widths == width]
        assert places.max() == total - width - 1, "the start's upper bound is exclusive"
        assert stats.chisquare(np.bincount(places, minlength=total - width)).pvalue > 1e-4
    # The two stripes of a clip, and the stripes of different clips, are independent.
    assert abs(stats.pearsonr(widths[:, 0], widths[:, 1]).statistic) < 0.03
    assert abs(stats.pearsonr(widths[:-1, 0], widths[1:, 0]).statistic) < 0.03


def test_masks_whole_stripes_of_either_direction():
    x = np.ones((50, 101, 64), "float32")
    masked = np.asarray(SpecAugment(seed=0)(x, training=True))
    assert set(np.unique(masked)) == {0, 1}
    for clip in masked:
        frames, bins = clip.any(axis=1), clip.any(axis=0)
        np.testing.assert_array_equal(clip, frames[:, None] & bins)
        assert (~frames).sum() <= 2 * 63
        assert (~bins).sum() <= 2 * 7


def test_share_of_masked_values_is_the_references():
    # architectures.md: on 1001 x 64 about 16 % of all values are masked.
    masked = np.asarray(SpecAugment(seed=0)(np.ones((400, 1001, 64), "float32"), training=True))
    assert 1 - masked.mean() == pytest.approx(0.16, abs=0.01)


@pytest.mark.parametrize("frames", [1, 2, 40, 63, 64])
def test_short_inputs_work(frames):
    masked = SpecAugment(seed=0)(np.ones((200, frames, 64), "float32"), training=True)
    assert masked.shape == (200, frames, 64)


def test_sequence_is_seeded_and_resumes_from_its_state():
    x = np.ones((4, 101, 64), "float32")
    first, second = SpecAugment(seed=7), SpecAugment(seed=7)
    np.testing.assert_array_equal(first(x, training=True), second(x, training=True))
    state = [np.asarray(v) for v in first.variables]
    assert state, "the random state is among the layer's variables"
    expected = first(x, training=True)
    later = SpecAugment(seed=0)
    for variable, value in zip(later.variables, state, strict=True):
        variable.assign(value)
    np.testing.assert_array_equal(later(x, training=True), expected)
    assert not np.array_equal(SpecAugment(seed=8)(x, training=True), expected)


def test_survives_serialisation():
    layer = SpecAugment(32, 4, 3, seed=5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (copy.time_width, copy.frequency_width, copy.stripes, copy.seed) == (32, 4, 3, 5)


def test_impossible_widths_are_refused():
    with pytest.raises(ValueError, match="time_width must be at least 1"):
        SpecAugment(0)
