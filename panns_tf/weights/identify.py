"""Which network a state dict is of, worked out from its names and shapes."""

import json
from collections.abc import Mapping

from panns_tf.models import ARCHITECTURES, Network, blueprint
from panns_tf.weights.state_dict import COUNTER, entry_shapes

#: The classifiers' weights; their first axis is the classes.
CLASSIFIERS = ("fc_audioset.weight", "att_block.cla.weight")


def shapes_of(state: Mapping) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a state dict's entries without its batch counters."""
    # A lazy mapping knows them without reading anything.
    shape = getattr(state, "shape", lambda name: state[name].shape)
    return {name: tuple(shape(name)) for name in state if not name.endswith(COUNTER)}


def classes_of(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """Returns the number of classes of a state dict, None if it has no classifier."""
    found = [shapes[name][0] for name in CLASSIFIERS if shapes.get(name)]
    return found[0] if found else None


def networks_of(state: Mapping) -> list[str]:
    """Returns the networks of the table whose entries these are; several may share theirs.

    Args:
        state: from reference names to arrays, or a `TorchState`.
    """
    shapes = shapes_of(state)
    num_classes = classes_of(shapes)
    if not num_classes:
        return []
    found = []
    for name in ARCHITECTURES:
        required, optional = entry_shapes(blueprint(name, num_classes))
        known = {**required, **optional}
        if required.keys() <= shapes.keys() <= known.keys() and all(
            known[entry] == shape for entry, shape in shapes.items()
        ):
            found.append(name)
    return found


#: The scalar beside the model of a ``.pth`` written here; the reference passes over it.
DESCRIPTION = "panns_tf"


def describe(network: Network) -> dict[str, str]:
    """Returns what a checkpoint must say beside its entries, several networks having the same."""
    said = {
        "name": network.row.name,
        "num_classes": network.num_classes,
        **network.overrides,
    }
    return {DESCRIPTION: json.dumps(said)}


def description(state: Mapping) -> dict | None:
    """Returns the arguments of `create_model` that a checkpoint written here states, or None."""
    said = getattr(state, "extra", {}).get(DESCRIPTION)
    try:
        said = json.loads(said) if isinstance(said, str) else None
    except ValueError:
        return None
    return said if isinstance(said, dict) and "name" in said else None
