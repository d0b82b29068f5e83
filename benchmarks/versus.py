"""This checkout against an earlier one, on one machine, in turns: is any speed lost?

    git worktree add ../old 0.1.0
    python benchmarks/versus.py --old ../old

Every measurement of either side is a process of its own, which imports from its checkout alone; the
sides alternate (A B A B ...), and each takes a median of several repetitions after a warm-up. Only
what both versions have is called: public names, commands, and files of runs. Prints a table of
medians over the rounds and of ratios, old to new: above 1 the new one is faster, or needs less
memory. Two rounds take about 15 minutes on two cores; `--minutes` ends after the round under way.
"""

import argparse
import contextlib
import json
import os
import platform
import resource
import runpy
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
NETWORKS = ("Cnn14", "MobileNetV1", "Wavegram_Logmel_Cnn14")
FILES, PACKED, UPDATES, BATCH = 100, 1000, 5, 8
RATE, SECONDS = 32000, 10


def repeated(call: Callable[[], object], times: int) -> float:
    """Median of seconds, after one call that is not counted."""
    call()
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


def measure_imports(folder: Path) -> dict:
    """Seconds of a process that imports the package, or a name that needs TensorFlow."""

    def process(code: str) -> Callable[[], object]:
        return lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)

    return {
        "import panns_tf, s": repeated(process("import panns_tf"), 5),
        "import of create_model, s": repeated(process("import panns_tf; panns_tf.create_model"), 1),
        "panns-tf models, s": repeated(
            lambda: subprocess.run(
                [sys.executable, "-m", "panns_tf", "models"], check=True, capture_output=True
            ),
            1,
        ),
    }


def measure_inference(folder: Path) -> dict:
    """Seconds of the log-mel and of networks for 4 clips of 10 s, compiled by XLA."""
    import numpy as np
    import tensorflow as tf

    import panns_tf

    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (4, SECONDS * RATE)).astype("float32")
    tensor = tf.constant(sound)
    layer = panns_tf.LogMel(RATE, 1024, 320, 64, 50, 14000)
    results = {"log-mel, 4 clips, s": repeated(lambda: layer(tensor).numpy(), 21)}
    for name in NETWORKS:
        network = panns_tf.create_model(name)
        infer = tf.function(
            lambda waveform, network=network: network(waveform, training=False)["clipwise_output"],
            jit_compile=True,
            autograph=False,
        )
        times = 15 if name == "MobileNetV1" else 3
        key = f"inference of {name}, 4 clips, s"
        results[key] = repeated(lambda infer=infer: infer(tensor).numpy(), times)
    return results


def measure_update(folder: Path) -> dict:
    """Seconds of an update of Cnn14 with 8 clips of 2 s, from the log of train.py."""
    run = folder / "run"
    words = [sys.executable, "train.py", "--arch", "Cnn14", "--data", str(folder / "short")]
    words += ["--run-dir", str(run), "--steps", "1000", "--batch-size", str(BATCH)]
    words += ["--mixup", "none", "--log-steps", "1", "--no-pictures", "--eval-training-clips", "0"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    speeds: list[float] = []
    while len(speeds) < 2 + UPDATES:  # the first two trace and take memory
        if process.poll() is not None:
            raise SystemExit(f"train.py ended: {process.stderr.read().decode()[-1000:]}")
        time.sleep(0.2)
        with contextlib.suppress(OSError, ValueError):
            lines = (run / "metrics.jsonl").read_text().splitlines()
            speeds = [line["clips_per_second"] for line in map(json.loads, lines)]
    process.kill()
    process.wait()
    shutil.rmtree(run)
    return {"update of Cnn14, 8 clips of 2 s, s": BATCH / statistics.median(speeds[2:])}


def measure_reading(folder: Path) -> dict:
    """Seconds of balanced reading of 1,000 clips of 10 s, from the page cache."""
    import tfrecords

    batches = iter(tfrecords.dataset(folder / "packed", batch_size=50, sampling="balanced", seed=1))

    def read() -> None:
        for _ in range(20):
            next(batches)["waveform"].numpy()

    return {"balanced reading, 1,000 clips, s": repeated(read, 9)}


def measure_packing(folder: Path) -> dict:
    """Seconds of packing 1,000 wav files of 10 s by the command, libraries imported before."""

    def pack(metadata: str) -> None:
        shutil.rmtree(folder / "again", ignore_errors=True)
        os.sync()
        sys.argv = ["tfrecords", "pack", "--metadata", str(folder / metadata), "--audio"]
        sys.argv += [str(folder / "audio"), "--output", str(folder / "again"), "--workers", "2"]
        try:
            runpy.run_module("tfrecords", run_name="__main__")
        except SystemExit as ended:
            if ended.code:
                raise

    with contextlib.redirect_stdout(sys.stderr):
        pack("few.csv")
        seconds = repeated(lambda: pack("metadata.csv"), 3)
    shutil.rmtree(folder / "again")
    return {"packing, 1,000 files, s": seconds}


def measure_tagging(folder: Path) -> dict:
    """Seconds of tagging 100 files of 10 s by Cnn14, once it is compiled."""
    import panns_tf

    tagger = panns_tf.AudioTagger(panns_tf.create_model("Cnn14"))
    paths = sorted((folder / "audio").glob("*.wav"))[:FILES]

    def tag() -> None:
        if len(list(tagger.tag(paths, top=1))) != FILES:
            raise SystemExit("not every file was tagged")

    return {"tagging 100 files by Cnn14, s": repeated(tag, 1)}


def measure_cold_tag(folder: Path) -> dict:
    """Seconds, of a core too, and most memory of tagging one file from a cold start."""
    file = next((folder / "audio").glob("*.wav"))
    words = [sys.executable, "-m", "panns_tf", "tag", str(file)]
    words += ["--model", str(folder / "model.keras")]
    seconds = repeated(lambda: subprocess.run(words, check=True, capture_output=True), 2)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "panns-tf tag, one file, cold, s": seconds,
        "panns-tf tag, one file, s of a core": (usage.ru_utime + usage.ru_stime) / 3,
        "panns-tf tag, one file, MB": usage.ru_maxrss * 1024 / 1e6,
    }


