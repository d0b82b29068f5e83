"""Published data sets: counts, folds, groups, and what is refused."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from panns_tf.transfer.dataset import check_splits, make_splits
from panns_tf.transfer.readers import read_task
from panns_tf.transfer.tasks import TASKS, find_task
from tests.panns_tf.transfer import trees

ESC10, GTZAN, RAVDESS = map(find_task, ("esc10", "gtzan", "ravdess"))
SCENES, KAGGLE, MSOS = map(find_task, ("dcase2019_task1", "dcase2018_task2", "msos"))


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_counts_folds_classes_and_groups(published, task):
    tree = published["esc50" if task.name == "esc10" else task.name]
    read = read_task(tree, task)
    assert (read.name, read.classes) == (task.name, task.classes)
    folds = np.array([clip.fold for clip in read.clips])
    assert {part: int((folds == part).sum()) for part in task.published} == task.published
    folded = "train" not in task.published
    assert [split.name for split in read.splits] == list(task.published if folded else ["test"])
    tested = np.concatenate([split.test for split in read.splits])
    others = [] if folded else read.splits[0].train
    assert sorted([*tested, *others]) == list(range(len(read.clips)))
    assert (read.target().sum(1) == 1).all()
    assert (read.target().sum(0) > 0).all()
    ids = [clip.clip_id for clip in read.clips]
    assert ids == sorted(set(ids))
    assert not any(clip_id.startswith(("/", "..")) for clip_id in ids)
    assert [note for note in read.notes if "known to be corrupt" not in note] == []

    made = make_splits(read, validation=0.15, seed=3)  # refuses groups on two sides
    for split in made.splits:
        groups = [
            {made.clips[n].group for n in part} - {None} for part in (split.train, split.test)
        ]
        assert bool(groups[0]) == (task.name not in ("dcase2018_task2", "msos", "gtzan"))
        share = len(split.validation) / (len(split.validation) + len(split.train))
        assert 0.11 <= share <= 0.19
    around = read_task(tree.parent / tree.name, task)
    assert [clip.clip_id for clip in around.clips] == ids


def test_tensorflow_is_not_needed():
    code = "import sys, panns_tf.transfer.readers"
    code += ", panns_tf.transfer.cli"
    code += "; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def lines(root):
    return (root / "meta/esc50.csv").read_text().splitlines()


def write(root, rows):
    (root / "meta/esc50.csv").write_text("\n".join(rows) + "\n", encoding="utf-8-sig")


@pytest.fixture
def ten(tmp_path):
    """The ten classes alone, as ogg."""
    root = trees.esc50(tmp_path)
    header, *rows = lines(root)
    write(root, [header, *(row.replace(".wav", ".ogg") for row in rows if ",True," in row)])
    for path in (root / "audio").iterdir():
        path.rename(path.with_suffix(".ogg"))
    return root


def test_esc_labels_groups_and_missing_files(ten):
    for clip in read_task(ten, ESC10).clips:
        fold, source, _, _ = clip.path.stem.split("-")
        assert (clip.fold, clip.group) == (fold, source)
    whole = read_task(ten, find_task("esc50"))
    assert whole.notes[0].startswith("classes without a clip: pig, cow, frog, cat, hen and 35 more")
    assert whole.notes[1].startswith("400 of the 2000 published clips of ESC-50: 80 of 400 in fold")
    header, *rows = lines(ten)
    write(ten, [f"x,{header}", *(f"1,{row}" for row in reversed(rows))])
    gone = sorted((ten / "audio").iterdir())[:7]
    for path in gone:
        path.unlink()
    read = read_task(ten, ESC10)
    assert len(read.clips) == 393
    assert read.notes[0].startswith(f"7 of 400 files are missing: {gone[0].name}, ")
    for path in (ten / "audio").glob("3-*"):
        path.unlink()
    with pytest.raises(ValueError, match="fold 3 has no clip left; its files are missing"):
        read_task(ten, ESC10)


def test_esc_tables_that_are_wrong(ten):
    header, first, *rows = lines(ten)
    for changed, error in (
        (
            [first.replace(",dog,", ",dgo,"), *rows],
            r"line 2: .*'dgo', none of the 10 .*did you mean dog",
        ),
        ([first.replace(",1,", ",6,", 1), *rows], r"in fold '6'; expected one of 1, 2, 3, 4, 5"),
        (
            [first, *rows, first.replace("dog", "rain")],
            r"twice, with label dog, .*line 2. and label rain",
        ),
    ):
        write(ten, [header, *changed])
        with pytest.raises(ValueError, match=error) as caught:
            read_task(ten, ESC10)
        assert "\n" not in str(caught.value)
    write(ten, [header, first, *rows, first])
    assert len(read_task(ten, ESC10).clips) == 400
    write(ten, [header, first.replace(",1,", ",2,", 1), *rows])
    with pytest.raises(ValueError, match=r"split 1: .* of group 11000"):
        check_splits(read_task(ten, ESC10))
    shutil.rmtree(ten / "meta")
    for folder, error in (
        (ten, "does not look like ESC-10; expected meta"),
        (ten / "x", "is no folder"),
    ):
        with pytest.raises(ValueError, match=error):
            read_task(folder, ESC10)


def test_gtzan_folds_are_by_number_whatever_is_missing(tmp_path):
    genres = trees.gtzan(tmp_path, ending="au")
    trees.touch(genres, ["blues/blues.00001.wav", "jazz/take five.wav"])
    for name in ("jazz/jazz.00054.au", "rock/rock.00003.au"):
        (genres / name).unlink()
    read = read_task(tmp_path, GTZAN)
    assert len(read.clips) == 998
    for clip in read.clips:
        genre, number = clip.path.stem.split(".")
        assert (clip.fold, clip.group) == (str(int(number) // 10 + 1), None)
        assert clip.labels == (genre,)
    assert "blues/blues.00001.wav" in {clip.clip_id for clip in read.clips}
    assert read.notes == (
        "left out: 2 files that are none of GTZAN's: blues.00001.au, take five.wav",
        "2 of 1000 files are missing: jazz.00054.wav, rock.00003.wav",
        "998 of the 1000 published clips of GTZAN: 99 of 100 in fold 1, 99 of 100 in fold 6",
        "known to be corrupt or missing in most copies: jazz.00054.wav",
    )


def test_ravdess_leaves_out_song_video_and_repeats(tmp_path):
    trees.ravdess(tmp_path, song=True)
    trees.ravdess(tmp_path / "audio_speech_actors_01-24")
    trees.touch(tmp_path, ["Actor_01/01-01-01-01-01-01-01.mp4", "Actor_01/own.wav"])
    read = read_task(tmp_path, RAVDESS)
    assert len(read.clips) == 1440
    for clip in read.clips:
        numbers = clip.path.stem.split("-")
        assert (clip.labels, clip.group) == ((RAVDESS.classes[int(numbers[2]) - 1],), numbers[6])
        assert clip.fold == str((int(numbers[6]) - 1) // 6 + 1)
    (note,) = read.notes
    assert note.startswith("left out: 2454 files that are none of RAVDESS's: ")


@pytest.fixture
def scenes(tmp_path):
    """Writes the tables of DCASE 2019 with few clips."""

    def write(place="lyon-{}", columns=("filename", "scene_label")):
        for name, number in (("train", 0), ("evaluate", 1)):
            rows = [
                (f"audio/{scene}-{place.format(number)}-{clip}-a.wav", scene)
                for scene in SCENES.classes
                for clip in (2 * number, 2 * number + 1)
            ]
            path = tmp_path / f"TAU/evaluation_setup/fold1_{name}.csv"
            trees.table(path, columns, rows, "\t")
            trees.touch(tmp_path / "TAU", [row[0] for row in rows])
        return tmp_path / "TAU"

    return write


def test_scenes(scenes):
    read = read_task(scenes(), SCENES)
    check_splits(read)
    assert {clip.group for clip in read.clips} == {"lyon-0", "lyon-1"}
    with pytest.raises(ValueError, match=r"split test: .* of group lyon-7"):
        check_splits(read_task(scenes("lyon-7"), SCENES))
    with pytest.raises(ValueError, match=r"fold1_train.csv has no column label or labels"):
        read_task(scenes(columns=("filename", "scene")), SCENES)


def test_kaggle(tmp_path):
    trees.fsdkaggle(tmp_path, layout="kaggle")
    read = read_task(tmp_path, KAGGLE)
    assert (len(read.splits[0].train), len(read.splits[0].test)) == (9473, 1600)
    assert read.notes == ()
    (tmp_path / "test_post_competition.csv").unlink()
    with pytest.raises(ValueError, match=r"there is no test_post_competition_scoring_clips.csv"):
        read_task(tmp_path, KAGGLE)


def test_msos_archives_beside_each_other_and_files_of_one_name(tmp_path, published):
    trees.msos(tmp_path, apart=True)
    assert read_task(tmp_path, MSOS).splits == read_task(published["msos"], MSOS).splits
    (table,) = tmp_path.glob("*/Logsheet_Development.csv")
    for folder in (table.parent / "Development").iterdir():
        for path in folder.iterdir():
            path.rename(folder / path.name[-7:])
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    trees.table(table, ("category", "type", "FILE"), [(a, b, c[-7:]) for a, b, c in rows])
    read = read_task(tmp_path, MSOS)
    assert len(read.clips) == 2000
    assert all(c.labels[0] in c.clip_id for c in read.clips if c.fold == "train")
    next(tmp_path.glob("*/Logsheet_EvaluationMaster.csv")).unlink()
    with pytest.raises(ValueError, match=r"there is no logsheet_evaluationmaster.csv"):
        read_task(tmp_path, MSOS)


def test_tasks_are_found_by_any_spelling():
    for name in ("ESC-50", "esc 50", "Dcase2019-Task1"):
        assert find_task(name).name.replace("_", "") == name.lower().translate(
            str.maketrans("", "", "- _")
        )
    with pytest.raises(ValueError, match=r"no task 'gtzam'; did you mean gtzan\?"):
        find_task("gtzam")
