"""ESC-50 and ESC-10."""

import shutil

import pytest

from panns_tf.transfer.layouts import read_task
from panns_tf.transfer.splits import check_splits
from panns_tf.transfer.tasks import find_task
from tests.panns_tf.transfer import trees


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


def test_labels_and_groups(published):
    read = read_task(published["esc50"], find_task("esc50"))
    for clip in read.clips:
        fold, source, _, target = clip.path.stem.split("-")
        assert (clip.fold, clip.group, clip.labels) == (fold, source, (int(target),))


def test_ten_classes_alone(ten):
    assert read_task(ten, find_task("esc10")).notes == ()
    read = read_task(ten, find_task("esc50"))
    assert len(read.classes) == 50
    assert "400 of the 2000 published clips and 10 of 50 classes" in read.notes[0]
    assert "40 classes have no clip: pig" in read.notes[1]


def test_endings_order_and_more_columns(tmp_path):
    root = trees.esc50(tmp_path)
    header, *rows = lines(root)
    write(root, [f"x,{header}", *(f"1,{row}" for row in reversed(rows))])
    for number, path in enumerate(sorted((root / "audio").iterdir())):
        path.rename(path.with_suffix((".flac", ".ogg", ".WAV")[number % 3]))
    read = read_task(tmp_path, find_task("esc50"))
    assert len(read.clips) == 2000
    assert read.notes == ()


def test_missing_files(ten):
    gone = sorted((ten / "audio").iterdir())[:7]
    for path in gone:
        path.unlink()
    read = read_task(ten, find_task("esc10"))
    assert len(read.clips) == 393
    assert read.notes[1].startswith(f"7 files are missing: {gone[0].name}, ")
    assert read.notes[1].endswith("and 2 more")


def test_no_clip_left_in_a_fold(ten):
    for path in (ten / "audio").glob("3-*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"no clip left in fold 3 \(published: 80\)"):
        read_task(ten, find_task("esc10"))


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (",dog,", ",dgo,", r"esc50.csv, line 2: .*'dgo', none of the 50 .*nearest is 'dog'"),
        (",1,0,dog,", ",6,0,dog,", "line 2: .* is in fold '6'; ESC-50 has 1, 2, 3, 4, 5"),
    ],
)
def test_errors(tmp_path, old, new, error):
    root = trees.esc50(tmp_path)
    header, first, *rows = lines(root)
    write(root, [header, first.replace(old, new), *rows])
    with pytest.raises(ValueError, match=error):
        read_task(root, find_task("esc50"))


def test_clip_listed_as_two_things(ten):
    header, first, *rows = lines(ten)
    write(ten, [header, first, *rows, first])
    assert len(read_task(ten, find_task("esc10")).clips) == 400
    write(ten, [header, first, *rows, first.replace("dog", "rain")])
    with pytest.raises(ValueError, match=r"is 'rain' in 1, but 'dog' in 1 at esc50.csv, line 2"):
        read_task(ten, find_task("esc10"))


def test_source_in_two_folds_is_caught(ten):
    header, *rows = lines(ten)
    moved = [rows[0].replace(",1,", ",2,", 1), *rows[1:]]
    write(ten, [header, *moved])
    with pytest.raises(ValueError, match=r"split 1: .* of group 11000"):
        check_splits(read_task(ten, find_task("esc10")))


def test_table_is_missing(ten):
    shutil.rmtree(ten / "meta")
    with pytest.raises(ValueError, match="the rest is missing"):
        read_task(ten, find_task("esc10"))
