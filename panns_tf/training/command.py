"""What ``train`` does: checks, network, trainer, and the report at the end."""

import dataclasses
import shlex
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from panns_tf.config import TrainConfig
from panns_tf.export.saved_model import export_saved_model
from panns_tf.models.registry import find
from panns_tf.run import BEST, CONFIG, EVALUATION, FINAL, LOG, SAVED_MODEL
from panns_tf.training.callbacks import describe
from panns_tf.training.data import RecordData, make_demo_data, selection
from panns_tf.training.distribution import distribute, numerics
from panns_tf.training.evaluator import RecordEvaluator, check_records, write_report
from panns_tf.training.losses import Teacher
from panns_tf.training.recipes import configure
from panns_tf.training.tensorboard import TensorBoardImages
from panns_tf.training.trainer import Trainer
from panns_tf.weights.loading import create_model, read_network_file
from tfrecords import Index, load_index
from tfrecords.codecs import check_resample
from tfrecords.files import write_json
from tfrecords.progress import logger, show_messages


def train(given: dict, resume: str | None, devices: int | None, quiet: bool = False) -> None:
    """Trains a new run, or with ``resume`` ("always", or "auto": if there is one) continues it;
    ``given`` are settings by name, ``devices`` counts GPUs of this machine.
    """
    began = time.monotonic()
    distribution = distribute(devices)
    show_messages(quiet or not distribution.is_chief)
    if distribution.workers > 1 and "run_dir" not in given:
        raise ValueError("several workers need --run-dir, the same one, on a disk that all see")
    config = configure(given, resume, distribution.is_chief)
    arch = find(config.arch).override(**config.overrides)
    run_dir, rate = Path(config.run_dir), arch.frontend.sample_rate
    parts = distribution.replicas * config.accumulate
    if config.batch_size % parts:
        raise ValueError(
            f"--batch-size {config.batch_size} cannot be shared by {distribution.replicas} devices "
            f"in {config.accumulate} parts each; choose a multiple of {parts}"
        )
    if distribution.workers > 1 and config.demo:
        raise ValueError("several workers need --data: each would make a demo set of its own")
    if not tf.config.list_physical_devices("GPU"):
        # A resumed run repeats the bits of one that was never killed. It stays on in this process:
        # TensorFlow has no way back.
        tf.config.experimental.enable_op_determinism()
    devices_text = distribution.describe()
    logger.info(f"{config.arch}, {config.precision}, on {devices_text}. Run directory: {run_dir}")
    if config.demo:
        logger.info("No --data given: a demo on synthetic sounds. It shows that training works;")
        logger.info("it is not AudioSet, and its metrics compare with no published ones.")
        make_demo_data(run_dir, rate, config.seed)
    index, clips = check_data(config, rate)
    labels, teacher, evaluator = index.info.classes, None, None
    if config.distill:
        with distribution.strategy.scope():
            teacher = Teacher(config.distill, config.distill_weight, labels, rate)
    with numerics(config.precision, config.seed):
        with distribution.strategy.scope():
            network = create_model(
                config.arch,
                num_classes=len(labels),
                dropout=config.dropout,
                spec_augment=config.spec_augment,
                **config.overrides,
            )
        network.labels = labels
        logger.info(
            f"{len(clips)} training clips of {index.info.clip_seconds:g} s in {len(labels)} "
            f"classes, {config.sampling} sampling; {network.count_params():,} parameters; "
            f"{config.steps} steps of {config.batch_size} clips, mixup {config.mixup}."
        )
        distribution.check_same({**dataclasses.asdict(config), "classes": labels})
        data, settings = RecordData(config, rate, distribution), config
        if config.eval_data:
            evaluator = RecordEvaluator(config, network, distribution, data.note_damage)
            settings = dataclasses.replace(config, eval_steps=evaluator.eval_steps)
        more = {"evaluate": evaluator, "distribution": distribution, "teacher": teacher}
        trainer = Trainer(settings, network, data, **more)
        images = TensorBoardImages(trainer, data, evaluator, index.count_classes(clips))
        if resume:
            trainer.restore()
            if trainer.step > config.steps:
                raise ValueError(
                    f"--steps {config.steps}: the run is at step {trainer.step} already; give more"
                )
        if distribution.is_chief:
            write_config(config, index, clips)
            trainer.callbacks.append(images)
        again = shlex.join(["python", "train.py", "--run-dir", str(run_dir), "--resume"])
        try:
            stopped = trainer.train()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(again) from None
        if stopped:
            logger.info(
                f"Stopped at step {trainer.step}, with a checkpoint; continue with: {again}"
            )
        elif distribution.is_chief:
            report(trainer, evaluator, time.monotonic() - began)


def check_data(config: TrainConfig, rate: int) -> tuple[Index, np.ndarray]:
    """Checks the data; returns the index, and the numbers of the clips that may be sampled."""
    index = load_index(config.data)
    classes = index.info.classes
    check_records(index.info, rate, None, len(classes), config.data)
    check_resample(index.info.sample_rate, rate, config.decimation)
    clips = index.select(**selection(config))
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
    return index, clips


def write_config(config: TrainConfig, index: Index, clips: np.ndarray) -> None:
    """Writes ``config.json``: the settings, the classes, how many clips of each, the versions."""
    run_dir = Path(config.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    content = {
        "config": dataclasses.asdict(config),
        "labels": index.info.classes,
        "training_clips": index.count_classes(clips),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }
    write_json(run_dir / CONFIG, content)


def report(trainer: Trainer, evaluator: RecordEvaluator | None, seconds: float) -> None:
    """Exports the network; prints the last metrics and where everything is."""
    run_dir = trainer.run_dir
    # As it was saved, on one device, whatever it was trained on.
    saved_model = export_saved_model(read_network_file(run_dir / FINAL), run_dir / SAVED_MODEL)
    print(f"Done in {seconds / 60:.1f} minutes.")
    if evaluator:
        print(describe(trainer.step, evaluator.summary.as_dict()))
        write_report(run_dir / EVALUATION, evaluator.summary, trainer.network.labels, {})
    else:
        print("Not evaluated: no --eval-data.")
    print(f"  {run_dir / FINAL}    the trained network")
    if trainer.best:
        score = f"held-out mAP {trainer.best[0]:.4f}"
        print(f"  {run_dir / BEST}    step {trainer.best_step}, {score}")
    print(f"  {saved_model}    the trained network as a SavedModel")
    print(f"  {run_dir / LOG}    the metrics by step")
    print(f"  {shlex.join(['tensorboard', '--logdir', str(run_dir / 'tensorboard')])}")
