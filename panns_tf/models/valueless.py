"""Variables that have shapes and no values."""

import contextlib
from collections.abc import Iterator

import keras
from keras.src.backend.common import global_state  # has no public name

#: Where Keras notes variables whose values are to come.
_WAITING = "uninitialized_variables"


@contextlib.contextmanager
def without_values() -> Iterator[None]:
    """Makes variables without values: not now, and not later.

    Keras' own scope only puts them off: the next layer of the process whose shape is inferred
    would have them all filled, gigabytes for the networks of the table.
    """
    before = len(global_state.get_global_attribute(_WAITING, []))
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        del global_state.get_global_attribute(_WAITING, [])[before:]
