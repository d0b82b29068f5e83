"""Several devices of one process, and clusters that cannot be; see also contract/test_workers."""

import json
import os
import subprocess
import sys

import pytest

from tests import commands

pytestmark = pytest.mark.full


def two_devices(*words) -> dict:
    command = [sys.executable, "-m", "tests.two_devices", *words]
    done = subprocess.run(command, cwd=commands.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("words", [("random",), ("shift",), ("large",)])
def test_devices_draw_other_masks_and_stay_equal(words):
    found = two_devices(*words)
    # A large network's update is compiled; nothing is random here, and the clips are equal.
    assert (found["losses"][0] != found["losses"][1]) == (words != ("large",))
    assert found["equal"]
    assert found["compared"] > 50


def test_nothing_else_tells_devices_apart():
    # The control: equal clips, and masks that know of no device.
    first, second = two_devices("random", "unsalted")["losses"]
    assert first == second


def test_a_wrong_cluster_is_one_line(tmp_path):
    for environment, words, message in (
        ("{", ["--run-dir", tmp_path / "r"], "TF_CONFIG cannot be read"),
        ('{"cluster": {"ps": ["a:1"], "worker": ["b:1"]}}', [], "TF_CONFIG"),
    ):
        process = commands.training_process(
            "--data", "d", *words, env={**os.environ, "TF_CONFIG": environment}
        )
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 2
        (line,) = [line for line in errors.splitlines() if line.startswith("error:")]
        assert message in line
    assert not (tmp_path / "r").exists()
