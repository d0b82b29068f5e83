"""The options of the commands, and their help."""

import argparse
import os

from tfrecords.codecs import CODECS
from tfrecords.sources import FORMATS

_PACK_HELP = """\
Decode the audio files that a metadata file lists to clips of one length and sample rate, and
write them as TFRecord shards with an index and dataset.json. Files that are missing, empty,
truncated or not audio are skipped and listed in rejected.csv; missing_by_class.csv counts them
by class. A packing that was interrupted goes on with the same command.

formats of the metadata file:
  esc50     a CSV with the columns filename, fold, target, category
  audioset  AudioSet's segment lists: YTID, start_seconds, end_seconds, positive_labels (mids or
            names); the audio lies anywhere in the audio folder as Y<YTID>.wav, <YTID>.wav,
            <YTID>_<start>.wav or <YTID>_<start>_<end>.wav (or flac, ogg, mp3, m4a)
  csv       a CSV with the columns filename, labels; several labels are separated by ';'
"""
_PACK_EXAMPLES = """\
examples:
  python -m tfrecords pack --metadata esc50.csv --audio audio --folds 1,2,3,4 \\
      --clip-seconds 5 --output packed/train
  python -m tfrecords pack --metadata eval_segments.csv --audio audios/eval_segments \\
      --split eval --output packed/eval
"""
_AUDIOSET_HELP = """\
Pack AudioSet, any part of it, into one folder: balanced_train, unbalanced_train, eval, and
full_train, a view that joins the first two without storing any clip twice. Each is a packed
directory. The metadata files are expected in ROOT or ROOT/metadata, the audio anywhere in ROOT.
"""
_MERGE_HELP = """\
Join packed directories, or take a part of one, as a view: an index over the shards where they
are, without a copy of any audio. The directories must stay where they are relative to the view.
"""
_SYNTHESIZE_HELP = """\
Write a small data set of synthetic sounds: 12 classes, 1 to 3 in a clip, over noise, the most
frequent class 20 times as frequent as the rarest; audio files, metadata.csv and packed records.
For trying the programs and for tests. These are sounds computed from formulas, not AudioSet.
"""


