"""What a person sees who drops a recording on the page."""

import os
import socket
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("gradio", reason="requirements-demo.txt is not installed")

from panns_tf.inference.demo import page as page_module
from panns_tf.inference.demo.page import served
from tests.panns_tf.inference.demo.fakes import listener

#: Chromium's player complains of these itself.
_OF_THE_PLAYER = ("Waveform load error", "Failed to load resource", "Response")


def sound(path: Path, seconds: float, first: float = 0.0) -> Path:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, round(seconds * 8000))
    samples[0] = first
    soundfile.write(path, samples, 8000)
    return path


@pytest.fixture(scope="module")
def address():
    with served(listener(), max_mb=0.5) as found:
        yield found


@pytest.fixture
def drop(page, address):
    """Opens the page and drops a file on it."""

    def dropped(path: Path):
        page.set_default_timeout(60_000)
        page.goto(address)
        page.locator("#sound input[type=file]").set_input_files(path)
        return page

    return dropped


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_recording_is_shown(page, drop, screenshot, tmp_path, scheme):
    page.emulate_media(color_scheme=scheme)
    drop(sound(tmp_path / "dog.wav", 2.0))
    page.wait_for_selector("#shown .events td")
    assert page.locator("#shown h2").first.inner_text() == "dog.wav, 2 s"
    tags = [row.inner_text().split("\n") for row in page.locator(".tags tbody tr").all()]
    found = [(row[0].strip(), row[-1].strip()) for row in tags]
    speech, bark, *_ = found
    assert speech == ("Speech", "0.910")
    assert bark == ("<b>Bark & bite</b>", "0.500")
    events = [row.inner_text().split() for row in page.locator(".events tbody tr").all()]
    assert events[0] == ["0.20", "0.90", "Speech", "0.910"]
    bars = [bar.bounding_box()["width"] for bar in page.locator(".tags .bar i").all()]
    assert bars[0] / bars[2] == pytest.approx(0.91 / 0.25, rel=0.02)
    other = "dark" if scheme == "light" else "light"
    assert page.locator(f"img.{scheme}-only").is_visible()
    assert not page.locator(f"img.{other}-only").is_visible()
    assert page.locator(f"img.{scheme}-only").evaluate("image => image.naturalWidth") > 800
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    screenshot(f"demo-{scheme}")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("text.wav", b"no audio", "text.wav: not audio"),
        ("empty.wav", b"", "empty.wav: empty"),
        ("long.wav", 4.0, "long.wav: 4.0 s; longer than the 3 s that are taken"),
        ("broken.wav", 1.0, "broken.wav: something went wrong here; the terminal"),
    ],
)
def test_what_cannot_be_heard_is_said(page, drop, tmp_path, capfd, file, content, said):
    path = tmp_path / file
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        sound(path, content, first=-0.99 if file == "broken.wav" else 0.0)
    drop(path)
    alert = page.wait_for_selector("#shown [role=alert]")
    assert alert.inner_text().startswith(said)
    assert "secret" not in page.content()
    assert ("a secret of the server" in capfd.readouterr().err) == (file == "broken.wav")
    page.troubles[:] = [text for text in page.troubles if not text.startswith(_OF_THE_PLAYER)]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("file", "size", "said"),
    [
        ("notes.txt", 10, "Invalid file type: notes.txt"),
        ("big.wav", 600_000, "maximum allowed size"),
    ],
)
def test_what_is_not_taken_is_said(page, drop, tmp_path, file, size, said):
    (tmp_path / file).write_bytes(b"x" * size)
    drop(tmp_path / file)
    page.get_by_text(said).wait_for()
    assert page.locator("#shown table").count() == 0
    page.troubles[:] = [text for text in page.troubles if not text.startswith(_OF_THE_PLAYER)]


@pytest.mark.browser
def test_a_later_recording_takes_the_place_of_an_earlier(page, drop, tmp_path):
    drop(sound(tmp_path / "first.wav", 1.0))
    page.wait_for_selector("#shown table")
    page.locator("#sound button[aria-label='Clear']").click()
    page.wait_for_selector("#shown table", state="detached")
    page.locator("#sound input[type=file]").set_input_files(sound(tmp_path / "second.wav", 1.5))
    page.get_by_text("second.wav, 1.5 s").wait_for()


@pytest.mark.browser
def test_the_microphone_is_recorded(page, address):
    page.goto(address)
    page.locator("#sound button[aria-label*='Record']").click()
    page.locator("#sound button.record").click()
    page.wait_for_timeout(1500)
    page.locator("#sound button.stop-button").click()
    page.wait_for_selector("#shown table")
    heard, seconds = page.locator("#shown h2").first.inner_text().removesuffix(" s").split(", ")
    assert heard == "audio.wav"
    assert 1 < float(seconds) < 3


def test_it_listens_at_one_address(address):
    assert address.startswith("http://127.0.0.1:")
    with socket.socket() as probe:  # all of 127.0.0.0/8 is this computer
        assert probe.connect_ex(("127.0.0.2", int(address.rstrip("/").rsplit(":", 1)[1]))) != 0


def upload(address: str) -> Path:
    """Uploads a file and returns the folder of uploads."""
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.wav"\r\n\r\n'
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    url = f"{address}gradio_api/upload"
    request = urllib.request.Request(url, head + b"me\r\n--x--\r\n", headers)
    urllib.request.urlopen(request).read()
    return Path(os.environ["GRADIO_TEMP_DIR"])


def test_uploads_are_gone_with_the_page():
    before = os.environ.get("GRADIO_TEMP_DIR")
    with served(listener()) as address:
        folder = upload(address)
        assert [path.read_bytes() for path in folder.rglob("*.wav")] == [b"me"]
    assert not folder.exists()
    assert os.environ.get("GRADIO_TEMP_DIR") == before


def test_uploads_do_not_grow_old(monkeypatch):
    monkeypatch.setattr(page_module, "DELETED", (0.2, 1.0))
    with served(listener()) as address:
        folder = upload(address)
        assert list(folder.rglob("*.wav"))
        end = time.monotonic() + 20
        while list(folder.rglob("*.wav")) and time.monotonic() < end:
            time.sleep(0.1)
        assert not list(folder.rglob("*.wav"))


def test_a_port_that_is_taken(address):
    port = int(address.rstrip("/").rsplit(":", 1)[1])
    with (
        pytest.raises(ValueError, match=f"--port {port}: another program has the port"),
        served(listener(), port=port),
    ):
        pass


def test_gradio_reports_to_nobody():
    import gradio

    page_module.import_gradio()
    assert not gradio.analytics.analytics_enabled()
