"""The commands tag, detect and embed."""

import argparse
import contextlib
import dataclasses
import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from panns_tf.inference.events import EventSettings
from panns_tf.inference.output import (
    TABLES,
    VECTORS,
    Output,
    check_vectors,
    partial_path,
    place_of,
)
from panns_tf.inference.results import TagSettings
from panns_tf.windows import Windows
from tfrecords.files import check_output_file, check_output_folder, write_atomic
from tfrecords.flags import add_flags, check_settings, given_settings, setting
from tfrecords.progress import logger

DETECTION_MODEL = "Cnn14_DecisionLevelMax"


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Which network, and how it computes."""

    model: str = setting(
        "Cnn14",
        "a network's name, a run directory, a .keras or a .pth file",
        shown="the published Cnn14, downloaded once",
    )
    weights: str | None = setting(
        None,
        "with a network's name: its weights, a .pth or .keras file",
        metavar="FILE",
        shown="the published ones",
    )
    precision: str = setting(
        "float32",
        "bfloat16 is faster where the processor has it; probabilities differ by up to 0.02",
        choices=("float32", "bfloat16"),
    )
    batch_size: int = setting(8, "clips of 10 s at a time", metavar="N", minimum=1)

    def __post_init__(self) -> None:
        check_settings(self)

    def arguments(self) -> dict:
        """For `AudioTagger` and `SoundEventDetector`."""
        return {**dataclasses.asdict(self), "weights": self.weights or "audioset"}

    def identity(self) -> dict:
        """What tells the network from another, for settings of unfinished results."""
        identity = {"model": self.model, "weights": self.weights, "precision": self.precision}
        for name in ("model", "weights"):
            path = Path(identity[name] or "")
            for place in (path, path / "final.keras", path / "best.keras"):
                with contextlib.suppress(OSError):
                    identity[f"{name}_{place.name}"] = place.stat().st_mtime_ns
        return identity


@dataclasses.dataclass(frozen=True)
class OutputSettings:
    """Where results go."""

    output: Path | None = setting(
        None,
        "write results to FILE; a command that was killed goes on when it is repeated",
        metavar="FILE",
    )
    force: bool = setting(False, "replace an existing FILE, begin anew", shown="")
    workers: int = setting(2, "threads that read recordings", metavar="N", minimum=1, maximum=64)

    def __post_init__(self) -> None:
        check_settings(self)


def add_tag_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``tag``."""
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
    """Runs ``tag``."""
    shown = TagSettings(**given_settings(args, TagSettings))
    where, model, windows = _shared_settings(args, TABLES)
    quiet_tensorflow()
    from panns_tf.inference.tagger import AudioTagger, taggings

    tagger = AudioTagger(**model.arguments())

    def result(prediction) -> tuple:
        found = taggings(prediction, tagger.labels, shown, windows.window)
        row = found[0].as_dict()
        if windows.window is not None:
            parts = [{"start": tagging.start, **tagging.as_dict()} for tagging in found]
            row = {"file": row["file"], "windows": parts}
            for part in parts:
                del part["file"]
        return row, _tag_text(prediction, found), None

    columns = ["file", "start", "seconds", "label", "score"]
    if windows.window is None:
        columns.remove("start")
    identity = _identity("tag", model, shown, windows)
    output = Output(where.output, identity, where.force, args.form, columns, _tag_rows)
    return _predict_all(args, where, windows, tagger, output, result)


def _predict_all(args, where, windows: Windows, tagger, output: Output, result) -> int:
    size_and_hop = windows.samples(tagger.sample_rate)
    return output.run(
        recordings_of(args.paths),
        lambda sources: tagger.predict_each(sources, workers=where.workers, windows=size_and_hop),
        result,
    )


def _tag_rows(row: dict) -> list[dict]:
    return [
        {"file": row["file"], "start": part.get("start", 0.0), "seconds": part["seconds"], **tag}
        for part in row.get("windows", [row])
        for tag in part["tags"]
    ]


