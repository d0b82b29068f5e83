"""Layers that the networks need and Keras does not have; `keras.ops` only."""

from importlib import import_module

import keras  # noqa: F401  before any layer is half imported: see panns_tf._register_classes

_MODULES = {
    "BatchNorm": "batch_norm",
    "ConcatenateInTime": "shapes",
    "Conv2D": "cpu",
    "CutPatches": "shapes",
    "DepthwiseConv": "cpu",
    "LogMel": "log_mel",
    "Mixup": "mixup",
    "MixupLambda": "mixup",
    "PadToMinimum": "shapes",
    "PatchesOfClips": "shapes",
    "RepeatSegments": "shapes",
    "SpecAugment": "spec_augment",
    "mix": "mixup",
}


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"panns_tf.layers.{_MODULES[name]}"), name)
