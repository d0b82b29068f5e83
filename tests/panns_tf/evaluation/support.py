"""Synthetic scores for tests of evaluation."""

import numpy as np

from panns_tf.evaluation.scores import Scores
from panns_tf.metrics.class_groups import ClassMetadata

#: Names that would break a page or a CSV that does not escape them.
LABELS = [
    "Dog, barking",
    'A "quoted" $1 one$',
    "</script><script>alert(1)</script>",
    "<b>&amp;",
    "e",
]


def synthetic_scores(
    clips: int = 60, labels=LABELS, seed: int = 0, noise: float = 0.25, **meta
) -> Scores:
    """Scores in [0, 1] that are right more often than not; every class has clips."""
    rng = np.random.default_rng(seed)
    truth = np.random.default_rng(99)  # the same clips for every seed
    target = truth.random((clips, len(labels))) < 0.3
    target[np.arange(len(labels)), np.arange(len(labels))] = True
    target[len(labels) : 2 * len(labels)][np.eye(len(labels), dtype=bool)] = False
    score = np.clip(0.3 + 0.4 * target + noise * rng.standard_normal(target.shape), 0, 1)
    ids = np.array([f"clip{number:03d}.wav".encode() for number in range(clips)])
    base = {
        "labels": list(labels),
        "network": "Tiny",
        "sample_rate": 8000,
        "model": "runs/made/final.keras",
        "model_sha256": f"{seed:064d}",
        "data": "packed/made",
        "index_sha256": "0" * 64,
        "clip_seconds": 0.5,
        "window": None,
        "hop": None,
        "aggregate": None,
        "decimation": "lowpass",
        "unfinished": None,
        "damaged_clips": [],
        "heard": "whole clips of 0.5 s",
    }
    return Scores(ids, target, score.astype("float32"), {**base, **meta})


def no_metadata() -> ClassMetadata:
    return ClassMetadata(LABELS, None)
