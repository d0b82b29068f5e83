"""Balanced batches for a long time: does the speed hold, and does memory grow?

    python benchmarks/endurance.py [--minutes 60] [--data DIR]

Reads a packed directory, by default a small one that it makes, and prints the clips a second and
the resident memory of every tenth of the time. Ends with 1 where memory grew by more than 20 MB
after the first tenth.
"""

import argparse
import itertools
import tempfile
import time
from pathlib import Path

from common import print_table, resident, write_audioset

from tfrecords.pack import pack_clips
from tfrecords.quiet import import_tensorflow_quietly
from tfrecords.settings import PackSettings

TENTHS = 10
WARM_UP = 8
CLIPS = 640
MOST_GROWTH_MB = 20


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a packed directory")
    parser.add_argument("--batch", type=int, default=64)
    return parser.parse_args()


def make(folder: Path) -> Path:
    """Packs computed sounds."""
    metadata = write_audioset(folder / "source", CLIPS, None)
    settings = PackSettings(metadata, folder / "source" / "audio", folder / "packed")
    pack_clips(settings, progress=False)
    return folder / "packed"


def main() -> None:
    """Reads and prints."""
    options = parse()
    import_tensorflow_quietly()
    with tempfile.TemporaryDirectory() as temporary:
        read(options, options.data or make(Path(temporary)))


def read(options: argparse.Namespace, data: Path) -> None:
    """Reads for so long; prints."""
    from tfrecords import dataset

    batches = iter(dataset(data, batch_size=options.batch, sampling="balanced"))
    for _ in itertools.islice(batches, WARM_UP):
        pass
    tenth = 60 * options.minutes / TENTHS
    rows, megabytes, total = [], [], 0
    for number in range(1, TENTHS + 1):
        clips, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < tenth:
            clips += next(batches)["waveform"].shape[0]
        total += clips
        megabytes.append(resident()["now"])
        rows.append(
            (f"{number * tenth / 60:.1f}", f"{clips / passed:,.0f}", f"{megabytes[-1]:.1f}")
        )
        print(f"{rows[-1][0]} min, {rows[-1][1]} clips/s, {rows[-1][2]} MB", flush=True)
    print()
    print_table(("minutes", "clips a second", "resident MB"), rows)
    growth = max(megabytes[1:]) - megabytes[0]
    print(
        f"{total:,} clips in {options.minutes:g} minutes; after the first tenth memory "
        f"{'grew' if growth > MOST_GROWTH_MB else 'did not grow'}: at most {growth:+.1f} MB, "
        f"at the end {megabytes[-1] - megabytes[0]:+.1f} MB"
    )
    raise SystemExit(growth > MOST_GROWTH_MB)


if __name__ == "__main__":
    main()
