"""The tutorial: what it shows exists, and it runs from the first cell to the last."""

import argparse
import contextlib
import csv
import io
import json
import os
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import pytest

from panns_tf.cli import COMMANDS, main

REPOSITORY = Path(__file__).resolve().parent.parent
NOTEBOOK = REPOSITORY / "docs" / "tutorial.ipynb"
CHOICE = "PRETRAINED = True"
COMMAND = "!{sys.executable} -m panns_tf "


def cells(kind: str) -> dict[str, str]:
    """The sources of the cells of a kind, by their ids."""
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return {cell["id"]: "".join(cell["source"]) for cell in found if cell["cell_type"] == kind}


def commands(pretrained: bool) -> list[list[str]]:
    """The arguments of the commands in the code cells."""
    code = cells("code")
    values = {"PRETRAINED": pretrained}
    exec(code["settings"], values)
    lines = "\n".join(code.values()).replace("\\\n", " ").splitlines()
    shown = [line.strip() for line in lines if line.strip().startswith("!")]
    assert all(line.startswith(COMMAND) for line in shown)
    filled = [line.replace("{SETTINGS}", values["SETTINGS"]) for line in shown]
    return [shlex.split(line.removeprefix(COMMAND)) for line in filled]


def help_of(*words: str) -> str:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), pytest.raises(SystemExit):
        main([*words, "--help"])
    return text.getvalue()


def test_nothing_that_was_computed_is_kept():
    found = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    code = [cell for cell in found["cells"] if cell["cell_type"] == "code"]
    assert code
    assert not any(cell["outputs"] or cell["execution_count"] is not None for cell in code)
    assert not any(cell["metadata"] for cell in found["cells"])
    assert set(found["metadata"]) == {"kernelspec", "language_info"}


def test_every_command_is_one_of_this_project():
    for pretrained in (True, False):
        shown = commands(pretrained)
        names = [words[0] for words in shown]
        assert names == ["finetune", "predict", "predict", "finetune", "export", "export"]
        for name, *words in shown:
            module = import_module(COMMANDS[name].module)
            parser = argparse.ArgumentParser(exit_on_error=False)
            getattr(module, f"add_{name}_flags")(parser)
            parser.parse_args(words)


def test_what_the_text_names_exists():
    text = "\n".join(cells("markdown").values())
    known = "".join(map(help_of, ("finetune", "predict", "export")))
    flags = re.findall(r"--[a-z][a-z-]+", text)
    assert len(flags) > 5
    assert [flag for flag in flags if not re.search(rf"{flag}\b(?!-)", known)] == []
    for file in re.findall(r"\]\(([^)]+)\)", text):
        assert (NOTEBOOK.parent / file).is_file(), file


@pytest.mark.parametrize("folder", [REPOSITORY, NOTEBOOK.parent])
def test_the_repository_is_found_from_within(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.delenv("PANNS_TF_REPOSITORY", raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    values = {}
    exec(cells("code")["setup"], values)
    assert values["REPOSITORY"] == sys.path[0] == os.environ["PYTHONPATH"] == str(REPOSITORY)


@pytest.mark.full
def test_it_runs(tmp_path, monkeypatch):
    reason = "pip install -r requirements-dev.txt"
    nbclient = pytest.importorskip("nbclient", reason=reason)
    nbformat = pytest.importorskip("nbformat", reason=reason)
    for name in ("PANNS_TF_CACHE", "IPYTHONDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PANNS_TF_REPOSITORY", str(REPOSITORY))
    work = tmp_path / "work"
    work.mkdir()

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    by_id = {cell.id: cell for cell in notebook.cells}
    assert by_id["choice"].source == CHOICE
    by_id["choice"].source = CHOICE.replace("True", "False")
    for cell in notebook.cells:
        if "!{sys.executable}" in cell.source:  # a notebook goes on after a command that failed
            cell.source += "\nassert globals().get('_exit_code', 0) == 0"
    by_id["setup"].source += f"\nassert sys.executable == {sys.executable!r}"
    nbclient.NotebookClient(
        notebook, timeout=400, kernel_name="python3", resources={"metadata": {"path": work}}
    ).execute()

    def printed(cell: str) -> str:
        return "".join(output.get("text", "") for output in by_id[cell].outputs)

    def holds(cell: str, kind: str) -> bool:
        return any(kind in output.get("data", {}) for output in by_id[cell].outputs)

    assert {path.name for path in work.iterdir()} == {"runs"}
    assert not any(
        output.get("name") == "stderr"
        for cell in by_id.values()
        for output in cell.get("outputs", ())
    )
    for run, chance in (("tutorial", 0.25), ("probe", 0.5)):
        found = json.loads((work / "runs" / run / "results.json").read_text())["results"]
        assert found[-1]["chance"] == pytest.approx(chance, abs=0.01)
        assert found[-1]["value"] >= 0.75
    assert "MobileNetV1, scratch" in printed("learn")
    assert "report.html" in printed("learn")
    assert "Next: panns-tf predict" in printed("learn")
    assert "chance" in printed("report")
    assert "0.25" in printed("report")
    assert printed("page").strip() == (work / "runs" / "tutorial" / "report.html").as_uri()
    assert holds("look", "image/png")
    assert holds("confusion", "image/png")
    assert holds("listen", "text/html")

    with (work / "runs" / "new.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    first = {Path(row["file"]).stem: row["label"] for row in reversed(rows)}
    assert sum(name == label for name, label in first.items()) >= 3
    assert "bell" in printed("tag").splitlines()[0]
    nearest = re.findall(r"(\w+)\.wav is like runs/sounds/(\w+)/", printed("nearest"))
    assert len(nearest) == 4
    assert sum(name == label for name, label in nearest) >= 3

    for cell in ("export-check", "onnx-check"):
        for distance in re.findall(r"differs by at most (\S+)", printed(cell)):
            assert float(distance) < 1e-5
    assert "SavedModel differs" in printed("export-check")
