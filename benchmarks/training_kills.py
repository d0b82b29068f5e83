"""Kill -9 at random moments of one training run: the same weights in the end, to the bit.

    python benchmarks/training_kills.py

Trains a Cnn6 on synthetic clips twice with the same command: once left alone, once killed 20 times
at random moments, of start-up, updates, evaluations and saving alike, and started again with
--resume auto. All that the last checkpoints hold is compared: weights, Adam's moments, averaged
weights, random states. On a CPU every bit must be the same. Takes about ten minutes.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import ROOT

from tfrecords import synthesize_clips

#: The paper's recipe, and what else has a state.
FLAGS = (
    "--arch cnn6 --batch-size 4 --ema 0.99 --schedule cosine --warmup-steps 10 --time-shift 0.1 "
    "--gain 6 --checkpoint-steps 3 --eval-steps 25 --log-steps 1"
)


def command(folder: Path, run_dir: Path, steps: int) -> list[str]:
    """The words of train.py."""
    data = ["--data", str(folder / "train"), "--eval-data", str(folder / "eval")]
    words = [sys.executable, str(ROOT / "train.py"), *FLAGS.split(), *data]
    return [*words, "--steps", str(steps), "--run-dir", str(run_dir), "--resume", "auto"]


def state(run_dir: Path) -> dict[str, np.ndarray]:
    """What the last checkpoint holds."""
    with np.load(max((run_dir / "checkpoints").glob("*.npz"))) as file:
        return {name: file[name] for name in file.files if name != "meta"}


def kill_often(words: list[str], kills: int, longest: float, rng: random.Random) -> list[float]:
    """Starts a command again and again and kills it; returns the moments, in seconds."""
    moments, silence = [], {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    while len(moments) < kills:
        process = subprocess.Popen(words, **silence)
        moment = rng.uniform(0.5, longest)
        try:
            process.wait(timeout=moment)
            raise SystemExit(f"done after {len(moments)} kills; give more --steps")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            moments.append(moment)
    subprocess.run(words, check=True, **silence)
    return moments


def main() -> None:
    """Checks and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--longest", type=float, default=20, help="seconds a run may live")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for split, clips in (("train", 60), ("eval", 40)):
            synthesize_clips(
                folder / split, clips=clips, clip_seconds=0.5, split=split, progress=False
            )
        began = time.monotonic()
        subprocess.run(
            command(folder, folder / "alone", options.steps),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        alone = time.monotonic() - began
        words = command(folder, folder / "killed", options.steps)
        moments = kill_often(words, options.kills, options.longest, random.Random(options.seed))
        expected, found = state(folder / "alone"), state(folder / "killed")
        differing = [name for name in expected if not np.array_equal(expected[name], found[name])]
        if set(expected) != set(found) or differing:
            raise SystemExit(f"{len(differing)} of {len(expected)} variables differ: {differing}")
        print(
            f"training: {options.steps} updates in {alone:.0f} s undisturbed; killed "
            f"{len(moments)} times, {min(moments):.1f} to {max(moments):.1f} s after its start: "
            f"all {len(expected)} variables the same to the bit"
        )


if __name__ == "__main__":
    main()
