"""Records what every command gives on small data, and compares two such records.

    python benchmarks/record_commands.py before.json --code ../old
    python benchmarks/record_commands.py after.json [--esc10 ESC-10]
    python benchmarks/record_commands.py --compare before.json after.json

All commands run in one process with the small networks of ``tests.support`` in the table, a few
steps each, with fixed seeds: about four minutes on one core. Numbers within a relative 1e-4 count
as equal. Times, versions, pictures and pages are not compared.
"""

import argparse
import contextlib
import csv
import hashlib
import io
import json
import os
import re
import runpy
import subprocess
import sys
import tempfile
import traceback
import zipfile
import zlib
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
RATE = 8000
TOLERANCE = 1e-4
#: Keys of JSON objects and columns of tables that differ from run to run.
UNSTABLE = re.compile(
    r"clips_per_second|waiting|versions|seconds$|time|date|sha256|version|processor|host|plan"
)
#: Arrays of at most so many numbers are written down; larger ones are summed up.
MOST_NUMBERS = 400


# ---- recording -------------------------------------------------------------------------------


class Recorder:
    """Runs commands in the current folder and gathers what they give.

    Attributes:
        found: by the command's label: ``status``, ``error`` (the line of a mistake), ``printed``,
            and ``files`` by their path.
    """

    def __init__(self) -> None:
        self.found: dict[str, dict] = {}

    def run(self, label: str, words: str, *files: str, printed: bool = False) -> None:
        """Runs a command line.

        Args:
            label: under which it is recorded.
            words: ``train``, ``evaluate``, ``panns_tf COMMAND`` or ``tfrecords COMMAND``, and its
                flags.
            *files: patterns of the files that it wrote.
            printed: whether what it prints is its result.
        """
        print(f"{label} ...", file=sys.__stderr__, flush=True)
        status, out, errors = call(words.split())
        entry: dict = {"status": status}
        mistakes = [line for line in stable_text(errors) if "error: " in line]
        if mistakes or status not in (0, None):
            entry["error"] = mistakes or stable_text(errors)[-3:]
        if printed:
            entry["printed"] = stable_text(out)
        paths = sorted({path for pattern in files for path in Path().glob(pattern)})
        entry["files"] = {str(path): content_of(path) for path in paths}
        self.found[label] = entry


def call(words: list[str]) -> tuple[int, str, str]:
    """Runs a command line of the project in this process: exit status, stdout, stderr."""
    program, *flags = words
    out, errors = io.StringIO(), io.StringIO()
    before = sys.argv
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            if program in ("train", "evaluate"):
                path = Path(os.environ["CODE"], f"{program}.py")
                sys.argv = [str(path), *flags]
                runpy.run_path(str(path), run_name="__main__")
            else:
                sys.argv = [program, *flags]
                runpy.run_module(program, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # what a command lets through would be a traceback for its user
        traceback.print_exc(file=errors)
        status = 1
    finally:
        sys.argv = before
    return status, out.getvalue(), errors.getvalue()


def stable_text(text: str) -> list[str]:
    """The lines of a text without times and temporary folders."""
    text = text.replace(str(Path.cwd()), "<folder>")
    text = re.sub(r"\d+(\.\d+)? (minutes|seconds|s)\b", "<time>", text)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def content_of(path: Path):
    """What can be compared of a file."""
    if path.is_dir():
        return served(path) if (path / "saved_model.pb").exists() else "folder"
    if path.name == "metrics.jsonl" or path.suffix == ".jsonl":
        return [stable(json.loads(line)) for line in path.read_text().splitlines()]
    if path.suffix == ".json":
        return stable(json.loads(path.read_text()))
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [stable({k: number(v) for k, v in row.items()}) for row in csv.DictReader(file)]
    if path.suffix == ".npz":
        with np.load(path) as file:
            return {name: summary(file[name]) for name in sorted(file.files)}
    if path.suffix == ".npy":
        return summary(np.load(path))
    if path.suffix == ".keras":
        return weights_of(path)
    if path.suffix == ".txt":
        return path.read_text().splitlines()
    if path.suffix in (".onnx", ".tflite"):
        return run_file(path)
    if path.suffix == ".tfrecord":
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return "there"


def stable(value):
    """A JSON value without what differs from run to run."""
    if isinstance(value, dict):
        return {k: stable(v) for k, v in value.items() if not UNSTABLE.search(str(k))}
    if isinstance(value, list):
        return [stable(item) for item in value]
    return value.replace(str(Path.cwd()), "<folder>") if isinstance(value, str) else value


def number(text: str | None):
    """A cell as a number if it is one."""
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def summary(array: np.ndarray):
    """An array's kind and shape, and its numbers or what sums them up."""
    described = {"shape": list(array.shape), "kind": array.dtype.kind}
    if array.dtype.kind in "US" and array.ndim == 0:
        text = str(array)
        return stable(json.loads(text)) if text.startswith("{") else text
    if array.dtype.kind in "US":
        return {**described, "values": array.astype(str).ravel()[:MOST_NUMBERS].tolist()}
    if array.dtype.kind not in "fiub":
        return described
    numbers = array.astype(float).ravel()
    described["sha256"] = hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
    described["norm"] = float(np.linalg.norm(numbers))
    described["values"] = [float(f"{x:.7g}") for x in numbers[:MOST_NUMBERS]]
    return described


def weights_of(path: Path) -> dict:
    """The weights of a .keras file: their hash, and norm by norm."""
    import h5py

    with zipfile.ZipFile(path) as file:
        content = io.BytesIO(file.read("model.weights.h5"))
    arrays = {}

    def note(name, item):
        if isinstance(item, h5py.Dataset):
            arrays[name] = np.asarray(item)

    with h5py.File(content) as file:
        file.visititems(note)
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(np.ascontiguousarray(arrays[name]))
    norms = {name: float(np.linalg.norm(arrays[name].astype(float))) for name in sorted(arrays)}
    return {"sha256": digest.hexdigest(), "norms": norms}


def waveform() -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (1, 2 * RATE)).astype("float32")


