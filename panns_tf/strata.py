"""The former name of `panns_tf.metrics.class_groups`."""

from panns_tf.metrics.class_groups import *  # noqa: F403
