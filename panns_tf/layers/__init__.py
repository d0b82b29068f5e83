"""Layers that the networks need and Keras does not have; `keras.ops` only."""

import keras  # noqa: F401  before any layer is half imported: see panns_tf._register_classes
