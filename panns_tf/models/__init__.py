"""The networks: a table, a few builders, and the models they make."""

from panns_tf.models.network import Network, blueprint, training_model
from panns_tf.models.registry import ARCHITECTURES, Architecture, find, list_models

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "Network",
    "blueprint",
    "find",
    "list_models",
    "training_model",
]
