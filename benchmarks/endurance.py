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

from common import pack, print_table, resident, write_audioset

TENTHS, WARM_UP, CLIPS, MOST_GROWTH_MB = 10, 8, 640, 20


def main() -> None:
    """Reads and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--data", type=Path, metavar="DIR", help="a packed directory")
    parser.add_argument("--batch", type=int, default=64)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = options.data
        if data is None:
            data = Path(temporary) / "packed"
            pack(write_audioset(Path(temporary) / "source", CLIPS, None), data)
        read(options, data)


def read(options: argparse.Namespace, data: Path) -> None:
    """Reads for so long; prints."""
    from tfrecords import dataset

    batches = iter(dataset(data, batch_size=options.batch, sampling="balanced"))
    for _ in itertools.islice(batches, WARM_UP):
        pass
    tenth = 60 * options.minutes / TENTHS
    rows, megabytes = [], []
    for number in range(1, TENTHS + 1):
        clips, began = 0, time.perf_counter()
        while (passed := time.perf_counter() - began) < tenth:
            clips += next(batches)["waveform"].shape[0]
        megabytes.append(resident()["now"])
        cells = f"{number * tenth / 60:.1f}", f"{clips / passed:,.0f}", f"{megabytes[-1]:.1f}"
        rows.append(cells)
        print("{} min, {} clips/s, {} MB".format(*cells), flush=True)
    print_table(("minutes", "clips a second", "resident MB"), rows)
    growth = max(megabytes[1:]) - megabytes[0]
    print(f"after the first tenth: at most {growth:+.1f} MB")
    raise SystemExit(growth > MOST_GROWTH_MB)


if __name__ == "__main__":
    main()
