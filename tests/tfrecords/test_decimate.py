"""Lower sample rates than the stored one: by a filter, or by leaving samples out."""

import numpy as np
import pytest

import tfrecords
from tfrecords.codecs import check_resample, resample_clips, resampled_length
from tfrecords.storage import TFRecordsError

RATE = 32000


def tone(frequency: float, samples: int = RATE) -> np.ndarray:
    """(1, samples) int16."""
    return np.int16(16000 * np.sin(2 * np.pi * frequency * np.arange(samples) / RATE))[None]


def level_db(clips: np.ndarray) -> float:
    inner = clips[0, 200:-200].astype(float)
    return 20 * np.log10(np.sqrt(2 * np.mean(inner**2)) / 16000 + 1e-9)


@pytest.mark.parametrize("wanted", [16000, 8000])
def test_skip_takes_every_kth_sample(wanted):
    clips = np.random.default_rng(0).integers(-32768, 32768, (3, 1003)).astype(np.int16)
    out = resample_clips(clips, RATE, wanted, "skip")
    np.testing.assert_array_equal(out, clips[:, :: RATE // wanted])
    assert out.dtype == np.int16


@pytest.mark.parametrize("wanted", [16000, 8000, 24000])
def test_lowpass_keeps_the_band_and_nothing_above(wanted):
    below, above = 0.35 * wanted, 0.6 * wanted
    assert level_db(resample_clips(tone(below), RATE, wanted, "lowpass")) == pytest.approx(0, abs=0.1)
    assert level_db(resample_clips(tone(above), RATE, wanted, "lowpass")) < -60
    spectrum = np.abs(np.fft.rfft(resample_clips(tone(below), RATE, wanted, "lowpass")[0]))
    assert np.argmax(spectrum) == below


def test_skip_folds_what_lies_above_into_the_band():
    folded = resample_clips(tone(10000), RATE, 16000, "skip")
    assert level_db(folded) > -0.1
    assert np.argmax(np.abs(np.fft.rfft(folded[0]))) == 6000


@pytest.mark.parametrize("samples", [1, 2, 3, 1000, 1001, 44100])
@pytest.mark.parametrize(("stored", "wanted"), [(32000, 16000), (44100, 32000), (32000, 8000)])
def test_lengths(samples, stored, wanted):
    out = resample_clips(np.full((2, samples), 1000, np.int16), stored, wanted, "lowpass")
    assert out.shape == (2, int(np.ceil(samples * wanted / stored)))
    assert resampled_length(samples, stored, wanted) == out.shape[1]
    middle = out[:, 100:-100]
    assert (np.abs(middle.astype(int) - 1000) <= 1).all()


def test_rounds_to_the_nearest_and_does_not_wrap():
    square = np.where(tone(50) > 0, 32767, -32767).astype(np.int16)
    out = resample_clips(square, RATE, 16000, "lowpass").astype(int)
    # The filter swings beyond full scale, where it must stay.
    assert out.max() == 32767
    assert out.min() == -32767
    assert (np.abs(np.diff(out[0, 100:150])) < 40000).all()
    quiet = resample_clips(np.int16(np.rint(tone(100) / 10000)), RATE, 16000, "lowpass")
    assert set(np.unique(quiet)) == {-2, -1, 0, 1, 2}


def test_the_same_rate_is_the_same_samples():
    clips = tone(100)
    for decimation in ("lowpass", "skip"):
        np.testing.assert_array_equal(resample_clips(clips, RATE, RATE, decimation), clips)


@pytest.mark.parametrize("decimation", ["lowpass", "skip"])
def test_clips_do_not_depend_on_each_other(decimation):
    clips = np.random.default_rng(1).integers(-9000, 9000, (4, 3200)).astype(np.int16)
    together = resample_clips(clips, RATE, 16000, decimation)
    for row, clip in zip(together, clips, strict=True):
        np.testing.assert_array_equal(row, resample_clips(clip[None], RATE, 16000, decimation)[0])


@pytest.mark.parametrize("sampling", ["sequential", "shuffled"])
@pytest.mark.parametrize("decimation", ["lowpass", "skip"])
def test_through_the_pipeline(packed, sampling, decimation):
    options = {"batch_size": 8, "sampling": sampling}
    full = next(iter(tfrecords.dataset(packed, **options)))
    data = tfrecords.dataset(packed, **options, sample_rate=2000, decimation=decimation)
    assert data.element_spec["waveform"].shape[1] == 500
    low = next(iter(data))
    np.testing.assert_array_equal(low["clip_id"], full["clip_id"])
    np.testing.assert_array_equal(low["target"], full["target"])
    expected = resample_clips(full["waveform"].numpy(), 8000, 2000, decimation)
    np.testing.assert_array_equal(low["waveform"], expected)


@pytest.mark.parametrize(
    ("rate", "decimation", "part"),
    [
        (16000, "lowpass", "stored at 8000 Hz .* not at 16000 Hz; pack them again"),
        (0, "lowpass", "not at 0 Hz"),
        (-4000, "skip", "not at -4000 Hz"),
        (3000, "skip", "no multiple of 3000 Hz; use 'lowpass'"),
        (4000, "linear", "must be one of lowpass, skip, got 'linear'"),
    ],
)
def test_mistakes(packed, rate, decimation, part):
    with pytest.raises(TFRecordsError, match=part):
        check_resample(8000, rate, decimation)
    with pytest.raises(TFRecordsError, match=part):
        tfrecords.dataset(packed, batch_size=1, sample_rate=rate, decimation=decimation)
    check_resample(8000, 3000, "lowpass")


def test_a_rate_must_be_whole(packed):
    with pytest.raises(TFRecordsError, match="sample_rate must be a whole number"):
        tfrecords.dataset(packed, batch_size=1, sample_rate=4000.5)
