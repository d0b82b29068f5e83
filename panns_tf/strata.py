"""The former name of `panns_tf.metrics.class_groups`."""

from panns_tf.metrics.class_groups import ClassGroup as Stratum  # noqa: F401
from panns_tf.metrics.class_groups import audioset_training_clips, branches  # noqa: F401
from panns_tf.metrics.class_groups import by_branch, by_label_quality  # noqa: F401
from panns_tf.metrics.class_groups import by_training_clips, read_label_quality  # noqa: F401
from panns_tf.metrics.class_groups import group_rows as strata_rows  # noqa: F401
