"""The flags of train, the configuration that they make, and recipes."""

import argparse
import dataclasses
import json
import re
from pathlib import Path

import pytest

from panns_tf.config import TrainConfig
from panns_tf.models.registry import find
from panns_tf.training.cli import add_train_flags, run_train
from panns_tf.training.recipes import (
    RESUMABLE,
    configure,
    find_recipe,
    read_recipe,
    recipe_names,
)
from tfrecords.flags import flag_settings


def parse(*words) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_train_flags(parser)
    assert "recipes: demo, large_batch, paper" in parser.format_help()
    return parser.parse_args([str(word) for word in words])


def configured(*words, resume=None, **more) -> TrainConfig:
    return configure(flag_settings(parse(*words), TrainConfig), resume, **more)


@pytest.fixture
def begun(tmp_path) -> tuple[Path, TrainConfig]:
    """The directory of a run that has begun, and its configuration."""
    config = configured("--arch", "tiny", "--data", "d", "--run-dir", tmp_path / "r")
    (tmp_path / "r").mkdir()
    write(config)
    return tmp_path / "r", config


def write(config: TrainConfig) -> None:
    text = json.dumps({"config": dataclasses.asdict(config)})
    (Path(config.run_dir) / "config.json").write_text(text)


def test_only_what_was_given_is_a_setting(capsys):
    args = parse("--steps", "5", "--no-dropout", "--resume", "--gain", "2")
    assert flag_settings(args, TrainConfig) == {"steps": 5, "dropout": False, "gain": 2.0}
    assert args.resume == "always"
    assert parse("--resume", "auto", "--devices", "2").devices == 2
    with pytest.raises(SystemExit):
        parse("--precision", "float16")
    assert "mixed_float16" in capsys.readouterr().err
    for words in (("--cache",), ("--cache", "/tmp/x")):
        with pytest.raises(ValueError, match="--cache is gone: mount the bucket"):
            run_train(parse(*words))


def test_without_data_it_is_the_demo_whose_data_may_move(tmp_path):
    config = configured("--arch", "tiny", "--run-dir", tmp_path / "a", "--steps", 3)
    recipe = {**read_recipe("demo"), "steps": 3}
    assert {key: getattr(config, key) for key in recipe} == recipe
    assert config.demo
    assert config.data == str(tmp_path / "a/data/train")
    for words, message in (
        (("--eval-data", "e"), "--eval-data e needs --data"),
        (("--recipe", "strong"), "--recipe strong needs --data"),
    ):
        with pytest.raises(ValueError, match=message):
            configured(*words, "--run-dir", tmp_path / "a")
    (tmp_path / "a").mkdir()
    write(config)
    (tmp_path / "a").rename(tmp_path / "b")
    again = configured("--run-dir", tmp_path / "b", resume="always")
    assert again.data == str(tmp_path / "b/data/train")


def test_flags_override_the_recipe_and_that_the_defaults(tmp_path):
    config = configured("--recipe", "strong", "--data", "d", "--gain", "0", "--seed", "5")
    recipe = read_recipe("strong")
    given = {**recipe, "recipe": "strong", "data": "d", "gain": 0.0, "seed": 5}
    assert config == TrainConfig(**given, run_dir=config.run_dir)
    assert recipe["gain"] != 0
    other = configured("--recipe", "strong", "--data", "d", "--arch", "cnn6")
    assert (other.arch, other.ema) == ("Cnn6", recipe["ema"])
    path = tmp_path / "mine.toml"
    path.write_text('data = "there"\narch = "wavegram_logmel"\n')
    config = configured("--recipe", path)
    assert (config.data, config.arch, config.demo) == ("there", "Wavegram_Logmel_Cnn14", False)
    assert config.run_dir.startswith("runs/wavegram_logmel_cnn14-")


def test_a_run_is_not_overwritten_and_resumes_with_its_settings(begun):
    run_dir, config = begun
    with pytest.raises(ValueError, match="already holds a run; add --resume"):
        configured("--data", "d", "--run-dir", run_dir)
    assert configured("--data", "d", "--run-dir", run_dir, is_chief=False).data == "d"
    again = configured("--run-dir", run_dir, "--steps", "9", resume="always")
    assert again == dataclasses.replace(config, steps=9)
    assert set(RESUMABLE) < {field.name for field in dataclasses.fields(TrainConfig)}
    for flags, message in (
        (("--batch-size", 64), "batch_size was 32, now 64; leave them out"),
        (("--ema", 0.9, "--gain", 1), "ema was None, now 0.9; gain was 0.0, now 1.0"),
        (("--arch", "cnn6"), "arch was 'Tiny', now 'Cnn6'"),
        (("--recipe", "strong"), "recipe was None, now 'strong'"),
    ):
        with pytest.raises(ValueError, match=message):
            configured("--run-dir", run_dir, *flags, resume="always")


