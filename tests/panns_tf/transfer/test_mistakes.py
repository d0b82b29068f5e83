import numpy as np

from panns_tf.transfer.mistakes import false_alarms, misses, wrong_clips
from tests.panns_tf.transfer.support import made_results, multi_label, result


def test_wrong_clips_are_those_taken_for_another_the_most_certain_first():
    results = made_results(folds=3)
    found = wrong_clips(results, 1000)
    wrong = sum(int((r.target.argmax(1) != r.score.argmax(1)).sum()) for r in results)
    assert len(found) == wrong > 10
    scores = [mistake.score for mistake in found]
    assert scores == sorted(scores, reverse=True)
    by_clip = {
        clip: (r.fold, row, hits)
        for r in results
        for clip, row, hits in zip(r.clip_ids, r.score, r.target, strict=True)
    }
    for mistake in found:
        fold, row, hits = by_clip[mistake.clip_id]
        assert mistake.fold == fold
        assert mistake.labels == (hits.argmax(),)
        assert mistake.predicted == row.argmax() != hits.argmax()
        assert (mistake.score, mistake.true_score) == (row.max(), row[hits.argmax()])
    assert wrong_clips(results, 5) == found[:5]


def test_false_alarms_and_misses_are_the_extremes_of_all_pairs():
    results = [result(*multi_label(30, 4, seed), fold=str(seed)) for seed in (1, 2)]
    target = np.concatenate([one.target for one in results])
    score = np.concatenate([one.score for one in results])
    alarms, missed = false_alarms(results, 6), misses(results, 6)
    assert [m.score for m in alarms] == np.sort(score[target == 0])[::-1][:6].tolist()
    assert [m.score for m in missed] == np.sort(score[target == 1])[:6].tolist()
    assert all(m.predicted not in m.labels for m in alarms)
    assert all(m.predicted in m.labels for m in missed)


def test_nothing_wrong():
    target = np.eye(3, dtype=np.float32)
    assert wrong_clips([result(target, target)], 5) == []
    every = np.ones((2, 3), np.float32)
    assert false_alarms([result(every, every)], 5) == []
    assert misses([result(every - 1, every)], 5) == []
