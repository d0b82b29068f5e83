"""The held-out clips that a network is most wrong about, to listen to."""

import numpy as np
import tensorflow as tf

from panns_tf.training.evaluation import FULL_SCALE, Predictions
from tfrecords import Index
from tfrecords.lookup import read_clips

#: How many clips, and how much of each.
CLIPS, SECONDS = 3, 10
_TINY = 1e-7


def hardest(found: Predictions, count: int) -> np.ndarray:
    """Returns the rows of the clips with the highest binary cross-entropy, the hardest first."""
    score = np.clip(found.score.astype(np.float64), _TINY, 1 - _TINY)
    loss = -np.where(found.target > 0, np.log(score), np.log1p(-score)).mean(axis=1)
    return np.argsort(-loss, kind="stable")[:count]


def describe(clip_id: bytes, target: np.ndarray, score: np.ndarray, labels: list[str]) -> str:
    """Returns in Markdown what is true of a clip and what the network says."""
    true = ", ".join(labels[k] for k in np.flatnonzero(target)) or "none"
    said = ", ".join(f"{labels[k]} {score[k]:.2f}" for k in np.argsort(-score)[:3])
    return f"**{clip_id.decode(errors='replace')}** is: {true}. The network says: {said}."


def write(
    found: Predictions, index: Index, labels: list[str], sample_rate: int, decimation: str
) -> None:
    """Writes the sound of the hardest clips."""
    rows = hardest(found, CLIPS)
    numbers = {clip_id: number for number, clip_id in enumerate(index.clip_ids.tolist())}
    clips = [numbers[clip_id] for clip_id in found.clip_ids[rows].tolist()]
    waveforms = read_clips(index, clips, sample_rate, decimation)[:, : SECONDS * sample_rate]
    lines = []
    for place, (row, waveform) in enumerate(zip(rows, waveforms, strict=True), start=1):
        about = describe(found.clip_ids[row], found.target[row], found.score[row], labels)
        lines.append(f"{place}. {about}")
        audio = (waveform.astype(np.float32) / FULL_SCALE)[None, :, None]
        tf.summary.audio(f"hard clips/{place}", audio, sample_rate)
    # A description of the sound itself would be that of the first step for ever.
    tf.summary.text("hard clips: what they are", "\n".join(lines))
