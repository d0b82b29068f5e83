"""Old names of `panns_tf.models.network`, until all callers are changed."""

from panns_tf.models.network import all_outputs as graph
from panns_tf.models.network import feature_maps as features

__all__ = ["features", "graph"]
