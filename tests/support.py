"""What several test modules share: the reference fixtures, and networks small enough to train."""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np

from panns_tf.config import Frontend
from panns_tf.models import ARCHITECTURES, Architecture
from tests.fixtures import recipe

FIXTURES = Path(__file__).parent / "fixtures"


@functools.cache
def read_json(name: str) -> dict:
    return json.loads((FIXTURES / f"{name}.json").read_text())


@functools.cache
def read_npz(name: str) -> dict[str, np.ndarray]:
    with np.load(FIXTURES / f"{name}.npz") as file:
        return dict(file)


@functools.cache
def reference_state(name: str, seed: int) -> dict[str, np.ndarray]:
    return recipe.reference_state(name, read_json("manifest"), seed)


def case_waveform(case: dict) -> np.ndarray:
    keys = ("batch", "samples", "sample_rate", "waveform_seed")
    return recipe.reference_waveform(*(case[key] for key in keys))


#: The real graphs with few channels, for tests that train, save or run a command.
FRONTEND_8K = Frontend(8000, 256, 80, 64, 50.0, 4000.0)
TINY = (
    Architecture("Tiny", 0, frontend=FRONTEND_8K, widths=(4, 4, 4, 8, 8, 8), embedding_size=8),
    Architecture(
        "Wavegram_Tiny",
        0,
        inputs=("log_mel", "wavegram"),
        widths=(4, 4, 4, 8, 8, 8),
        embedding_size=8,
    ),
)


def register_tiny() -> None:
    """Adds the tiny networks to the table, of this process only."""
    ARCHITECTURES.update({row.name: dataclasses.replace(row) for row in TINY})
