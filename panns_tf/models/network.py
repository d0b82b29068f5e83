"""Rows of the registry become Keras models, for inference and for training."""

from collections.abc import Sequence

import keras

from panns_tf.models.blocks import LayerBook
from panns_tf.models.graph import graph
from panns_tf.models.registry import find
from panns_tf.models.valueless import without_values


def checked_classes(num_classes: int) -> int:
    """Returns a number of classes; raises ValueError if it is none."""
    if int(num_classes) != num_classes or num_classes < 1:
        raise ValueError(f"num_classes must be a whole number above 0; received {num_classes}")
    return int(num_classes)


def check_waveform(name: str, waveform) -> None:
    """Raises ValueError unless this can be a batch of clips."""
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
    """A functional model that knows which row of the registry it is.

    Its saved form states the row and the overrides, and is rebuilt from them by `create_model`.

    Args:
        architecture: name of the row.
        num_classes: K.
        zeros: whether kernels start as zeros, to be loaded, and not at random.
        **overrides: as for `create_model`.

    Attributes:
        row: its `Architecture`, overrides applied.
        num_classes: K.
        labels: names of the classes in order, or None if unknown. Saved with the model.
        output_shapes: by name; None stands for the batch or a length.
    """

    def __init__(
        self, architecture: str, num_classes: int = 527, *, zeros: bool = False, **overrides
    ):
        row = find(architecture).override(**overrides)
        num_classes = checked_classes(num_classes)
        waveform = keras.Input((None,), name="waveform", dtype="float32")
        outputs = graph(row, LayerBook(zeros=zeros), waveform, None, num_classes)
        outputs.pop("logits", None)
        super().__init__(inputs=waveform, outputs=outputs, name=row.name)
        self.row = row
        self.num_classes = num_classes
        self.overrides = overrides
        self.output_shapes = {name: tuple(output.shape) for name, output in outputs.items()}
        self.labels: Sequence[str] | None = None

    def call(self, inputs, training=None, mask=None):
        waveform = inputs["waveform"] if isinstance(inputs, dict) else inputs
        check_waveform(self.name, waveform)
        return super().call(inputs, training=training, mask=mask)

    def get_config(self):
        return {
            "architecture": self.row.name,
            "num_classes": self.num_classes,
            "overrides": self.overrides,
            "labels": list(self.labels) if self.labels else None,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        network = cls(config["architecture"], config["num_classes"], **config["overrides"])
        network.labels = config["labels"]
        return network


def blueprint(name: str, num_classes: int = 527, **overrides) -> Network:
    """Returns a network whose variables have shapes and no values.

    It cannot be run, but says in a tenth of a second and without memory what the network holds.
    Arguments as for `create_model`.
    """
    with without_values():
        return Network(name, num_classes, **overrides)


class TrainingModel(keras.Model):
    """See `training_model`."""

    def __init__(self, network: Network):
        super().__init__(name=f"{network.name}.training")
        self.network = network
        waveform = keras.Input((None,), name="waveform", dtype="float32")
        mixup_lambda = keras.Input((), name="mixup_lambda", dtype="float32")
        layer = LayerBook(network.layers)
        with_mixup = {"waveform": waveform, "mixup_lambda": mixup_lambda}
        self._graphs = [
            keras.Model(inputs, graph(network.row, layer, waveform, weight, network.num_classes))
            for inputs, weight in (({"waveform": waveform}, None), (with_mixup, mixup_lambda))
        ]

    def outputs_of(self, inputs: dict, training: bool = True) -> dict:
        """Returns all outputs by name, ``logits`` among them where the head has such."""
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
    """Returns the training form of a network, which shares every layer with it.

    Called with ``{"waveform": (2N, samples), "mixup_lambda": (2N,)}`` it mixes items 2i and
    2i + 1 where the architecture says, so that only N items pass the backbone; called with
    ``{"waveform": (N, samples)}`` it mixes nothing.

    Args:
        model: a network from `create_model`.

    Returns:
        A model whose output is the clipwise probabilities (N, K). Call it with
        ``training=True`` for dropout, SpecAugment and batch statistics.

    Raises:
        TypeError: if ``model`` is not from `create_model`.
    """
    if not isinstance(model, Network):
        raise TypeError(
            f"training_model expects a network from panns_tf.create_model; received {type(model)}"
        )
    return TrainingModel(model)
