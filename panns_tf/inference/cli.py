"""The commands tag, detect and embed."""

import argparse
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from panns_tf.inference.events import Detection, EventSettings
from panns_tf.inference.results import TABLES, VECTORS, OutputSettings, TagSettings, open_results
from panns_tf.run import find_model
from panns_tf.windows import Windows
from tfrecords.commands import import_tensorflow_quietly
from tfrecords.files import check_output_folder, write_atomic
from tfrecords.flags import CheckedSettings, add_flags, setting
from tfrecords.progress import logger
from tfrecords.search import find_audio

DETECTION_MODEL = "Cnn14_DecisionLevelMax"


@dataclass(frozen=True)
class ModelSettings(CheckedSettings):
    """Which network, and how it computes."""

    model: str = setting(
        "Cnn14",
        "name of a network, run directory, .keras or .pth file",
        shown="the published Cnn14",
    )
    weights: str = setting(
        "audioset", "with a name: its .pth or .keras file", metavar="FILE", shown="the published"
    )
    precision: str = setting(
        "float32",
        "bfloat16 is faster where the processor has it; probabilities differ by up to 0.02",
        choices=("float32", "bfloat16"),
    )
    batch_size: int = setting(8, "clips of 10 s at a time", metavar="N", minimum=1)

    def identity(self, command: str, args: argparse.Namespace) -> dict:
        """What decides the results of a command: its flags, and the files of its model."""
        others = {"paths", "output", "force", "workers", "form", "batch_size", "quiet"}
        flags = {name: value for name, value in vars(args).items() if name not in others}
        names = (name for name in (self.model, self.weights) if name != "audioset")
        files = filter(Path.is_file, map(find_model, names))
        return {"command": command, **flags, **{str(x): x.stat().st_mtime_ns for x in files}}


def add_tag_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = """\
Print the classes of recordings, the most probable first.

A recording of any length and rate is predicted as a whole, mixed to mono and resampled; with
--window each window by itself. Files that cannot be read give an error of one line and exit
status 1; the others are tagged."""
    parser.epilog = """examples:
  panns-tf tag R9_ZSCveAHg_7s.wav
  panns-tf tag sounds/ --model runs/mine --top 3 --csv
  panns-tf tag 'archive/**/*.flac' --threshold 0.2 --output tags.jsonl
  ffmpeg -i film.mkv -f wav - | panns-tf tag - --window 10"""
    add_flags(parser, TagSettings)
    _add_shared_flags(parser, TABLES)


def run_tag(args: argparse.Namespace) -> int:
    settings, windows = TagSettings.from_flags(args), Windows.from_flags(args)
    output, model = shared_settings(args, TABLES)
    from panns_tf.inference.tagger import AudioTagger, tag_windows

    tagger = AudioTagger(**asdict(model))
    start = ("start",) if windows.window else ()
    columns = ("file", *start, "seconds", "label", "score")
    options = {"workers": output.workers, "windows": windows.samples(tagger.sample_rate)}
    with open_results(output, args.form, model.identity("tag", args), columns) as results:
        for recording in results.each(recordings_of(args.paths), tagger.predict_each, **options):
            taggings = tag_windows(recording, tagger.labels, settings, windows.window)
            row = taggings[0].as_dict()
            if windows.window:
                row = {"file": row["file"], "windows": [each.window_dict() for each in taggings]}
            results.add(row, _tag_text(recording, taggings))
    return results.status()


def _tag_text(recording, taggings: list) -> str:
    lines = [f"{recording.name} ({recording.seconds:.2f} s)"]
    for tagging in taggings:
        if recording.starts is not None:
            lines.append(f"  {tagging.start:.2f} s to {tagging.start + tagging.seconds:.2f} s")
        lines += [f"  {tag.score:.3f}  {tag.label}" for tag in tagging.tags]
        if not tagging.tags:
            lines.append("  nothing above the threshold")
    return "\n".join(lines)


