"""Data for a first run: synthetic sounds, written as audio files and packed like any other."""

import shutil
from pathlib import Path

from tfrecords import load_index, synthesize_clips

#: Two CPU cores train a network of the size of Wavegram_Logmel_Cnn14 on this in a few minutes.
CLIP_SECONDS = 0.5
TRAIN_CLIPS = 600
EVAL_CLIPS = 160


def data_paths(run_dir: Path) -> dict[str, str]:
    """Returns where a demo run keeps its data, as settings of the run."""
    return {"data": str(run_dir / "data/train"), "eval_data": str(run_dir / "data/eval")}


def make_demo_data(run_dir: Path, sample_rate: int, seed: int) -> tuple[Path, Path]:
    """Makes the demo's training and held-out set, unless they are there.

    Args:
        run_dir: of the run; the data goes to its ``data/train`` and ``data/eval``.
        sample_rate: of the network, in Hz.
        seed: of the sounds; those held out have another.

    Returns:
        The two packed directories, whose audio files are in their ``audio`` folders.
    """
    directories = []
    splits = (("train", TRAIN_CLIPS, 2 * seed), ("eval", EVAL_CLIPS, 2 * seed + 1))
    for split, clips, own_seed in splits:
        directory = run_dir / "data" / split
        if not (directory / "dataset.json").exists():
            if directory.exists():
                raise ValueError(
                    f"{directory} is there and holds no packed records; the demo makes its own: "
                    "choose another --run-dir"
                )
            partial = directory.with_name(f".{split}.partial")
            shutil.rmtree(partial, ignore_errors=True)  # what a killed run left
            synthesize_clips(
                partial,
                clips=clips,
                clip_seconds=CLIP_SECONDS,
                sample_rate=sample_rate,
                seed=own_seed,
                split=split,
            )
            partial.rename(directory)
        load_index(directory)
        directories.append(directory)
    return directories[0], directories[1]
