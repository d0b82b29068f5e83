import numpy as np
import pytest
from sklearn.metrics import precision_score, recall_score

from panns_tf.training.board.classes import THRESHOLDS, chosen, curve

LABELS = [f"class {k}" for k in range(20)]


def test_by_themselves_the_chosen_go_from_the_largest_to_the_smallest():
    sizes = np.random.default_rng(0).permutation(20)
    found = chosen(LABELS, sizes, None)
    assert sizes[found].tolist() == sorted(sizes[found].tolist(), reverse=True)
    assert {sizes[found[0]], sizes[found[-1]]} == {0, 19}
    assert len(chosen(["a", "b"], np.array([1, 2]), None)) == 2


def test_labels_are_found_and_unknown_ones_named():
    assert chosen(["Dog, barking", "Rain"], np.ones(2), " Rain; Dog, barking") == [1, 0]
    with pytest.raises(ValueError, match=r"no class 'rian'.*nearest are: rain"):
        chosen(["dog", "rain"], np.ones(2), "rian")


def test_curve_counts_as_scikit_learn_does():
    rng = np.random.default_rng(0)
    target = (rng.random(300) < 0.2).astype(int)
    score = np.round(rng.random(300), 2).astype("float32")
    counts = curve(target, score)
    assert counts.shape == (6, THRESHOLDS)
    np.testing.assert_array_equal(counts[:4].sum(axis=0), 300)
    for place in (0, 20, 63, 100):
        called = score >= np.linspace(0, 1, THRESHOLDS)[place]
        expected = precision_score(target, called), recall_score(target, called)
        np.testing.assert_allclose(counts[4:, place], expected)


def test_where_nothing_is_called_positive_precision_is_1():
    counts = curve(np.array([0, 1]), np.array([0.1, 0.2]))
    assert counts[4:, -1].tolist() == [1, 0]
