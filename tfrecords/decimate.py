"""Clips at a lower sample rate than they are stored at.

lowpass  band-limited resampling, as every audio library does it; the default
skip     every second, fourth ... sample, unfiltered, so that what lies above the new band folds
         into it. The reference trains its 16 and 8 kHz networks so; for reproducing its numbers.
"""

import numpy as np
import soxr

from tfrecords.errors import TFRecordsError

DECIMATIONS = ("lowpass", "skip")


def check_decimation(stored: int, wanted: int, decimation: str) -> None:
    """Raise TFRecordsError where clips stored at one rate (Hz) cannot be read at another."""
    if decimation not in DECIMATIONS:
        raise TFRecordsError(
            f"decimation must be one of {', '.join(DECIMATIONS)}, got {decimation!r}"
        )
    if not 1 <= wanted <= stored:
        raise TFRecordsError(
            f"clips stored at {stored} Hz can be read at that rate or a lower one, not at "
            f"{wanted} Hz; pack them again with --sample-rate {wanted}"
        )
    if decimation == "skip" and stored % wanted:
        raise TFRecordsError(
            f"decimation 'skip' takes every k-th sample, and {stored} Hz is no multiple of "
            f"{wanted} Hz; use 'lowpass'"
        )


def decimated_samples(samples: int, stored: int, wanted: int) -> int:
    """The length of a clip at the lower rate."""
    return -(-samples * wanted // stored)


def decimate(clips: np.ndarray, stored: int, wanted: int, decimation: str) -> np.ndarray:
    """(n, samples) int16 at `stored` Hz to (n, fewer samples) int16 at `wanted` Hz."""
    if stored == wanted:
        return clips
    out = np.empty((len(clips), decimated_samples(clips.shape[1], stored, wanted)), np.int16)
    if decimation == "skip":
        out[:] = clips[:, :: stored // wanted]
        return out

    for row, clip in zip(out, clips, strict=True):
        samples = soxr.resample(clip.astype(np.float32), stored, wanted, quality="HQ")[: len(row)]
        # The scale of stored samples: 1.0 is 32767.
        row[: len(samples)] = np.rint(np.clip(samples, -32767, 32767))
        row[len(samples) :] = 0
    return out
