"""The former name of `panns_tf.metrics.class_groups`."""

from panns_tf.metrics.class_groups import ClassGroup as Stratum  # noqa: F401
from panns_tf.metrics.class_groups import (  # noqa: F401
    audioset_training_clips,
    branches,
    by_branch,
    by_label_quality,
    by_training_clips,
    read_label_quality,
)
from panns_tf.metrics.class_groups import group_rows as strata_rows  # noqa: F401
