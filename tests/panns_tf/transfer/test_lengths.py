import numpy as np
import pytest
import soundfile

from panns_tf.transfer import lengths
from panns_tf.transfer.lengths import LEAST, MOST, clip_seconds_of

RATE = 1000


def written(folder, *seconds: float) -> list:
    paths = []
    for number, length in enumerate(seconds):
        paths.append(folder / f"{number:03d}.wav")
        soundfile.write(paths[-1], np.zeros(round(length * RATE), "int16"), RATE)
    return paths


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ((5.0,), 5.0),
        ((5.04,), 5.0),  # some samples too many are no half second
        ((5.06,), 5.5),
        ((2.2,), 2.5),
        ((0.2,), LEAST),
        ((30.0,), MOST),
        ((2.0,) * 19 + (60.0,), 2.0),  # one of twenty is an exception
        ((2.0,) * 3 + (4.0,) * 7, 4.0),
        ((4.0,) * 3 + (2.0,) * 7, 4.0),  # three of ten are none
    ],
)
def test_nine_of_ten_clips_are_heard_whole(seconds, expected, tmp_path):
    assert clip_seconds_of(written(tmp_path, *seconds)) == expected


def test_the_order_does_not_matter(tmp_path):
    paths = written(tmp_path, 1.2, 3.4, 2.1, 6.3, 0.4)
    assert clip_seconds_of(paths[::-1]) == clip_seconds_of(paths)


def test_what_cannot_be_read_is_passed_over(tmp_path):
    good = written(tmp_path, 3.0)
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "none.wav").touch()
    (tmp_path / "cut.wav").write_bytes(good[0].read_bytes()[:20])
    (tmp_path / "raw.raw").write_bytes(bytes(100))
    soundfile.write(tmp_path / "silent.wav", np.zeros(0, "int16"), RATE)
    bad = [tmp_path / f"{name}.wav" for name in ("text", "none", "cut", "silent", "gone")]
    bad += [tmp_path, tmp_path / "raw.raw"]
    assert clip_seconds_of([*bad, *good]) == 3.0
    assert clip_seconds_of(bad) == clip_seconds_of([]) == 5.0


def test_of_many_clips_some_are_looked_at(monkeypatch, tmp_path):
    paths = written(tmp_path, 2.0, *[7.0] * 4)
    looked, seconds = [], lengths._seconds
    monkeypatch.setattr(lengths, "_seconds", lambda path: looked.append(path) or seconds(path))
    monkeypatch.setattr(lengths, "_SAMPLE", 10)
    assert clip_seconds_of(paths * 20) == 2.0  # every tenth, which is the first
    assert looked == [paths[0]] * 10
