"""The distance of every network from the PyTorch reference, as the page docs/parity.md.

    python benchmarks/parity.py --output docs/parity.md

Computes the cases of tests/fixtures, whose outputs are the reference's own. About six minutes on two
cores; needs requirements-dev.txt.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from tqdm import tqdm

import panns_tf
from tests.contract.trajectory import first_step, loaded, trajectory
from tests.support import case_waveform, read_json, read_npz, reference_state

CASES = {"2s": "2 x 2 s", "10s": "10 s", "odd": "3.22 s"}
PROBABILITIES = ("clipwise_output", "segmentwise_output", "framewise_output")

HEAD = """\
# The same numbers

Written by `python benchmarks/parity.py --output docs/parity.md`, on a 2-core AMD EPYC. Every network is given weights
and sounds made from seeds (`tests/fixtures/recipe.py`) and compared with what the PyTorch network gave for
them. The tests hold every figure of this page to its limit.

## Inference

The largest difference of any probability: clipwise, and in decision-level networks framewise and
segmentwise. Limit 2e-5. Beside it the reference's own distance from double precision. Embeddings are relative
to the largest value (limit 2e-5), log-mel in dB (limit 1e-3; 1e-2 with 128 mel bins, in whose narrow
bands single precision is that far from double).
"""

TRAINING = """
## Training

Five steps on one batch of four clips mixed to two, in training mode without dropout and SpecAugment, by
the compiled step of `train.py`. *Gentle*, learning rate 1e-5: losses, relative (limit 1e-3); norms of the
first gradients (limit 1 %); running means and variances (limit 1e-4); root mean square distance of the
probabilities after the fifth step (limit 2e-3). *Recipe*, learning rate 1e-3: losses of the second and the fifth step.

At 1e-3 Adam's first steps move every weight by the whole rate whichever way its gradient points, rounding
errors included, so that two right implementations part by a factor of ten a step. A single rectifier whose input is
within rounding of zero is enough: it changes the gradients below it by up to 1 %. So the recipe's losses are shown for
what they are; `Cnn6`, `LeeNet11` and `DaiNet19`, quick to train, are held to 1e-3 at the second step and 3 % at the fifth.
"""

CONTROLS = """
## What the limits notice

Tests make these mistakes on purpose and see the comparison fail: BatchNorm epsilon 1e-3, a symmetric window, a Hamming
window, the Wavegram's channels transposed, a pool of the decision-level head that does not count its padding, attention
without its clamp, Keras' own Adam, Keras' own running variance.
"""


def inference(name: str) -> str:
    entry = read_json("cases")[name]
    model = panns_tf.create_model(name)
    panns_tf.load_torch_state(model, reference_state(name, entry["state_seed"]))
    expected, cells, embedding, log_mel = read_npz(name), [], 0.0, "-"
    for key in CASES:
        case = entry["cases"][key]
        waveform = case_waveform(case)
        outputs = model(waveform, training=False)
        found = [output for output in PROBABILITIES if f"{key}/{output}" in expected]
        worst = max(
            float(np.abs(outputs[output] - expected[f"{key}/{output}"]).max()) for output in found
        )
        rounding = max(case["rounding"][output] for output in found)
        cells.append(f"{worst:.1e} ({rounding:.0e})")
        if f"{key}/embedding" in expected:
            value = expected[f"{key}/embedding"]
            difference = np.abs(outputs["embedding"] - value).max() / np.abs(value).max()
            embedding = max(embedding, float(difference))
        if f"{key}/logmel" in expected:
            difference = model.get_layer("log_mel")(waveform)[0] - expected[f"{key}/logmel"]
            log_mel = f"{float(np.abs(difference).max()):.0e}"
    shown = f"{embedding:.0e}" if embedding else "-"
    return f"| {name} | {' | '.join(cells)} | {shown} | {log_mel} |"


def training(name: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        first = first_step(loaded(name))
        gentle = trajectory(name, 1e-5, Path(folder))
        recipe = trajectory(name, 1e-3, Path(folder))
    return (
        f"| {name} | {max(gentle.losses):.0e} | {first.gradient_norms:.2%} "
        f"| {first.running_statistics:.0e} | {gentle.outputs[-1]:.0e} "
        f"| {recipe.losses[1]:.0e} | {recipe.losses[4]:.1%} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    options = parser.parse_args()
    lines = [HEAD, f"| network | {' | '.join(CASES.values())} | embedding | log-mel |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: |")
    lines += [inference(name) for name in tqdm(read_json("cases"), unit="network")]
    lines += [TRAINING, "| network | losses | gradients | statistics | outputs | 2nd | 5th |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    lines += [training(name) for name in tqdm(read_json("training")["networks"], unit="network")]
    lines.append(CONTROLS)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