def make_parser() -> argparse.ArgumentParser:
    """The parser; `command` is the name of the command that was given."""
    parser = argparse.ArgumentParser(
        prog="python -m tfrecords", description="Pack audio clips into TFRecord shards."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    _add_pack(commands)
    _add_audioset(commands)
    _add_merge(commands)
    command = commands.add_parser(
        "info",
        help="say what a packed directory holds",
        description="Say what a packed directory, or each in a folder of them, holds, from its "
        "index alone.",
    )
    command.add_argument("directory", metavar="DIR", help="a packed directory")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--classes", action="store_true", help="list every class")
    command = commands.add_parser(
        "verify",
        help="check every record of a packed directory",
        description="Read every record of a packed directory, or of each in a folder of them, and "
        "compare it with the index. Prints a line a problem; the exit status is 0 if there is "
        "none, else 1.",
    )
    command.add_argument("directory", metavar="DIR", help="a packed directory")
    command.add_argument(
        "--workers",
        type=_positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="shards read at a time (default: %(default)s)",
    )
    _add_synthesize(commands)
    return parser


def _add_pack(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "pack",
        help="audio files and a metadata file to record shards",
        description=_PACK_HELP,
        epilog=_PACK_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--metadata", required=True, metavar="FILE", help="the list of clips")
    command.add_argument("--audio", required=True, metavar="DIR", help="the folder of audio files")
    command.add_argument(
        "--format",
        choices=FORMATS,
        default="auto",
        help="format of the metadata file (default: told from its columns)",
    )
    command.add_argument(
        "--folds", default="", metavar="1,2,3", help="esc50 only: the folds to take (default: all)"
    )
    command.add_argument(
        "--split", default="train", help="name of the shards (default: %(default)s)"
    )
    _add_packing(command)
    _add_common(command, seconds=10.0, per_shard=1024)


def _add_audioset(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "audioset",
        help="AudioSet, as it lies on a disk, to one folder of packed directories",
        description=_AUDIOSET_HELP,
    )
    command.add_argument(
        "--root", required=True, metavar="ROOT", help="the folder of metadata and audio"
    )
    command.add_argument(
        "--audio", metavar="DIR", help="where the audio is, at any depth (default: ROOT)"
    )
    command.add_argument(
        "--sets",
        nargs="+",
        default=(),
        metavar="SET",
        help="of balanced_train, unbalanced_train, eval (default: all whose metadata are there)",
    )
    _add_packing(command)
    _add_common(command, seconds=10.0, per_shard=1024)


def _add_packing(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--labels",
        metavar="FILE",
        help="fixes the classes and their order: a CSV with the column display_name (and mid, "
        "index), or one name a line (default: AudioSet's 527 classes; esc50: by target; csv: "
        "sorted)",
    )
    _add_exclude(command)
    command.add_argument(
        "--codec",
        choices=CODECS,
        default="pcm16",
        help="how audio is stored: 16-bit integers, or those as FLAC, about half the size but "
        "slow to read (default: %(default)s)",
    )
    command.add_argument(
        "--clip-timeout",
        type=float,
        default=60.0,
        metavar="S",
        help="seconds after which a file that hangs the decoder is given up (default: %(default)s)",
    )
    command.add_argument(
        "--retry-rejected",
        action="store_true",
        help="in a directory that is finished: try the clips again that were missing or refused, "
        "where their files have come or changed since, and pack the shards of those anew",
    )
    command.add_argument(
        "--runner",
        metavar="NAME",
        help="pack on Apache Beam with this runner, for instance DirectRunner or DataflowRunner "
        "(default: processes on this machine)",
    )
    command.add_argument(
        "--runner-options",
        default="",
        metavar="TEXT",
        help="the runner's own options, as one text: '--project=p --region=r'",
    )


def _add_merge(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "merge",
        help="join packed directories, or take a part of one, without copying",
        description=_MERGE_HELP,
    )
    command.add_argument("directories", nargs="+", metavar="DIR", help="packed directories")
    command.add_argument("--output", required=True, metavar="DIR", help="the view to write")
    _add_exclude(command)
    command.add_argument(
        "--fraction",
        type=float,
        default=1.0,
        metavar="F",
        help="take this part of the clips, chosen by a hash of their ids (default: all)",
    )


def _add_exclude(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="FILE",
        help="a list of clips to leave out: an id a line, or AudioSet's <id>_<start>_<end>.wav; "
        "may be given several times",
    )


def _add_synthesize(commands: argparse._SubParsersAction) -> None:
    command = commands.add_parser(
        "synthesize",
        help="a small data set of synthetic sounds",
        description=_SYNTHESIZE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--clips", type=int, default=600, help="how many (default: %(default)s)")
    command.add_argument(
        "--classes", type=int, metavar="N", help="only the N most frequent of the 12 classes"
    )
    command.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    command.add_argument(
        "--split", default="train", help="name of the shards (default: %(default)s)"
    )
    _add_common(command, seconds=1.0, per_shard=256)


def _add_common(command: argparse.ArgumentParser, *, seconds: float, per_shard: int) -> None:
    command.add_argument(
        "--output", required=True, metavar="DIR", help="where to write; must hold no records yet"
    )
    command.add_argument(
        "--sample-rate", type=int, default=32000, metavar="HZ", help="default: %(default)s"
    )
    command.add_argument(
        "--clip-seconds",
        type=float,
        default=seconds,
        metavar="S",
        help="length of every clip (default: %(default)s)"
        if command.prog.endswith("synthesize")
        else "length of every clip; longer audio is cut, shorter is padded with zeros at the end "
        "(default: %(default)s)",
    )
    command.add_argument(
        "--clips-per-shard", type=int, default=per_shard, metavar="N", help="default: %(default)s"
    )
    command.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="clips decoded at a time, in child processes; 0: in this process; the result does "
        "not depend on it (default: %(default)s)",
    )


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number
