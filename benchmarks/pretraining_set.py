"""Makes a set to pretrain on, out of the sounds of Debian packages and of formulas.

    apt-get download tuxpaint-stamps-default megaglest-data wesnoth-1.16-data hedgewars-data \\
        ufoai-sound openarena-data scorched3d-data minetest-data lugaru-data lincity-ng-data \\
        searchandrescue-data boswars-data btanks-data bzflag-data simutrans-pak64 opencity-data \\
        unknown-horizons wordwarvi-sound trackballs-data pingus-data frozen-bubble-data bambam \\
        gl-117-data freeciv-data tuxtype-data tuxmath-data colobot-common-sounds glob2-data \\
        hydrogen-drumkits hydrogen-drumkits-effects sonic-pi-samples sound-icons lomiri-sounds \\
        sound-theme-freedesktop yaru-theme-sound oxygen-sounds psi-plus-sounds gcin-voice \\
        asterisk-core-sounds-en-wav asterisk-moh-opsound-wav
    for file in *.deb; do dpkg -x "$file" "unpacked/${file%%_*}"; done
    for file in $(find unpacked -name '*.pk3'); do unzip -qo "$file" -d "${file%.pk3}"; done
    python benchmarks/pretraining_set.py --sounds unpacked --output pretraining --clips 6000
    python -m tfrecords pack --metadata pretraining/train.csv --audio pretraining \\
        --labels pretraining/classes.txt --clip-seconds 2.5 --output packed/train
    python -m tfrecords pack --metadata pretraining/eval.csv --audio pretraining --split eval \\
        --labels pretraining/classes.txt --clip-seconds 2.5 --output packed/eval

The class of a file follows from its path (`pretraining_classes.toml`); the twelve synthetic sounds
of `tfrecords/sounds.py` are classes, too. As in AudioSet a clip holds one to three of them. Of each
class a fifth of the files, at least one, is held out, and clips are made of either kind alone.
`sources.csv` says which files each clip is made of.
"""

import argparse
import csv
import hashlib
import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[1]))

from panns_tf import commands
from tfrecords.sounds import SOUNDS, background

SAMPLE_RATE = 32000
SUFFIXES = {".wav", ".ogg", ".oga", ".flac", ".aiff", ".mp3"}
SPLITS = ("train", "eval")
FEWEST_FILES = 3  # of a class: with fewer, what is held out says nothing
HELD_OUT = 5  # one file of so many
#: A class of formulas instead of files has this in the place of a path.
SYNTHETIC = Path("synthetic")

