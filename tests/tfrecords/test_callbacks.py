"""Python functions of pipelines: held by the data sets that call them, and by nothing else."""

import gc
import weakref

import numpy as np
import pytest
import tensorflow as tf

from tfrecords.callbacks import hold, uncounted


class Doubled:
    def __call__(self, number: np.ndarray) -> np.ndarray:
        return 2 * number


def pipeline() -> tuple[tf.data.Dataset, weakref.ref]:
    function = Doubled()
    call = uncounted(function)
    data = tf.data.Dataset.range(3).map(lambda d: tf.numpy_function(call, [d], tf.int64))
    return hold(data, function), weakref.ref(function)


def taken(data: tf.data.Dataset) -> tf.data.Dataset:
    return data.take(3)


def mapped(data: tf.data.Dataset) -> tf.data.Dataset:
    return data.prefetch(1).map(tf.identity)


@pytest.mark.parametrize("derived", [iter, taken, mapped])
def test_what_is_made_of_a_data_set_holds_its_functions(derived):
    data, alive = pipeline()
    data = derived(data)
    gc.collect()
    assert [int(number) for number in data] == [0, 2, 4]
    del data
    gc.collect()
    assert alive() is None


def test_without_its_data_set_a_call_says_what_is_wrong():
    call = uncounted(Doubled())
    gc.collect()
    with pytest.raises(RuntimeError, match="keep a reference to it"):
        call(np.int64(1))


def test_in_a_graph_the_function_stands_for_itself():
    function = Doubled()
    with tf.Graph().as_default():
        assert uncounted(function) is function
    assert uncounted(None) is None
