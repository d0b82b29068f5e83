import itertools

import numpy as np
import pytest
from scipy import stats

from panns_tf.ablation import statistics
from panns_tf.ablation.statistics import estimate, sign_flip


@pytest.mark.parametrize("n", [2, 3, 5, 12])
def test_the_interval_is_students(n):
    values = np.random.default_rng(n).normal(0.4, 0.1, n)
    found = estimate(values)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), n)
    assert found.mean == pytest.approx(values.mean())
    # The normal distribution's interval is another one.
    assert found.half > 1.05 * 1.96 * values.std(ddof=1) / n**0.5


def test_one_seed_has_no_interval_and_none_no_mean():
    found = estimate([0.5])
    assert (found.mean, found.half, found.low, found.high) == (0.5, None, None, None)
    assert not found.beyond_noise
    assert estimate([]) is None
    assert sign_flip([]) is None


def test_beyond_noise_is_an_interval_without_zero():
    assert estimate([0.1, 0.11, 0.12]).beyond_noise
    assert estimate([-0.1, -0.11, -0.12]).beyond_noise
    assert not estimate([0.1, -0.11, 0.12]).beyond_noise
    assert not estimate([0.0, 0.0]).beyond_noise


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_sign_flip_equals_brute_force_and_scipy(n):
    values = np.random.default_rng(n).normal(0.3, 1, n)
    flips = itertools.product((-1, 1), repeat=n)
    means = [abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in flips]
    brute = np.mean([mean >= abs(values.sum()) - 1e-12 for mean in means])
    assert sign_flip(values) == brute
    if n > 1:
        test = stats.permutation_test(
            (values,), np.mean, permutation_type="samples", n_resamples=np.inf
        )
        assert sign_flip(values) == pytest.approx(test.pvalue)


def test_sign_flip_knows_its_least_and_ties():
    assert sign_flip([0.1, 0.2, 0.3, 0.4, 0.5]) == 2 / 32
    assert sign_flip([0.0, 0.0]) == 1
    assert sign_flip([0.1, -0.1]) == 1
    # Rounding makes 0.1 + 0.2 another number than 0.3.
    assert sign_flip([0.1, 0.2, -0.3]) == 1


def test_without_an_effect_p_is_uniform_and_with_one_small():
    rng = np.random.default_rng(0)
    null = [sign_flip(rng.normal(0, 1, 8)) for _ in range(600)]
    assert np.mean(np.array(null) <= 0.05) == pytest.approx(0.05, abs=0.025)
    effect = [sign_flip(rng.normal(2, 1, 8)) for _ in range(100)]
    assert np.mean(np.array(effect) <= 0.05) > 0.9


def test_many_pairs_are_drawn(monkeypatch):
    values = np.random.default_rng(1).normal(0.5, 1, 12)
    exact = sign_flip(values)
    monkeypatch.setattr(statistics, "EXACT", 11)
    assert sign_flip(values) == pytest.approx(exact, abs=2e-3)
