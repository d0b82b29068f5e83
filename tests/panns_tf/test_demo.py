"""The page on which a recording is dropped."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile

from panns_tf import demo
from panns_tf.cli import main
from tests.panns_tf.inference.support import trained

gradio = pytest.importorskip("gradio", reason="needs the extra demo")

ROOT = Path(__file__).parents[2]

#: The command in a process of its own, which knows the small networks and tells of every address
#: that it looks up or connects to, but for this computer's.
PROGRAM = """
import sys
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        place = arguments[1] if event == "socket.connect" else arguments
        if not str(place[0]).startswith(("127.", "::1", "localhost")):
            print("reaches for", place, file=sys.stderr)
sys.addaudithook(watch)
from panns_tf.cli import main, run
from tfrecords.commands import import_tensorflow_quietly
import_tensorflow_quietly()
from tests import support
support.register_tiny()
run(main)
"""


@pytest.fixture(scope="module")
def network():
    network = trained("Thin_Cnn14_DecisionLevelMax")
    network.labels = ["Speech", "<b>Bark & bite</b>", "Music"]
    return network


@pytest.fixture(scope="module")
def address(network):
    with demo.served(network, demo.DemoSettings(port=0, max_mb=0.5, max_seconds=3.0)) as found:
        yield found


def recording(path: Path, seconds: float) -> Path:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * 32000))
    soundfile.write(path, samples, 32000, subtype="FLOAT")
    return path


def test_options_that_cannot_be(monkeypatch):
    for words, message in (
        (("--max-mb", "0"), "max_mb must be above 0; received 0"),
        (("--max-seconds", "inf"), "max_seconds must be finite; received inf"),
        (("--port", "70000"), r"port must be at least 0 and at most 65535; received 70000"),
    ):
        with pytest.raises(ValueError, match=message):
            main(["demo", *words])
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ValueError, match=r"pip install 'panns_tf\[demo\]'"):
        main(["demo", "--model", "no such model"])


def test_what_a_recording_gives(network, tmp_path):
    predict = demo.build(network, demo.DemoSettings(max_seconds=3.0)).fn
    path = recording(tmp_path / "x.wav", 2)
    tags, picture, events = predict(str(path))
    samples, _ = soundfile.read(path, dtype="float32")
    scores = network(samples[None], training=False)["clipwise_output"][0].numpy()
    assert tags == pytest.approx(dict(zip(network.labels, scores, strict=True)), abs=1e-5)
    assert picture.width > 800
    assert all(len(row) == 4 and row[2] in network.labels for row in events)
    assert predict(None) == (None, None, None)
    (tmp_path / "text.wav").write_bytes(b"no audio")
    recording(tmp_path / "long.wav", 4)
    for name, message in (
        ("text.wav", "text.wav: not audio"),
        ("long.wav", "long.wav: longer than the 3 s that are taken"),
    ):
        with pytest.raises(gradio.Error) as caught:
            predict(str(tmp_path / name))
        assert str(caught.value).strip("'").startswith(message)


def test_it_listens_at_one_address_and_reports_to_nobody(address, network):
    assert address.startswith("http://127.0.0.1:")
    port = int(address.rstrip("/").rsplit(":", 1)[1])
    with socket.socket() as probe:  # all of 127.0.0.0/8 is this computer
        assert probe.connect_ex(("127.0.0.2", port)) != 0
    assert not gradio.analytics.analytics_enabled()
    with (
        pytest.raises(ValueError, match=f"--port {port}: another program has the port"),
        demo.served(network, demo.DemoSettings(port=port)),
    ):
        pass


def upload(address: str, content: bytes) -> Path:
    """Uploads a file and returns the folder of uploads."""
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    url = f"{address}gradio_api/upload"
    request = urllib.request.Request(url, head + content + b"\r\n--x--\r\n", headers)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request).read()
    return Path(os.environ["GRADIO_TEMP_DIR"])


def test_uploads_are_bounded_and_gone_with_the_page_or_when_old(network, monkeypatch):
    monkeypatch.setattr(demo, "DELETED", (0.2, 1.0))
    with demo.served(network, demo.DemoSettings(port=0, max_mb=0.1)) as address:
        folder = upload(address, b"me")
        assert [path.read_bytes() for path in folder.rglob("*.wav")] == [b"me"]
        with pytest.raises(urllib.error.HTTPError, match="413"):
            upload(address, bytes(200_000))
        end = time.monotonic() + 20
        while list(folder.rglob("*.wav")) and time.monotonic() < end:
            time.sleep(0.1)
        assert not list(folder.rglob("*.wav"))
        upload(address, b"me")
    assert not folder.exists()


@pytest.mark.full
@pytest.mark.browser
def test_a_recording_is_shown(page, address, screenshot, tmp_path):
    page.set_default_timeout(60_000)
    page.goto(address)
    page.locator("input[type=file]").first.set_input_files(recording(tmp_path / "dog.wav", 2))
    page.get_by_text("<b>Bark & bite</b>").first.wait_for()
    page.wait_for_selector("img")
    screenshot("demo")


@pytest.mark.full
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_stopped_and_leaves_nothing(network, tmp_path, stop):
    network.save(tmp_path / "thin.keras")
    words = [sys.executable, "-c", PROGRAM, "demo", "--model", str(tmp_path / "thin.keras")]
    proxies = {"http_proxy": "http://192.0.2.1:9", "HTTPS_PROXY": "http://192.0.2.1:9"}
    kept = {key: value for key, value in os.environ.items() if key.lower() != "no_proxy"}
    with subprocess.Popen(
        [*words, "--port", "0"],
        cwd=ROOT,
        env={**kept, **proxies, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Tests that run in the background inherit that interrupts are ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        # Else the end of this block would wait for a server that nothing stops.
        clock = threading.Timer(120, process.kill)
        clock.start()
        printed = process.stdout.readline()
        assert printed.startswith("Thin_Cnn14_DecisionLevelMax is served at http://127.0.0.1:")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        assert "Thin_Cnn14" in opener.open(printed.split()[4]).read().decode()
        assert list(tmp_path.glob("panns_tf-demo-*"))
        process.send_signal(stop)
        out, err = process.communicate()
        clock.cancel()
    assert process.returncode == 0
    assert (out, err) == ("", "")
    assert not list(tmp_path.glob("panns_tf-demo-*"))
