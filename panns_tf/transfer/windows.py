"""How a recording is cut into what a network hears at once."""

import numpy as np

#: A rest of a recording shorter than this part of a window is not worth a window of its own.
NEGLIGIBLE = 0.1


def window_starts(samples: int, window: int) -> list[int]:
    """Returns the first sample of every window of a recording.

    Windows follow each other; where the last would leave sound over, one more is taken that ends
    with the recording, unless that rest is negligible. A recording shorter than a window has one.

    Args:
        samples: of the recording.
        window: samples of a window.
    """
    starts = list(range(0, max(1, samples - window + 1), window))
    rest = samples - (starts[-1] + window)
    if rest > NEGLIGIBLE * window:
        starts.append(samples - window)
    return starts


def cut(recording: np.ndarray, start: int, window: int) -> np.ndarray:
    """Returns a window of a recording, (window,), zeros after its end."""
    part = recording[start : start + window]
    return part if len(part) == window else np.pad(part, (0, window - len(part)))
