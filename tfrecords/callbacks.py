"""Python functions in `tf.data` pipelines that do not outlive them.

TensorFlow keeps every function it was ever given, for the life of the process; with one go an index
and open files, for each evaluation of a training run. It is given a reference here that does not
count, and the data set holds the one that does: iterators and data sets made of it hold it in turn.
"""

import weakref
from collections.abc import Callable

import tensorflow as tf


def uncounted(function: Callable | None) -> Callable | None:
    """What to give TensorFlow in the place of a callable object that a data set will hold.

    In a graph under construction that is the object itself: no data set outlives that.
    """
    if function is None or not tf.executing_eagerly():
        return function
    reference = weakref.ref(function)

    def call(*arguments):
        target = reference()
        if target is None:
            raise RuntimeError(
                "the data set that this reads for was deleted; keep a reference to it"
            )
        return target(*arguments)

    return call


def hold(data: tf.data.Dataset, *functions: Callable) -> tf.data.Dataset:
    """Have a data set keep the functions that it calls."""
    data._tfrecords_functions = functions
    return data
