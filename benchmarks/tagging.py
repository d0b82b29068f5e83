"""Tagging files from disk against the PyTorch reference package doing the same, in turns.

    python benchmarks/tagging.py --panns-inference DIR [--files 200] [--rounds 5] [--network Cnn14]
        [--rate 32000] [--audio FOLDER]

DIR is a clone of https://github.com/qiuqiangkong/panns_inference. Its AudioTagging gets each file
by `librosa.load`, as its README has it, one by one; with `--batch 8` in batches, which it does not
offer but takes. Ours is `AudioTagger`, in float32 and, where the processor has it, in bfloat16.
Both have the same weights and read the same files of 10 s. Rounds alternate; compiling, which our
side does while it works, is in its first round, which is shown apart. Needs torch, torchlibrosa
and librosa.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from common import RATE, ROOT, print_table, ratios, spread, waveforms

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


def reference(checkout: Path, network: str, checkpoint: Path, batch: int):
    """A call of the reference package from paths to scores (files, classes)."""
    # It reads its labels from there, and would download them.
    home = checkpoint.parent / "panns_data"
    home.mkdir(exist_ok=True)
    shutil.copy(LABELS, home / LABELS.name)
    os.environ["HOME"] = str(checkpoint.parent)
    sys.path.insert(0, str(checkout))
    import librosa
    import panns_inference
    from panns_inference import models

    settings = (32000, 1024, 320, 64, 50, 14000, 527)
    model = None if network == "Cnn14" else getattr(models, network)(*settings)
    tagging = panns_inference.AudioTagging(
        model=model, checkpoint_path=str(checkpoint), device="cpu"
    )

    def scores(paths: list[Path]) -> np.ndarray:
        found = []
        for start in range(0, len(paths), batch):
            part = paths[start : start + batch]
            audio = np.stack([librosa.load(path, sr=32000, mono=True)[0] for path in part])
            found.append(tagging.inference(audio)[0])
        return np.concatenate(found)

    return scores


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--panns-inference", type=Path, required=True, metavar="DIR")
    parser.add_argument("--network", default="Cnn14")
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=int, default=RATE, help="of the files; 44100 is stereo")
    parser.add_argument("--batch", type=int, default=1, help="of the reference")
    parser.add_argument("--audio", type=Path, help="recordings to mix files from; else computed")
    options = parser.parse_args()

    import torch

    import panns_tf
    from panns_tf.inference.model import has_bfloat16
    from tests.support import reference_state

    network = panns_tf.create_model(options.network)
    panns_tf.load_torch_state(network, reference_state(options.network, 0))
    with tempfile.TemporaryDirectory() as temporary:
        paths = write_files(Path(temporary), options.files, options.audio, options.rate)
        checkpoint = Path(temporary) / "network.pth"
        state = panns_tf.to_torch_state(network)
        torch.save({"model": {k: torch.from_numpy(v) for k, v in state.items()}}, checkpoint)
        calls = {
            "reference": reference(
                options.panns_inference, options.network, checkpoint, options.batch
            )
        }
        for precision in ("float32", "bfloat16") if has_bfloat16() else ("float32",):
            tagger = panns_tf.AudioTagger(network, precision=precision)
            calls[f"panns_tf, {precision}"] = lambda paths, tagger=tagger: np.stack(
                [found.scores for found in tagger.tag(paths, top=1)]
            )
        speeds: dict[str, list[float]] = {name: [] for name in calls}
        scores = {}
        for number in range(options.rounds):
            for name, call in calls.items():
                began = time.perf_counter()
                scores[name] = call(paths)
                speeds[name].append(10 * options.files / (time.perf_counter() - began))
                print(f"round {number + 1}, {name}: {speeds[name][-1]:.0f}", file=sys.stderr)
    theirs = speeds["reference"]
    rows = []
    for name, each in speeds.items():
        apart = np.abs(scores[name] - scores["reference"]).max()
        first = f"{each[0] / theirs[0]:.2f}"
        rows.append((name, *spread(each), ratios(each, theirs), first, f"{apart:.0e}"))
    print(f"{options.network}, {options.files} files of 10 s at {options.rate} Hz")
    header = ("", "seconds of sound a second", "least", "most", "times as fast")
    print_table((*header, "first round", "largest difference"), rows)


if __name__ == "__main__":
    main()
