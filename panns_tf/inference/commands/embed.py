"""`python -m panns_tf embed`."""

import argparse

from panns_tf.inference.commands import options as shared

_DESCRIPTION = """\
Write recordings as vectors: the layer before the classifier, of Cnn14 2048 numbers.

FILE.npz holds `embedding` (n, width), `file`, `start` and `seconds`; FILE.parquet a table of these
(pip install pyarrow); FILE.npy the vectors alone, and FILE.csv beside it the others, row by row.
What cannot be read is told in a line, the others go on, and the exit status is 1.
"""
_EXAMPLES = """\
examples:
  python -m panns_tf embed sounds/ --output sounds.npz
  python -m panns_tf embed 'archive/**/*.flac' --model Cnn14_16k --output archive.parquet
  python -m panns_tf embed day.wav --window 10 --output day.npy
  python -m panns_tf embed bark.wav --json
"""


def add_parser(commands) -> None:
    """Adds `embed` to the commands of ``python -m panns_tf``."""
    parser = commands.add_parser(
        "embed",
        help="recordings as vectors",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared.add_run(parser, ".npy, .npz or .parquet")
    shared.add_windows(
        parser, "a vector for every window of so many seconds; default: for each recording"
    )
    parser.add_argument("--json", action="store_true", help="print an object a line")
    shared.add_model(parser, "Cnn14")
    parser.set_defaults(run=_embed)


def _embed(options: argparse.Namespace) -> int:
    from panns_tf.inference.commands.sink import VectorSink
    from panns_tf.inference.commands.spool import is_being_written
    from panns_tf.inference.commands.vectors import ENDINGS, needs

    if options.output is None and not options.json:
        raise ValueError("embed needs --output FILE, .npy, .npz or .parquet; or --json")
    shared.check_output(options.output, ENDINGS, options.force)
    if options.output is not None:
        needs(options.output)
        if options.output.suffix == ".npy":
            may_exist = options.force or is_being_written(options.output)
            shared.check_output(options.output.with_suffix(".csv"), (".csv",), may_exist)
    shared.check_run(options)
    shared.quiet()
    from panns_tf.inference.tagging import AudioTagger, embedding_of
    from panns_tf.inference.window import windows_of

    tagger = AudioTagger(**shared.model_of(options))
    windows = windows_of(options.window, options.hop, tagger.sample_rate)
    settings = shared.settings_of(options, "embed", ("window", "hop"))
    width = tagger.hearer.embedding_size
    sink = VectorSink(options.output, settings, options.force, width)

    def result(heard) -> tuple:
        found = embedding_of(heard)
        if options.output is None:
            return found.as_dict(), "", found.vector
        starts = heard.starts or (0.0,)
        row = {"file": heard.file, "seconds": heard.seconds, "starts": starts}
        return row, "", found.vector

    sources = sink.not_done(shared.sources_of(options.paths))
    heard = tagger.hear_each(sources, workers=options.workers, windows=windows)
    return sink.take_all(heard, result)
