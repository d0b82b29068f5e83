"""Audio files of several kinds, whole and damaged."""

import numpy as np
import pytest
import soundfile

from tfrecords.decode import DecodeError, decode_clip

KINDS = {
    "wav": {"format": "WAV", "subtype": "PCM_16"},
    "flac": {"format": "FLAC", "subtype": "PCM_16"},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "mp3": {"format": "MP3", "subtype": "MPEG_LAYER_III"},
}


def tone(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)


def level_db(clip: np.ndarray, reference: float = 0.5 * 32767) -> float:
    inner = clip[len(clip) // 8 : -len(clip) // 8].astype(float)
    return 20 * np.log10(np.sqrt(2 * np.mean(inner**2)) / reference + 1e-9)


def reason(path, rate: int = 32000, samples: int = 32000) -> str:
    with pytest.raises(DecodeError) as caught:
        decode_clip(path, rate, samples)
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_stereo_44k_becomes_mono_32k_with_the_same_tone(tmp_path, kind):
    left = tone(1000, 44100)
    path = tmp_path / f"x.{kind}"
    soundfile.write(path, np.stack([left, np.zeros_like(left)], axis=1), 44100, **KINDS[kind])
    clip = decode_clip(path, 32000, 32000)
    assert clip.dtype == np.int16
    assert clip.shape == (32000,)
    spectrum = np.abs(np.fft.rfft(clip * np.hanning(32000)))
    assert np.argmax(spectrum) == 1000
    assert level_db(clip, 0.25 * 32767) == pytest.approx(0, abs=0.3)


@pytest.mark.parametrize("rate", [8000, 16000])
def test_what_the_new_rate_cannot_hold_vanishes(tmp_path, rate):
    soundfile.write(tmp_path / "x.wav", tone(20000, 48000), 48000, subtype="FLOAT")
    assert level_db(decode_clip(tmp_path / "x.wav", rate, rate)) < -60
    # Control: picking every third sample instead would alias it to 4 kHz at full level.
    assert level_db(tone(20000, 48000)[::3] * 32767) > -1


def test_pads_at_the_end_and_cuts(tmp_path):
    soundfile.write(tmp_path / "x.wav", np.full(100, 0.5), 8000)
    clip = decode_clip(tmp_path / "x.wav", 8000, 150)
    np.testing.assert_array_equal(clip, [16384] * 100 + [0] * 50)  # rint(0.5 * 32767) = 16384
    assert decode_clip(tmp_path / "x.wav", 8000, 60).shape == (60,)


def test_clips_at_full_scale(tmp_path):
    soundfile.write(tmp_path / "x.wav", [1.5, -1.5, 0.25], 8000, subtype="FLOAT")
    np.testing.assert_array_equal(decode_clip(tmp_path / "x.wav", 8000, 3), [32767, -32767, 8192])


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_the_start_of_a_long_file_is_as_from_the_whole(tmp_path, rate):
    long = np.random.default_rng(0).uniform(-0.9, 0.9, 6 * rate)
    soundfile.write(tmp_path / "long.wav", long, rate)
    whole = decode_clip(tmp_path / "long.wav", 32000, 6 * 32000)
    start = decode_clip(tmp_path / "long.wav", 32000, 32000)
    assert np.abs(whole[:32000].astype(int) - start).max() <= 1


def test_missing_empty_and_no_audio(tmp_path):
    assert reason(tmp_path / "x.wav") == "missing"
    (tmp_path / "x.wav").touch()
    assert reason(tmp_path / "x.wav") == "empty"
    (tmp_path / "x.wav").write_bytes(b"<html>not found</html>" * 100)
    assert reason(tmp_path / "x.wav") == "not audio"
    soundfile.write(tmp_path / "x.wav", np.zeros(0), 8000)
    assert reason(tmp_path / "x.wav") == "empty"
    assert reason(tmp_path) == "missing"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_samples_that_are_not_finite(tmp_path, bad):
    soundfile.write(tmp_path / "x.wav", [0.1, bad, 0.1], 8000, subtype="FLOAT")
    assert reason(tmp_path / "x.wav", 8000, 3) == "not finite"


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_truncated_files(tmp_path, kind, kept):
    path = tmp_path / f"x.{kind}"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 64000)
    soundfile.write(path, noise, 32000, **KINDS[kind])
    content = path.read_bytes()
    assert decode_clip(path, 32000, 64000).any()  # control: whole, it decodes
    path.write_bytes(content[: int(kept * len(content))])
    assert reason(path, 32000, 64000) == "truncated"


def test_truncated_mp3(tmp_path):
    path = tmp_path / "x.mp3"
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 64000)
    soundfile.write(path, noise, 32000, **KINDS["mp3"])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert reason(path, 32000, 64000) == "truncated"


def test_wav_written_to_a_pipe_has_no_length_and_is_whole(tmp_path):
    path, size = tmp_path / "x.wav", 0xFFFFFFFF
    soundfile.write(path, tone(500, 8000), 8000)
    content = bytearray(path.read_bytes())
    place = content.index(b"data") + 4
    content[place : place + 4] = size.to_bytes(4, "little")
    content[4:8] = size.to_bytes(4, "little")
    path.write_bytes(content)
    assert level_db(decode_clip(path, 8000, 8000)) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize("rate", [8000, 192000])
def test_one_sample(tmp_path, rate):
    soundfile.write(tmp_path / "x.wav", [0.5], rate)
    clip = decode_clip(tmp_path / "x.wav", 8000, 10)
    assert clip.shape == (10,)
    assert not clip[2:].any()
    if rate == 8000:
        assert clip[0] == 16384


@pytest.mark.parametrize("kind", KINDS)
def test_the_extension_does_not_matter(tmp_path, kind):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 16000)
    soundfile.write(tmp_path / f"x.{kind}", noise, 16000, **KINDS[kind])
    whole = decode_clip(tmp_path / f"x.{kind}", 16000, 16000)
    for name in ("y.wav", "y.mp3", "y.m4a", "y"):
        (tmp_path / f"x.{kind}").rename(tmp_path / name)
        np.testing.assert_array_equal(decode_clip(tmp_path / name, 16000, 16000), whole)
        (tmp_path / name).rename(tmp_path / f"x.{kind}")


def test_eight_channels_are_averaged(tmp_path):
    sound = np.zeros((8000, 8))
    sound[:, 3] = tone(500, 8000)
    soundfile.write(tmp_path / "x.wav", sound, 8000, subtype="PCM_24")
    clip = decode_clip(tmp_path / "x.wav", 8000, 8000)
    assert level_db(clip, 0.5 / 8 * 32767) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    ("place", "value"),
    [(24, 0), (24, 1), (24, 2**31 - 1), (22, 0), (22, 65535), (40, 10**6)],
    ids=["rate 0", "rate 1", "rate huge", "no channel", "channels", "length"],
)
def test_headers_that_cannot_be(tmp_path, place, value):
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(500, 8000), 8000)
    content = bytearray(path.read_bytes())
    size = 2 if place == 22 else 4
    content[place : place + size] = value.to_bytes(size, "little")
    path.write_bytes(content)
    absurd = "absurd sample rate or number of channels"
    assert reason(path, 8000, 8000) in ("not audio", "truncated", absurd)
