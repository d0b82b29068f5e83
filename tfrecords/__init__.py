"""TFRecord shards of audio clips: written, indexed, sampled with class balance, and read.

Names are loaded when first used: ``import tfrecords`` and ``--help`` do not wait for TensorFlow.
"""

from importlib import import_module

_MODULES = {
    "Damage": "records",
    "DatasetInfo": "index",
    "Index": "index",
    "PackReport": "pack",
    "PackSettings": "plan",
    "TFRecordsError": "files",
    "dataset": "reader",
    "load_index": "index",
    "make_view": "views",
    "pack_audioset": "pack",
    "pack_clips": "pack",
    "read_exclude_list": "audioset",
    "synthesize_clips": "synthetic",
    "verify_directory": "verify",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module 'tfrecords' has no attribute {name!r}")
    return getattr(import_module(f"tfrecords.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
