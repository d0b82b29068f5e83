"""Rows of the registry become Keras models, for inference and for training."""

from collections.abc import Sequence
from pathlib import Path

import keras

from panns_tf.models.blocks import LayerBook
from panns_tf.models.cnn import cnn
from panns_tf.models.registry import find

#: The builders that rows name. A builder maps (row, layers, waveform, mixup_lambda, num_classes)
#: to a dict of symbolic outputs.
BUILDERS = {"cnn": cnn}


@keras.saving.register_keras_serializable(package="panns_tf")
class Network(keras.Model):
    """A functional model that knows which row of the registry it is.

    Its saved form states the row and the overrides, and is rebuilt from them by `create_model`.

    Attributes:
        row: its `Architecture`, overrides applied.
        num_classes: K.
        labels: names of the classes in order, or None if unknown. Saved with the model.
    """

    def __init__(self, architecture: str, num_classes: int = 527, **overrides):
        row = find(architecture).override(**overrides)
        if int(num_classes) != num_classes or num_classes < 1:
            raise ValueError(f"num_classes must be a whole number above 0; received {num_classes}")
        waveform = keras.Input((None,), name="waveform", dtype="float32")
        build = BUILDERS[row.builder]
        outputs = build(row, LayerBook(), waveform, None, int(num_classes))
        outputs.pop("logits", None)
        super().__init__(inputs=waveform, outputs=outputs, name=row.name)
        self.row = row
        self.num_classes = int(num_classes)
        self.overrides = overrides
        self.labels: Sequence[str] | None = None

    def call(self, inputs, training=None, mask=None):
        waveform = inputs["waveform"] if isinstance(inputs, dict) else inputs
        dtype = keras.backend.standardize_dtype(waveform.dtype)
        if not keras.backend.is_float_dtype(dtype):
            raise ValueError(
                f"{self.name} expects floating point waveforms in [-1, 1]; received {dtype}. "
                "Divide int16 audio by 32767."
            )
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


def create_model(
    name: str, num_classes: int = 527, weights: str | Path | None = None, **overrides
) -> keras.Model:
    """Creates a network of the paper, ready for inference.

    Args:
        name: of the network; see `list_models`. Case is ignored and short forms are understood.
        num_classes: K; 527 is AudioSet.
        weights: None for random ones, or the path of a ``.keras`` or ``.weights.h5`` file that
            was saved from the same network.
        **overrides: ``sample_rate, window_size, hop_size, mel_bins, fmin, fmax, window,
            embedding_size``; and ``dropout=False``, ``spec_augment=False`` to switch these off.

    Returns:
        A functional model. Input ``waveform``: (batch, samples) float32 in [-1, 1], both axes of
        any size; clips shorter than the network's minimum are extended by zeros. Output: a dict
        of ``clipwise_output`` (batch, K) in [0, 1] and ``embedding`` (batch, width).

    Raises:
        ValueError: unknown network or override, impossible setting, weights of another network.

    Example:

    >>> model = create_model("wavegram_logmel", num_classes=10)
    >>> model(np.zeros((1, 32000), "float32"))["clipwise_output"].shape
    TensorShape([1, 10])
    """
    network = Network(name, num_classes, **overrides)
    if weights is not None:
        _load_weights(network, Path(weights))
    return network


def _load_weights(network: Network, path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"weights: no such file: {path}; expected None, a .keras or a .weights.h5")
    if path.name.endswith(".weights.h5"):
        network.load_weights(path)
    elif path.suffix == ".keras":
        saved = keras.saving.load_model(path, compile=False)
        shapes, expected = ([tuple(w.shape) for w in m.weights] for m in (saved, network))
        if not isinstance(saved, Network) or saved.name != network.name or shapes != expected:
            raise ValueError(
                f"weights: {path} holds {saved.name} with {saved.output_shape}; expected "
                f"{network.name} with {network.output_shape} and the same settings"
            )
        if saved.row.frontend != network.row.frontend:
            raise ValueError(
                f"weights: {path} was trained on {saved.row.frontend}; "
                f"expected {network.row.frontend}"
            )
        network.set_weights(saved.get_weights())
        network.labels = saved.labels
    else:
        raise ValueError(f"weights: expected a .keras or a .weights.h5 file; received {path}")


class TrainingModel(keras.Model):
    """See `training_model`."""

    def __init__(self, network: Network):
        super().__init__(name=f"{network.name}.training")
        self.network = network
        build = BUILDERS[network.row.builder]
        waveform = keras.Input((None,), name="waveform", dtype="float32")
        mixup_lambda = keras.Input((), name="mixup_lambda", dtype="float32")
        layer = LayerBook(network.layers)
        with_mixup = {"waveform": waveform, "mixup_lambda": mixup_lambda}
        self._graphs = [
            keras.Model(inputs, build(network.row, layer, waveform, weight, network.num_classes))
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
