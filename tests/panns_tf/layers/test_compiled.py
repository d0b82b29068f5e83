import tensorflow as tf

from panns_tf.layers.compiled import without_xla, xla_compiled


def test_traces_once_per_shape_and_obeys_without_xla():
    traced = []

    def double(x):
        traced.append(x.shape)
        return 2 * x

    compiled = xla_compiled(double)
    for size in (2, 2, 4):
        assert compiled(tf.ones(size)).shape == (size,)
    assert [shape.as_list() for shape in traced] == [[1], [2]], "halves of a batch"
    with without_xla():
        compiled(tf.ones(4))
        compiled(tf.ones(4))
    assert len(traced) == 4, "the plain function runs"
    compiled(tf.ones(4))
    assert len(traced) == 4
