"""ESC-10 from random weights: the five given folds, settings chosen without the tested fold.

    python benchmarks/esc10.py --data ESC-10 --network MobileNetV1 Cnn6 --output esc10

What is tried is in `CANDIDATES`. For each tested fold one is chosen by trainings that neither
learn from that fold nor look at it (`JURIES`): its accuracy on the clips that they left out
decides. Then the network learns from the other four folds with the chosen settings, and the tested
fold is heard once. Prints every choice, the accuracy of each fold with its interval, and the time;
of several networks also what they say together, the mean of their probabilities.
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

from panns_tf.inference.commands.options import quiet

quiet()

import tensorflow as tf  # noqa: E402

from panns_tf.models import find  # noqa: E402
from panns_tf.transfer.clips import Collection, Split  # noqa: E402
from panns_tf.transfer.layouts import read_task  # noqa: E402
from panns_tf.transfer.plan import Plan  # noqa: E402
from panns_tf.transfer.report import printed, write  # noqa: E402
from panns_tf.transfer.results import FoldResult  # noqa: E402
from panns_tf.transfer.run_info import RunInfo  # noqa: E402
from panns_tf.transfer.running import Run, run  # noqa: E402
from panns_tf.transfer.settings import TransferConfig  # noqa: E402
from panns_tf.transfer.tasks import find_task  # noqa: E402
from panns_tf.transfer.told import facts_of  # noqa: E402

#: What is heard, in crops of 2.5 s: so little that two cores are enough.
FRONT_ENDS = {
    "20 ms": {"hop_size": 640},
    "40 ms": {"hop_size": 1280, "mel_bins": 32},
    "its own": {},  # for networks that hear the waveform
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
    parser.add_argument("--network", nargs="+", default=["MobileNetV1"])
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--front-end", choices=FRONT_ENDS, help="of all; default: heard_by")
    parser.add_argument("--threads", type=int, help="of TensorFlow; default all cores")
    options = parser.parse_args()
    if options.threads:
        tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        tf.config.threading.set_inter_op_parallelism_threads(options.threads)
    began, cpu = time.monotonic(), time.process_time()
    collection = read_task(options.data, find_task("esc10"))
    tested = []
    for network in options.network:
        trial = Trial(collection, network, options.front_end or heard_by(network), options.output)
        chosen = trial.choose(options.candidates)
        print(json.dumps(chosen), flush=True)
        tested.append(trial.test(chosen))
        facts, results = tested[-1]
        write(options.output / network, facts, results)
        print("\n".join(printed(facts, results)))
        minutes = [result.seconds / 60 for result in results]
        print(f"training of a fold: {statistics.median(minutes):.1f} min (median)", flush=True)
    if len(tested) > 1:
        together = [_mean(folds) for folds in zip(*(rows for _, rows in tested), strict=True)]
        names = " + ".join(options.network)
        facts = dataclasses.replace(tested[0][0], arch=names)
        write(options.output / "+".join(options.network), facts, together)
        print("\n".join(printed(facts, together)))
    whole_time, cpu_time = time.monotonic() - began, time.process_time() - cpu
    print(f"all: {whole_time / 60:.1f} min, CPU {cpu_time / 60:.1f} min")


def heard_by(network: str) -> str:
    """What a network hears unless told otherwise, one of `FRONT_ENDS`."""
    row = find(network)
    if "log_mel" not in row.inputs:
        return "its own"
    # MobileNets halve what they hear five times, which leaves one of 32 bins.
    return "20 ms" if row.body.startswith("mobilenet") else "40 ms"


@dataclasses.dataclass(frozen=True)
class Trial:
    """What one network makes of ESC-10.

    Args:
        collection: the clips and folds.
        network: its name.
        front_end: one of `FRONT_ENDS`.
        output: the folder of all trainings.
    """

    collection: Collection
    network: str
    front_end: str
    output: Path

    def choose(self, candidates: list[str]) -> dict[str, str]:
        """Returns the candidate for each tested fold, which has no part in the choice."""
        # Of one candidate nothing is to be chosen: it comes from the juries of another network.
        chosen = dict.fromkeys("12345", candidates[0])
        for tested, learnt, heard in JURIES if len(candidates) > 1 else ():
            scores = {}
            for name in candidates:
                jury = Split("jury", self._clips(learnt), self._clips(heard))
                place = f"juries/{self.network}-{''.join(tested)}-{_plain(name)}"
                (result,) = self._trained(jury, name, place)[0].results
                scores[name] = float((result.target.argmax(1) == result.score.argmax(1)).mean())
                print(f"for folds {','.join(tested)}: {name}: {scores[name]:.3f}", flush=True)
            chosen |= dict.fromkeys(tested, max(scores, key=scores.get))
        return chosen

    def test(self, chosen: dict[str, str]) -> tuple[RunInfo, list[FoldResult]]:
        """Trains on four folds and tests on the fifth, for each."""
        results = []
        for split in self.collection.splits:
            # A place of its own: a run's splits are part of what it is.
            place = f"folds/{self.network}-{split.name}"
            done, plan = self._trained(split, chosen[split.name], place)
            results += done.results
        facts = dataclasses.replace(
            facts_of(plan, done, find_task("esc10")),
            settings={"chosen by fold": json.dumps(chosen), "front end": self.front_end},
            comparable=False,
        )
        return facts, results

    def _trained(self, split: Split, candidate: str, place: str) -> tuple[Run, Plan]:
        plan = Plan(
            collection=dataclasses.replace(self.collection, splits=(split,)),
            arch=self.network,
            weights=None,
            overrides=FRONT_ENDS[self.front_end],
            config=TransferConfig(**CANDIDATES[candidate]),
            clip_seconds=5.0,
            metric="accuracy",
            save_models=False,
        )
        folder = self.output / place
        folder.mkdir(parents=True, exist_ok=True)
        return run(plan, folder, None, folder, quiet=True, say=lambda line: None), plan

    def _clips(self, folds: tuple[str, ...]) -> tuple[int, ...]:
        return tuple(n for n, clip in enumerate(self.collection.clips) if clip.fold in folds)


def _mean(results: tuple[FoldResult, ...]) -> FoldResult:
    """What several networks say of a fold together: the mean of their probabilities."""
    return dataclasses.replace(
        results[0],
        score=sum(result.score for result in results) / len(results),
        seconds=sum(result.seconds for result in results),
        notes=(),  # each network's are told with it
    )


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)


if __name__ == "__main__":
    main()
