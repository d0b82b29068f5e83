import numpy as np
import pytest
from sklearn import metrics as theirs

from panns_tf import metrics
from panns_tf.metrics.bootstrap import mean_replicates


def draw(levels=None, clips=80, classes=4, seed=0, separation=1.0):
    rng = np.random.default_rng(seed)
    target = rng.random((clips, classes)) < np.linspace(0.05, 0.6, classes)
    target[0], target[1] = True, False
    score = rng.standard_normal((clips, classes)) + separation * target
    return target, score if levels is None else np.round(score * levels)


def drawn_clips(clips, replicates, seed):
    """The clips of each replicate, drawn once more."""
    rng = np.random.default_rng(seed)
    return [rng.integers(clips, size=clips) for _ in range(replicates)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("levels", [None, 3, 0.4])
def test_a_replicate_is_the_metric_of_the_resampled_clips(levels):
    target, score = draw(levels)
    replicates = 130  # two blocks and a bit
    found = metrics.bootstrap(target, score, replicates, seed=3)
    assert found.auc.dtype == found.average_precision.dtype == np.float32
    lacking = 0
    for number, clips in enumerate(drawn_clips(len(target), replicates, 3)):
        weight = np.bincount(clips, minlength=len(target))
        repeated = np.repeat(np.arange(len(target)), weight)
        for mine, ours, other in (
            (found.average_precision, metrics.average_precision, theirs.average_precision_score),
            (found.auc, metrics.roc_auc, theirs.roc_auc_score),
        ):
            expected = ours(target[repeated], score[repeated])
            np.testing.assert_allclose(mine[number], expected, atol=1e-6)
            lacking += np.isnan(expected).sum()
            for column in np.flatnonzero(~np.isnan(expected)):
                weighted = other(target[:, column], score[:, column], sample_weight=weight)
                assert mine[number, column] == pytest.approx(weighted, abs=1e-6)
    assert lacking  # a class of few positives is without one at times


def test_means_of_replicates_leave_out_what_they_lack():
    target, score = draw()
    found = metrics.bootstrap(target, score, 50)
    for number, clips in enumerate(drawn_clips(len(target), 50, 0)):
        expected = metrics.summarise(target[clips], score[clips]).as_dict()
        for name in ("mAP", "mAUC", "d_prime"):
            assert found.replicates(name)[number] == pytest.approx(expected[name], abs=1e-5)


def test_draws_depend_on_the_seed_alone():
    target, score = draw()
    first, longer = metrics.bootstrap(target, score, 70), metrics.bootstrap(target, score, 140)
    np.testing.assert_array_equal(longer.auc[:70], first.auc)
    other = metrics.bootstrap(target, score, 70, seed=1)
    assert not np.array_equal(other.auc, first.auc)


def test_intervals_hold_the_estimate_and_widen_with_the_level():
    target, score = draw(clips=400)
    found = metrics.bootstrap(target, score, 300)
    for name in ("mAP", "mAUC", "d_prime"):
        low, high = found.interval(name)
        lower, higher = found.interval(name, level=0.99)
        assert lower < low < found.estimate(name) < high < higher
    for name in ("average_precision", "auc"):
        each = found.class_interval(name)
        assert each.shape == (4, 2)
        value = getattr(found.summary, name)
        assert ((each[:, 0] > 0) & (each[:, 0] < value) & (value < each[:, 1])).all()
        assert (each[:, 1] < 1).all()


def test_more_clips_narrow_the_interval():
    widths = [
        np.diff(metrics.bootstrap(*draw(clips=clips), 200).interval("mAUC")).item()
        for clips in (200, 3200)
    ]
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.3)


@pytest.mark.full
def test_intervals_cover_what_other_clips_give():
    held, widest, estimates = [], [], []
    names = ("mAP", "mAUC")
    for seed in range(200):
        found = metrics.bootstrap(*draw(clips=500, classes=8, seed=seed), 200)
        estimates.append([found.estimate(name) for name in names])
        held.append([found.interval(name) for name in names])
        widest.append([found.interval(name, 0.5) for name in names])
    mean = np.mean(estimates, axis=0)
    for intervals, level in ((held, 0.95), (widest, 0.5)):
        low, high = np.moveaxis(np.array(intervals), 2, 0)
        share = ((low <= mean) & (mean <= high)).mean(axis=0)
        np.testing.assert_allclose(share, level, atol=0.06 if level > 0.9 else 0.12)


def test_pairs_tell_apart_what_alone_they_do_not():
    target, score = draw(clips=600, separation=1.5)
    noisy = score + 0.4 * np.random.default_rng(9).standard_normal(score.shape)
    first, second = (metrics.bootstrap(target, each, 300) for each in (score, noisy))
    difference = first.minus(second)
    assert first.interval("mAUC")[0] < second.interval("mAUC")[1]
    assert difference.interval("mAUC")[0] > 0
    assert difference.interval("d_prime")[0] > 0
    swapped = second.minus(first).interval("mAP")
    np.testing.assert_allclose(swapped, [-x for x in difference.interval("mAP")[::-1]], atol=1e-9)
    assert difference.class_interval("auc").shape == (4, 2)
    same = first.minus(first)
    assert same.interval("mAP") == (0, 0)
    assert same.estimate("d_prime") == 0


