import numpy as np
import pytest

from panns_tf.inference import hearing
from panns_tf.inference.hearing import Hearer
from tests.panns_tf.inference.support import kept, noise, trained


def close(ours, theirs):
    scale = max(1, float(np.abs(theirs).max()))
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale, rtol=0)


@pytest.mark.parametrize("samples", [1, 777, 40000])
@pytest.mark.parametrize("which", ["Tiny", "Wavegram_Tiny", "Thin_Cnn14_DecisionLevelAtt"])
def test_gives_what_the_network_gives(which, samples):
    network = kept(which)
    waveforms = np.stack([noise(samples, seed) for seed in range(3)])
    found, expected = Hearer(network).hear(waveforms), network(waveforms, training=False)
    assert set(found) == set(expected) - {"framewise_output"}
    for key, value in found.items():
        assert value.dtype == np.float32
        close(value, expected[key])


def test_compiles_the_shapes_that_keep_coming(monkeypatch):
    monkeypatch.setattr(hearing, "COMPILED_AFTER", 3.0)
    monkeypatch.setattr(hearing, "MOST_COMPILED", 1)
    hearer = Hearer(kept("Tiny"))  # 8 kHz
    function = hearer._hear
    first, other = noise(16000)[None], noise(8000)[None]
    outputs = []
    for number in range(4):
        outputs.append(hearer.hear(first)["clipwise_output"])
        assert len(function._compiled) == (number >= 2)
    for found in outputs[1:]:
        np.testing.assert_allclose(found, outputs[0], atol=1e-6)
    for _ in range(5):
        hearer.hear(other)
    assert list(function._compiled) == [(1, 16000)]  # no more than so many


def test_half_precision_is_left_to_the_processor(monkeypatch):
    monkeypatch.setattr("panns_tf.inference.precision.has_bfloat16", lambda: True)
    monkeypatch.setattr(hearing, "COMPILED_AFTER", 0.0)
    hearer = Hearer(kept("Tiny"), "bfloat16")
    hearer.hear(noise(8000)[None])
    assert not hearer._hear._compiled


def test_batches_hold_as_much_sound():
    hearer = Hearer(kept("Tiny"), batch_size=4)
    assert hearer.clips_at_once(80000) == 4
    assert hearer.clips_at_once(800000) == 1
    assert hearer.clips_at_once(8000) == 40
    assert hearer.clips_at_once(1) == hearing.MOST_CLIPS
    with pytest.raises(ValueError, match="--batch-size must be at least 1; received 0"):
        Hearer(kept("Tiny"), batch_size=0)


def test_says_what_it_is():
    hearer = Hearer(kept("Thin_Cnn14_DecisionLevelMax"))
    assert hearer.has_segments
    assert hearer.segment_seconds == 0.32
    assert hearer.labels == ["class 0", "class 1", "class 2"]
    assert hearer.embedding_size == 8
    assert not Hearer(kept("Tiny")).has_segments
    assert Hearer(kept("Tiny")).segment_seconds is None


TASK = {"hidden": (6, 4), "activation": "softmax"}


@pytest.mark.parametrize(
    ("which", "changes"),
    [
        ("Tiny", TASK),
        ("Thin_VGGish", {"hidden": (6,)}),
        ("Thin_Cnn14_DecisionLevelAtt", {"hidden": (6, 4)}),
    ],
)
def test_long_recordings_of_a_task_are_heard_as_whole(which, changes):
    network = trained(which, **changes)
    hearer = Hearer(network)
    recording = noise(round(33.7 * hearer.sample_rate))  # longer than a window
    whole = network(recording[None], training=False)
    close(hearer.hear(recording[None])["clipwise_output"], whole["clipwise_output"])
    stitcher = hearer.stitcher()
    assert len(recording) > stitcher.window_samples
    for block in np.array_split(recording, 7):
        stitcher.feed(block)
    stitcher.finish()
    found = stitcher.gathered.outputs()
    for key in ("clipwise_output", "embedding"):
        close(found[key], whole[key][0])
    if network.row.activation == "softmax":
        assert found["clipwise_output"].sum() == pytest.approx(1, abs=1e-5)
        assert found["clipwise_output"].max() < 0.999, "all is one class: nothing is compared"
