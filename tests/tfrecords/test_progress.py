import logging

import pytest

from tfrecords import progress as module
from tfrecords.progress import Progress, logger, progress, show_messages


@pytest.fixture(autouse=True)
def _no_messages_afterwards():
    yield
    logger.handlers.clear()
    logger.setLevel(logging.NOTSET)
    logger.propagate = True


def test_a_library_call_shows_nothing(capsys):
    assert list(progress(range(3))) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")


def test_lines_in_a_file_and_nothing_when_quiet(capsys, monkeypatch):
    monkeypatch.setattr(module, "_SECONDS_BETWEEN_LINES", 0.0)
    show_messages()
    with Progress(4, unit="clip", description="evaluate") as shown:
        shown.update(2)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("evaluate: 2 of 4 clips, ")
    logger.info("done")
    assert capsys.readouterr().err == "done\n"
    show_messages(quiet=True)
    list(progress(range(3)))
    logger.info("done")
    logger.warning("careful")
    assert capsys.readouterr().err == "careful\n"
