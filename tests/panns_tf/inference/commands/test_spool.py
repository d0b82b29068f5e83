import json

import numpy as np
import pytest

from panns_tf.inference.commands.spool import Spool


def test_goes_on_where_a_killed_process_stopped(tmp_path):
    output = tmp_path / "x.npz"
    spool = Spool(output, {"top": 1})
    vectors = np.arange(12, dtype=np.float32).reshape(3, 4)
    spool.add({"file": "a"}, vectors[0])
    spool.add({"file": "ü\nb", "windows": 2}, vectors[1:])
    spool.close()
    # The process died while it wrote: half a line, and vectors whose line is missing.
    with (spool.folder / "rows.jsonl").open("ab") as file:
        file.write(b'{"file": "c", "val')
    with (spool.folder / "vectors.f32").open("ab") as file:
        file.write(b"12345")
    again = Spool(output, {"top": 1})
    assert again.done == {"a", "ü\nb"}
    again.add({"file": "c"}, 100 + vectors[0])
    assert [row["file"] for row in again.rows()] == ["a", "ü\nb", "c"]
    expected = np.concatenate([vectors, 100 + vectors[:1]])
    np.testing.assert_array_equal(again.vectors(4), expected)
    again.remove()
    assert not again.folder.exists()


@pytest.mark.parametrize("cut", range(1, 80, 7))
def test_any_cut_of_the_lines_is_survived(tmp_path, cut):
    spool = Spool(tmp_path / "x", {})
    for number in range(4):
        spool.add({"file": str(number)}, np.full(3, number, np.float32))
    spool.close()
    lines = spool.folder / "rows.jsonl"
    whole = lines.read_bytes()
    lines.write_bytes(whole[: len(whole) - cut])
    again = Spool(tmp_path / "x", {})
    count = whole[: len(whole) - cut].count(b"\n")
    assert again.done == {str(number) for number in range(count)}
    np.testing.assert_array_equal(again.vectors(3)[:, 0], range(count))


def test_other_settings_are_refused_by_name(tmp_path):
    Spool(tmp_path / "x", {"top": 1, "threshold": 0.5}).close()
    with pytest.raises(ValueError, match=r"x.partial holds results .* with another top; repeat"):
        Spool(tmp_path / "x", {"top": 2, "threshold": 0.5})
    spool = Spool(tmp_path / "x", {"top": 2, "threshold": 0.5}, force=True)
    assert spool.done == set()


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


def test_one_process_at_a_time(tmp_path):
    first = Spool(tmp_path / "x", {})
    with pytest.raises(ValueError, match=r"another command is writing .*x; wait"):
        Spool(tmp_path / "x", {}, force=True)
    first.add({"file": "a"})
    first.close()
    assert Spool(tmp_path / "x", {}).done == {"a"}
