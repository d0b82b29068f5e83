"""Twelve kinds of synthetic sound, easy to tell apart, and coloured noise to hide them in.

Every sound is a function (rng, samples, sample_rate) -> (samples,) float64 that fills its length;
its parameters vary modestly. Frequencies stay below `_top`, so any sample rate from 8 kHz works.
"""

from collections.abc import Callable

import numpy as np

Sound = Callable[[np.random.Generator, int, int], np.ndarray]


def sine_tone(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """One steady line, 400 to 600 Hz."""
    return _tone(np.full(samples, rng.uniform(400, 600)), sample_rate)


def rising_chirp(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """A line that climbs from about 300 Hz to about 3 kHz."""
    return _sweep(rng.uniform(250, 350), rng.uniform(2500, 3200), samples, sample_rate)


def falling_chirp(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """A line that falls from about 3 kHz to about 300 Hz."""
    return _sweep(rng.uniform(2500, 3200), rng.uniform(250, 350), samples, sample_rate)


def siren(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """A line with harmonics that swings between about 600 and 1400 Hz, 3 to 4 times a second."""
    time = np.arange(samples) / sample_rate
    swing = np.sin(2 * np.pi * (rng.uniform(3, 4) * time + rng.random()))
    phase = _phase(1000 + 400 * swing, sample_rate)
    return np.sin(phase) + 0.5 * np.sin(2 * phase)


def bell(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Strokes of inharmonic partials that ring out, about two a second."""
    base = rng.uniform(700, 900)
    partials = ((1.0, 1.0), (1.48, 0.7), (2.09, 0.6), (2.56, 0.5), (3.42, 0.3))
    time = np.arange(int(0.8 * sample_rate)) / sample_rate
    stroke = sum(
        gain * np.exp(-time * 5 * ratio) * np.sin(2 * np.pi * ratio * base * time)
        for ratio, gain in partials
        if ratio * base < _top(sample_rate)
    )
    return _repeat(rng, stroke, rng.uniform(1.8, 2.4), samples, sample_rate)


def click_train(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Very short broad-band clicks, 12 to 16 a second."""
    click = np.zeros(max(2, sample_rate // 2000))
    click[0], click[-1] = 1, -1
    return _repeat(rng, click, rng.uniform(12, 16), samples, sample_rate)


def tremolo_noise(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Noise of 800 to 2500 Hz whose level swings 5 to 7 times a second."""
    time = np.arange(samples) / sample_rate
    swing = 0.5 - 0.5 * np.cos(2 * np.pi * (rng.uniform(5, 7) * time + rng.random()))
    return _band(rng, samples, sample_rate, 800, 2500) * swing**2


def hiss(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Steady noise in the upper half of the band."""
    top = _top(sample_rate)
    return _band(rng, samples, sample_rate, rng.uniform(0.45, 0.55) * top, top)


def rumble(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Steady noise below 200 Hz."""
    return _band(rng, samples, sample_rate, 60, rng.uniform(170, 220))


def buzz(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """A comb of all harmonics of 90 to 120 Hz, up to 6 kHz."""
    base = rng.uniform(90, 120)
    phase = _phase(np.full(samples, base), sample_rate)
    count = int(min(6000, _top(sample_rate)) / base)
    # The closed form of sum(cos(k * phase)), k = 1 .. count.
    half = np.sin(phase / 2 + 1e-9)
    return np.sin((count + 0.5) * (phase + 2e-9)) / (2 * half) - 0.5


def knock(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Low damped thumps, 4 to 5 a second."""
    time = np.arange(int(0.12 * sample_rate)) / sample_rate
    thump = np.exp(-time * 40) * np.sin(2 * np.pi * rng.uniform(150, 200) * time)
    thump += 0.5 * np.exp(-time * 80) * np.sin(2 * np.pi * rng.uniform(380, 450) * time)
    return _repeat(rng, thump, rng.uniform(4, 5), samples, sample_rate)


def bird(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Short calls that drop from a high pitch, 7 to 9 a second."""
    top = min(7000, 0.9 * _top(sample_rate))
    length = int(0.07 * sample_rate)
    call = _sweep(top * rng.uniform(0.9, 1), top * rng.uniform(0.55, 0.65), length, sample_rate)
    return _repeat(rng, call * np.hanning(length), rng.uniform(7, 9), samples, sample_rate)


# From the most frequent class of a synthetic data set to the rarest.
SOUNDS: dict[str, Sound] = {
    function.__name__: function
    for function in (
        sine_tone,
        click_train,
        hiss,
        siren,
        rumble,
        rising_chirp,
        bird,
        buzz,
        tremolo_noise,
        bell,
        falling_chirp,
        knock,
    )
}


def background(rng: np.random.Generator, samples: int, sample_rate: int) -> np.ndarray:
    """Noise whose power falls by 0 (white) to 1.5 powers of the frequency, of unit level."""
    bins = np.fft.rfftfreq(samples, 1 / sample_rate)
    bins[0] = bins[1] if len(bins) > 1 else 1
    noise = np.fft.irfft(_spectrum(rng, len(bins)) * bins ** -rng.uniform(0, 0.75), samples)
    return noise / np.sqrt(np.mean(noise**2) + 1e-12)


def _top(sample_rate: int) -> float:
    return min(14000, 0.45 * sample_rate)


def _phase(frequency: np.ndarray, sample_rate: int) -> np.ndarray:
    return 2 * np.pi * np.cumsum(frequency) / sample_rate


def _tone(frequency: np.ndarray, sample_rate: int) -> np.ndarray:
    return np.sin(_phase(frequency, sample_rate))


def _sweep(first: float, last: float, samples: int, sample_rate: int) -> np.ndarray:
    return _tone(np.geomspace(first, last, samples), sample_rate)


def _spectrum(rng: np.random.Generator, bins: int) -> np.ndarray:
    return rng.standard_normal(bins) + 1j * rng.standard_normal(bins)


def _band(
    rng: np.random.Generator, samples: int, sample_rate: int, low: float, high: float
) -> np.ndarray:
    """Noise between two frequencies in Hz."""
    bins = np.fft.rfftfreq(samples, 1 / sample_rate)
    inside = (bins >= low) & (bins <= high)
    return np.fft.irfft(_spectrum(rng, len(bins)) * inside, samples) * np.sqrt(samples)


def _repeat(
    rng: np.random.Generator, stroke: np.ndarray, rate: float, samples: int, sample_rate: int
) -> np.ndarray:
    """One stroke over and over, `rate` times a second, from a random moment of the first period."""
    period = sample_rate / rate
    out = np.zeros(samples + len(stroke))
    for start in np.arange(rng.random() * period * 0.5, samples, period).astype(int):
        out[start : start + len(stroke)] += stroke
    return out[:samples]
