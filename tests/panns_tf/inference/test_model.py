import keras
import numpy as np
import pytest

from panns_tf.inference import model as module
from panns_tf.inference.model import MOST_CLIPS, InferenceModel, in_precision
from panns_tf.models.network import Network
from tests.panns_tf.inference.support import kept, noise, outputs_of, trained


def assert_close(ours, theirs):
    scale = max(1, float(np.abs(theirs).max()))
    np.testing.assert_allclose(ours, theirs, atol=1e-5 * scale, rtol=0)


@pytest.mark.parametrize("which", ["Tiny", "Wavegram_Tiny", "Thin_Cnn14_DecisionLevelAtt"])
def test_predictions_are_those_of_the_network(which):
    network, model = kept(which), InferenceModel(kept(which))
    for samples in (1, 777, 40000):
        waveforms = np.stack([noise(samples, seed) for seed in range(3)])
        outputs, expected = model.predict(waveforms), outputs_of(network, waveforms)
        assert set(outputs) == {"clipwise_output", "embedding"}
        for key, value in outputs.items():
            assert value.dtype == np.float32
            assert_close(value, expected[key])


def test_recurring_shapes_are_compiled(monkeypatch):
    monkeypatch.setattr(module, "COMPILED_AFTER", 3.0)
    monkeypatch.setattr(module, "MOST_COMPILED", 1)
    predict = InferenceModel(kept("Tiny")).predict  # 8 kHz
    first, other = noise(16000)[None], noise(8000)[None]
    outputs = []
    for number in range(4):
        outputs.append(predict(first)["clipwise_output"])
        assert len(predict.compiled) == (number >= 2)
    for output in outputs[1:]:
        np.testing.assert_allclose(output, outputs[0], atol=1e-6)
    for _ in range(5):
        predict(other)
    assert list(predict.compiled) == [(1, 16000)]  # no more than so many


def test_batches_hold_as_much_audio():
    model = InferenceModel(kept("Tiny"), batch_size=4)
    counts = [model.clips_at_once(samples) for samples in (80000, 800000, 8000, 1)]
    assert counts == [4, 1, 40, MOST_CLIPS]
    with pytest.raises(ValueError, match="--batch-size must be at least 1; received 0"):
        InferenceModel(kept("Tiny"), batch_size=0)


def test_another_policy_is_a_copy_in_float32(policy):
    assert in_precision(kept("Tiny")) is kept("Tiny")
    policy("mixed_float16")
    network = Network("Tiny", 3)
    network.labels = ["a", "b", "c"]
    copy = in_precision(network, "float32")
    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    assert copy.labels == network.labels
    for ours, theirs in zip(copy.weights, network.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_bfloat16_keeps_front_end_and_outputs(monkeypatch):
    monkeypatch.setattr(module, "has_bfloat16", lambda: True)
    monkeypatch.setattr(module, "COMPILED_AFTER", 0.0)
    before = keras.config.dtype_policy()
    copy = in_precision(kept("Tiny"), "bfloat16")
    assert keras.config.dtype_policy() == before
    dtypes = {layer.name: layer.compute_dtype for layer in copy.layers}
    assert dtypes["conv_block3.conv1"] == "bfloat16"
    assert dtypes["log_mel"] == dtypes["bn0"] == dtypes["fc_audioset"] == "float32"
    model = InferenceModel(kept("Tiny"), "bfloat16")
    waveform = noise(16000)[None]
    exact = outputs_of(kept("Tiny"), waveform)["clipwise_output"]
    distance = np.abs(model.predict(waveform)["clipwise_output"] - exact).max()
    assert 0 < distance < 0.03
    assert not model.predict.compiled  # the processor's own operations are faster


def test_other_precisions_are_refused(monkeypatch):
    monkeypatch.setattr(module, "has_bfloat16", lambda: False)
    with pytest.raises(ValueError, match="--precision bfloat16: neither this processor"):
        in_precision(kept("Tiny"), "bfloat16")
    with pytest.raises(ValueError, match=r"must be one of .*float32.*received 'int8'"):
        in_precision(kept("Tiny"), "int8")


@pytest.mark.parametrize(
    ("which", "changes"),
    [
        ("Tiny", {"hidden": (6, 4), "activation": "softmax"}),
        ("Thin_VGGish", {"hidden": (6,)}),
        ("Thin_Cnn14_DecisionLevelAtt", {"hidden": (6, 4)}),
    ],
)
def test_long_recordings_of_a_task_are_predicted_as_whole(which, changes):
    network = trained(which, **changes)
    model = InferenceModel(network)
    recording = noise(round(33.7 * model.sample_rate))  # longer than a window
    whole = outputs_of(network, recording[None])
    assert_close(model.predict(recording[None])["clipwise_output"], whole["clipwise_output"])
    encoder = model.streaming_encoder()
    assert len(recording) > encoder.window_samples
    parts = [part for block in np.array_split(recording, 7) for part in encoder.feed(block)]
    for key, value in model.pool([*parts, *encoder.finish()]).items():
        assert_close(value, whole[key][0])
    if network.arch.activation == "softmax":
        assert whole["clipwise_output"].max() < 0.999, "nothing would be compared"
