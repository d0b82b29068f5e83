import numpy as np
import pytest

from panns_tf.inference.window import WindowCutter, samples_of


def cut(stream, size, hop, splits=()):
    cutter = WindowCutter(size, hop)
    found = []
    for block in np.split(stream, splits):
        found += [(start, part.copy()) for start, part in cutter.feed(block)]
    found += [(start, part.copy()) for start, part in cutter.finish()]
    assert cutter.samples == len(stream)
    return found


def plainly(stream, size, hop):
    """What the docstring says, of a stream that is there."""
    if len(stream) <= size:
        return [(0, stream)]
    starts = list(range(0, len(stream) - size + 1, hop))
    if starts[-1] + size < len(stream):
        starts.append(len(stream) - size)
    return [(start, stream[start : start + size]) for start in starts]


@pytest.mark.parametrize("seed", range(60))
def test_any_split_gives_the_windows_of_the_whole(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 50))
    hop = int(rng.integers(1, size + 1))
    stream = np.arange(1, int(rng.integers(2, 300)), dtype=np.float32)
    splits = np.sort(rng.integers(0, len(stream) + 1, rng.integers(0, 30)))
    found, expected = cut(stream, size, hop, splits), plainly(stream, size, hop)
    assert [start for start, _ in found] == [start for start, _ in expected]
    for (_, part), (_, wanted) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(part, wanted)


def test_holds_little():
    cutter = WindowCutter(100, 10)
    for _ in range(1000):
        list(cutter.feed(np.zeros(37, np.float32)))
        assert len(cutter._held) <= 100


def test_an_empty_stream_has_no_window():
    assert cut(np.zeros(0, np.float32), 10, 5) == []


@pytest.mark.parametrize(
    ("window", "hop", "said"),
    [
        (0, None, "--window must be seconds"),
        (-1, None, "--window"),
        (float("nan"), None, "--window"),
        (1, 0, "--hop must be seconds"),
        (1, 2, "--hop 2 is longer than --window 1"),
        (1e9, None, "--window"),
        ("1", None, "--window"),
        (1, 1e-6, "--hop must be seconds, 0.001 to 3600"),
    ],
)
def test_names_what_is_out_of_range(window, hop, said):
    with pytest.raises(ValueError, match=said):
        samples_of(window, hop, 32000)


def test_in_samples():
    assert samples_of(2.5, None, 8000) == (20000, 20000)
    assert samples_of(1, 0.25, 8000) == (8000, 2000)
