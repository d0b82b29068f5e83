"""Single clips of a packed directory, by number."""

import numpy as np

from tfrecords.decimate import check_decimation, decimate
from tfrecords.index import Index
from tfrecords.records import RecordReader


def read_clips(
    index: Index,
    clips: np.ndarray,
    sample_rate: int | None = None,
    decimation: str = "lowpass",
) -> np.ndarray:
    """Read clips by their numbers in the index.

    Args:
        index: of the packed directory.
        clips: (n,) clip numbers.
        sample_rate: Hz, the stored rate (default) or a lower one.
        decimation: how clips come to a lower rate (see `tfrecords.decimate`).

    Returns:
        (n, samples) int16, times 32767.

    Raises:
        ValueError: a record is missing or damaged; names its shard and clip.
    """
    stored = index.info.sample_rate
    wanted = stored if sample_rate is None else sample_rate
    check_decimation(stored, wanted, decimation)
    clips = np.asarray(clips, np.int64)
    audio, damages = RecordReader(index).waveforms(clips)
    if damages:
        raise ValueError(str(damages[min(damages)]))
    return decimate(audio, stored, wanted, decimation)
