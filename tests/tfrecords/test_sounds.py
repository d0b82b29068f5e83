"""The synthetic sounds are sounds, and differ."""

import numpy as np
import pytest

from tfrecords.synthetic import SOUNDS, background
from tfrecords.synthetic import render


def features(sound: np.ndarray) -> np.ndarray:
    """A coarse log spectrogram about its mean: 8 moments by 24 bands."""
    frames = sound[: len(sound) // 512 * 512].reshape(-1, 512) * np.hanning(512)
    power = np.abs(np.fft.rfft(frames, axis=1)[:, 1:]) ** 2
    edges = np.unique(np.geomspace(1, 256, 24).astype(int))
    bands = np.add.reduceat(power, edges - 1, axis=1)
    bands = np.stack([part.mean(axis=0) for part in np.array_split(bands, 8)])
    level = np.log(bands + 1e-3 * bands.mean())
    spread = np.log(frames.std(axis=1) + 1e-3 * frames.std()).std()
    return np.append((level - level.mean()).ravel(), 30 * spread)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 32000])
@pytest.mark.parametrize("samples_per_second", [0.15, 1])
def test_finite_full_and_of_the_right_length(sample_rate, samples_per_second):
    samples = int(sample_rate * samples_per_second)
    for name, sound in SOUNDS.items():
        wave = sound(np.random.default_rng(0), samples, sample_rate)
        assert wave.shape == (samples,), name
        assert np.isfinite(wave).all(), name
        assert np.abs(wave).max() > 0, name


def test_a_nearest_mean_tells_them_apart():
    assert len(SOUNDS) == 12

    def sample(name: str, seed: int) -> np.ndarray:
        return features(render(np.random.default_rng(seed), [name], 32000, 32000))

    means = np.stack([np.mean([sample(name, k) for k in range(10)], axis=0) for name in SOUNDS])
    right = 0
    for number, name in enumerate(SOUNDS):
        for seed in range(100, 105):
            distance = ((means - sample(name, seed)) ** 2).sum(axis=1)
            right += np.argmin(distance) == number
    assert right >= 54  # of 60


def test_background_has_unit_level():
    noise = background(np.random.default_rng(0), 8000, 8000)
    assert np.sqrt(np.mean(noise**2)) == pytest.approx(1, rel=1e-6)


def test_events_stand_out_of_the_noise():
    rng = np.random.default_rng(0)
    clip = render(rng, ["sine_tone"], 32000, 32000)
    assert np.abs(clip).max() <= 0.9
    spectrum = np.abs(np.fft.rfft(clip))
    assert 390 < np.argmax(spectrum) < 610
