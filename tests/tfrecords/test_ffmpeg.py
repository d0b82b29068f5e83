"""Audio that only FFmpeg decodes, through PyAV."""

import sys

import numpy as np
import pytest

from tests.hostile import by_ffmpeg
from tests.tfrecords.test_decode import level_db, tone
from tfrecords.decode import DecodeError, decode_clip

RATE = 44100


@pytest.fixture
def m4a(tmp_path):
    """A second of a tone of 1 kHz, AAC, two channels."""
    av = pytest.importorskip("av", reason="needs requirements-ffmpeg.txt")
    path = tmp_path / "tone.m4a"
    samples = np.tile(tone(1000, RATE).astype(np.float32), (2, 1))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE)
        stream.layout = "stereo"
        for start in range(0, RATE, 1024):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[:, start : start + 1024]), "fltp", "stereo"
            )
            frame.sample_rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_aac_becomes_mono_at_the_new_rate(m4a):
    clip = decode_clip(m4a, 32000, 32000)
    assert abs(level_db(clip)) < 1
    spectrum = np.abs(np.fft.rfft(clip[4000:28000]))
    assert np.argmax(spectrum) * 32000 / 24000 == pytest.approx(1000, abs=2)


def test_eight_channels(tmp_path):
    pytest.importorskip("av", reason="needs requirements-ffmpeg.txt")
    by_ffmpeg(tmp_path)
    clip = decode_clip(tmp_path / "surround.m4a", 48000, 10000)
    # The mean of seven channels of noise and a bass, less what the encoder takes away.
    whole = 16000 / np.sqrt(3) * np.sqrt(7) / 8
    assert 0.75 * whole < clip[2000:9000].std() < whole


def test_damaged_aac_is_refused(m4a):
    content = m4a.read_bytes()
    m4a.write_bytes(content[:200])
    with pytest.raises(DecodeError, match="not audio"):
        decode_clip(m4a, 32000, 32000)
    m4a.write_bytes(b"no audio at all" * 100)
    with pytest.raises(DecodeError, match="not audio"):
        decode_clip(m4a, 32000, 32000)


def test_without_pyav_the_reason_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    path = tmp_path / "x.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(100))
    with pytest.raises(DecodeError, match=r"\.m4a needs PyAV: pip install av"):
        decode_clip(path, 32000, 32000)
