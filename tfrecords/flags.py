"""Settings declared once, as fields of a frozen dataclass: flags, help, checks and docs follow."""

import argparse
import dataclasses
import math
import operator
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfrecords.text import markdown_table


@dataclasses.dataclass(frozen=True)
class Setting:
    help: str = ""  # one phrase, for --help and the documentation
    choices: Sequence | None = None
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    group: str = ""  # heading in --help
    metavar: str | None = None
    flag: str | None = None  # None for the field's name with dashes; "" for no flag
    shown: str | None = None  # the default in --help; None for the field's own; "" for none
    parse: Callable[[str], Any] | None = None  # from text; None for the field's type
    nargs: str | None = None
    changes_training: bool = True  # False for where and how results are shown and saved


def setting(default: Any = dataclasses.MISSING, help: str = "", **about) -> Any:
    """Declares a field of a settings dataclass; keywords as ``Setting`` has them."""
    return dataclasses.field(default=default, metadata={"setting": Setting(help, **about)})


def settings_of(cls: type) -> dict[str, tuple[dataclasses.Field, Setting, tuple[type, ...]]]:
    """Field, description and types of each setting of a dataclass, by name."""
    hints = typing.get_type_hints(cls)
    return {
        field.name: (field, field.metadata["setting"], _kinds(hints[field.name]))
        for field in dataclasses.fields(cls)
        if "setting" in field.metadata
    }


def _kinds(hint: Any) -> tuple[type, ...]:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return tuple(kind for each in typing.get_args(hint) for kind in _kinds(each))
    return (typing.get_origin(hint) or hint,)


_NAMES = {
    type(None): "nothing",
    int: "a whole number",
    float: "a number",
    str: "a text",
    bool: "true or false",
    Path: "a path",
}


_BOUNDS = {
    "minimum": ("at least", operator.ge),
    "above": ("above", operator.gt),
    "maximum": ("at most", operator.le),
    "below": ("below", operator.lt),
}


class CheckedSettings:
    """Base of dataclasses of settings, which are checked and may come from flags."""

    def __post_init__(self) -> None:
        for name, (_, about, kinds) in settings_of(type(self)).items():
            check_setting(about.flag or name, getattr(self, name), about, kinds)

    @classmethod
    def from_flags(cls, namespace: argparse.Namespace) -> typing.Self:
        return cls(**flag_settings(namespace, cls))


def check_setting(name: str, value: Any, about: Setting, kinds: tuple[type, ...]) -> None:
    """Raises a ValueError of one line, with the name and what was expected, for a wrong value."""
    wider = {float: (float, int), Path: (Path, str)}
    allowed = tuple(each for kind in kinds for each in wider.get(kind, (kind,)))
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join(_NAMES.get(kind, kind.__name__) for kind in kinds)
        raise ValueError(f"{name} must be {expected}; received {value!r}")
    if value is None or isinstance(value, bool):
        return
    if about.choices is not None and value not in about.choices:
        choices = ", ".join(map(str, about.choices))
        raise ValueError(f"{name} must be one of {choices}; received {value!r}")
    if isinstance(value, int | float):
        bounds = [(*each, getattr(about, key)) for key, each in _BOUNDS.items()]
        bounds = [each for each in bounds if each[2] is not None]
        if not all(fits(value, bound) for _, fits, bound in bounds):
            expected = " and ".join(f"{words} {bound:g}" for words, _, bound in bounds)
            raise ValueError(f"{name} must be {expected}; received {value}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} must be finite; received {value}")


def add_flags(
    parser: argparse.ArgumentParser,
    cls: type,
    names: Iterable[str] | None = None,
    skip: Iterable[str] = (),
    defaults: Mapping[str, str] | None = None,
    groups: dict | None = None,
) -> dict:
    """Adds a flag for each setting of a dataclass, or for those named; see ``flag_settings``.
    Flags that a user leaves out are absent from the namespace, so that a file of settings may set
    them. ``defaults`` replace the fields' in ``--help``; ``groups`` are those that a call returned.
    """
    groups = {} if groups is None else groups
    for name, (field, about, kinds) in settings_of(cls).items():
        if about.flag == "" or name in skip or (names is not None and name not in names):
            continue
        group = parser
        if about.group:
            if about.group not in groups:
                groups[about.group] = parser.add_argument_group(about.group)
            group = groups[about.group]
        stated = (defaults or {}).get(name, _stated_default(field, about, kinds))
        text = f"{about.help}; default: {stated}" if stated else about.help
        options: dict[str, Any] = {"action": argparse.BooleanOptionalAction}
        if kinds != (bool,):
            kind = next(k for k in (*kinds, str) if k not in (type(None), tuple, list))
            options = {"type": about.parse or kind, "nargs": about.nargs}
            options |= {"metavar": about.metavar, "choices": about.choices}
        group.add_argument(
            _flag(name, about),
            dest=name,
            default=argparse.SUPPRESS,
            help=text.replace("%", "%%"),
            required=field.default is dataclasses.MISSING,
            **options,
        )
    return groups


def flag_settings(namespace: argparse.Namespace, cls: type) -> dict[str, Any]:
    """The settings of a dataclass among parsed flags, by name; without those a user left out."""
    return {name: value for name, value in vars(namespace).items() if name in settings_of(cls)}


def flag_table(cls: type) -> str:
    """The settings as a Markdown table of flag, help and default, for the documentation."""
    rows = [("flag", "what it sets", "default")]
    for name, (field, about, kinds) in settings_of(cls).items():
        if about.flag != "":
            default = _stated_default(field, about, kinds)
            rows.append((f"`{_flag(name, about)}`", about.help, default and f"`{default}`"))
    return markdown_table(rows)


def _flag(name: str, about: Setting) -> str:
    return about.flag or f"--{name.replace('_', '-')}"


def _stated_default(field: dataclasses.Field, about: Setting, kinds: tuple[type, ...]) -> str:
    if about.shown is not None:
        return about.shown
    if field.default in (None, dataclasses.MISSING):
        return ""
    return ("on" if field.default else "off") if kinds == (bool,) else f"{field.default}"


def redeclare(cls: type, name: str, default: Any, **changes) -> Any:
    """Declares a setting of a base class with another default; keywords as ``Setting``'s."""
    about = cls.__dataclass_fields__[name].metadata["setting"]
    return dataclasses.field(
        default=default, metadata={"setting": dataclasses.replace(about, **changes)}
    )