def test_a_perfect_ranking_has_no_interval():
    target, _ = draw()
    found = metrics.bootstrap(target, target.astype(float), 20)
    assert found.estimate("mAP") == 1
    for name in ("mAP", "mAUC", "d_prime"):
        assert np.isnan(found.interval(name)).all()
    assert np.isnan(found.class_interval("auc")).all()
    assert np.isnan(found.minus(found).interval("d_prime")).all()


def test_without_replicates_there_are_metrics_and_no_intervals():
    target, score = draw()
    found = metrics.bootstrap(target, score, 0)
    assert found.estimate("mAP") == metrics.summarise(target, score).mean("mAP")
    for each in (found, found.minus(found)):
        assert np.isnan(each.interval("d_prime")).all()
        assert each.class_interval("auc").shape == (4, 2)
        assert np.isnan(each.class_interval("auc")).all()


def test_a_class_of_one_positive_or_none_has_no_interval():
    target, score = draw(clips=50)
    target[:, 0] = False
    target[:, 1] = np.arange(50) == 4
    target[:, 2] = True
    found = metrics.bootstrap(target, score, 100)
    assert np.isnan(found.average_precision[:, 0]).all()
    assert np.isnan(found.auc[:, [0, 2]]).all()
    for name in ("average_precision", "auc"):
        known = np.isfinite(found.class_interval(name)).all(axis=1)
        assert known.tolist() == [False, False, False, True]
    assert np.isnan(found.minus(found).class_interval("auc")[0]).all()


def test_bad_input_is_refused():
    target, score = draw()
    with pytest.raises(ValueError, match="at least 2 replicates; received 1"):
        metrics.bootstrap(target, score, 1)
    with pytest.raises(ValueError, match=r"no class has both .* among the 1 evaluated"):
        metrics.bootstrap(target[:1], score[:1])
    found = metrics.bootstrap(target, score, 10)
    with pytest.raises(ValueError, match=r"expected one of mAP, .*; received 'map'"):
        found.interval("map")
    with pytest.raises(AttributeError, match="mAP"):
        found.class_interval("mAP")
    with pytest.raises(ValueError, match=r"level between 0 and 1, such as 0.95; received 95"):
        found.interval("mAP", level=95)
    others = [
        metrics.bootstrap(target, score, 10, seed=1),
        metrics.bootstrap(target, score, 11),
        metrics.bootstrap(~target, score, 10),
    ]
    for other in others:
        with pytest.raises(ValueError, match="same clips, seed and replicates"):
            found.minus(other)


def test_clips_of_a_cluster_are_drawn_together():
    target, score = draw(clips=60)
    clusters = np.sort(np.random.default_rng(0).integers(0, 20, 60))
    clusters = np.unique(clusters, return_inverse=True)[1]
    found = metrics.bootstrap(target, score, 70, seed=[5, 6], clusters=clusters)
    means = mean_replicates(score[:, 0], 70, [5, 6], clusters)
    for number, drawn in enumerate(drawn_clips(clusters.max() + 1, 70, [5, 6])):
        clips = np.concatenate([np.flatnonzero(clusters == cluster) for cluster in drawn])
        expected = metrics.average_precision(target[clips], score[clips])
        np.testing.assert_allclose(found.average_precision[number], expected, atol=1e-6)
        expected = metrics.roc_auc(target[clips], score[clips])
        np.testing.assert_allclose(found.auc[number], expected, atol=1e-6)
        assert means[number] == pytest.approx(score[clips, 0].mean())
    # Every clip three times is no more evidence than once.
    thrice = [np.repeat(x, 3, axis=0) for x in (target, score)]
    once = metrics.bootstrap(target, score, 200)
    together = metrics.bootstrap(*thrice, 200, clusters=np.repeat(np.arange(60), 3))
    np.testing.assert_allclose(together.interval("mAP"), once.interval("mAP"), atol=1e-6)
    alone = metrics.bootstrap(*thrice, 200).interval("mAP")
    assert np.diff(alone) < 0.75 * np.diff(once.interval("mAP"))


@pytest.mark.parametrize("decimals", [0, 7])  # many ties, hardly any
def test_micro_and_weighted_replicates_are_those_of_resampled_clips(decimals):
    target, score = draw()
    score = score.round(decimals)
    pairs = target.reshape(-1, 1), score.reshape(-1, 1)
    micro = metrics.bootstrap(*pairs, 40, clusters=np.repeat(np.arange(80), 4)).replicates("mAP")
    weighted = metrics.bootstrap(target, score, 40).replicates("mAP_weighted")
    for number, clips in enumerate(drawn_clips(80, 40, 0)):
        pairs = target[clips], score[clips]
        assert micro[number] == pytest.approx(metrics.micro_average_precision(*pairs), rel=1e-6)
        ap, used = metrics.average_precision(*pairs), target[clips].any(axis=0)
        expected = np.average(ap[used], weights=target.sum(axis=0)[used])
        assert weighted[number] == pytest.approx(expected, rel=1e-5)
