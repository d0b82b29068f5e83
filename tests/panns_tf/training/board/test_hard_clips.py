import numpy as np

from panns_tf.training.board.hard_clips import describe, hardest
from panns_tf.training.evaluation import Predictions


def test_the_hardest_are_those_with_the_highest_loss():
    target = np.array([[1, 0], [1, 0], [0, 1]], "float32")
    score = np.array([[0.9, 0.1], [0.0, 1.0], [0.6, 0.4]], "float32")
    found = Predictions(np.array([b"a", b"b", b"c"]), target, score)
    assert hardest(found, 2).tolist() == [1, 2]
    assert hardest(found, 9).tolist() == [1, 2, 0]


def test_words_say_what_is_true_and_what_the_network_says():
    labels = ["Dog", "Cat", "Rain", "Wind"]
    said = describe(b"x.wav", np.array([1, 0, 1, 0]), np.array([0.1, 0.9, 0.2, 0.05]), labels)
    assert said == "**x.wav** is: Dog, Rain. The network says: Cat 0.90, Rain 0.20, Dog 0.10."
    assert "is: none" in describe(b"y", np.zeros(4), np.zeros(4), labels)
