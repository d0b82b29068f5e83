import numpy as np
import pytest

from panns_tf.windows import WindowCutter, Windows, aggregate, cut_windows, window_starts


def test_every_sample_counts_and_the_last_window_ends_with_the_clip():
    rng = np.random.default_rng(0)
    for _ in range(200):
        samples, size = rng.integers(1, 60, 2)
        hop = rng.integers(1, size + 1)
        starts = window_starts(samples, size, hop)
        covered = np.zeros(max(samples, size), int)
        for start in starts:
            covered[start : start + size] += 1
        assert starts[0] == 0
        assert covered.all()
        assert starts[-1] == max(0, samples - size)
        assert (np.diff(starts) <= hop).all()


def test_a_clip_shorter_than_the_window_is_padded_with_zeros():
    clips = np.arange(1, 7, dtype=np.float32).reshape(2, 3)
    windows = cut_windows(clips, 5, 5)
    assert windows.tolist() == [[[1, 2, 3, 0, 0], [4, 5, 6, 0, 0]]]


def test_a_stream_is_cut_as_a_clip_however_its_blocks_fall():
    rng = np.random.default_rng(1)
    for _ in range(100):
        samples, size = rng.integers(1, 80, 2)
        hop = rng.integers(1, size + 1)
        clip = rng.normal(size=samples).astype(np.float32)
        cutter = WindowCutter(size, hop)
        cuts = np.sort(rng.integers(0, samples + 1, rng.integers(0, 6)))
        windows = [window for block in np.split(clip, cuts) for window in cutter.feed(block)]
        windows += cutter.finish()
        assert [start for start, _ in windows] == window_starts(samples, size, hop)
        np.testing.assert_array_equal([w for _, w in windows], cut_windows(clip, size, hop))


def test_predictions_are_joined_and_nan_stays():
    predictions = np.array([[0.1, 0.5], [0.3, np.nan]], np.float32)
    np.testing.assert_allclose(aggregate(predictions, "mean"), [0.2, np.nan], rtol=1e-6)
    np.testing.assert_allclose(aggregate(predictions, "max"), [0.3, np.nan], rtol=1e-6)
    assert aggregate(predictions, "mean").dtype == np.float32
    with pytest.raises(ValueError, match="aggregate must be one of"):
        aggregate(predictions, "median")


def test_settings_are_checked():
    assert Windows(2.0).samples(16000) == (32000, 32000)
    assert Windows(2.0, 0.5).samples(8000) == (16000, 4000)
    assert Windows().samples(8000) is None
    for arguments, message in (
        ({"hop": 1.0}, "--hop 1 needs a --window"),
        ({"window": 1.0, "hop": 2.0}, "longer than --window"),
        ({"window": 0.0}, r"window must be at least 0.01 and at most 3600"),
        ({"window": float("nan")}, "window must be "),
        ({"window": 1.0, "aggregate": "median"}, "aggregate must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            Windows(**arguments)
