"""A network as a row of stages, from sound to classifier, that learn at rates of their own."""

import re
from collections.abc import Sequence

import keras

from panns_tf.models import Network

#: Layers that know the classes; a new task gets new ones.
CLASSIFIER = re.compile(r"fc_audioset|att_block\..*|fc_hidden\d+")
#: A stage is called by the first part of its layers' names that holds a number.
_STAGE = re.compile(r"(?:resnet\.layer\d+|features\.\d+|[a-z_]*\d+)")


def stages_of(network: Network) -> list[list[keras.layers.Layer]]:
    """Returns the layers with weights by stage, the first to hear first, the classifier last.

    A stage is a block of the reference: ``conv_block3``, ``resnet.layer2``, ``features.7``, with
    what stands alone, such as ``bn0``, beside the block after it.
    """
    stages: dict[str, list[keras.layers.Layer]] = {}
    for layer in network.layers:
        if layer.weights:
            stages.setdefault(_name(layer.name), []).append(layer)
    alone = [name for name, layers in stages.items() if len(layers) == 1 and name != "classifier"]
    rows, kept = [], []
    for name, layers in stages.items():
        kept += layers
        if name in alone and name.startswith(("bn", "pre_bn", "conv0", "pre_conv")):
            continue
        rows.append(kept)
        kept = []
    return rows


def _name(layer: str) -> str:
    if CLASSIFIER.fullmatch(layer):
        return "classifier"
    found = _STAGE.match(layer)
    return found.group() if found else layer


def rate_factors(network: Network, decay: float) -> list[float] | None:
    """Returns what the learning rate of each trainable variable is times.

    Args:
        network: the network.
        decay: from a stage to the one before it; 1 for the same rate everywhere.

    Returns:
        A factor for each of ``network.trainable_variables``; None if all are 1.

    Source: Howard and Ruder 2018, "discriminative fine-tuning".
    """
    if decay == 1:
        return None
    factors = {}
    for depth, layers in enumerate(reversed(stages_of(network))):
        for variable in (v for layer in layers for v in layer.trainable_variables):
            factors[variable.path] = decay**depth
    return [factors[variable.path] for variable in network.trainable_variables]


def freeze_all_but(network: Network, last: int) -> None:
    """Has only the last stages learn; the others keep their batch statistics, too.

    Args:
        network: the network.
        last: stages that learn; 1 is the classifier alone.
    """
    stages: Sequence = stages_of(network)
    for number, layers in enumerate(stages):
        for layer in layers:
            layer.trainable = number >= len(stages) - last
