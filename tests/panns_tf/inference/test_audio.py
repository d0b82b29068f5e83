"""Sounds as networks take them."""

import io
import time
import tracemalloc
import warnings

import numpy as np
import pytest
import soundfile
import soxr

from panns_tf.inference import recordings
from panns_tf.inference.audio import AudioError, TooLongError, open_audio, read_audio
from tests.panns_tf.inference.test_recordings import noise
from tfrecords.decode import decode_clip

RATE = 8000


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("rate", [RATE, 16000, 44100, 192000, 1000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_it_is_what_clips_are_packed_from(tmp_path, rate, channels):
    soundfile.write(tmp_path / "x.wav", noise(rate, channels), rate, subtype="PCM_24")
    samples = read_audio(tmp_path / "x.wav", RATE)
    clip = decode_clip(tmp_path / "x.wav", RATE, RATE)
    assert samples.dtype == np.float32
    assert samples.shape == (RATE,)
    np.testing.assert_allclose(samples * 32767, clip, atol=0.51)
    as_array, _ = soundfile.read(tmp_path / "x.wav", dtype="float32")
    np.testing.assert_allclose(read_audio(as_array, RATE, rate=rate), samples, atol=1e-6)


@pytest.mark.parametrize("rate", [RATE, 11025, 48000])
@pytest.mark.parametrize("block", [1, 977, RATE, 10**9])
def test_blocks_are_of_their_size_and_together_the_whole(tmp_path, monkeypatch, rate, block):
    soundfile.write(tmp_path / "x.flac", noise(rate + 17, 2), rate)
    whole = read_audio(tmp_path / "x.flac", RATE)
    monkeypatch.setattr(recordings, "_PART", 1000)
    with open_audio(tmp_path / "x.flac", RATE) as stream:
        assert stream.seconds == (rate + 17) / rate
        assert stream.name == str(tmp_path / "x.flac")
        blocks = list(stream.blocks(block))
    assert {len(each) for each in blocks[:-1]} <= {block}
    assert 0 < len(blocks[-1]) <= block
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-6)
    signal = soundfile.read(tmp_path / "x.flac", dtype="float32")[0].mean(axis=1)
    if rate != RATE:
        signal = soxr.resample(signal, rate, RATE, quality="HQ")
    np.testing.assert_allclose(whole, signal, atol=1e-6)


def test_hours_take_the_memory_of_seconds(tmp_path):
    hour, block = 3600 * RATE, np.full(RATE, 0.25, np.float32)
    with soundfile.SoundFile(tmp_path / "x.wav", "w", RATE, 1) as file:
        for _ in range(3600):
            file.write(block)
    tracemalloc.start()
    with open_audio(tmp_path / "x.wav", RATE) as stream:
        assert sum(len(each) for each in stream.blocks(32000)) == hour
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6 < 4 * hour / 5


def test_a_header_of_4_gigabytes_takes_the_memory_of_the_file(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(100), RATE)
    content = bytearray((tmp_path / "x.wav").read_bytes())
    content[40:44] = (2**32 - 16).to_bytes(4, "little")
    tracemalloc.start()
    assert len(read_audio(bytes(content), RATE)) == 100
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


def test_a_truncated_file_is_used_with_a_warning(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(2 * RATE), RATE)
    content = (tmp_path / "x.wav").read_bytes()
    (tmp_path / "x.wav").write_bytes(content[: 44 + RATE])
    expected = r"x\.wav: ends before its header says; the 0\.50 s that are there were used"
    with pytest.warns(UserWarning, match=expected):
        samples = read_audio(tmp_path / "x.wav", 2 * RATE)
    assert len(samples) == RATE
    (tmp_path / "x.wav").write_bytes(content[:44])
    with pytest.raises(AudioError, match=r"x\.wav: no sample can be read"):
        read_audio(tmp_path / "x.wav", RATE)


@pytest.mark.parametrize(
    ("peak", "hint"), [(1.5, ""), (-3000.0, "; int16 values given as floats? divide by 32768")]
)
def test_values_beyond_full_scale_are_used_with_a_warning(tmp_path, peak, hint):
    values = np.array([0.5, peak, 0.1, 0.2], np.float32)
    soundfile.write(tmp_path / "x.wav", values, RATE, subtype="FLOAT")
    end = rf"samples reach {abs(peak):.4g}, beyond \[-1, 1\]; used as they are{hint}$".replace(
        "?", r"\?"
    )
    for source, rate in ((tmp_path / "x.wav", None), (values, RATE), (values[:, None], RATE)):
        with pytest.warns(UserWarning, match=end):
            np.testing.assert_array_equal(read_audio(source, RATE, rate), values)


def test_full_scale_itself_is_no_reason_to_warn(tmp_path):
    np.testing.assert_array_equal(read_audio(np.array([1.0, -1.0]), RATE, RATE), [1, -1])
    assert read_audio(np.array([-32768], np.int16), RATE, RATE) == [-1]
    # MP3 oversteps a square wave's level as it must.
    square = np.sign(np.sin(np.arange(RATE) / 10)) * 0.99
    soundfile.write(tmp_path / "x.mp3", square, RATE)
    assert np.abs(read_audio(tmp_path / "x.mp3", RATE)).max() > 1


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_samples_that_are_not_finite_are_counted(tmp_path, monkeypatch, bad):
    monkeypatch.setattr(recordings, "_PART", 10)
    values = np.zeros(100)
    values[[20, 21, 70]] = bad
    with pytest.raises(AudioError, match="array: 3 of 100 samples are not finite"):
        read_audio(values, RATE, RATE)
    soundfile.write(tmp_path / "x.wav", values, RATE, subtype="DOUBLE")
    with pytest.raises(AudioError, match=r"x\.wav: 3 of 100 samples are not finite"):
        read_audio(tmp_path / "x.wav", RATE)


def test_values_that_no_spectrum_could_hold():
    with pytest.raises(AudioError, match=r"samples up to 1e\+30, which cannot be audio"):
        read_audio(np.array([1e30, 0]), RATE, RATE)


def test_no_samples(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.zeros(0), RATE)
    with pytest.raises(AudioError, match=r"x\.wav: empty"):
        read_audio(tmp_path / "x.wav", RATE)
    with pytest.raises(AudioError, match="shorter than one sample at 8000 Hz"):
        read_audio(np.zeros(1), RATE, 192000)
    assert read_audio(np.full(1, 0.5), RATE, RATE) == [0.5]  # control


def test_longer_than_allowed(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(2 * RATE), RATE)
    with pytest.raises(TooLongError, match=r"x\.wav: 2\.0 s; longer than the 1\.5 s that are"):
        open_audio(tmp_path / "x.wav", RATE, limit_seconds=1.5)
    assert len(read_audio(tmp_path / "x.wav", RATE, limit_seconds=2)) == 2 * RATE
    stream = io.BytesIO()  # FLAC that does not say its length
    soundfile.write(stream, noise(2 * RATE), RATE, format="FLAC")
    content = bytearray(stream.getvalue())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    with open_audio(bytes(content), RATE) as unknown:
        assert unknown.seconds is None
        assert len(unknown.read()) == 2 * RATE
    with pytest.raises(TooLongError, match="longer than the 1 s"):
        read_audio(bytes(content), RATE, limit_seconds=1)


def test_little_time_is_spent_beside_the_decoder(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(10 * 32000), 32000)

    def fastest(read) -> float:
        times = []
        for _ in range(30):
            start = time.thread_time()
            read()
            times.append(time.thread_time() - start)
        return min(times)

    def libsndfile():
        with soundfile.SoundFile(path) as file:
            file.read(dtype="float32")

    assert fastest(lambda: read_audio(path, 32000)) < fastest(libsndfile) + 1e-3


def test_a_stream_is_read_once_and_in_blocks_of_something(tmp_path):
    soundfile.write(tmp_path / "x.wav", noise(100), RATE)
    with open_audio(tmp_path / "x.wav", RATE) as stream:
        with pytest.raises(ValueError, match="0 samples a block"):
            stream.blocks(0)
        stream.read()
        with pytest.raises(ValueError, match="read once"):
            stream.blocks(10)
    with pytest.raises(ValueError, match="sample_rate 0; expected 1000 to 768000"):
        read_audio(tmp_path / "x.wav", 0)
