"""What several test modules share: the reference fixtures, and networks small enough to train."""

import dataclasses
import functools
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from panns_tf.models.registry import ARCHITECTURES, FRONTEND_8K, Architecture
from tests.fixtures import recipe

FIXTURES = Path(__file__).parent / "fixtures"


@functools.cache
def read_json(name: str) -> dict:
    return json.loads((FIXTURES / f"{name}.json").read_text())


@functools.cache
def read_npz(name: str) -> dict[str, np.ndarray]:
    with np.load(FIXTURES / f"{name}.npz") as file:
        return dict(file)


@functools.lru_cache(maxsize=1)  # hundreds of megabytes each
def reference_state(name: str, seed: int) -> dict[str, np.ndarray]:
    return recipe.reference_state(name, read_json("manifest"), seed)


def case_waveform(case: dict) -> np.ndarray:
    keys = ("batch", "samples", "sample_rate", "waveform_seed")
    return recipe.reference_waveform(*(case[key] for key in keys))


def _thin(arch: Architecture) -> Architecture:
    """The same graph with few channels and at most two residual blocks in a stage."""
    return dataclasses.replace(
        arch,
        name=f"Thin_{arch.name}",
        parameters=0,
        operations=0,
        multiply_adds=0,
        published_map=None,
        widths=tuple(max(4, width // 32) for width in arch.widths),
        depths=tuple(min(2, depth) for depth in arch.depths),
        embedding_size=8,
    )


def _distinct(rows: Iterable[Architecture], *but: str) -> tuple[Architecture, ...]:
    """The first of all rows that differ in nothing but names, figures and the fields ``but``."""
    first = {}
    for arch in rows:
        key = {**dataclasses.asdict(arch), "name": "", **dict.fromkeys(("receptive_field", *but))}
        first.setdefault(str(key), arch)
    return tuple(first.values())


#: The paper's networks with few channels, for tests that train, save or run a command.
THIN = _distinct(map(_thin, ARCHITECTURES.values()))

#: Those of them that are different graphs at inference.
GRAPHS = _distinct(
    THIN,
    *("frontend", "mixup", "spec_augment"),
    *(f"{place}_dropout" for place in ("stem", "block", "head", "embedding")),
)

TINY = (
    Architecture("Small", frontend=FRONTEND_8K, widths=(4, 4), embedding_size=8),
    Architecture("Tiny", frontend=FRONTEND_8K, widths=(4, 4, 4, 8, 8, 8), embedding_size=8),
    Architecture(
        "Wavegram_Tiny",
        inputs=("log_mel", "wavegram"),
        widths=(4, 4, 4, 8, 8, 8),
        embedding_size=8,
    ),
)


def register_tiny() -> None:
    """Adds the small networks to the table, of this process only."""
    ARCHITECTURES.update({arch.name: dataclasses.replace(arch) for arch in (*TINY, *THIN)})
