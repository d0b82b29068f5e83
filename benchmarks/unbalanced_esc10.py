"""Makes an unbalanced set of real sounds from ESC-10, for ablations of balancing and mixup.

    python benchmarks/unbalanced_esc10.py --esc10 ESC-10 --output packed/unbalanced
    python -m panns_tf ablate balancing_mixup --data packed/unbalanced/train \\
        --eval-data packed/unbalanced/eval --output ablations/unbalanced --seeds 5 --set arch=Cnn6

Of folds 1 to 4 each class keeps fewer clips than the one before, falling geometrically from 32 to
2; which class is the frequent one is drawn. All of fold 5 is held out, 8 clips of every class.
"""

import argparse
import csv
import random
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from panns_tf import commands

HELD_OUT = "5"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--esc10", type=Path, required=True, metavar="DIR", help="meta/esc50.csv and audio/")
    add("--output", type=Path, required=True, metavar="DIR", help="gets train/, eval/ and lists")
    add("--most", type=int, default=32, help="clips of the most frequent class; default 32")
    add("--least", type=int, default=2, help="clips of the rarest; default 2")
    add("--seed", type=int, default=0, help="of the order of classes, and of the clips kept")
    add("--clip-seconds", type=float, default=5.0)
    add("--sample-rate", type=int, default=32000)
    options = parser.parse_args(arguments)
    if not 1 <= options.least <= options.most:
        raise ValueError(f"need 1 <= --least <= --most; got {options.least}, {options.most}")
    return options


def read_metadata(path: Path) -> list[dict]:
    """The rows of ESC-50's metadata that belong to ESC-10."""
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["esc10"] == "True"]
    if not rows:
        raise ValueError(f"{path} lists no clip of ESC-10")
    return rows


def falling(classes: int, most: int, least: int) -> list[int]:
    """Numbers of clips that fall geometrically."""
    ratio = (least / most) ** (1 / max(1, classes - 1))
    return [round(most * ratio**place) for place in range(classes)]


def choose(rows: Sequence[dict], most: int, least: int, seed: int) -> list[dict]:
    """The training clips that stay, in the order of the metadata."""
    rng = random.Random(seed)
    classes = sorted({row["category"] for row in rows})
    rng.shuffle(classes)
    kept = set()
    for name, count in zip(classes, falling(len(classes), most, least), strict=True):
        clips = sorted(
            row["filename"] for row in rows if row["category"] == name and row["fold"] != HELD_OUT
        )
        if len(clips) < count:
            raise ValueError(f"class {name} has {len(clips)} training clips, fewer than {count}")
        kept.update(rng.sample(clips, count))
    return [row for row in rows if row["filename"] in kept]


def write_list(path: Path, rows: Sequence[dict]) -> None:
    """Writes metadata as the packer reads it."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["filename", "labels"])
        writer.writerows((row["filename"], row["category"]) for row in rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Chooses, packs, and prints how many clips each class has."""
    from tfrecords import PackSettings, pack_clips

    options = parse(arguments)
    rows = read_metadata(options.esc10 / "meta" / "esc50.csv")
    sets = {
        "train": choose(rows, options.most, options.least, options.seed),
        "eval": [row for row in rows if row["fold"] == HELD_OUT],
    }
    options.output.mkdir(parents=True, exist_ok=True)
    classes = sorted({row["category"] for row in rows})
    (options.output / "classes.txt").write_text("".join(f"{name}\n" for name in classes))
    for split, chosen in sets.items():
        write_list(options.output / f"{split}.csv", chosen)
        settings = PackSettings(
            options.output / f"{split}.csv",
            options.esc10 / "audio",
            options.output / split,
            labels=options.output / "classes.txt",
            split=split,
            sample_rate=options.sample_rate,
            clip_seconds=options.clip_seconds,
        )
        report = pack_clips(settings, progress=False)
        if report.rejected_clips:
            raise ValueError(f"{split}: not every clip could be packed: {report.rejected}")
        counts = {name: sum(row["category"] == name for row in chosen) for name in classes}
        ordered = sorted(counts.items(), key=lambda item: -item[1])
        print(f"{split}: {len(chosen)} clips; {', '.join(f'{n} {c}' for n, c in ordered)}")


if __name__ == "__main__":
    commands.run(main)
