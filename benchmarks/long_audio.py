"""Memory that recordings of hours take, and how their results compare with whole hearing.

    python benchmarks/long_audio.py --model MODEL [--hours 0.5,2] [--audio FOLDER]
    python benchmarks/long_audio.py --networks Cnn14,ResNet38 [--audio FOLDER]

The first writes recordings of these lengths (16-bit, 32 kHz, mono), runs `tag`, `embed` and
`detect` on each as processes, and prints the highest memory of each and how many seconds of sound
it took a second. The second hears 65.4 s once as a whole and once in windows, with the tests'
reference weights, and prints how far apart the results are. "all" stands for all networks of the
reference.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import RATE, ROOT, print_table, waveforms

WHOLE_SECONDS = 65.4


def write_recording(path: Path, seconds: int, audio: Path | None) -> None:
    """Clips one after the other; a minute of them, again and again."""
    import soundfile

    minute = np.concatenate(list(waveforms(6, audio)))
    with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as file:
        for _ in range(seconds // 60):
            file.write(minute)


def run(arguments: list[str]) -> tuple[float, float]:
    """Runs a command; returns its seconds, and the MB of the largest child so far."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "panns_tf", *arguments]
    subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    took = time.perf_counter() - start
    return took, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6


def commands(model: str, hours: list[float], audio: Path | None) -> None:
    """Prints what the commands take for recordings of so many hours."""
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for length in sorted(hours):
            path = folder / f"{length:g}.wav"
            write_recording(path, round(3600 * length), audio)
            for name, more in (
                ("tag", []),
                ("embed", ["--json"]),
                ("detect", ["--plot", str(folder / "plots")]),
            ):
                took, peak = run([name, str(path), "--model", model, *more])
                speed = f"{3600 * length / took:,.0f}"
                rows.append((f"{name}, {length:g} h", f"{peak:,.0f}", speed))
    # The memory is the highest so far: rows in order of length show whether it grows.
    print_table(("", "highest memory so far, MB", "seconds of sound a second"), rows)


def whole_against_windows(names: list[str], audio: Path | None) -> None:
    """Prints how far apart the results are."""
    import panns_tf
    from panns_tf.inference.model import WINDOW_SECONDS, InferenceModel
    from tests.support import reference_state

    minute = np.concatenate(list(waveforms(7, audio))).astype(np.float32)
    rows = []
    for name in names:
        network = panns_tf.create_model(name)
        panns_tf.load_torch_state(network, reference_state(name, 0))
        model = InferenceModel(network)
        sound = minute[: round(WHOLE_SECONDS * model.sample_rate)]
        encoder, segments = model.streaming_encoder(), []
        for found in (encoder.feed(sound), encoder.finish()):
            segments += [local["segments"] for local in found if "segments" in local]
        found = encoder.pool.outputs()
        whole = {
            key: np.asarray(value)[0] for key, value in network(sound[None], training=False).items()
        }
        if "segmentwise_output" in whole:
            found["segmentwise_output"] = np.concatenate(segments)
        apart = {key: np.abs(value - whole[key]).max() for key, value in found.items()}
        apart["embedding"] /= np.abs(whole["embedding"]).max()
        cells = (apart.get(key) for key in ("clipwise_output", "embedding", "segmentwise_output"))
        rows.append((name, *("" if cell is None else f"{cell:.1e}" for cell in cells)))
        print(*rows[-1], file=sys.stderr, flush=True)
    print(f"{WHOLE_SECONDS} s in windows of {WINDOW_SECONDS:g} s against the whole")
    print_table(("network", "probabilities", "embedding, of its largest", "segments"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model")
    parser.add_argument("--hours", default="0.5,2")
    parser.add_argument("--networks")
    parser.add_argument("--audio", type=Path, help="recordings to mix from; else computed")
    options = parser.parse_args()
    if options.model:
        commands(options.model, list(map(float, options.hours.split(","))), options.audio)
    if options.networks:
        from tests.support import read_json

        every = list(read_json("cases"))
        names = every if options.networks == "all" else options.networks.split(",")
        whole_against_windows(names, options.audio)


if __name__ == "__main__":
    main()
