"""Runs grouped by the settings that decide how they learn, with labels for legends."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

from panns_tf.config import NETWORK_SETTINGS, NON_LEARNING_SETTINGS, TrainConfig
from panns_tf.models.registry import ARCHITECTURES, Architecture, find
from panns_tf.run import Run, short_names

#: Settings that do not tell one experiment from another.
INCIDENTAL = {*NON_LEARNING_SETTINGS, "eval_data", "seed", "xla", "damaged", "demo"}
#: The panels of Figure 4 and Table VI, each with the settings that it compares.
PANELS = {
    "architecture": ("arch",),
    "balancing and augmentation": ("sampling", "mixup", "mixup_alpha", "spec_augment"),
    "embedding size": ("embedding_size",),
    "training data": ("fraction", "data"),
    "sample rate": ("sample_rate",),
    "mel bins": ("mel_bins",),
    "hop size": ("hop",),
}
_WORDS = {
    "sampling": {"shuffled": "no balancing", "alternate": "alternating"},
    "mixup": {"features": "mixup", "waveform": "mixup of waveforms", "none": "no mixup"},
    "spec_augment": {False: "no SpecAugment", True: "SpecAugment"},
    "dropout": {False: "no dropout", True: "dropout"},
}
_FORMATS = {
    "arch": str,
    "sampling": str,
    "fraction": lambda value: f"{100 * value:g} % of the clips",
    "sample_rate": lambda value: f"{value / 1000:g} kHz",
    "hop": lambda value: f"hop {value:g} ms",
    "mel_bins": lambda value: f"{value} mel bins",
    "embedding_size": lambda value: f"embedding {value}",
}
#: Fields of an architecture that its variants share: networks with the same layers.
_LAYERS = ("backbone", "head", "inputs", "widths", "depths", "kernels", "bottleneck", "pool_last")


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone.

    Attributes:
        settings: of the runs, by name.
        key: the settings that are not the network's own and not None; equal for equal runs.
        runs: one or more.
    """

    settings: Mapping
    key: Mapping
    runs: tuple[Run, ...]

    @property
    def counted(self) -> tuple[Run, ...]:
        """The finished runs; all, if none is finished."""
        return tuple(run for run in self.runs if run.finished) or self.runs

    @property
    def seeds(self) -> str:
        """How many seeds are counted, for a label; empty for one run."""
        runs, seeds = len(self.counted), len({run.config.get("seed") for run in self.counted})
        if runs == 1:
            return ""
        if runs == seeds:
            return f"{seeds} seeds"
        return f"{runs} runs of {seeds} seed" + "s" * (seeds > 1)

    def describe(self, label: str) -> str:
        """A label with the number of seeds, and how far the runs are if none is finished."""
        remarks = [self.seeds] if self.seeds else []
        if not self.counted[0].finished:
            step = max(run.step for run in self.counted)
            steps = self.counted[0].config.get("steps")
            remarks.append(f"unfinished, {100 * step / steps:.0f} %" if steps else "unfinished")
        return f"{label} ({', '.join(remarks)})" if remarks else label

    @property
    def names(self) -> str:
        """The names of the runs."""
        return ", ".join(run.name for run in self.runs)


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """Groups runs that differ in nothing but their seed, in the order of the first of each."""
    groups: dict[str, list] = {}
    for run in runs:
        settings = comparable_settings(run.config, run.path)
        own = _own_settings(str(settings["arch"]))
        key = {
            name: value
            for name, value in sorted(settings.items())
            if value is not None and own.get(name, None) != value
        }
        groups.setdefault(repr(key), []).append((settings, key, run))
    return [
        Group(members[0][0], members[0][1], tuple(run for *_, run in members))
        for members in groups.values()
    ]


def comparable_settings(config: Mapping, folder: Path) -> dict:
    """Settings of a run such that equal experiments have equal ones.

    An architecture that differs from another one in its front end, embedding, mixup, SpecAugment
    or dropout alone becomes the other one with these settings: `Cnn14_emb32` is `Cnn14` with
    ``embedding_size`` 32. Frames are in milliseconds, which are the same at all sample rates.

    Args:
        config: of ``config.json``.
        folder: of the run; data within it are those of the demo.
    """
    config = {**dataclasses.asdict(TrainConfig()), **config}  # an older run lacks newer settings
    settings = {name: value for name, value in config.items() if name not in INCIDENTAL}
    if settings.get("schedule") == "constant":
        settings.pop("steps")  # how far training goes changes nothing before
    for name in ("data", "exclude", "distill"):
        settings[name] = plain_path(settings.get(name), folder)
    overrides = {name: settings.pop(name, None) for name in NETWORK_SETTINGS}
    overrides = {name: value for name, value in overrides.items() if value is not None}
    try:
        network = _network_settings(str(config["arch"]), overrides)
    except ValueError:  # a network of a later version
        return settings | overrides
    if settings["mixup"] != "features":
        del network["mixup"]  # the network's mixup is not used
    return settings | network