MEASUREMENTS = {
    "imports": measure_imports,
    "inference": measure_inference,
    "update": measure_update,
    "reading": measure_reading,
    "packing": measure_packing,
    "tagging": measure_tagging,
    "cold_tag": measure_cold_tag,
}


def prepare(folder: Path) -> None:
    """Writes what both sides read: wav files and their table, packed records, a model."""
    import numpy as np
    import soundfile

    import panns_tf
    from tfrecords import synthesize_clips

    settings = {"sample_rate": RATE, "progress": False}
    synthesize_clips(folder / "short", clips=96, clip_seconds=2.0, num_classes=12, **settings)
    (folder / "audio").mkdir()
    rng = np.random.default_rng(0)
    noise = rng.integers(-8000, 8000, RATE * 60, dtype=np.int16)
    lines = ["filename,labels"]
    for number in range(PACKED):
        start = int(rng.integers(RATE * 50))
        clip = noise[start : start + SECONDS * RATE]
        soundfile.write(folder / "audio" / f"{number:04d}.wav", clip, RATE, subtype="PCM_16")
        lines.append(f"{number:04d}.wav,class {number % 50}")
    for name, count in (("metadata.csv", PACKED), ("few.csv", 50)):
        (folder / name).write_text("\n".join(lines[: count + 1]) + "\n")
    words = [sys.executable, "-m", "tfrecords", "pack", "--metadata", str(folder / "metadata.csv")]
    words += ["--audio", str(folder / "audio"), "--output", str(folder / "packed")]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    panns_tf.create_model("MobileNetV1").save(folder / "model.keras")


def in_a_process(checkout: Path, name: str, folder: Path) -> dict:
    """Runs one measurement, or `prepare`, with the package of a checkout."""
    words = [sys.executable, str(Path(__file__).resolve())]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"PANNS_TF_VERSUS": name, "PANNS_TF_VERSUS_FOLDER": str(folder)}
    done = subprocess.run(words, cwd=checkout, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} of {checkout}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def processor() -> str:
    """The processor's name, and how many cores there are."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return f"{platform.processor()}, {os.cpu_count()} cores"


def report(found: dict[str, list[dict]]) -> None:
    """Prints a Markdown table of every quantity."""
    print("| | old | new | old to new, by round |")
    print("|---|---:|---:|---|")
    for quantity in found["old"][0]:
        old, new = ([each[quantity] for each in found[side]] for side in ("old", "new"))
        each = [a / b for a, b in zip(old, new, strict=True)]
        middle = statistics.median(old) / statistics.median(new)
        by_round = ", ".join(f"{ratio:.2f}" for ratio in each)
        print(
            f"| {quantity} | {statistics.median(old):.3g} | {statistics.median(new):.3g} "
            f"| **{middle:.2f}** ({by_round}) |"
        )


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--old", type=Path, required=True, metavar="DIR", help="earlier checkout")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=15, help="after which no round is begun")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    options = parser.parse_args()
    sides = {"old": options.old.resolve(), "new": CHECKOUT}
    found: dict[str, list[dict]] = {side: [] for side in sides}
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        in_a_process(sides["old"], "prepare", Path(temporary))
        for number in range(options.rounds):
            if number and time.monotonic() - began > 60 * options.minutes:
                break
            for side in sides:
                found[side].append({})
            for name in options.only:
                for side, checkout in sides.items():
                    result = in_a_process(checkout, name, Path(temporary))
                    found[side][-1].update(result)
                    print(f"round {number + 1}, {side}: {result}", file=sys.stderr, flush=True)
    print(f"{processor()}; {len(found['old'])} rounds, {(time.monotonic() - began) / 60:.0f} min\n")
    report(found)


if __name__ == "__main__":
    task = os.environ.get("PANNS_TF_VERSUS")
    if task:
        sys.path[0] = os.environ["PYTHONPATH"]  # instead of the folder of this file
        function = {**MEASUREMENTS, "prepare": prepare}[task]
        print(json.dumps(function(Path(os.environ["PANNS_TF_VERSUS_FOLDER"]))))
    else:
        main()
