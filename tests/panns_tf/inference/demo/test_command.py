import argparse
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile

from panns_tf.inference.demo import command
from panns_tf.weights.loading import create_model

#: The command in a process of its own, which knows the small networks and tells of every address
#: that it looks up or connects to, but for this computer's.
PROGRAM = """
import argparse, sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        place = arguments[1] if event == "socket.connect" else arguments
        if not str(place[0]).startswith(("127.", "::1", "localhost")):
            print("reaches for", place, file=sys.stderr)
sys.addaudithook(watch)
if "look" in sys.argv:
    import socket
    sys.argv.remove("look")
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(("192.0.2.1", 9))
from panns_tf.inference.demo import command
from panns_tf.commands import run
from tfrecords.quiet import import_tensorflow_quietly
import_tensorflow_quietly()
from tests import support
support.register_tiny()
parser = argparse.ArgumentParser()
command.add_parser(parser.add_subparsers())
options = parser.parse_args()
run(lambda: options.run(options))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    network = create_model("Thin_Cnn14_DecisionLevelMax", num_classes=3)
    network.labels = ["a", "b", "c"]
    path = tmp_path_factory.mktemp("model") / "thin.keras"
    network.save(path)
    return path


def demo(*words) -> None:
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    options = parser.parse_args(["demo", *words])
    options.run(options)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--max-mb", "0"), "--max-mb must be above 0; received 0"),
        (("--max-seconds", "-3"), "--max-seconds must be above 0; received -3"),
        (("--max-seconds", "inf"), "--max-seconds must be above 0; received inf"),
        (("--port", "70000"), "--port must be in 0 ... 65535; received 70000"),
        (("--port", "-1"), "--port must be in 0"),
    ],
)
def test_options_that_cannot_be(words, said):
    with pytest.raises(ValueError, match=said):
        demo(*words)


def test_without_gradio_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ValueError, match=r"pip install -r requirements-demo.txt"):
        demo("--model", "no such model")


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.0.7", False),
        ("example.org", False),
    ],
)
def test_addresses_of_this_computer_alone(host, alone):
    assert command._is_loopback(host) == alone


def test_a_real_network_listens(model, tmp_path):
    listener = command.make_listener(str(model), None, max_seconds=10.0)
    assert (listener.network, listener.sample_rate) == ("Thin_Cnn14_DecisionLevelMax", 32000)
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 32000).astype("float32")
    soundfile.write(tmp_path / "x.wav", sound, 32000, subtype="FLOAT")
    heard = listener.listen(tmp_path / "x.wav")
    network = listener.tagger.hearer.network
    scores = network(sound[None], training=False)["clipwise_output"][0].numpy()
    assert [tag.label for tag in heard.tags] == [network.labels[i] for i in np.argsort(-scores)]
    assert [tag.score for tag in heard.tags] == pytest.approx(np.sort(scores)[::-1], abs=1e-5)
    assert heard.light[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("stop", "more", "told"),
    [(signal.SIGINT, [], ""), (signal.SIGTERM, ["look"], "reaches for ('192.0.2.1', 9)\n")],
)
def test_it_serves_until_it_is_stopped_and_leaves_nothing(model, tmp_path, stop, more, told):
    pytest.importorskip("gradio", reason="requirements-demo.txt is not installed")
    words = [sys.executable, "-c", PROGRAM, *more, "demo", "--model", str(model), "--port", "0"]
    proxies = {"http_proxy": "http://192.0.2.1:9", "HTTPS_PROXY": "http://192.0.2.1:9"}
    kept = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"}
    environment = {**kept, **proxies, "TMPDIR": str(tmp_path)}
    root = Path(__file__).parents[4]
    with subprocess.Popen(
        words,
        cwd=root,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background inherit that interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        # Else the end of this block would wait for a server that nothing stops.
        clock = threading.Timer(120, process.kill)
        clock.start()
        said = process.stdout.readline()
        assert said.startswith("Thin_Cnn14_DecisionLevelMax listens at http://127.0.0.1:")
        address = said.split()[3]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        page = opener.open(address).read().decode()
        assert "What is heard" in page
        assert list(tmp_path.glob("panns_tf-demo-*"))
        process.send_signal(stop)
        out, err = process.communicate()
        clock.cancel()
    assert process.returncode == 0
    assert (out, err) == ("", told)
    assert not list(tmp_path.glob("panns_tf-demo-*"))
