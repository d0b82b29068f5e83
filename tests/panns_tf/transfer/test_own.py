"""One's own sounds: folders, names and tables."""

import pytest

from panns_tf.transfer.own import read_own
from panns_tf.transfer.splits import check_splits, make_splits
from tests.panns_tf.transfer.trees import table, touch


def labels(data):
    return {clip.clip_id: data.classes[clip.labels[0]] for clip in data.clips}


def test_folder_a_class(tmp_path):
    names = [f"{label}/deep/{n}.wav" for label in ("dog", "cat") for n in range(5)]
    touch(tmp_path, [*names, "loose.wav", "dog/readme.txt", ".git/x.wav"])
    data = read_own(tmp_path)
    assert data.name == tmp_path.name
    assert data.classes == ("cat", "dog")
    assert labels(data) == {name: name[:3] for name in names}
    assert data.splits == ()
    assert data.notes[1] == "left out: one file in no class's folder, such as loose.wav"
    assert read_own(tmp_path, labels_from="folder") == data
    check_splits(make_splits(data))


@pytest.mark.parametrize("around", ["", "sounds/", "a/b/"])
def test_label_in_the_name(tmp_path, around):
    touch(tmp_path / around, [f"{label}_{n}.flac" for label in ("dog", "cat") for n in range(4)])
    data = read_own(tmp_path)
    assert {path[:3] if not around else path.split("/")[-1][:3] for path in labels(data)} == {
        "dog",
        "cat",
    }
    assert "'cat_0' is 'cat' and 'dog_0' is 'dog'" in data.notes[0]
    by_pattern = read_own(tmp_path, pattern=r"_(?P<label>\d)", group_pattern="^[a-z]+")
    assert by_pattern.classes == ("0", "1", "2", "3")
    assert {clip.group for clip in by_pattern.clips} == {"dog", "cat"}


def test_numbers_are_ordered_by_size(tmp_path):
    touch(tmp_path, [f"{label}/{n}.wav" for label in (10, 9, 100) for n in range(2)])
    assert read_own(tmp_path).classes == ("9", "10", "100")


@pytest.mark.parametrize(
    "parts",
    [("train", "test"), ("Train", "val", "TEST"), ("fold1", "fold2", "fold10")],
    ids=lambda parts: parts[0],
)
@pytest.mark.parametrize("form", ["{}/{}/{}.wav", "{}/{}_{}.wav"])
def test_folders_that_are_parts(tmp_path, parts, form):
    names = [
        form.format(part, label, n) for part in parts for label in ("dog", "cat") for n in range(4)
    ]
    data = read_own(touch(tmp_path, names))
    assert data.classes == ("cat", "dog")
    if "fold1" in parts:
        assert [split.name for split in data.splits] == list(parts)
        assert all(len(split.test) == 8 for split in data.splits)
    else:
        (split,) = data.splits
        where = {name: {data.clips[n].fold for n in getattr(split, name)}
                 for name in ("train", "validation", "test")}  # fmt: skip
        assert where["train"] == {parts[0]}
        assert where["test"] == {parts[-1]}
        assert where["validation"] == ({"val"} if "val" in parts else set())
    check_splits(make_splits(data))


def test_train_may_be_a_class(tmp_path):
    touch(tmp_path, [f"{label}/{n}.wav" for label in ("train", "tram") for n in range(3)])
    data = read_own(tmp_path)
    assert data.classes == ("train", "tram")
    assert data.splits == ()


def test_classes_without_sounds_are_noted(tmp_path):
    touch(tmp_path, [f"{label}/{n}.wav" for label in ("dog", "cat") for n in range(3)])
    assert not any("without audio" in note for note in read_own(tmp_path).notes)
    touch(tmp_path, ["cow/readme.txt", ".git/x"])
    (tmp_path / "ant").mkdir()
    data = read_own(tmp_path)
    assert data.notes[-1] == "left out: folders without audio: ant, cow"
    assert data.classes == ("cat", "dog")


def test_classes_without_sounds_in_parts_are_noted(tmp_path):
    touch(tmp_path, [f"{part}/{label}/{n}.wav" for part in ("train", "test")
                     for label in ("dog", "cat") for n in range(3)])  # fmt: skip
    (tmp_path / "train/ant").mkdir()
    (tmp_path / "test/ant").mkdir()
    assert read_own(tmp_path).notes[-1] == "left out: folders without audio: ant"


@pytest.mark.parametrize(
    ("sounding", "silent"), [("train", "test"), ("TEST", "Train"), ("fold1", "fold2")]
)
def test_a_part_without_sounds(tmp_path, sounding, silent):
    touch(tmp_path, [f"{sounding}/{label}/{n}.wav" for label in ("dog", "cat") for n in range(3)])
    touch(tmp_path, [f"{silent}/readme.txt"])
    with pytest.raises(ValueError, match=f"{silent}/ holds no audio"):
        read_own(tmp_path)


