"""PANNs, large-scale pretrained audio neural networks, for TensorFlow and Keras 3.

Names are loaded when first used, so that the commands' ``--help`` does not wait for TensorFlow.
"""

import sys
from importlib import import_module

import wrapt

__version__ = "0.2.0"

_MODULES = {
    "AudioTagger": "inference.tagger",
    "EventSettings": "inference.events",
    "LogMel": "layers.log_mel",
    "Mixup": "layers.mixup",
    "SoundEventDetector": "inference.detector",
    "SpecAugment": "layers.spec_augment",
    "StreamingDetector": "inference.streaming",
    "StreamingTagger": "inference.streaming",
    "create_model": "weights.loading",
    "list_models": "models.registry",
    "load_torch_state": "weights.state_dict",
    "read_torch_state": "weights.torch_file",
    "to_torch_state": "weights.state_dict",
    "training_model": "models.network",
}

#: Modules that are public as such.
_PUBLIC = ("complexity", "layers", "metrics", "models", "weights")

__all__ = sorted((*_MODULES, *_PUBLIC))


def __getattr__(name: str):
    if name in _PUBLIC:
        return import_module(f"panns_tf.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module 'panns_tf' has no attribute {name!r}")
    return getattr(import_module(f"panns_tf.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


@wrapt.when_imported("keras")
def _register_classes(_) -> None:
    """Registers what `keras.models.load_model` meets in files of this package."""
    # Where one of the package's own modules is the first to import Keras, it is half imported.
    if {name for name in sys.modules if name.startswith("panns_tf.models.")} <= {
        "panns_tf.models.registry"
    }:
        import_module("panns_tf.models.network")
