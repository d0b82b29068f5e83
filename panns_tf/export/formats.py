"""Names of formats and precisions, and what exported files are marked with."""

from pathlib import Path

#: Endings of the files; what has none of them is the folder of a SavedModel.
ENDINGS = {"onnx": ".onnx", "litert": ".tflite"}
FORMATS = ("savedmodel", *ENDINGS)

#: ``dynamic_int8`` rounds weights to 8 bits, and activations by the range that each clip has;
#: ``int8`` rounds activations by ranges that were measured on clips beforehand.
PRECISIONS = ("float32", "float16", "dynamic_int8", "int8")

#: The entry of a file's metadata that describes its network.
KEY = "panns_tf"

#: The name under which a LiteRT file can be called.
SIGNATURE = "serving_default"

NEEDED = "pip install 'panns_tf[export]'"


def format_of(path: Path, asked: str | None = None) -> str:
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
