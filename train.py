"""Trains a network of the paper.

    python train.py --arch wavegram_logmel                       # a demo on synthetic sounds
    python train.py --arch cnn14 --data packed/train --eval-data packed/eval

Without --data it makes its own demo set. With --data it follows the paper's recipe: batches of 32
mixed pairs, class-balanced draws, Adam (amsgrad) at 1e-3, binary cross-entropy. All GPUs of the
machine are used, and those of the others that TF_CONFIG names.
"""

import dataclasses
import json
import shlex
import time
from pathlib import Path

from panns_tf.training.allocator import spare_memory
from tfrecords.quiet import import_tensorflow_quietly

spare_memory()
import_tensorflow_quietly()

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from panns_tf import commands  # noqa: E402
from panns_tf.config import TrainConfig  # noqa: E402
from panns_tf.inference.export import export_saved_model  # noqa: E402
from panns_tf.models import Network  # noqa: E402
from panns_tf.training import demo  # noqa: E402
from panns_tf.training.board import Board  # noqa: E402
from panns_tf.training.distill import Teacher  # noqa: E402
from panns_tf.training.distribution import (  # noqa: E402
    Distribution,
    WorkerLostError,
    distribute,
)
from panns_tf.training.evaluation import check_records, write_report  # noqa: E402
from panns_tf.training.memory import BatchTooLargeError  # noqa: E402
from panns_tf.training.options import architecture, configure, parse  # noqa: E402
from panns_tf.training.state import NotFiniteError  # noqa: E402
from panns_tf.training.trainer import Trainer, describe  # noqa: E402
from panns_tf.weights.loading import create_model, read_network  # noqa: E402
from tfrecords import Index, load_index, read_black_list  # noqa: E402
from tfrecords.decimate import check_decimation  # noqa: E402
from tfrecords.shards import write_atomic  # noqa: E402

#: Exceptions that say it all in a line.
MISTAKES = (NotFiniteError, BatchTooLargeError, WorkerLostError)


def write_config(config: TrainConfig, index: Index, clips: np.ndarray) -> None:
    """Writes ``config.json``: the settings, the classes, how many clips of each, the versions."""
    content = {
        "config": dataclasses.asdict(config),
        "labels": index.info.classes,
        "training_clips": index.count_classes(clips).tolist(),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }
    text = json.dumps(content, indent=2) + "\n"
    write_atomic(Path(config.run_dir) / "config.json", text.encode())


def check_data(config: TrainConfig) -> tuple[Index, np.ndarray]:
    """Finds everything that can be wrong with the data, before the run directory is touched.

    Returns:
        The training clips' index, and the numbers of those that may be drawn.
    """
    rate = architecture(config).frontend.sample_rate
    index = load_index(config.data)
    classes = index.info.classes
    check_records(index.info, rate, None, len(classes), config.data)
    check_decimation(index.info.sample_rate, rate, config.decimation)
    left = index.select(read_black_list(config.exclude) if config.exclude else (), config.fraction)
    if config.sampling != "shuffled" and not index.class_counts.any():
        raise ValueError(
            f"no clip of {config.data} has a label; --sampling {config.sampling} needs some"
        )
    if config.eval_data:
        held_out = load_index(config.eval_data)
        check_records(held_out.info, rate, classes, len(classes), config.eval_data)
        counts = held_out.class_counts
        if not ((counts > 0) & (counts < held_out.num_clips)).any():
            raise ValueError(
                f"nothing can be measured on the {held_out.num_clips} clips of {config.eval_data}: "
                "no class has clips with and clips without it"
            )
    return index, left


def make_network(config: TrainConfig, classes: tuple[str, ...]) -> Network:
    """Returns the network of a run with its first weights, in its precision."""
    tf.config.experimental.enable_tensor_float_32_execution(config.precision == "tf32")
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.policy)
    network = create_model(
        config.arch,
        num_classes=len(classes),
        dropout=config.dropout,
        spec_augment=config.spec_augment,
        **config.overrides,
    )
    network.labels = classes
    return network


