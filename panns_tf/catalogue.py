"""`panns-tf models`: the table of all networks, for people and for programs."""

import argparse
import json
import textwrap

from panns_tf.models.registry import ARCHITECTURES, find, list_models
from panns_tf.weights.zoo import PUBLISHED

NOTE = (
    "Operations and multiply-adds are of one 10 s clip: operations as the paper counts them (a "
    "multiplication and an addition are two), multiply-adds of convolutions and fully connected "
    "layers. mAP is the paper's on AudioSet, or where it has none the published file's."
)

HEADINGS = (
    *("network", "parameters", "multiply-adds", "operations", "rate", "front end", "outputs"),
    *("mAP", "checkpoint"),
)
#: Columns of numbers.
NUMBERS = (1, 2, 3, 7)


def add_models_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``panns-tf models``."""
    parser.description = "Print the table of networks: their size, work, inputs and checkpoints."
    parser.add_argument("pattern", nargs="?", default="*", help="such as 'wavegram*'; default: all")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json")
    form.add_argument("--markdown", dest="form", action="store_const", const="markdown")


def run_models(args: argparse.Namespace) -> None:
    """Prints the table."""
    write = {"json": as_json, "markdown": as_markdown}
    print(write.get(args.form, as_text)(entries(args.pattern)))


def entry(name: str) -> dict:
    """Returns the entry of a network, as JSON takes it.

    Args:
        name: of the network; see `panns_tf.list_models`.

    Returns:
        ``name``, ``parameters``, ``operations`` and ``multiply_adds`` (of a 10 s clip),
        ``sample_rate`` in Hz, ``front_end`` (what the backbone sees, and the log-mel's settings
        where there is one), ``outputs`` (shapes by name; None stands for the batch or a length),
        ``published_mAP`` and ``checkpoint`` (file, address, md5, bytes; None if unpublished).
    """
    arch = find(name)
    front_end = {"inputs": list(arch.inputs)}
    if "log_mel" in arch.inputs:
        keys = ("window_size", "hop_size", "mel_bins", "fmin", "fmax", "window")
        front_end |= {key: getattr(arch.frontend, key) for key in keys}
    outputs = {"clipwise_output": [None, 527]}
    if arch.is_decision_level:
        outputs |= {f"{kind}_output": [None, None, 527] for kind in ("segmentwise", "framewise")}
    file = PUBLISHED.get(arch.name)
    return {
        "name": arch.name,
        "parameters": arch.parameters,
        "operations": arch.operations,
        "multiply_adds": arch.multiply_adds,
        "sample_rate": arch.frontend.sample_rate,
        "front_end": front_end,
        "outputs": {**outputs, "embedding": [None, arch.embedding_size]},
        "published_mAP": arch.published_map,
        "checkpoint": file
        and {"file": file.file, "url": file.url, "md5": file.md5, "bytes": file.size},
    }


def entries(pattern: str = "*") -> list[dict]:
    """Returns the `entry` of every network whose name matches a shell pattern.

    Raises:
        ValueError: if none does.
    """
    names = list_models(pattern)
    if not names:
        raise ValueError(f"no network matches {pattern!r}; there are {', '.join(ARCHITECTURES)}")
    return [entry(name) for name in names]


def as_json(table: list[dict]) -> str:
    """Returns the table as a JSON list."""
    return json.dumps(table, indent=2)


def as_text(table: list[dict]) -> str:
    """Returns the table in aligned columns, and what its numbers mean."""
    rows = [HEADINGS, *map(_cells, table)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if i in NUMBERS else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *textwrap.wrap(NOTE, 100)])


def as_markdown(table: list[dict]) -> str:
    """Returns the table in Markdown, and what its numbers mean."""
    rule = ["---:" if i in NUMBERS else "---" for i in range(len(HEADINGS))]
    rows = [HEADINGS, rule, *map(_cells, table)]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", NOTE])


def _cells(network: dict) -> tuple[str, ...]:
    front_end = network["front_end"]
    inputs = " + ".join(front_end["inputs"])
    if "mel_bins" in front_end:
        hop = 1000 * front_end["hop_size"] / network["sample_rate"]
        inputs = inputs.replace("log_mel", f"log-mel {front_end['mel_bins']} x {hop:g} ms")
    kinds = [key.removesuffix("_output") for key in network["outputs"] if key != "embedding"]
    published, checkpoint = network["published_mAP"], network["checkpoint"]
    return (
        network["name"],
        f"{network['parameters']:,}",
        f"{network['multiply_adds'] / 1e9:.3f}e9",
        f"{network['operations'] / 1e9:.3f}e9",
        f"{network['sample_rate'] / 1000:g} kHz",
        inputs,
        f"{', '.join(kinds)}, embedding {network['outputs']['embedding'][-1]}",
        f"{published:.3f}" if published else "-",
        checkpoint["file"] if checkpoint else "-",
    )
