"""ESC-10 from random weights: the five given folds, settings chosen without the tested fold.

    python benchmarks/esc10.py --data ESC-10 --network MobileNetV1 --output esc10

What is tried is in `CANDIDATES`. For each tested fold one is chosen by trainings that neither
learn from that fold nor look at it (`JURIES`): its accuracy on the clips that they left out
decides. Then the network learns from the other four folds with the chosen settings, and the tested
fold is heard once. Prints every choice, the accuracy of each fold with its interval, and the time.
A killed run goes on when it is repeated.
"""

import argparse
import dataclasses
import json
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from panns_tf.training.allocator import spare_memory
from tfrecords.quiet import import_tensorflow_quietly

spare_memory()
import_tensorflow_quietly()

import tensorflow as tf  # noqa: E402

from panns_tf.transfer.clips import Split  # noqa: E402
from panns_tf.transfer.layouts import read_task  # noqa: E402
from panns_tf.transfer.plan import Plan  # noqa: E402
from panns_tf.transfer.report import printed, write  # noqa: E402
from panns_tf.transfer.running import Run, run  # noqa: E402
from panns_tf.transfer.settings import TransferConfig  # noqa: E402
from panns_tf.transfer.tasks import find_task  # noqa: E402
from panns_tf.transfer.told import facts_of  # noqa: E402

#: What is heard, in crops of 2.5 s: so little that two cores are enough.
FRONT_ENDS = {
    "20 ms": {"hop_size": 640},
    "40 ms": {"hop_size": 1280, "mel_bins": 32},
}
_BASE = {
    "strategy": "scratch",
    "epochs": 60,
    "min_steps": 1,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "warmup_steps": 20,
    "dropout": False,
    "spec_augment": False,
    "crop_seconds": 2.5,
}
_MIXED = {**_BASE, "mixup": "features", "time_shift": 0.5, "gain": 6.0}
CANDIDATES = {
    "plain": {**_BASE, "epochs": 40, "mixup": "none"},
    "mixup 0.3": {**_MIXED, "mixup_alpha": 0.3},
    "mixup 1, masks": {**_MIXED, "mixup_alpha": 1.0, "spec_augment": True, "epochs": 100},
    "mixup 0.3, averaged": {**_MIXED, "mixup_alpha": 0.3, "ema": 0.99, "weight_decay": 1e-2},
    "mixup 0.3, bfloat16": {**_MIXED, "mixup_alpha": 0.3, "precision": "mixed_bfloat16"},
    "plain, bfloat16": {**_BASE, "epochs": 40, "mixup": "none", "precision": "mixed_bfloat16"},
}
#: For each group of tested folds: the folds learnt from, and those listened to.
JURIES = (
    (("1", "2"), ("4", "5"), ("3",)),
    (("4", "5"), ("1", "2"), ("3",)),
    (("3",), ("1", "2"), ("4", "5")),
)


def main() -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--network", default="MobileNetV1")
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--front-end", choices=FRONT_ENDS, default="20 ms")
    parser.add_argument("--threads", type=int, help="of TensorFlow; default all cores")
    options = parser.parse_args()
    if options.threads:
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    began, cpu = time.monotonic(), time.process_time()
    task = find_task("esc10")
    collection = read_task(options.data, task)
    # Of one candidate nothing is to be chosen: it comes from the juries of another network.
    chosen = dict.fromkeys("12345", options.candidates[0])
    for tested, learnt, heard in JURIES if len(options.candidates) > 1 else ():
        scores = {}
        for name in options.candidates:
            jury = Split("jury", *(_clips(collection, folds) for folds in (learnt, heard)))
            asked = dataclasses.replace(collection, splits=(jury,))
            place = (
                options.output / "juries" / f"{options.network}-{''.join(tested)}-{_plain(name)}"
            )
            done, _ = _trained(asked, options, name, place)
            (result,) = done.results
            scores[name] = float((result.target.argmax(1) == result.score.argmax(1)).mean())
            print(f"for folds {','.join(tested)}: {name}: {scores[name]:.3f}", flush=True)
        best = max(scores, key=scores.get)
        chosen |= dict.fromkeys(tested, best)
    print(json.dumps(chosen), flush=True)
    results, facts = [], None
    for split in collection.splits:
        # A place of its own: a run's splits are part of what it is.
        place = options.output / "folds" / f"{options.network}-{split.name}"
        asked = dataclasses.replace(collection, splits=(split,))
        done, plan = _trained(asked, options, chosen[split.name], place)
        facts = facts_of(plan, done, task)
        results += done.results
    whole = dataclasses.replace(
        facts,
        settings={"chosen by fold": json.dumps(chosen), "front end": options.front_end},
        comparable=False,
    )
    write(options.output / options.network, whole, results)
    print("\n".join(printed(whole, results)))
    minutes = [result.seconds / 60 for result in results]
    print(f"training of a fold: {statistics.median(minutes):.1f} min (median)")
    whole_time, cpu_time = time.monotonic() - began, time.process_time() - cpu
    print(f"all: {whole_time / 60:.1f} min, CPU {cpu_time / 60:.1f} min")


def _trained(collection, options, name: str, place: Path) -> tuple[Run, Plan]:
    plan = Plan(
        collection=collection,
        arch=options.network,
        weights=None,
        overrides=FRONT_ENDS[options.front_end],
        config=TransferConfig(**CANDIDATES[name]),
        clip_seconds=5.0,
        metric="accuracy",
        save_models=False,
    )
    place.mkdir(parents=True, exist_ok=True)
    return run(plan, place, None, place, quiet=True, say=lambda line: None), plan


def _clips(collection, folds: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(n for n, clip in enumerate(collection.clips) if clip.fold in folds)


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


if __name__ == "__main__":
    main()
