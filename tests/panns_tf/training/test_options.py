import dataclasses
import json
from pathlib import Path

import pytest

from panns_tf.config import CHOICES, TrainConfig
from panns_tf.training.options import RESUMABLE, configure, parse
from panns_tf.training.recipes import read_recipe


def configured(*arguments, resume=None, **more) -> TrainConfig:
    return configure(vars(parse([str(text) for text in arguments])), resume, **more)


@pytest.fixture
def begun(tmp_path):
    """The directory of a run that has begun, and its configuration."""
    config = configured("--arch", "tiny", "--data", "d", "--run-dir", tmp_path / "r")
    (tmp_path / "r").mkdir()
    write(config)
    return tmp_path / "r", config


def write(config: TrainConfig) -> None:
    text = json.dumps({"config": dataclasses.asdict(config)})
    (Path(config.run_dir) / "config.json").write_text(text)


def test_only_what_was_given_is_an_attribute():
    assert vars(parse([])) == {}
    given = vars(parse(["--steps", "5", "--no-dropout", "--resume", "--gain", "2"]))
    assert given == {"steps": 5, "dropout": False, "resume": "always", "gain": 2.0}
    assert vars(parse(["--resume", "auto"])) == {"resume": "auto"}


def test_every_setting_has_a_flag_of_its_type():
    values = {int: "3", float: "0.5", str: "x", bool: None}
    for field in dataclasses.fields(TrainConfig):
        if field.name == "demo":
            continue
        kind = getattr(field.type, "__args__", (field.type,))[0]
        value = CHOICES.get(field.name, [values[kind]])[-1]
        flag = f"--{field.name.replace('_', '-')}"
        (found,) = vars(parse([flag] if value is None else [flag, value])).values()
        assert isinstance(found, kind), field.name


def test_a_choice_there_is_not_is_refused(capsys):
    with pytest.raises(SystemExit):
        parse(["--precision", "float16"])
    assert "mixed_float16" in capsys.readouterr().err


def test_without_data_it_is_the_demo(tmp_path):
    config = configured("--arch", "cnn14", "--run-dir", tmp_path / "r", "--steps", 3)
    recipe = {**read_recipe("demo"), "steps": 3}
    assert {key: getattr(config, key) for key in recipe} == recipe
    assert config.demo
    assert config.data == str(tmp_path / "r/data/train")
    with pytest.raises(ValueError, match="--eval-data needs --data"):
        configured("--eval-data", "e", "--run-dir", tmp_path / "r")


def test_flags_go_before_the_recipe_and_that_before_defaults():
    config = configured("--recipe", "strong", "--data", "d", "--gain", "0", "--seed", "5")
    recipe = read_recipe("strong")
    assert config == TrainConfig(
        **{**recipe, "recipe": "strong", "data": "d", "gain": 0.0, "seed": 5},
        run_dir=config.run_dir,
    )
    assert recipe["gain"] != 0
    other = configured("--recipe", "strong", "--data", "d", "--arch", "cnn6")
    assert (other.arch, other.ema) == ("Cnn6", recipe["ema"])


def test_a_recipe_may_name_data_and_a_short_form_of_the_network(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('data = "there"\narch = "wavegram_logmel"\n')
    config = configured("--recipe", path)
    assert (config.data, config.arch, config.demo) == ("there", "Wavegram_Logmel_Cnn14", False)
    assert config.run_dir.startswith("runs/wavegram_logmel_cnn14-")


def test_a_run_that_is_there_is_not_overwritten(begun):
    run_dir, _ = begun
    with pytest.raises(ValueError, match="already holds a run; add --resume"):
        configured("--data", "d", "--run-dir", run_dir)
    assert configured("--data", "d", "--run-dir", run_dir, is_chief=False).data == "d"


def test_resume_takes_the_runs_own_settings(begun):
    run_dir, config = begun
    again = configured("--run-dir", run_dir, "--steps", "9", resume="always")
    assert again == dataclasses.replace(config, steps=9)


def test_resume_auto_starts_and_continues(tmp_path):
    flags = ("--arch", "tiny", "--data", "d", "--run-dir", tmp_path)
    first = configured(*flags, "--seed", "3", resume="auto")
    assert first.seed == 3
    write(first)
    assert configured(*flags, resume="auto") == first
    with pytest.raises(ValueError, match="seed was 3, now 4"):
        configured(*flags, "--seed", "4", resume="auto")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--batch-size", 64), "batch_size was 32, now 64; leave them out"),
        (("--ema", 0.9, "--gain", 1), "ema was None, now 0.9; gain was 0.0, now 1.0"),
        (("--arch", "cnn6"), "arch was 'Tiny', now 'Cnn6'"),
        (("--data", "e"), "data was 'd', now 'e'"),
        (("--recipe", "strong"), "recipe was None, now 'strong'"),
    ],
)
def test_resume_names_what_changed(begun, flags, message):
    run_dir, _ = begun
    with pytest.raises(ValueError, match=message):
        configured("--run-dir", run_dir, *flags, resume="always")


def test_resume_without_a_run_says_so(tmp_path):
    with pytest.raises(ValueError, match="--resume needs --run-dir"):
        configured(resume="auto")
    with pytest.raises(ValueError, match="no run in"):
        configured("--run-dir", tmp_path, resume="always")
    (tmp_path / "config.json").write_text('{"config": {"steps": 0}}')
    with pytest.raises(ValueError, match=r"config.json is damaged: .*steps must be at least 1"):
        configured("--run-dir", tmp_path, resume="auto")


def test_a_demo_that_moved_finds_its_data(tmp_path):
    first = configured("--arch", "tiny", "--run-dir", tmp_path / "a")
    (tmp_path / "a").mkdir()
    write(first)
    (tmp_path / "a").rename(tmp_path / "b")
    again = configured("--run-dir", tmp_path / "b", resume="always")
    assert again.data == str(tmp_path / "b/data/train")


def test_what_may_change_are_settings():
    assert set(RESUMABLE) < {field.name for field in dataclasses.fields(TrainConfig)}
