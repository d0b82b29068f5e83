"""The command `export`."""

import argparse
import itertools
import os

from panns_tf.export.settings import (
    CALIBRATION_SECONDS,
    MOST_CALIBRATION_FILES,
    ExportSettings,
    format_of,
)
from tfrecords.files import check_output_file, check_output_folder, read_json
from tfrecords.flags import add_flags, flag_settings

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
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add_flags(parser, ExportSettings)


def run_export(options: argparse.Namespace) -> None:
    """Checks everything that can be before anything is loaded; then exports."""
    settings = ExportSettings(**flag_settings(options, ExportSettings))
    kind, output = format_of(settings.output), settings.output
    if kind != "savedmodel":
        check_output_file(output, force=settings.force)
    else:
        if os.path.lexists(output) and not settings.force:
            raise ValueError(f"--output {output} exists; remove it, or add --force to replace it")
        if os.path.lexists(output) and not (output / "saved_model.pb").is_file():
            raise ValueError(f"--output {output} exists and is no SavedModel; choose another place")
        check_output_folder(output.parent)

    from tfrecords.commands import import_tensorflow_quietly

    import_tensorflow_quietly()
    from panns_tf.export.check import DESCRIPTION, size_of
    from panns_tf.export.files import export_file
    from panns_tf.export.saved_model import TOP_K, export_saved_model
    from panns_tf.inference.model import load_network
    from tfrecords.audio import open_audio
    from tfrecords.search import find_audio

    recordings = find_audio(settings.calibration) if settings.calibration else ()
    recordings = list(itertools.islice(recordings, MOST_CALIBRATION_FILES))
    network = load_network(settings.model, settings.weights)
    if kind == "savedmodel":
        export_saved_model(network, output, settings.top_k or TOP_K)
        distance = read_json(output / DESCRIPTION)["difference"]
        report = f"differs from the network by at most {distance:.1e}, in all signatures, at "
        report += "three lengths"
    else:
        clips, rate = [], network.arch.frontend.sample_rate
        for recording in recordings:
            with open_audio(recording, rate) as stream:
                clips.append(stream.read(round(CALIBRATION_SECONDS * rate)))
        report = _report(
            export_file(network, output, settings.precision, clips, settings.clip_seconds)
        )
    print(f"Written: {output} ({size_of(output) / 1e6:.1f} MB)\n{report}")


def _report(measured: dict) -> str:
    lines = [f"in {measured['runtime']}, {measured['precision']}, differs from the network by"]
    for name, largest in measured["largest"].items():
        lines.append(f"  {name}: at most {largest:.1e}, {measured['mean'][name]:.1e} in the mean")
    lines.append(f"the first class is the same in {measured['agreement']:.0%} of the clips tried")
    return "\n".join(lines)
