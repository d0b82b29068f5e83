"""A browser for tests of pages: a fixture that fails on errors and on any request to the network.

Chromium is found on PATH, or at the path that the environment variable CHROMIUM gives. With
PANNS_TF_SCREENSHOTS set to a folder, screenshots are kept there.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",  # a microphone that beeps, for whoever asks
    "--use-fake-device-for-media-stream",
)
_LOCAL = ("file:", "data:", "blob:", "about:", "http://127.0.0.1", "http://localhost")


def find_chromium() -> str | None:
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


@pytest.fixture(scope="module")
def _browser() -> Iterator:
    executable = find_chromium()
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(_NAMES)} on PATH, and CHROMIUM is not set")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright of requirements-dev.txt is not installed"
    )
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=executable, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def page(_browser) -> Iterator:
    """A page of 1200 x 900; console errors, page errors and outside requests fail the test."""
    context = _browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme="light")
    page = context.new_page()
    page.set_default_timeout(10_000)
    troubles: list[str] = []
    page.on(
        "console",
        lambda message: troubles.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(_LOCAL) else troubles.append(f"requests {request.url}")
        ),
    )
    page.troubles = troubles
    yield page
    context.close()
    assert not troubles, f"the page is in trouble: {troubles}"


@pytest.fixture
def screenshot(page, tmp_path):
    """Takes a screenshot of the whole page by a name."""
    folder = Path(os.environ.get("PANNS_TF_SCREENSHOTS", tmp_path))

    def take(name: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{name}.png"
        page.screenshot(path=path, full_page=True)
        return path

    return take
