"""A row of the registry as a graph: mixing, padding, body, head."""

import dataclasses
from collections.abc import Callable

from panns_tf.layers.timing import PadToMinimum
from panns_tf.models import cnn, heads, mobilenet, resnet, vggish, waveform
from panns_tf.models.blocks import LayerBook
from panns_tf.models.features import mixed
from panns_tf.models.registry import Architecture


@dataclasses.dataclass(frozen=True)
class Body:
    """What makes feature maps of waveforms.

    Args:
        build: takes the row; its layers, existing ones shared; the waveform, symbolic (batch,
            samples) in [-1, 1]; and mixup_lambda, symbolic (batch,), or None for no mixup.
            Returns feature maps, (items, frames, bins, channels) or (items, steps, channels).
        shortest_clip: maps a row to the samples that it needs.
        halvings: maps a row to how often its mel bins are halved.
    """

    build: Callable
    shortest_clip: Callable[[Architecture], int]
    halvings: Callable[[Architecture], int] = lambda row: 0


#: By the names that rows use.
BODIES = {
    "cnn": Body(cnn.cnn, cnn.shortest_clip, cnn.halvings),
    "resnet": Body(resnet.resnet, resnet.shortest_clip, lambda row: len(row.depths) + 1),
    "mobilenet_v1": Body(mobilenet.mobilenet_v1, mobilenet.shortest_clip, lambda row: 5),
    "mobilenet_v2": Body(mobilenet.mobilenet_v2, mobilenet.shortest_clip, lambda row: 5),
    "leenet": Body(waveform.leenet, waveform.shortest_for_leenet),
    "dainet": Body(waveform.dainet, waveform.shortest_for_dainet),
    "res1dnet": Body(waveform.res1dnet, waveform.shortest_for_res1dnet),
    "vggish": Body(vggish.vggish, vggish.shortest_clip, lambda row: len(row.widths)),
}

HEADS = {
    "clip": heads.clip_head,
    "max": heads.decision_head,
    "average": heads.decision_head,
    "attention": heads.decision_head,
    "patches": heads.patch_head,
}


def shortest_clip(row: Architecture) -> int:
    """Returns the number of samples to which shorter clips are extended."""
    return BODIES[row.body].shortest_clip(row)


def graph(row: Architecture, layer: LayerBook, waveform, mixup_lambda, num_classes: int) -> dict:
    """Builds the graph of a network.

    Args:
        row: the network.
        layer: the layers, existing ones shared.
        waveform: symbolic (batch, samples) in [-1, 1].
        mixup_lambda: symbolic (batch,), or None for no mixup.
        num_classes: K.

    Returns:
        The head's outputs by name, for ``batch / 2`` items under mixup.

    Raises:
        ValueError: if the row has too few mel bins for its halvings.
    """
    x = features(row, layer, waveform, mixup_lambda)
    return HEADS[row.head](row, layer, x, waveform, num_classes)


def features(row: Architecture, layer: LayerBook, waveform, mixup_lambda=None):
    """Builds what comes before the head; arguments and errors as for `graph`.

    Returns:
        (items, frames, bins, channels) or (items, steps, channels).
    """
    fewest = 2 ** BODIES[row.body].halvings(row)
    if row.frontend.mel_bins < fewest:
        raise ValueError(
            f"{row.name} needs at least {fewest} mel_bins; received {row.frontend.mel_bins}"
        )
    exact = {"dtype": "float32"}  # half precision would add noise at -50 dB to the sound
    if row.mixup == "waveform":
        waveform = mixed(layer, "mixup.waveform", waveform, mixup_lambda, **exact)
        mixup_lambda = None
    padded = layer(PadToMinimum, "pad", minimum=shortest_clip(row), **exact)(waveform)
    return BODIES[row.body].build(row, layer, padded, mixup_lambda)