def test_one_folder_is_one_class(tmp_path):
    touch(tmp_path, [f"dog/{n}.wav" for n in range(6)])
    with pytest.raises(ValueError, match="in one folder, dog, and their names hold no") as caught:
        read_own(tmp_path)
    assert "such as '0'" not in str(caught.value)
    # who says that names hold them hears of names
    with pytest.raises(ValueError, match="such as '0' and '5'"):
        read_own(tmp_path, labels_from="name")


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        ("a;b", "the class name 'a;b' holds ';', which parts labels"),
        ("a\nb", r"'a\\nb' holds a line break or another control"),
        ("a\tb", r"'a\\tb' holds a line break or another control"),
        ("a\u2028b", "holds a line break"),
        (" ", "the class name ' ' is empty"),
    ],
)
def test_names_that_no_list_of_labels_can_hold(tmp_path, refused, error):
    touch(tmp_path, [f"{label}/{n}.wav" for label in ("dog", refused) for n in range(3)])
    with pytest.raises(ValueError, match=error) as caught:
        read_own(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_classes_that_differ_in_case_are_noted(tmp_path):
    touch(tmp_path, [f"{label}/{n}.wav" for label in ("dog", "cat") for n in range(3)])
    assert not any("lower case" in note for note in read_own(tmp_path).notes)
    touch(tmp_path, [f"Cat/{n}.wav" for n in range(3)])
    data = read_own(tmp_path)
    assert data.classes == ("Cat", "cat", "dog")
    assert data.notes[-1] == "classes that differ in upper and lower case only: Cat and cat"


def test_table_in_the_folder(tmp_path):
    names = [f"{n}.wav" for n in range(8)]
    touch(tmp_path, [f"audio/{name}" for name in names])
    table(tmp_path / "meta.csv", ("File", "Label"), [(name, "ab"[n % 2]) for n, name in
          enumerate(names)])  # fmt: skip
    table(tmp_path / "other.csv", ("x", "y"), [(1, 2)])
    data = read_own(tmp_path)
    assert labels(data) == {f"audio/{n}.wav": "ab"[n % 2] for n in range(8)}
    assert read_own(tmp_path / "meta.csv").clips == data.clips
    table(tmp_path / "second.csv", ("file", "class"), [("0.wav", "x")])
    with pytest.raises(ValueError, match="several tables of clips"):
        read_own(tmp_path)


def test_known_data_sets_are_pointed_out(published):
    data = read_own(published["gtzan"])
    assert len(data.classes) == 10
    assert data.notes[-1].startswith("the folder resembles a known data set; --task gtzan")
    with pytest.raises(ValueError, match="may be field"):
        read_own(published["ravdess"], labels_from="name")


@pytest.mark.parametrize(
    ("task", "classes"),
    [("esc50", 50), ("gtzan", 10), ("msos", 5), ("dcase2018_task2", 41), ("ravdess", 24)],
)
def test_published_trees_as_own_data(published, task, classes):
    folder = published[task]
    places = {"esc50": "ESC-50-master/meta/esc50.csv", "msos": "Development",
              "dcase2018_task2": "FSDKaggle2018.meta/train_post_competition.csv"}  # fmt: skip
    audio = folder / "FSDKaggle2018.audio_train" if task == "dcase2018_task2" else None
    data = read_own(folder / places.get(task, ""), audio=audio)
    assert len(data.classes) == classes


@pytest.mark.parametrize(
    ("names", "options", "error"),
    [
        ([], {}, "holds no audio files"),
        (["dog/1.wav", "dog/2.wav"], {"labels_from": "folder"}, "of one class, dog; expected at"),
        (["dog/1.wav", "dog/2.wav", "cat/1.wav"], {}, "class cat has one clip; it cannot be in tr"),
        (["a.wav", "b.wav"], {"labels_from": "folder"}, "no folders of sounds"),
        (["a.wav", "b.wav"], {"labels_from": "csv"}, "no table of clips"),
        (["a.wav", "b.wav"], {"labels_from": "x"}, "labels from 'x'; expected one of auto"),
        (["a.wav"], {"labels_from": "folder", "pattern": "(?P<label>.)"}, "come from folder"),
        (["a.wav", "b.wav"], {}, "no rule for labels"),
    ],
)
def test_errors(tmp_path, names, options, error):
    touch(tmp_path, names)
    with pytest.raises(ValueError, match=error) as caught:
        read_own(tmp_path, **options)
    assert "\n" not in str(caught.value)


def test_no_such_data(tmp_path):
    with pytest.raises(ValueError, match="does not exist"):
        read_own(tmp_path / "x")
    table(tmp_path / "x.csv", ("file", "label"), [("a", "b")])
    with pytest.raises(ValueError, match="is a file; labels from names or folders need a folder"):
        read_own(tmp_path / "x.csv", labels_from="name")


def test_speaker_in_the_names_does_not_cross(tmp_path):
    names = [f"speaker{s}_{label}_{n}.wav" for s in range(8) for label in ("sad", "calm")
             for n in range(3)]  # fmt: skip
    made = make_splits(read_own(touch(tmp_path, names)), folds=4)
    check_splits(made)
    for split in made.splits:
        speakers = [{made.clips[n].group for n in part} for part in (split.train, split.test)]
        assert not speakers[0] & speakers[1]
        assert len(speakers[1]) == 2
