import json

import numpy as np
import pytest
import tensorflow as tf

from panns_tf.training.distribution import Distribution, read_cluster


def cluster(workers: int = 2, index: object = 0, kind: str = "worker", **roles) -> str:
    addresses = [f"host{number}:2222" for number in range(workers)]
    task = {"type": kind, "index": index}
    return json.dumps({"cluster": {"worker": addresses, **roles}, "task": task})


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_without_a_cluster_there_is_one_worker(text):
    assert read_cluster(text) == (1, 0)


@pytest.mark.parametrize(("workers", "index"), [(1, 0), (2, 0), (3, 2), (2, "1")])
def test_a_cluster_says_how_many_workers_and_which(workers, index):
    assert read_cluster(cluster(workers, index)) == (workers, int(index))


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "3",
        "{}",
        '{"cluster": {}}',
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}',
        cluster(index=None),
        cluster(index="first"),
    ],
)
def test_a_cluster_that_cannot_be_read_says_what_is_expected(text):
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
        cluster(ps=["host9:2222"]),
    ],
)
def test_roles_besides_workers_are_refused(text):
    with pytest.raises(ValueError, match=r"must list workers alone; expected .*; received"):
        read_cluster(text)


def test_one_device_agrees_with_itself():
    alone = Distribution(tf.distribute.get_strategy())
    assert (alone.replicas, alone.local_replicas, alone.is_chief) == (1, 1, True)
    assert alone.sum_of_workers(7) == 7
    rows = np.arange(6).reshape(3, 2)
    assert alone.gather(rows) is rows


def test_describes_itself_in_a_line():
    strategy = tf.distribute.get_strategy()
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    assert Distribution(strategy).describe() == kind
    # One replica, of which two workers have none: only the words matter here.
    assert Distribution(strategy, 2, 1).describe().endswith(", worker 1 of 2")
    assert not Distribution(strategy, 2, 1).is_chief
