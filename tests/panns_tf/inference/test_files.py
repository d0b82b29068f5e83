"""Many files decoded ahead."""

import io
import threading
import time
import tracemalloc
import warnings

import numpy as np
import pytest
import soundfile

from panns_tf.inference import files
from panns_tf.inference.files import decoded
from tests.hostile import CONTENTS, SOUNDS, WHOLE, hostile_inputs
from tests.tfrecords.test_audio import noise
from tfrecords.audio import AudioError, read_audio

RATE = 8000


class Pipe(io.BytesIO):
    name = "<stdin>"

    def seekable(self):
        return False


@pytest.fixture
def tones(tmp_path):
    """Ten files, each of its own value and length."""
    paths = [tmp_path / f"{number}.wav" for number in range(10)]
    for number, path in enumerate(paths):
        soundfile.write(path, np.full(100 + number, number / 10), RATE, subtype="FLOAT")
    return paths


def test_decoded_in_order_whatever_fails(tones):
    sources = [*map(str, tones[:5]), "gone.wav", [0.1], np.zeros(3), tones[5].read_bytes()]
    results = list(decoded(sources, RATE))
    assert all(result.source is source for result, source in zip(results, sources, strict=True))
    for number, result in enumerate([*results[:5], results[-1]]):
        np.testing.assert_array_equal(result.samples, np.float32([number / 10] * (100 + number)))
        assert result.seconds == (100 + number) / RATE
        assert result.error is None
    errors = [str(result.error) for result in results[5:8]]
    assert errors[0] == "gone.wav: no such file"
    assert errors[1].startswith("list: a list; expected")
    assert errors[2].startswith("array: an array needs rate=")
    assert all(isinstance(result.error, AudioError) for result in results[5:8])
    assert next(decoded([np.ones(3)], RATE, rate=RATE)).samples.tolist() == [1, 1, 1]


def test_standard_input_keeps_its_name():
    result = next(decoded([Pipe(b"no audio")], RATE))
    assert str(result.error) == f"{result.name}: not audio" == "<stdin>: not audio"


def test_an_unforeseen_error_is_that_of_its_file(tones, monkeypatch):
    opened = files.open_audio

    def fails(source, *args, **options):
        if source is tones[1]:
            raise MemoryError("too\nmuch")
        return opened(source, *args, **options)

    monkeypatch.setattr(files, "open_audio", fails)
    results = list(decoded(tones, RATE))
    assert str(results[1].error) == f"{tones[1]}: too much"
    assert sum(result.error is None for result in results) == 9


def test_notes_come_with_their_file_and_without_warnings(tones):
    soundfile.write(tones[3], np.full(10, 1.5), RATE, subtype="FLOAT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = list(decoded(tones, RATE))
    assert [len(result.notes) for result in results] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
    assert results[3].notes[0].startswith(f"{tones[3]}: samples reach 1.5")


def test_long_ones_come_out_unread(tmp_path, tones):
    soundfile.write(tmp_path / "long.flac", noise(3 * RATE), RATE)
    content = (tmp_path / "long.flac").read_bytes()

    whole = read_audio(tmp_path / "long.flac", RATE)
    unknown = bytearray(content)  # without its length
    unknown[21:26] = bytes([unknown[21] & 0xF0, 0, 0, 0, 0])
    sources = [tones[0], tmp_path / "long.flac", Pipe(content), bytes(unknown), tones[1]]
    results = list(decoded(sources, RATE, long_seconds=2))
    assert [result.samples is None for result in results] == [False, True, True, True, False]
    assert [result.seconds for result in results[1:4]] == [3, 3, None]
    assert results[2].source is sources[2]
    for result in results[1:4]:
        with result.open_long() as stream:
            np.testing.assert_array_equal(np.concatenate(list(stream.blocks(1000))), whole)
    assert next(decoded(sources[1:2], RATE, long_seconds=3)).open_long is None


def test_closing_ends_the_threads_and_no_thread_is_refused(tones):
    before = threading.active_count()
    results = decoded(tones * 100, RATE, workers=3)
    assert next(results).error is None
    results.close()
    assert threading.active_count() == before
    with pytest.raises(ValueError, match="workers 0, ahead 16"):
        decoded(tones, RATE, workers=0)


def test_little_waits_for_a_slow_user(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "x.wav", np.zeros(100 * RATE, np.int16), RATE)  # 3.2 MB decoded
    monkeypatch.setattr(files, "_MOST_BYTES", 10**7)
    tracemalloc.start()
    for result in decoded([tmp_path / "x.wav"] * 30, RATE, ahead=30):
        assert result.seconds == 100
        time.sleep(0.03)  # the threads are faster
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6 + 4 * 3.2e6 < 30 * 3.2e6 / 4


@pytest.mark.parametrize("seed", [0, 1])
def test_2000_hostile_inputs_give_a_sound_or_one_line(tmp_path, seed):
    count = 2000
    paths = hostile_inputs(tmp_path / "x", count, seed)
    assert len(paths) == count
    tracemalloc.start()
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path, result in zip(paths, decoded(paths, 32000), strict=True):
            assert result.source is path
            results.append(result)
            outcomes = (result.samples, result.error, result.open_long)
            assert sum(outcome is not None for outcome in outcomes) == 1
            if result.samples is not None:
                assert result.samples.dtype == np.float32
                assert result.samples.ndim == 1
                assert len(result.samples) > 0
                assert np.isfinite(result.samples).all()
            texts = [*result.notes, *([str(result.error)] if result.error else [])]
            assert all(text.isprintable() and text.encode() for text in texts)
            assert all(text.startswith(f"{result.name}: ") for text in texts)
    assert tracemalloc.get_traced_memory()[1] < 2.5e8
    tracemalloc.stop()
    named = {result.source.name: result for result in results}
    whole = [*WHOLE, *(f"{name}.wav" for name in ("one", "silence", "constant", "loud"))]
    assert all(named[name].samples is not None for name in whole)
    refused = {"none", "nan", "infinite", "absurd"} | {"folder", "dangling", "loop", "pipe"}
    assert all(named[f"{name}.wav"].error for name in refused)
    assert set(SOUNDS) < refused | {name.removesuffix(".wav") for name in whole}
    text = [result for name, result in named.items() if name.rsplit("_", 1)[0] in CONTENTS]
    assert len(text) > 30
    assert all(result.error for result in text)
    assert sum(result.error is not None for result in results) > count / 5
