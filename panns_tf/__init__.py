"""PANNs, large-scale pretrained audio neural networks, for TensorFlow and Keras 3."""

from panns_tf import metrics
from panns_tf.layers import LogMel, Mixup, SpecAugment
from panns_tf.models import create_model, list_models, training_model
from panns_tf.weights import load_torch_state

__version__ = "0.1.0"

__all__ = [
    "LogMel",
    "Mixup",
    "SpecAugment",
    "create_model",
    "list_models",
    "load_torch_state",
    "metrics",
    "training_model",
]
