"""Folders of the shape of published data sets: their names, columns, folds and counts."""

import csv
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

from panns_tf.transfer.tasks import find_task

#: Kaggle's test clips, most of which were not scored.
KAGGLE_TEST = 9400


def touch(folder: Path, names: Iterable[str], sound: bytes = b"") -> Path:
    """Writes files of one content."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(sound)
    return folder


def table(path: Path, columns: Sequence[str], rows: Iterable[Sequence], delimiter=",", mark=False):
    """Writes a table, with a byte order mark or without."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8-sig" if mark else "utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows([columns, *rows])


def esc50(folder: Path, sound: bytes = b"", **options) -> Path:
    """ESC-50-master: two takes of each of four sources in each fold and class."""
    root = folder / "ESC-50-master"
    ten = set(find_task("esc10").classes)
    rows = []
    for fold, (target, label), clip in itertools.product(
        range(1, 6), enumerate(find_task("esc50").classes), range(8)
    ):
        source, take = 10000 + fold * 1000 + target * 10 + clip // 2, "AB"[clip % 2]
        name = f"{fold}-{source}-{take}-{target}.wav"
        rows.append((name, fold, target, label, label in ten, source, take))
    columns = ("filename", "fold", "target", "category", "esc10", "src_file", "take")
    table(root / "meta/esc50.csv", columns, sorted(rows), **options)
    touch(root / "audio", (row[0] for row in rows), sound)
    return root


def gtzan(folder: Path, sound: bytes = b"", ending: str = "wav") -> Path:
    """genres: a thousand files, jazz.00054 among them."""
    names = (
        f"{genre}/{genre}.{number:05d}.{ending}"
        for genre in find_task("gtzan").classes
        for number in range(100)
    )
    return touch(folder / "genres", names, sound)


def ravdess(folder: Path, sound: bytes = b"", song: bool = False) -> Path:
    """Actor_01 to Actor_24: 60 speech files each, of songs 44, but for actor 18."""
    names = []
    for actor in range(1, 25):
        for channel, emotions in ((1, 8), (2, 6)):
            if channel == 2 and (not song or actor == 18):
                continue
            for emotion, intensity, statement, repetition in itertools.product(
                range(1, emotions + 1), (1, 2), (1, 2), (1, 2)
            ):
                if (emotion, intensity) != (1, 2):
                    numbers = (3, channel, emotion, intensity, statement, repetition, actor)
                    name = "-".join(f"{number:02d}" for number in numbers)
                    names.append(f"Actor_{actor:02d}/{name}.wav")
    return touch(folder, names, sound)


def dcase2019(folder: Path, sound: bytes = b"") -> Path:
    """The development set: 14400 clips, of which the split uses 13370; places of 20 clips."""
    root = folder / "TAU-urban-acoustic-scenes-2019-development"
    scenes = find_task("dcase2019_task1").classes
    counts = {"train": 9185, "evaluate": 4185, "unused": 1030}
    parts = {part: [] for part in counts}
    meta = []
    place = 0
    for part, count in counts.items():
        for number, scene in enumerate(scenes):
            clips = count // 10 + (number < count % 10)
            for clip in range(clips):
                place += clip % 20 == 0
                name = f"audio/{scene}-lyon-{place}-{clip}-a.wav"
                meta.append((name, scene, f"lyon-{place}", "a"))
                parts[part].append((name, scene))
    table(root / "meta.csv", ("filename", "scene_label", "identifier", "source_label"), meta, "\t")
    setup = root / "evaluation_setup"
    for part in ("train", "evaluate"):
        table(setup / f"fold1_{part}.csv", ("filename", "scene_label"), parts[part], "\t")
    table(setup / "fold1_test.csv", ("filename",), [row[:1] for row in parts["evaluate"]], "\t")
    touch(root, (row[0] for row in meta), sound)
    return root


def fsdkaggle(folder: Path, sound: bytes = b"", layout: str = "zenodo") -> Path:
    """FSDKaggle2018 as Zenodo has it, or as Kaggle does with all labels of its test set."""
    classes = find_task("dcase2018_task2").classes
    doubtful = [f"{name}.wav" for name in find_task("dcase2018_task2").doubtful]
    train = [(f"{n:08x}.wav", classes[n % 41], n % 2) for n in range(9473)]
    scored = [(f"{n:08x}.wav", classes[n % 41], "Public" if n % 5 == 0 else "Private")
              for n in range(20000, 21600)]  # fmt: skip
    if layout == "zenodo":
        table(
            folder / "FSDKaggle2018.meta/train_post_competition.csv",
            ("fname", "label", "manually_verified", "freesound_id", "license"),
            [(*row, 1, "CC0") for row in train],
        )
        table(
            folder / "FSDKaggle2018.meta/test_post_competition_scoring_clips.csv",
            ("fname", "label", "usage", "freesound_id", "license"),
            [(*row, 1, "CC0") for row in scored],
        )
        touch(folder / "FSDKaggle2018.audio_train", (row[0] for row in train), sound)
        touch(folder / "FSDKaggle2018.audio_test", (row[0] for row in scored), sound)
        return folder
    padding = [f"{n:08x}.wav" for n in range(30000, 30000 + KAGGLE_TEST - 1600 - len(doubtful))]
    ignored = [(name, "None", "Ignored") for name in (*doubtful, *padding)]
    table(folder / "train.csv", ("fname", "label", "manually_verified"), train)
    table(folder / "test_post_competition.csv", ("fname", "label", "usage"), [*ignored, *scored])
    touch(folder / "audio_train", (row[0] for row in train), sound)
    touch(folder / "audio_test", (row[0] for row in (*scored, *ignored)), sound)
    return folder


def msos(folder: Path, sound: bytes = b"", apart: bool = False) -> Path:
    """Development and Evaluation, in one folder or in those of their archives."""
    classes = find_task("msos").classes
    development = folder / "MSoS_challenge_2018_Development_v1-00" if apart else folder
    evaluation = folder / "MSoS_challenge_2018_Evaluation_v1-00" if apart else folder
    columns = ("Category", "Event", "File")
    train = [(label, f"event{n % 20}", f"{label}{n:03d}.wav") for label in classes
             for n in range(300)]  # fmt: skip
    test = [(classes[n % 5], f"event{n % 20}", f"{n:03d}.wav") for n in range(500)]
    table(development / "Logsheet_Development.csv", columns, train)
    table(evaluation / "Logsheet_EvaluationMaster.csv", columns, test)
    touch(development / "Development", (f"{row[0]}/{row[2]}" for row in train), sound)
    touch(evaluation / "Evaluation", (row[2] for row in test), sound)
    return folder


#: A tree of each task that has a layout of its own.
TREES = {
    "esc50": esc50,
    "gtzan": gtzan,
    "ravdess": ravdess,
    "dcase2019_task1": dcase2019,
    "dcase2018_task2": fsdkaggle,
    "msos": msos,
}
