import numpy as np
import pytest

from panns_tf.models import ARCHITECTURES
from panns_tf.training.board import pictures
from panns_tf.training.board.front import Seen
from panns_tf.weights.loading import create_model


def log_mels(clips: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(clips, 50, 16))


def check(picture: np.ndarray) -> None:
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[-1] == 3
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20, "something is drawn"


@pytest.mark.parametrize(
    ("masked", "items", "weights", "columns"),
    [(4, 2, [0.3, 0.7, 0.5, 0.5], 5), (4, 4, None, 2), (None, 2, [0.3, 0.7, 0.5, 0.5], 3)],
)
def test_clips_before_and_after(masked, items, weights, columns):
    seen = Seen(
        before=log_mels(4),
        masked=None if masked is None else log_mels(masked),
        entering=log_mels(items),
        weights=None if weights is None else np.array(weights),
        names=list("abcd"),
        seconds=2.0,
    )
    picture = pictures.augmented(seen)
    check(picture)
    assert picture.shape[1] == pytest.approx(320 * columns, abs=1)


def test_features_side_by_side():
    wave = np.random.default_rng(0).normal(size=(2, 25, 8, 6))
    check(pictures.features({"log_mel": log_mels(2), "wavegram": wave}, ["a", "b"], 2.0))
    check(pictures.features({"log_mel": log_mels(1)}, ["a"], 2.0))


def test_the_first_layer_of_every_network(thin):
    network = create_model(thin, 3)
    kernel = pictures.first_kernel(network)
    on_waveform = set(ARCHITECTURES[thin].inputs) & {"waveform", "wavegram"}
    assert kernel.ndim == (2 if on_waveform else 3)
    check(pictures.filters(kernel, 32000))


def test_a_filter_lies_at_its_frequency():
    time = np.arange(64)
    kernel = np.stack([np.sin(2 * np.pi * f * time) for f in (0.3, 0.1)], axis=1)
    high_first, low_first = (
        pictures.filters(kernel[:, order], 16000).astype(int) for order in ([0, 1], [1, 0])
    )
    right = slice(high_first.shape[1] // 2 + 60, None)
    # Responses are sorted by their peak, the filters stand as sorted, too.
    np.testing.assert_array_equal(high_first[:, right], low_first[:, right])


def test_average_precision_by_training_clips_counts_the_undefined():
    sizes = np.array([0, 10, 1000])
    check(pictures.precision_by_size(np.array([0.1, np.nan, 0.9]), sizes, list("abc")))
    many = np.random.default_rng(0).random(527)
    check(pictures.precision_by_size(many, np.arange(527), [str(k) for k in range(527)]))
