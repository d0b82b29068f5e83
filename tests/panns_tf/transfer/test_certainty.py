import dataclasses
import zlib

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score

from panns_tf.transfer.certainty import (
    figure,
    interval,
    overall,
    replicates,
    units,
    weighted_ap,
    wilson,
)
from panns_tf.transfer.scoring import METRICS
from tests.panns_tf.transfer.support import made_results, multi_label, result, single_label


def grouped(clips: int, right_groups, of_group: int, seed: int = 0, groups: bool = True):
    """A fold whose groups are right or wrong as a whole, with an accuracy of their share."""
    target = np.eye(2, dtype=np.float32)[np.random.default_rng(seed).integers(2, size=clips)]
    right = np.repeat(right_groups, of_group)[:, None]
    score = np.where(right, target, 1 - target).astype(np.float32)
    names = [f"take {number // of_group}" for number in range(clips)]
    return result(target, score, names if groups else None, fold=str(seed))


def test_units():
    assert units(("a", None, "a", None, "b")).tolist() == [0, 1, 0, 2, 3]
    assert units((None, "1", "0")).tolist() == [0, 1, 2]  # names are no numbers of clips
    assert units(()).size == 0


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 1.0])
def test_wilson_is_scipys(share):
    expected = stats.binomtest(round(40 * share), 40).proportion_ci(method="wilson")
    assert wilson(share, 40) == pytest.approx(tuple(expected))


@pytest.mark.parametrize("decimals", [6, 1])
def test_weighted_ap_is_that_of_repeated_clips(decimals):
    rng = np.random.default_rng(0)
    hits, score = rng.random(30) < 0.4, rng.random(30).round(decimals)
    weights = rng.multinomial(30, np.full(30, 1 / 30), 20)
    found = weighted_ap(hits, score, weights.T)
    for value, row in zip(found, weights, strict=True):
        expected = average_precision_score(np.repeat(hits, row), np.repeat(score, row))
        assert value == pytest.approx(expected, abs=1e-12)
    assert np.isnan(weighted_ap(hits, score, weights.T * hits[:, None])).all()  # no negative clip
    assert np.isnan(weighted_ap(hits, score, weights.T * ~hits[:, None])).all()


@pytest.mark.parametrize("metric", METRICS)
def test_replicates_are_figures_of_drawn_groups(metric):
    make = multi_label if metric == "mAP" else single_label
    fold = result(*make(24, 3, seed=4), [f"{number // 2}" for number in range(24)])
    found = replicates(fold, metric, count=50, seed=7)
    assert found.tolist() == replicates(fold, metric, count=50, seed=7).tolist()
    assert found.tolist() != replicates(fold, metric, count=50, seed=8).tolist()
    rng = np.random.default_rng([7, zlib.crc32(b"1")])
    for value, groups in zip(found, rng.integers(12, size=(50, 12)), strict=True):
        clips = (2 * groups[:, None] + [0, 1]).ravel()  # both clips of every group drawn
        expected = METRICS[metric](fold.target[clips], fold.score[clips])
        assert value == pytest.approx(expected, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("metric", ["accuracy", "mAP@3"])
def test_a_perfect_fold_of_groups_is_no_certainty(metric):
    low, high = interval(grouped(40, [True] * 8, 5), metric)
    assert (low, high) == wilson(1.0, 8)
    assert low < 0.7


def test_what_has_no_interval():
    one_group = grouped(20, [True, False], 10)
    one_group = result(one_group.target, one_group.score, ["the same"] * 20)
    assert np.isnan(interval(one_group, "accuracy")).all()
    nothing = result(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.float32))
    assert np.isnan(interval(nothing, "accuracy")).all()
    target = multi_label(40, 3, seed=0)[0]
    assert np.isnan(interval(result(target, target), "mAP")).all()
    with pytest.raises(ValueError, match="expected a metric of accuracy, mAP@3, mAP; received 'f'"):
        interval(nothing, "f")


def test_the_overall_figure_is_the_mean_of_folds():
    results = made_results(folds=4)
    found = overall(results, "accuracy")
    each = [figure(one, "accuracy") for one in results]
    assert found.value == pytest.approx(np.mean(each))
    assert found.fold_spread == pytest.approx(np.std(each, ddof=1))
    assert found.low < found.value < found.high
    # Four times the clips of a fold: half the width, about.
    low, high = interval(results[0], "accuracy")
    assert 0.35 < (found.high - found.low) / (high - low) < 0.65
    assert (found.folds, found.seeds, found.notes) == (4, 1, ())
    assert np.isnan(found.seed_spread)
    assert found.over_seeds.half is None


def test_seeds():
    results = made_results(folds=3, seeds=(0, 1, 2))
    found = overall(results, "accuracy")
    means = [
        np.mean([figure(one, "accuracy") for one in results if one.seed == seed])
        for seed in range(3)
    ]
    assert found.value == pytest.approx(np.mean(means))
    assert found.seed_spread == pytest.approx(np.std(means, ddof=1))
    assert found.over_seeds.mean == pytest.approx(found.value)
    assert found.over_seeds.half > 0
    # The same draw for all seeds: three times the same network is no more certain than once.
    first = [one for one in results if one.seed == 0]
    again = [dataclasses.replace(one, seed=seed) for seed in range(3) for one in first]
    once, thrice = overall(first, "accuracy"), overall(again, "accuracy")
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high))


def test_folds_without_a_figure_are_named_and_left_out():
    results = made_results(folds=2, seeds=(0, 1))
    nothing = np.zeros((0, 10), np.float32)
    results[0] = result(nothing, nothing, fold="1", seed=0)
    found = overall(results[:3], "accuracy")
    assert found.notes == (
        "fold 1 of seed 0 has no accuracy: left out",
        "seed 1 lacks fold 2: its mean is over the others",
    )
    kept = [figure(one, "accuracy") for one in results[1:3]]
    assert found.value == pytest.approx(np.mean(kept))
    empty = overall(results[:1], "accuracy")
    assert np.isnan([empty.value, empty.low, empty.high]).all()
    assert empty.over_seeds is None


def test_mistakes():
    with pytest.raises(ValueError, match="no result of a fold"):
        overall([], "accuracy")
    with pytest.raises(ValueError, match="fold 1 comes twice with seed 0"):
        overall(made_results(folds=1) * 2, "accuracy")


def test_a_figure_is_resampled_once_and_another_anew():
    first, second = made_results(folds=2)
    ends = [interval(one, "mAP@3") for one in (first, second)]
    assert ends[0] != ends[1]
    assert interval(first, "mAP@3") == ends[0]
    same = dataclasses.replace(first, score=second.score, target=second.target, fold="2")
    assert interval(same, "mAP@3") == ends[1]


@pytest.mark.parametrize("metric", ["accuracy", "mAP@3"])
def test_of_one_fold_the_interval_is_the_folds(metric):
    (one,) = made_results(folds=1)
    found = overall([one], metric)
    assert (found.value, found.low, found.high) == (figure(one, metric), *interval(one, metric))
