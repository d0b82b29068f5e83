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
#: The panel of Figure 4 or Table VI in which a setting is compared, in their order.
PANELS = {
    "arch": "architecture",
    **dict.fromkeys(("sampling", "mixup", "mixup_alpha"), "balancing and augmentation"),
    "spec_augment": "balancing and augmentation",
    "embedding_size": "embedding size",
    **dict.fromkeys(("fraction", "data"), "training data"),
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
        counted = f"{seeds} seeds" if runs == seeds else f"{runs} runs"  # copies are no seeds
        return counted if runs > 1 else ""

    @property
    def names(self) -> str:
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


def in_order(groups: Sequence[Group]) -> list[Group]:
    """Groups by the settings in which they differ: networks as in the registry, numbers by size."""
    names, networks = differing(groups), list(ARCHITECTURES)

    def key(group: Group) -> list[tuple]:
        values = [group.settings.get(name) for name in names]
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
        ", ".join(word(name, group.settings.get(name)) for name in each)
        for group, each in zip(groups, stated, strict=True)
    ]


def describe_data(run: Run) -> str:
    """Held-out data and classes of a run, for a title."""
    folder, clips = plain_path(run.config.get("eval_data"), run) or "none", held_out(run)[1]
    counted = f", {clips:,.0f} clips" if clips else ""
    return f"{'/'.join(folder.split('/')[-2:])} ({len(run.labels)} classes{counted})"


def held_out(run: Run) -> tuple:
    """Folder's name, clips and chance mAP of held-out data; None for what is not stated."""
    last = next((line for line in reversed(run.lines) if "mAP" in line), {})
    folder = (plain_path(run.config.get("eval_data"), run) or "none").split("/")[-1]
    chance = last.get("chance_mAP")
    return folder, last.get("num_clips"), chance and round(chance, 9)


def partition(runs: Sequence[Run], evaluated: bool = True) -> list[list[Run]]:
    """Sets of runs of the same classes, and if ``evaluated`` held-out data, the largest first.

    Folders of the same name and numbers are taken for copies.
    """
    sets: list[list[Run]] = []
    for run in runs:
        for members in sets:
            pairs = list(zip(held_out(run), held_out(members[0]), strict=True))
            same = all(a == b for a, b in pairs if None not in (a, b)) or not evaluated
            if same and set(run.labels) == set(members[0].labels):
                members.append(run)
                break
        else:
            sets.append([run])
    return sorted(sets, key=len, reverse=True)
