"""One's own clips in a table, and what is refused of them."""

from pathlib import Path

import pytest

from panns_tf.transfer.own import read_own
from panns_tf.transfer.splits import check_splits, make_splits
from tests.panns_tf.transfer.trees import table, touch

FILES = [f"{n}.wav" for n in range(8)]


@pytest.fixture
def write(tmp_path):
    """Writes a table beside eight sounds and returns its path."""
    touch(tmp_path, FILES)

    def write(columns, *cells, **options):
        rows = list(zip(FILES, *cells, strict=False))
        table(tmp_path / "own.csv", columns.split(","), rows, **options)
        return tmp_path / "own.csv"

    return write


def rows(data):
    return [tuple(data.classes[label] for label in clip.labels) for clip in data.clips]


@pytest.mark.parametrize("file", ["filename", "File", "PATH", "fname", "clip", "File Name"])
@pytest.mark.parametrize(
    "label", ["label", "Category", "class", "target", "scene_label", "species"]
)
def test_names_of_columns(write, file, label):
    data = read_own(write(f"{file},{label},duration", "abababab", range(8), mark=True))
    assert rows(data) == [("a",), ("b",)] * 4
    assert not data.multi_label
    assert (file in data.notes[0], label in data.notes[0]) == (True, True)


@pytest.mark.parametrize("mark", [";", "|", ",", "; "])
def test_several_labels(write, mark):
    cells = [mark.join(cell) for cell in ("ab", "a", "b", "", "ba", "a", "c", "cb")]
    data = read_own(write("file,labels", cells))
    assert data.multi_label
    assert rows(data)[:5] == [("a", "b"), ("a",), ("b",), (), ("a", "b")]
    check_splits(make_splits(data, folds=2))


def test_columns_of_zeros_and_ones(write):
    data = read_own(write("file,dog,cat,length", "11001100", "10101010", [0.5] * 8))
    assert data.multi_label
    assert rows(data)[:4] == [("cat", "dog"), ("dog",), ("cat",), ()]
    assert "not of 0 and 1 are left out: length" in data.notes[1]
    data = read_own(write("file,dog,cat", "10101010", "01010101"))
    assert not data.multi_label
    assert rows(data) == [("dog",), ("cat",)] * 4


def test_folds_and_groups(write):
    data = read_own(write("file,label,fold,speaker", "aabbaabb", "11112222", "wwxxyyzz"))
    assert [split.test for split in data.splits] == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert [clip.group for clip in data.clips] == list("wwxxyyzz")
    check_splits(data)
    crossing = read_own(write("file,label,fold,speaker", "aabbaabb", "11112222", "wwxxwyzz"))
    with pytest.raises(ValueError, match="of group w"):
        make_splits(crossing)


def test_train_and_test(write):
    values = ["train"] * 4 + ["valid"] * 2 + ["Test"] * 2
    (split,) = read_own(write("file,label,split", "abababab", values)).splits
    assert (split.train, split.validation, split.test) == ((0, 1, 2, 3), (4, 5), (6, 7))


@pytest.mark.parametrize("place", ["audio/0.wav", "deep/er/0.wav", "0.ogg"])
def test_where_files_are_found(tmp_path, write, place):
    path = write("file,label", "abababab")
    (tmp_path / "0.wav").unlink()
    touch(tmp_path, [place])
    data = read_own(path)
    assert len(data.clips) == 8
    assert tmp_path / place in {clip.path for clip in data.clips}


def test_audio_elsewhere(tmp_path, write):
    path = write("file,label", "abababab")
    touch(tmp_path / "far/sounds", FILES)
    data = read_own(path, audio=tmp_path / "far/sounds")
    assert {clip.path.parent for clip in data.clips} == {tmp_path / "far/sounds"}
    touch(tmp_path / "twice", ["x/0.wav", "y/0.wav"])
    with pytest.raises(ValueError, match=r"line 2: 0.wav may be .*x/0.wav or .*y/0.wav; give its"):
        read_own(path, audio=tmp_path / "twice")


@pytest.mark.parametrize("absolute", [True, False])
def test_clips_are_named_from_the_folder_of_audio(tmp_path, monkeypatch, absolute):
    names = [f"{label}/{n}.wav" for label in ("cat", "dog") for n in range(3)]
    touch(tmp_path / "folder", names)
    table(tmp_path / "own.csv", ("file", "label"), [(name, name[:3]) for name in names])
    monkeypatch.chdir(tmp_path)
    top = tmp_path if absolute else Path()
    data = read_own(top / "own.csv", audio=top / "folder")
    assert [clip.clip_id for clip in data.clips] == names
    table(tmp_path / "folder/own.csv", ("file", "label"), [(name, name[:3]) for name in names])
    data = read_own(top / "folder", audio=top / "folder")
    assert [clip.clip_id for clip in data.clips] == names
    # a file that lies elsewhere leaves the others their names
    touch(tmp_path, ["far/x.wav"])
    with (tmp_path / "own.csv").open("a") as file:
        file.write(f"{tmp_path}/far/x.wav,cat\n")
    data = read_own(top / "own.csv", audio=top / "folder")
    assert [clip.clip_id for clip in data.clips] == ["../far/x.wav", *names]