def check_devices(config: TrainConfig, distribution: Distribution) -> None:
    """Raises a ValueError if devices cannot share the batches of a run."""
    parts = distribution.replicas * config.accumulate
    if config.batch_size % parts:
        raise ValueError(
            f"--batch-size {config.batch_size} cannot be shared by {distribution.replicas} devices "
            f"in {config.accumulate} parts each; choose a multiple of {parts}"
        )
    if distribution.workers > 1 and config.demo:
        raise ValueError("several workers need --data: each would make a demo set of its own")


def main(arguments: list[str] | None = None) -> int | None:
    """Runs the command."""
    began = time.monotonic()
    given = vars(parse(arguments))
    resume, devices = given.pop("resume", None), given.pop("devices", None)
    distribution = distribute(devices)
    if distribution.workers > 1 and "run_dir" not in given:
        raise ValueError("several workers need --run-dir, the same one, on a disk that all see")
    config = configure(given, resume, distribution.is_chief)
    run_dir = Path(config.run_dir)
    check_devices(config, distribution)
    if not tf.config.list_physical_devices("GPU"):
        # A resumed run repeats the bits of one that was never killed.
        tf.config.experimental.enable_op_determinism()
    say = print if distribution.is_chief else (lambda line: None)
    say(
        f"{config.arch}, {config.precision}, on {distribution.describe()}. Run directory: {run_dir}"
    )
    if config.demo:
        say("No --data given: a demo on synthetic sounds. It shows that training works;")
        say("it is not AudioSet, and its figures compare with no published ones.")
        rate = architecture(config).frontend.sample_rate
        demo.make_demo_data(run_dir, rate, config.seed)
    index, clips = check_data(config)
    classes = index.info.classes
    with distribution.strategy.scope():
        teacher = None
        if config.distill:
            rate = architecture(config).frontend.sample_rate
            teacher = Teacher(config.distill, config.distill_weight, classes, rate)
        network = make_network(config, classes)
    say(
        f"{len(clips)} training clips of {index.info.clip_seconds:g} s in {len(classes)} classes, "
        f"{config.sampling} sampling; {network.count_params():,} parameters; "
        f"{config.steps} steps of {config.batch_size} clips, mixup {config.mixup}."
    )
    own = {"cache": None}  # each worker may have a disk of its own
    distribution.check_same({**dataclasses.asdict(config), **own, "classes": classes})
    trainer = Trainer(config, network, distribution, teacher=teacher, say=say)
    board = Board(trainer, index.count_classes(clips), say)
    if resume:
        trainer.restore()
        if trainer.step > config.steps:
            raise ValueError(
                f"--steps {config.steps}: the run is at step {trainer.step} already; give more"
            )
    if distribution.is_chief:
        run_dir.mkdir(parents=True, exist_ok=True)
        write_config(config, index, clips)
        trainer.callbacks.append(board)
    again = shlex.join(["python", "train.py", "--run-dir", str(run_dir), "--resume"])
    try:
        stopped = trainer.train()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(again) from None
    if stopped:
        say(f"Stopped at step {trainer.step}, with a checkpoint; continue with: {again}")
    elif distribution.is_chief:
        report(trainer, time.monotonic() - began)


def report(trainer: Trainer, seconds: float) -> None:
    """Exports the network; prints what came out and where everything is."""
    run_dir = trainer.run_dir
    # As it was saved, on one device, whatever it was trained on.
    saved_model = export_saved_model(read_network(run_dir / "final.keras"), run_dir / "saved_model")
    print(f"\nDone in {seconds / 60:.1f} minutes.")
    if trainer.summary:
        print(describe(trainer.step, trainer.summary.as_dict()))
        write_report(run_dir / "evaluation", trainer.summary, trainer.network.labels, {})
        best = f"best.keras    step {trainer.best_step}, held-out mAP {trainer.best_map:.4f}"
    else:
        print("Not evaluated: no --eval-data.")
    print(f"  {run_dir / 'final.keras'}    the trained network")
    if trainer.summary:
        print(f"  {run_dir / best}")
    print(f"  {saved_model}    the trained network as a SavedModel")
    print(f"  {run_dir / 'metrics.jsonl'}    the figures by step")
    print(f"  {shlex.join(['tensorboard', '--logdir', str(run_dir / 'tensorboard')])}")


if __name__ == "__main__":
    commands.run(main, MISTAKES)