def add_embed_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = """\
Write recordings as vectors: the layer before the classifier, of Cnn14 2048 numbers.

FILE.npz holds `embedding` (n, width), `file`, `start` and `seconds`; FILE.parquet a table of these
(pip install pyarrow); FILE.npy the vectors alone, and FILE.csv beside it the others, row by row.
Files that cannot be read give an error of one line and exit status 1."""
    parser.epilog = """examples:
  panns-tf embed sounds/ --output sounds.npz
  panns-tf embed 'archive/**/*.flac' --model Cnn14_16k --output archive.parquet
  panns-tf embed day.wav --window 10 --output day.npy
  panns-tf embed bark.wav --json"""
    _add_shared_flags(parser, VECTORS)


def run_embed(args: argparse.Namespace) -> int:
    if args.form != "json" and not hasattr(args, "output"):
        raise ValueError("embed needs --output FILE, .npy, .npz or .parquet; or --json")
    windows = Windows.from_flags(args)
    output, model = shared_settings(args, VECTORS)
    from panns_tf.inference.tagger import AudioTagger, embedding_of

    tagger = AudioTagger(**asdict(model))
    settings, width = model.identity("embed", args), tagger.model.embedding_size
    options = {"workers": output.workers, "windows": windows.samples(tagger.sample_rate)}
    with open_results(output, args.form, settings, width=width) as results:
        for recording in results.each(recordings_of(args.paths), tagger.predict_each, **options):
            embedding = embedding_of(recording)
            as_array = {"embedding": embedding.vector} if output.output else {}
            results.add({**embedding.as_dict(), **as_array})
    return results.status()


def add_detect_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = """\
Print sound events in recordings of any length, with onset and offset.

Decision-level networks give probabilities every 0.32 s; any other is run on windows. An event
lasts while the probability of its class is at least --low, and reaches --threshold within. Files
that cannot be read give an error of one line and exit status 1."""
    parser.epilog = """examples:
  panns-tf detect R9_ZSCveAHg_7s.wav --plot pictures
  panns-tf detect street.flac --classes 'Siren;Car' --min-length 0.5 --merge-gap 1 --csv
  panns-tf detect field/ --model runs/mine --window 2 --output events.csv
  panns-tf detect talk.mp3 --audacity labels"""
    add_flags(parser, EventSettings)
    _add_shared_flags(
        parser,
        TABLES,
        model=f"the published {DETECTION_MODEL}, downloaded once",
        window="2.5; none for decision-level networks",
        hop="a fifth of the window",
    )
    files = parser.add_argument_group("a file for each recording")
    folder = {"type": Path, "metavar": "FOLDER"}
    files.add_argument("--audacity", help="label tracks, NAME.txt for each", **folder)
    what = "spectrogram, top classes over time and events, NAME.png for each"
    files.add_argument("--plot", help=f"pictures of {what}", **folder)
    files.add_argument("--dark", action="store_true", help="pictures for dark pages")


def run_detect(args: argparse.Namespace) -> int:
    args.model = getattr(args, "model", DETECTION_MODEL)
    events = EventSettings.from_flags(args)
    window, hop = getattr(args, "window", None), getattr(args, "hop", None)
    for flag, folder in (("--audacity", args.audacity), ("--plot", args.plot)):
        if folder is not None:
            check_output_folder(folder, flag)
    output, model = shared_settings(args, TABLES)
    from panns_tf.inference.detector import SoundEventDetector
    from panns_tf.inference.plot import draw_recording

    detector = SoundEventDetector(**asdict(model), window=window, hop=hop)
    if detector.windowed and window is None:
        logger.warning(
            f"note: {detector.model.arch.name} has no framewise output; it is run on windows of "
            f"{detector.window:g} s every {detector.hop:g} s (--window, --hop). Networks that have "
            "it: Cnn14_DecisionLevelMax, Cnn14_DecisionLevelAvg, Cnn14_DecisionLevelAtt"
        )
    settings, with_pictures = model.identity("detect", args), args.plot is not None
    options = {"settings": events, "for_pictures": with_pictures, "workers": output.workers}
    with open_results(output, args.form, settings, Detection.columns) as results:
        for recording in results.each(recordings_of(args.paths), detector.detect_each, **options):
            detection = recording.detection
            if args.audacity is not None:
                path = file_beside(recording.source, args.paths, args.audacity, ".txt")
                _write_labels(path, detection.to_audacity(), output.force)
            if with_pictures:
                path = file_beside(recording.source, args.paths, args.plot, ".png")
                title = Path(recording.name).name
                picture = draw_recording(recording, detector, title=title, dark=args.dark)
                write_atomic(path, picture)
            results.add(detection.as_dict(), _event_text(recording.name, detection))
    return results.status()


