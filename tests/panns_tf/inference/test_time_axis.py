import itertools

import numpy as np
import pytest

from panns_tf.inference.time_axis import time_ticks


@pytest.mark.parametrize(
    ("seconds", "first", "last", "said"),
    [
        (0.05, ["0", "0.01"], "0.05", "time, s"),
        (2, ["0", "0.5"], "2", "time, s"),
        (7, ["0", "1"], "7", "time, s"),
        (119, ["0", "20"], "100", "time, s"),
        (120, ["0:00", "0:20"], "2:00", "time, min:s"),
        (3599, ["0:00", "10:00"], "50:00", "time, min:s"),
        (3600, ["0:00", "0:10"], "1:00", "time, h:min"),
        (10800, ["0:00", "0:20"], "3:00", "time, h:min"),
        (7 * 86400, ["0:00", "24:00"], "168:00", "time, h:min"),
    ],
)
def test_units_suit_the_length(seconds, first, last, said):
    places, texts, label = time_ticks(seconds)
    assert (texts[:2], texts[-1], label) == (first, last, said)
    assert len(places) == len(texts)


@pytest.mark.parametrize("seconds", np.geomspace(0.001, 1e8, 200))
def test_few_even_ticks_of_different_text(seconds):
    places, texts, _ = time_ticks(seconds)
    assert 2 <= len(places) <= 10
    assert places[0] == 0
    assert places[-1] <= seconds * (1 + 1e-6) < places[-1] + places[1] * (1 + 1e-5)
    assert len(set(texts)) == len(texts)
    assert len({round((b - a) / places[1], 6) for a, b in itertools.pairwise(places)}) == 1
