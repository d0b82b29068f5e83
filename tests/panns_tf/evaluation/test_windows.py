import numpy as np
import pytest

from panns_tf.evaluation.windows import Windows


def test_a_whole_clip_is_one_window():
    assert Windows().starts(100, 10) == [0]


@pytest.mark.parametrize(
    ("window", "hop", "samples", "starts"),
    [
        (2, None, 60, [0, 20, 40]),
        (2, 1, 60, [0, 10, 20, 30, 40]),
        (2, None, 50, [0, 20, 30]),  # the last is shifted to the clip's end
        (2.5, 2, 50, [0, 20, 25]),
        (5, 5, 50, [0]),
        (4.9, None, 50, [0, 1]),
    ],
)
def test_windows_reach_every_sample_and_not_beyond(window, hop, samples, starts):
    windows = Windows(window, hop)
    assert windows.starts(samples, 10) == starts
    heard = np.zeros(samples, bool)
    for start in starts:
        assert start + round(window * 10) <= samples
        heard[start : start + round(window * 10)] = True
    assert heard.all()


def test_predictions_are_joined():
    tf = pytest.importorskip("tensorflow")
    waveform = tf.constant(np.arange(50, dtype="float32")[None].repeat(2, axis=0))

    def first_sample(part):
        assert part.shape == (2, 20)
        return part[:, :1]

    starts = Windows(2).starts(50, 10)
    for aggregate, expected in (("mean", np.mean(starts)), ("max", np.max(starts))):
        predict = Windows(2, None, aggregate).around(first_sample, 10)
        np.testing.assert_allclose(predict(waveform), np.full((2, 1), expected), rtol=1e-6)
    # One window of all is the clip.
    assert Windows(5).around(lambda part: part[:, -1:], 10)(waveform)[0, 0] == 49


@pytest.mark.parametrize("aggregate", ["mean", "max"])
@pytest.mark.parametrize("bad", [0, 1])
def test_nan_of_any_window_stays_nan(aggregate, bad):
    tf = pytest.importorskip("tensorflow")
    values = iter([tf.constant([[np.nan if i == bad else 1.0]]) for i in range(2)])
    predict = Windows(2, None, aggregate).around(lambda part: next(values), 10)
    assert np.isnan(predict(tf.zeros((1, 40)))).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"window": 0}, "--window must be above 0 seconds; received 0"),
        ({"window": float("nan")}, "--window must be above 0"),
        ({"window": 2, "hop": 0}, "--hop must be above 0"),
        ({"window": 2, "hop": -1}, "--hop must be above 0"),
        ({"window": 2, "hop": 3}, "--hop 3 is longer than --window 2"),
        ({"hop": 3}, "--hop 3 needs a --window"),
        ({"window": 2, "aggregate": "median"}, "aggregate must be one of"),
    ],
)
def test_impossible_windows_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Windows(**settings)


def test_a_window_longer_than_the_clips_is_refused():
    with pytest.raises(ValueError, match="--window 6 is longer than the clips, which have 5 s"):
        Windows(6).starts(50, 10)
    with pytest.raises(ValueError, match="less than a sample"):
        Windows(1, 0.01).starts(50, 10)
