import numpy as np
import pytest

from tests.precision import PRECISIONS, distance, losses

#: What docs/precision.md states.
LIMITS = {"mixed_bfloat16": 0.03, "mixed_float16": 0.01}


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_ten_steps_stay_near_float32_on_loud_and_silent_clips(thin_graph, precision):
    assert np.isfinite(losses(thin_graph, precision)).all()
    assert distance(thin_graph, precision) < LIMITS[precision]


def test_half_precision_is_not_float32():
    assert 0 < distance("Tiny", "mixed_bfloat16") < LIMITS["mixed_bfloat16"]
