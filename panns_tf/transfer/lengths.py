"""How long the clips of a data set are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

#: Clips that are looked at.
_SAMPLE = 500
#: Seconds heard at once, at least and at most; the published networks were trained on 10 s.
LEAST, MOST = 1.0, 10.0
#: Where no length can be told.
_DEFAULT = 5.0


def clip_seconds_of(paths: Sequence[Path]) -> float:
    """Returns the seconds that a network should hear at once of clips of various lengths.

    What nine of ten clips have at most, in half seconds, from `LEAST` to `MOST`. Only headers are
    read, of some hundred clips.
    """
    step = max(1, len(paths) // _SAMPLE)
    lengths = [seconds for path in paths[::step] if (seconds := _seconds(path))]
    if not lengths:
        return _DEFAULT
    most = np.ceil(2 * (float(np.quantile(lengths, 0.9)) - 0.05)) / 2
    return float(np.clip(most, LEAST, MOST))


def _seconds(path: Path) -> float | None:
    try:
        found = soundfile.info(path)
    # TypeError: of a name that ends in .raw, which tells no rate.
    except (RuntimeError, OSError, TypeError):
        return None
    return found.frames / found.samplerate if 0 < found.frames < 2**40 else None
