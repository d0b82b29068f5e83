"""The table of all networks, for people and for programs."""

import json
import textwrap

from panns_tf.complexity import complexity
from panns_tf.models.network import blueprint
from panns_tf.models.registry import ARCHITECTURES, list_models
from panns_tf.weights.zoo import PUBLISHED

#: Length of the clip whose operations are counted, as in the paper's Table XII.
SECONDS = 10.0

NOTE = (
    f"Operations and multiply-adds are of one {SECONDS:.0f} s clip: operations as the paper counts "
    "them (a multiplication and an addition are two), multiply-adds of convolutions and fully "
    "connected layers. mAP is the paper's on AudioSet, or where it has none the published file's."
)


def entry(name: str) -> dict:
    """Returns what there is to know of a network, as JSON takes it.

    Args:
        name: of the network; see `panns_tf.list_models`.

    Returns:
        ``name``, ``parameters``, ``operations`` and ``multiply_adds`` (of a 10 s clip),
        ``sample_rate`` in Hz, ``front_end`` (what the body sees, and the log-mel's settings where
        there is one), ``outputs`` (shapes by name; None stands for the batch or a length),
        ``published_mAP`` and ``checkpoint`` (file, address, md5, bytes; None if unpublished).
    """
    network = blueprint(name)
    row, name = network.row, network.row.name
    counted = complexity(name, SECONDS)
    front_end = {"inputs": list(row.inputs)}
    if "log_mel" in row.inputs:
        keys = ("window_size", "hop_size", "mel_bins", "fmin", "fmax", "window")
        front_end |= {key: getattr(row.frontend, key) for key in keys}
    file = PUBLISHED.get(name)
    return {
        "name": name,
        "parameters": counted.parameters,
        "operations": counted.operations,
        "multiply_adds": counted.multiply_adds,
        "sample_rate": row.frontend.sample_rate,
        "front_end": front_end,
        "outputs": {key: list(shape) for key, shape in network.output_shapes.items()},
        "published_mAP": row.published_map,
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


def as_json(found: list[dict]) -> str:
    """Returns the table as a JSON list."""
    return json.dumps(found, indent=2)


HEADINGS = (
    "network",
    "parameters",
    "multiply-adds",
    "operations",
    "rate",
    "front end",
    "outputs",
    "mAP",
    "checkpoint",
)


def _cells(found: dict) -> tuple[str, ...]:
    front_end = found["front_end"]
    inputs = " + ".join(front_end["inputs"])
    if "mel_bins" in front_end:
        hop = 1000 * front_end["hop_size"] / found["sample_rate"]
        inputs = inputs.replace("log_mel", f"log-mel {front_end['mel_bins']} x {hop:g} ms")
    kinds = [key.removesuffix("_output") for key in found["outputs"] if key != "embedding"]
    outputs = f"{', '.join(kinds)}, embedding {found['outputs']['embedding'][-1]}"
    published = found["published_mAP"]
    return (
        found["name"],
        f"{found['parameters']:,}",
        f"{found['multiply_adds'] / 1e9:.3f}e9",
        f"{found['operations'] / 1e9:.3f}e9",
        f"{found['sample_rate'] / 1000:g} kHz",
        inputs,
        outputs,
        f"{published:.3f}" if published else "-",
        found["checkpoint"]["file"] if found["checkpoint"] else "-",
    )


def as_text(found: list[dict]) -> str:
    """Returns the table in aligned columns, and what its figures mean."""
    rows = [HEADINGS, *map(_cells, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    numbers = {1, 2, 3, 7}
    lines = [
        "  ".join(
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, "", *textwrap.wrap(NOTE, 100)])


def as_markdown(found: list[dict]) -> str:
    """Returns the table in Markdown, and what its figures mean."""
    rule = ["---:" if i in {1, 2, 3, 7} else "---" for i in range(len(HEADINGS))]
    rows = [HEADINGS, rule, *map(_cells, found)]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", NOTE])
