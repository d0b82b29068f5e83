"""What a person sees who opens TensorBoard on a run."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.full]

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def address(data, tmp_path_factory):
    """Of a TensorBoard that shows two runs of few steps."""
    folder = tmp_path_factory.mktemp("sweep")
    for rate in (0.001, 0.0001):
        flags = {
            "arch": "tiny",
            "data": data / "train",
            "eval-data": data / "eval",
            "run-dir": folder / f"rate-{rate}",
            "learning-rate": rate,
            "steps": 6,
            "batch-size": 4,
            "eval-steps": 3,
            "log-steps": 1,
        }
        words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
        subprocess.run(
            [sys.executable, "-m", "tests.tiny_train", *words],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    command += ["--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        found = (re.search(r"http://127\.0\.0\.1:\d+/", line) for line in server.stderr)
        yield next(filter(None, found)).group()
        server.terminate()


@pytest.fixture
def shown(page, address, screenshot):
    """Opens a dashboard; waits for texts on it, within frames too, and takes a screenshot."""

    def show(dashboard: str, *texts: str, tags: str = ""):
        page.set_default_timeout(60_000)
        page.goto(f"{address}?tagFilter={tags}#{dashboard}")
        page.reload()
        for text in texts:
            for _ in range(300):
                places = [frame.get_by_text(text).locator("visible=true") for frame in page.frames]
                if any(place.count() for place in places):
                    break
                page.wait_for_timeout(200)
            else:
                pytest.fail(f"{dashboard} does not show {text!r}")
        screenshot(f"tensorboard-{dashboard}")
        return page

    return show


@pytest.mark.parametrize(
    "tag", ["train/gradient_norm", "train/waiting", "eval/mAP", "eval/training_mAP"]
)
def test_scalars(shown, tag):
    shown("timeseries", tag.partition("/")[2], tags=tag)


def test_pictures(shown):
    page = shown("images", "before and after SpecAugment and mixup", "what the network sees")
    sizes = [
        image.evaluate("image => image.naturalWidth")
        for frame in page.frames
        for image in frame.locator("tf-image-loader img").all()
    ]
    assert len(sizes) >= 4
    assert min(sizes) > 300


def test_sound_can_be_played(shown):
    page = shown("audio", "hard clips/1")
    seconds = [
        audio.evaluate("audio => audio.duration")
        for frame in page.frames
        for audio in frame.locator("audio").all()
    ]
    assert seconds
    assert seconds[0] == pytest.approx(0.5, abs=0.01)


def test_settings(shown):
    shown("text", "configuration", "hard clips: what they are", "learning_rate")
