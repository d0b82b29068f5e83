"""Which data set a folder is."""

import pytest

from panns_tf.transfer.layouts import read_task
from panns_tf.transfer.recognise import has_class_folders, resembles
from panns_tf.transfer.tasks import find_task
from tests.panns_tf.transfer import trees


@pytest.mark.parametrize("task", trees.TREES)
def test_resembles(published, task):
    assert resembles(published[task]) == task


@pytest.mark.parametrize("task", trees.TREES)
def test_every_other_reader_says_what_it_is(published, task):
    for other in {*trees.TREES, "esc10"} - {task}:
        if find_task(other).layout == find_task(task).layout:
            continue
        title = find_task(other).title
        with pytest.raises(
            ValueError, match=f"does not look like {title} .*--task {task}$"
        ) as info:
            read_task(published[task], find_task(other))
        assert "\n" not in str(info.value)


def test_folder_a_class(tmp_path):
    trees.touch(tmp_path, ["dog/1.wav", "cat/2.flac"])
    assert has_class_folders(tmp_path)
    assert resembles(tmp_path) is None
    with pytest.raises(ValueError, match=r"GTZAN \(expected genres/.*leave --task out"):
        read_task(tmp_path, find_task("gtzan"))


def test_nothing_known(tmp_path):
    with pytest.raises(ValueError, match="none of the known tasks"):
        read_task(tmp_path, find_task("msos"))
    with pytest.raises(ValueError, match="does not exist"):
        read_task(tmp_path / "x", find_task("msos"))
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is no folder"):
        read_task(tmp_path / "file", find_task("msos"))


def test_part_of_the_same_set(tmp_path):
    trees.touch(tmp_path, ["1-100032-A-0.wav", "1-100038-A-14.wav"])
    assert resembles(tmp_path) == "esc50"
    with pytest.raises(ValueError, match="named as those of ESC-50, but the rest is missing"):
        read_task(tmp_path, find_task("esc50"))


def test_pictures_of_genres_are_no_sounds(tmp_path):
    trees.touch(tmp_path / "images_original", ["blues/blues00000.png", "jazz/jazz00000.png"])
    assert resembles(tmp_path) is None
    trees.gtzan(tmp_path)
    assert len(read_task(tmp_path, find_task("gtzan")).clips) == 1000
