"""Learning curves beside those of the PyTorch reference: same records, seeds, recipe and steps.

    pip install torch==2.13.0 librosa matplotlib
    git clone https://github.com/qiuqiangkong/audioset_tagging_cnn
    git clone https://github.com/qiuqiangkong/torchlibrosa
    python benchmarks/learning_curves.py --reference audioset_tagging_cnn \\
        --torchlibrosa torchlibrosa --esc10 FOLDER --output docs/learning_curves [--work WORK]

FOLDER holds ESC-10 in ESC-50's layout: `meta/esc50.csv` and `audio/`. Folds 1 to 4 are trained on,
fold 5 is held out. Ours is `train.py` as anyone runs it; theirs is the reference's network with its
own loss, mixup and Adam. For one seed both draw the same clips in the same batches with the same
mixup weights; the first weights, dropout and SpecAugment come from two random generators, which is
why there are several seeds.

Prints the final held-out mAP and accuracy of every run as a Markdown table, whether the ranges
overlap, and an exact permutation test; writes `learning_curves.png`, `.svg`, `.csv` and `.json`
into --output. Of two implementations that train alike the ranges overlap as a rule, and p is at
most 0.05 one time in twenty. With --work the same command goes on after a kill, and draws again
what is done. About two hours with the defaults on two CPU cores.
"""

import argparse
import contextlib
import csv
import dataclasses
import importlib.util
import itertools
import json
import math
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from common import ROOT, print_table

from panns_tf import commands
from tfrecords.quiet import import_tensorflow_quietly

OURS, THEIRS = "ours", "reference"
NAMES = {OURS: "panns_tf", THEIRS: "PyTorch reference"}
#: Losses are averaged over so many steps; every figure of a batch by itself is mostly noise.
LOG_STEPS = 5
#: Logged losses in a moving average, before the two curves are compared.
SMOOTHED = 5
LEVEL = 0.05
#: Mid-tones, which can be told from white paper and from a dark page; also by the colour-blind.
COLOURS = {OURS: "#2f83d0", THEIRS: "#e07b1f"}
AXES_COLOUR = "#808080"


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What both sides do; runs in one work folder share it."""

    network: str
    clip_seconds: float
    steps: int
    batch_size: int
    learning_rate: float
    mixup: str
    dropout: bool
    spec_augment: bool
    eval_steps: int

    @property
    def clips_per_step(self) -> int:
        return self.batch_size * (1 if self.mixup == "none" else 2)


@dataclasses.dataclass(frozen=True)
class Run:
    """What one training gave: losses and held-out mAP by step, and how it ended."""

    side: str
    seed: int
    loss: dict[int, float]
    mean_ap: dict[int, float]
    accuracy: float
    chance: float

    @property
    def final_map(self) -> float:
        return self.mean_ap[max(self.mean_ap)]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--reference", type=Path, required=True, metavar="DIR")
    add("--torchlibrosa", type=Path, metavar="DIR", help="default: where it is installed")
    add("--esc10", type=Path, required=True, metavar="DIR", help="meta/esc50.csv and audio/")
    add("--output", type=Path, required=True, metavar="DIR", help="for the figure and the numbers")
    add("--work", type=Path, metavar="DIR", help="keeps records and runs; default: a temporary one")
    add("--network", default="Cnn6")
    add("--seeds", type=int, default=5, help="how many, from 0; default 5")
    add("--steps", type=int, default=200)
    add("--batch-size", type=int, default=16, help="clips a step, after mixing; default 16")
    add("--learning-rate", type=float, default=1e-3, help="default 1e-3, the paper's")
    add("--clip-seconds", type=float, default=2.0)
    add("--mixup", choices=("features", "none"), default="features")
    add("--no-dropout", dest="dropout", action="store_false", help="on both sides")
    add("--no-spec-augment", dest="spec_augment", action="store_false", help="on both sides")
    add("--eval-steps", type=int, default=20, help="steps between evaluations; default 20")
    add("--torch-run", type=int, help=argparse.SUPPRESS)  # one run of the reference, as a process
    options = parser.parse_args(arguments)
    for name in ("seeds", "steps", "batch_size", "learning_rate", "clip_seconds", "eval_steps"):
        if not getattr(options, name) > 0:
            flag = f"--{name.replace('_', '-')}"
            parser.error(f"{flag} must be above 0; received {getattr(options, name)}")
    return options


def recipe_of(options: argparse.Namespace) -> Recipe:
    """The recipe that the command line asks for, with the network's full name."""
    from panns_tf.models import find

    fields = {field.name: getattr(options, field.name) for field in dataclasses.fields(Recipe)}
    return Recipe(**{**fields, "network": find(options.network).name})


