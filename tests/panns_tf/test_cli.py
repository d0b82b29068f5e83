"""The commands as a person calls them: names, mistakes, exit statuses."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from panns_tf import __version__
from panns_tf.cli import COMMANDS, main, run
from panns_tf.run import RunError

ROOT = Path(__file__).parents[2]


def test_every_command_is_listed_and_has_a_help(capsys):
    for words in ([], ["--help"]):
        with pytest.raises(SystemExit, match="0"):
            main(words)
    listed = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"  {name} " in listed
        assert command.help in listed
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0
        assert f"usage: panns-tf {name}" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"panns_tf {__version__}\n"


def test_unknown_words_are_refused(capsys):
    for words, message in (
        (["trian"], "no command 'trian'; did you mean train?"),
        (["models", "--yaml"], "unrecognized arguments: --yaml"),
        (["convert"], "required: SOURCE"),
        (["models", "--json", "--markdown"], "not allowed with"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err


def test_exit_status_and_one_line(capsys):
    def failing(error):
        def command():
            raise error

        return command

    for error, status, printed in (
        (ValueError("two\nlines"), 2, "error: two lines\n"),
        (FileNotFoundError("gone"), 2, "error: gone\n"),
        (RunError("no more"), 2, "error: no more\n"),
        (KeyboardInterrupt("python again"), 130, "interrupted; continue with: python again\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ):
        with pytest.raises(SystemExit) as stop:
            run(failing(error))
        assert (stop.value.code, capsys.readouterr().err) == (status, printed)
    with pytest.raises(KeyError):  # a fault of the program has its traceback
        run(failing(KeyError("a")))
    with pytest.raises(SystemExit) as stop:
        run(lambda: None)
    assert stop.value.code == 0


def test_the_table_of_networks(capsys):
    assert main(["models", "wavegram_l*", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["name"] for row in rows} == {"Wavegram_Logmel_Cnn14", "Wavegram_Logmel128_Cnn14"}
    with pytest.raises(ValueError, match="no network matches 'nix"):
        main(["models", "nix*"])


@pytest.mark.full
def test_commands_as_processes(tmp_path):
    """Nothing but the one line reaches the person, not TensorFlow's start-up notes either."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "PANNS_TF_"))}
    environment |= {"PYTHONPATH": str(ROOT), "PANNS_TF_CACHE": str(tmp_path)}
    for words, status, start in (
        (("-m", "panns_tf", "models", "leenet11"), 0, ""),
        (("-m", "panns_tf", "convert", "absent.pth"), 2, "error: no such file: absent.pth"),
        (("-m", "panns_tf", "tag", "absent.wav", "--model", "Cnn15"), 2, "error: "),
        (("-m", "tfrecords", "info", "absent"), 2, "error: "),
        ((f"{ROOT}/train.py", "--arch", "Cnn15"), 2, "error: unknown network 'Cnn15'"),
        ((f"{ROOT}/evaluate.py", "--model", "absent", "--data", "absent"), 2, "error: "),
    ):
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == status, (words, done.stderr)
        assert done.stderr.startswith(start)
        assert done.stderr.count("\n") == (status != 0), done.stderr
