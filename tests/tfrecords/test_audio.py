"""Audio of every kind, whole and damaged, from files, bytes and arrays."""

import io
import os
import pickle
import time
import tracemalloc
import warnings

import numpy as np
import pytest
import soundfile
import soxr

from tests import hostile
from tests.hostile import NAMES, WHOLE
from tfrecords import decoders
from tfrecords.audio import AudioError, describe, open_audio, read_audio, to_int16

RATE = 8000


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def noise(samples: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (samples, channels))


def tone(frequency: float, rate: int, seconds: float = 1.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)


def written(samples: np.ndarray, rate: int = RATE, kind: str = "WAV", **options) -> bytearray:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, **options)
    return bytearray(file.getvalue())


def read(source, rate=None) -> tuple[np.ndarray, list[str]]:
    with open_audio(source, None, rate) as stream:
        return stream.read(), stream.notes


def error_of(source, sample_rate=RATE, rate=None) -> AudioError:
    with pytest.raises(AudioError) as caught:
        read_audio(source, sample_rate, rate)
    return caught.value


@pytest.mark.parametrize("kind", WHOLE)
def test_a_file_in_blocks_is_what_soundfile_reads_at_once(tmp_path, monkeypatch, kind):
    rate, channels, options = WHOLE[kind]
    path = tmp_path / kind
    soundfile.write(path, noise(rate // 2, channels), rate, **options)
    expected = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    monkeypatch.setattr(decoders, "_BLOCK_VALUES", 1000)  # many, which must leave no seams
    with open_audio(path) as stream:
        np.testing.assert_array_equal(np.concatenate(list(stream)), expected)
        assert (stream.rate, stream.channels, stream.notes) == (rate, channels, [])
        assert stream.seconds == len(expected) / rate
    resampled = soxr.resample(expected, rate, 11025, quality="HQ")
    np.testing.assert_array_equal(read_audio(path, 11025), resampled)
    for name in ("y.mp3", "y.m4a", "y"):  # content decides
        path = path.rename(tmp_path / name)
        np.testing.assert_array_equal(read(path)[0], expected)


def test_blocks_have_their_length_and_together_are_the_whole(tmp_path):
    soundfile.write(tmp_path / "x.flac", noise(48017, 2), 48000)
    whole = read_audio(tmp_path / "x.flac", RATE)
    for length in (1, 977, RATE, 10**9):
        with open_audio(tmp_path / "x.flac", RATE) as stream:
            first = stream.read(3)
            blocks = [first, *stream.blocks(length)]
            assert len(stream.read()) == 0
        assert {len(block) for block in blocks[1:-1]} <= {length}
        np.testing.assert_array_equal(np.concatenate(blocks), whole)
    with open_audio(tmp_path / "x.flac") as stream, pytest.raises(ValueError, match="0 samples a"):
        next(stream.blocks(0))


def test_what_the_new_rate_cannot_hold_vanishes():
    sound = tone(19000, 48000)
    assert np.abs(read_audio(sound, RATE, 48000)[100:-100]).max() < 1e-3
    assert np.abs(sound[::6]).max() > 0.4  # control: every sixth sample would alias it


def test_packed_clips_hold_the_same_samples(tmp_path):
    for rate, channels, kind in ((RATE, 1, "PCM_16"), (RATE, 8, "PCM_24"), (44100, 2, "PCM_16")):
        soundfile.write(tmp_path / "x.wav", noise(3 * rate, channels), rate, subtype=kind)
        whole = read_audio(tmp_path / "x.wav", RATE)
        for samples in (100, 2 * RATE, 3 * RATE):
            with open_audio(tmp_path / "x.wav", RATE) as stream:
                np.testing.assert_array_equal(stream.read_int16(samples), to_int16(whole[:samples]))
    every = np.arange(-(2**15), 2**15, dtype=np.int16)
    with open_audio(written(every)) as stream:
        np.testing.assert_array_equal(stream.read_int16(2**16), np.rint(every * (32767 / 32768)))
    assert to_int16(np.array([1.5, -1.5, 0.5 / 32767])).tolist() == [32767, -32767, 0]


@pytest.mark.parametrize("kind", ["16.wav", "x.flac", "x.mp3", "x.ogg"])
def test_a_truncated_file_is_read_with_a_note_and_not_packed(tmp_path, kind):
    rate, channels, options = WHOLE[kind]
    path = tmp_path / kind
    soundfile.write(path, noise(2 * rate, channels), rate, **options)
    whole, content = read(path)[0], path.read_bytes()
    for kept in (0.3, 0.9, 0.99):
        path.write_bytes(content[: int(kept * len(content))])
        samples, notes = read(path)
        assert abs(len(samples) - kept * len(whole)) < 12000  # an Ogg page
        np.testing.assert_array_equal(samples, whole[: len(samples)])
        assert "ends before its header says; the " in notes[0]
        with pytest.raises(AudioError) as caught, open_audio(path, RATE) as stream:
            stream.read_int16(2 * RATE)
        assert caught.value.kind == "truncated"
    expected = r"ends before its header says; the \d\.\d\d s that are there were used"
    with pytest.warns(UserWarning, match=expected):
        read_audio(path)


@pytest.mark.parametrize("kind", ["WAV", "OGG", "FLAC"])
def test_every_cut_is_noticed(kind):
    content = written(noise(RATE), kind=kind)
    assert not read(bytes(content))[1]
    reasons = set()
    for size in np.linspace(0, len(content) - 1, 40).astype(int):
        try:
            with open_audio(bytes(content[:size]), RATE) as stream:
                stream.read_int16(RATE)
            reasons.add("packed")
        except AudioError as error:
            reasons.add(error.kind)
    assert reasons <= {"empty", "truncated", "not audio"}


def test_wav_files_of_unknown_length():
    content = written(tone(500, RATE))
    place = content.index(b"data") + 4
    for size in (0xFFFFFFFF, 0x7FFFF000):  # what programs write to a pipe
        content[place : place + 4] = size.to_bytes(4, "little")
        samples, notes = read(bytes(content))
        assert (len(samples), notes) == (RATE, [])
    content[place : place + 4] = (2**30).to_bytes(4, "little")
    tracemalloc.start()
    with pytest.warns(UserWarning, match="ends before its header says"):
        read_audio(bytes(content))
    assert tracemalloc.get_traced_memory()[1] < 10e6  # not what the header says
    tracemalloc.stop()


def test_headers_that_cannot_be(tmp_path):
    for place, value, expected in (
        (24, 1, "1 channels at 1 Hz; expected"),
        (24, 10**9, "1 channels at 1000000000 Hz; expected"),
        (22, 65, "65 channels at 8000 Hz; expected at most 64"),
    ):
        content = written(noise(650))
        content[place : place + (2 if place == 22 else 4)] = value.to_bytes(
            2 if place == 22 else 4, "little"
        )
        content[32:34] = (2 * 65 if place == 22 else 2).to_bytes(2, "little")  # bytes of a frame
        error = error_of(bytes(content))
        assert f" bytes: {expected}" in str(error)
        assert error.kind == "unsupported sample rate or number of channels"
    content = written(noise(3000), kind="FLAC")
    content[21] |= 0x0F  # 2**36 samples and more, which no file of that size can hold
    with open_audio(bytes(content)) as stream:
        assert stream.seconds is None
        assert len(stream.read()) == 3000
    start = time.process_time()
    assert error_of(b"RIFF" + bytes(50_000_000)).kind == "not audio"
    assert time.process_time() - start < 1


def test_what_is_no_file(tmp_path):
    (tmp_path / "link.wav").symlink_to("nowhere")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    os.mkfifo(tmp_path / "pipe.wav")  # without a writer: opening it would never return
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio" * 100)
    for path, reason, kind in (
        (tmp_path, "a folder, not a file", "missing"),
        (tmp_path / "missing.wav", "no such file", "missing"),
        ("zero\0byte.wav", "no such file", "missing"),
        (tmp_path / "link.wav", "no such file", "missing"),
        (tmp_path / "pipe.wav", "a device or a pipe, not a file", "missing"),
        ("/dev/zero", "a device or a pipe, not a file", "missing"),
        (tmp_path / "loop.wav", "Too many levels of symbolic links", "unreadable"),
        (tmp_path / "empty.wav", "empty", "empty"),
        (b"", "empty", "empty"),
        (tmp_path / "text.wav", "not audio", "not audio"),
        (b"no audio", "not audio", "not audio"),
    ):
        error = error_of(path)
        assert str(error) == f"{describe(path)}: {reason}"
        assert error.kind == pickle.loads(pickle.dumps(error)).kind == kind


def test_names_that_are_no_text(tmp_path):
    for odd in NAMES:
        path = os.path.join(os.fsencode(tmp_path), odd)  # noqa: PTH118  bytes
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(written(noise(100)))
        assert len(read(os.fsdecode(path))[0]) == 100
        assert describe(os.fsdecode(path)).isprintable()
        describe(os.fsdecode(path)).encode()


def test_open_files_and_bytes(tmp_path):
    soundfile.write(tmp_path / "x.flac", noise(3000), RATE)
    content = (tmp_path / "x.flac").read_bytes()
    expected, _ = read(tmp_path / "x.flac")

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError("a pipe")

    within = io.BytesIO(b"before" + content)
    within.seek(6)
    whole = io.BytesIO(content)
    for source in (content, bytearray(content), memoryview(content), whole, Pipe(content), within):
        np.testing.assert_array_equal(read(source)[0], expected)
    assert whole.tell() == 0
    assert not whole.closed
    with (tmp_path / "x.flac").open("rb") as file:
        np.testing.assert_array_equal(read(file)[0], expected)
    with pytest.raises(ValueError, match="mode 'rb'"):
        read(io.StringIO("text"))


def test_arrays():
    for dtype, values, expected in (
        (np.int16, [-32768, 0, 16384], [-1, 0, 0.5]),
        (">i2", [-32768, 0, 16384], [-1, 0, 0.5]),
        (np.int32, [-(2**31), 0, 2**30], [-1, 0, 0.5]),
        (np.int8, [-128, 0, 64], [-1, 0, 0.5]),
        (np.uint8, [0, 128, 192], [-1, 0, 0.5]),
        (np.float16, [-1, 0, 0.5], [-1, 0, 0.5]),
        (np.float64, [-1, 0, 7.5], [-1, 0, 7.5]),
    ):
        np.testing.assert_array_equal(read(np.array(values, dtype), RATE)[0], expected)
    stereo = noise(50, 2).astype(np.float32)
    for array in (stereo, stereo.T, np.asfortranarray(stereo)):  # the shorter axis: channels
        np.testing.assert_array_equal(read(array, RATE)[0], stereo.mean(axis=1))
    array = np.full(10, 0.5, np.float32)
    read(array, RATE)[0][:] = 0
    assert array.all()  # left alone
    for array, expected in (
        (np.zeros(3, bool), "bool values; expected int8, uint8, int16, int32 or floats"),
        (np.zeros(3, complex), "complex128 values"),
        (np.zeros(3, np.int64), "int64 values"),
        (np.array([1, None]), "object values"),
        (np.ma.masked_less(np.zeros(3), 1), "masked values"),
        (np.zeros((2, 3, 4)), "of shape (2, 3, 4); expected"),
        (np.float32(0), "of shape (); expected"),
        (np.zeros((0, 2)), "empty"),
        (np.zeros((65, 100)), "65 channels"),
    ):
        assert f"array: {expected}" in str(error_of(array, RATE, RATE))
    for source, rate, expected in (
        ([0.1], RATE, "a list; expected"),
        (np.zeros(3), None, "rate="),
        (np.zeros(3), "8000", "rate="),
    ):
        with pytest.raises(ValueError, match=expected) as caught:
            read(source, rate)
        assert not isinstance(caught.value, AudioError)
    with pytest.raises(ValueError, match="sample_rate 0; expected 1 to 768000"):
        read_audio(np.zeros(3), 0, RATE)


def test_samples_beyond_full_scale_are_used_with_a_warning():
    for peak in (1.5, -3000.0):
        values = np.array([0.5, peak, 0.1, 0.2], np.float32)
        content = bytes(written(values, subtype="FLOAT"))
        for source in (content, values, values[:, None]):
            expected = rf"samples reach {abs(peak):.4g}, beyond \[-1, 1\]; used as they are$"
            with pytest.warns(UserWarning, match=expected):
                np.testing.assert_array_equal(read_audio(source, RATE, RATE), values)
    # MP3 exceeds the level of a square wave by its nature.
    square = np.sign(np.sin(np.arange(RATE) / 10)) * 0.99
    assert np.abs(read_audio(bytes(written(square, kind="MP3")))).max() > 1


def test_samples_that_are_no_audio(monkeypatch):
    monkeypatch.setattr(decoders, "_BLOCK_VALUES", 10)
    for bad in (np.nan, np.inf, -np.inf, 1e300):
        values = np.zeros(100)
        values[[20, 21, 70]] = bad
        for source in (values, bytes(written(values, subtype="DOUBLE"))):
            error = error_of(source, RATE, RATE)
            assert str(error).endswith("samples that are not finite")
            assert error.kind == "not finite"
    assert "samples up to 1e+30" in str(error_of(np.array([1e30, 0]), RATE, RATE))
    assert error_of(bytes(written(np.zeros(0)))).kind == "empty"
    assert "shorter than one sample at 8000 Hz" in str(error_of(np.zeros(1), RATE, 192000))
    assert read_audio(np.full(1, 0.5), RATE, RATE) == [0.5]  # control


def test_longer_than_allowed():
    content = written(noise(2 * RATE))
    with pytest.raises(AudioError, match=r"bytes: longer than the 1\.5 s that are taken"):
        open_audio(bytes(content), limit_seconds=1.5)
    assert len(read_audio(bytes(content), limit_seconds=2)) == 2 * RATE
    unknown = written(noise(2 * RATE), kind="FLAC")
    unknown[21] &= 0xF0
    unknown[22:26] = bytes(4)
    with open_audio(bytes(unknown)) as stream:
        assert stream.seconds is None
        assert len(stream.read()) == 2 * RATE
    with pytest.raises(AudioError, match="longer than the 1 s"):
        read_audio(bytes(unknown), limit_seconds=1)


@pytest.mark.full
def test_hours_take_the_memory_of_seconds(tmp_path):
    block = np.full(RATE, 0.25, np.float32)
    with soundfile.SoundFile(tmp_path / "x.wav", "w", RATE, 1) as file:
        for _ in range(3600):
            file.write(block)
    tracemalloc.start()
    with open_audio(tmp_path / "x.wav", 16000) as stream:
        assert sum(len(each) for each in stream.blocks(32000)) == 3600 * 16000
    assert tracemalloc.get_traced_memory()[1] < 40e6
    tracemalloc.stop()


def test_little_time_is_spent_beside_the_decoder(tmp_path):
    path = tmp_path / "x.wav"
    soundfile.write(path, noise(10 * 32000), 32000)

    def fastest(function) -> float:
        times = []
        for _ in range(30):
            start = time.thread_time()
            function()
            times.append(time.thread_time() - start)
        return min(times)

    def libsndfile():
        with soundfile.SoundFile(path) as file:
            file.read(dtype="float32")

    assert fastest(lambda: read_audio(path, 32000)) < fastest(libsndfile) + 1e-3


def test_formats_that_only_ffmpeg_reads(tmp_path):
    hostile.by_ffmpeg(tmp_path)
    for file, _, layout in hostile.FFMPEG:
        path = tmp_path / file
        with open_audio(path) as stream:
            samples = stream.read()
            channels = {"stereo": 2, "7.1": 8}[layout]
            assert (stream.rate, stream.channels, stream.notes) == (48000, channels, [])
        # An encoder adds silence, which not every container lets be cut again.
        assert 12000 <= len(samples) < 15000
        whole = 16000 / 32768 / np.sqrt(3) / np.sqrt(channels)  # 7.1: one is of the bass alone
        assert 0.7 * whole < samples[2000:9000].std() < 1.1 * whole
        np.testing.assert_array_equal(read(path.read_bytes())[0], samples)
        path = path.rename(tmp_path / "other.wav")
        np.testing.assert_array_equal(read(path)[0], samples)
        with open_audio(path, 48000) as stream:
            np.testing.assert_array_equal(stream.read_int16(10000), to_int16(samples[:10000]))
        path.rename(tmp_path / file)
    content = (tmp_path / "ffmpeg.webm").read_bytes()
    whole, part = read(content)[0], read(content[: len(content) // 2])[0]
    assert 0.3 < len(part) / len(whole) < 0.6
    np.testing.assert_array_equal(part, whole[: len(part)])
    assert error_of((tmp_path / "ffmpeg.m4a").read_bytes()[:200]).kind == "not audio"


def test_playlists_open_no_other_file(tmp_path):
    hostile.by_ffmpeg(tmp_path)
    for content in (
        f"#EXTM3U\n#EXTINF:1,\n{tmp_path}/ffmpeg.aac\n",
        f"ffconcat version 1.0\nfile {tmp_path}/ffmpeg.aac",
    ):
        for name in ("x.m4a", "x.aac", "x.m3u8", "x.opus"):
            (tmp_path / name).write_text(content)
            assert error_of(tmp_path / name).kind == "not audio"


def test_spoilt_files_are_read_or_refused(tmp_path):
    paths = hostile.hostile_inputs(tmp_path / "in", 400, seed=3)
    read, errors = 0, []
    for path in paths:
        try:
            with open_audio(path, RATE) as stream:
                samples = stream.read()
        except AudioError as error:
            errors.append(error)
        else:
            read += len(samples) > 0 and bool(np.isfinite(samples).all())
    assert read + len(errors) == 400
    assert min(read, len(errors)) > 80
    assert not any("\n" in str(error) or len(error.kind) > 80 for error in errors)
