"""What decides how a run learns, in a form in which runs can be compared and named."""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from panns_tf.config import BESIDES, OVERRIDES, TrainConfig

#: Settings of a run's place, its looks and its seed, which do not tell one experiment from another.
INCIDENTAL = {*BESIDES, "eval_data", "seed", "xla", "damaged", "demo"}
#: The panels of Figure 4 and of Table VI, each with the settings that it compares.
PANELS = {
    "architecture": ("arch",),
    "balancing and augmentation": ("sampling", "mixup", "mixup_alpha", "spec_augment"),
    "embedding size": ("embedding_size",),
    "training data": ("fraction", "data"),
    "sample rate": ("sample_rate",),
    "mel bins": ("mel_bins",),
    "hop size": ("hop",),
}
_SAMPLING = {
    "balanced": "balanced",
    "shuffled": "no balancing",
    "alternate": "alternating",
    "streamed": "streamed",
}
_MIXUP = {"features": "mixup", "waveform": "mixup of waveforms", "none": "no mixup"}
_SHORT = {"embedding_size": "embedding", "learning_rate": "learning rate", "hop": "hop"}


def comparable(config: Mapping, folder: Path) -> dict:
    """Settings of a run such that equal ones are equal, and `Cnn14_emb32` is a `Cnn14`.

    A row of the table of networks that differs from another one in its front end, embedding,
    mixup, SpecAugment or dropout alone becomes that other one with these settings. Frames are in
    milliseconds: networks for other sample rates have the same ones.

    Args:
        config: as ``config.json`` has it.
        folder: of the run; data within it are those of the demo.

    Returns:
        Values by name. ``fmax`` is None where it is the usual one of the sample rate.
    """
    config = {**dataclasses.asdict(TrainConfig()), **config}  # an older run lacks newer settings
    settings = {name: value for name, value in config.items() if name not in INCIDENTAL}
    if settings.get("schedule", "constant") == "constant":
        settings.pop("steps", None)  # how far it goes changes nothing of the way
    for name in ("data", "exclude", "distill"):
        settings[name] = place(settings.get(name), folder)
    overrides = {name: settings.pop(name) for name in OVERRIDES if settings.get(name) is not None}
    for name in OVERRIDES:
        settings.pop(name, None)
    try:
        return settings | _of_network(str(config.get("arch")), settings, overrides)
    except ValueError:  # a network of a later version: as it is written
        return settings | overrides


def place(path: str | None, folder: Path) -> str | None:
    """A path to data, told from others; what lies in a run of the demo is ``"demo"``."""
    if not path:
        return None
    parts = PurePosixPath(str(path).replace("\\", "/")).parts
    return f"demo/{parts[-1]}" if folder.name in parts else "/".join(parts)


def _of_network(arch: str, settings: Mapping, overrides: Mapping) -> dict:
    from panns_tf.models.registry import find

    own = find(arch)
    row, usual = own.override(**overrides), family(own.name)
    frontend, milliseconds = row.frontend, 1000 / row.frontend.sample_rate
    found = {"arch": usual.name, "embedding_size": row.embedding_size}
    found["sample_rate"] = frontend.sample_rate
    if row.inputs != ("waveform",):
        highest = min(usual.frontend.fmax, frontend.sample_rate / 2)
        found |= {
            "mel_bins": frontend.mel_bins,
            "hop": round(frontend.hop_size * milliseconds, 4),
            "window": round(frontend.window_size * milliseconds, 4),
            "fmin": frontend.fmin,
            "fmax": None if frontend.fmax == highest else frontend.fmax,
        }
    if settings.get("mixup") == "features" and row.mixup != usual.mixup:
        found["mixup"] = row.mixup
    if not row.spec_augment:
        found["spec_augment"] = False
    if row.block_dropout != usual.block_dropout:
        found["dropout"] = False
    return found


@cache
def family(name: str):
    """The first network of the table with the same layers."""
    from panns_tf.models.registry import ARCHITECTURES, find

    fields = ("body", "head", "inputs", "widths", "depths", "kernels", "bottleneck", "pool_last")
    wanted = find(name)
    for row in ARCHITECTURES.values():
        if all(getattr(row, field) == getattr(wanted, field) for field in fields):
            return row
    return wanted


def follows_network(name: str, value, arch: str) -> bool:
    """Whether a setting is the network's own, so that another network is no other setting."""
    return name in _network_settings(arch) and _network_settings(arch)[name] == value


@cache
def _network_settings(arch: str) -> dict:
    try:
        own = _of_network(arch, {"mixup": "features"}, {})
    except ValueError:
        return {}
    return {key: value for key, value in own.items() if key not in ("arch", "mixup", "dropout")}


