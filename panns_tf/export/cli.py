"""The command `export`."""

import argparse
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from tfrecords.files import check_output_file, check_output_folder, read_json

if TYPE_CHECKING:
    import numpy as np

#: Endings of the files; what has none of them is a folder.
ENDINGS = {"onnx": ".onnx", "litert": ".tflite"}
FORMATS = ("savedmodel", *ENDINGS)
PRECISIONS = ("float32", "float16", "dynamic_int8", "int8")

#: So many recordings are taken to calibrate, and so much of each.
MOST_CALIBRATION_FILES = 100
CALIBRATION_SECONDS = 10.0

_DESCRIPTION = """\
Write a network, its front end included, as a file that other programs run: a SavedModel for
TensorFlow and TensorFlow Serving, an .onnx file for ONNX Runtime, or a .tflite file for LiteRT.
What was written is loaded in its own runtime and compared with the network before it is kept.

MODEL is a run directory, a .keras, .pth or .safetensors file, or the name of a network, whose
published weights are then downloaded once.
"""
_EXAMPLES = """\
examples:
  panns-tf export --model runs/mine --output served/panns/1
  panns-tf export --model Cnn14 --output cnn14.onnx
  panns-tf export --model runs/mine --output mine.tflite --precision float16
  panns-tf export --model runs/mine --output mine.tflite --precision int8 \\
      --calibration recordings/ --clip-seconds 10
"""


def add_export_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `export`."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add = parser.add_argument
    add("--model", required=True, metavar="MODEL", help="what to export")
    add(
        "--weights",
        default="audioset",
        metavar="FILE",
        help="for the name of a network: the file of its weights; default: the published ones",
    )
    add("--output", required=True, type=Path, metavar="PATH", help="a folder, .onnx or .tflite")
    add("--format", choices=FORMATS, help="default: by the ending of PATH")
    add("--precision", choices=PRECISIONS, default="float32", help="default float32")
    add(
        "--calibration",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="recordings such as the file is for, files or folders, of which "
        f"{MOST_CALIBRATION_FILES} at most are taken, the first {CALIBRATION_SECONDS:g} s of each; "
        "int8 is fitted to them, and every .onnx and .tflite compared on them too",
    )
    add("--top-k", type=int, metavar="K", help="classes that a SavedModel's tag gives; default 10")
    add(
        "--clip-seconds",
        type=float,
        metavar="S",
        help="for LiteRT: the one length that the file takes; default: any length",
    )
    add("--force", action="store_true", help="replace what is at PATH")


def run_export(options: argparse.Namespace) -> None:
    """Checks everything that can be before anything is loaded; then exports."""
    kind = format_of(options.output, options.format)
    _check_options(kind, options)
    _check_output(kind, options.output, options.force)

    from tfrecords.quiet import import_tensorflow_quietly

    import_tensorflow_quietly()
    from panns_tf.export.check import size_of
    from panns_tf.export.saved_model import TOP_K, export_saved_model
    from panns_tf.inference.loading import DESCRIPTION, load_network

    files = _calibration_files(options.calibration) if options.calibration else []
    network = load_network(options.model, options.weights)
    if kind == "savedmodel":
        export_saved_model(network, options.output, options.top_k or TOP_K)
        distance = read_json(options.output / DESCRIPTION)["difference"]
        report = f"differs from the network by at most {distance:.1e}, in all signatures, at "
        report += "three lengths"
    else:
        report = _export_file(kind, network, options, files)
    print(f"Written: {options.output} ({size_of(options.output) / 1e6:.1f} MB)\n{report}")


def format_of(path: Path, asked: str | None) -> str:
    """Returns the format of an export.

    Args:
        path: where it goes.
        asked: the format asked for, or None.

    Raises:
        ValueError: if the ending of the path says another than was asked for.
    """
    by_ending = {ending: name for name, ending in ENDINGS.items()}
    kind = by_ending.get(path.suffix, "savedmodel")
    if path.suffix.lower() in by_ending and path.suffix not in by_ending:
        raise ValueError(f"--output {path}: write the ending as {path.suffix.lower()}")
    if asked is None or asked == kind:
        return kind
    expected = f"the ending {ENDINGS[asked]}" if asked in ENDINGS else "a folder"
    raise ValueError(f"--format {asked} needs {expected}; received --output {path}")


def _check_options(kind: str, options: argparse.Namespace) -> None:
    """Refuses options that would be without effect, and values that cannot be meant."""
    for name, meant, value in (
        ("--top-k", "savedmodel", options.top_k),
        ("--clip-seconds", "litert", options.clip_seconds),
    ):
        if value is not None and kind != meant:
            raise ValueError(f"{name} is for {meant}; --output {options.output} is {kind}")
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be above 0; received {value:g}")
    if kind == "savedmodel" and options.precision != "float32":
        raise ValueError(
            f"a SavedModel is float32; received --precision {options.precision}, which an --output "
            "that ends with .onnx or .tflite can have"
        )
    if options.precision == "int8" and not options.calibration:
        raise ValueError("--precision int8 needs --calibration: recordings it is fitted to")
    if options.calibration and kind == "savedmodel":
        raise ValueError(
            f"--calibration is for onnx and litert; --output {options.output} is savedmodel"
        )


def _check_output(kind: str, path: Path, force: bool) -> None:
    if kind != "savedmodel":
        check_output_file(path, force=force)
        return
    if os.path.lexists(path):
        if not force:
            raise ValueError(f"--output {path} exists; remove it, or add --force to replace it")
        if not (path / "saved_model.pb").is_file():
            raise ValueError(f"--output {path} exists and is no SavedModel; choose another place")
    check_output_folder(path.parent)


def _calibration_files(paths: list[Path]) -> list[Path]:
    from tfrecords.search import find_audio

    return list(itertools.islice(find_audio(paths), MOST_CALIBRATION_FILES))


def _read_beginnings(files: list[Path], sample_rate: int) -> "list[np.ndarray] | None":
    """The beginnings of recordings, (samples,) float32 each; None if there are none."""
    from tfrecords.audio import open_audio

    clips = []
    for file in files:
        with open_audio(file, sample_rate) as stream:
            clips.append(stream.read(round(CALIBRATION_SECONDS * sample_rate)))
    return clips or None


def _export_file(kind: str, network, options: argparse.Namespace, files: list[Path]) -> str:
    """Exports to ONNX or LiteRT; returns what was measured, for a person."""
    results: list[dict] = []
    settings = {
        "precision": options.precision,
        "calibration": _read_beginnings(files, network.arch.frontend.sample_rate),
        "report": results.append,
    }
    if kind == "onnx":
        from panns_tf.export.onnx import export_onnx

        export_onnx(network, options.output, **settings)
    else:
        from panns_tf.export.litert import export_litert

        export_litert(network, options.output, clip_seconds=options.clip_seconds, **settings)
    (measured,) = results
    lines = [f"in {measured['runtime']}, {measured['precision']}, differs from the network by"]
    for name, largest in measured["largest"].items():
        lines.append(f"  {name}: at most {largest:.1e}, {measured['mean'][name]:.1e} in the mean")
    lines.append(f"the first class is the same in {measured['agreement']:.0%} of the clips tried")
    return "\n".join(lines)
