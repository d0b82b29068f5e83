"""User data: folders, tables, labels in file names, and what is refused."""

import pytest

from panns_tf.transfer import readers
from panns_tf.transfer.clips import stem
from panns_tf.transfer.dataset import check_splits, make_splits
from panns_tf.transfer.settings import Options
from tests.panns_tf.transfer.trees import table, touch

FILES = [f"{n}.wav" for n in range(8)]


def read_dataset(data, **options):
    return readers.read_dataset(Options(data=data, **options))


def labels(data):
    return {clip.clip_id: clip.labels[0] for clip in data.clips}


def rows(data):
    return [clip.labels for clip in data.clips]


def refused(error, *arguments, **options):
    with pytest.raises(ValueError, match=error) as caught:
        read_dataset(*arguments, **options)
    assert len(str(caught.value).splitlines()) == 1


# ---- folders


def test_folder_for_each_class(tmp_path):
    names = [f"{label}/deep/{n}.wav" for label in ("dog", "cat") for n in range(5)]
    touch(tmp_path / "a", [*names, "loose.wav", "dog/readme.txt", ".git/x.wav", "cow/readme.txt"])
    data = read_dataset(tmp_path)  # goes down to where there is more than one folder
    assert data.classes == ("cat", "dog")
    assert {name.removeprefix("a/"): label for name, label in labels(data).items()} == {
        name: name[:3] for name in names
    }
    assert data.splits == ()
    assert data.notes[1:] == (
        "left out: 1 files in no class's folder: loose.wav",
        "left out: folders without audio: a/cow",
    )
    check_splits(make_splits(data))
    touch(tmp_path / "a", [f"{n}/1.wav" for n in ("10", "9", "Cat")])
    refused("classes of one clip or one group .* test: 10, 9, Cat; .* --drop-rare", tmp_path)
    assert any(
        "lower case only: Cat, cat" in note
        for note in read_dataset(touch(tmp_path / "a", ["Cat/2.wav"]), drop_rare=True).notes
    )


def test_numbers_are_ordered_by_size(tmp_path):
    touch(tmp_path, [f"{label}/{n}.wav" for label in (10, 9, 100) for n in range(2)])
    assert read_dataset(tmp_path).classes == ("9", "10", "100")


@pytest.mark.parametrize(
    "parts", [("train", "test"), ("Train", "val", "TEST"), ("fold1", "fold2", "fold10")]
)
@pytest.mark.parametrize("form", ["{}/{}/{}.wav", "{}/{}_{}.wav"])
def test_folders_that_are_parts(tmp_path, parts, form):
    names = [form.format(part, label, n) for part in parts for label in ("dog", "cat")
             for n in range(4)]  # fmt: skip
    pattern = r"(?P<label>[a-z]+)_" if "_" in form else None
    data = read_dataset(touch(tmp_path, names), label_pattern=pattern)
    assert data.classes == ("cat", "dog")
    if "fold1" in parts:
        assert [split.name for split in data.splits] == list(parts)
        assert all(len(split.test) == 8 for split in data.splits)
    else:
        (split,) = data.splits
        where = {name: {data.clips[n].fold for n in numbers}
                 for name, numbers in split.parts().items()}  # fmt: skip
        assert where == {
            "training": {parts[0]},
            "validation": {"val"} if "val" in parts else set(),
            "test": {parts[-1]},
        }
    check_splits(make_splits(data))


def test_train_may_be_a_class_but_train_and_val_are_parts(tmp_path):
    touch(tmp_path / "a", [f"{label}/{n}.wav" for label in ("train", "tram") for n in range(3)])
    assert read_dataset(tmp_path / "a").classes == ("train", "tram")
    touch(tmp_path / "b", [f"{part}/{label}/{n}.wav" for part in ("train", "val")
                           for label in ("dog", "cat") for n in range(3)])  # fmt: skip
    refused("divided into train, val; expected train, test and perhaps valid", tmp_path / "b")


# ---- file names


def test_labels_groups_and_folds_in_file_names(tmp_path):
    names = [f"speaker{s}_{label}_{n}.flac" for s in range(8) for label in ("sad", "calm")
             for n in range(3)]  # fmt: skip
    touch(tmp_path, names)
    refused("no folders of sounds; .*--label-pattern", tmp_path)
    pattern = r"(?P<group>speaker\d)_(?P<label>[a-z]+)_(?P<fold>\d)"
    data = read_dataset(tmp_path, label_pattern=pattern)
    assert data.classes == ("calm", "sad")
    assert [split.name for split in data.splits] == ["0", "1", "2"]
    assert "'speaker0_calm_0.flac' is 'calm'" in data.notes[0]
    data = read_dataset(tmp_path, label_pattern="_(?P<label>[a-z]+)", group_pattern=r"^[a-z]+\d")
    made = make_splits(data, folds=4)
    for split in made.splits:
        speakers = [{made.clips[n].group for n in part} for part in (split.train, split.test)]
        assert not speakers[0] & speakers[1]
        assert len(speakers[1]) == 2


