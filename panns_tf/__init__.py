"""PANNs, large-scale pretrained audio neural networks, for TensorFlow and Keras 3.

Names are loaded when first used, so that the commands' ``--help`` does not wait for TensorFlow.
"""

from importlib import import_module

__version__ = "0.1.0"

_MODULES = {
    "AudioTagger": "inference.tagger",
    "EventSettings": "inference.events",
    "LogMel": "layers",
    "Mixup": "layers",
    "SoundEventDetector": "inference.detector",
    "SpecAugment": "layers",
    "StreamingDetector": "inference.streaming",
    "StreamingTagger": "inference.streaming",
    "create_model": "weights.loading",
    "list_models": "models",
    "load_torch_state": "weights.state_dict",
    "read_torch_state": "weights.torch_file",
    "to_torch_state": "weights.state_dict",
    "training_model": "models",
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
