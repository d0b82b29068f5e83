"""One file of weights made from another."""

import math
from pathlib import Path

from panns_tf.models import Network, create_model, find
from panns_tf.weights.identify import classes_of, describe, description, networks_of, shapes_of
from panns_tf.weights.loading import TORCH, load_weights, read_network
from panns_tf.weights.state_dict import to_torch_state
from panns_tf.weights.torch_checkpoint import read_torch_state
from panns_tf.weights.torch_writer import write_torch_state
from panns_tf.weights.zoo import published_file
from tfrecords.classes import audioset_classes


def convert(
    source: str | Path, output: str | Path | None = None, arch: str | None = None, force=False
) -> str:
    """Converts published checkpoints and PyTorch files to Keras, or a network to PyTorch.

    Args:
        source: the name of a network with a published checkpoint, or the path of a ``.pth`` or
            ``.keras`` file.
        output: ``.keras`` or ``.weights.h5``, or ``.pth`` for a network from a ``.keras`` file.
            None for a ``.keras`` of the source's name in the working directory.
        arch: the network that a ``.pth`` file holds; None to work it out.
        force: whether ``output`` may exist.

    Returns:
        A line that says what was written.

    Raises:
        ValueError: if the source is not understood, or the output exists.
        OSError: if a checkpoint cannot be downloaded or a file not written.
    """
    path = Path(source)
    known_file = path.suffix in (*TORCH, ".keras")
    if path.is_dir():
        raise ValueError(f"expected a network's name, a .pth or a .keras file; {path} is a folder")
    if not known_file and (path.suffix or path.exists()):
        raise ValueError(f"expected a network's name, a .pth or a .keras file; received {source}")
    name = path.name.removesuffix(path.suffix) if known_file else find(str(source)).name
    output = Path(f"{name}.keras" if output is None else output)
    if not output.name.endswith((".keras", ".weights.h5", *TORCH)) or output.name[0] == ".":
        raise ValueError(f"--output must be a .keras, .weights.h5 or .pth file; received {output}")
    if output.is_dir():
        raise ValueError(f"{output} is a folder; name a file")
    if output.exists() and not force:
        raise ValueError(f"{output} exists; remove it, or add --force to replace it")
    if output.suffix in TORCH and path.suffix in TORCH:
        raise ValueError("a .pth is made from a .keras file or a published network")
    if not output.parent.is_dir():
        raise ValueError(f"the folder {output.parent} does not exist; create it first")
    network = network_from_file(path, arch) if known_file else _published(name, arch)
    _save(network, output)
    parameters = sum(math.prod(v.shape) for v in network.trainable_variables)
    return (
        f"{output}: {network.row.name}, {network.num_classes} classes, {parameters:,} parameters"
        + (f", {network.overrides}" if network.overrides else "")
    )


def _published(name: str, arch: str | None) -> Network:
    if arch is not None:
        raise ValueError(f"--arch is for .pth files; {name} is a network already")
    published_file(name)
    return create_model(name, weights="audioset")


def network_from_file(path: Path, arch: str | None = None) -> Network:
    """Returns the network of a file, with its labels if they are known.

    Args:
        path: a ``.pth`` or ``.keras`` file.
        arch: the network that a ``.pth`` file holds; None to work it out.

    Raises:
        ValueError: if the file cannot be read, or does not tell which network it holds.
    """
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    if path.suffix == ".keras":
        if arch is not None:
            raise ValueError(f"--arch is for .pth files; {path} says which network it holds")
        return read_network(path)
    state = read_torch_state(path)
    described = description(state)
    if described is not None and arch is None:
        network = create_model(**described)
    else:
        num_classes = classes_of(shapes_of(state)) or 527
        network = create_model(arch or _network_of(path, state), num_classes=num_classes)
    load_weights(network, path)
    if described is None and network.num_classes == 527:
        network.labels = list(audioset_classes().names)  # the reference's own training
    return network


def _network_of(path: Path, state) -> str:
    """Several networks have the same entries; a published file's name says which one it is."""
    owners = networks_of(state)
    if not owners:
        raise ValueError(
            f"{path} is of no network of the table; name the nearest with --arch to see the "
            "differences"
        )
    said = path.name.split("_mAP")[0].removesuffix(path.suffix).lower()
    named = [name for name in owners if name.lower() == said]
    if not named and len({(find(name).body, find(name).head) for name in owners}) > 1:
        raise ValueError(
            f"{path} has the entries of {', '.join(owners)}, which differ in more than their "
            "training; say with --arch which one it is"
        )
    return (named or owners)[0]


def _save(network: Network, output: Path) -> None:
    # Keras goes by the ending, which a partial file must keep.
    partial = output.with_name(f"partial-{output.name}")
    try:
        if output.suffix in TORCH:
            write_torch_state(partial, {**describe(network), "model": to_torch_state(network)})
        elif output.suffix == ".keras":
            network.save(partial)
        else:
            network.save_weights(partial)
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
