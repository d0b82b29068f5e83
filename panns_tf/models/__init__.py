"""The networks: a table, a few builders, and the models they make."""

from importlib import import_module

_MODULES = {
    "ARCHITECTURES": "models.registry",
    "Architecture": "models.registry",
    "Network": "models.network",
    "blueprint": "models.network",
    "create_model": "weights.loading",
    "find": "models.registry",
    "list_models": "models.registry",
    "training_model": "models.network",
}

__all__ = sorted(_MODULES)


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"panns_tf.{_MODULES[name]}"), name)
