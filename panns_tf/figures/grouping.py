"""Runs grouped by the settings that decide how they learn, and by their held-out data."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from panns_tf.config import NETWORK_SETTINGS, NON_LEARNING_SETTINGS, TrainConfig
from panns_tf.models.registry import ARCHITECTURES, Architecture, find
from panns_tf.run import Run, short_names

#: Settings that do not tell one experiment from another.
INCIDENTAL = {*NON_LEARNING_SETTINGS, "eval_data", "seed", "xla", "damaged", "demo"}
#: The panel of Figure 4 or Table VI in which a setting is compared.
PANELS = {
    "arch": "architecture",
    "sampling": "balancing and augmentation",
    "mixup": "balancing and augmentation",
    "mixup_alpha": "balancing and augmentation",
    "spec_augment": "balancing and augmentation",
    "embedding_size": "embedding size",
    "fraction": "training data",
    "data": "training data",
    "sample_rate": "sample rate",
    "mel_bins": "mel bins",
    "hop": "hop size",
}
#: How values are labelled; others with the setting's name.
_LABELS = {
    "arch": str,
    "sampling": lambda value: {"shuffled": "no balancing"}.get(value, value),
    "mixup": {"features": "mixup", "waveform": "mixup of waveforms", "none": "no mixup"}.get,
    "spec_augment": {True: "SpecAugment", False: "no SpecAugment"}.get,
    "dropout": {True: "dropout", False: "no dropout"}.get,
    "fraction": lambda value: f"{100 * value:g} % of the clips",
    "sample_rate": lambda value: f"{value / 1000:g} kHz",
    "hop": "hop {:g} ms".format,
    "mel_bins": "{} mel bins".format,
    "embedding_size": "embedding {}".format,
}
#: Fields of an architecture that its variants share: networks with the same layers.
_LAYERS = ("backbone", "head", "inputs", "widths", "depths", "kernels", "bottleneck", "pool_last")


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ in their seed alone; ``key`` has the settings that tell them from others."""

    settings: Mapping
    key: Mapping
    runs: tuple[Run, ...]

    @property
    def counted(self) -> tuple[Run, ...]:
        """The finished runs; all, if none is finished."""
        return tuple(run for run in self.runs if run.finished) or self.runs

    @property
    def finished(self) -> bool:
        """Whether what is counted is finished."""
        return self.counted[0].finished

    @property
    def seeds(self) -> str:
        """How many seeds are counted, for a label; empty for one run."""
        runs, seeds = len(self.counted), len({run.config.get("seed") for run in self.counted})
        if runs == 1:
            return ""
        return (
            f"{seeds} seeds"
            if runs == seeds
            else f"{runs} runs of {seeds} seed" + "s" * (seeds > 1)
        )

    @property
    def names(self) -> str:
        """The names of the runs."""
        return ", ".join(run.name for run in self.runs)


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """Groups runs that differ in nothing but their seed, in the order of the first of each."""
    groups: dict[str, Group] = {}
    for run in runs:
        settings, key = comparable_settings(run)
        before = groups.get(repr(key), Group(settings, key, ()))
        groups[repr(key)] = dataclasses.replace(before, runs=(*before.runs, run))
    return list(groups.values())


def comparable_settings(run: Run) -> tuple[dict, dict]:
    """Settings of a run, and those of them that are not the network's own.

    Equal experiments have equal ones. An architecture that differs from another one in its front
    end, embedding, mixup, SpecAugment or dropout alone becomes the other one with these settings:
    `Cnn14_emb32` is `Cnn14` with ``embedding_size`` 32. Frames are in milliseconds, which are the
    same at all sample rates.
    """
    config = {**dataclasses.asdict(TrainConfig()), **run.config}  # an older run lacks newer ones
    settings = {name: value for name, value in config.items() if name not in INCIDENTAL}
    if settings["schedule"] == "constant":
        del settings["steps"]  # how far training goes changes nothing before
    for name in ("data", "exclude", "distill"):
        settings[name] = plain_path(settings[name], run)
    overrides = {name: settings.pop(name) for name in NETWORK_SETTINGS}
    overrides = {name: value for name, value in overrides.items() if value is not None}
    try:
        base = family(config["arch"])
        network = _network_settings(find(config["arch"]).override(**overrides), base)
        own = {**_network_settings(base, base), "arch": None, "mixup": None}
    except ValueError:  # a network of a later version
        network, own = overrides, {}
    if settings["mixup"] != "features":
        network.pop("mixup", None)  # the network's mixup is not used
    settings |= network
    changed = {name: value for name, value in sorted(settings.items()) if own.get(name) != value}
    return settings, changed