def _tag_text(prediction, taggings: list) -> str:
    lines = [f"{prediction.name} ({prediction.seconds:.2f} s)"]
    for tagging in taggings:
        if prediction.starts is not None:
            lines.append(f"  {tagging.start:.2f} s to {tagging.start + tagging.seconds:.2f} s")
        lines += [f"  {tag.score:.3f}  {tag.label}" for tag in tagging.tags]
        if not tagging.tags:
            lines.append("  nothing above the threshold")
    return "\n".join(lines)


def add_embed_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``embed``."""
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
    _add_shared_flags(parser, VECTORS, forms=("json",))


def run_embed(args: argparse.Namespace) -> int:
    """Runs ``embed``."""
    where, model, windows = _shared_settings(args, VECTORS)
    if where.output is None and args.form != "json":
        raise ValueError("embed needs --output FILE, .npy, .npz or .parquet; or --json")
    if where.output is not None:
        check_vectors(where.output)
        if where.output.suffix == ".npy":
            # A killed command may have written the table alone.
            begun = partial_path(where.output).exists()
            check_output_file(where.output.with_suffix(".csv"), force=where.force or begun)
    quiet_tensorflow()
    from panns_tf.inference.tagger import AudioTagger, embedding

    tagger = AudioTagger(**model.arguments())

    def result(prediction) -> tuple:
        found = embedding(prediction)
        if where.output is None:
            return found.as_dict(), "", None
        starts = prediction.starts or (0.0,)
        row = {"file": prediction.file, "seconds": prediction.seconds, "starts": starts}
        return row, "", found.vector

    identity, width = _identity("embed", model, windows), tagger.model.embedding_size
    output = Output(where.output, identity, where.force, "json", width=width)
    return _predict_all(args, where, windows, tagger, output, result)


def add_detect_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of ``detect``."""
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
    files.add_argument(
        "--audacity", type=Path, metavar="FOLDER", help="label tracks, NAME.txt for each"
    )
    files.add_argument(
        "--plot",
        type=Path,
        metavar="FOLDER",
        help="pictures of spectrogram, top classes over time and events, NAME.png for each",
    )
    files.add_argument("--dark", action="store_true", help="pictures for dark pages")


def run_detect(args: argparse.Namespace) -> int:
    """Runs ``detect``."""
    events = EventSettings(**given_settings(args, EventSettings))
    args.model = getattr(args, "model", DETECTION_MODEL)
    where, model, windows = _shared_settings(args, TABLES, hop_alone=True)
    for flag, folder in (("--audacity", args.audacity), ("--plot", args.plot)):
        if folder is not None:
            check_output_folder(folder, flag)
    quiet_tensorflow()
    from panns_tf.inference.detector import SoundEventDetector

    detector = SoundEventDetector(**model.arguments(), window=windows[0], hop=windows[1])
    if detector.windowed and windows[0] is None:
        logger.warning(
            f"note: {detector.model.arch.name} has no framewise output; it is run on windows of "
            f"{detector.window:g} s every {detector.hop:g} s (--window, --hop). Networks that have "
            "it: Cnn14_DecisionLevelMax, Cnn14_DecisionLevelAvg, Cnn14_DecisionLevelAtt"
        )

    def result(recording) -> tuple:
        found = recording.detection
        if args.audacity is not None:
            place = place_of(recording.source, args.paths, args.audacity, ".txt")
            _write_labels(place, found.to_audacity(), where.force)
        if args.plot is not None:
            _draw(args, recording, detector, events.high)
        return found.as_dict(), _event_text(recording.name, found), None

    pictures = {"audacity": str(args.audacity), "plot": str(args.plot), "dark": args.dark}
    settings = {"window": windows[0], "hop": windows[1], **pictures}
    output = Output(
        where.output,
        {**_identity("detect", model, events), **settings},
        where.force,
        args.form,
        ("file", "onset", "offset", "label", "score"),
        lambda row: [{"file": row["file"], **event} for event in row["events"]],
    )
    return output.run(
        recordings_of(args.paths),
        lambda sources: detector.detect_each(
            sources,
            settings=events,
            for_pictures=args.plot is not None,
            workers=where.workers,
        ),
        result,
    )