def freeze(settings: Mapping) -> tuple:
    """Settings as a key; those that are the network's own do not count."""
    arch = str(settings.get("arch"))
    return tuple(
        sorted(
            (name, repr(value))
            for name, value in settings.items()
            if value is not None and not follows_network(name, value, arch)
        )
    )


def differing(many: Sequence[Mapping]) -> list[str]:
    """Names of the settings in which some differ, those of Figure 4 first."""
    keys = [dict(freeze(settings)) for settings in many]
    names = {name for key in keys for name in key if len({k.get(name) for k in keys}) > 1}
    order = [name for panel in PANELS.values() for name in panel]
    return sorted(names, key=lambda n: (order.index(n) if n in order else len(order), n))


def panel_of(name: str) -> str:
    """The panel in which a setting is compared; one of its own if Figure 4 has none for it."""
    return next((title for title, names in PANELS.items() if name in names), readable(name))


def readable(name: str) -> str:
    return _SHORT.get(name, name.replace("_", " "))


def order_of(settings: Mapping, names: Iterable[str]) -> tuple:
    """Sorts series: networks as in the table, numbers by size, words by name."""
    key = []
    for name in names:
        value = settings.get(name)
        if name == "arch":
            from panns_tf.models.registry import ARCHITECTURES

            known = list(ARCHITECTURES)
            key.append((0, known.index(value) if value in known else len(known), str(value)))
        elif isinstance(value, (int, float)):
            key.append((1, float(value), ""))
        else:
            key.append((2, 0.0, str(value)))
    return tuple(key)


def describe(settings: Mapping, names: Sequence[str], short_data: Mapping | None = None) -> str:
    """Says what a run's settings of these names are, as a label of its line."""
    alone = len(names) == 1
    said = (_say(name, settings.get(name), alone, short_data or {}) for name in names)
    return ", ".join(filter(None, said)) or str(settings.get("arch"))


def _say(name: str, value, alone: bool, short_data: Mapping) -> str:
    if name in ("sampling", "mixup"):
        return (_SAMPLING if name == "sampling" else _MIXUP).get(value, str(value))
    if name == "fraction":
        return f"{100 * (1.0 if value is None else value):g} % of the clips"
    if name == "sample_rate" and value:
        return f"{value / 1000:g} kHz"
    if name == "hop" and value:
        return f"{'' if alone else 'hop '}{value:g} ms"
    if name == "mel_bins" and value:
        return f"{value} mel bins"
    if name == "data":
        return short_data.get(value, str(value))
    if name == "arch":
        return str(value)
    if isinstance(value, bool):
        label = {"spec_augment": "SpecAugment"}.get(name, readable(name))
        return label if value else f"no {label}"
    text = f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
    return f"{readable(name)} {text}"


def shortest(paths: Iterable[str | None]) -> dict[str | None, str]:
    """For each path its last part, or as many more as tell it from the others."""
    known = sorted({path for path in paths if path})
    short: dict[str | None, str] = {None: "no data"}
    for path in known:
        parts = re.split("/+", path)
        for depth in range(1, len(parts) + 1):
            short[path] = "/".join(parts[-depth:])
            if sum(re.split("/+", other)[-depth:] == parts[-depth:] for other in known) == 1:
                break
    return short


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs with the same settings, which differ in their seed alone."""

    settings: Mapping
    runs: tuple

    @property
    def finished(self) -> tuple:
        """The finished runs; all, if none is."""
        return tuple(run for run in self.runs if run.finished) or self.runs

    @property
    def count(self) -> str:
        """How many seeds `finished` holds, for a label; empty for one run."""
        runs, seeds = len(self.finished), len({run.config.get("seed") for run in self.finished})
        if runs == 1:
            return ""
        return (
            f"{runs} seeds" if seeds == runs else f"{runs} runs of {seeds} seed" + "s" * (seeds > 1)
        )


def group(runs: Iterable) -> list[Group]:
    """Puts runs that differ in nothing but their seed together, in the order of the first."""
    found: dict[tuple, list] = {}
    for run in runs:
        found.setdefault(freeze(run.settings), []).append(run)
    return [Group(members[0].settings, tuple(members)) for members in found.values()]


def names_of(groups: Sequence[Group], names: Sequence[str], data: Mapping) -> list[str]:
    """A name for each group: its settings; where they are of many kinds, what is unusual in it.

    Args:
        groups: told apart.
        names: of the settings in which they differ.
        data: short names of training data, by path.
    """
    if len(names) <= 2 or len({panel_of(name) for name in names}) == 1:
        return [describe(member.settings, names, data) for member in groups]
    apart = [[differing([a.settings, b.settings]) for b in groups] for a in groups]
    centre = min(range(len(groups)), key=lambda i: sum(map(len, apart[i])))
    return [
        describe(member.settings, ["arch", *(n for n in apart[centre][i] if n != "arch")], data)
        for i, member in enumerate(groups)
    ]
