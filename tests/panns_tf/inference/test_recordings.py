"""Recordings of every kind, whole and damaged, as they are stored."""

import contextlib
import io
import os
import sys

import numpy as np
import pytest
import soundfile

from panns_tf.inference import recordings
from panns_tf.inference.recordings import AudioError, named, open_recording
from tests import hostile
from tests.hostile import NAMES, WHOLE


def noise(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, channels))


def read(source, rate=None):
    """The recording when it was read, and what it held, (samples, channels)."""
    with contextlib.ExitStack() as stack:
        recording = open_recording(source, rate, stack)
        parts = [part.reshape(len(part), -1) for part in recording.parts]
    assert all(part.dtype == np.float32 for part in parts)
    return recording, np.concatenate(parts)


def reason(source, rate=None) -> str:
    with pytest.raises(AudioError) as caught:
        read(source, rate)
    return str(caught.value)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_in_parts_is_what_soundfile_reads_at_once(tmp_path, monkeypatch, kind):
    rate, channels, options = WHOLE[kind]
    soundfile.write(tmp_path / kind, noise(rate // 2, channels), rate, **options)
    expected, _ = soundfile.read(tmp_path / kind, dtype="float32", always_2d=True)
    monkeypatch.setattr(recordings, "_PART", 1000)  # many parts, which must leave no seams
    recording, samples = read(tmp_path / kind)
    np.testing.assert_array_equal(samples, expected)
    assert recording.rate == rate
    assert recording.seconds == len(expected) / rate
    assert not recording.damaged


@pytest.mark.parametrize("kind", ["16.wav", "x.flac", "x.mp3"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_truncated_file_gives_all_that_is_left(tmp_path, kind, kept):
    rate, channels, options = WHOLE[kind]
    path = tmp_path / kind
    soundfile.write(path, noise(rate, channels), rate, **options)
    whole, content = read(path)[1], path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    recording, samples = read(path)
    assert recording.damaged
    assert abs(len(samples) - kept * len(whole)) < 5000  # a block of FLAC has 4096
    np.testing.assert_array_equal(samples, whole[: len(samples)])


@pytest.mark.parametrize("odd", NAMES)
def test_names_that_are_no_text(tmp_path, odd):
    path = os.path.join(os.fsencode(tmp_path), odd)  # noqa: PTH118  bytes
    with open(path, "wb") as file:  # noqa: PTH123
        soundfile.write(file, noise(100), 8000, format="WAV")
    assert len(read(os.fsdecode(path))[1]) == 100
    assert named(os.fsdecode(path)).isprintable()
    named(os.fsdecode(path)).encode()


def test_what_is_no_file(tmp_path):
    (tmp_path / "link.wav").symlink_to("nowhere")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    os.mkfifo(tmp_path / "pipe.wav")  # without a writer: opening it would never return
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio")
    assert reason(tmp_path) == "a folder, not a file"
    assert reason(tmp_path / "missing.wav") == "no such file"
    assert reason("zero\0byte.wav") == "no such file"
    assert reason(tmp_path / "link.wav") == "a link to no file"
    assert reason(tmp_path / "loop.wav") == "Too many levels of symbolic links"
    assert reason(tmp_path / "pipe.wav") == "a device or a pipe, not a file"
    assert reason("/dev/zero") == "a device or a pipe, not a file"
    assert reason(tmp_path / "empty.wav") == reason(b"") == "empty"
    assert reason(tmp_path / "text.wav") == reason(b"no audio") == "not audio"


@pytest.mark.parametrize(
    ("place", "size", "value", "expected"),
    [
        (24, 4, 1, "1 samples a second; expected 1000 to 768000"),
        (24, 4, 10**9, "1000000000 samples a second; expected 1000 to 768000"),
        (22, 2, 65, "65 channels; expected at most 64"),
    ],
)
def test_absurd_headers(tmp_path, place, size, value, expected):
    soundfile.write(tmp_path / "x.wav", noise(650), 8000)
    content = bytearray((tmp_path / "x.wav").read_bytes())
    content[place : place + size] = value.to_bytes(size, "little")
    content[32:34] = (2 * 65 if place == 22 else 2).to_bytes(2, "little")  # a frame's bytes
    assert reason(bytes(content)) == expected


def test_files_that_are_open(tmp_path):
    soundfile.write(tmp_path / "x.flac", noise(3000), 8000)
    content = (tmp_path / "x.flac").read_bytes()
    _, expected = read(tmp_path / "x.flac")

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError("a pipe")

    within = io.BytesIO(b"before" + content)
    within.seek(6)
    whole = io.BytesIO(content)
    for source in (content, bytearray(content), memoryview(content), whole, Pipe(content), within):
        np.testing.assert_array_equal(read(source)[1], expected)
    assert whole.tell() == 0
    assert not whole.closed
    with (tmp_path / "x.flac").open("rb") as file:
        np.testing.assert_array_equal(read(file)[1], expected)
    with pytest.raises(ValueError, match="mode 'rb'"):
        read(io.StringIO("text"))


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.int16, [-32768, 0, 16384], [-1, 0, 0.5]),
        (">i2", [-32768, 0, 16384], [-1, 0, 0.5]),
        (np.int32, [-(2**31), 0, 2**30], [-1, 0, 0.5]),
        (np.int8, [-128, 0, 64], [-1, 0, 0.5]),
        (np.uint8, [0, 128, 192], [-1, 0, 0.5]),
        (np.float16, [-1, 0, 0.5], [-1, 0, 0.5]),
        (np.float64, [-1, 0, 7.5], [-1, 0, 7.5]),
    ],
)
def test_arrays_are_scaled_by_their_type(dtype, values, expected):
    recording, samples = read(np.array(values, dtype), 8000)
    np.testing.assert_array_equal(samples[:, 0], expected)
    assert recording.seconds == 3 / 8000


def test_the_shorter_axis_is_that_of_the_channels(monkeypatch):
    monkeypatch.setattr(recordings, "_PART", 7)
    stereo = noise(50, 2).astype(np.float32)
    for array in (stereo, stereo.T, np.asfortranarray(stereo)):
        np.testing.assert_array_equal(read(array, 8000)[1], stereo)
    np.testing.assert_array_equal(read(stereo[:, :1].T, 8000)[1], stereo[:, :1])


def test_an_array_is_left_alone():
    array = np.full(10, 0.5, np.float32)
    read(array, 8000)[1][:] = 0
    assert array.all()


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.zeros(3, bool), "bool values; expected int8, uint8, int16, int32 or floats"),
        (np.zeros(3, complex), "complex128 values"),
        (np.zeros(3, np.int64), "int64 values"),
        (np.array([1, None]), "object values"),
        (np.array(["a"]), "str32 values"),
        (np.zeros((2, 3, 4)), r"of shape \(2, 3, 4\); expected"),
        (np.float32(0), r"of shape \(\); expected"),
        (np.zeros((0, 2)), "empty"),
        (np.zeros((65, 100)), "65 channels"),
    ],
)
def test_arrays_that_are_no_sound(array, expected):
    with pytest.raises(AudioError, match=expected):
        read(array, 8000)