def _event_text(name: str, detection) -> str:
    lines = [f"{name} ({detection.seconds:.2f} s)"]
    lines += [
        f"  {event.onset:8.2f} to {event.offset:8.2f} s  {event.score:.3f}  {event.label}"
        for event in detection.events
    ]
    return "\n".join(lines if detection.events else [*lines, "  no events"])


def _write_labels(place: Path, text: str, force: bool) -> None:
    """Labels are what people edit, so no others are replaced."""
    if place.exists() and not force and place.read_bytes() != text.encode():
        logger.warning(f"note: {place} exists and is kept; --force replaces it")
        return
    write_atomic(place, text)


def _draw(args: argparse.Namespace, recording, detector, threshold: float) -> None:
    from panns_tf.inference.plot import draw_recording

    draw_recording(
        place_of(recording.source, args.paths, args.plot, ".png"),
        recording.spectrogram,
        recording.scores,
        detector.step_seconds,
        recording.detection.events,
        detector.labels,
        title=Path(recording.name).name,
        dark=args.dark,
        threshold=threshold,
    )


def _add_shared_flags(
    parser: argparse.ArgumentParser,
    suffixes: tuple[str, ...],
    forms: tuple[str, ...] = ("json", "csv"),
    **defaults: str,
) -> None:
    """Adds the flags that all commands have; ``defaults`` are stated in ``--help``."""
    defaults = {
        "window": "the whole recording",
        "output": f"printed; FILE ends in {', '.join(suffixes)}",
        **defaults,
    }
    add_paths(parser, forms)
    add_flags(parser, Windows, names=("window", "hop"), defaults=defaults)
    add_flags(parser, OutputSettings, defaults=defaults)
    add_flags(parser, ModelSettings, defaults=defaults)


def add_paths(parser: argparse.ArgumentParser, forms: tuple[str, ...] = ("json", "csv")) -> None:
    """Adds the recordings and how results are printed."""
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="audio files, folders, patterns such as 'sounds/**/*.wav', or - for standard input, "
        "which is read to its end first",
    )
    printed = parser.add_mutually_exclusive_group()
    helps = {"json": "print an object a line", "csv": "print a table"}
    for form in forms:
        printed.add_argument(
            f"--{form}", dest="form", action="store_const", const=form, help=helps[form]
        )
    parser.set_defaults(form="text")


def _shared_settings(args: argparse.Namespace, suffixes: tuple[str, ...], hop_alone: bool = False):
    """The settings that all commands have; with ``hop_alone`` windows as they were given."""
    where = OutputSettings(**given_settings(args, OutputSettings))
    if where.output is not None:
        check_output_file(where.output, force=where.force, suffixes=suffixes)
    model = ModelSettings(**given_settings(args, ModelSettings))
    given = given_settings(args, Windows)
    if hop_alone:
        return where, model, (given.get("window"), given.get("hop"))
    return where, model, Windows(**given)


def _identity(command: str, model: ModelSettings, *settings) -> dict:
    """What decides results, so that those of a killed command are not mixed with others."""
    identity = {"command": command, **model.identity()}
    for each in settings:
        identity |= dataclasses.asdict(each)
    return identity


def quiet_tensorflow() -> None:
    """Imports TensorFlow without its start-up notes, before anything else does."""
    from tfrecords.commands import import_tensorflow_quietly

    import_tensorflow_quietly()
    # It warns of functions that are traced again, which clips of many lengths ask for.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def recordings_of(paths: Iterable[str]) -> Iterator:
    """Yields the files that paths name, and standard input for ``-``."""
    from tfrecords.search import find_audio

    paths = list(paths)
    if "-" in paths:
        if sys.stdin is None:
            raise ValueError("- stands for standard input, which is closed")
        yield sys.stdin.buffer
    named = [path for path in paths if path != "-"]
    if named:
        yield from find_audio(named)
