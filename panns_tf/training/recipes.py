"""Recipes: settings of a run in a small file, with what is to be expected of it."""

import difflib
import tomllib
from pathlib import Path

from panns_tf.config import TrainConfig
from panns_tf.models.registry import find
from tfrecords.flags import settings_of

#: Where the recipes that come with the package lie.
FOLDER = Path(__file__).parents[1] / "recipes"
#: Settings of a single run, which have no place in a recipe.
_OF_A_RUN = ("run_dir", "recipe", "demo")


def recipe_names() -> list[str]:
    """The names of the recipes that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def find_recipe(name: str) -> Path:
    """The file of a recipe, by its name or its path.

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
    """The settings of a recipe, by name as `TrainConfig` has them.

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
    names = [name for name in settings_of(TrainConfig) if name not in _OF_A_RUN]
    for key in settings:
        if key not in names:
            near = difflib.get_close_matches(key.replace("-", "_"), names, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
            raise ValueError(f"recipe {path} has an unknown key {key!r}; {hint}")
    parts = settings.get("accumulate")
    # Whether parts make a batch is checked when the flags are known.
    whole = {"batch_size": parts} if isinstance(parts, int) and parts > 0 else {}
    try:
        TrainConfig(**{**whole, **settings})
        find(settings.get("arch", TrainConfig.arch))
    except ValueError as error:
        raise ValueError(f"recipe {path}: {error}") from error
    return settings
