"""Weights from elsewhere."""

from panns_tf.weights.state_dict import load_torch_state

__all__ = ["load_torch_state"]