def test_patterns_that_do_not_fit(tmp_path):
    touch(tmp_path, ["1_dog.wav", "dog.wav"])
    for pattern, error in (
        ("(", "--label-pattern '.' is no regular expression"),
        (r"\d", "has no group 'label'"),
        (r"(?P<label>\d+)", "finds no label in 'dog'"),
        (r"(?P<label>\d*)", "finds no label in 'dog'"),
    ):
        refused(error, tmp_path, label_pattern=pattern)
    refused("group-pattern .* finds no group in 'dog'", tmp_path,
            label_pattern="(?P<label>.)", group_pattern=r"\d")  # fmt: skip
    refused(
        "--labels-from folder: name needs --label-pattern",
        tmp_path,
        label_pattern="(?P<label>.)",
        labels_from="folder",
    )
    refused("--labels-from name: name needs --label-pattern", tmp_path, labels_from="name")
    refused("holds no tables of clips", tmp_path, labels_from="csv")


@pytest.mark.parametrize("refused_name", ["a;b", "a\nb", "a\tb", "a\u2028b", " "])
def test_names_that_no_list_of_labels_can_hold(tmp_path, refused_name):
    touch(tmp_path, [f"{label}/{n}.wav" for label in ("dog", refused_name) for n in range(3)])
    refused("the class name .* rename the class", tmp_path)


def test_no_clips_and_one_class(tmp_path):
    refused("does not exist", tmp_path / "x")
    refused("holds no audio files", tmp_path)
    touch(tmp_path, ["dog/1.wav", "dog/2.wav"])
    refused("2 clips of 1 classes .dog.; expected at least two", tmp_path)
    table(tmp_path / "x.csv", ("file", "label"), [("a", "b")])
    refused("is a file; labels from names or folders", tmp_path / "x.csv", labels_from="folder")


# ---- tables


@pytest.fixture
def write(tmp_path):
    """Writes a table beside eight sounds and returns its path."""
    touch(tmp_path, FILES)

    def write(columns, *cells, **options):
        table(tmp_path / "own.csv", columns.split(","), list(zip(FILES, *cells, strict=False)),
              **options)  # fmt: skip
        return tmp_path / "own.csv"

    return write


def test_names_of_columns(write):
    for file in ("filename", "File", "PATH", "fname", "clip", "File Name"):
        for label in ("label", "Category", "class", "target", "scene_label", "species"):
            data = read_dataset(write(f"{file},{label},duration", "abababab", FILES, mark=True))
            assert rows(data) == [("a",), ("b",)] * 4
            assert not data.multi_label
            assert file in data.notes[0]
            assert label in data.notes[0]


def test_several_labels(write):
    for mark in (";", "|", ",", "; "):
        cells = [mark.join(cell) for cell in ("ab", "a", "b", "", "ba", "a", "c", "cb")]
        data = read_dataset(write("file,labels", cells))
        assert data.multi_label
        assert rows(data)[:5] == [("a", "b"), ("a",), ("b",), (), ("a", "b")]
        check_splits(make_splits(data, folds=2))
    data = read_dataset(write("file,dog,cat,length", "11001100", "10101010", [0.5] * 8))
    assert data.multi_label
    assert rows(data)[:4] == [("cat", "dog"), ("dog",), ("cat",), ()]
    assert "classes are the columns of 0 and 1: dog, cat" in data.notes[0]
    assert not read_dataset(write("file,dog,cat", "10101010", "01010101")).multi_label


def test_folds_parts_and_groups(write):
    data = read_dataset(write("file,label,fold,speaker", "aabbaabb", "11112222", "wwxxyyzz"))
    assert [split.test for split in data.splits] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert [clip.group for clip in data.clips] == list("wwxxyyzz")
    crossing = read_dataset(write("file,label,fold,speaker", "aabbaabb", "11112222", "wwxxwyzz"))
    with pytest.raises(ValueError, match="of group w"):
        make_splits(crossing)
    values = ["train"] * 4 + ["valid"] * 2 + ["Test"] * 2
    (split,) = read_dataset(write("file,label,split", "abababab", values)).splits
    assert (split.train, split.validation, split.test) == ((0, 1, 2, 3), (4, 5), (6, 7))


def test_where_files_are_found(tmp_path, write):
    path = write("file,label", "abababab")
    assert read_dataset(tmp_path).clips == read_dataset(path).clips  # the table in the folder
    for place in ("audio/0.wav", "deep/er/0.wav", "0.ogg"):
        (tmp_path / "0.wav").unlink(missing_ok=True)
        touch(tmp_path, [place])
        assert tmp_path / place in {clip.path for clip in read_dataset(path).clips}
        (tmp_path / place).unlink()
    touch(tmp_path / "far/sounds", FILES)
    data = read_dataset(path, audio=tmp_path / "far/sounds")
    assert [clip.clip_id for clip in data.clips] == FILES
    touch(tmp_path / "twice", ["x/0.wav", "y/0.wav"])
    refused(r"line 2: 0.wav may be .*x/0.wav or .*y/0.wav; give", path, audio=tmp_path / "twice")
    # A folder that is named as the label comes first.
    touch(tmp_path / "twice", [*FILES[1:], "a/0.wav"])
    data = read_dataset(path, audio=tmp_path / "twice")
    assert tmp_path / "twice/a/0.wav" in {clip.path for clip in data.clips}
    table(tmp_path / "second.csv", ("file", "class"), [("0.wav", "x")])
    refused("holds 2 tables of clips", tmp_path)