def plain_path(path: str | None, run: Run) -> str | None:
    """A path to data, comparable between runs; ``demo/...`` for data within the run."""
    if not path:
        return None
    plain = PurePosixPath(path.replace("\\", "/"))
    return f"demo/{plain.name}" if run.path.name in plain.parts else str(plain)


def family(name: str) -> Architecture:
    """The first architecture of the registry with the same layers."""
    layers = [getattr(find(name), field) for field in _LAYERS]
    return next(
        arch
        for arch in ARCHITECTURES.values()
        if [getattr(arch, field) for field in _LAYERS] == layers
    )


def _network_settings(arch: Architecture, base: Architecture) -> dict:
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


def differing(groups: Sequence[Group]) -> list[str]:
    """Names of the settings in which some groups differ, those of Figure 4 first."""
    names = sorted({name for group in groups for name in group.key})
    names = [name for name in names if len({repr(g.key.get(name)) for g in groups}) > 1]
    return sorted(names, key=lambda name: [*PANELS, name].index(name))


def panel_of(name: str) -> str:
    """The panel in which a setting is compared; its name if there is none."""
    return PANELS.get(name, name.replace("_", " "))


def sort_key(group: Group, names: Iterable[str]) -> tuple:
    """Order of groups: networks as in the registry, numbers by size, words by name."""
    key = []
    for name in names:
        value = group.settings.get(name)
        if value in ARCHITECTURES:
            value = list(ARCHITECTURES).index(value)
        key.append((value if isinstance(value, int | float) else math.inf, str(value)))
    return tuple(key)


def label_groups(groups: Sequence[Group], names: Sequence[str]) -> list[str]:
    """A label for each group: the settings in which they differ; of many kinds, the unusual."""
    data = sorted({group.settings.get("data") or "no data" for group in groups})
    short = dict(zip(data, short_names([Path(path) for path in data]), strict=True))
    if len({panel_of(name) for name in names}) == 1 or len(names) <= 2:
        return [_label(group, names, short) for group in groups]
    apart = [[differing([one, other]) for other in groups] for one in groups]
    unusual = min(apart, key=lambda others: sum(map(len, others)))
    return [
        _label(group, dict.fromkeys(["arch", *settings]), short)
        for group, settings in zip(groups, unusual, strict=True)
    ]


def _label(group: Group, names: Iterable[str], short_data: Mapping[str, str]) -> str:
    words = []
    for name in names:
        value = group.settings.get(name)
        if name == "data":
            words.append(short_data[value or "no data"])
        elif value is not None and name in _LABELS:
            words.append(_LABELS[name](value))
        else:
            text = f"{value:g}" if isinstance(value, float) else str(value).lower()
            words.append(f"{name.replace('_', ' ')} {text}")
    return ", ".join(words) or group.settings["arch"]


def describe_data(run: Run) -> str:
    """Held-out data and classes of a run, for a title."""
    folder, clips, _ = held_out(run)
    clips = f", {clips:,.0f} clips" if clips else ""
    return f"{'/'.join(folder.split('/')[-2:])} ({len(run.labels)} classes{clips})"


def held_out(run: Run) -> tuple[str, int | None, float | None]:
    """Folder, clips and chance mAP of a run's held-out data, None for what it does not state."""
    last = next((line for line in reversed(run.lines) if "mAP" in line), {})
    folder = plain_path(run.config.get("eval_data"), run) or "none"
    return folder, last.get("num_clips"), last.get("chance_mAP")


def partition(runs: Sequence[Run], evaluated: bool = True) -> list[list[Run]]:
    """Sets of runs that may share a panel, the largest first.

    They have the same classes, and if ``evaluated`` the same held-out data: folders of the same
    name and numbers are taken for copies.
    """
    sets: list[list[Run]] = []
    for run in runs:
        folder, *numbers = held_out(run)
        for members in sets:
            other, *others = held_out(members[0])
            same = folder.split("/")[-1] == other.split("/")[-1] and all(
                None in pair or math.isclose(*pair) for pair in zip(numbers, others, strict=True)
            )
            if set(run.labels) == set(members[0].labels) and (same or not evaluated):
                members.append(run)
                break
        else:
            sets.append([run])
    return sorted(sets, key=len, reverse=True)
