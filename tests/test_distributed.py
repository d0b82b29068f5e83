"""Several devices and several processes of one job, each test in processes of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def two_devices(*words) -> dict:
    command = [sys.executable, "-m", "tests.two_devices", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("words", [("random",), ("shift",), ("random", "other")])
def test_devices_draw_other_masks_and_stay_equal(words):
    found = two_devices(*words)
    assert found["losses"][0] != found["losses"][1]
    assert found["equal"]
    assert found["compared"] > 50


def test_nothing_else_tells_devices_apart():
    # The controls: equal clips, and no masks, or masks that know of no device.
    for words in ((), ("random", "unsalted")):
        first, second = two_devices(*words)["losses"]
        assert first == second


def flags(data, run_dir, *more) -> list[str]:
    words = f"--arch tiny --data {data}/train --eval-data {data}/eval --run-dir {run_dir}"
    settings = "--steps 20 --batch-size 4 --eval-steps 10 --log-steps 5"
    return [*words.split(), *settings.split(), *more]


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ("{", ["--run-dir", "r"], "TF_CONFIG cannot be read"),
        ('{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}}', [], "TF_CONFIG"),
    ],
)
def test_a_wrong_cluster_is_one_line(data, tmp_path, environment, arguments, message):
    done = subprocess.run(
        [sys.executable, "-m", "tests.tiny_worker", *flags(data, tmp_path / "r"), *arguments],
        cwd=ROOT,
        env={**os.environ, "TF_CONFIG": environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert message in line
    assert not (tmp_path / "r").exists()
