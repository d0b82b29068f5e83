"""Sounds that a small network learns in seconds: a tone for each class, in noise."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 8000
CLASSES = ("high", "low", "middle")
_HERTZ = {"low": 300, "middle": 900, "high": 2500}


def tone(label: str, seed: int, seconds: float = 0.6) -> np.ndarray:
    """A tone of a class, float32 (samples,)."""
    rng = np.random.default_rng((seed, _HERTZ[label]))
    time = np.arange(round(seconds * RATE)) / RATE
    sound = 0.3 * np.sin(2 * np.pi * _HERTZ[label] * rng.uniform(0.95, 1.05) * time)
    return (sound + rng.normal(0, 0.05, len(time))).astype("float32")


def write_folders(folder: Path, clips: int = 8, seconds: float = 0.6) -> Path:
    """Writes ``<class>/<number>.wav``, so many clips of each class; returns the folder."""
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(clips):
            path = folder / label / f"{number}.wav"
            # What a store keeps to the bit.
            sound = np.rint(tone(label, number, seconds) * 32767) / 32767
            soundfile.write(path, sound, RATE, subtype="FLOAT")
    return folder
