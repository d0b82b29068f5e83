import pytest
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.training.distribution import Distribution
from panns_tf.training.looks import Looks, default_eval_steps
from panns_tf.weights.loading import create_model

READING = {"sample_rate": 8000}


def looks(data, say=pytest.fail, **settings) -> Looks:
    config = TrainConfig(
        arch="Tiny", data=str(data / "train"), eval_data=str(data / "eval"), **settings
    )
    alone = Distribution(tf.distribute.get_strategy())
    return Looks(config, create_model("Tiny", 12), alone, READING, say)


def test_the_same_training_clips_each_time(data):
    look = looks(data, eval_training_clips=25)
    seen = []
    predict = look._predict

    def noted(path, **selection):
        found = predict(path, **selection)
        seen.append(found.clip_ids.tolist())
        return found

    look._predict = noted
    first, second = look.at_training_clips(), look.at_training_clips()
    assert first == second
    assert set(first) == {"training_mAP", "training_mAUC", "training_d_prime"}
    assert seen[0] == seen[1]
    assert 15 <= len(seen[0]) <= 35


def test_they_are_some_of_those_that_are_drawn(data):
    look = looks(data, eval_training_clips=1000, fraction=0.5)
    few = looks(data, eval_training_clips=20)._predict(str(data / "train"), fraction=0.5)
    found = []
    predict = look._predict
    look._predict = lambda path, **selection: found.append(predict(path, **selection)) or found[0]
    look.at_training_clips()
    assert found[0].clip_ids.tolist() == few.clip_ids.tolist(), "all of the half"


def test_none_are_evaluated_where_none_are_asked_for(data):
    look = looks(data, eval_training_clips=0)
    look._predict = lambda *arguments, **named: pytest.fail("nothing to predict")
    assert look.at_training_clips() == {}


def test_too_few_to_measure_are_said_once(data):
    said = []
    look = looks(data, said.append, eval_training_clips=1)
    assert look.at_training_clips() == look.at_training_clips() == {}
    (line,) = said
    assert line.startswith("No metrics on training clips: ")


def test_held_out_clips_are_all_of_theirs(data):
    assert len(looks(data).at_held_out_clips().clip_ids) == 40


def test_the_cadence(data):
    assert looks(data).steps == 2000
    assert looks(data, eval_steps=7).steps == 7


@pytest.mark.parametrize(
    ("clips", "batch_size", "steps"), [(80, 32, 2000), (18887, 32, 11000), (18887, 512, 2000)]
)
def test_evaluations_stay_below_three_percent(clips, batch_size, steps):
    assert default_eval_steps(clips, batch_size) == steps
    assert clips / (3 * batch_size * steps) <= 0.03
