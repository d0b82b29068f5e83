"""Packing in other processes: decoders that crash or hang, packers that are killed, full disks."""

import csv
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.hostile import hostile_inputs
from tests.tfrecords.test_pack import contents
from tfrecords import load_index, pack_clips, verify_directory

ROOT = Path(__file__).parents[2]

# Python runs this file of any child: decoding is slow, and some files are the end of it.
SPOILT_DECODER = """
import ctypes, os, time
from pathlib import Path
import tfrecords.shard as module

decode = module.decode_clip

def spoilt(path, *arguments):
    name = Path(path).name
    time.sleep({seconds})
    if name in {crash}:
        ctypes.string_at(0)
    if name in {hang}:
        time.sleep(1000)
    if name in {crash_once} and not Path({marker!r}).exists():
        Path({marker!r}).touch()
        os.kill(os.getpid(), 9)
        time.sleep(10)  # the signal may come a moment later
    return decode(path, *arguments)

module.decode_clip = spoilt
"""


@pytest.fixture
def in_children(tmp_path, monkeypatch):
    """Has every Python process that is started run some lines first."""

    def prepare(text: str) -> None:
        folder = tmp_path / "sitecustomize"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), str(ROOT))))

    return prepare


@pytest.fixture
def spoil(tmp_path, in_children):
    def spoil(seconds=0.0, crash=(), hang=(), crash_once=()):
        values = {"seconds": seconds, "crash": crash, "hang": hang, "crash_once": crash_once}
        in_children(SPOILT_DECODER.format(**values, marker=str(tmp_path / "crashed")))

    return spoil


def rejected(folder: Path) -> dict[str, str]:
    with (folder / "rejected.csv").open(encoding="utf-8") as file:
        return {row["clip_id"]: row["reason"] for row in csv.DictReader(file)}


@pytest.mark.full
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


@pytest.mark.full
def test_deaths_that_are_no_clips_fault(source, packed, tmp_path, settings, spoil, in_children):
    spoil(crash_once=("clip_011.wav",))
    pack_clips(settings(source, tmp_path / "once", workers=2), progress=False)
    assert (tmp_path / "crashed").exists()
    assert contents(tmp_path / "once") == contents(packed)
    (tmp_path / "crashed").unlink()
    in_children(
        "import os, pathlib\n"
        f"marker = pathlib.Path({str(tmp_path / 'crashed')!r})\n"
        "if not marker.exists():\n    marker.touch()\n    os.kill(os.getpid(), 9)\n"
    )
    pack_clips(settings(source, tmp_path / "start", workers=2), progress=False)
    assert contents(tmp_path / "start") == contents(packed)
    in_children(
        "import os, time\nfsync = os.fsync\nos.fsync = lambda file: (time.sleep(1), fsync(file))\n"
    )
    options = settings(source, tmp_path / "stalls", workers=2, clip_timeout=0.5)
    pack_clips(options, progress=False)
    assert contents(tmp_path / "stalls") == contents(packed)
    in_children("import os; os._exit(3)")
    with pytest.raises(OSError, match="the processes that pack it die"):
        pack_clips(settings(source, tmp_path / "out", workers=2), progress=False)


def command(source: Path, output: Path) -> list[str]:
    text = f"-m tfrecords pack --metadata {source}/metadata.csv --audio {source}/audio --output"
    options = "--sample-rate 8000 --clip-seconds 0.25 --clips-per-shard 4 --workers 2"
    return [sys.executable, *text.split(), str(output), *options.split()]


def run(words: list[str], **options) -> subprocess.CompletedProcess:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, **options)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        if time.monotonic() > deadline:
            pytest.fail(f"{path} did not appear")
        time.sleep(0.01)


@pytest.mark.full
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
        if packer.returncode == 0:
            break
        # What was finished stays finished.
        shards = len(list((tmp_path / "out").glob("[!.]*.tfrecord")))
        assert shards >= finished_shards
        finished_shards = shards
    again = run(words)
    assert again.returncode == 0, again.stderr
    assert kills
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert verify_directory(tmp_path / "out") == []


@pytest.mark.full
def test_two_packers_and_an_interrupt(source, tmp_path, spoil):
    spoil(seconds=0.05)
    packer = subprocess.Popen(
        command(source, tmp_path / "out"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background of a shell they ignore it, and so would the packer.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        wait_for(tmp_path / "out" / ".packing" / "plan.json")
        second = run(command(source, tmp_path / "out"))
        assert second.returncode == 2
        assert "another packer is at work in" in second.stderr.splitlines()[-1]
        packer.send_signal(signal.SIGINT)
        _, errors = packer.communicate(timeout=30)
    finally:
        packer.kill()
    assert packer.returncode == 130
    assert "interrupted; continue with: the same command" in errors
    assert not list((tmp_path / "out").glob(".*.tmp"))
    assert run(command(source, tmp_path / "out")).returncode == 0
    assert verify_directory(tmp_path / "out") == []


@pytest.mark.full
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


def test_spoilt_files_are_packed_or_refused_with_a_reason(tmp_path, settings):
    paths = [path for path in hostile_inputs(tmp_path / "audio", 700, 1) if path.suffix != ".raw"]
    names = list(dict.fromkeys(path.name for path in paths if path.name.isascii()))
    names = [
        name for name in names if name.isprintable() and name.strip() == name and "\0" not in name
    ]
    rows = "\n".join(f"{name},{'ab'[number % 2]}" for number, name in enumerate(names))
    (tmp_path / "metadata.csv").write_text(f"filename,labels\n{rows}\n")
    options = settings(tmp_path, tmp_path / "out", clips_per_shard=300, workers=2)
    report = pack_clips(options, progress=False)
    refused = rejected(tmp_path / "out")
    packed = {clip_id.decode() for clip_id in load_index(tmp_path / "out").clip_ids}
    assert packed | set(refused) == set(names)
    assert all(0 < len(reason) < 80 and "\n" not in reason for reason in refused.values())
    assert report.rejected == Counter(refused.values())
    assert not {"crashes the decoder", "hangs the decoder"} & set(refused.values())
    # Both occur, and whole files are not refused.
    assert min(len(packed), len(refused)) > len(names) / 5
    assert {"16.wav", "x.flac", "x.mp3", "loud.wav", "silence.wav"} <= packed
    assert refused["nan.wav"] == refused["infinite.wav"] == "not finite"
    assert refused["none.wav"] == "empty"
    assert verify_directory(tmp_path / "out") == []
