"""The commands ``pack``, ``audioset``, ``merge``, ``info``, ``verify`` and ``synthesize``."""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

from tfrecords.files import TFRecordsError
from tfrecords.flags import add_flags, flag_settings
from tfrecords.plan import PackSettings

_SHORT_TABLE = 20  # classes that ``info`` lists unasked
_COMMON = ("output", "sample_rate", "clip_seconds", "clips_per_shard", "workers")


def add_pack_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = """\
Decode the audio files that a metadata file lists to clips of one length and sample rate, and
write them as TFRecord shards with an index and dataset.json. Files that are no whole audio are
listed in rejected.csv, and counted by class in missing_by_class.csv. A packing that was
interrupted goes on with the same command.

formats of the metadata file:
  esc50     a CSV with the columns filename, fold, target, category
  audioset  AudioSet's segment lists: YTID, start_seconds, end_seconds, positive_labels
  csv       a CSV with the columns filename, labels; several labels are separated by ';'
"""
    add_flags(parser, PackSettings)
    _add_packing_flags(parser)


def run_pack(args: argparse.Namespace) -> None:
    from tfrecords.pack import pack_clips

    print(pack_clips(_settings(args), **_packing(args)).summary())


def add_audioset_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = """\
Pack AudioSet, any part of it, into one folder: balanced_train, unbalanced_train, eval, and
full_train, a view that joins the first two without storing any clip twice. Each is a packed
directory. The metadata files are expected in ROOT or ROOT/metadata, the audio anywhere in ROOT.
"""
    add = parser.add_argument
    add("--root", required=True, metavar="ROOT", help="the folder of metadata and audio")
    add("--audio", metavar="DIR", help="where the audio is, at any depth; default: ROOT")
    sets = "of balanced_train, unbalanced_train, eval; default: all whose metadata are there"
    add("--sets", nargs="+", default=(), metavar="SET", help=sets)
    add_flags(parser, PackSettings, (*_COMMON, "labels", "codec", "clip_timeout"))
    _add_packing_flags(parser)


def run_audioset(args: argparse.Namespace) -> None:
    from tfrecords.pack import FULL_TRAIN, pack_audioset

    args.audio = args.audio or args.root
    settings = _settings(args, metadata="")
    reports = pack_audioset(args.root, settings, sets=tuple(args.sets), **_packing(args))
    for name, report in reports.items():
        print(f"{name}: {report.summary()}\n")
    if Path(args.output, FULL_TRAIN).is_dir():
        print(f"{FULL_TRAIN}: balanced_train and unbalanced_train, as a view")


def add_merge_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = """\
Join packed directories, or take a part of one, as a view: an index over the shards where they
are, without a copy of any audio. The directories must stay where they are relative to the view.
"""
    parser.add_argument("directories", nargs="+", metavar="DIR", help="packed directories")
    parser.add_argument("--output", required=True, metavar="DIR", help="the view to write")
    _add_exclude_flag(parser)
    fraction = "take this fraction of the clips, chosen by a hash of their ids; default: all"
    parser.add_argument("--fraction", type=float, default=1.0, metavar="F", help=fraction)


def run_merge(args: argparse.Namespace) -> None:
    from tfrecords.index import load_info
    from tfrecords.views import make_view

    selection = {"exclude": _excluded(args), "fraction": args.fraction}
    index = make_view(args.output, args.directories, **selection)
    total = sum(load_info(directory).num_clips for directory in args.directories)
    print(f"{args.output}: {index.num_clips} of {total} clips, as a view of {index.info.source}")


def add_info_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = "Print what a packed directory, or each in a folder of them, holds."
    parser.add_argument("directory", metavar="DIR", help="a packed directory")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--classes", action="store_true", help="list every class")


def run_info(args: argparse.Namespace) -> None:
    from tfrecords.index import load_index, packed_directories

    indices = [load_index(packed) for packed in packed_directories(args.directory)]
    data = [_described(index) for index in indices]
    if args.json:
        print(json.dumps(data if len(data) > 1 else data[0], indent=2, ensure_ascii=False))
        return
    for index, held in zip(indices, data, strict=True):
        info, counts = index.info, held["clips_per_class"]
        print(
            f"{index.directory}: split {info.split}, from {info.source}\n"
            f"{info.num_clips} clips of {info.clip_seconds:g} s at {info.sample_rate} Hz "
            f"({info.codec}) in {info.shards_text}, {held['bytes'] / 1e6:.1f} MB\n"
            f"{info.num_classes} classes of {counts['min']} to {counts['max']} clips, "
            f"{held['labels_per_clip']:.2f} labels a clip"
        )
        if args.classes or info.num_classes <= _SHORT_TABLE:
            for number, (name, count) in enumerate(held["classes"].items()):
                print(f"{number:5d}  {count:8d}  {name}")


