"""The commands: `python -m tfrecords pack | info | verify | synthesize`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence

from tfrecords.errors import TFRecordsError
from tfrecords.quiet import import_tensorflow_quietly
from tfrecords.sources import FORMATS

_PACK_HELP = """\
Decode the audio files that a metadata file lists to clips of one length and sample rate, and
write them as TFRecord shards with an index and dataset.json. Files that are missing, empty,
truncated or not audio are skipped and listed in rejected.csv.

formats of the metadata file:
  esc50     a CSV with the columns filename, fold, target, category
  audioset  AudioSet's segment lists: YTID, start_seconds, end_seconds, positive_labels;
            the audio is Y<YTID>.wav (or flac, ogg, mp3) in the audio folder or one below it
  csv       a CSV with the columns filename, labels; several labels are separated by ';'
"""
_PACK_EXAMPLES = """\
examples:
  python -m tfrecords pack --metadata esc50.csv --audio audio --folds 1,2,3,4 \\
      --clip-seconds 5 --output packed/train
  python -m tfrecords pack --metadata eval_segments.csv --audio audios/eval_segments \\
      --split eval --output packed/eval
"""
_SYNTHESIZE_HELP = """\
Write a small data set of synthetic sounds: 12 classes, 1 to 3 in a clip, over noise, the most
frequent class 20 times as frequent as the rarest; audio files, metadata.csv and packed records.
For trying the programs and for tests. These are sounds computed from formulas, not AudioSet.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = _parser().parse_args(arguments)
    import_tensorflow_quietly()
    try:
        return options.run(options)
    except (TFRecordsError, OSError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted; what was begun is not finished", file=sys.stderr)
        return 130


def _pack(options: argparse.Namespace) -> int:
    from tfrecords.pack import PackSettings, pack_clips

    settings = PackSettings(
        metadata=options.metadata,
        audio=options.audio,
        output=options.output,
        format=options.format,
        labels=options.labels,
        split=options.split,
        folds=tuple(fold.strip() for fold in options.folds.split(",") if fold.strip()),
        sample_rate=options.sample_rate,
        clip_seconds=options.clip_seconds,
        clips_per_shard=options.clips_per_shard,
        workers=options.workers,
        codec=options.codec,
    )
    print(pack_clips(settings).summary())
    return 0


def _info(options: argparse.Namespace) -> int:
    from tfrecords.index import load_index
    from tfrecords.summary import summary_dict, summary_text

    index = load_index(options.directory)
    if options.json:
        print(json.dumps(summary_dict(index), indent=2, ensure_ascii=False))
    else:
        print(summary_text(index, classes=options.classes))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from tfrecords.info import load_info
    from tfrecords.verify import verify_directory

    info = load_info(options.directory)
    problems = verify_directory(options.directory, report=print, progress=True)
    if problems:
        print(f"error: {options.directory}: {len(problems)} problems found", file=sys.stderr)
        return 1
    size = sum(shard.bytes for shard in info.shards) / 1e6
    print(f"ok: {info.num_clips} clips in {len(info.shards)} shards, {size:.1f} MB, all intact")
    return 0


def _synthesize(options: argparse.Namespace) -> int:
    from tfrecords.synthesize import synthesize_clips

    report = synthesize_clips(
        options.output,
        clips=options.clips,
        clip_seconds=options.clip_seconds,
        sample_rate=options.sample_rate,
        seed=options.seed,
        split=options.split,
        num_classes=options.classes,
        clips_per_shard=options.clips_per_shard,
        workers=options.workers,
    )
    print(f"{report.summary()}\nthese are synthetic sounds computed from formulas, not AudioSet")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tfrecords", description="Pack audio clips into TFRecord shards."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    _add_pack(commands)
    command = commands.add_parser(
        "info",
        help="say what a packed directory holds",
        description="Say what a packed directory holds, from its index alone.",
    )
    command.add_argument("directory", metavar="DIR", help="a packed directory")
    command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--classes", action="store_true", help="list every class")
    command.set_defaults(run=_info)
    command = commands.add_parser(
        "verify",
        help="check every record of a packed directory",
        description="Read every record of a packed directory and compare it with the index. "
        "Prints a line a problem; the exit status is 0 if there is none, else 1.",
    )
    command.add_argument("directory", metavar="DIR", help="a packed directory")
    command.set_defaults(run=_verify)
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
        "--labels",
        metavar="FILE",
        help="fixes the classes and their order: a CSV with the column display_name (and mid, "
        "index), or one name a line (default: AudioSet's 527 classes; esc50: by target; csv: "
        "sorted)",
    )
    command.add_argument(
        "--folds", default="", metavar="1,2,3", help="esc50 only: the folds to take (default: all)"
    )
    command.add_argument(
        "--codec", choices=("pcm16",), default="pcm16", help="how audio is stored: 16-bit integers"
    )
    _add_common(command, split="train", seconds=10.0, per_shard=1024)
    command.set_defaults(run=_pack)


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
    _add_common(command, split="train", seconds=1.0, per_shard=256)
    command.set_defaults(run=_synthesize)


def _add_common(
    command: argparse.ArgumentParser, *, split: str, seconds: float, per_shard: int
) -> None:
    command.add_argument(
        "--output", required=True, metavar="DIR", help="where to write; must hold no records yet"
    )
    command.add_argument("--split", default=split, help="name of the shards (default: %(default)s)")
    command.add_argument(
        "--sample-rate", type=int, default=32000, metavar="HZ", help="default: %(default)s"
    )
    command.add_argument(
        "--clip-seconds",
        type=float,
        default=seconds,
        metavar="S",
        help="length of every clip; longer audio is cut, shorter is padded with zeros at the end "
        "(default: %(default)s)"
        if command.prog.endswith("pack")
        else "length of every clip (default: %(default)s)",
    )
    command.add_argument(
        "--clips-per-shard", type=int, default=per_shard, metavar="N", help="default: %(default)s"
    )
    command.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        metavar="N",
        help="threads that decode audio; the result does not depend on it (default: %(default)s)",
    )


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # no command needs a GPU; leave its memory alone
    sys.exit(main())
