"""GTZAN."""

import pytest

from panns_tf.transfer.layouts import read_task
from panns_tf.transfer.tasks import find_task
from tests.panns_tf.transfer import trees

TASK = find_task("gtzan")


def test_folds_by_number(published):
    for clip in read_task(published["gtzan"], TASK).clips:
        genre, number = clip.path.stem.split(".")
        assert clip.fold == str(int(number) // 10 + 1)
        assert TASK.classes[clip.labels[0]] == genre
        assert clip.group is None


def test_corrupt_file_is_kept_and_named(published):
    read = read_task(published["gtzan"], TASK)
    assert read.notes == ("known to be corrupt in most copies: jazz.00054.wav",)


def test_missing_file_moves_no_other(tmp_path, published):
    genres = trees.gtzan(tmp_path, ending="au")
    (genres / "jazz/jazz.00054.au").unlink()
    (genres / "rock/rock.00003.au").unlink()
    read = read_task(tmp_path, TASK)
    whole = read_task(published["gtzan"], TASK)
    folds = {clip.path.stem: clip.fold for clip in whole.clips}
    assert len(read.clips) == 998
    assert all(folds[clip.path.stem] == clip.fold for clip in read.clips)
    assert read.notes == (
        "998 of the 1000 published clips and 10 of 10 classes of GTZAN: 99 of 100 in fold 1, 99 of "
        "100 in fold 6",
        "2 files are missing: jazz.00054.wav, rock.00003.wav; known to be missing in many copies: "
        "jazz.00054.wav",
    )


def test_other_files_are_left_out(tmp_path):
    genres = trees.gtzan(tmp_path)
    trees.touch(genres / "jazz", ["jazz.00100.wav", "take five.wav"])
    read = read_task(tmp_path, TASK)
    assert len(read.clips) == 1000
    assert "left out, as not <genre>.00000 to .00099: jazz.00100.wav, take five.wav" in read.notes


def test_both_endings_are_one_clip(tmp_path):
    trees.gtzan(tmp_path, ending="au")
    trees.gtzan(tmp_path)
    read = read_task(tmp_path, TASK)
    assert {clip.path.suffix for clip in read.clips} == {".wav"}
    assert len(read.clips) == 1000


def test_genre_without_files(tmp_path):
    genres = trees.gtzan(tmp_path)
    for path in (genres / "pop").iterdir():
        path.unlink()
    read = read_task(tmp_path, TASK)
    assert read.notes[-1] == "1 class has no clip: pop"
    for number in range(10, 20):
        for path in genres.glob(f"*/*.{number:05d}.wav"):
            path.unlink()
    with pytest.raises(ValueError, match="no clip left in fold 2"):
        read_task(tmp_path, TASK)
