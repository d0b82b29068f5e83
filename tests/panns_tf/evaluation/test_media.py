import base64
import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from panns_tf.evaluation.media import (
    PLAYED_RATE,
    SECONDS,
    frontend_of,
    log_mel,
    media_of,
    read_media,
)
from panns_tf.layers import LogMel
from tfrecords import load_index


def tone(rate: int, seconds: float, frequency: float) -> np.ndarray:
    time = np.arange(round(rate * seconds)) / rate
    return np.rint(20000 * np.sin(2 * np.pi * frequency * time)).astype(np.int16)


def content(uri: str, kind: str) -> io.BytesIO:
    head, _, body = uri.partition(",")
    assert head == f"data:{kind};base64"
    return io.BytesIO(base64.b64decode(body))


def test_spectrograms_are_those_of_the_networks():
    waveform = tone(8000, 0.6, 900)
    frontend = frontend_of(8000)
    layer = LogMel(*(getattr(frontend, name) for name in frontend.__dataclass_fields__))
    expected = np.array(layer(waveform[None].astype("float32") / 32767))[0]
    found = log_mel(waveform, frontend)
    assert found.shape == expected.shape
    loud = expected > -60
    np.testing.assert_allclose(found[loud], expected[loud], atol=0.05)


@pytest.mark.parametrize("frequency", [500, 2000, 6000])
def test_a_tone_lies_at_its_mark(frequency):
    shown = media_of(tone(32000, 1, frequency), 32000)
    image = np.array(Image.open(content(shown.picture, "image/png")).convert("L"), float)
    brightest = 1 - (image.mean(axis=1).argmax() + 0.5) / len(image)
    marks = dict(shown.marks)
    heights = sorted(marks.items())
    expected = np.interp(frequency, *zip(*heights, strict=True))
    assert brightest == pytest.approx(expected, abs=0.03)


def test_sound_is_played_at_16_khz_or_less():
    for rate in (8000, 32000):
        shown = media_of(tone(rate, 0.5, 440), rate)
        samples, played = soundfile.read(content(shown.sound, "audio/ogg"))
        assert played == min(rate, PLAYED_RATE)
        assert len(samples) == pytest.approx(played / 2, abs=100)
        spectrum = np.abs(np.fft.rfft(samples))
        assert spectrum.argmax() * played / len(samples) == pytest.approx(440, abs=5)
    assert media_of(tone(8000, 0.5, 440), 8000, audio=False).sound is None


def test_long_clips_are_cut_and_silent_or_short_ones_drawn():
    long = media_of(np.zeros(8000 * 21, np.int16), 8000)
    assert (long.seconds, long.whole) == (SECONDS, False)
    short = media_of(np.ones(5, np.int16), 8000)
    assert short.whole
    assert Image.open(content(short.picture, "image/png")).size[0] == 1


def test_clips_are_read_from_records(data):
    index = load_index(data / "eval")
    wanted = [index.clip_ids[3], b"nowhere", index.clip_ids[0], index.clip_ids[3]]
    found = read_media(data / "eval", wanted, 8000, "lowpass")
    assert set(found) == {index.clip_ids[0], index.clip_ids[3]}
    assert found[index.clip_ids[0]].picture != found[index.clip_ids[3]].picture
    assert read_media(data / "eval", [b"nowhere"], 8000, "lowpass") == {}