def test_what_is_asked_wrongly_is_no_audio_error():
    for source, rate, expected in (([0.1], 8000, "a list; expected"), (np.zeros(3), None, "rate=")):
        with pytest.raises(ValueError, match=expected) as caught:
            read(source, rate)
        assert not isinstance(caught.value, AudioError)


@pytest.fixture
def by_ffmpeg(tmp_path):
    """A quarter of a second of noise at 48 kHz in the containers that only FFmpeg opens."""
    pytest.importorskip("av", reason="needs requirements-ffmpeg.txt")
    hostile.by_ffmpeg(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("file", "layout"), [(file, layout) for file, _, layout in hostile.FFMPEG])
def test_what_only_ffmpeg_reads(by_ffmpeg, file, layout):
    path = by_ffmpeg / file
    recording, samples = read(path)
    assert recording.rate == 48000
    # An encoder adds silence, which not every container lets be cut again.
    assert 12000 <= len(samples) < 15000
    assert samples.shape[1] == {"stereo": 2, "7.1": 8}[layout]
    assert (samples[2000:9000].std(axis=0) > 0.1).sum() >= samples.shape[1] - 1  # a bass channel
    assert not recording.damaged
    np.testing.assert_array_equal(read(path.read_bytes())[1], samples)  # told by content
    path.rename(by_ffmpeg / "other.wav")
    np.testing.assert_array_equal(read(by_ffmpeg / "other.wav")[1], samples)


def test_a_cut_file_of_ffmpeg_gives_what_is_left(by_ffmpeg):
    path = by_ffmpeg / "ffmpeg.webm"
    whole, content = read(path)[1], path.read_bytes()
    samples = read(content[: len(content) // 2])[1]
    assert 0.3 < len(samples) / len(whole) < 0.6
    np.testing.assert_array_equal(samples, whole[: len(samples)])


def test_without_pyav_the_error_says_what_to_install(by_ffmpeg, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    assert "pip install -r requirements-ffmpeg.txt" in reason(by_ffmpeg / "ffmpeg.m4a")


def test_playlists_open_no_other_file(by_ffmpeg):
    soundfile.write(by_ffmpeg / "secret.wav", noise(8000), 8000)
    playlist = f"#EXTM3U\n#EXTINF:1,\n{by_ffmpeg}/ffmpeg.aac\n"
    concatenation = f"ffconcat version 1.0\nfile {by_ffmpeg}/secret.wav"
    for content in (playlist, concatenation):
        for extension in (".m4a", ".aac", ".webm", ".opus"):
            (by_ffmpeg / f"x{extension}").write_text(content)
            assert reason(by_ffmpeg / f"x{extension}") in ("not audio", "no sample can be read")


def test_a_length_that_no_file_of_that_size_can_have_is_none(tmp_path):
    soundfile.write(tmp_path / "x.flac", noise(3000), 8000)
    content = bytearray((tmp_path / "x.flac").read_bytes())
    content[21] |= 0x0F  # 2**36 samples and more
    recording, samples = read(bytes(content))
    assert recording.seconds is None
    assert len(samples) == 3000
