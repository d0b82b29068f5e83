import pytest
import tensorflow as tf

from panns_tf.layers.sizes import larger, smaller


@pytest.mark.parametrize(("a", "b"), [(2, 5), (5, 2), (3, 3), (-1, 0)])
def test_of_numbers_is_a_number(a, b):
    assert (larger(a, b), smaller(a, b)) == (max(a, b), min(a, b))
    assert isinstance(larger(a, b), int)
    assert isinstance(smaller(a, b), int)


@pytest.mark.parametrize(("a", "b"), [(2, 5), (5, 2)])
def test_of_a_tensor_is_a_tensor(a, b):
    for pair in ((tf.constant(a), b), (a, tf.constant(b)), (tf.constant(a), tf.constant(b))):
        for found, expected in ((larger(*pair), 5), (smaller(*pair), 2)):
            assert tf.is_tensor(found)
            assert found.dtype == tf.int32
            assert int(found) == expected


def test_of_a_length_unknown_when_traced():
    @tf.function(input_signature=[tf.TensorSpec((None,))])
    def sizes(x):
        return larger(tf.shape(x)[0], 3), smaller(tf.shape(x)[0], 3)

    assert [int(size) for size in sizes(tf.zeros(7))] == [7, 3]
    assert [int(size) for size in sizes(tf.zeros(1))] == [3, 1]
