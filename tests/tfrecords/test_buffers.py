"""Recycled memory: aligned, given out again, and never while a view of it is alive."""

import gc

import numpy as np
import tensorflow as tf

from tfrecords import buffers
from tfrecords.buffers import recycled_empty

SHAPE = (3, 70001)  # of a size that no other test uses


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_aligned_and_as_asked_for():
    array = recycled_empty(SHAPE, np.int16)
    assert (array.shape, array.dtype) == (SHAPE, np.int16)
    assert address(array) % 64 == 0
    assert array.flags.c_contiguous
    assert array.flags.writeable


def test_memory_comes_back_once_the_last_view_is_gone():
    array = recycled_empty(SHAPE, np.int16)
    array[:] = 7
    place, row = address(array), array[1]
    del array
    gc.collect()
    other = recycled_empty(SHAPE, np.int16)
    assert address(other) != place
    other[:] = 1
    assert (row == 7).all()  # what a view shows is not written over
    del row
    gc.collect()
    assert address(recycled_empty(SHAPE, np.int16)) == place


def test_a_tensor_keeps_its_memory():
    def make() -> np.ndarray:
        array = recycled_empty(SHAPE, np.int16)
        array[:] = 5
        return array

    tensor = tf.numpy_function(make, [], tf.int16)
    gc.collect()
    recycled_empty(SHAPE, np.int16)[:] = 9
    assert (tensor.numpy() == 5).all()


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(buffers, "_MOST_KEPT", 10_000)
    arrays = [recycled_empty((5000 + number,), np.uint8) for number in range(9)]
    del arrays
    gc.collect()
    recycled_empty((77,), np.uint8)
    assert sum(map(len, buffers._free)) <= 10_000 + 77 + 64
