"""Files against their own headers."""

import io
import time

import numpy as np
import pytest
import soundfile

from tfrecords.headers import is_truncated


def written(kind: str) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 8000)
    soundfile.write(file, noise, 8000, format=kind)
    return file.getvalue()


def truncated(content: bytes) -> bool:
    return is_truncated(io.BytesIO(content), len(content))


@pytest.mark.parametrize("kind", ["WAV", "OGG"])
def test_every_cut_is_seen_and_the_whole_is_not(kind):
    content = written(kind)
    assert not truncated(content)
    for size in np.linspace(4, len(content) - 1, 50).astype(int):
        assert truncated(content[:size])


def test_other_files_are_not_judged():
    assert not truncated(written("FLAC")[:1000])
    assert not truncated(b"")


def test_a_file_of_zeros_takes_no_time():
    start = time.process_time()
    assert not truncated(b"RIFF" + bytes(50_000_000))
    assert time.process_time() - start < 1
