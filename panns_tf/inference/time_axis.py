"""Ticks of a time axis, for 10 ms as for a week."""

#: Seconds from one tick to the next, where they are less than a second, and from there on.
_FINE = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_STEPS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800, 21600, 43200)
#: Steps between ticks at most.
_MOST = 9


def time_ticks(seconds: float) -> tuple[list[float], list[str], str]:
    """Returns where the ticks of a time axis are, their texts, and the axis' label.

    Args:
        seconds: length of the axis, above 0.

    Example:

    >>> time_ticks(3)
    ([0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0], ['0', '0.5', '1', '1.5', '2', '2.5', '3'], 'time, s')
    """
    step = next((step for step in (*_FINE, *_STEPS) if seconds <= _MOST * step), 86400)
    while seconds > _MOST * step:
        step *= 2
    count = int(seconds / step * (1 + 1e-9))
    places = [number * step for number in range(count + 1)]
    if seconds < 120:
        return places, [f"{place:.6g}" for place in places], "time, s"
    unit, said = (60, "time, h:min") if seconds >= 3600 else (1, "time, min:s")
    parts = [divmod(round(place / unit), 60) for place in places]
    return places, [f"{large}:{small:02}" for large, small in parts], said
