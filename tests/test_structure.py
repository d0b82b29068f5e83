"""What holds of the code as a whole: its layers, no private API, no work at import."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from panns_tf.cli import COMMANDS

ROOT = Path(__file__).parents[1]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("panns_tf", "tfrecords")
    for path in sorted((ROOT / package).rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}

#: Packages from the bottom up; each imports from itself and from those before it.
ORDER = (
    "tfrecords",
    "panns_tf.config",
    "panns_tf.windows",
    "panns_tf.run",
    "panns_tf.layers",
    "panns_tf.models",
    "panns_tf.weights",
    "panns_tf.metrics",
    "panns_tf.inference",
    "panns_tf.export",
    "panns_tf.training",
    "panns_tf.evaluation",
    "panns_tf.transfer.tasks",
    "panns_tf.figures",
    "panns_tf.transfer",
)


def imports(name: str, tree: ast.AST) -> Iterator[str]:
    """The modules of this project that a module imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}: relative import"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in FILES:
                    yield inner
                elif node.module in FILES:
                    yield node.module


GRAPH = {name: set(imports(name, tree)) - {name} for name, tree in TREES.items()}


def test_no_file_imports_in_a_circle():
    done: set[str] = set()

    def follow(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, f"circle: {' -> '.join((*path, name))}"
        if name not in done:
            for other in sorted(GRAPH[name]):
                follow(other, (*path, name))
            done.add(name)

    for name in GRAPH:
        follow(name, ())


def package(name: str) -> str | None:
    """The entry of `ORDER` that a module belongs to, if any."""
    return next((p for p in ORDER if name == p or name.startswith(f"{p}.")), None)


def test_dependencies_point_one_way():
    for name, others in GRAPH.items():
        if (own := package(name)) is None:
            continue
        for other in others:
            if other in ("panns_tf", "panns_tf.cli"):
                assert other == "panns_tf", f"{name} imports {other}"
                continue
            known = package(other)
            if known is not None:
                assert ORDER.index(known) <= ORDER.index(own), f"{name} imports {other}"
            else:
                assert not own.startswith("tfrecords"), f"{name} imports {other}"


def test_layers_and_models_use_keras_alone():
    """But for two files with ways of TensorFlow's own, which other backends do not take."""
    for name, tree in TREES.items():
        if name.startswith(("panns_tf.layers", "panns_tf.models")):
            special = name in ("panns_tf.layers.cpu", "panns_tf.layers.batch_norm")
            for node in tree.body if special else ast.walk(tree):
                if isinstance(node, ast.Import):
                    assert all(a.name.split(".")[0] != "tensorflow" for a in node.names), name
                if isinstance(node, ast.ImportFrom):
                    assert node.module.split(".")[0] != "tensorflow", name


def own_names() -> set[str]:
    """Names with an underscore that this project defines."""
    found = set()
    for tree in TREES.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.attr)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
    return found


def test_nothing_private_of_others_is_used():
    own = own_names()
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and re.match(r"_(?!_)|__internal__", node.attr):
                public = node.attr == "_exit"  # os._exit
                assert public or node.attr in own, f"{name}:{node.lineno}: {node.attr}"
        text = FILES[name].read_text(encoding="utf-8")
        for private in ("keras.src", "__internal__", "tensorflow.python", "tf.compat", "tf.keras"):
            assert private not in text, f"{name}: {private}"
        assert not re.search(r"tensorboard\.(plugins|compat|summary)", text), name


def test_packages_do_not_assert():
    for name, tree in TREES.items():
        lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
        assert not lines, f"{name}: assert in lines {lines}"


def test_files_have_a_size_that_is_read_in_one_sitting():
    for path in FILES.values():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 480, path
        assert all(len(line) <= 100 or "# noqa" in line for line in lines), path


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_and_the_table_of_networks_wait_for_no_tensorflow():
    code = f"""
import contextlib, io, sys
from panns_tf import cli
for name in {sorted(COMMANDS)}:
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as out:
        cli.main([name, "--help"])
    print(name, len(out.getvalue()) > 100)
cli.main(["models"])
print({{"tensorflow", "keras", "matplotlib", "sklearn", "torch"}} & set(sys.modules))
"""
    lines = run(code).splitlines()
    assert lines[: len(COMMANDS)] == [f"{name} True" for name in sorted(COMMANDS)]
    assert lines[-1] == "set()"
    assert any(line.startswith("Cnn14 ") for line in lines)


@pytest.mark.parametrize("order", ["panns_tf, keras", "keras, panns_tf"])
def test_importing_the_package_registers_what_models_need(order):
    known = run(
        f"import {order}\n"
        "print(keras.saving.get_registered_object('panns_tf>LogMel').__name__)\n"
        "print(keras.config.dtype_policy().name)"
    )
    assert known.split() == ["LogMel", "float32"]
