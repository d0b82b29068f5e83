"""Writes what a training writes, at once: a run to be started, killed and resumed by tests.

FAKE_FAIL and FAKE_WAIT are parts of run directories: runs there fail, or wait at step 3 for a
signal, which they obey as training does. FAKE_CALLS is a file that gets a line for every start.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

given = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
run_dir, steps = Path(given["run-dir"]), int(given["steps"])


def applies(name: str) -> bool:
    return bool(os.environ.get(name)) and os.environ[name] in str(run_dir)


def typed(value: str):
    try:
        return json.loads(value)
    except ValueError:
        return value


if "FAKE_CALLS" in os.environ:
    with Path(os.environ["FAKE_CALLS"]).open("a") as calls:
        calls.write(f"{run_dir}\n")
if applies("FAKE_FAIL"):
    print("loading\rhalf way")
    print("error: the disk is on fire\n")
    sys.exit(2)
run_dir.mkdir(parents=True, exist_ok=True)
if not (run_dir / "config.json").exists():
    config = {name.replace("-", "_"): typed(value) for name, value in given.items()}
    (run_dir / "config.json").write_text(json.dumps({"config": config}))
checkpoint = run_dir / "checkpoint"
start = int(checkpoint.read_text()) if checkpoint.exists() else 0
received = []


def receive(number, frame) -> None:
    received.append(number)


for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, receive)
for step in range(start + 1, steps + 1):
    with (run_dir / "metrics.jsonl").open("a") as log:
        log.write(json.dumps({"step": step, "loss": 1 / step}) + "\n")
    while step == 3 and applies("FAKE_WAIT") and not received:
        time.sleep(0.01)
    if received:
        checkpoint.write_text(str(step))
        sys.exit(130 if received[0] == signal.SIGINT else 0)
(run_dir / "final.keras").write_text("")
(run_dir / "evaluation").mkdir()
quality = 0.2 + 0.01 * int(given["seed"]) + 0.1 * float(given.get("gain", 0))
values = {"mAP": quality, "mAUC": 0.5 + quality / 2, "d_prime": 2 * quality, "chance_mAP": 0.1}
values |= {"num_clips": 40, "num_classes": 12, "classes_left_out": 0}
(run_dir / "evaluation" / "metrics.json").write_text(json.dumps(values))
