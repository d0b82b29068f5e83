"""Kill -9 at random moments of packing and of reading: nothing lost, nothing twice.

    python benchmarks/kills.py

A packer is killed 20 times and started again with the same command; the directory must come out
with the same bytes as that of a packer left alone. A reader writes down the clips it was given and
is killed 20 times, half of them in a stream of long runs; each next one starts where the list
ends, and the list must be that of one reader left alone. Takes about five minutes.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tfrecords.quiet import import_tensorflow_quietly  # noqa: E402

READER = """
import sys
from tfrecords.quiet import import_tensorflow_quietly
import_tensorflow_quietly()
import tfrecords
path, log, stop = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(log, "ab") as file:
    start = file.tell() // 16
    data = tfrecords.dataset(path, batch_size=4, sampling=sys.argv[4], seed=7, start=start)
    for batch in data:
        for clip_id in batch["clip_id"].numpy():
            if start == stop:
                sys.exit(0)
            file.write(clip_id.ljust(15) + b"\\n")
            file.flush()
            start += 1
"""


def contents(folder: Path) -> dict[str, bytes]:
    """Returns the files of a folder by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def kill_often(words: list[str], kills: int, rng: random.Random, longest: float, undo) -> list:
    """Runs a command, killing it so many times at random moments; returns the moments."""
    moments, nowhere = [], subprocess.DEVNULL
    while len(moments) < kills:
        process = subprocess.Popen(words, cwd=ROOT, stdout=nowhere, stderr=nowhere)
        moment = rng.uniform(0.05, longest)
        try:
            process.wait(timeout=moment)
            undo()  # it was done before the moment came: begin anew
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            moments.append(moment)
    subprocess.run(words, cwd=ROOT, stdout=nowhere, stderr=nowhere, check=True)
    return moments


def main() -> None:
    """Checks and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    import_tensorflow_quietly()
    from tfrecords import synthesize_clips, verify_directory

    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder, "source"), Path(folder, "out")
        synthesize_clips(source, clips=1500, clip_seconds=4, clips_per_shard=10, progress=False)
        text = f"-m tfrecords pack --metadata {source}/metadata.csv --audio {source}/audio "
        text += f"--labels {source}/labels.csv --clip-seconds 4 --clips-per-shard 10 --output "
        whole = Path(folder, "whole")
        began = time.monotonic()
        subprocess.run(
            [sys.executable, *text.split(), str(whole)],
            cwd=ROOT,
            check=True,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        alone = time.monotonic() - began
        words = [sys.executable, *text.split(), str(out)]
        restarts = 0

        def begin_anew() -> None:
            nonlocal restarts
            restarts += 1
            subprocess.run(["rm", "-r", str(out)], check=True)

        moments = kill_often(words, options.kills, rng, alone, begin_anew)
        if contents(out) != contents(whole) or verify_directory(out):
            raise SystemExit("packing: the bytes differ")
        print(
            f"packing: killed {len(moments)} times, {min(moments):.2f} to {max(moments):.2f} s "
            f"after its start ({alone:.2f} s undisturbed; begun anew {restarts} times when it was "
            "done before): the same bytes, verified"
        )

        for sampling in ("balanced", "streamed"):
            script = [sys.executable, "-c", READER, str(out)]
            lists = [Path(folder, f"{sampling}-{name}") for name in ("alone", "killed")]
            stop = str(20000)
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            os.environ.update(environment)
            began = time.monotonic()
            subprocess.run([*script, str(lists[0]), stop, sampling], cwd=ROOT, check=True)
            alone = time.monotonic() - began
            words = [*script, str(lists[1]), stop, sampling]
            moments = kill_often(words, options.kills // 2, rng, alone, lists[1].unlink)
            if lists[0].read_bytes() != lists[1].read_bytes():
                raise SystemExit(f"reading, {sampling}: the clips differ")
            print(
                f"reading, {sampling}: killed {len(moments)} times, {min(moments):.2f} to "
                f"{max(moments):.2f} s after its start: the same {stop} clips in the same order"
            )


if __name__ == "__main__":
    main()
