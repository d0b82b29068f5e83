"""Packing by child processes: decoders that crash or hang, packers that are killed, full disks."""

import csv
import os
import random
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tfrecords.packing import contents, pack_but_for
from tfrecords import load_index, pack_clips, verify_directory
from tfrecords.storage import TFRecordsError

ROOT = Path(__file__).parents[2]

# Python runs this file of any child: decoding is slow, and some files are the end of it.
SPOILT_DECODER = """
import os, time
from pathlib import Path
import tfrecords.shard as module

decode = module.decode_clip

def spoilt(path, *arguments):
    name = Path(path).name
    time.sleep({seconds})
    if name in {crash}:
        os.kill(os.getpid(), 11)
    if name in {hang}:
        time.sleep(1000)
    if name in {crash_once} and not Path({marker!r}).exists():
        Path({marker!r}).touch()
        os.kill(os.getpid(), 9)
    return decode(path, *arguments)

module.decode_clip = spoilt
"""


@pytest.fixture
def spoil(tmp_path, monkeypatch):
    def spoil(seconds=0.0, crash=(), hang=(), crash_once=()):
        folder = tmp_path / "spoilt"
        folder.mkdir(exist_ok=True)
        text = SPOILT_DECODER.format(
            seconds=seconds,
            crash=crash,
            hang=hang,
            crash_once=crash_once,
            marker=str(tmp_path / "crashed"),
        )
        (folder / "sitecustomize.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), str(ROOT))))

    return spoil


def rejected(folder: Path) -> dict[str, str]:
    with (folder / "rejected.csv").open() as file:
        return {row["clip_id"]: row["reason"] for row in csv.DictReader(file)}


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_clips_that_crash_or_hang_the_decoder_are_refused(
    source, tmp_path, settings, spoil, workers
):
    spoil(crash=("clip_005.wav", "clip_006.wav"), hang=("clip_033.wav",))
    changes = {"workers": workers, "clip_timeout": 1.5}
    report = pack_clips(settings(source, tmp_path / "out", **changes), progress=False)
    assert rejected(tmp_path / "out") == {
        "clip_005.wav": "crashes the decoder",
        "clip_006.wav": "crashes the decoder",
        "clip_033.wav": "hangs the decoder",
    }
    assert report.info.num_clips == 57
    assert verify_directory(tmp_path / "out") == []


def test_a_worker_that_is_killed_once_costs_no_clip(source, packed, tmp_path, settings, spoil):
    spoil(crash_once=("clip_011.wav",))
    pack_clips(settings(source, tmp_path / "out", workers=2), progress=False)
    assert (tmp_path / "crashed").exists()
    assert contents(tmp_path / "out") == contents(packed)


def test_workers_that_cannot_start_are_no_clips_fault(source, tmp_path, settings, monkeypatch):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text("import os; os._exit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
    with pytest.raises(OSError, match="the processes that pack it die"):
        pack_clips(settings(source, tmp_path / "out", workers=2), progress=False)


def test_a_disk_that_stalls_is_no_clips_fault(source, packed, tmp_path, settings, monkeypatch):
    folder = tmp_path / "stalls"
    folder.mkdir()
    text = (
        "import os, time\nfsync = os.fsync\nos.fsync = lambda file: (time.sleep(1), fsync(file))\n"
    )
    (folder / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), str(ROOT))))
    options = settings(source, tmp_path / "out", workers=2, clip_timeout=0.5)
    pack_clips(options, progress=False)
    assert contents(tmp_path / "out") == contents(packed)


def test_a_worker_that_is_killed_at_its_start_costs_nothing(
    source, packed, tmp_path, settings, monkeypatch
):
    folder = tmp_path / "killed"
    folder.mkdir()
    marker = tmp_path / "died"
    text = f"""
import os
from pathlib import Path
if not Path({str(marker)!r}).exists():
    Path({str(marker)!r}).touch()
    os.kill(os.getpid(), 9)
"""
    (folder / "sitecustomize.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), str(ROOT))))
    pack_clips(settings(source, tmp_path / "out", workers=2), progress=False)
    assert marker.exists()
    assert contents(tmp_path / "out") == contents(packed)


def command(source: Path, output: Path) -> list[str]:
    text = f"-m tfrecords pack --metadata {source}/metadata.csv --audio {source}/audio --output"
    options = "--sample-rate 8000 --clip-seconds 0.25 --clips-per-shard 4 --workers 2"
    return [sys.executable, *text.split(), str(output), *options.split()]


def run(words: list[str], **options) -> subprocess.CompletedProcess:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, **options)