def _event_text(name: str, detection) -> str:
    lines = [f"{name} ({detection.seconds:.2f} s)"]
    lines += [
        f"  {event.onset:8.2f} to {event.offset:8.2f} s  {event.score:.3f}  {event.label}"
        for event in detection.events
    ]
    return "\n".join(lines if detection.events else [*lines, "  no events"])


def _write_labels(path: Path, text: str, force: bool) -> None:
    """Writes a label track, but not over another one, which a person may have edited."""
    if path.exists() and not force and path.read_bytes() != text.encode():
        logger.warning(f"note: {path} exists and is kept; --force replaces it")
        return
    write_atomic(path, text)


def file_beside(source, paths: Iterable[str], folder: Path, suffix: str) -> Path:
    """The file of a recording in an output folder, where it lies as the recording does below the
    folder that all ``paths`` have in common.
    """
    below = "stdin"
    if isinstance(source, str | os.PathLike):
        roots = []
        for path in map(Path, paths):
            fixed = path.absolute()
            while not fixed.is_dir():  # a file or a pattern
                fixed = fixed.parent
            roots.append(os.path.normpath(fixed))
        below = os.path.relpath(os.path.abspath(source), os.path.commonpath(roots))  # noqa: PTH100
    path = folder / f"{below}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _add_shared_flags(parser, suffixes: tuple[str, ...], **defaults: str) -> None:
    """Adds the flags that all commands have; ``defaults`` are stated in ``--help``."""
    output = f"printed; FILE ends in {', '.join(suffixes)}"
    defaults = {"window": "the whole recording", "output": output, **defaults}
    add_paths(parser, tables=suffixes == TABLES)
    add_flags(parser, Windows, names=("window", "hop"), defaults=defaults)
    add_flags(parser, OutputSettings, defaults=defaults)
    add_flags(parser, ModelSettings, defaults=defaults)


def add_paths(parser: argparse.ArgumentParser, tables: bool = True) -> None:
    """Adds the recordings and how results are printed."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="audio files, folders, patterns such as 'sounds/**/*.wav', or - for standard input, "
        "which is read to its end first",
    )
    printed = parser.add_mutually_exclusive_group()
    form = {"dest": "form", "action": "store_const", "default": "text"}
    printed.add_argument("--json", const="json", help="print an object a line", **form)
    if tables:
        printed.add_argument("--csv", const="csv", help="print a table", **form)


def shared_settings(
    args: argparse.Namespace, suffixes: tuple[str, ...]
) -> tuple[OutputSettings, ModelSettings]:
    """The settings that commands share, checked before TensorFlow is imported."""
    output, model = OutputSettings.from_flags(args), ModelSettings.from_flags(args)
    output.check(suffixes)
    quiet_tensorflow()
    return output, model


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its start-up notes, before anything else does."""
    import_tensorflow_quietly()
    # Clips of many lengths trace functions again, of which TensorFlow would warn.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def recordings_of(paths: Sequence[str]) -> Iterator:
    """Yields the files that paths name, and standard input for ``-``."""
    named = [path for path in paths if path != "-"]
    if len(named) < len(paths):
        if sys.stdin is None:
            raise ValueError("- stands for standard input, which is closed")
        yield sys.stdin.buffer
    if named:
        yield from find_audio(named)
