"""`python -m panns_tf detect`."""

import argparse
import sys
from pathlib import Path

from panns_tf.commands import write_whole
from panns_tf.inference.commands import options as shared

_DESCRIPTION = """\
Print when which sounds are to be heard in recordings of any length.

The decision-level networks say so themselves, every 0.32 s; any other network hears windows (2.5 s
every 0.5 s, or --window and --hop). An event lasts while the probability of its class is at least
--low, and reaches --threshold within. What cannot be read is told in a line, the others go on, and
the exit status is 1.
"""
_EXAMPLES = """\
examples:
  python -m panns_tf detect R9_ZSCveAHg_7s.wav --plot pictures
  python -m panns_tf detect street.flac --classes 'Siren;Car' --min-length 0.5 --merge-gap 1 --csv
  python -m panns_tf detect field/ --model runs/mine --window 2 --output events.csv
  python -m panns_tf detect talk.mp3 --audacity labels
"""
_COLUMNS = ("file", "onset", "offset", "label", "score")


def add_parser(commands) -> None:
    """Adds `detect` to the commands of ``python -m panns_tf``."""
    parser = commands.add_parser(
        "detect",
        help="when which sounds are to be heard",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared.add_run(parser, ".csv, .json or .jsonl")
    number = {"type": float, "metavar": "SECONDS", "default": 0.0}
    parser.add_argument(
        "--threshold",
        type=float,
        default=0.5,
        metavar="P",
        help="that an event reaches; default 0.5",
    )
    parser.add_argument(
        "--low", type=float, metavar="P", help="that it keeps; default: half the threshold"
    )
    parser.add_argument("--smooth", **number, help="median filter over the probabilities")
    parser.add_argument("--min-length", **number, help="shorter events are left out")
    parser.add_argument("--merge-gap", **number, help="events of a class this close become one")
    parser.add_argument(
        "--classes", metavar="LABELS", help="only these, separated by semicolons: 'Dog;Rain'"
    )
    shared.add_windows(parser, "hear windows of so many seconds, with any network")
    shared.add_form(parser)
    parser.add_argument(
        "--audacity", type=Path, metavar="FOLDER", help="write label tracks, NAME.txt for each"
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FOLDER",
        help="draw the spectrogram, the top classes over time and the events, NAME.png for each",
    )
    parser.add_argument("--dark", action="store_true", help="pictures for dark pages")
    shared.add_model(parser, "Cnn14_DecisionLevelMax")
    parser.set_defaults(run=_detect)


def _detect(options: argparse.Namespace) -> int:
    from panns_tf.inference.commands.sink import TABLES, Sink

    shared.check_output(options.output, TABLES, options.force)
    shared.check_workers(options)
    shared.quiet()
    from panns_tf.inference.detection import SoundEventDetector
    from panns_tf.inference.events import EventSettings

    classes = [name.strip() for name in (options.classes or "").split(";") if name.strip()]
    if options.classes is not None and not classes:
        raise ValueError("--classes names no class; leave it out for all")
    events = EventSettings(
        high=options.threshold,
        low=options.low,
        smooth=options.smooth,
        minimum=options.min_length,
        gap=options.merge_gap,
        labels=classes or None,
    )
    shared.check_folder(options.audacity, "--audacity")
    shared.check_folder(options.plot, "--plot")
    detector = SoundEventDetector(
        **shared.model_of(options), window=options.window, hop=options.hop
    )
    if detector.windowed and options.window is None:
        _tell_of_windows(detector)
    names = ("threshold", "low", "smooth", "min_length", "merge_gap", "classes", "window", "hop")
    places = {"audacity": str(options.audacity), "plot": str(options.plot), "dark": options.dark}
    settings = {**shared.settings_of(options, "detect", names), **places}
    form = shared.form_of(options)
    sink = Sink(options.output, settings, options.force, form, _COLUMNS, _rows)

    def result(heard) -> tuple[dict, str]:
        found = heard.detection
        if options.audacity is not None:
            place = shared.place_of(heard.source, options.paths, options.audacity, ".txt")
            _write_labels(place, found.to_audacity(), options.force)
        if options.plot is not None:
            _draw(options, heard, detector.labels)
        return found.as_dict(), _text(heard.name, found)

    heard = detector.detect_each(
        sink.not_done(shared.sources_of(options.paths)),
        settings=events,
        overview=options.plot is not None,
        workers=options.workers,
    )
    return sink.take_all(heard, result)


def _tell_of_windows(detector) -> None:
    from panns_tf.inference.detection import networks_with_frames

    print(
        f"note: {detector.hearer.network.row.name} does not say when; it hears windows of "
        f"{detector.window:g} s every {detector.hop:g} s (--window, --hop). Networks that say it: "
        f"{', '.join(networks_with_frames())}",
        file=sys.stderr,
    )


def _write_labels(place: Path, text: str, force: bool) -> None:
    """Labels are what people edit, so no others are replaced."""
    if place.exists() and not force and place.read_bytes() != text.encode():
        print(f"note: {place} exists and is kept; --force replaces it", file=sys.stderr)
        return
    write_whole(place, text.encode())


def _draw(options: argparse.Namespace, heard, labels) -> None:
    from panns_tf.inference.picture import draw

    place = shared.place_of(heard.source, options.paths, options.plot, ".png")
    draw(
        heard.overview,
        heard.detection.events,
        labels,
        place,
        title=Path(heard.name).name,
        dark=options.dark,
        threshold=options.threshold,
    )


def _rows(row: dict) -> list[dict]:
    return [{"file": row["file"], **event} for event in row["events"]]


def _text(name: str, found) -> str:
    lines = [f"{name} ({found.seconds:.2f} s)"]
    lines += [
        f"  {event.onset:8.2f} to {event.offset:8.2f} s  {event.score:.3f}  {event.label}"
        for event in found.events
    ]
    return "\n".join(lines if found.events else [*lines, "  no events"])