def served(path: Path) -> dict:
    """What the signatures of a SavedModel give."""
    import tensorflow as tf

    model = tf.saved_model.load(str(path))
    return {
        name: {key: summary(np.asarray(value)) for key, value in sorted(outputs.items())}
        for name in sorted(set(model.signatures) - {"serve"})
        for outputs in [model.signatures[name](waveform=tf.constant(waveform()))]
    }


def run_file(path: Path):
    """What an ONNX or LiteRT file gives."""
    try:
        if path.suffix == ".onnx":
            import onnxruntime

            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            names = [output.name for output in session.get_outputs()]
            found = dict(zip(names, session.run(names, {"waveform": waveform()}), strict=True))
        else:
            from ai_edge_litert.interpreter import Interpreter

            runner = Interpreter(str(path)).get_signature_runner("serving_default")
            found = runner(waveform=waveform())
    except ImportError:
        return "there"
    return {name: summary(value) for name, value in sorted(found.items())}


# ---- the data --------------------------------------------------------------------------------


def write_sounds() -> None:
    """Writes recordings, a folder per class, and a small AudioSet."""
    import soundfile

    def tone(hertz: float, seed: int, seconds: float) -> np.ndarray:
        rng = np.random.default_rng(seed)
        time = np.arange(round(seconds * RATE)) / RATE
        sound = 0.3 * np.sin(2 * np.pi * hertz * rng.uniform(0.95, 1.05) * time)
        return np.rint((sound + rng.normal(0, 0.05, len(time))) * 32767) / 32768

    for folder in ("recordings", "tones", "audioset/metadata", "audioset/audio"):
        Path(folder).mkdir(parents=True)
    for number, (name, rate, seconds, channels) in enumerate(
        (
            ("short.wav", 8000, 0.3, 1),
            ("second.wav", 8000, 1.0, 1),
            ("stereo.flac", 44100, 3.3, 2),
            ("long.wav", 16000, 45.0, 1),
        )
    ):
        rng = np.random.default_rng(number)
        level = np.repeat(rng.uniform(0, 0.5, int(seconds * 10) + 1), rate // 10)
        sound = level[: int(seconds * rate), None] * rng.uniform(-1, 1, (1, channels))
        sound = sound * rng.uniform(-1, 1, sound.shape)
        soundfile.write(f"recordings/{name}", sound, rate)
    Path("recordings/broken.wav").write_bytes(b"RIFF but no more")
    table = ["filename,labels"]
    for label, hertz in (("low", 300), ("middle", 900), ("high", 2500)):
        Path("tones", label).mkdir()
        for number in range(10):
            seconds = 0.6 + 0.05 * number
            sound = tone(hertz, number, seconds)
            soundfile.write(f"tones/{label}/{number}.wav", sound, RATE)
            table.append(f"{label}/{number}.wav,{label}")
    Path("tones.csv").write_text("\n".join(table) + "\n")
    mids = ("/m/09x0r", "/m/04rlf", "/m/0bt9lr")
    for name in ("balanced_train", "unbalanced_train", "eval"):
        lines = [
            "# Segments csv",
            "# num_ytids=6",
            "# YTID, start_seconds, end_seconds, positive_labels",
        ]
        for number in range(6):
            clip = f"{name[:3]}abcdef{number:02d}"
            sound = tone(200 + 300 * number, number, 1.0)
            soundfile.write(f"audioset/audio/Y{clip}.wav", sound, RATE)
            labels = ",".join(mids[: 1 + number % 3])
            lines.append(f'{clip}, {number}.000, {number + 10}.000, "{labels}"')
        path = Path("audioset/metadata", f"{name}_segments.csv")
        path.write_text("\n".join(lines) + "\n")
    Path("grid.toml").write_text(
        'title = "Loudness"\n[base]\narch = "LeeNet11"\nsample_rate = 8000\nsteps = 2\n'
        "batch_size = 2\neval_steps = 2\n"
        '[[row]]\nlabel = "gain 0"\ngain = 0.0\npublished = { mAP = 0.2 }\n'
        '[[row]]\nlabel = "gain 1"\ngain = 1.0\npublished = { mAP = 0.3 }\n'
    )


def write_network(name: str, path: str, num_classes: int = 3) -> None:
    """Writes a network whose weights depend on their names alone."""
    import panns_tf

    model = panns_tf.create_model(name, num_classes=num_classes)
    model.labels = [f"class {number}" for number in range(num_classes)]
    for variable in model.variables:
        rng = np.random.default_rng(zlib.crc32(variable.path.encode()))
        kind, shape = variable.path.rpartition("/")[2], variable.shape
        front = variable.path.startswith("bn0/")
        if kind == "kernel":
            value = rng.normal(0, np.sqrt(2 / np.prod(shape[:-1])), shape)
        elif kind == "gamma":
            value = rng.uniform(0.5, 1.5, shape)
        elif kind == "moving_mean":
            value = rng.normal(-28 if front else 0, 0.3, shape)
        elif kind == "moving_variance":
            value = rng.uniform(0.5, 2, shape) * (625 if front else 1)
        elif kind in ("beta", "bias"):
            value = rng.normal(0, 0.3, shape)
        else:  # states of random generators
            continue
        variable.assign(value)
    model.save(path)


# ---- the commands ----------------------------------------------------------------------------

#: Users' mistakes, each of which is one line and exit status 2.
MISTAKES = """
train --arch wavegram_logmell --data syn/train --run-dir x
train --arch tiny --data nowhere --run-dir x
train --arch wavegram_tiny --data syn/train --run-dir x
train --arch tiny --data syn/train --run-dir x --fraction 1.5
train --arch tiny --data syn/train --run-dir x --steps 0
train --arch tiny --data syn/train --run-dir x --batch-size -1
train --arch tiny --data syn/train --run-dir x --learning-rate 0
train --arch tiny --data syn/train --run-dir x --sample-rate 4000
train --arch tiny --data syn/train --run-dir x --window-size 255
train --arch tiny --data syn/train --run-dir x --recipe nowhere
train --arch tiny --data syn/train --run-dir run
train --run-dir nowhere --resume
train --run-dir run --resume --learning-rate 0.1
train --run-dir run --resume --steps 2
evaluate --model nowhere --data syn/eval
evaluate --model run --data nowhere
evaluate --model run --data syn/eval --hop 1
evaluate --model run --data syn/eval --window 0
evaluate --compare run --data syn/eval
panns_tf tag nowhere.wav --model run
panns_tf tag recordings/short.wav --model nowhere
panns_tf tag recordings/short.wav --model run --top 0
panns_tf tag recordings/short.wav --model run --hop 1
panns_tf detect recordings/short.wav --model run --threshold 2
panns_tf detect recordings/short.wav --model run --low 0.9
panns_tf embed recordings/short.wav --model run --output x.txt
panns_tf models nothing*
panns_tf convert nowhere.pth
panns_tf convert run/final.keras --output run/final.keras
panns_tf export --model run --output x.onnx --top-k 3
panns_tf export --model run --output x.tflite --precision int8
panns_tf export --model run --output run
panns_tf finetune --data nowhere --weights run --output x
panns_tf finetune --data recordings --weights run --output x
panns_tf finetune --task nothing --data tones --weights run --output x
panns_tf finetune --data tones --weights run --strategy nothing --output x
panns_tf predict recordings/short.wav --model nowhere
panns_tf plot curves nowhere --output x
panns_tf ablate nowhere --output x
tfrecords pack --metadata nowhere.csv --audio tones --output x
tfrecords pack --metadata tones.csv --audio tones --output x --sample-rate 0
tfrecords info nowhere
tfrecords verify nowhere
tfrecords merge syn/train syn/eval --output x --fraction 0
tfrecords merge syn/train packed --output x
tfrecords synthesize --clips 0 --output x
"""


def record(esc10: str | None) -> dict:
    """Runs everything in the current folder; returns the record."""
    from tests.support import register_tiny

    register_tiny()
    recorder = Recorder()
    run = recorder.run
    write_sounds()
    for split, clips, seed in (("train", 60, 0), ("eval", 40, 0), ("more", 20, 1)):
        run(
            f"synthesize {split}",
            f"tfrecords synthesize --clips {clips} --clip-seconds 0.5 --sample-rate {RATE} "
            f"--seed {seed} --split {split} --workers 0 --output syn/{split}",
            f"syn/{split}/*.tfrecord",
            f"syn/{split}/*.json",
            f"syn/{split}/*.npz",
        )
    records = "*.tfrecord", "*.json", "*.npz", "*.csv"
    pack = f"--sample-rate {RATE} --clip-seconds 0.5 --clips-per-shard 16 --workers 0"
    of_tones = f"tfrecords pack --metadata tones.csv --audio tones {pack}"
    run("pack", f"{of_tones} --output packed", *(f"packed/{name}" for name in records))
    run("pack flac", f"{of_tones} --codec flac --output flac", *(f"flac/{n}" for n in records[1:]))
    run(
        "audioset",
        f"tfrecords audioset --root audioset {pack} --output sets",
        *(f"sets/*/{name}" for name in records),
    )
    run("merge", "tfrecords merge syn/train syn/more --output joined", "joined/*")
    run("merge part", "tfrecords merge syn/train --fraction 0.5 --output view", "view/*")
    run("info", "tfrecords info syn/train --json", printed=True)
    run("info text", "tfrecords info sets --classes", printed=True)
    run("verify", "tfrecords verify syn/train --workers 1", printed=True)

    for name, file in (
        ("Tiny", "tiny.keras"),
        ("Thin_Cnn14_DecisionLevelMax", "max.keras"),
        ("Wavegram_Tiny", "wavegram.keras"),
    ):
        write_network(name, file)
    train = "train --arch tiny --data syn/train --eval-data syn/eval --batch-size 4 --no-pictures"
    logs = "metrics.jsonl", "config.json", "final.keras", "best.keras", "evaluation/*"
    run(
        "train",
        f"{train} --run-dir run --steps 6 --eval-steps 3 --log-steps 2 --checkpoint-steps 3",
        *(f"run/{name}" for name in logs),
        "run/saved_model",
    )
    Path("run/final.keras").rename("tmp.keras")
    run("train --resume", "train --run-dir run --resume --steps 8", "run/final.keras")
    run(
        "train with every option",
        f"{train} --run-dir options --steps 4 --eval-steps 4 --log-steps 1 --accumulate 2 "
        "--schedule cosine --warmup-steps 2 --weight-decay 0.01 --ema 0.9 --label-smoothing 0.1 "
        "--mixup waveform --mixup-alpha 0.5 --time-shift 0.1 --gain 6 --sampling shuffled "
        "--fraction 0.8 --seed 7 --mel-bins 32 --distill run",
        *(f"options/{name}" for name in logs),
    )
    run(
        "train with a recipe",
        f"{train} --run-dir recipe --steps 2 --eval-steps 2 --recipe small_set --batch-size 4",
        "recipe/config.json",
        "recipe/metrics.jsonl",
    )
    scores = "metrics.json", "per_class.csv", "scores.npz", "comparison.csv", "report.html"
    evaluate = "evaluate --data syn/eval --bootstrap 50 --mistakes 2 --no-audio"
    for label, flags in (
        ("evaluate", "--model run"),
        ("evaluate windows", "--model run --window 0.25 --hop 0.1 --aggregate max"),
        ("evaluate saved_model", "--model run/saved_model"),
        ("evaluate --compare", "--compare run options"),
    ):
        output = label.replace(" ", "_")
        files = (f"{output}/{name}" for name in scores)
        run(label, f"{evaluate} {flags} --output {output}", *files)

    run("models", "panns_tf models [!st]*[!y] --json", printed=True)  # none of the small ones
    run("models as text", "panns_tf models Cnn*", printed=True)
    run("convert to .pth", "panns_tf convert tiny.keras --output tiny.pth", "tiny.pth")
    run("convert back", "panns_tf convert tiny.pth --arch tiny --output back.keras", "back.keras")
    sounds = "recordings/short.wav recordings/second.wav recordings/stereo.flac recordings/long.wav"
    for model in ("tiny", "max", "wavegram"):
        run(f"tag {model}", f"panns_tf tag {sounds} --model {model}.keras --json", printed=True)
        run(
            f"embed {model}",
            f"panns_tf embed {sounds} --model {model}.keras --output {model}.npz",
            f"{model}.npz",
        )
        run(
            f"detect {model}",
            f"panns_tf detect {sounds} --model {model}.keras --threshold 0.4 --low 0.35 --json",
            printed=True,
        )
    run("tag a folder", "panns_tf tag recordings --model run --output t.csv", "t.csv")
    run(
        "tag --window",
        f"panns_tf tag {sounds} --model run --window 1 --hop 0.7 --top 3 --csv",
        printed=True,
    )
    run(
        "detect with files",
        "panns_tf detect recordings/stereo.flac --model run --window 1 --hop 0.25 --threshold 0.5 "
        "--smooth 0.5 --min-length 0.1 --merge-gap 0.2 --output e.csv --audacity labels "
        "--plot pictures",
        "e.csv",
        "labels/*",
        "pictures/*",
    )
    run(
        "embed --window",
        "panns_tf embed recordings/long.wav --model run --window 2 --output w.npy",
        "w.*",
    )
    run("export", "panns_tf export --model max.keras --output served", "served")
    for name, flags in (
        ("tiny.onnx", ""),
        ("half.onnx", "--precision float16"),
        ("tiny.tflite", ""),
        ("int8.tflite", "--precision int8 --calibration tones"),
    ):
        run(f"export {name}", f"panns_tf export --model tiny.keras --output {name} {flags}", name)

    results = "*.json", "*.csv", "*.keras", "*/*.json", "*/*.csv"
    short = "--batch-size 4 --min-steps 4"
    tune = "panns_tf finetune --weights tiny.keras --cache cache"
    for label, flags in (
        ("linear_probe", "--strategy linear_probe"),
        ("probe_folds", "--strategy linear_probe --folds 3"),
        ("few_shot", "--strategy linear_probe --clips-per-class 1,2,all --seeds 2"),
        ("finetune", f"{short} --epochs 2"),
        ("freeze_l1", f"{short} --strategy freeze_l1 --epochs 2"),
        ("unfreeze", f"{short} --epochs 3 --unfreeze-epochs 1 --layer-decay 0.7 --ema 0.9"),
        ("scratch", f"{short} --strategy scratch --epochs 2 --arch tiny"),
    ):
        files = (f"tuned/{label}/{name}" for name in results)
        words = tune.replace("--weights tiny.keras ", "") if label == "scratch" else tune
        run(label, f"{words} --data tones {flags} --output tuned/{label}", *files)
    run(
        "finetune a table",
        f"{tune} --data tones.csv --audio tones --strategy linear_probe --output tuned/table",
        "tuned/table/*.json",
    )
    run(
        "finetune by a pattern",
        f"{tune} --data tones --label-pattern (?P<label>[0-9]).wav --strategy linear_probe "
        "--output tuned/pattern",
        "tuned/pattern/*.json",
    )
    for label in ("linear_probe", "finetune"):
        run(
            f"predict {label}",
            f"panns_tf predict {sounds} tones/low/3.wav --model tuned/{label} --json",
            printed=True,
        )
    run("plot all", "panns_tf plot all run options --output figures", "figures/*.csv")
    run("plot complexity", "panns_tf plot complexity --output points", "points/*.csv")
    run("plot classes", "panns_tf plot classes run --output bars", "bars/*.csv")
    grid = "panns_tf ablate grid.toml --data syn/train --eval-data syn/eval --output ablation"
    run("ablate --dry-run", f"{grid} --seeds 1 --dry-run", printed=True)
    run("ablate", f"{grid} --seeds 1", "ablation/*.md", "ablation/*.csv")
    if esc10:
        record_esc10(run, esc10)
    for words in MISTAKES.strip().splitlines():
        run(words, words)
    return recorder.found


def record_esc10(run, folder: str) -> None:
    """What is measured on a folder of ESC-10 with networks that know nothing."""
    pack = f"--sample-rate {RATE} --clip-seconds 5 --clips-per-shard 128 --workers 2"
    run(
        "pack ESC-10",
        f"tfrecords pack --metadata {folder}/meta/esc50.csv --audio {folder}/audio {pack} "
        "--folds 1,2 --output esc10",
        *(f"esc10/{name}" for name in ("*.tfrecord", "*.json", "*.npz", "*.csv")),
    )
    run(
        "ESC-10",
        f"panns_tf finetune --task esc10 --data {folder} --weights tiny.keras --cache cache "
        "--strategy linear_probe --output tuned/esc10",
        *(f"tuned/esc10/{name}" for name in ("*.json", "*.csv")),
    )


# ---- comparing -------------------------------------------------------------------------------


def leaves(value, path: str = "") -> dict:
    """Every number and text of a record, by its path."""
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return {path: value}
    found = {f"{path} (empty)": None} if not value else {}
    for key, item in items:
        found |= leaves(item, f"{path} / {key}" if path else str(key))
    return found


def compare(before: dict, after: dict, most: int) -> bool:
    """Prints what differs, command by command; returns whether anything does."""
    different = False
    for label in dict.fromkeys((*before, *after)):
        if label not in before or label not in after:
            print(f"{label}: only {'after' if label in after else 'before'}")
            different = True
            continue
        old, new = leaves(before[label]), leaves(after[label])
        lines, largest = [], 0.0
        for path in dict.fromkeys((*old, *new)):
            if path not in new or path not in old:
                kind, value = ("gone", old[path]) if path in old else ("new", new[path])
                lines.append(f"  {kind}: {path} = {value!r}")
                continue
            a, b = old[path], new[path]
            if a == b or path.endswith("sha256"):
                continue
            if isinstance(a, int | float) and isinstance(b, int | float):
                distance = abs(a - b) / max(abs(a), abs(b), 1e-3)
                if distance <= TOLERANCE or (np.isnan(a) and np.isnan(b)):
                    largest = max(largest, distance)
                    continue
            lines.append(f"  {path}: {a!r} -> {b!r}")
        hashes = [p for p in old if p.endswith("sha256") and p in new and old[p] != new[p]]
        if largest or hashes:
            bits = f", {len(hashes)} hashes differ" if hashes else ""
            print(f"{label}: equal to rounding, at most {largest:.1e} relative{bits}")
        if lines:
            different = True
            print(f"{label}: {len(lines)} differences")
            print("\n".join(line[:300] for line in lines[:most]))
    print("different" if different else "the same")
    return different


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("output", nargs="?", type=Path, metavar="OUT")
    parser.add_argument("--code", type=Path, default=ROOT, help="a checkout; default: this one")
    parser.add_argument("--esc10", type=Path, metavar="DIR", help="a folder of ESC-10, too")
    parser.add_argument("--compare", nargs=2, type=Path, metavar="JSON")
    parser.add_argument("--most", type=int, default=12, help="differences shown of a command")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.compare:
        return int(
            compare(*(json.loads(path.read_text()) for path in options.compare), options.most)
        )
    if options.output is None:
        parser.error("name the file to write, or two to --compare")
    if options.inside:
        found = record(str(options.esc10) if options.esc10 else None)
        options.output.write_text(json.dumps(found, indent=1))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        code = str(options.code.resolve())
        command = [sys.executable, str(Path(__file__).resolve()), str(options.output.resolve())]
        command += ["--inside"]
        if options.esc10:
            command += ["--esc10", str(options.esc10.resolve())]
        settings = {"PYTHONPATH": code, "CODE": code, "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.run(
            command, cwd=folder, env={**os.environ, **settings}, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
