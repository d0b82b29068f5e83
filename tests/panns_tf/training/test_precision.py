import numpy as np
import pytest

from tests.precision import PRECISIONS, distance, losses

#: What the README states. Depthwise networks have few products in a sum, to average rounding.
LIMITS = {"mixed_bfloat16": 0.06, "mixed_float16": 0.03}
OF_MOBILENETS = 0.3


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_ten_steps_stay_near_float32_on_loud_and_silent_clips(thin_graph, precision):
    assert np.isfinite(losses(thin_graph, precision)).all()
    limit = OF_MOBILENETS if "MobileNet" in thin_graph else LIMITS[precision]
    assert distance(thin_graph, precision) < limit


def test_half_precision_is_not_float32():
    assert 0 < distance("Tiny", "mixed_bfloat16") < LIMITS["mixed_bfloat16"]
