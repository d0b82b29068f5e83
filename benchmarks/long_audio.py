"""Memory that recordings of hours take, and how their results compare with whole hearing.

    python benchmarks/long_audio.py --model MODEL [--hours 0.5,2] [--audio FOLDER]

Writes recordings of these lengths (16-bit, 32 kHz, mono), runs `tag`, `embed` and `detect` on each
as processes, and prints the highest memory of each and how many seconds of sound it took a second.
Then hears 5 minutes once as a whole and once in windows, and prints how far apart the results are.
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

WHOLE_SECONDS = 300


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--hours", default="0.5,2")
    parser.add_argument("--audio", type=Path, help="recordings to mix from; else computed")
    options = parser.parse_args()
    model = ["--model", options.model]
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for hours in sorted(map(float, options.hours.split(","))):
            path = folder / f"{hours:g}.wav"
            write_recording(path, round(3600 * hours), options.audio)
            for name, more in (
                ("tag", []),
                ("embed", ["--json"]),
                ("detect", ["--plot", str(folder / "plots")]),
            ):
                took, peak = run([name, str(path), *model, *more])
                rows.append((f"{name}, {hours:g} h", f"{peak:,.0f}", f"{3600 * hours / took:,.0f}"))
        # The memory is the highest so far: rows in order of length show whether it grows.
        print_table(("", "highest memory so far, MB", "seconds of sound a second"), rows)
        path = folder / "whole.wav"
        write_recording(path, WHOLE_SECONDS, options.audio)

        from panns_tf.inference import AudioTagger, read_audio
        from panns_tf.inference.hearing import WINDOW_SECONDS

        tagger = AudioTagger(options.model)
        sound = read_audio(path, tagger.sample_rate)
        whole = tagger.hearer.network(sound[None], training=False)
        scores = np.abs(tagger.tag(path).scores - whole["clipwise_output"][0]).max()
        embedding = np.asarray(whole["embedding"][0])
        vector = np.abs(tagger.embed(path).vector - embedding).max() / np.abs(embedding).max()
        print(
            f"{WHOLE_SECONDS} s in windows of {WINDOW_SECONDS:g} s against the whole: "
            f"probabilities {scores:.1e} apart, embeddings {vector:.1e} of the largest value"
        )


if __name__ == "__main__":
    main()
