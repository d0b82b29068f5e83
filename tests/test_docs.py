"""The documents: their links, their commands, and the page of settings made from the code."""

import re
import runpy
from pathlib import Path

from panns_tf.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_page_of_settings_is_that_of_the_code():
    page = runpy.run_path(str(ROOT / "docs/make_settings.py"))["settings_page"]()
    assert page == (ROOT / "docs/settings.md").read_text(encoding="utf-8")


def test_links_lead_to_files():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_commands_and_paths_of_code_exist():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"panns-tf ([a-z]+)", text):
            assert name in COMMANDS, f"{page.name}: panns-tf {name}"
        for path in re.findall(r"`((?:panns_tf|tfrecords|tests|benchmarks|docs)/[\w/.-]+)`", text):
            assert (ROOT / path).exists(), f"{page.name}: {path}"