def check(options: argparse.Namespace) -> None:
    """Finds what is missing before hours of training."""
    for package in ("torch", "librosa", "matplotlib"):
        if importlib.util.find_spec(package) is None:
            raise ValueError(f"{package} is not installed: pip install {package}")
    if options.torchlibrosa is None and importlib.util.find_spec("torchlibrosa") is None:
        raise ValueError("torchlibrosa is not installed: give its clone as --torchlibrosa")
    for path in (
        options.reference / "pytorch/models.py",
        options.esc10 / "meta/esc50.csv",
        *([options.torchlibrosa / "torchlibrosa/stft.py"] if options.torchlibrosa else []),
    ):
        if not path.is_file():
            raise ValueError(f"there is no {path}")
    if f"class {recipe_of(options).network}(" not in Path(
        options.reference, "pytorch/models.py"
    ).read_text(encoding="utf-8"):
        raise ValueError(f"the reference has no network {options.network}")


@contextlib.contextmanager
def work_folder(options: argparse.Namespace) -> Iterator[Path]:
    """The folder for records and runs, which must be of one recipe."""
    if options.work is None:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
        return
    work, recipe = options.work.resolve(), dataclasses.asdict(recipe_of(options))
    work.mkdir(parents=True, exist_ok=True)
    path = work / "recipe.json"
    if path.is_file():
        before = json.loads(path.read_text())
        changed = [
            f"{name} {before.get(name)}, not {value}"
            for name, value in recipe.items()
            if before.get(name) != value
        ]
        if changed:
            raise ValueError(f"{work} holds runs with {'; '.join(changed)}; choose another --work")
    write_json(path, recipe)
    yield work


def write_json(path: Path, content: dict) -> None:
    """Writes a file, whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)


def pack(esc10: Path, work: Path, recipe: Recipe) -> None:
    """Packs folds 1 to 4 as `train` and fold 5 as `eval`, at the network's sample rate."""
    from panns_tf.models import find
    from tfrecords.pack import pack_clips
    from tfrecords.settings import PackSettings

    for split, folds in (("train", "1234"), ("eval", "5")):
        settings = PackSettings(
            esc10 / "meta/esc50.csv",
            esc10 / "audio",
            work / split,
            split=split,
            folds=tuple(folds),
            sample_rate=find(recipe.network).frontend.sample_rate,
            clip_seconds=recipe.clip_seconds,
        )
        report = pack_clips(settings, progress=False)
        if report.rejected_clips:
            raise ValueError(f"{split}: not every clip could be packed: {report.rejected}")


def train_all(
    options: argparse.Namespace, arguments: Sequence[str], work: Path, recipe: Recipe
) -> list[Run]:
    """Every run that is not there yet, seed by seed, so that what is done are pairs."""
    runs = []
    for seed in range(options.seeds):
        ours_run(work, recipe, seed)
        runs.append(read_ours(work, seed))
        say(runs[-1])
        result = torch_result(work, seed)
        if not result.is_file():
            words = [__file__, *arguments, "--torch-run", str(seed), "--work", str(work)]
            process(words, work / f"reference-{seed}.log")
        runs.append(read_theirs(result, seed))
        say(runs[-1])
    return runs


def say(run: Run) -> None:
    """Tells the person who waits how a run ended."""
    print(
        f"{run.side}, seed {run.seed}: held-out mAP {run.final_map:.4f}, "
        f"accuracy {run.accuracy:.1%}",
        file=sys.stderr,
        flush=True,
    )


