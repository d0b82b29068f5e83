"""One audio file to one clip: mono, resampled, padded or cut, int16; damaged files are refused."""

import os

import numpy as np

from tfrecords.audio import AudioError, open_audio


class DecodeError(Exception):
    """The file gives no clip. The message is the reason, a few words fit for a table."""


def decode_clip(path: str | os.PathLike, sample_rate: int, clip_samples: int) -> np.ndarray:
    """Decodes the start of an audio file, padded with zeros at the end.

    Returns:
        (clip_samples,) int16, of which 1.0 is 32767.

    Raises:
        DecodeError: missing, empty, truncated, not audio, or samples that are not finite.
    """
    clip = np.zeros(clip_samples, np.int16)
    try:
        with open_audio(path, sample_rate) as stream:
            samples = stream.read_int16(clip_samples)
    except AudioError as error:
        raise DecodeError(error.kind) from error
    clip[: len(samples)] = samples
    return clip
