"""Layers that the networks need and Keras does not have; `keras.ops` only."""

import keras  # noqa: F401  before any layer is half imported: see panns_tf._register_classes

from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.layers.convolution import Conv2D
from panns_tf.layers.depthwise import DepthwiseConv
from panns_tf.layers.log_mel import LogMel
from panns_tf.layers.mixup import Mixup, MixupLambda, mix
from panns_tf.layers.segments import CutPatches, PatchesOfClips, RepeatSegments
from panns_tf.layers.spec_augment import SpecAugment
from panns_tf.layers.timing import ConcatenateInTime, PadToMinimum

__all__ = [
    "BatchNorm",
    "ConcatenateInTime",
    "Conv2D",
    "CutPatches",
    "DepthwiseConv",
    "LogMel",
    "Mixup",
    "MixupLambda",
    "PadToMinimum",
    "PatchesOfClips",
    "RepeatSegments",
    "SpecAugment",
    "mix",
]
