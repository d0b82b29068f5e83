"""Kill -9 at random moments of packing, reading and training: nothing lost, nothing twice.

    python benchmarks/kills.py [packing] [reading] [training]

A packer is killed 20 times and started again with the same command; the directory must come out
with the same bytes as that of a packer left alone. A reader writes down the clips it was given and
is killed 20 times, half of them in a stream of long runs; each next one starts where the list
ends, and the list must be that of one reader left alone. A training of Cnn6 is killed 20 times and
started again with --resume auto; all that the last checkpoints hold (weights, Adam's moments,
averaged weights, random states) must be the same to the bit on a CPU. Takes about fifteen minutes.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from common import ROOT, seconds_of

READER = """
import sys
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
READ = 20_000
#: The paper's recipe, and what else has a state.
TRAIN = (
    "--arch cnn6 --batch-size 4 --ema 0.99 --schedule cosine --warmup-steps 10 --time-shift 0.1 "
    "--gain 6 --checkpoint-steps 3 --eval-steps 25 --log-steps 1"
)
_SILENCE = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def start(words: Sequence[str]) -> subprocess.Popen:
    """Starts a Python command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *words], cwd=ROOT, env=environment, **_SILENCE)


def finish(words: Sequence[str]) -> None:
    """Runs a Python command to its end."""
    if start(words).wait():
        raise SystemExit(f"{' '.join(words)} failed")


def kill_often(
    what: str, words: Sequence[str], alone: float, options, undo: Callable[[], None]
) -> None:
    """Runs a command to its end, after kills at random moments.

    Args:
        what: of the command, for the report.
        words: of the command.
        alone: seconds that it takes undisturbed.
        options: with ``kills`` and ``seed``.
        undo: called where it was done before the moment came, to begin anew.
    """
    rng, moments, again = random.Random(options.seed), [], 0
    while len(moments) < options.kills:
        process, moment = start(words), rng.uniform(0.05, alone)
        try:
            process.wait(timeout=moment)
            undo()
            again += 1
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            moments.append(moment)
    finish(words)
    print(
        f"{what}: killed {len(moments)} times, {min(moments):.2f} to {max(moments):.2f} s after "
        f"its start ({alone:.2f} s undisturbed; begun anew {again} times)",
        flush=True,
    )


def packing(folder: Path, options) -> None:
    """Packs the same clips alone and under kills."""
    from tfrecords import synthesize_clips, verify_directory

    source, whole, out = (folder / name for name in ("source", "whole", "packed"))
    synthesize_clips(source, clips=1500, clip_seconds=4, clips_per_shard=10)
    text = f"-m tfrecords pack --metadata {source}/metadata.csv --audio {source}/audio "
    text += f"--labels {source}/labels.csv --clip-seconds 4 --clips-per-shard 10 --output "
    alone = seconds_of(lambda: finish([*text.split(), str(whole)]))
    words = [*text.split(), str(out)]
    kill_often("packing", words, alone, options, lambda: shutil.rmtree(out))
    contents = [{p.name: p.read_bytes() for p in each.iterdir()} for each in (whole, out)]
    if contents[0] != contents[1] or verify_directory(out):
        raise SystemExit("packing: the bytes differ")
    print("  the same bytes, verified")


def reading(folder: Path, options) -> None:
    """Reads the same records alone and under kills."""
    from tfrecords import synthesize_clips

    records = folder / "records"
    synthesize_clips(records, clips=1500, clip_seconds=0.5, clips_per_shard=10)
    for sampling in ("balanced", "streamed"):
        lists = [folder / f"{sampling}-{name}" for name in ("alone", "killed")]
        words = ["-c", READER, str(records)]
        more = [str(READ), sampling]
        alone = seconds_of(lambda w=[*words, str(lists[0]), *more]: finish(w))
        words = [*words, str(lists[1]), *more]
        kill_often(f"reading, {sampling}", words, alone, options, lists[1].unlink)
        if lists[0].read_bytes() != lists[1].read_bytes():
            raise SystemExit(f"reading, {sampling}: the clips differ")
        print(f"  the same {READ} clips in the same order")


def training(folder: Path, options) -> None:
    """Trains the same network alone and under kills."""
    from tfrecords import synthesize_clips

    for split, clips in (("train", 60), ("eval", 40)):
        synthesize_clips(folder / split, clips=clips, clip_seconds=0.5, split=split)
    words = ["train.py", *TRAIN.split(), "--data", str(folder / "train"), "--resume", "auto"]
    words += ["--eval-data", str(folder / "eval"), "--steps", str(options.steps), "--run-dir"]
    runs = [folder / name for name in ("alone", "killed")]
    alone = seconds_of(lambda: finish([*words, str(runs[0])]))
    run = [*words, str(runs[1])]
    kill_often("training", run, min(alone, 20), options, lambda: shutil.rmtree(runs[1]))
    states = []
    for each in runs:
        with np.load(max((each / "checkpoints").glob("*.npz"))) as file:
            states.append({name: file[name] for name in file.files if name != "meta"})
    if set(states[0]) != set(states[1]):
        raise SystemExit("training: other variables")
    differing = [name for name in states[0] if not np.array_equal(states[0][name], states[1][name])]
    if differing:
        raise SystemExit(f"training: {len(differing)} of {len(states[0])} variables: {differing}")
    print(f"  all {len(states[0])} variables the same to the bit")


CHECKS = {"packing": packing, "reading": reading, "training": training}


def main() -> None:
    """Checks and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", choices=[*CHECKS, []], default=list(CHECKS))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=300, help="of training")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in options.what:
        with tempfile.TemporaryDirectory() as temporary:
            CHECKS[name](Path(temporary), options)


if __name__ == "__main__":
    main()
