"""`python -m panns_tf tag`."""

import argparse

from panns_tf.inference.commands import options as shared

_DESCRIPTION = """\
Print the sounds that recordings hold, the most probable first.

A recording of any length and rate is heard as a whole, mixed to mono and resampled; with --window
each window is heard by itself. What cannot be read is told in a line, the others go on, and the
exit status is 1.
"""
_EXAMPLES = """\
examples:
  python -m panns_tf tag R9_ZSCveAHg_7s.wav
  python -m panns_tf tag sounds/ --model runs/mine --top 3 --csv
  python -m panns_tf tag 'archive/**/*.flac' --threshold 0.2 --output tags.jsonl
  ffmpeg -i film.mkv -f wav - | python -m panns_tf tag - --window 10
"""
_COLUMNS = ("file", "start", "seconds", "label", "score")


def add_parser(commands) -> None:
    """Adds `tag` to the commands of ``python -m panns_tf``."""
    parser = commands.add_parser(
        "tag",
        help="what recordings hold",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared.add_run(parser, ".csv, .json or .jsonl")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="tags at most; default 10")
    parser.add_argument(
        "--threshold", type=float, default=0.0, metavar="P", help="tags below it are left out"
    )
    shared.add_windows(parser, "tag every window of so many seconds; default: the whole recording")
    shared.add_form(parser)
    shared.add_model(parser, "Cnn14")
    parser.set_defaults(run=_tag)


def _tag(options: argparse.Namespace) -> int:
    from panns_tf.inference.commands.sink import TABLES, Sink

    shared.check_output(options.output, TABLES, options.force)
    shared.check_run(options)
    shared.quiet()
    from panns_tf.inference.tagging import AudioTagger, check_choice, taggings_of
    from panns_tf.inference.window import windows_of

    check_choice(options.top, options.threshold)
    tagger = AudioTagger(**shared.model_of(options))
    windows = windows_of(options.window, options.hop, tagger.sample_rate)
    columns = _COLUMNS if windows else tuple(name for name in _COLUMNS if name != "start")
    settings = shared.settings_of(options, "tag", ("top", "threshold", "window", "hop"))
    form = shared.form_of(options)
    sink = Sink(options.output, settings, options.force, form, columns, _rows)

    def result(heard) -> tuple[dict, str]:
        found = taggings_of(heard, tagger.labels, options.top, options.threshold, options.window)
        return (_windows if windows else _whole)(found), _text(found, heard, windows)

    sources = sink.not_done(shared.sources_of(options.paths))
    heard = tagger.hear_each(sources, workers=options.workers, windows=windows)
    return sink.take_all(heard, result)


def _whole(found) -> dict:
    """The object of a recording heard as a whole."""
    return found[0].as_dict()


def _windows(found) -> dict:
    """The object of a recording heard in windows."""
    parts = [{"start": tagging.start, **tagging.as_dict()} for tagging in found]
    for part in parts:
        del part["file"]
    return {"file": found[0].source, "windows": parts}


def _rows(row: dict) -> list[dict]:
    """The rows of a table for such an object."""
    return [
        {"file": row["file"], "start": part.get("start", 0.0), "seconds": part["seconds"], **tag}
        for part in row.get("windows", [row])
        for tag in part["tags"]
    ]


def _text(found, heard, windows) -> str:
    lines = [f"{heard.name} ({heard.seconds:.2f} s)"]
    for tagging in found:
        if windows:
            lines.append(f"  {tagging.start:.2f} s to {tagging.start + tagging.seconds:.2f} s")
        lines += [f"  {tag.score:.3f}  {tag.label}" for tag in tagging.tags]
        if not tagging.tags:
            lines.append("  nothing above the threshold")
    return "\n".join(lines)
