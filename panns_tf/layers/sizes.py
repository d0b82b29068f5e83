"""Old name of `panns_tf.layers.shapes`, until all callers are changed."""

from panns_tf.layers.shapes import larger, smaller

__all__ = ["larger", "smaller"]