def test_clips_are_named_from_the_folder_of_audio(tmp_path, monkeypatch):
    names = [f"{label}/{n}.wav" for label in ("cat", "dog") for n in range(3)]
    touch(tmp_path, [*(f"folder/{name}" for name in names), "far/x.wav"])
    monkeypatch.chdir(tmp_path)
    cells = [(name, name[:3]) for name in names]
    table(tmp_path / "own.csv", ("file", "label"), [*cells, (f"{tmp_path}/far/x.wav", "cat")])
    for top in (tmp_path, tmp_path.relative_to(tmp_path)):
        data = read_dataset(top / "own.csv", audio=top / "folder")
        assert [clip.clip_id for clip in data.clips] == ["../far/x.wav", *names]


def test_classes_in_an_order(tmp_path, write):
    path, file = write("file,label", "abababab"), tmp_path / "classes.txt"
    file.write_text("b\nc\na\n")
    data = read_dataset(path, classes=file)
    assert (data.classes, data.notes[-1]) == (("b", "c", "a"), "classes without a clip: c")
    for content, error in (
        ("b\nA\n", r"line 2: 0.wav has the label 'a', none of the 2 .* did you mean A"),
        ("a\na\n", "the name 'a' occurs twice"),
        ("\n", "is empty; expected one name a line"),
    ):
        file.write_text(content)
        refused(error, path, classes=file)


def test_missing_files(tmp_path, write):
    path = write("file,label", "aabbaacb")
    for name in ("3.wav", "6.wav"):
        (tmp_path / name).unlink()
    data = read_dataset(path)
    assert data.notes[1:] == (
        "2 of 8 files are missing: 3.wav, 6.wav",
        "left out: classes whose files are all missing: c",
    )
    for name in FILES:
        (tmp_path / name).unlink(missing_ok=True)
    refused("none of 8 files is there, such as 0.wav; give the folder", path)


@pytest.mark.parametrize(
    ("columns", "cells", "error"),
    [
        (
            "file,label",
            ("aaaaaaab",),
            "cannot be in training and in test: b; .* or give --drop-rare",
        ),
        (
            "file,label,group",
            ("aaaaaabb", "abcdefgg"),
            "of one clip or one group cannot be in training and in test: b;",
        ),
        ("file,label", ("aaaaaaaa",), "8 clips of 1 classes .a."),
        ("file,label", (["a", "", *"ababab"],), "line 3: 1.wav has no label"),
        ("file,label,fold", ("abababab", ["1", "", *"121212"]), "1.wav has no fold"),
        ("file,label,fold", ("abababab", "11111111"), "divided into 1; .* or at least two folds"),
        (
            "file,label,fold",
            ("aaaabbbb", "11112222"),
            "split 1: no training clip has a, which is tested",
        ),
        (
            "file,label,split",
            ("abababab", ["train"] * 8),
            "divided into train; expected train, test",
        ),
        (
            "file,label,split",
            ("abababab", [*["train"] * 7, "fest"]),
            "divided into train, fest; expected",
        ),
        ("file,kind", ("abababab",), "no column label or labels"),
        ("sound,label", ("abababab",), "no column filename or file"),
    ],
)
def test_tables_that_are_refused(write, columns, cells, error):
    refused(error, write(columns, *cells))


def test_rare_classes_are_dropped(write):
    data = read_dataset(write("file,label", "aaabbbcd"), drop_rare=True)
    assert (data.classes, len(data.clips)) == (("a", "b"), 6)
    assert "2 classes dropped, too small to be trained and tested: c, d" in data.notes


def test_one_file_listed_twice(write):
    path = write("file,label,fold", "abababab", "11112222")
    text = path.read_text()
    path.write_text(text + "./0.wav,a,1\n")
    assert read_dataset(path).notes[-1] == "1 rows left out, as the clip is listed before"
    for row, what in (
        ("0.wav,b,1", "label a,.*line 2. and label b,.*line 10"),
        ("0.wav,a,2", "a, fold 2"),
    ):
        path.write_text(text + row + "\n")
        refused(f"0.wav is listed twice, with .*{what}", path)


def test_tables_that_cannot_be_read(tmp_path):
    path = tmp_path / "x.csv"
    for content, error in (
        (b"file,label\n", "no rows"),
        (b'file,label\na,"b\nc,d\n', "line 3: unexpected end of data; is a quote missing"),
    ):
        path.write_bytes(content)
        refused(error, path)


def test_stems():
    assert [stem(name) for name in ("a/b.WAV", "jazz.00054", "c\\d.au")] == ["b", "jazz.00054", "d"]


def test_links_that_lead_back(tmp_path):
    touch(tmp_path, [f"{label}/{n}.wav" for label in ("a", "b") for n in range(2)])
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    assert len(read_dataset(tmp_path).clips) == 4
