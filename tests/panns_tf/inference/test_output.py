"""Results on the way to a file; the commands that use it are in test_cli."""

from pathlib import Path

import numpy as np
import pytest

from panns_tf.inference.results import (
    OutputSettings,
    PartialResults,
    open_results,
    partial_path,
)


@pytest.fixture
def output(tmp_path):
    for name in "abcd":
        (tmp_path / name).touch()
    return tmp_path / "x.npz"


def begin(output, settings=None, **options) -> PartialResults:
    return PartialResults(output, settings or {}, **options)


def fill(partial, folder, names, start=0) -> list:
    """Adds a result for each missing file; returns their names."""
    done = []
    for path in partial.missing([folder / name for name in names]):
        values = np.full((2, 3), start + ord(path.name), np.float32)
        partial.add({"file": str(path), "embedding": values})
        done.append(path.name)
    return done


def contents(partial) -> list:
    return [(Path(row["file"]).name, row["embedding"].tolist()) for row in partial.rows()]


def test_goes_on_where_a_killed_process_stopped(output):
    assert fill(begin(output, {"top": 1, "window": (1, 2)}), output.parent, "cb") == ["c", "b"]
    whole = partial_path(output).read_bytes()
    for cut in (0, 1, 30, len(whole.splitlines()[-1])):  # also within the last line
        partial_path(output).write_bytes(whole[: len(whole) - cut])
        partial = begin(output, {"top": 1, "window": [1, 2]})
        assert len(partial) == (1 if cut else 2)
        wanted = ["a", "b", "d"] if cut else ["a", "d"]
        assert fill(partial, output.parent, "abcd") == wanted
        # In the order of this command, and whole.
        assert contents(partial) == [(name, [ord(name)] * 6) for name in "abcd"]
    partial_path(output).write_bytes(whole[:10])  # not even the settings
    assert len(begin(output)) == 0


def test_unreadable_files_are_tried_again_and_those_that_are_gone_left_out(output):
    folder = output.parent
    partial = begin(output)
    fill(partial, folder, "abc")
    for path in partial.missing([folder / "d"]):
        partial.add({"file": str(path), "error": "damaged"})
    partial = begin(output)
    assert fill(partial, folder, "abd", start=100) == ["d"]
    values = {name: values[0] for name, values in contents(partial)}
    assert values == {"a": ord("a"), "b": ord("b"), "d": 100 + ord("d")}


def test_other_settings_and_other_files_are_refused(output):
    begin(output, {"top": 1, "threshold": 0.5})
    with pytest.raises(ValueError, match=r'partial.jsonl is of .*"top": 1}; repeat'):
        begin(output, {"top": 2, "threshold": 0.5})
    assert len(begin(output, {"top": 2, "threshold": 0.5}, force=True)) == 0
    partial_path(output).write_text("precious\n")
    with pytest.raises(ValueError, match=r"with other settings: precious; .* move the file away"):
        begin(output)
    assert partial_path(output).read_text() == "precious\n"


def test_one_process_at_a_time(output):
    with open_results(OutputSettings(output), "text", {}):
        second = open_results(OutputSettings(output, force=True), "text", {})
        with pytest.raises(ValueError, match=r"another command is writing .*x.npz; wait"):
            second.__enter__()