def test_resume_auto_starts_and_continues(tmp_path):
    flags = ("--arch", "tiny", "--data", "d", "--run-dir", tmp_path)
    first = configured(*flags, "--seed", "3", resume="auto")
    assert first.seed == 3
    write(first)
    assert configured(*flags, resume="auto") == first
    with pytest.raises(ValueError, match="seed was 3, now 4"):
        configured(*flags, "--seed", "4", resume="auto")


def test_resume_without_a_run_or_of_a_damaged_one(tmp_path):
    with pytest.raises(ValueError, match="--resume needs --run-dir"):
        configured(resume="auto")
    with pytest.raises(ValueError, match="no run in"):
        configured("--run-dir", tmp_path, resume="always")
    for content in ("", "{}", '{"config": {"steps": 0}}', '{"config": {"stepz": 1}}', "[1]"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ValueError, match=r"config.json is damaged") as caught:
            configured("--run-dir", tmp_path, resume="auto")
        assert "\n" not in str(caught.value)
    # 0.1.0 wrote a cache, which is none here.
    old = {**dataclasses.asdict(TrainConfig(arch="Tiny", data="d")), "cache": None}
    (tmp_path / "config.json").write_text(json.dumps({"config": old}))
    assert configured("--run-dir", tmp_path, resume="always").data == "d"


@pytest.mark.parametrize("shipped", recipe_names())
def test_every_shipped_recipe_reads_and_states_what_to_expect(shipped):
    settings = read_recipe(shipped)
    config = TrainConfig(**settings)
    assert find(config.arch).name == config.arch
    assert settings == {key: getattr(config, key) for key in settings} != {}
    lines = find_recipe(shipped).read_text().splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    text = " ".join(line.removeprefix("#").strip() for line in head)
    (command,) = re.findall(r"python train\.py ((?:--[a-z-]+ \S+ ?)+)", text)
    given = flag_settings(parse(*command.split()), TrainConfig)
    # The demo's settings come without asking; each other command names its own recipe.
    assert given.get("recipe", "demo") == shipped
    assert ("data" in given) == (shipped != "demo")
    assert re.search(r"Expected: (.*mAP 0\.\d{3}|not measured)", text)
    # Where nothing was measured, papers are cited for the settings.
    assert re.search(r"Source: (measured|.* et al\. \d{4})|not measured.* et al\. \d{4}", text)


def test_the_papers_recipe_is_the_default():
    assert {"demo", "large_batch", "paper", "paper_wavegram", "small_set"} <= set(recipe_names())
    settings, default = read_recipe("paper"), TrainConfig(arch="Cnn14")
    assert {key: getattr(default, key) for key in settings} == settings


def test_a_recipe_of_a_user_is_read_or_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('steps = 7\nema = 0.5\naccumulate = 3\ndata = "here"\n')
    assert read_recipe(str(path)) == {"steps": 7, "ema": 0.5, "accumulate": 3, "data": "here"}
    for name in ("papr", str(tmp_path / "paper.toml"), str(tmp_path)):
        with pytest.raises(ValueError, match=f"no recipe {name!r}; expected one of demo, .*paper"):
            read_recipe(name)
    for text, message in (
        ("learning_rat = 1", "unknown key 'learning_rat'; did you mean learning_rate"),
        ("batch-size = 8", "unknown key 'batch-size'; did you mean batch_size"),
        ("qqq = 1", "unknown key 'qqq'; expected one of "),
        ('run_dir = "x"', "unknown key 'run_dir'"),
        ("[learning]\nrate = 1", "unknown key 'learning'"),
        ('steps = "many"', "steps must be a whole number; received 'many'"),
        ("accumulate = 0", "accumulate must be at least 1"),
        ("ema = 1.5", r"ema must be above 0 and below 1; received 1.5"),
        ('arch = "wavegram_logmell"', "Wavegram_Logmel_Cnn14"),
        ("steps = ", r"mine\.toml is no TOML: Invalid value"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_recipe(str(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is no TOML"):
        read_recipe(str(path))
