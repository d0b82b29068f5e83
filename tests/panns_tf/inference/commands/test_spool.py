import json

import numpy as np
import pytest

from panns_tf.inference.commands.spool import Spool, is_being_written, spool_folder


def wanting(output, keys, settings=None, **more) -> Spool:
    spool = Spool(output, settings or {}, **more)
    for key in keys:
        spool.want(key)
    return spool


def test_goes_on_where_a_killed_process_stopped(tmp_path):
    output = tmp_path / "x.npz"
    spool = Spool(output, {"top": 1})
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    spool.add("a", {"file": "a"}, vectors[0])
    spool.add("b", {"file": "ü\nb", "windows": 2}, vectors[1:])
    spool.close()
    # The process died while it wrote: half a line, and vectors whose line is missing.
    with (spool.folder / "rows.jsonl").open("ab") as file:
        file.write(b'{"key": "c", "val')
    with (spool.folder / "vectors.f32").open("ab") as file:
        file.write(b"12345")
    again = wanting(output, "abc", {"top": 1})
    assert ["a" in again, "b" in again, "c" in again] == [True, True, False]
    again.add("c", {"file": "c"}, 100 + vectors[0])
    assert [row["file"] for row in again.rows()] == ["a", "ü\nb", "c"]
    expected = np.concatenate([vectors, 100 + vectors[:1]])
    np.testing.assert_array_equal(np.concatenate(list(again.vectors(4))), expected)
    assert again.count(4) == 4


@pytest.mark.parametrize("cut", range(1, 150, 11))
def test_any_cut_of_the_lines_is_survived(tmp_path, cut):
    spool = Spool(tmp_path / "x", {})
    for number in range(4):
        spool.add(str(number), {"file": str(number)}, np.full(3, number, np.float32))
    spool.close()
    lines = spool.folder / "rows.jsonl"
    whole = lines.read_bytes()
    lines.write_bytes(whole[: len(whole) - cut])
    again = wanting(tmp_path / "x", "0123")
    count = whole[: len(whole) - cut].count(b"\n")
    assert len(again) == count
    for number in range(count, 4):
        again.add(str(number), {"file": str(number)}, np.full(3, number, np.float32))
    assert [row["file"] for row in again.rows()] == list("0123")
    np.testing.assert_array_equal(np.concatenate(list(again.vectors(3)))[:, 0], range(4))


def test_results_come_in_the_order_of_this_command(tmp_path):
    spool = Spool(tmp_path / "x", {})
    for key in "cab":
        spool.add(key, {"file": key}, np.full(2, ord(key), np.float32))
    spool.close()
    again = wanting(tmp_path / "x", "bc")  # one is gone
    assert [row["file"] for row in again.rows()] == ["b", "c"]
    found = [vectors[0, 0] for vectors in again.vectors(2)]
    assert found == [ord("b"), ord("c")]
    assert again.count(2) == 2


def test_what_could_not_be_read_is_tried_again(tmp_path):
    spool = Spool(tmp_path / "x", {})
    spool.add("a", {"file": "a", "error": "damaged"})
    assert "a" in spool
    spool.close()
    again = wanting(tmp_path / "x", "a")
    assert "a" not in again
    again.add("a", {"file": "a"})
    assert list(again.rows()) == [{"file": "a"}]


def test_files_go_to_their_places(tmp_path):
    spool = Spool(tmp_path / "x", {})
    made = spool.folder / "x"
    made.write_text("result")
    assert not is_being_written(tmp_path / "x")
    spool.place({made: tmp_path / "x"})
    assert (tmp_path / "x").read_text() == "result"
    assert not spool.folder.exists()


def test_other_settings_are_refused_by_name(tmp_path):
    Spool(tmp_path / "x", {"top": 1, "threshold": 0.5}).close()
    with pytest.raises(ValueError, match=r"x.partial holds results .* with another top; repeat"):
        Spool(tmp_path / "x", {"top": 2, "threshold": 0.5})
    spool = Spool(tmp_path / "x", {"top": 2, "threshold": 0.5}, force=True)
    assert len(spool) == 0


def test_settings_that_cannot_be_read_are_others(tmp_path):
    spool = Spool(tmp_path / "x", {"top": 1})
    spool.close()
    (spool.folder / "settings.json").write_text("{")
    with pytest.raises(ValueError, match="with another top"):
        Spool(tmp_path / "x", {"top": 1})


def test_settings_are_compared_as_they_are_kept(tmp_path):
    Spool(tmp_path / "x", {"window": (1, 2)}).close()
    Spool(tmp_path / "x", {"window": [1, 2]}).close()
    kept = json.loads((tmp_path / "x.partial" / "settings.json").read_text())
    assert kept == {"window": [1, 2]}


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_of_somebody_else_is_left_alone(tmp_path, force):
    folder = spool_folder(tmp_path / "x")
    (folder / "sub").mkdir(parents=True)
    (folder / "notes.txt").write_text("precious")
    with pytest.raises(ValueError, match=r"x.partial is needed .* move it away"):
        Spool(tmp_path / "x", {}, force=force)
    assert (folder / "notes.txt").read_text() == "precious"


def test_one_process_at_a_time(tmp_path):
    first = Spool(tmp_path / "x", {})
    with pytest.raises(ValueError, match=r"another command is writing .*x; wait"):
        Spool(tmp_path / "x", {}, force=True)
    first.add("a", {"file": "a"})
    first.close()
    assert "a" in Spool(tmp_path / "x", {})
