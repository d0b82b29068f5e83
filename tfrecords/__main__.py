"""The commands: `python -m tfrecords pack | audioset | merge | info | verify | synthesize`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from tfrecords.errors import TFRecordsError
from tfrecords.options import make_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = make_parser().parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):  # names that the terminal cannot show are no error
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _COMMANDS[options.command](options)
    except BrokenPipeError:  # what reads our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (TFRecordsError, OSError) as error:
        text = " ".join(str(error).split())
        if "No space left" in text and options.command in _RESUMABLE:
            text += "; free some and give the same command, which goes on"
        print(f"error: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        again = "; the same command goes on with it" if options.command in _RESUMABLE else ""
        print(f"error: interrupted; what was begun is not finished{again}", file=sys.stderr)
        return 130


def _pack(options: argparse.Namespace) -> int:
    from tfrecords.pack import pack_clips

    settings = _settings(
        options,
        metadata=options.metadata,
        audio=options.audio,
        format=options.format,
        split=options.split,
        folds=tuple(fold.strip() for fold in options.folds.split(",") if fold.strip()),
    )
    report = pack_clips(settings, runner=_runner(options), retry_rejected=options.retry_rejected)
    print(report.summary())
    return 0


def _audioset(options: argparse.Namespace) -> int:
    from tfrecords.pack_sets import FULL_TRAIN, pack_audioset

    settings = _settings(options, metadata="", audio=options.audio or options.root)
    reports = pack_audioset(
        options.root,
        settings,
        sets=tuple(options.sets),
        runner=_runner(options),
        retry_rejected=options.retry_rejected,
        on_empty=lambda name, message: print(f"{name}: left out: {message}\n"),
    )
    for name, report in reports.items():
        print(f"{name}: {report.summary()}\n")
    if Path(options.output, FULL_TRAIN).is_dir():
        print(f"{FULL_TRAIN}: balanced_train and unbalanced_train, as a view")
    return 0


def _settings(options: argparse.Namespace, **more):
    from tfrecords.audioset import read_black_list
    from tfrecords.settings import PackSettings

    return PackSettings(
        output=options.output,
        labels=options.labels,
        exclude=tuple(name for path in options.exclude for name in read_black_list(path)),
        sample_rate=options.sample_rate,
        clip_seconds=options.clip_seconds,
        clips_per_shard=options.clips_per_shard,
        workers=options.workers,
        clip_timeout=options.clip_timeout,
        codec=options.codec,
        **more,
    )


def _runner(options: argparse.Namespace):
    if options.runner is None:
        if options.runner_options:
            raise TFRecordsError("--runner-options need --runner, the name of the runner")
        return None
    from tfrecords.beam import beam_runner

    return beam_runner(options.runner, options.runner_options)


def _merge(options: argparse.Namespace) -> int:
    from tfrecords.audioset import read_black_list
    from tfrecords.info import load_info
    from tfrecords.views import make_view

    index = make_view(
        options.output,
        options.directories,
        exclude=[name for path in options.exclude for name in read_black_list(path)],
        fraction=options.fraction,
    )
    held = sum(load_info(directory).num_clips for directory in options.directories)
    print(f"{options.output}: {index.num_clips} of {held} clips, as a view of {index.info.source}")
    return 0


def _info(options: argparse.Namespace) -> int:
    from tfrecords.index import load_index
    from tfrecords.summary import summary_dict, summary_text
    from tfrecords.verify import parts_of

    indices = [load_index(part) for part in parts_of(options.directory)]
    if options.json:
        found = [summary_dict(index) for index in indices]
        print(json.dumps(found if len(found) > 1 else found[0], indent=2, ensure_ascii=False))
    else:
        texts = (summary_text(index, classes=options.classes) for index in indices)
        print("\n\n".join(texts))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from tfrecords.info import load_info
    from tfrecords.verify import parts_of, verify_directory

    problems = verify_directory(
        options.directory, report=print, progress=True, workers=options.workers
    )
    if problems:
        print(f"error: {options.directory}: {len(problems)} problems found", file=sys.stderr)
        return 1
    for part in parts_of(options.directory):
        info = load_info(part)
        size = sum(shard.bytes for shard in info.shards) / 1e6
        print(
            f"ok: {part}: {info.num_clips} clips in {info.shards_text}, {size:.1f} MB, all intact"
        )
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


_COMMANDS = {
    "pack": _pack,
    "audioset": _audioset,
    "merge": _merge,
    "info": _info,
    "verify": _verify,
    "synthesize": _synthesize,
}
# The same command goes on with what was begun.
_RESUMABLE = ("pack", "audioset")


if __name__ == "__main__":
    sys.exit(main())
