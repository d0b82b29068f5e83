"""Old name of `panns_tf.layers.cpu`, until all callers are changed."""

from functools import partial

from panns_tf.layers.cpu import traced_for

without_xla = partial(traced_for, "portable")
