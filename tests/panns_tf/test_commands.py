from pathlib import Path

import pytest

from panns_tf import commands


def stop_with(error):
    def main():
        if error:
            raise error

    return main


@pytest.mark.parametrize(
    ("error", "status", "printed"),
    [
        (None, 0, ""),
        (ValueError("two\nlines"), 2, "error: two lines\n"),
        (FileNotFoundError("gone"), 2, "error: gone\n"),
        (KeyError("a mistake of ours"), None, ""),
        (ZeroDivisionError("listed"), 2, "error: listed\n"),
        (KeyboardInterrupt("python again"), 130, "interrupted; continue with: python again\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_exit_status_and_one_line(error, status, printed, capsys):
    expected = SystemExit if status is not None else type(error)
    with pytest.raises(expected) as caught:
        commands.run(stop_with(error), (ZeroDivisionError,))
    if status is not None:
        assert caught.value.code == status
        assert capsys.readouterr().err == printed


def test_a_folder_for_results_is_checked_and_not_made(tmp_path):
    commands.writable_folder(tmp_path / "a" / "b")
    commands.writable_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_to_is_told_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ValueError, match="file is a file; give a folder"):
            commands.writable_folder(path)
    with pytest.raises(ValueError, match="nothing can be written to /proc"):
        commands.writable_folder(Path("/proc/x"))
