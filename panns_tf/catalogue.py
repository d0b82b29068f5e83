"""The command `models`: the table of all networks as text, Markdown or JSON."""

import argparse
import json
import textwrap

from panns_tf.models.registry import ARCHITECTURES, find, list_models
from panns_tf.weights.zoo import PUBLISHED
from tfrecords.text import markdown_table, text_table

NOTE = (
    "Operations and multiply-adds are of one 10 s clip: operations as the paper counts them (a "
    "multiplication and an addition are two), multiply-adds of convolutions and fully connected "
    "layers. mAP is the paper's on AudioSet, or where it has none the published file's."
)


def add_models_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print the table of networks: their size, work, inputs and checkpoints."
    parser.add_argument("pattern", nargs="?", default="*", help="such as 'wavegram*'; default: all")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--markdown", action="store_true")


def run_models(args: argparse.Namespace) -> None:
    table = entries(args.pattern)
    if args.json:
        print(json.dumps(table, indent=2))
    elif args.markdown:
        print(markdown_table(rows(table)), NOTE, sep="\n\n")
    else:
        print(text_table(rows(table)), textwrap.fill(NOTE, 100), sep="\n\n")


def entries(pattern: str = "*") -> list[dict]:
    """Returns the `entry` of every network whose name matches a shell pattern, at least one."""
    names = list_models(pattern)
    if not names:
        raise ValueError(f"no network matches {pattern!r}; there are {', '.join(ARCHITECTURES)}")
    return [entry(name) for name in names]


def entry(name: str) -> dict:
    """Returns the entry of a network for JSON, in whose shapes None is the batch or a length."""
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


def rows(table: list[dict]) -> list[tuple[str, ...]]:
    """The rows of the printed table; the first one is its heading."""
    sizes = ("parameters", "multiply-adds", "operations")
    heading = ("network", *sizes, "rate", "front end", "outputs", "mAP", "checkpoint")
    return [heading, *map(_cells, table)]


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
