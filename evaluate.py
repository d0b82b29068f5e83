"""Evaluates a trained network on packed records.

    python evaluate.py --model runs/demo --data runs/demo/data/eval

Prints mAP, mAUC and d-prime, and writes metrics.json and per_class.csv.
"""

import argparse
from pathlib import Path

from tfrecords.quiet import import_tensorflow_quietly

import_tensorflow_quietly()


from panns_tf import commands, metrics  # noqa: E402
from panns_tf.config import CHOICES  # noqa: E402
from panns_tf.inference.export import load_any  # noqa: E402
from panns_tf.training.evaluation import (  # noqa: E402
    check_records,
    compiled_predictor,
    predict,
    write_report,
)
from tfrecords import Damage, load_index  # noqa: E402
from tfrecords.decimate import check_decimation  # noqa: E402


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description="Evaluate a trained network on packed records.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--model",
        required=True,
        type=Path,
        help="a .keras file, a run directory (its final.keras) or a SavedModel",
    )
    parser.add_argument("--data", required=True, type=Path, help="a directory of packed records")
    parser.add_argument(
        "--output",
        type=Path,
        default=None,
        help="where to write metrics.json and per_class.csv; default: evaluation/<data's name> "
        "beside the model",
    )
    parser.add_argument("--batch-size", type=int, default=32, help="clips at a time")
    parser.add_argument(
        "--decimation",
        choices=CHOICES["decimation"],
        default="lowpass",
        help="how records of a higher sample rate than the model's are brought to it",
    )
    parser.add_argument(
        "--damaged",
        choices=CHOICES["damaged"],
        default="raise",
        help="at a damaged record: end with an error, or leave the clip out and say so",
    )
    options = parser.parse_args(arguments)
    if options.batch_size < 1:
        parser.error(f"--batch-size must be at least 1; received {options.batch_size}")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Runs the command."""
    options = parse(arguments)
    info = load_index(options.data).info
    model, described = load_any(options.model)
    check_records(
        info,
        described["sample_rate"],
        described["labels"],
        described["num_classes"],
        str(options.data),
    )
    check_decimation(info.sample_rate, described["sample_rate"], options.decimation)
    damaged: list[Damage] = []
    found = predict(
        compiled_predictor(model),
        options.data,
        options.batch_size,
        sample_rate=described["sample_rate"],
        decimation=options.decimation,
        damaged=options.damaged,
        on_damage=damaged.append,
    )
    target, score = found.target, found.score
    summary = metrics.summarise(target, score)
    values = summary.as_dict()
    extra = {"model": described["path"], "data": str(options.data)}
    if damaged:
        extra["damaged_clips"] = len(damaged)
        print(f"left out {len(damaged)} damaged clips, the first: {damaged[0]}")
    if (target.sum(axis=1) == 1).all():
        # With one label a clip the most likely class is right or wrong.
        extra["accuracy"] = float((score.argmax(axis=1) == target.argmax(axis=1)).mean())
    output = options.output
    if output is None:
        beside = options.model if options.model.is_dir() else options.model.parent
        if (beside / "saved_model.pb").exists():
            beside = beside.parent
        output = beside / "evaluation" / options.data.resolve().name
    write_report(output, summary, info.classes, extra)
    print(f"{described['network']} on {values['num_clips']} clips of {options.data}")
    print(f"  mAP      {values['mAP']:.4f}   (chance {values['chance_mAP']:.4f})")
    print(f"  mAUC     {values['mAUC']:.4f}")
    print(f"  d-prime  {values['d_prime']:.3f}")
    if "accuracy" in extra:
        print(f"  accuracy {extra['accuracy']:.4f}   (chance {1 / len(info.classes):.4f})")
    if values["classes_left_out"]:
        print(
            f"  {values['classes_left_out']} of {values['num_classes']} classes left out: "
            "without positive or without negative clips"
        )
    print(f"Written: {output / 'metrics.json'}, {output / 'per_class.csv'}")


if __name__ == "__main__":
    commands.run(main)
