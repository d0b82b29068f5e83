"""Inputs of the backbones: normalised log-mel spectrograms and wavegrams, with mixup."""

import dataclasses

from keras import layers, ops

from panns_tf.layers.batch_norm import BatchNorm
from panns_tf.layers.log_mel import LogMel
from panns_tf.layers.mixup import Mixup
from panns_tf.layers.spec_augment import SpecAugment
from panns_tf.models.blocks import FLOAT32, LayerFactory, conv_block, first_conv_bn, wave_block
from panns_tf.models.registry import Architecture

#: Planes of frequencies into which the wavegram's channels are reshaped.
WAVEGRAM_PLANES = 4

#: Samples of 32 kHz audio per step of the finished wavegram: stride 5, three pools by 4, one by 2.
WAVEGRAM_HOP = 5 * 4**3 * 2


def mixed(layer: LayerFactory, name: str, x, mixup_lambda, **settings):
    """Mixup of pairs of items, (2N, ...) to (N, ...); the identity if ``mixup_lambda`` is None."""
    return x if mixup_lambda is None else layer(Mixup, name, **settings)([x, mixup_lambda])


def log_mel(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """Waveform (batch, samples) to normalised, masked, mixed log-mel (items, frames, bins, 1).

    ``bn0`` and SpecAugment precede mixup. All of it is float32.
    """
    x = layer(LogMel, "log_mel", **dataclasses.asdict(arch.frontend))(waveform)
    x = layer(BatchNorm, "bn0", **FLOAT32)(x)  # one scale and shift per mel bin
    if arch.spec_augment:
        # As in the reference, stripes grow with the number of mel bins.
        width = max(1, arch.frontend.mel_bins // 8)
        x = layer(SpecAugment, "spec_augmenter", time_width=64, frequency_width=width)(x)
    x = ops.expand_dims(x, -1)  # (batch, frames, mel_bins, 1)
    return mixed(layer, "mixup.log_mel", x, mixup_lambda)


def wavegram(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda):
    """Waveform (batch, samples) to mixed wavegram (items, samples // 640, mel_bins // 2, 64).

    The channels of convolutions over time become frequencies; paper, section III-C.
    """
    frequencies, odd = divmod(arch.frontend.mel_bins, 2)
    if odd:
        raise ValueError(f"a wavegram needs even mel_bins; received {arch.frontend.mel_bins}")
    if "log_mel" in arch.inputs and 2 * arch.frontend.hop_size != WAVEGRAM_HOP:
        raise ValueError(
            f"the wavegram of {arch.name} has a step of {WAVEGRAM_HOP} samples, so its log-mel "
            f"needs hop_size={WAVEGRAM_HOP // 2}; received {arch.frontend.hop_size}"
        )
    x = ops.expand_dims(waveform, -1)  # (batch, samples, 1)
    x = first_conv_bn(layer, "pre_", x, 64, size=11, stride=5, pad=5)
    x = layer(layers.ReLU, "pre_relu0")(x)
    channels = WAVEGRAM_PLANES * frequencies
    for i, filters in enumerate((64, 128, channels), start=1):
        x = wave_block(layer, f"pre_block{i}", x, filters)
    # (batch, steps, channels): channel c is plane c // frequencies, frequency c % frequencies
    x = layer(layers.Reshape, "pre_planes", target_shape=(-1, WAVEGRAM_PLANES, frequencies))(x)
    x = layer(layers.Permute, "pre_frequencies", dims=(1, 3, 2))(x)
    # (batch, steps, frequencies, planes)
    x = conv_block(layer, "pre_block4", x, 64, pool=(2, 1))
    return mixed(layer, "mixup.wavegram", x, mixup_lambda)
