"""What enters a network's body, cut out of the network."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import keras
import numpy as np
import tensorflow as tf

from panns_tf.layers import PadToMinimum, SpecAugment, mix
from panns_tf.models import Network
from panns_tf.models.blocks import LayerBook
from panns_tf.models.features import log_mel, wavegram
from panns_tf.models.graph import shortest_clip
from panns_tf.training import feed
from panns_tf.training.augment import augment
from panns_tf.training.evaluation import to_float

if TYPE_CHECKING:
    from panns_tf.training.trainer import Trainer


@dataclasses.dataclass(frozen=True)
class Seen:
    """Log-mels of some training clips on their way into the network.

    Attributes:
        before: (clips, frames, mel_bins), of the clips as they are.
        masked: the same, after augmentation of the waveform and SpecAugment; None where that
            comes after mixing.
        entering: (items, frames, mel_bins), what enters the body.
        weights: (clips,) of the mixture, or None without mixup.
        names: ids of the clips.
        seconds: of a clip.
    """

    before: np.ndarray
    masked: np.ndarray | None
    entering: np.ndarray
    weights: np.ndarray | None
    names: list[str]
    seconds: float


def front_end(network: Network) -> keras.Model | None:
    """Returns a model of the features of a network, which shares its layers.

    Its output is a dict of ``log_mel`` (batch, frames, mel_bins), normalised by ``bn0``, and
    ``wavegram`` (batch, steps, frequencies, channels), as the network has them; None for one
    that has neither.
    """
    row = dataclasses.replace(network.row, spec_augment=False)
    if not {"log_mel", "wavegram"} & set(row.inputs):
        return None
    layer = LayerBook(network.layers)
    waveform = keras.Input((None,), name="waveform", dtype="float32")
    padded = layer(PadToMinimum, "pad", minimum=shortest_clip(row), dtype="float32")(waveform)
    outputs = {}
    if "log_mel" in row.inputs:
        outputs["log_mel"] = log_mel(row, layer, padded, None)[..., 0]
    if "wavegram" in row.inputs:
        outputs["wavegram"] = wavegram(row, layer, padded, None)
    return keras.Model(waveform, outputs)


def seen_in_training(trainer: Trainer, pairs: int) -> Seen | None:
    """Returns what the network sees of the first clips of a run, or None without a log-mel.

    Drawn with random states of its own: those of the run stay as they are.
    """
    config, network = trainer.config, trainer.network
    row = network.row
    if "log_mel" not in row.inputs:
        return None
    model = front_end(network)
    rate = row.frontend.sample_rate
    reading = {"sample_rate": rate, "decimation": config.decimation, "damaged": config.damaged}
    (batch,) = feed.records(config, 0, 2 * pairs, **reading).take(1)
    waveform = to_float(batch["waveform"])
    before = np.asarray(model(waveform)["log_mel"])
    shift = round(config.time_shift * rate)
    waveform = augment(
        waveform, tf.constant((0, config.seed), tf.int64), shift=shift, gain=config.gain
    )
    weights = None
    if config.mixup != "none":
        (weights,) = feed.mixup_weights(config, 0, 2 * pairs).take(1)
    in_waveform = weights is not None and "waveform" in (config.mixup, row.mixup)
    if in_waveform:
        waveform = mix(waveform, weights)
    masked = model(waveform)["log_mel"]
    if row.spec_augment and config.spec_augment:
        width = max(1, row.frontend.mel_bins // 8)
        masked = SpecAugment(time_width=64, frequency_width=width, seed=config.seed)(
            masked, training=True
        )
    entering = masked if in_waveform or weights is None else mix(masked, weights)
    return Seen(
        before,
        None if in_waveform else np.asarray(masked),
        np.asarray(entering),
        None if weights is None else np.asarray(weights),
        [clip_id.decode(errors="replace") for clip_id in batch["clip_id"].numpy()],
        batch["waveform"].shape[1] / rate,
    )
