"""Memory that recordings of hours take, and their results beside those of one whole pass.

    python benchmarks/long_audio.py --model MODEL [--hours 0.5,2] [--audio FOLDER]
    python benchmarks/long_audio.py --networks Cnn14,ResNet38 [--audio FOLDER]

The first writes recordings of these lengths (16-bit, 32 kHz, mono), runs `tag`, `embed` and
`detect` on each as processes, and prints the highest memory of each and how many seconds of sound
it took a second. The second passes 65.4 s at once and in windows of 30 s through the tests'
reference weights, and prints how far apart the results are; "all" is all networks of the reference.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from common import RATE, ROOT, print_table, seconds_of, waveforms

WHOLE_SECONDS = 65.4
OUTPUTS = ("clipwise_output", "embedding", "segmentwise_output")


def commands(model: str, hours: list[float], audio: Path | None) -> None:
    """Prints the memory and speed of the commands for recordings of so many hours."""
    import soundfile

    minute = np.concatenate(list(waveforms(6, audio)))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        flags = {"tag": [], "embed": ["--json"], "detect": ["--plot", f"{folder}/plots"]}
        for length in sorted(hours):
            path = Path(folder) / f"{length:g}.wav"
            with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as file:
                for _ in range(round(60 * length)):
                    file.write(minute)
            for name, more in flags.items():
                words = [sys.executable, "-m", "panns_tf", name, str(path), "--model", model, *more]
                silence = {"cwd": ROOT, "stdout": subprocess.DEVNULL}
                took = seconds_of(lambda w=words, s=silence: subprocess.run(w, check=True, **s))
                peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
                rows.append(
                    (f"{name}, {length:g} h", f"{peak:,.0f}", f"{3600 * length / took:,.0f}")
                )
    # The memory is the highest so far: rows in order of length show whether it grows.
    print_table(("", "highest memory so far, MB", "seconds of sound a second"), rows)


def whole_against_windows(names: list[str], audio: Path | None) -> None:
    """Prints how far apart the results are."""
    import panns_tf
    from panns_tf.inference.model import InferenceModel
    from tests.support import reference_state

    minute = np.concatenate(list(waveforms(7, audio))).astype(np.float32)
    rows = []
    for name in names:
        network = panns_tf.create_model(name)
        panns_tf.load_torch_state(network, reference_state(name, 0))
        model = InferenceModel(network)
        sound = minute[: round(WHOLE_SECONDS * model.sample_rate)]
        encoder = model.streaming_encoder()
        parts = [*encoder.feed(sound), *encoder.finish()]
        joined = model.pool(parts)
        whole = network(sound[None], training=False)
        whole = {key: np.asarray(value)[0] for key, value in whole.items()}
        if "segmentwise_output" in whole:
            joined["segmentwise_output"] = np.concatenate([part["segments"] for part in parts])
        apart = {key: np.abs(value - whole[key]).max() for key, value in joined.items()}
        apart["embedding"] /= np.abs(whole["embedding"]).max()
        rows.append((name, *(f"{apart[key]:.1e}" if key in apart else "" for key in OUTPUTS)))
        print(*rows[-1], file=sys.stderr, flush=True)
    print(f"{WHOLE_SECONDS} s in windows against the whole")
    print_table(("network", "probabilities", "embedding, of its largest", "segments"), rows)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
