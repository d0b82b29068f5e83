from collections import Counter

import numpy as np

from panns_tf.evaluation.mistakes import PER_CLASS, PER_CLIP, find_mistakes
from tests.panns_tf.evaluation.support import made_scores


def test_the_most_confident_come_first_and_vary():
    scores = made_scores(200)
    alarms, misses = find_mistakes(scores, 8)
    assert len(alarms) == len(misses) == 8
    for found in (alarms, misses):
        assert max(Counter(mistake.clip for mistake in found).values()) <= PER_CLIP
        assert max(Counter(mistake.label for mistake in found).values()) <= PER_CLASS
    assert not any(scores.target[x.clip, x.label] for x in alarms)
    assert all(scores.target[x.clip, x.label] for x in misses)
    assert [x.score for x in alarms] == sorted((x.score for x in alarms), reverse=True)
    assert [x.score for x in misses] == sorted(x.score for x in misses)
    assert alarms[0].score == scores.score[~scores.target].max()
    assert misses[0].score == scores.score[scores.target].min()


def test_a_perfect_ranking_has_none():
    scores = made_scores()
    scores.score[:] = 0.2 + 0.6 * scores.target
    assert find_mistakes(scores, 8) == ([], [])
    clip, label = (int(x[0]) for x in np.nonzero(scores.target))
    scores.score[clip, label] = 0.1
    (miss,) = find_mistakes(scores, 8)[1]
    assert (miss.clip, miss.label, miss.missed) == (clip, label, True)


def test_none_are_given_where_none_are_wanted():
    assert find_mistakes(made_scores(), 0) == ([], [])
