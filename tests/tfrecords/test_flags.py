import argparse
import dataclasses

import pytest

from tfrecords.flags import (
    CheckedSettings,
    add_flags,
    flag_settings,
    flag_table,
    redeclare,
    setting,
)


@dataclasses.dataclass(frozen=True)
class Settings(CheckedSettings):
    clips: int = setting(3, "clips to read", minimum=1)
    rate: float | None = setting(None, "rate, 50 % at most", above=0, maximum=0.5, shown="off")
    mode: str = setting("fast", "how", choices=("fast", "slow"))
    shuffle: bool = setting(True, "random order")
    hidden: int = setting(7, "no flag", flag="")


@dataclasses.dataclass(frozen=True)
class MoreSettings(Settings):
    clips: int = redeclare(Settings, "clips", 5)


def parse(arguments, cls=Settings):
    parser = argparse.ArgumentParser(prog="p")
    add_flags(parser, cls)
    return flag_settings(parser.parse_args(arguments), cls)


def test_only_flags_that_are_given_are_settings():
    assert parse([]) == {}
    assert parse(["--clips", "4", "--rate", "0.25", "--no-shuffle", "--mode", "slow"]) == {
        "clips": 4,
        "rate": 0.25,
        "shuffle": False,
        "mode": "slow",
    }


def test_a_setting_has_one_help_and_range_and_may_have_another_default(capsys):
    assert MoreSettings().clips == 5
    with pytest.raises(ValueError, match="clips must be at least 1; received 0"):
        MoreSettings(clips=0)
    with pytest.raises(SystemExit):
        parse(["--help"], MoreSettings)
    text = capsys.readouterr().out
    for line in ("clips to read; default: 5", "50 % at most; default: off", "default: on"):
        assert line in " ".join(text.split())
    assert "--hidden" not in text
    assert "| `--clips`   | clips to read      | `3`     |" in flag_table(Settings)


def test_impossible_values_are_one_line():
    for given, message in (
        ({"clips": 0}, "clips must be at least 1; received 0"),
        ({"clips": True}, "clips must be a whole number; received True"),
        ({"rate": 0.6}, r"rate must be above 0 and at most 0.5; received 0.6"),
        ({"rate": float("nan")}, "rate must be "),
        ({"mode": "x"}, "mode must be one of fast, slow; received 'x'"),
        ({"shuffle": 1}, "shuffle must be true or false"),
    ):
        with pytest.raises(ValueError, match=message):
            Settings(**given)
