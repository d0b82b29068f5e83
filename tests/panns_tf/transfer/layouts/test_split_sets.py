"""The sets with one split: DCASE 2019 task 1, FSDKaggle2018 and MSoS."""

import pytest

from panns_tf.transfer.layouts import read_task
from panns_tf.transfer.splits import check_splits
from panns_tf.transfer.tasks import find_task
from tests.panns_tf.transfer import trees

SCENES, KAGGLE, MSOS = map(find_task, ("dcase2019_task1", "dcase2018_task2", "msos"))


@pytest.fixture
def scenes(tmp_path):
    """The tables of DCASE 2019 with few clips, whose places cross when told to."""
    root = tmp_path / "TAU"
    rows = [
        (f"audio/{s}-{n}.wav", s, f"lyon-{s}-{n // 2}") for s in SCENES.classes for n in range(4)
    ]

    def write(rows=rows, labels=lambda label: label, drop=None):
        trees.table(root / "meta.csv", ("filename", "scene_label", "identifier"), rows, "\t")
        for name, part in (("train", (0, 1)), ("evaluate", (2, 3))):
            inside = [(r[0], labels(r[1])) for r in rows if int(r[0][-5]) in part]
            columns = ("filename", "scene_label")
            trees.table(root / f"evaluation_setup/fold1_{name}.csv", columns, inside, "\t")
        if drop:
            (root / drop).unlink()
        return trees.touch(root, [row[0] for row in rows])

    return write, rows


def test_scenes(scenes):
    write, _ = scenes
    read = read_task(write(), SCENES)
    check_splits(read)
    assert read.notes[0].startswith("40 of the 13370 published clips")
    assert {clip.group for clip in read.clips} >= {"lyon-bus-0", "lyon-bus-1"}
    assert [clip.fold for clip in read.clips if "bus-" in clip.clip_id] == ["train"] * 2 + [
        "test"
    ] * 2


def test_place_in_both_sets_is_caught(scenes):
    write, rows = scenes
    read = read_task(write([(*row[:2], row[2].replace("bus-1", "bus-0")) for row in rows]), SCENES)
    with pytest.raises(ValueError, match=r"split test: .* of group lyon-bus-0"):
        check_splits(read)


def test_scene_errors(scenes):
    write, rows = scenes
    with pytest.raises(
        ValueError, match=r"fold1_train.csv, line 2: .* is 'tram', but 'airport' at"
    ):
        read_task(write(labels=lambda label: "tram"), SCENES)
    with pytest.raises(ValueError, match=r"has no meta.csv; it is in the archive"):
        read_task(write(drop="meta.csv"), SCENES)
    root = write()
    trees.table(root / "meta.csv", ("filename", "scene_label", "identifier"), rows[1:], "\t")
    with pytest.raises(ValueError, match=r"line 2: audio/airport-0.wav is not in"):
        read_task(root, SCENES)


def test_kaggle_layout(tmp_path):
    trees.fsdkaggle(tmp_path, layout="kaggle")
    read = read_task(tmp_path, KAGGLE)
    assert len(read.splits[0].train) == 9473
    assert len(read.splits[0].test) == 1600
    assert read.notes == ("left out: 7800 clips of test_post_competition.csv that were not scored",)
    (tmp_path / "test_post_competition.csv").unlink()
    with pytest.raises(ValueError, match="no labels of the test set: put test_post_competition_sc"):
        read_task(tmp_path, KAGGLE)


def test_kaggle_unreadable_files_are_named(tmp_path):
    bad = [f"{name}.wav" for name in KAGGLE.doubtful]
    trees.table(tmp_path / "train.csv", ("fname", "label"), [("a.wav", "Bark"), ("b.wav", "Bus")])
    rows = [(name, "Bark", "Public") for name in bad]
    trees.table(tmp_path / "test_post_competition.csv", ("fname", "label", "usage"), rows)
    trees.touch(tmp_path, ["audio_train/a.wav", "audio_train/b.wav", f"audio_test/{bad[0]}"])
    notes = read_task(tmp_path, KAGGLE).notes
    assert f"known to be corrupt in most copies: {bad[0]}" in notes
    assert any(f"missing in many copies: {bad[1]}, {bad[2]}" in note for note in notes)


def test_msos_archives_beside_each_other(tmp_path, published):
    trees.msos(tmp_path, apart=True)
    read = read_task(tmp_path, MSOS)
    assert (len(read.splits[0].train), len(read.splits[0].test)) == (1500, 500)
    together = read_task(published["msos"], MSOS)
    assert read.splits == together.splits


def test_msos_files_of_one_name(tmp_path):
    trees.msos(tmp_path)
    for folder in (tmp_path / "Development").iterdir():
        for path in folder.iterdir():
            path.rename(folder / path.name[-7:])
    table = tmp_path / "Logsheet_Development.csv"
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    trees.table(table, ("category", "type", "FILE"), [(a, b, c[-7:]) for a, b, c in rows])
    read = read_task(tmp_path, MSOS)
    assert len(read.clips) == 2000
    assert all(MSOS.classes[c.labels[0]] in c.clip_id for c in read.clips if c.fold == "train")


def test_msos_without_labels(tmp_path):
    trees.msos(tmp_path)
    (tmp_path / "Logsheet_EvaluationMaster.csv").unlink()
    with pytest.raises(ValueError, match=r"has no logsheet_evaluationmaster.csv"):
        read_task(tmp_path, MSOS)