def _described(index) -> dict:
    info, counts = index.info, index.class_counts.tolist()
    names = ("split", "source", "format_version", "num_clips", "num_classes", "sample_rate")
    median = float(statistics.median(counts))
    names += ("clip_samples", "clip_seconds", "codec", "clips_per_shard")
    return {name: getattr(info, name) for name in names} | {
        "hours": info.clip_seconds * info.num_clips / 3600,
        "num_shards": len(info.shards),
        "bytes": sum(shard.bytes for shard in info.shards),
        "labels_per_clip": len(index.label_values) / max(1, index.num_clips),
        "clips_per_class": {"min": min(counts), "median": median, "max": max(counts)},
        "classes": dict(zip(info.classes, counts, strict=True)),
    }


def add_verify_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = """\
Read every record of a packed directory, or of each in a folder of them, and compare it with the
index. Prints a line a problem; the exit status is 0 if there is none, else 1.
"""
    parser.add_argument("directory", metavar="DIR", help="a packed directory")
    workers, text = os.cpu_count() or 1, "shards read at a time; default: %(default)s"
    parser.add_argument("--workers", type=int, default=workers, metavar="N", help=text)


def run_verify(args: argparse.Namespace) -> int:
    from tfrecords.commands import import_tensorflow_quietly
    from tfrecords.index import load_info, packed_directories
    from tfrecords.verify import verify_directory

    import_tensorflow_quietly()
    if args.workers < 1:
        raise ValueError(f"--workers must be at least 1; received {args.workers}")
    problems = verify_directory(args.directory, report=print, workers=args.workers)
    if problems:
        print(f"error: {args.directory}: {len(problems)} problems found", file=sys.stderr)
        return 1
    for packed in packed_directories(args.directory):
        info = load_info(packed)
        print(f"ok: {packed}: {info.num_clips} clips in {info.shards_text}, all intact")
    return 0


def add_synthesize_flags(parser: argparse.ArgumentParser) -> None:
    parser.description = """\
Write a small data set of synthetic sounds: 12 classes, 1 to 3 in a clip, over noise, the most
frequent class 20 times as frequent as the rarest; audio files, metadata.csv and packed records.
For trying the programs and for tests. These are sounds computed from formulas, not AudioSet.
"""
    add = parser.add_argument
    add("--clips", type=int, default=600, help="how many; default: %(default)s")
    add("--classes", type=int, metavar="N", help="only the N most frequent of the 12 classes")
    add("--seed", type=int, default=0, help="default: %(default)s")
    defaults = {"clip_seconds": "1.0", "clips_per_shard": "256"}
    add_flags(parser, PackSettings, (*_COMMON, "split"), defaults=defaults)


def run_synthesize(args: argparse.Namespace) -> None:
    from tfrecords.synthetic import synthesize_clips

    settings = flag_settings(args, PackSettings)
    settings |= {"clips": args.clips, "seed": args.seed, "num_classes": args.classes}
    report = synthesize_clips(**settings)
    print(f"{report.summary()}\nthese are synthetic sounds computed from formulas, not AudioSet")


def _add_packing_flags(parser: argparse.ArgumentParser) -> None:
    _add_exclude_flag(parser)
    parser.add_argument(
        "--retry-rejected",
        action="store_true",
        help="in a directory that is finished: try the clips again that were missing or refused, "
        "where their files have come or changed since, and pack their shards again",
    )
    parser.add_argument(
        "--runner",
        metavar="NAME",
        help="pack on Apache Beam with this runner, for instance DirectRunner or DataflowRunner; "
        "default: processes on this machine",
    )
    options = "the runner's options in one text: '--project=p --region=r'"
    parser.add_argument("--runner-options", default="", metavar="TEXT", help=options)


def _packing(args: argparse.Namespace) -> dict:
    runner = None
    if args.runner is not None:
        from tfrecords.pool import beam_runner

        runner = beam_runner(args.runner, args.runner_options)
    elif args.runner_options:
        raise TFRecordsError("--runner-options need --runner, the name of the runner")
    return {"runner": runner, "retry_rejected": args.retry_rejected}


def _settings(args: argparse.Namespace, **more) -> PackSettings:
    return PackSettings(**flag_settings(args, PackSettings), exclude=_excluded(args), **more)


def _add_exclude_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exclude",
        dest="exclude_files",
        action="append",
        default=[],
        metavar="FILE",
        help="a list of clips to leave out: an id a line, or AudioSet's <id>_<start>_<end>.wav; "
        "may be given several times",
    )


def _excluded(args: argparse.Namespace) -> tuple[str, ...]:
    from tfrecords.audioset import read_exclude_list

    return tuple(name for path in args.exclude_files for name in read_exclude_list(path))
