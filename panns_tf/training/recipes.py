"""The configuration of a run, from flags, a recipe (a small file of settings) or an older run."""

import dataclasses
import time
import tomllib
from pathlib import Path

from panns_tf.config import NON_LEARNING_SETTINGS, TrainConfig, train_config
from panns_tf.models.registry import find
from panns_tf.run import CHECKPOINTS, CONFIG, is_run
from tfrecords.files import read_json
from tfrecords.flags import check_setting, settings_of
from tfrecords.text import did_you_mean

#: Where the recipes that come with the package lie.
FOLDER = Path(__file__).parents[1] / "recipes"
#: Settings of a single run, which have no place in a recipe.
_OF_A_RUN = ("run_dir", "recipe", "demo")
#: What a resumed run may change: how long it goes on, and what changes nothing of it.
RESUMABLE = ("steps", "damaged", *(name for name in NON_LEARNING_SETTINGS if name != "recipe"))


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find_recipe(name: str) -> Path:
    path = Path(name) if "/" in name or name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(
            f"no recipe {name!r}; expected one of {', '.join(recipe_names())}, or the path of a "
            ".toml file"
        )
    return path


def read_recipe(name: str) -> dict:
    """The settings of a recipe, one of `recipe_names` or the path of a TOML file."""
    path = find_recipe(name)
    try:
        settings = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"recipe {path} is no TOML: {error}") from error
    known = settings_of(TrainConfig)
    for name in _OF_A_RUN:
        del known[name]
    try:
        for key, value in settings.items():
            if key not in known:
                raise ValueError(f"unknown key {key!r}; {did_you_mean(key, known)}")
            check_setting(key, value, *known[key][1:])
        find(settings.get("arch", TrainConfig.arch))
    except ValueError as error:
        raise ValueError(f"recipe {path}: {error}") from error
    return settings


def demo_paths(run_dir: Path) -> dict[str, str]:
    """Where a demo run keeps its data, as settings of the run."""
    return {"data": str(run_dir / "data/train"), "eval_data": str(run_dir / "data/eval")}


def configure(given: dict, resume: str | None, is_chief: bool = True) -> TrainConfig:
    """The configuration of a new run, or of the one to resume; arguments as `train` has them."""
    if resume and "run_dir" not in given:
        raise ValueError("--resume needs --run-dir, the directory of the run to continue")
    if "recipe" in given:
        given = {**read_recipe(given["recipe"]), **given}
    if "arch" in given:
        given = {**given, "arch": find(given["arch"]).name}
    if resume == "always" or (resume and is_run(given["run_dir"])):
        return _resumed(given, Path(given["run_dir"]))
    if "run_dir" not in given:
        arch, stamp = given.get("arch", TrainConfig.arch), time.strftime("%Y%m%d-%H%M%S")
        given = {**given, "run_dir": str(Path("runs") / f"{arch.lower()}-{stamp}")}
    run_dir = Path(given["run_dir"])
    taken = (run_dir / CONFIG).exists() or (run_dir / CHECKPOINTS).exists()
    if taken and is_chief:  # the others may come when the chief has begun
        raise ValueError(
            f"{run_dir} already holds a run; add --resume to continue it, or choose another"
        )
    if "data" not in given:
        for name in ("eval_data", "recipe"):
            if given.get(name, "demo") != "demo":
                raise ValueError(
                    f"--{name.replace('_', '-')} {given[name]} needs --data; without it the demo "
                    "makes its own, and follows its own recipe"
                )
        given = {**read_recipe("demo"), **demo_paths(run_dir), "demo": True, **given}
    return TrainConfig(**given)


def _resumed(given: dict, run_dir: Path) -> TrainConfig:
    """The configuration that a run was started with, and what may change of it."""
    if not is_run(run_dir):
        raise ValueError(f"--resume: no run in {run_dir}: it has no {CONFIG}")
    try:
        saved = train_config(read_json(run_dir / CONFIG)["config"])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"--resume: {run_dir / CONFIG} is damaged: {error!r}") from error
    changed = [
        f"{name} was {getattr(saved, name)!r}, now {value!r}"
        for name, value in given.items()
        if name not in RESUMABLE and value != getattr(saved, name)
    ]
    if changed:
        raise ValueError(f"--resume with other settings: {'; '.join(changed)}; leave them out")
    if saved.demo:  # its data lies within the run, which may have moved
        given = {**given, **demo_paths(run_dir)}
    return dataclasses.replace(saved, **given)
