import re

import pytest

from panns_tf.config import TrainConfig
from panns_tf.models import find
from panns_tf.training.options import parse
from panns_tf.training.recipes import find_recipe, read_recipe, recipe_names


def test_the_shipped_recipes_are_named():
    names = {"demo", "large_batch", "paper", "paper_wavegram", "small_set", "strong"}
    assert names <= set(recipe_names())


@pytest.mark.parametrize("shipped", recipe_names())
def test_every_shipped_recipe_reads(shipped):
    settings = read_recipe(shipped)
    assert settings
    config = TrainConfig(**settings)
    assert find(config.arch).name == config.arch
    left_at_default = [key for key in settings if getattr(config, key) != settings[key]]
    assert left_at_default == []


@pytest.mark.parametrize("shipped", recipe_names())
def test_every_shipped_recipe_begins_with_a_command_an_expected_result_and_a_source(shipped):
    lines = find_recipe(shipped).read_text().splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    text = " ".join(line.removeprefix("#").strip() for line in head)
    (command,) = re.findall(r"python train\.py ((?:--[a-z-]+ \S+ ?)+)", text)
    given = vars(parse(command.split()))
    # The demo's settings come without asking; each other command names its own recipe.
    assert given.get("recipe", "demo") == shipped
    assert ("data" in given) == (shipped != "demo")
    assert re.search(r"Expected: (.*mAP 0\.\d{3}|not measured)", text)
    # Where nothing was measured, papers are cited for the settings.
    assert re.search(r"Source: (measured|.* et al\. \d{4})|not measured.* et al\. \d{4}", text)


def test_the_papers_recipe_is_the_default():
    settings = read_recipe("paper")
    default = TrainConfig(arch="Cnn14")
    assert {key: getattr(default, key) for key in settings} == settings


def test_a_file_of_ones_own_is_read(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('steps = 7\nema = 0.5\nmixup = "none"\ndata = "here"\n')
    assert read_recipe(str(path)) == {"steps": 7, "ema": 0.5, "mixup": "none", "data": "here"}


def test_an_unknown_recipe_names_those_there_are(tmp_path):
    for name in ("papr", str(tmp_path / "paper.toml"), str(tmp_path)):
        with pytest.raises(ValueError, match=f"no recipe {name!r}; expected one of demo, .*paper"):
            read_recipe(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat = 1", "unknown key 'learning_rat'; did you mean learning_rate"),
        ("batch-size = 8", "unknown key 'batch-size'; did you mean batch_size"),
        ("eval_step = 8", "did you mean eval_steps or "),
        ("qqq = 1", "unknown key 'qqq'; known: arch, data, eval_data, "),
        ('run_dir = "x"', "unknown key 'run_dir'"),
        ('recipe = "paper"', "unknown key 'recipe'"),
        ("[learning]\nrate = 1", "unknown key 'learning'"),
        ('steps = "many"', "steps must be a whole number; received 'many'"),
        ("ema = 1.5", "ema must lie between 0 and 1; received 1.5"),
        ("steps = ", r"mine\.toml is no TOML: Invalid value"),
    ],
)
def test_what_is_no_recipe_is_refused(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_recipe(str(path))


def test_a_file_of_another_kind_is_no_toml(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no TOML"):
        read_recipe(str(path))