#: The files of every class, by split.
Pools = dict[str, dict[str, list[Path]]]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--sounds", type=Path, nargs="+", required=True, metavar="DIR", help="unpacked packages")
    add("--output", type=Path, required=True, metavar="DIR", help="gets audio/ and lists")
    add(
        "--classes",
        type=Path,
        default=Path(__file__).with_name("pretraining_classes.toml"),
        help="which paths are of which class; default the file beside this program",
    )
    add("--clips", type=int, default=6000, help="to train on; default 6000")
    add("--eval-clips", type=int, default=1000, help="held-out ones; default 1000")
    add("--clip-seconds", type=float, default=2.5)
    add("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if min(options.clips, options.eval_clips) < 1 or options.clip_seconds < 0.25:
        raise ValueError("--clips, --eval-clips must be at least 1, --clip-seconds at least 0.25")
    for folder in options.sounds:
        if not folder.is_dir():
            raise ValueError(f"--sounds: there is no folder {folder}")
    return options


def read_rules(path: Path) -> dict[str, re.Pattern]:
    """The classes and the paths that belong to them, in the order in which they are tried."""
    with path.open("rb") as file:
        return {name: re.compile(rule) for name, rule in tomllib.load(file).items()}


def collect(folders: Iterable[Path], rules: dict[str, re.Pattern]) -> dict[str, list[Path]]:
    """The files of every class, each content once, in an order that the folders' place leaves."""
    classes: dict[str, list[Path]] = {name: [] for name in rules if name}
    seen = set()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() not in SUFFIXES or not path.is_file():
                continue
            place = path.relative_to(folder).as_posix().lower()
            name = next((name for name, rule in rules.items() if rule.search(place)), "")
            digest = hashlib.sha256(path.read_bytes()).digest() if name else b""
            if name and digest not in seen:
                seen.add(digest)
                classes[name].append(path)
    return classes


def is_audible(path: Path) -> bool:
    """Whether a file can be decoded and is neither silent nor a mere click of some samples."""
    try:
        with soundfile.SoundFile(path) as file:
            sound = file.read(file.samplerate, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError):
        return False
    return len(sound) > 0.01 * SAMPLE_RATE and bool(np.abs(sound).max() > 1e-3)


def split_files(classes: dict[str, list[Path]], rng: np.random.Generator) -> Pools:
    """Holds out a fifth of the files of a class, at least one; adds the synthetic classes.

    Raises:
        ValueError: if no class has enough files.
    """
    pools: Pools = {split: {} for split in SPLITS}
    for name, paths in classes.items():
        paths = [path for path in paths if is_audible(path)]
        if len(paths) < FEWEST_FILES:
            continue
        order = [paths[place] for place in rng.permutation(len(paths))]
        count = max(1, len(paths) // HELD_OUT)
        pools["eval"][name], pools["train"][name] = order[:count], order[count:]
    if not pools["train"]:
        raise ValueError("--sounds: no class has 3 audio files; give the folders of the packages")
    for name in SOUNDS:
        for split in SPLITS:
            pools[split][f"synthetic {name.replace('_', ' ')}"] = [SYNTHETIC / name]
    return pools


def read_sound(rng: np.random.Generator, path: Path, seconds: float) -> np.ndarray:
    """A part of a file of at most so many seconds, mono, a little faster or slower.

    (samples,) float64 at `SAMPLE_RATE`, without the silence before and after.
    """
    speed = np.exp(rng.uniform(-0.16, 0.16))  # 0.85 to 1.17
    with soundfile.SoundFile(path) as file:
        wanted = int(seconds * speed * file.samplerate) + 1
        start = int(rng.integers(max(1, file.frames - wanted + 1)))
        file.seek(start)
        sound = file.read(wanted, always_2d=True).mean(axis=1)
        ratio = Fraction(SAMPLE_RATE / (file.samplerate * speed)).limit_denominator(200)
    sound = resample_poly(sound, ratio.numerator, ratio.denominator)
    loud = np.flatnonzero(np.abs(sound) > 0.02 * np.abs(sound).max(initial=1e-9))
    return sound[loud[0] : loud[-1] + 1] if len(loud) else sound


def lay(rng: np.random.Generator, sound: np.ndarray, samples: int) -> np.ndarray:
    """A sound somewhere in a clip, a short one perhaps over and over.

    (samples,) float64 of unit level where there is sound.
    """
    sound = sound[:samples] / (np.sqrt(np.mean(sound**2)) + 1e-9)
    fade = np.minimum(1, np.arange(1, len(sound) + 1) / (0.005 * SAMPLE_RATE))
    sound = sound * fade * fade[::-1]
    clip = np.zeros(samples)
    start = int(rng.integers(samples - len(sound) + 1))
    if len(sound) > samples // 2 or rng.random() < 0.5:
        clip[start : start + len(sound)] = sound
        return clip
    period = len(sound) + int(rng.uniform(0.02, 0.6) * SAMPLE_RATE)
    for place in range(start % period, samples - len(sound) + 1, period):
        clip[place : place + len(sound)] = sound
    return clip


def make_clip(
    rng: np.random.Generator, pool: dict[str, list[Path]], seconds: float
) -> tuple[np.ndarray, dict[str, Path]]:
    """One to three sounds of different classes, mostly over noise.

    Returns:
        (samples,) float64 in [-0.9, 0.9], and the file by class.
    """
    samples = int(seconds * SAMPLE_RATE)
    count = rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])
    names = rng.choice(sorted(pool), size=min(count, len(pool)), replace=False)
    sources = {str(name): pool[name][rng.integers(len(pool[name]))] for name in names}
    clip = np.zeros(samples)
    for path in sources.values():
        if path.parent == SYNTHETIC:
            sound = SOUNDS[path.name](rng, int(samples * rng.uniform(0.5, 1)), SAMPLE_RATE)
        else:
            sound = read_sound(rng, path, seconds)
        clip += lay(rng, sound, samples) * 10 ** (rng.uniform(-6, 6) / 20)
    if rng.random() < 0.7:
        noise = background(rng, samples, SAMPLE_RATE)
        clip += noise * 10 ** (-rng.uniform(10, 45) / 20)
    level = 10 ** rng.uniform(-1.3, -0.05)  # 0.05 to 0.9
    return clip * (level / (np.abs(clip).max() + 1e-9)), sources


def write_set(options: argparse.Namespace, pools: Pools) -> None:
    """Writes the clips, their lists and where they come from."""
    (options.output / "audio").mkdir(parents=True, exist_ok=True)
    classes = sorted(pools["train"])
    (options.output / "classes.txt").write_text("".join(f"{name}\n" for name in classes))
    with (options.output / "sources.csv").open("w", newline="") as file:
        sources_of = csv.writer(file, lineterminator="\n")
        sources_of.writerow(["filename", "class", "source"])
        for number, split in enumerate(SPLITS):
            count = options.clips if split == "train" else options.eval_clips
            with (options.output / f"{split}.csv").open("w", newline="") as metadata:
                rows = csv.writer(metadata, lineterminator="\n")
                rows.writerow(["filename", "labels"])
                for place in tqdm(range(count), unit="clip", desc=split):
                    rng = np.random.default_rng((options.seed, number, place))
                    clip, sources = make_clip(rng, pools[split], options.clip_seconds)
                    name = f"audio/{split}_{place:05d}.wav"
                    soundfile.write(options.output / name, clip, SAMPLE_RATE, subtype="PCM_16")
                    rows.writerow([name, ";".join(sources)])
                    sources_of.writerows((name, *source) for source in sources.items())


def main(arguments: Sequence[str] | None = None) -> None:
    """Collects, splits, writes, and prints how many files each class has."""
    options = parse(arguments)
    if (options.output / "train.csv").exists():
        raise ValueError(f"--output: {options.output} holds a set already; choose another folder")
    classes = collect(options.sounds, read_rules(options.classes))
    pools = split_files(classes, np.random.default_rng(options.seed))
    write_set(options, pools)
    for name in sorted(pools["train"]):
        print(f"{name}: {len(pools['train'][name])} files, {len(pools['eval'][name])} held out")


if __name__ == "__main__":
    commands.run(main)
