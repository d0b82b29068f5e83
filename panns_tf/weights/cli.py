"""The command `convert`: weights in another file format."""

import argparse
import math
from pathlib import Path

from tfrecords.files import atomic_path, check_output_file

#: Endings of files that a network can be written to.
OUTPUTS = (".keras", ".weights.h5", ".pth", ".pt", ".safetensors")

_DESCRIPTION = """\
Convert a checkpoint of the PyTorch reference to Keras, or a network of this project to a
checkpoint that the reference loads. PyTorch is not needed, and no code in a checkpoint is run.

SOURCE is the name of a network, whose published checkpoint is then downloaded (about 300 MB for
most; kept in ~/.cache/panns_tf or $PANNS_TF_CACHE), or a file: .pth, .safetensors or .keras.
"""
_EXAMPLES = """\
examples:
  panns-tf convert Cnn14
  panns-tf convert Cnn14_mAP=0.431.pth --output cnn14.keras
  panns-tf convert runs/mine/final.keras --output mine.pth
"""


def add_convert_flags(parser: argparse.ArgumentParser) -> None:
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help=".keras, .weights.h5, .pth or .safetensors; default: SOURCE with .keras",
    )
    parser.add_argument(
        "--arch",
        metavar="NETWORK",
        help="which network a .pth or .safetensors file holds; default: as the file says, in "
        "itself or by its name",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing FILE")


def run_convert(options: argparse.Namespace) -> None:
    print(convert(options.source, options.output, options.arch, options.force))


def convert(
    source: str | Path,
    output: str | Path | None = None,
    arch: str | None = None,
    force: bool = False,
) -> str:
    """Converts a file or a published checkpoint; returns a line that says what was written."""
    path = Path(source)
    is_file = path.suffix in OUTPUTS
    if path.is_dir() or (not is_file and (path.suffix or path.exists())):
        raise ValueError(
            f"expected a network's name, a .pth, a .safetensors or a .keras file; received {source}"
        )
    output = Path(output or f"{path.stem if is_file else path}.keras")
    if not output.name.endswith(OUTPUTS) or output.name in OUTPUTS:
        raise ValueError(f"--output must end in {', '.join(OUTPUTS)}; received {output}")
    check_output_file(output, force=force)
    if not is_file and arch is not None:
        raise ValueError(f"--arch is for files of state dicts; {source} is a network already")

    from tfrecords.commands import import_tensorflow_quietly

    import_tensorflow_quietly()
    from panns_tf.weights.loading import create_model, read_network_file, write_network

    network = read_network_file(path, arch) if is_file else create_model(source, weights="audioset")
    with atomic_path(output) as temporary:
        write_network(network, temporary)
    parameters = sum(math.prod(v.shape) for v in network.trainable_variables)
    overrides = f", {network.overrides}" if network.overrides else ""
    return (
        f"{output}: {network.arch.name}, {network.num_classes} classes, {parameters:,} "
        f"parameters{overrides}"
    )
