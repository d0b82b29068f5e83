"""Keras models of the architectures, for inference and for training."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import keras

from panns_tf.layers.shapes import PadToMinimum
from panns_tf.models import spectrogram, waveform
from panns_tf.models.blocks import FLOAT32, LayerFactory
from panns_tf.models.features import WAVEGRAM_HOP, mixed
from panns_tf.models.heads import clip_head, step_head
from panns_tf.models.registry import Architecture, find


@dataclasses.dataclass(frozen=True)
class Backbone:
    """The layers between waveform and head, as functions of an `Architecture`.

    ``build(arch, layer, waveform, mixup_lambda)`` maps waveforms (batch, samples) in [-1, 1] to
    feature maps, (items, frames, bins, channels) or (items, steps, channels). ``mixup_lambda`` is
    (batch,), or None without mixup.
    """

    build: Callable
    poolings: Callable[[Architecture], int] = lambda arch: 0  # of frames and mel bins, by 2
    # The fewest samples of which one step remains; None if it follows from the poolings.
    shortest_clip: Callable[[Architecture], int] | None = None


# fmt: off
#: Backbones by the names in `Architecture.backbone`.
BACKBONES = {
    "cnn": Backbone(spectrogram.cnn, lambda arch: len(arch.widths) - (not arch.pool_last)),
    "resnet": Backbone(spectrogram.resnet, lambda arch: len(arch.depths) + 1),
    "mobilenet_v1": Backbone(spectrogram.mobilenet_v1, lambda arch: 5),
    "mobilenet_v2": Backbone(spectrogram.mobilenet_v2, lambda arch: 5),
    "leenet": Backbone(waveform.leenet, shortest_clip=lambda arch: 1),  # every layer pads
    "dainet": Backbone(waveform.dainet, shortest_clip=lambda arch: 4 ** len(arch.widths) + 76),
    "res1dnet": Backbone(waveform.res1dnet,
                         shortest_clip=lambda arch: 5 * 4 ** (len(arch.widths) - 1) - 4),
    "vggish": Backbone(spectrogram.vggish, lambda arch: len(arch.widths),
                       lambda arch: (spectrogram.PATCH_FRAMES - 1) * arch.frontend.hop_size),
}
# fmt: on


def shortest_clip(arch: Architecture) -> int:
    """The number of samples to which shorter clips are extended."""
    backbone = BACKBONES[arch.backbone]
    if backbone.shortest_clip is not None:
        return backbone.shortest_clip(arch)
    frames = 2 ** backbone.poolings(arch)
    if "wavegram" in arch.inputs:
        # A wavegram needs more samples than a log-mel. Its first, strided convolution rounds up,
        # all later poolings round down.
        return WAVEGRAM_HOP * frames // 2 - 4
    return (frames - 1) * arch.frontend.hop_size


def feature_maps(arch: Architecture, layer: LayerFactory, waveform, mixup_lambda=None):
    """The input of the head: feature maps after mixup, padding, front end and backbone."""
    backbone = BACKBONES[arch.backbone]
    fewest = 2 ** backbone.poolings(arch)
    if arch.frontend.mel_bins < fewest:
        raise ValueError(
            f"{arch.name} needs at least {fewest} mel_bins; received {arch.frontend.mel_bins}"
        )
    if arch.mixup == "waveform":
        waveform = mixed(layer, "mixup.waveform", waveform, mixup_lambda, **FLOAT32)
        mixup_lambda = None
    padded = layer(PadToMinimum, "pad", minimum=shortest_clip(arch), **FLOAT32)(waveform)
    return backbone.build(arch, layer, padded, mixup_lambda)


def all_outputs(
    arch: Architecture, layer: LayerFactory, waveform, num_classes: int, mixup_lambda=None
) -> dict:
    x = feature_maps(arch, layer, waveform, mixup_lambda)
    if arch.head == "clip":
        return clip_head(arch, layer, x, num_classes)
    return step_head(arch, layer, x, waveform, num_classes)


def checked_classes(num_classes: int) -> int:
    if int(num_classes) != num_classes or num_classes < 1:
        raise ValueError(f"num_classes must be a whole number above 0; received {num_classes}")
    return int(num_classes)


def check_waveform(name: str, waveform) -> None:
    dtype = keras.backend.standardize_dtype(waveform.dtype)
    if not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            f"{name} expects floating point waveforms in [-1, 1]; received {dtype}. "
            "Divide int16 audio by 32767."
        )
    if len(waveform.shape) != 2 or 0 in waveform.shape:
        raise ValueError(
            f"{name} expects waveforms of shape (batch, samples), at least one of each; "
            f"received {tuple(waveform.shape)}"
        )


@keras.saving.register_keras_serializable(package="panns_tf")
class Network(keras.Model):
    """A functional model of an architecture; a saved one is rebuilt from these arguments.

    ``zeros`` and ``convolution_of`` are as in `LayerFactory`; ``labels`` are the names of the
    classes in order, or None if unknown.
    """

    def __init__(
        self, architecture: str, num_classes: int = 527, *, zeros: bool = False, **overrides
    ):
        arch = find(architecture).override(**overrides)
        num_classes = checked_classes(num_classes)
        waveform = keras.Input((None,), name="waveform", dtype="float32")
        layer = LayerFactory(zeros=zeros)
        outputs = all_outputs(arch, layer, waveform, num_classes)
        outputs.pop("logits", None)
        super().__init__(inputs=waveform, outputs=outputs, name=arch.name)
        self.arch = arch
        self.num_classes = num_classes
        self.overrides = overrides
        self.output_shapes = {name: tuple(output.shape) for name, output in outputs.items()}
        self.convolution_of = layer.convolution_of
        self.labels: Sequence[str] | None = None

    def call(self, inputs, training=None, mask=None):
        waveform = inputs["waveform"] if isinstance(inputs, dict) else inputs
        check_waveform(self.name, waveform)
        return super().call(inputs, training=training, mask=mask)

    def get_config(self):
        return {
            "architecture": self.arch.name,
            "num_classes": self.num_classes,
            "overrides": self.overrides,
            "labels": list(self.labels) if self.labels else None,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        network = cls(config["architecture"], config["num_classes"], **config["overrides"])
        network.labels = config["labels"]
        return network


def check_network(model: keras.Model) -> None:
    if not isinstance(model, Network):
        raise TypeError(f"expected a network from panns_tf.create_model; received {type(model)}")


class TrainingModel(keras.Model):
    def __init__(self, network: Network):
        super().__init__(name=f"{network.name}.training")
        self.network = network
        waveform = keras.Input((None,), name="waveform", dtype="float32")
        mixup_lambda = keras.Input((), name="mixup_lambda", dtype="float32")
        layer = LayerFactory(network.layers)
        arguments = (network.arch, layer, waveform, network.num_classes)
        with_mixup = {"waveform": waveform, "mixup_lambda": mixup_lambda}
        self._graphs = [
            keras.Model({"waveform": waveform}, all_outputs(*arguments)),
            keras.Model(with_mixup, all_outputs(*arguments, mixup_lambda)),
        ]

    def outputs_of(self, inputs: dict, training: bool = True) -> dict:
        """All outputs by name, with ``logits`` if the head has them."""
        if not isinstance(inputs, dict):
            inputs = {"waveform": inputs}
        inputs = {name: value for name, value in inputs.items() if value is not None}
        if set(inputs) - {"mixup_lambda"} != {"waveform"}:
            raise ValueError(
                "expected inputs 'waveform' and, under mixup, 'mixup_lambda'; "
                f"received {sorted(inputs)}"
            )
        check_waveform(self.name, inputs["waveform"])
        return self._graphs["mixup_lambda" in inputs](inputs, training=training)

    def call(self, inputs, training=None):
        return self.outputs_of(inputs, training=bool(training))["clipwise_output"]


def training_model(model: keras.Model) -> keras.Model:
    """The training form of a network, which shares every layer with it.

    Called with ``{"waveform": (2N, samples), "mixup_lambda": (2N,)}`` it mixes items 2i and 2i + 1
    where the architecture says, so that only N items pass the backbone; called with ``{"waveform":
    (N, samples)}`` it mixes nothing. Its output is the clipwise probabilities (N, K). Call it with
    ``training=True`` for dropout, SpecAugment and batch statistics. Raises TypeError if ``model``
    is not from `create_model`.
    """
    check_network(model)
    return TrainingModel(model)


@contextlib.contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    """Layers made within have this Keras dtype policy; the former policy is restored after it."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def copy_network(network: Network, policy: str) -> Network:
    with dtype_policy(policy):
        copy = Network.from_config(network.get_config())
    copy.set_weights(network.get_weights())
    return copy
