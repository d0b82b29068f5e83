"""Recipes: settings of a run in a small file, with what is to be expected of it."""

import dataclasses
import difflib
import tomllib
from pathlib import Path

from panns_tf.config import TrainConfig, check_type
from panns_tf.models import find

#: Where the recipes that come with the package lie.
FOLDER = Path(__file__).parents[1] / "recipes"
#: What belongs to a run and not to a recipe.
_OF_A_RUN = ("run_dir", "recipe", "demo")


def recipe_names() -> list[str]:
    """Returns the names of the recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find_recipe(name: str) -> Path:
    """Returns the file of a recipe, by its name or its own path.

    Raises:
        ValueError: if there is none.
    """
    path = Path(name) if "/" in name or name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(
            f"no recipe {name!r}; expected one of {', '.join(recipe_names())}, or the path of a "
            ".toml file"
        )
    return path


def read_recipe(name: str) -> dict:
    """Returns the settings of a recipe, by name as `TrainConfig` has them.

    Args:
        name: one of `recipe_names`, or the path of a TOML file.

    Raises:
        ValueError: no such recipe, no TOML, or a key or value that is no setting.
    """
    path = find_recipe(name)
    try:
        settings = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"recipe {path} is no TOML: {error}") from error
    check_settings(settings, f"recipe {path}")
    return settings


def check_settings(settings: dict, what: str, but: tuple[str, ...] = _OF_A_RUN) -> None:
    """Raises a ValueError unless these are settings of `TrainConfig`, each of a possible value.

    Args:
        settings: by name.
        what: they are of, for the message.
        but: settings that have no place here.
    """
    known = [f.name for f in dataclasses.fields(TrainConfig) if f.name not in but]
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key.replace("-", "_"), known, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
            raise ValueError(f"{what} has an unknown key {key!r}; {hint}")
    try:
        # Whether parts make a batch is seen when the flags are known.
        TrainConfig(**{**settings, "accumulate": 1})
        check_type("accumulate", int, settings.get("accumulate", 1))
        find(settings.get("arch", TrainConfig.arch))
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
