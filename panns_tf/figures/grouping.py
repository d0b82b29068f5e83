"""Runs grouped by the settings that decide how they learn, and by their held-out data."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from panns_tf.config import NETWORK_SETTINGS, NON_LEARNING_SETTINGS, TrainConfig
from panns_tf.models.registry import ARCHITECTURES
from panns_tf.run import Run, short_names

#: Settings that do not tell one experiment from another.
INCIDENTAL = {*NON_LEARNING_SETTINGS, "eval_data", "seed", "xla", "damaged", "demo"}
#: The panel of Figure 4 or Table VI in which a setting is compared, in their order.
PANELS = {
    "arch": "architecture",
    **dict.fromkeys(("sampling", "mixup", "mixup_alpha"), "balancing and augmentation"),
    "spec_augment": "balancing and augmentation",
    "embedding_size": "embedding size",
    **dict.fromkeys(("fraction", "data"), "training data"),
    # A sample rate comes with a window and a hop of its own.
    **dict.fromkeys(("sample_rate", "window_size", "hop_size"), "sample rate and hop size"),
    **dict.fromkeys(("fmin", "fmax"), "sample rate and hop size"),
    "mel_bins": "mel bins",
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
    "mel_bins": "{} mel bins".format,
    "embedding_size": "embedding {}".format,
}


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs with the same `settings_of_run`, which differ in their seed alone."""

    settings: Mapping
    runs: tuple[Run, ...]

    @property
    def counted(self) -> tuple[Run, ...]:
        """The finished runs; all, if none is finished."""
        return tuple(run for run in self.runs if run.finished) or self.runs

    @property
    def finished(self) -> bool:
        return self.counted[0].finished

    @property
    def seeds(self) -> str:
        """How many seeds are counted, for a label; empty for one run."""
        runs, seeds = len(self.counted), len({run.config.get("seed") for run in self.counted})
        counted = f"{seeds} seeds" if runs == seeds else f"{runs} runs"  # copies are no seeds
        return counted if runs > 1 else ""

    @property
    def names(self) -> str:
        return ", ".join(run.name for run in self.runs)

    def value(self, name: str) -> object:
        """A setting; where a run does not change its network, what the network has."""
        value = self.settings.get(name)
        return _of_network(self.settings["arch"], name) if value is None else value


def group_runs(runs: Iterable[Run]) -> list[Group]:
    """Groups runs that differ in nothing but their seed, in the order of the first of each."""
    groups: dict[str, Group] = {}
    for run in runs:
        settings = settings_of_run(run)
        before = groups.get(repr(settings), Group(settings, ()))
        groups[repr(settings)] = Group(settings, (*before.runs, run))
    return list(groups.values())


def settings_of_run(run: Run) -> dict:
    """The settings by which a run may learn otherwise than another; None as the network has it."""
    config = {**dataclasses.asdict(TrainConfig()), **run.config}  # an older run lacks newer ones
    settings = {name: config[name] for name in sorted(config) if name not in INCIDENTAL}
    if settings["schedule"] == "constant":
        del settings["steps"]  # how far training goes changes nothing before
    for name in ("data", "exclude", "distill"):
        settings[name] = plain_path(settings[name], run)
    for name in NETWORK_SETTINGS:
        if settings[name] == _of_network(settings["arch"], name):
            settings[name] = None
    return settings


def _of_network(name: str, setting: str) -> object:
    """A setting of a network or of its front end; None if it has no such one, or is not known."""
    arch = ARCHITECTURES.get(name) if setting in NETWORK_SETTINGS else None
    return arch and getattr(arch.frontend, setting, getattr(arch, setting, None))


def plain_path(path: str | None, run: Run) -> str | None:
    """A path to data, comparable between runs; ``demo/...`` for data within the run."""
    if not path:
        return None
    plain = PurePosixPath(path.replace("\\", "/"))
    return f"demo/{plain.name}" if run.path.name in plain.parts else str(plain)


def differing(groups: Sequence[Group]) -> list[str]:
    """Names of the settings in which some groups differ, those of Figure 4 first."""
    names = sorted({name for group in groups for name in group.settings})
    names = [name for name in names if len({repr(g.settings.get(name)) for g in groups}) > 1]
    return sorted(names, key=lambda name: [*PANELS, name].index(name))


def panel_of(name: str) -> str:
    """The panel in which a setting is compared; its name if there is none."""
    return PANELS.get(name, name.replace("_", " "))


def in_order(groups: Sequence[Group]) -> list[Group]:
    """Groups by the settings in which they differ: networks as in the registry, numbers by size."""
    names, networks = differing(groups), list(ARCHITECTURES)

    def key(group: Group) -> list[tuple]:
        values = map(group.value, names)
        values = [networks.index(value) if value in networks else value for value in values]
        return [(x if isinstance(x, int | float) else math.inf, str(x)) for x in values]

    return sorted(groups, key=key)


def label_groups(groups: Sequence[Group], always: Sequence[str] = ()) -> list[str]:
    """A label for each group: the settings in which they differ; of many kinds, the unusual."""
    names = list(dict.fromkeys([*always, *differing(groups)]))
    data = sorted({group.settings.get("data") or "no data" for group in groups})
    short = dict(zip(data, short_names([Path(path) for path in data]), strict=True))

    def word(name: str, value: object) -> str:
        if name == "data":
            return short[value or "no data"]
        if value is not None and name in _LABELS:
            return _LABELS[name](value)
        text = f"{value:g}" if isinstance(value, float) else str(value).lower()
        return f"{name.replace('_', ' ')} {text}"

    stated = [names or ["arch"]] * len(groups)
    if len({panel_of(name) for name in names}) > 1 and len(names) > 2:
        apart = [[differing([one, other]) for other in groups] for one in groups]
        unusual = min(apart, key=lambda others: sum(map(len, others)))
        stated = [dict.fromkeys(["arch", *settings]) for settings in unusual]
    return [
        ", ".join(word(name, group.value(name)) for name in each)
        for group, each in zip(groups, stated, strict=True)
    ]


def held_out(run: Run) -> tuple[str, int | None]:
    """The folder of held-out data, and its clips, None before the first evaluation."""
    clips = [line["num_clips"] for line in run.lines if line.get("num_clips")]
    return plain_path(run.config.get("eval_data"), run) or "none", clips[-1] if clips else None


def describe_data(run: Run) -> str:
    """Held-out data and classes of a run, for a title."""
    folder, clips = held_out(run)
    counted = f", {clips:,.0f} clips" if clips else ""
    return f"{'/'.join(folder.split('/')[-2:])} ({len(run.labels)} classes{counted})"


def partition(runs: Sequence[Run], evaluated: bool = True) -> list[list[Run]]:
    """Sets of runs of the same classes, and if ``evaluated`` held-out data, the largest first."""
    sets: dict[tuple, list[Run]] = {}
    for run in runs:
        folder, clips = held_out(run)
        data = (folder.split("/")[-1], clips) if evaluated else ()  # wherever the folder lies
        sets.setdefault((data, frozenset(run.labels)), []).append(run)
    return sorted(sets.values(), key=len, reverse=True)
