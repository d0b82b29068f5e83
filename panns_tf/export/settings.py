"""Formats and precisions of exports, and the settings of the command."""

import dataclasses
from pathlib import Path

from tfrecords.flags import CheckedSettings, setting

#: Endings of the files; what has none of them is the folder of a SavedModel.
ENDINGS = {".onnx": "onnx", ".tflite": "litert"}
FORMATS = ("savedmodel", *ENDINGS.values())

#: ``dynamic_int8`` rounds weights to 8 bits, and activations by the range that each clip has;
#: ``int8`` rounds activations by ranges that were measured on clips beforehand.
PRECISIONS = ("float32", "float16", "dynamic_int8", "int8")

#: The entry of a file's metadata that describes its network.
KEY = "panns_tf"
#: The name under which a LiteRT file can be called.
SIGNATURE = "serving_default"

NEEDED = "pip install 'panns_tf[export]'"


def format_of(path: Path, asked: str | None = None) -> str:
    """The format of an export, which the ending of its path says; ValueError if not as asked."""
    kind = ENDINGS.get(path.suffix, "savedmodel")
    capitals = path.suffix not in ENDINGS and path.suffix.lower() in ENDINGS
    if not capitals and asked in (None, kind):
        return kind
    raise ValueError(
        f"--output {path} is not what --format {asked or kind} needs: names of files end in "
        f"{' or '.join(ENDINGS)}, and a SavedModel is a folder"
    )


#: So many recordings are taken to calibrate, and so much of each.
MOST_CALIBRATION_FILES = 100
CALIBRATION_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class ExportSettings(CheckedSettings):
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
        super().__post_init__()
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
