"""Weights from elsewhere: published checkpoints, and PyTorch's state dicts both ways."""

from panns_tf.weights.identify import networks_of
from panns_tf.weights.loading import load_weights
from panns_tf.weights.state_dict import load_torch_state, to_torch_state
from panns_tf.weights.torch_checkpoint import TorchState, read_torch_state
from panns_tf.weights.zoo import PUBLISHED, DownloadError, cache_folder, fetch

__all__ = [
    "PUBLISHED",
    "DownloadError",
    "TorchState",
    "cache_folder",
    "fetch",
    "load_torch_state",
    "load_weights",
    "networks_of",
    "read_torch_state",
    "to_torch_state",
]
