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
