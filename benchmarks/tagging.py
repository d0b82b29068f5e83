"""Tagging files from disk against the PyTorch reference package doing the same, in one run.

    python benchmarks/tagging.py --panns-inference DIR [--files 200] [--rounds 5] [--network Cnn14]
        [--rate 32000] [--audio FOLDER]

DIR is a clone of https://github.com/qiuqiangkong/panns_inference. Its AudioTagging gets each file
by `librosa.load`, as its README has it, one by one; with `--batch 8` in batches, which it does not
offer but takes. Ours is `AudioTagger`, in float32 and, where the processor has it, in bfloat16.
Both have the same weights and read the same files of 10 s. Rounds alternate; compiling, which our
side does while it hears, is in its first round, which is shown apart. Needs torch, torchlibrosa
and librosa.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import RATE, ROOT, print_table, spread, waveforms

LABELS = ROOT / "tfrecords" / "data" / "class_labels_indices.csv"


def write_files(folder: Path, count: int, audio: Path | None, rate: int) -> list[Path]:
    """Writes clips of 10 s as 16-bit WAV; at 44.1 kHz in stereo."""
    import soundfile

    paths = []
    for number, samples in enumerate(waveforms(count, audio, rate)):
        paths.append(folder / f"{number:04d}.wav")
        sound = samples if rate == RATE else np.stack([samples, samples], axis=1)
        soundfile.write(paths[-1], sound, rate, subtype="PCM_16")
    return paths


class Reference:
    """The reference package with the weights of a checkpoint."""

    def __init__(self, checkout: Path, network: str, checkpoint: Path, batch: int):
        # It reads its labels from there, and would download them.
        home = checkpoint.parent / "panns_data"
        home.mkdir(exist_ok=True)
        shutil.copy(LABELS, home / LABELS.name)
        os.environ["HOME"] = str(checkpoint.parent)
        sys.path.insert(0, str(checkout))
        import panns_inference
        from panns_inference import models

        settings = (32000, 1024, 320, 64, 50, 14000, 527)
        model = None if network == "Cnn14" else getattr(models, network)(*settings)
        self._tagging = panns_inference.AudioTagging(
            model=model, checkpoint_path=str(checkpoint), device="cpu"
        )
        self._batch = batch

    def scores(self, paths: list[Path]) -> np.ndarray:
        """(files, classes)."""
        import librosa

        found = []
        for start in range(0, len(paths), self._batch):
            part = paths[start : start + self._batch]
            audio = np.stack([librosa.load(path, sr=32000, mono=True)[0] for path in part])
            found.append(self._tagging.inference(audio)[0])
        return np.concatenate(found)


def timed(function) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    found = function()
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--panns-inference", type=Path, required=True, metavar="DIR")
    parser.add_argument("--network", default="Cnn14")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=RATE, help="of the files; 44100 is stereo")
    parser.add_argument("--batch", type=int, default=1, help="of the reference")
    parser.add_argument("--audio", type=Path, help="recordings to mix files from; else computed")
    options = parser.parse_args()

    import panns_tf
    from panns_tf.inference.model import has_bfloat16
    from panns_tf.weights.torch_writer import write_torch_state
    from tests.fixtures import recipe
    from tests.support import read_json

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = write_files(folder, options.files, options.audio, options.rate)
        network = panns_tf.create_model(options.network)
        state = recipe.reference_state(options.network, read_json("manifest"), 0)
        panns_tf.load_torch_state(network, state)
        checkpoint = folder / "network.pth"
        write_torch_state(checkpoint, {"model": panns_tf.to_torch_state(network)})
        sides = {
            "reference": Reference(
                options.panns_inference, options.network, checkpoint, options.batch
            ).scores
        }
        precisions = ("float32", "bfloat16") if has_bfloat16() else ("float32",)
        for precision in precisions:
            tagger = panns_tf.AudioTagger(network, precision=precision)

            def scores(paths, tagger=tagger):
                return np.stack([found.scores for found in tagger.tag(paths, top=1)])

            sides[precision] = scores
        seconds = {name: [] for name in sides}
        results = {}
        for number in range(options.rounds):
            for name, scores in sides.items():
                took, results[name] = timed(lambda scores=scores: scores(paths))
                seconds[name].append(took)
                print(f"round {number + 1}, {name}: {took:.1f} s", file=sys.stderr, flush=True)
    theirs = seconds.pop("reference")
    audio_seconds = 10 * options.files
    rows = [("reference", *spread([audio_seconds / t for t in theirs]), "1", "1", "-")]
    for name, times in seconds.items():
        each = [a / b for a, b in zip(theirs, times, strict=True)]
        apart = np.abs(results[name] - results["reference"]).max()
        rows.append(
            (
                f"panns_tf, {name}",
                *spread([audio_seconds / t for t in times]),
                f"{statistics.median(each):.2f} ({min(each):.2f} to {max(each):.2f})",
                f"{each[0]:.2f}",
                f"{apart:.0e}",
            )
        )
    print(f"{options.network}, {options.files} files of 10 s at {options.rate} Hz")
    print_table(
        (
            *("", "seconds of sound a second", "least", "most"),
            *("times as fast", "first round", "largest difference"),
        ),
        rows,
    )


if __name__ == "__main__":
    main()
