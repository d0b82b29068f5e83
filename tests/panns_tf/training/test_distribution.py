import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from panns_tf.training.distribution import Distribution, numerics, read_cluster


def cluster(workers: int = 2, index: object = 0, kind: str = "worker", **roles) -> str:
    addresses = [f"host{number}:2222" for number in range(workers)]
    task = {"type": kind, "index": index}
    return json.dumps({"cluster": {"worker": addresses, **roles}, "task": task})


def test_a_cluster_names_the_workers_and_this_one():
    for text in (None, "", " \n"):
        assert read_cluster(text) == (1, 0)
    for workers, index in ((1, 0), (2, 0), (3, 2), (2, "1")):
        assert read_cluster(cluster(workers, index)) == (workers, int(index))


@pytest.mark.parametrize(
    "text",
    [
        *("{", "[]", "3", "{}", '{"cluster": {}}', '{"cluster": {"worker": ["a:1"]}}'),
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}',
        cluster(index=None),
        cluster(index="first"),
    ],
)
def test_a_cluster_that_cannot_be_read_shows_what_is_expected(text):
    with pytest.raises(ValueError, match=r"TF_CONFIG cannot be read .*expected .*host:port"):
        read_cluster(text)


@pytest.mark.parametrize(
    "text",
    [
        cluster(2, 2),
        cluster(2, -1),
        cluster(0, 0),
        cluster(kind="chief"),
        cluster(chief=["host9:2222"]),
    ],
)
def test_roles_besides_workers_are_refused(text):
    with pytest.raises(ValueError, match=r"must list workers alone; expected .*; received"):
        read_cluster(text)


def test_one_device_agrees_with_itself():
    alone = Distribution(tf.distribute.get_strategy())
    assert (alone.replicas, alone.local_replicas, alone.is_chief) == (1, 1, True)
    rows = np.arange(6).reshape(3, 2)
    assert alone.gather(rows) is rows
    assert alone.run(lambda value: value + 1, [1, 2]) == [2, 3]
    alone.check_same({"seed": 1})
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    assert alone.describe() == kind
    # One replica, of which two workers have none: only the words matter here.
    second = Distribution(alone.strategy, 2, 1)
    assert second.describe().endswith(", worker 1 of 2")
    assert not second.is_chief


def test_precision_is_set_for_a_while():
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    with pytest.raises(KeyError), numerics("mixed_bfloat16", seed=3):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        first = keras.random.uniform((3,))
        raise KeyError
    assert keras.config.dtype_policy().name == "float32"
    with numerics("tf32", seed=3):
        assert keras.config.dtype_policy().name == "float32"
        assert tf.config.experimental.tensor_float_32_execution_enabled()
        np.testing.assert_array_equal(keras.random.uniform((3,)), first)
    assert tf.config.experimental.tensor_float_32_execution_enabled() == before