def plain_path(path: str | None, folder: Path) -> str | None:
    """A path to data, comparable between runs; ``"demo/..."`` for data within a run."""
    if not path:
        return None
    parts = PurePosixPath(str(path).replace("\\", "/")).parts
    return f"demo/{parts[-1]}" if folder.name in parts else "/".join(parts).replace("//", "/")


def _network_settings(name: str, overrides: Mapping) -> dict:
    arch, base = find(name).override(**overrides), family(find(name).name)
    frontend, milliseconds = arch.frontend, 1000 / arch.frontend.sample_rate
    settings = {
        "arch": base.name,
        "embedding_size": arch.embedding_size,
        "sample_rate": frontend.sample_rate,
        "mixup": arch.mixup if arch.mixup != base.mixup else "features",
        "spec_augment": None if arch.spec_augment else False,
        "dropout": None if arch.block_dropout == base.block_dropout else False,
    }
    if arch.inputs != ("waveform",):
        usual_fmax = min(base.frontend.fmax, frontend.sample_rate / 2)
        settings |= {
            "mel_bins": frontend.mel_bins,
            "hop": round(frontend.hop_size * milliseconds, 4),
            "window": round(frontend.window_size * milliseconds, 4),
            "fmin": frontend.fmin,
            "fmax": None if frontend.fmax == usual_fmax else frontend.fmax,
        }
    # None: as the run's own switch says.
    return {name: value for name, value in settings.items() if value is not None}


@cache
def family(name: str) -> Architecture:
    """The first architecture of the registry with the same layers."""
    wanted = find(name)
    for arch in ARCHITECTURES.values():
        if all(getattr(arch, field) == getattr(wanted, field) for field in _LAYERS):
            return arch
    return wanted


@cache
def _own_settings(arch: str) -> Mapping:
    """Settings that belong to a network, so that another network is not another setting."""
    try:
        settings = _network_settings(arch, {})
    except ValueError:
        return {}
    return {key: value for key, value in settings.items() if key not in ("arch", "mixup")}


def differing(groups: Sequence[Group]) -> list[str]:
    """Names of the settings in which some groups differ, those of Figure 4 first."""
    every = {name for group in groups for name in group.key}
    names = [name for name in every if len({repr(g.key.get(name)) for g in groups}) > 1]
    order = [name for panel in PANELS.values() for name in panel]
    return sorted(names, key=lambda n: (order.index(n) if n in order else len(order), n))


def panel_of(name: str) -> str:
    """The panel of Figure 4 in which a setting is compared; its name if there is none."""
    return next((p for p, names in PANELS.items() if name in names), name.replace("_", " "))


def sort_key(group: Group, names: Iterable[str]) -> tuple:
    """Order of groups: networks as in the registry, numbers by size, words by name."""
    key = []
    for name in names:
        value = group.settings.get(name)
        if name == "arch":
            known = list(ARCHITECTURES)
            key.append((0, known.index(value) if value in known else len(known), str(value)))
        elif isinstance(value, int | float):
            key.append((1, float(value), ""))
        else:
            key.append((2, 0.0, str(value)))
    return tuple(key)


def label_groups(groups: Sequence[Group], names: Sequence[str]) -> list[str]:
    """A label for each group: its settings; of many kinds, only those unusual among the groups.

    Args:
        groups: to be told apart.
        names: the settings in which they differ.
    """
    data = sorted({group.settings.get("data") or "no data" for group in groups})
    short = dict(zip(data, short_names([Path(path) for path in data]), strict=True))
    if len(names) <= 2 or len({panel_of(name) for name in names}) == 1:
        return [_label(group, names, short) for group in groups]
    apart = [[differing([one, other]) for other in groups] for one in groups]
    centre = min(range(len(groups)), key=lambda i: sum(map(len, apart[i])))
    return [
        _label(group, ["arch", *(name for name in unusual if name != "arch")], short)
        for group, unusual in zip(groups, apart[centre], strict=True)
    ]


def _label(group: Group, names: Sequence[str], short_data: Mapping[str, str]) -> str:
    words = []
    for name in names:
        value = group.settings.get(name)
        if name == "data":
            words.append(short_data[value or "no data"])
        elif value in _WORDS.get(name, ()):
            words.append(_WORDS[name][value])
        elif value is not None and name in _FORMATS:
            words.append(_FORMATS[name](value))
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value).lower()
            words.append(f"{name.replace('_', ' ')} {text}")
    return ", ".join(words) or str(group.settings.get("arch"))
