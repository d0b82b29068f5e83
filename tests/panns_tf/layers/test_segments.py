"""The layers between clips and their parts, against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.layers import CutPatches, PatchesOfClips, RepeatSegments

HOP = 10
#: Segments, samples: as many frames as segments stand for, one less, one more, a clip's usual
#: rest, less than one segment, one frame, and a single segment for many frames.
LENGTHS = [(3, 110), (3, 100), (3, 120), (3, 149), (1, 20), (1, 0), (1, 9), (1, 300)]


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")


def repeated(segments: np.ndarray, samples: int, times: int, hop: int) -> np.ndarray:
    """Each segment ``times`` times, then the last frame until the clip ends."""
    frames = 1 + samples // hop
    found = np.repeat(segments, times, axis=1)
    missing = max(0, frames - found.shape[1])
    return np.concatenate([found, np.repeat(found[:, -1:], missing, axis=1)], axis=1)[:, :frames]


@pytest.mark.parametrize(("segments", "samples"), LENGTHS)
@pytest.mark.parametrize("times", [4, 1])
def test_segments_become_frames(segments, samples, times):
    x, waveform = numbers(2, segments, 3), numbers(2, samples)
    found = RepeatSegments(times, HOP)([x, waveform])
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found, repeated(x, samples, times, HOP))


def test_by_hand():
    x = np.float32([[[1], [2], [3]]])
    found = RepeatSegments(frames_per_segment=2, hop_size=5)([x, np.zeros((1, 40), "float32")])
    assert np.ravel(found).tolist() == [1, 1, 2, 2, 3, 3, 3, 3, 3]
    found = RepeatSegments(frames_per_segment=2, hop_size=5)([x, np.zeros((1, 14), "float32")])
    assert np.ravel(found).tolist() == [1, 1, 2]


def repeat_model(**lengths) -> keras.Model:
    inputs = [keras.Input((lengths.get("segments"), 3)), keras.Input((lengths.get("samples"),))]
    return keras.Model(inputs, RepeatSegments(4, HOP, name="frames")(inputs))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_frames_of_any_length_in_one_compiled_model(jit_compile):
    model = repeat_model()
    model.compile(jit_compile=jit_compile)
    for segments, samples in LENGTHS[:4]:
        x, waveform = numbers(2, segments, 3), numbers(2, samples)
        found = model.predict([x, waveform], verbose=0)
        np.testing.assert_array_equal(found, repeated(x, samples, 4, HOP))


def test_frames_of_any_length_in_one_traced_function():
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, None, 3)), tf.TensorSpec((None, None))])
    def frames(segments, waveform):
        traces.append(1)
        return RepeatSegments(4, HOP)([segments, waveform])

    for clips, (segments, samples) in enumerate(LENGTHS, start=1):
        x, waveform = numbers(clips, segments, 3), numbers(clips, samples)
        np.testing.assert_array_equal(frames(x, waveform), repeated(x, samples, 4, HOP))
    assert len(traces) == 1


def test_symbolic_frames():
    assert repeat_model().output_shape == (None, None, 3)
    assert repeat_model(segments=5).output_shape == (None, None, 3)
    assert repeat_model(samples=109).output_shape == (None, 11, 3)
    layer = RepeatSegments(4, HOP)
    assert layer.compute_output_shape([(2, 3, 5), (2, 110)]) == (2, 12, 5)
    found = layer([keras.KerasTensor((2, 3, 5)), keras.KerasTensor((2, 110))])
    assert found.shape == (2, 12, 5)


@pytest.mark.parametrize("name_of_policy", ["mixed_float16", "mixed_bfloat16"])
def test_frames_are_float32_under_any_policy(name_of_policy, policy):
    policy(name_of_policy)
    x = numbers(1, 3, 3)
    layer = RepeatSegments(4, HOP)
    found = layer([x, numbers(1, 110)])
    assert found.dtype == "float32"
    assert repeat_model().output.dtype == "float32"
    np.testing.assert_array_equal(found, repeated(x, 110, 4, HOP))


def cut(x: np.ndarray, frames: int) -> np.ndarray:
    patches = range(x.shape[1] // frames)
    return np.stack([clip[i * frames : (i + 1) * frames] for clip in x for i in patches])


@pytest.mark.parametrize("rest", [(), (3,), (4, 1)])
@pytest.mark.parametrize("frames", [5, 6, 9, 10, 23])
def test_clips_become_patches(frames, rest):
    x = numbers(3, frames, *rest)
    found = CutPatches(5)(x)
    assert found.shape == (3 * (frames // 5), 5, *rest)
    np.testing.assert_array_equal(found, cut(x, 5))


def test_a_clip_shorter_than_a_patch_has_none():
    assert CutPatches(5)(numbers(3, 4, 2)).shape == (0, 5, 2)


def patch_model(samples: int | None = None) -> keras.Model:
    """What VGGish does: cuts, computes something of each patch, groups by clip."""
    clips = keras.Input((samples, 4, 1))
    patches = CutPatches(5, name="cut")(clips)
    features = keras.ops.sum(patches, axis=(1, 3))
    return keras.Model(clips, PatchesOfClips(name="group")([features, clips]))


def grouped(x: np.ndarray) -> np.ndarray:
    patches = x.shape[1] // 5
    return x[:, : 5 * patches].reshape(len(x), patches, 5, 4).sum(2)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_patches_return_to_their_clips(jit_compile):
    model = patch_model()
    model.compile(jit_compile=jit_compile)
    for clips, frames in [(1, 5), (2, 14), (3, 20), (1, 21)]:
        x = numbers(clips, frames, 4, 1)
        found = model.predict(x, verbose=0)
        np.testing.assert_allclose(found, grouped(x), atol=1e-6)


def test_patches_of_any_length_in_one_traced_function():
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, None, 4, 1))])
    def both(clips):
        traces.append(1)
        patches = CutPatches(5)(clips)
        return patches, PatchesOfClips()([keras.ops.sum(patches, axis=(1, 3)), clips])

    for clips, frames in [(1, 5), (2, 14), (3, 20), (1, 21)]:
        x = numbers(clips, frames, 4, 1)
        patches, groups = both(x)
        np.testing.assert_array_equal(patches, cut(x, 5))
        np.testing.assert_allclose(groups, grouped(x), atol=1e-6)
    assert len(traces) == 1


def test_grouping_by_hand():
    patches = np.arange(12, dtype="float32").reshape(6, 2)
    found = PatchesOfClips()([patches, np.zeros((3, 7, 9), "float32")])
    assert np.asarray(found).tolist() == [
        [[0, 1], [2, 3]],
        [[4, 5], [6, 7]],
        [[8, 9], [10, 11]],
    ]


def test_symbolic_patches():
    assert patch_model().output_shape == (None, None, 4)
    assert patch_model().get_layer("cut").output.shape == (None, 5, 4, 1)
    assert patch_model(23).get_layer("cut").output.shape == (None, 5, 4, 1)
    layer = CutPatches(5)
    assert layer(keras.KerasTensor((3, 23, 4, 1))).shape == (12, 5, 4, 1)
    assert layer(keras.KerasTensor((3, None, 4, 1))).shape == (None, 5, 4, 1)
    group = PatchesOfClips()
    known = group([keras.KerasTensor((12, 7)), keras.KerasTensor((3, 23, 4, 1))])
    assert known.shape == (3, 4, 7)
    clips = group([keras.KerasTensor((None, 7)), keras.KerasTensor((3, None))])
    assert clips.shape == (3, None, 7)
    patches = group([keras.KerasTensor((12, 7)), keras.KerasTensor((None, 23))])
    assert patches.shape == (None, None, 7)


def test_patches_keep_the_policys_type(policy):
    policy("mixed_bfloat16")
    patches = CutPatches(5)(numbers(2, 10, 4))
    assert keras.backend.standardize_dtype(patches.dtype) == "bfloat16"
    assert CutPatches(5)(keras.KerasTensor((2, 10, 4))).dtype == "bfloat16"
    groups = PatchesOfClips()([patches[:, 0], patches[:2]])
    assert keras.backend.standardize_dtype(groups.dtype) == "bfloat16"


@pytest.mark.parametrize(
    ("layer", "settings"),
    [
        (RepeatSegments(4, HOP, name="a"), {"frames_per_segment": 4, "hop_size": HOP}),
        (CutPatches(7, name="b"), {"frames": 7}),
        (PatchesOfClips(name="c"), {}),
    ],
    ids=["RepeatSegments", "CutPatches", "PatchesOfClips"],
)
def test_survive_serialisation(layer, settings):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(copy) is type(layer)
    assert copy.name == layer.name
    assert {name: getattr(copy, name) for name in settings} == settings
    assert copy.dtype_policy.name == layer.dtype_policy.name


@pytest.mark.parametrize("make", [repeat_model, patch_model])
def test_survive_within_a_saved_model(make, tmp_path):
    model = make()
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    x = [numbers(2, 3, 3), numbers(2, 149)] if make is repeat_model else numbers(2, 23, 4, 1)
    np.testing.assert_array_equal(copy(x), model(x))