def process(words: Sequence[str], log: Path) -> None:
    """Runs a script of Python with its output in a file; of a failure says the last line."""
    with log.open("w") as file:
        done = subprocess.run([sys.executable, *words], stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        lines = log.read_text(errors="replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "no output")
        raise ValueError(f"{Path(words[0]).name} ended with {done.returncode}: {last}")


def ours_run(work: Path, recipe: Recipe, seed: int) -> None:
    """Trains and evaluates with this project's commands, from where an earlier run was cut."""
    folder = work / f"ours-{seed}"
    if not (folder / "final.keras").is_file():
        words = [f"{ROOT}/train.py", "--run-dir", str(folder)]
        begun = (folder / "config.json").is_file()
        words += ["--resume"] if begun else train_flags(work, recipe, seed)
        process(words, work / f"ours-{seed}.log")
    if not (folder / "held_out/metrics.json").is_file():
        words = [f"{ROOT}/evaluate.py", "--model", str(folder / "final.keras")]
        words += ["--data", str(work / "eval"), "--output", str(folder / "held_out")]
        process(words, work / f"ours-{seed}-evaluation.log")


def train_flags(work: Path, recipe: Recipe, seed: int) -> list[str]:
    """A new run's flags."""
    flags = {
        "arch": recipe.network,
        "data": work / "train",
        "eval-data": work / "eval",
        "steps": recipe.steps,
        "batch-size": recipe.batch_size,
        "learning-rate": recipe.learning_rate,
        "sampling": "balanced",
        "mixup": recipe.mixup,
        "seed": seed,
        "eval-steps": recipe.eval_steps,
        "log-steps": LOG_STEPS,
        "checkpoint-minutes": 3,
    }
    words = [f"--{name}={value}" for name, value in flags.items()]
    words.append("--dropout" if recipe.dropout else "--no-dropout")
    words.append("--spec-augment" if recipe.spec_augment else "--no-spec-augment")
    return words


def read_ours(work: Path, seed: int) -> Run:
    """A finished run of `train.py` and `evaluate.py`."""
    folder = work / f"ours-{seed}"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    final = json.loads((folder / "held_out/metrics.json").read_text())
    return Run(
        OURS,
        seed,
        {line["step"]: line["loss"] for line in lines if "loss" in line},
        {line["step"]: line["mAP"] for line in lines if "mAP" in line},
        final["accuracy"],
        final["chance_mAP"],
    )


def torch_result(work: Path, seed: int) -> Path:
    return work / f"reference-{seed}.json"


def read_theirs(path: Path, seed: int) -> Run:
    """A finished run of the reference."""
    found = json.loads(path.read_text())
    loss, mean_ap = (
        {int(step): value for step, value in found[name].items()} for name in ("loss", "mAP")
    )
    return Run(THEIRS, seed, loss, mean_ap, found["accuracy"], found["chance_mAP"])


def torch_run(options: argparse.Namespace, recipe: Recipe, seed: int) -> None:
    """Trains the reference's network and writes its curves."""
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # TensorFlow only reads records here
    import torch
    from torch.nn import functional
    from tqdm import tqdm

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network, mix = reference_network(options, recipe, seed)
    network.to(device)
    optimizer = torch.optim.Adam(
        network.parameters(),
        lr=recipe.learning_rate,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0.0,
        amsgrad=True,
    )
    began, losses, result = time.monotonic(), [], {"loss": {}, "mAP": {}}
    batches = itertools.islice(torch_batches(options.work, recipe, seed), recipe.steps)
    bar = tqdm(batches, total=recipe.steps, unit="step", desc="reference", mininterval=5)
    for step, batch in enumerate(bar, start=1):
        waveform, target, weight = (None if x is None else x.to(device) for x in batch)
        network.train()
        output = network(waveform, weight)["clipwise_output"]
        if weight is not None:
            target = mix(target, weight)
        loss = functional.binary_cross_entropy(output, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        last = step == recipe.steps
        if step % LOG_STEPS == 0 or last:
            result["loss"][step] = float(torch.stack(losses).mean())
            losses.clear()
        if step % recipe.eval_steps == 0 or last:
            values = torch_evaluation(network, options.work, recipe, device)
            result["mAP"][step] = values["mAP"]
            result |= {name: values[name] for name in ("accuracy", "chance_mAP")}
    result["seconds"] = time.monotonic() - began
    write_json(torch_result(options.work, seed), result)


def reference_network(options: argparse.Namespace, recipe: Recipe, seed: int) -> tuple:
    """The reference's network with its own first weights, and its `do_mixup`."""
    import torch

    from panns_tf.models import find
    from tfrecords import load_index

    if options.torchlibrosa:
        sys.path.insert(0, str(options.torchlibrosa.resolve()))
    sys.path.insert(0, str(options.reference.resolve() / "pytorch"))
    import models
    from pytorch_utils import do_mixup

    frontend = find(recipe.network).frontend
    names = ("sample_rate", "window_size", "hop_size", "mel_bins", "fmin", "fmax")
    classes = load_index(options.work / "train").info.num_classes
    torch.manual_seed(seed)
    network = getattr(models, recipe.network)(
        **{name: getattr(frontend, name) for name in names}, classes_num=classes
    )
    if not recipe.dropout:  # the reference has no switch for either
        torch.nn.functional.dropout = lambda x, *arguments, **named: x
    if not recipe.spec_augment:
        network.spec_augmenter = torch.nn.Identity()
    return network, do_mixup


def torch_batches(work: Path, recipe: Recipe, seed: int) -> Iterator[tuple]:
    """The batches of `train.py`: waveforms, targets, mixup weights or None."""
    import torch

    from panns_tf.layers import MixupLambda
    from tfrecords import dataset

    clips, weights = recipe.clips_per_step, MixupLambda(seed)
    for batch in dataset(work / "train", batch_size=clips, sampling="balanced", seed=seed):
        weight = None
        if recipe.mixup != "none":
            weight = torch.from_numpy(weights.draw(recipe.batch_size))
        yield torch_waveform(batch), torch.from_numpy(batch["target"].numpy().copy()), weight


def torch_waveform(batch: dict):
    """Stored samples as a float32 tensor in [-1, 1]."""
    import torch

    return torch.from_numpy(batch["waveform"].numpy().astype("float32") / np.float32(32767))


def torch_evaluation(network, work: Path, recipe: Recipe, device) -> dict[str, float]:
    """The metrics of this project for the reference's network, on every held-out clip."""
    import torch

    from panns_tf import metrics
    from tfrecords import dataset

    network.eval()
    targets, scores = [], []
    with torch.no_grad():
        for batch in dataset(work / "eval", batch_size=recipe.batch_size):
            output = network(torch_waveform(batch).to(device))["clipwise_output"]
            scores.append(output.cpu().numpy())
            targets.append(batch["target"].numpy())
    target, score = np.concatenate(targets), np.concatenate(scores)
    right = score.argmax(axis=1) == target.argmax(axis=1)
    return {**metrics.summarise(target, score).as_dict(), "accuracy": float(right.mean())}


def permutation_test(first: Sequence[float], second: Sequence[float]) -> tuple[float, int]:
    """Two-sided exact test of the difference of two means.

    Returns:
        p, the share of all splits of the pooled values whose means lie as far apart as those of
        the two groups or farther; and the number of splits.
    """
    pooled = np.array([*first, *second])
    inside = np.zeros((math.comb(len(pooled), len(first)), len(pooled)), bool)
    for row, members in enumerate(itertools.combinations(range(len(pooled)), len(first))):
        inside[row, members] = True
    distances = np.abs(
        inside @ pooled / len(first) - ~inside @ pooled / len(second)  # the first is as it was
    )
    # Sums in another order differ by rounding, and a split must count as no farther than itself.
    return float(np.mean(distances >= distances[0] - 1e-12)), len(distances)


def of_side(runs: Sequence[Run], side: str) -> list[Run]:
    return [run for run in runs if run.side == side]


def mean_curve(curves: Sequence[dict[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    """The steps that all curves have, and the mean of the curves there."""
    steps = sorted(set.intersection(*(set(curve) for curve in curves)))
    return np.array(steps), np.mean([[curve[step] for step in steps] for curve in curves], axis=0)


def loss_distance(runs: Sequence[Run]) -> dict[str, float]:
    """Where the smoothed mean losses lie farthest apart, relative to the reference's."""
    smooth, steps = {}, np.array([])
    for side in (OURS, THEIRS):
        steps, mean = mean_curve([run.loss for run in of_side(runs, side)])
        width = min(SMOOTHED, len(mean))
        smooth[side] = np.convolve(mean, np.full(width, 1 / width), "valid")
    distance = np.abs(smooth[OURS] / smooth[THEIRS] - 1)
    worst = int(distance.argmax())
    return {
        "largest": float(distance[worst]),
        "mean": float(distance.mean()),
        "from_step": int(steps[worst] - steps[0] + 1),  # the first of the averaged steps
        "to_step": int(steps[worst + width - 1]),
        "points": width,
    }


def spread_of(values: Sequence[float]) -> dict[str, float]:
    """Mean, standard deviation (of a sample; 0 for one value), least and most."""
    return {
        "mean": statistics.fmean(values),
        "sd": statistics.stdev(values) if len(values) > 1 else 0.0,
        "least": min(values),
        "most": max(values),
    }


def compare(runs: Sequence[Run], value: Callable[[Run], float]) -> dict:
    """Both sides' spread of one final figure, and the test of their means."""
    groups = {side: [value(run) for run in of_side(runs, side)] for side in NAMES}
    spreads = {side: spread_of(values) for side, values in groups.items()}
    p, splits = permutation_test(groups[OURS], groups[THEIRS])
    return {
        **spreads,
        "difference": spreads[OURS]["mean"] - spreads[THEIRS]["mean"],
        "ranges_overlap": max(spread["least"] for spread in spreads.values())
        <= min(spread["most"] for spread in spreads.values()),
        "p": p,
        "splits": splits,
    }


def verdict(found: dict) -> str:
    """What the test says about the final mAP, and nothing more."""
    least = min(1, 2 / found["splits"])  # a split and its mirror image
    text = (
        f"Difference of the mean final mAP, ours - reference: {found['difference']:+.4f}. The "
        f"ranges {'overlap' if found['ranges_overlap'] else 'do not overlap'}. Exact permutation "
        f"test, two-sided, all {found['splits']} splits: p = {found['p']:.3f}"
        f" (so many runs cannot give less than {least:.3g}). "
    )
    if least > LEVEL:
        return text + "So few seeds cannot show a difference, whatever it is."
    if found["p"] <= LEVEL:
        return text + f"A difference is shown, at the level of {LEVEL:g}."
    return text + f"No difference is shown, at the level of {LEVEL:g}; one may still be there."


def print_report(runs: Sequence[Run], statistics_: dict, recipe: Recipe) -> None:
    """Prints the table and what follows from it."""
    figures = {"mAP": lambda run: run.final_map, "accuracy": lambda run: run.accuracy}
    columns = [(name, side) for name in figures for side in NAMES]
    seeds = sorted({run.seed for run in runs})
    by_run = {(run.side, run.seed): run for run in runs}
    rows = [
        (f"seed {seed}", *(form(figures[name](by_run[side, seed]), name) for name, side in columns))
        for seed in seeds
    ]
    for key, label in (("mean", "mean"), ("sd", "standard deviation")):
        cells = (form(statistics_[name][side][key], name) for name, side in columns)
        rows.append((label, *cells))
    ranges = [(statistics_[name][side], name) for name, side in columns]
    rows.append(
        ("range", *(f"{form(s['least'], name)} to {form(s['most'], name)}" for s, name in ranges))
    )
    print(
        f"{recipe.network}, ESC-10, {recipe.steps} steps of {recipe.batch_size} clips of "
        f"{recipe.clip_seconds:g} s at {recipe.learning_rate:g}, mixup {recipe.mixup}, dropout "
        f"{'on' if recipe.dropout else 'off'}, SpecAugment {'on' if recipe.spec_augment else 'off'}"
        "; after the last step, on fold 5\n"
    )
    print_table(("", *(f"{name}, {NAMES[side]}" for name, side in columns)), rows)
    loss = statistics_["loss"]
    print(
        f"\nChance: mAP {runs[0].chance:.3f}. {verdict(statistics_['mAP'])}\n\n"
        f"Mean training losses, moving average of {loss['points']} points: "
        f"{loss['largest']:.1%} apart where they are farthest (steps {loss['from_step']} to "
        f"{loss['to_step']}), {loss['mean']:.1%} on average."
    )


def form(value: float, name: str) -> str:
    return f"{value:.1%}" if name == "accuracy" else f"{value:.4f}"


def write_csv(path: Path, runs: Sequence[Run]) -> None:
    """A row for every step of a run at which something was measured."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["side", "seed", "step", "loss", "mAP"])
        for run in sorted(runs, key=lambda run: (list(NAMES).index(run.side), run.seed)):
            for step in sorted({*run.loss, *run.mean_ap}):
                cells = (curve.get(step) for curve in (run.loss, run.mean_ap))
                texts = ["" if value is None else f"{value:.6f}" for value in cells]
                writer.writerow([run.side, run.seed, step, *texts])


def as_json(runs: Sequence[Run], statistics_: dict, recipe: Recipe) -> dict:
    """Everything measured, and with what."""
    from importlib.metadata import version

    return {
        "recipe": dataclasses.asdict(recipe),
        "versions": {name: version(name) for name in ("tensorflow", "keras", "torch")},
        "chance_mAP": runs[0].chance,
        "statistics": statistics_,
        "runs": [
            {
                "side": run.side,
                "seed": run.seed,
                "final_mAP": run.final_map,
                "accuracy": run.accuracy,
                "loss": run.loss,
                "mAP": run.mean_ap,
            }
            for run in runs
        ],
    }


def draw(folder: Path, runs: Sequence[Run], recipe: Recipe) -> None:
    """Writes the figure: losses to the left, held-out mAP to the right."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    style = dict.fromkeys(
        ("axes.edgecolor", "axes.labelcolor", "text.color", "xtick.color", "ytick.color"),
        AXES_COLOUR,
    )
    style |= {"font.size": 11, "svg.hashsalt": "learning curves"}  # the same bytes every time
    with pyplot.rc_context(style):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.6, 4.0), layout="constrained")
        for side in NAMES:
            chosen = of_side(runs, side)
            draw_curves(left, side, [run.loss for run in chosen])
            draw_curves(right, side, [run.mean_ap for run in chosen], marked=True)
        left.set_ylabel("training loss (binary cross-entropy)")
        right.set_ylabel("held-out mAP")
        right.plot([], color=AXES_COLOUR, lw=0.8, label="one seed")
        right.axhline(runs[0].chance, color=AXES_COLOUR, linestyle=":", label="chance")
        right.set_ylim(0, min(1.02, 1.1 * max(max(run.mean_ap.values()) for run in runs)))
        for axes in (left, right):
            axes.set_xlabel("step")
            axes.set_xlim(0, 1.02 * recipe.steps)  # the last marker is whole
            axes.grid(color=AXES_COLOUR, alpha=0.25, linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_facecolor("none")
        handles, labels = right.get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=4, frameon=False, handlelength=3
        )
        for ending, options in (("png", {"dpi": 200}), ("svg", {"metadata": {"Date": None}})):
            figure.savefig(folder / f"learning_curves.{ending}", transparent=True, **options)
        pyplot.close(figure)


def draw_curves(axes, side: str, curves: Sequence[dict[int, float]], marked: bool = False) -> None:
    """A thin line for every seed and a bold one for their mean, broken for the reference."""
    colour = COLOURS[side]
    for curve in curves:
        axes.plot(*zip(*sorted(curve.items()), strict=True), color=colour, lw=0.8, alpha=0.5)
    # Told apart in black and white, too.
    line, marker = ("-", "o") if side == OURS else ((0, (4, 1.5)), "s")
    axes.plot(
        *mean_curve(curves),
        color=colour,
        lw=2.2,
        linestyle=line,
        marker=marker if marked else "",
        ms=4.5,
        zorder=3,
        label=f"{NAMES[side]}, mean of {len(curves)}",
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and draws."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parse(arguments)
    import_tensorflow_quietly()
    recipe = recipe_of(options)
    if options.torch_run is not None:
        torch_run(options, recipe, options.torch_run)
        return
    check(options)
    # Else the training under way would outlive this process, and meet the next one in its folder.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options.output.mkdir(parents=True, exist_ok=True)
    with work_folder(options) as work:
        pack(options.esc10, work, recipe)
        runs = train_all(options, arguments, work, recipe)
    found = {
        "mAP": compare(runs, lambda run: run.final_map),
        "accuracy": compare(runs, lambda run: run.accuracy),
        "loss": loss_distance(runs),
    }
    write_csv(options.output / "learning_curves.csv", runs)
    write_json(options.output / "learning_curves.json", as_json(runs, found, recipe))
    draw(options.output, runs, recipe)
    print_report(runs, found, recipe)


if __name__ == "__main__":
    commands.run(main)