def test_classes_in_an_order(tmp_path, write):
    path = write("file,label", "abababab")
    (tmp_path / "classes.txt").write_text("b\nc\na\n")
    data = read_own(path, classes_file=tmp_path / "classes.txt")
    assert data.classes == ("b", "c", "a")
    assert data.notes[-1] == "classes without a clip: c"
    for content, error in (
        ("b\nA\n", r"line 2: 0.wav has the label 'a', none of the 2 .* nearest is"),
        ("a\na\n", "the class 'a' twice"),
        ("\n", "holds no classes"),
    ):
        (tmp_path / "classes.txt").write_text(content)
        with pytest.raises(ValueError, match=error):
            read_own(path, classes_file=tmp_path / "classes.txt")


def test_class_whose_files_are_missing(tmp_path, write):
    path = write("file,label", "aabbaacb")
    (tmp_path / "6.wav").unlink()
    data = read_own(path)
    assert data.classes == ("a", "b")
    assert data.notes[-1] == "left out: classes whose files are all missing: c"
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    data = read_own(path, classes_file=tmp_path / "classes.txt")
    assert data.notes[-1] == "classes without a clip: c"


def test_missing_files(tmp_path, write):
    path = write("file,label", "abababab")
    (tmp_path / "3.wav").unlink()
    data = read_own(path)
    assert data.notes[-1] == "1 file is missing: 3.wav"
    assert len(data.clips) == 7
    for name in FILES:
        (tmp_path / name).unlink(missing_ok=True)
    with pytest.raises(
        ValueError, match=r"none of 8 files is there, such as 0.wav; give the folder"
    ):
        read_own(path)


@pytest.mark.parametrize(
    ("columns", "cells", "error"),
    [
        ("file,label", ("aaaaaaab",), "class b has one clip; it cannot .* or give --drop-rare"),
        ("file,label,group", ("aaaaaabb", "abcdefgg"), "class b has 2 clips, all of one group"),
        ("file,label", ("aaaaaaaa",), "8 clips of one class, a"),
        ("file,label", (["a", "", *"ababab"],), "line 3: 1.wav has no label"),
        ("file,label,fold", ("abababab", ["1", "", *"121212"]), "1.wav has no fold"),
        ("file,label,fold", ("abababab", "11111111"), "all clips are in fold 1"),
        ("file,label,fold", ("aaaaabbb", "11112111"), "split 1: class b is tested"),
        ("file,label,fold", ("aaaabbbb", "11112222"), "split 1: class a is tested, but no train"),
        ("file,label,split", ("abababab", ["train"] * 8), "no test clips"),
        ("file,label,split", ("abababab", [*["train"] * 7, "fest"]), "'fest' among them"),
        ("file,kind", ("abababab",), "no column label or labels"),
        ("sound,label", ("abababab",), "no column filename or file"),
    ],
)
def test_errors(write, columns, cells, error):
    path = write(columns, *cells)
    with pytest.raises(ValueError, match=error) as caught:
        read_own(path)
    assert "\n" not in str(caught.value)


def test_rare_classes_are_dropped(write):
    data = read_own(write("file,label", "aaabbbcd"), drop_rare=True)
    assert data.classes == ("a", "b")
    assert len(data.clips) == 6
    assert "2 classes dropped, too small to be trained and tested: c, d" in data.notes
    data = read_own(
        write("file,labels", ["a;c", "a", "a;b", "b", "b", "", "a", "b"]), drop_rare=True
    )
    assert data.classes == ("a", "b")
    assert len(data.clips) == 8


def test_one_file_listed_twice(tmp_path, write):
    path = write("file,label,fold", "abababab", "11112222")
    text = path.read_text()
    path.write_text(text + "./0.wav,a,1\n")
    data = read_own(path)
    assert len(data.clips) == 8
    assert data.notes[-1] == "1 row left out, as the clip is listed before alike"
    for row, what in (("0.wav,b,1", "labels: a .*line 2. and b .*line 10"), ("0.wav,a,2", "folds")):
        path.write_text(text + row + "\n")
        with pytest.raises(ValueError, match=f"0.wav is listed twice with different {what}"):
            read_own(path)


def test_fold_whose_files_are_missing(tmp_path, write):
    path = write("file,label,fold", "abababab", "11223333")
    for name in ("2.wav", "3.wav"):
        (tmp_path / name).unlink()
    with pytest.raises(ValueError, match="fold 2 has no clip left"):
        read_own(path)
