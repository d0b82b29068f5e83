"""The command `export`."""

import argparse
import dataclasses
import itertools
import os
from pathlib import Path

from panns_tf.export.runtimes import FORMATS, PRECISIONS, format_of
from tfrecords.files import check_output_file, check_output_folder, read_json
from tfrecords.flags import add_flags, check_settings, given_settings, setting

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


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """What is exported, and how."""

    model: str = setting(help="what to export", metavar="MODEL")
    output: Path = setting(help="a folder, .onnx or .tflite", metavar="PATH")
    weights: str = setting(
        "audioset",
        "for the name of a network: the file of its weights",
        metavar="FILE",
        shown="the published ones",
    )
    format: str | None = setting(None, "export format", choices=FORMATS, shown="by the ending")
    precision: str = setting(
        "float32", "numeric precision of .onnx and .tflite", choices=PRECISIONS
    )
    calibration: list | None = setting(
        None,
        "recordings such as the file is for, files or folders, of which "
        f"{MOST_CALIBRATION_FILES} at most are taken, the first {CALIBRATION_SECONDS:g} s of each; "
        "int8 is fitted to them, and every .onnx and .tflite compared on them too",
        metavar="PATH",
        nargs="+",
    )
    top_k: int | None = setting(
        None, "classes that a SavedModel's tag gives", metavar="K", minimum=1, shown="10"
    )
    clip_seconds: float | None = setting(
        None,
        "for LiteRT: the one length that the file takes",
        metavar="S",
        above=0,
        shown="any length",
    )
    force: bool = setting(False, "replace what is at PATH", shown="")

    def __post_init__(self) -> None:
        """Refuses settings that would be without effect, too."""
        check_settings(self)
        kind = format_of(self.output, self.format)
        for flag, given, kinds in (
            ("--top-k", self.top_k, ("savedmodel",)),
            ("--clip-seconds", self.clip_seconds, ("litert",)),
            ("--calibration", self.calibration, ("onnx", "litert")),
            (f"--precision {self.precision}", self.precision != "float32", ("onnx", "litert")),
        ):
            if given and kind not in kinds:
                raise ValueError(
                    f"{flag} is for {' and '.join(kinds)}; --output {self.output} is {kind}"
                )
        if self.precision == "int8" and not self.calibration:
            raise ValueError("--precision int8 needs --calibration: recordings it is fitted to")


def add_export_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of `export`."""
    parser.description, parser.epilog = _DESCRIPTION, _EXAMPLES
    add_flags(parser, ExportSettings)


def run_export(options: argparse.Namespace) -> None:
    """Checks everything that can be before anything is loaded; then exports."""
    settings = ExportSettings(**given_settings(options, ExportSettings))
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
    from panns_tf.export.check import size_of
    from panns_tf.export.saved_model import TOP_K, export_saved_model
    from panns_tf.inference.loading import DESCRIPTION, load_network
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
        report = _export_file(network, settings, recordings)
    print(f"Written: {output} ({size_of(output) / 1e6:.1f} MB)\n{report}")


def _export_file(network, settings: ExportSettings, recordings: list[Path]) -> str:
    """Exports to ONNX or LiteRT; returns what was measured, for a person."""
    from panns_tf.export import litert, onnx
    from tfrecords.audio import open_audio

    clips = []
    rate = network.arch.frontend.sample_rate
    for recording in recordings:
        with open_audio(recording, rate) as stream:
            clips.append(stream.read(round(CALIBRATION_SECONDS * rate)))
    common = (network, settings.output, settings.precision, clips)
    if format_of(settings.output) == "onnx":
        measured = onnx.export_onnx(*common)
    else:
        measured = litert.export_litert(*common, settings.clip_seconds)
    lines = [f"in {measured['runtime']}, {measured['precision']}, differs from the network by"]
    for name, largest in measured["largest"].items():
        lines.append(f"  {name}: at most {largest:.1e}, {measured['mean'][name]:.1e} in the mean")
    lines.append(f"the first class is the same in {measured['agreement']:.0%} of the clips tried")
    return "\n".join(lines)
