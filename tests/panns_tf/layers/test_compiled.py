import tensorflow as tf

from panns_tf.layers.compiled import without_xla, xla_compiled


def test_traces_once_per_shape_and_obeys_without_xla():
    traced = []

    def double(x):
        traced.append(x.shape)
        return 2 * x

    compiled = xla_compiled(double)
    for size in (3, 3, 4):
        assert compiled(tf.ones(size)).shape == (size,)
    assert len(traced) == 2
    with without_xla():
        compiled(tf.ones(3))
        compiled(tf.ones(3))
    assert len(traced) == 4, "the plain function runs"
    compiled(tf.ones(3))
    assert len(traced) == 4
