"""The constants of the log-mel, and its compilation; its numbers are in tests/contract."""

import numpy as np
import pytest
import tensorflow as tf

from panns_tf.config import Frontend
from panns_tf.layers.cpu import traced_for
from panns_tf.layers.log_mel import LogMel, analysis_window, mel_matrix
from tests.support import read_json, read_npz


def test_mel_filters_equal_the_references():
    for key, case in read_json("frontend")["cases"].items():
        settings = Frontend(**{name: case[name] for name in Frontend.__dataclass_fields__})
        stored = read_npz("frontend")[f"{key.split('/')[0]}/mel_matrix"]
        np.testing.assert_allclose(mel_matrix(settings), stored, atol=3e-9)


def test_windows_are_periodic():
    hann = analysis_window(Frontend())
    assert hann[[0, 512]].tolist() == [0, 1]
    assert hann[1] == pytest.approx(hann[-1])
    assert analysis_window(Frontend(window="hamming"))[0] == pytest.approx(0.08)


@pytest.mark.parametrize(("target", "compiled"), [("layers", True), ("portable", False)])
def test_is_compiled_by_xla_within_a_plain_function(target, compiled):
    log_mel = LogMel()
    step = tf.function(traced_for(target)(lambda waveform: log_mel(waveform)))
    graph = step.get_concrete_function(tf.TensorSpec((2, 4000), tf.float32)).graph.as_graph_def()
    functions = graph.library.function
    assert any(f.attr["_XlaMustCompile"].b for f in functions) == compiled


def test_keeps_its_settings():
    layer = LogMel(16000, 512, 160, 64, 50, 8000, window="hamming", jit_compile=False)
    copy = LogMel.from_config(layer.get_config())
    assert (copy.frontend, copy.jit_compile) == (layer.frontend, False)
