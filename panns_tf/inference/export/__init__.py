"""Networks as files that other programs run.

Names are loaded when first used, so that the command's ``--help`` does not wait for TensorFlow.
"""

from importlib import import_module

_MODULES = {
    "DESCRIPTION": "saved_model",
    "PRECISIONS": "precision",
    "check_export": "check",
    "describe": "saved_model",
    "export_litert": "litert_file",
    "export_onnx": "onnx_file",
    "export_saved_model": "saved_model",
    "open_exported": "runtimes",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
