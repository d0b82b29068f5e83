import os
import stat

import pytest

from tfrecords.files import (
    atomic,
    atomic_path,
    check_output_file,
    check_output_folder,
    lock,
    read_csv,
    read_json,
    write_atomic,
    write_csv,
    write_json,
)


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(RuntimeError), atomic(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    write_atomic(path, "wörd")
    assert path.read_text(encoding="utf-8") == "wörd"
    with pytest.raises(RuntimeError), atomic(path, "w") as file:
        file.write("half")
        raise RuntimeError
    assert path.read_text(encoding="utf-8") == "wörd"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_whole_or_as_it_was(tmp_path):
    path = tmp_path / "model"
    for content in ("1", "2"):
        with atomic_path(path) as temporary:
            temporary.mkdir()
            (temporary / "file").write_text(content)
        assert (path / "file").read_text() == content
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.mkdir()
        raise RuntimeError
    assert (path / "file").read_text() == "2"
    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_is_held_by_one(tmp_path):
    with lock(tmp_path / "x/.lock", "busy"):
        with pytest.raises(ValueError, match="busy"), lock(tmp_path / "x/.lock", "busy"):
            pass
    with lock(tmp_path / "x/.lock", "busy"):
        pass


def test_tables_are_read_as_written(tmp_path):
    path = tmp_path / "t.csv"
    write_csv(
        path,
        ("a", "b"),
        [{"b": 0.1, "a": 'x,"y"'}, (None, "é"), ("é", 1e-300), ("c", float("nan"))],
    )
    rows = read_csv(path, required=("b",))
    assert rows == [
        {"a": 'x,"y"', "b": "0.1"},
        {"a": "", "b": "é"},
        {"a": "é", "b": "1e-300"},
        {"a": "c", "b": ""},
    ]
    for content, message in (
        ("a,b\n1\n", "line 2 has 1 cells, expected 2"),
        ("a,b\n1,2,3\n", "line 2 has 3 cells, expected 2"),
        ("x,y\n1,2\n", "no column a"),
        (b"a\n\xff\n", "no text in UTF-8"),
    ):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(ValueError, match=message):
            read_csv(path, required=("a",))
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_csv(tmp_path / "absent.csv")


def test_json(tmp_path):
    write_json(tmp_path / "a.json", {"a": [1, None]})
    assert read_json(tmp_path / "a.json") == {"a": [1, None]}
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(ValueError, match="is damaged") as error:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(error.value)


def test_outputs_are_checked_before_work(tmp_path):
    file = tmp_path / "a.csv"
    check_output_file(file, suffixes=(".csv",))
    assert not file.exists()
    for path, message in (
        (tmp_path, "is a folder; name a file"),
        (tmp_path / "x/a.csv", "does not exist; create it first"),
        (tmp_path / "a.txt", "must end in .csv"),
    ):
        with pytest.raises(ValueError, match=message):
            check_output_file(path, suffixes=() if path == tmp_path else (".csv",))
    file.touch()
    with pytest.raises(ValueError, match="add --force to replace it"):
        check_output_file(file)
    check_output_file(file, force=True)
    check_output_folder(tmp_path / "new/deep")
    with pytest.raises(ValueError, match="is a file; give a folder"):
        check_output_folder(file / "deep")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(tmp_path):
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(ValueError, match="nothing can be written"):
        check_output_folder(tmp_path / "new")
