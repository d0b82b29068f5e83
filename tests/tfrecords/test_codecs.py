"""Audio to bytes and back, without loss, and bytes that are no such audio."""

import io

import numpy as np
import pytest
import soundfile

import tfrecords
from tfrecords.codecs import CODECS, decode_audio, encode_audio

NOISE = np.random.default_rng(0).integers(-32768, 32768, 5000).astype(np.int16)
WAVEFORMS = {
    "noise": NOISE,
    "silence": np.zeros(5000, np.int16),
    "full scale": np.tile(np.array([32767, -32768], np.int16), 2500),
    "constant": np.full(5000, -32768, np.int16),
    "one sample": NOISE[:1],
    "few samples": NOISE[:17],
}


def stream(waveform: np.ndarray, **options) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform, 8000, **options)
    return file.getvalue()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("kind", WAVEFORMS)
@pytest.mark.parametrize("rate", [8000, 32000, 44100])
def test_round_trip(codec, kind, rate):
    waveform = WAVEFORMS[kind]
    out = np.full(len(waveform), 99, np.int16)
    decode_audio(encode_audio(waveform, codec, rate), codec, out)
    np.testing.assert_array_equal(out, waveform)


def test_pcm16_is_little_endian_whatever_comes_in():
    expected = b"\x01\x00\xff\x7f\x00\x80"
    for kind in ("<i2", ">i2"):
        assert encode_audio(np.array([1, 32767, -32768], kind), "pcm16", 8000) == expected


@pytest.mark.parametrize(
    ("codec", "audio", "part"),
    [
        ("pcm16", bytes(9999), "buffer size"),  # half a sample
        ("pcm16", bytes(9998), "found 4999 samples, expected 5000"),
        ("pcm16", b"", "found 0 samples"),
        ("flac", b"", "not flac"),
        ("flac", b"fLaC" + bytes(100), "not flac"),
        ("flac", NOISE.tobytes(), "not flac"),
        ("flac", stream(NOISE[:4999], format="FLAC"), "found 4999 samples, expected 5000"),
        ("flac", stream(np.stack([NOISE, NOISE], axis=1), format="FLAC"), "samples"),
    ],
)
def test_bytes_that_are_something_else(codec, audio, part):
    with pytest.raises(ValueError, match=part):
        decode_audio(audio, codec, np.empty(5000, np.int16))


def test_flac_cut_short_is_an_error():
    whole = encode_audio(NOISE, "flac", 8000)
    for kept in (0.3, 0.9):
        with pytest.raises(ValueError):
            decode_audio(whole[: int(kept * len(whole))], "flac", np.empty(5000, np.int16))


def test_a_flac_directory_delivers_what_a_pcm16_one_does(source, packed, tmp_path, settings):
    tfrecords.pack_clips(settings(source, tmp_path / "out", codec="flac"), progress=False)
    assert tfrecords.verify_directory(tmp_path / "out") == []
    for options in ({}, {"sampling": "balanced"}, {"sample_rate": 4000}):
        plain = tfrecords.dataset(packed, batch_size=16, **options).take(4)
        for first, second in zip(
            plain, tfrecords.dataset(tmp_path / "out", batch_size=16, **options), strict=False
        ):
            for key in first:
                np.testing.assert_array_equal(first[key], second[key])
