"""ESC-10 from random weights, tested on the five given folds.

    python benchmarks/esc10.py --data ESC-10 --networks Cnn10 Cnn6 MobileNetV1 --output esc10

Every network is trained by `panns-tf finetune --strategy scratch` on four folds and tested once on
the fifth, for each of the five, with the settings that were chosen for `MobileNetV1` without the
tested folds (benchmarks/README.md says how). Prints the accuracy with its interval, and the
minutes a fold took. A killed run continues when it is repeated. Five folds take 15 to 45 minutes a
network on one core.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from common import ROOT, print_table

#: The plainest of the settings tried: with 320 clips nothing that makes learning harder pays.
SETTINGS = (
    "--strategy scratch --epochs 40 --min-steps 1 --batch-size 16 --learning-rate 1e-3 "
    "--schedule cosine --warmup-steps 20 --mixup none --no-dropout --no-spec-augment "
    "--crop-seconds 2.5 --clip-seconds 5 --no-save-models"
)
#: Front ends so small that two cores are enough; MobileNets halve their input five times, which
#: leaves one of 32 bins.
FRONT_ENDS = {
    "20 ms": ("--hop-size", "640"),
    "40 ms": ("--hop-size", "1280", "--mel-bins", "32"),
    "own": (),
}


def front_end_of(network: str) -> str:
    """The front end for a network, one of `FRONT_ENDS`."""
    from panns_tf.models.registry import find

    arch = find(network)
    if "log_mel" not in arch.inputs:
        return "own"
    return "20 ms" if arch.name.startswith("MobileNet") else "40 ms"


def main() -> None:
    """Trains, tests and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--networks", nargs="+", default=["MobileNetV1"])
    parser.add_argument("--front-end", choices=FRONT_ENDS, help="of all networks")
    parser.add_argument("--threads", type=int, help="of TensorFlow; default all cores")
    options = parser.parse_args()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if options.threads:
        names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        environment |= dict.fromkeys(names, str(options.threads))
    rows = []
    for network in options.networks:
        front_end = options.front_end or front_end_of(network)
        folder = options.output / network
        words = ["-m", "panns_tf", "finetune", "--task", "esc10", "--data", str(options.data)]
        words += ["--arch", network, "--output", str(folder), *SETTINGS.split()]
        words += FRONT_ENDS[front_end]
        subprocess.run([sys.executable, *words], env=environment, check=True)
        (record,) = json.loads((folder / "results.json").read_text())["results"]
        folds = record["folds"]
        minutes = statistics.median(fold["seconds"] for fold in folds) / 60
        rows.append(
            (
                *(network, front_end, f"{record['value']:.1%}"),
                f"{record['low']:.1%} to {record['high']:.1%}",
                ", ".join(f"{100 * fold['value']:.1f}" for fold in folds),
                f"{minutes:.1f} min",
            )
        )
        print(*rows[-1], file=sys.stderr, flush=True)
    header = ("network", "front end", "accuracy", "95 % interval", "folds", "training of a fold")
    print_table(header, rows)


if __name__ == "__main__":
    main()
