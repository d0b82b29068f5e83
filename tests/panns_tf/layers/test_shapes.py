"""The layers that change lengths, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.layers.shapes import (
    ConcatenateInTime,
    CutPatches,
    PadToMinimum,
    PatchesOfClips,
    RepeatSegments,
    larger,
    smaller,
)

HOP = 10


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def in_one_trace(layer, signature, inputs, expected) -> None:
    """Checks a layer eagerly, and in one function traced for unknown lengths."""
    traces = []

    @tf.function(input_signature=[tf.TensorSpec(shape) for shape in signature])
    def call(*given):
        traces.append(1)
        return layer(list(given) if len(given) > 1 else given[0])

    for given, values in zip(inputs, expected, strict=True):
        eager = layer(list(given) if len(given) > 1 else given[0])
        for found in (eager, call(*given)):
            np.testing.assert_allclose(found, values, atol=1e-6)
    assert len(traces) == 1


def test_short_clips_are_padded_at_their_end():
    inputs = [(numbers(2, samples),) for samples in (1, 9, 10, 11, 30)]
    padded = [np.pad(x, ((0, 0), (0, max(0, 10 - x.shape[1])))) for (x,) in inputs]
    in_one_trace(PadToMinimum(10), [(None, None)], inputs, padded)
    assert PadToMinimum(10)(keras.Input((7,))).shape == (None, 10)
    assert PadToMinimum(10)(keras.Input((None,))).shape == (None, None)


def test_concatenation_crops_to_the_shortest():
    inputs = [(numbers(2, a, 3, 4), numbers(2, b, 3, 2)) for a, b in ((4, 4), (4, 5), (5, 4))]
    expected = [np.concatenate([a[:, :4], b[:, :4]], axis=-1) for a, b in inputs]
    in_one_trace(ConcatenateInTime(), [(None, None, 3, 4), (None, None, 3, 2)], inputs, expected)
    symbolic = [keras.Input((5, 3, 4)), keras.Input((4, 3, 2))]
    assert ConcatenateInTime()(symbolic).shape == (None, 4, 3, 6)


def repeated(segments: np.ndarray, samples: int, times: int) -> np.ndarray:
    """Each segment ``times`` times, then the last frame until the clip ends."""
    frames = 1 + samples // HOP
    found = np.repeat(segments, times, axis=1)
    missing = max(0, frames - found.shape[1])
    return np.concatenate([found, np.repeat(found[:, -1:], missing, axis=1)], axis=1)[:, :frames]


def test_segments_become_frames():
    # As many frames as segments stand for, one less, one more, a clip's usual remainder, less
    # than one segment, one frame, and a single segment for many frames.
    lengths = [(3, 110), (3, 100), (3, 120), (3, 149), (1, 20), (1, 0), (1, 9), (1, 300)]
    inputs = [(numbers(2, segments, 3), numbers(2, samples)) for segments, samples in lengths]
    for times in (4, 1):
        expected = [repeated(x, waveform.shape[1], times) for x, waveform in inputs]
        in_one_trace(RepeatSegments(times, HOP), [(None, None, 3), (None, None)], inputs, expected)
    layer = RepeatSegments(2, 5)
    found = layer([np.float32([[[1], [2], [3]]]), np.zeros((1, 40), "float32")])
    assert np.ravel(found).tolist() == [1, 1, 2, 2, 3, 3, 3, 3, 3]
    assert layer([keras.Input((5, 3)), keras.Input((109,))]).shape == (None, 22, 3)


def test_frames_are_float32_under_any_policy(policy):
    policy("mixed_bfloat16")
    assert RepeatSegments(4, HOP)([numbers(1, 3, 3), numbers(1, 110)]).dtype == "float32"
    assert CutPatches(5)(numbers(2, 10, 4)).dtype == tf.bfloat16


def test_clips_become_patches_and_return():
    clips = [numbers(batch, frames, 4) for batch, frames in ((1, 5), (2, 14), (3, 20), (1, 4))]
    cut, grouped = [], []
    for x in clips:
        patches = x.shape[1] // 5
        cut.append(x[:, : 5 * patches].reshape(-1, 5, 4))
        grouped.append(cut[-1][:, 0].reshape(len(x), patches, 4))
    in_one_trace(CutPatches(5), [(None, None, 4)], [(x,) for x in clips], cut)
    pairs = [(patches[:, 0], x) for patches, x in zip(cut, clips, strict=True)]
    in_one_trace(PatchesOfClips(), [(None, 4), (None, None, 4)], pairs, grouped)
    assert CutPatches(5)(keras.KerasTensor((3, 23, 4))).shape == (12, 5, 4)
    assert CutPatches(5)(keras.KerasTensor((3, None, 4))).shape == (None, 5, 4)
    known = PatchesOfClips()([keras.KerasTensor((12, 7)), keras.KerasTensor((3, 23))])
    assert known.shape == (3, 4, 7)


@pytest.mark.parametrize(
    "layer",
    [RepeatSegments(4, HOP), CutPatches(7), PatchesOfClips(), PadToMinimum(9), ConcatenateInTime()],
    ids=lambda layer: type(layer).__name__,
)
def test_survive_serialisation(layer):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.get_config() == layer.get_config()


def test_sizes_are_numbers_or_tensors():
    assert (larger(2, 3), smaller(2, 3)) == (3, 2)
    assert (int(larger(tf.constant(2), 3)), int(smaller(tf.constant(2), 3))) == (3, 2)
