"""Trains a network of the paper.

    python train.py --arch wavegram_logmel                       # a demo on synthetic sounds
    python train.py --arch cnn14 --data packed/train --eval-data packed/eval

Without --data it makes its own demo set. With --data it follows the paper's recipe: batches of 32
mixed pairs, class-balanced draws, Adam (amsgrad) at 1e-3, binary cross-entropy.
"""

import argparse
import dataclasses
import json
import shlex
import time
from pathlib import Path

from tfrecords.quiet import import_tensorflow_quietly

import_tensorflow_quietly()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from panns_tf import commands  # noqa: E402
from panns_tf.config import CHOICES, TrainConfig  # noqa: E402
from panns_tf.inference.export import export_saved_model  # noqa: E402
from panns_tf.models import create_model, find  # noqa: E402
from panns_tf.training import demo  # noqa: E402
from panns_tf.training.evaluation import check_records, write_report  # noqa: E402
from panns_tf.training.trainer import NotFiniteError, Trainer, describe  # noqa: E402
from tfrecords import load_index, read_black_list  # noqa: E402
from tfrecords.decimate import check_decimation  # noqa: E402

#: What a resumed run may change: how long it goes on and how often it looks up.
RESUMABLE = (
    "run_dir",
    "steps",
    "eval_steps",
    "log_steps",
    "checkpoint_minutes",
    "checkpoint_steps",
    "keep_checkpoints",
    "damaged",
    "cache",
)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line; only flags that were given become attributes."""
    default = TrainConfig()
    parser = argparse.ArgumentParser(
        description="Train a network of the paper. Without --data: a demo on synthetic sounds.",
        argument_default=argparse.SUPPRESS,
    )
    add = parser.add_argument
    add("--arch", help=f"the network, e.g. wavegram_logmel or cnn14; default {default.arch}")
    add("--data", help="directory of packed training records (python -m tfrecords pack)")
    add("--eval-data", help="directory of packed held-out records")
    add("--run-dir", help="where to write; default runs/<network>-<time>")
    add("--resume", action="store_true", help="continue the run in --run-dir")
    add("--steps", type=int, help=f"updates; default {default.steps}, demo fewer")
    add("--batch-size", type=int, help="clips per update, after mixing; default 32, demo fewer")
    add("--learning-rate", type=float, help=f"constant; default {default.learning_rate}")
    add("--sampling", choices=CHOICES["sampling"], help=f"default {default.sampling}")
    add("--exclude", help="file that lists clips never to be drawn, e.g. a black list")
    add("--fraction", type=float, help="train on this part of the clips; default 1")
    add(
        "--decimation",
        choices=CHOICES["decimation"],
        help="records of a higher sample rate than the network's: low-passed (default), or every "
        "k-th sample as in the reference",
    )
    add("--damaged", choices=CHOICES["damaged"], help="at a damaged record; default raise")
    add("--cache", help="folder on a local disk that keeps what is read of records far away")
    add("--mixup", choices=CHOICES["mixup"], help=f"where to mix; default {default.mixup}")
    flag = argparse.BooleanOptionalAction
    add("--dropout", action=flag, help="default on")
    add("--spec-augment", action=flag, help="mask stripes of the log-mel; default on")
    add("--precision", choices=CHOICES["precision"], help=f"default {default.precision}")
    add("--xla", choices=CHOICES["xla"], help="compile the step; default auto: on a GPU")
    add("--seed", type=int, help=f"default {default.seed}, the reference's")
    add("--eval-steps", type=int, help=f"updates between evaluations; default {default.eval_steps}")
    add("--log-steps", type=int, help=f"updates between log lines; default {default.log_steps}")
    add("--checkpoint-minutes", type=float, help=f"default {default.checkpoint_minutes}")
    add("--checkpoint-steps", type=int, help="updates between checkpoints, besides by minutes")
    add("--keep-checkpoints", type=int, help=f"default {default.keep_checkpoints}")
    return parser.parse_args(arguments)


def configure(given: dict, resume: bool) -> TrainConfig:
    """Returns the configuration of a new run, or of the one to resume.

    Raises:
        ValueError: a run is there and not to be resumed, or the other way round; a resumed run
            with other settings; an unknown network.
    """
    if resume:
        if "run_dir" not in given:
            raise ValueError("--resume needs --run-dir, the directory of the run to continue")
        path = Path(given["run_dir"]) / "config.json"
        if not path.is_file():
            raise ValueError(f"--resume: no run in {given['run_dir']}: it has no config.json")
        try:
            saved = TrainConfig(**json.loads(path.read_text())["config"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"--resume: {path} is damaged: {error!r}") from error
        if "arch" in given:
            given["arch"] = find(given["arch"]).name
        changed = [
            f"{name} was {getattr(saved, name)!r}, now {value!r}"
            for name, value in given.items()
            if name not in RESUMABLE and value != getattr(saved, name)
        ]
        if changed:
            raise ValueError(f"--resume with other settings: {'; '.join(changed)}; leave them out")
        if saved.demo:  # its data lies within the run, which may have moved
            given |= demo.data_paths(Path(given["run_dir"]))
        return dataclasses.replace(saved, **given)
    given["arch"] = find(given.get("arch", TrainConfig.arch)).name
    if "run_dir" not in given:
        stamp = time.strftime("%Y%m%d-%H%M%S")
        given["run_dir"] = str(Path("runs") / f"{given['arch'].lower()}-{stamp}")
    run_dir = Path(given["run_dir"])
    if (run_dir / "config.json").exists() or (run_dir / "checkpoints").exists():
        raise ValueError(
            f"{run_dir} already holds a run; add --resume to continue it, or choose another"
        )
    if "data" not in given:
        if "eval_data" in given:
            raise ValueError("--eval-data needs --data; without both the demo makes its own")
        return TrainConfig(**{**demo.DEFAULTS, **demo.data_paths(run_dir), "demo": True, **given})
    return TrainConfig(**given)


def write_config(config: TrainConfig, labels: tuple[str, ...]) -> None:
    """Writes ``config.json``: the settings, the classes and the versions."""
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    content = {"config": dataclasses.asdict(config), "labels": labels, "versions": versions}
    path = Path(config.run_dir) / "config.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    began = time.monotonic()
    given = vars(parse(arguments))
    resume = given.pop("resume", False)
    config = configure(given, resume)
    row = find(config.arch)
    run_dir = Path(config.run_dir)
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        # A resumed run repeats the bits of one that was never killed.
        tf.config.experimental.enable_op_determinism()
    device = f"{len(gpus)} GPU" if gpus else "CPU"
    print(f"{row.name}, {config.precision}, on the {device}. Run directory: {run_dir}")
    if config.demo:
        print("No --data given: a demo on synthetic sounds. It shows that training works;")
        print("it is not AudioSet, and its figures compare with no published ones.")
        demo.make_demo_data(run_dir, row.frontend.sample_rate, config.seed)
    # Everything that can be wrong with the data is found before the run directory is touched.
    index = load_index(config.data)
    info = index.info
    rate, classes = row.frontend.sample_rate, info.classes
    check_records(info, rate, None, len(classes), config.data)
    check_decimation(info.sample_rate, rate, config.decimation)
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
    run_dir.mkdir(parents=True, exist_ok=True)

    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    network = create_model(
        row.name,
        num_classes=len(classes),
        dropout=config.dropout,
        spec_augment=config.spec_augment,
    )
    network.labels = classes
    print(
        f"{len(left)} training clips of {info.clip_seconds:g} s in {len(classes)} classes, "
        f"{config.sampling} sampling; {network.count_params():,} parameters; "
        f"{config.steps} steps of {config.batch_size} clips, mixup {config.mixup}."
    )
    trainer = Trainer(config, network)
    if resume:
        trainer.restore()
        if trainer.step > config.steps:
            raise ValueError(
                f"--steps {config.steps}: the run is at step {trainer.step} already; give more"
            )
    write_config(config, classes)
    try:
        trainer.train()
    except KeyboardInterrupt:
        again = shlex.join(["python", "train.py", "--run-dir", str(run_dir), "--resume"])
        raise KeyboardInterrupt(again) from None
    saved_model = export_saved_model(network, run_dir / "saved_model")
    report(trainer, saved_model, time.monotonic() - began)


def report(trainer: Trainer, saved_model: Path, seconds: float) -> None:
    """Prints what came out and where everything is."""
    run_dir = trainer.run_dir
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
    commands.run(main, (NotFiniteError,))
