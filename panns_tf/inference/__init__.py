"""Using trained networks: labels, events and embeddings of recordings, streams, exports.

Names are loaded when first used, so that the commands' ``--help`` does not wait for TensorFlow.
"""

from importlib import import_module

_MODULES = {
    "AudioError": "tfrecords.audio",
    "AudioTagger": ".tagging",
    "EventSettings": ".events",
    "SoundEventDetector": ".detection",
    "StreamingDetector": ".streaming",
    "StreamingTagger": ".streaming",
    "load_network": ".loading",
    "read_audio": "tfrecords.audio",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module 'panns_tf.inference' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name], "panns_tf.inference"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