def test_killed_at_any_moment_and_started_again(source, tmp_path, spoil):
    spoil(seconds=0.02)
    words = command(source, tmp_path / "out")
    whole = run(command(source, tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr
    rng = random.Random(0)
    kills = finished_shards = 0
    while kills < 6:
        packer = subprocess.Popen(words, cwd=ROOT, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0.2, 0.9))
        packer.kill()
        kills += packer.wait() == -signal.SIGKILL
        assert not (tmp_path / "out" / "dataset.json").exists() or kills == 6
        if packer.returncode == 0:
            break
        # What was finished stays finished.
        shards = len(list((tmp_path / "out").glob("*.tfrecord")))
        assert shards >= finished_shards
        finished_shards = shards
    again = run(words)
    assert again.returncode == 0, again.stderr
    assert kills
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert verify_directory(tmp_path / "out") == []


def test_interrupted_says_how_to_go_on(source, packed, tmp_path, spoil):
    spoil(seconds=0.05)
    packer = subprocess.Popen(
        command(source, tmp_path / "out"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background of a shell they ignore it, and so would the packer.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_for(tmp_path / "out" / ".packing" / "plan.json")
    packer.send_signal(signal.SIGINT)
    _, errors = packer.communicate(timeout=30)
    assert packer.returncode == 130
    assert "interrupted; continue with: the same command" in errors
    assert not list((tmp_path / "out").glob(".*.tmp"))


def test_two_packers_on_one_output(source, tmp_path, spoil):
    spoil(seconds=0.05)
    first = subprocess.Popen(command(source, tmp_path / "out"), cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_for(tmp_path / "out" / ".packing" / "plan.json")
        second = run(command(source, tmp_path / "out"))
        assert second.returncode == 2
        assert "another packer is at work in" in second.stderr.splitlines()[-1]
        assert first.wait(timeout=60) == 0
    finally:
        first.kill()
    assert verify_directory(tmp_path / "out") == []


def test_no_room_in_the_middle_of_a_shard(source, tmp_path):
    def little_room():
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    words = command(source, tmp_path / "out")
    full = run(words, preexec_fn=little_room)
    assert full.returncode == 2
    errors = [line for line in full.stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "too large" in errors[0]
    assert "Traceback" not in full.stderr
    assert not list((tmp_path / "out").glob("*.tfrecord"))
    assert not list((tmp_path / "out").glob(".*.tmp"))
    assert run(words).returncode == 0
    assert verify_directory(tmp_path / "out") == []


def test_unfinished_packing_of_something_else(source, tmp_path, settings):
    pack_but_for("_finish", settings(source, tmp_path / "out"))
    with pytest.raises(TFRecordsError, match=r"clip_samples was 2000, now 1600"):
        pack_clips(settings(source, tmp_path / "out", clip_seconds=0.2), progress=False)
    exclude = ("clip_001.wav",)
    with pytest.raises(TFRecordsError, match=r"\(other clips\)"):
        pack_clips(settings(source, tmp_path / "out", exclude=exclude), progress=False)
    pack_clips(settings(source, tmp_path / "out"), progress=False)
    assert load_index(tmp_path / "out").num_clips == 60


def test_a_shard_that_changed_since_is_packed_again(source, packed, tmp_path, settings):
    pack_but_for("_finish", settings(source, tmp_path / "out"))
    shards = sorted((tmp_path / "out").glob("*.tfrecord"))
    shards[0].unlink()
    shards[1].write_bytes(b"short")
    (tmp_path / "out" / ".packing" / f"{shards[2].name}.json").write_text("{")
    pack_clips(settings(source, tmp_path / "out"), progress=False)
    assert contents(tmp_path / "out") == contents(packed)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        if time.monotonic() > deadline:
            pytest.fail(f"{path} did not appear")
        time.sleep(0.01)
