"""Results of trainings that never were."""

import numpy as np

from panns_tf.transfer.results import FoldResult
from panns_tf.transfer.run_info import RunInfo


def single_label(clips: int, classes: int, seed: int, strength: float = 1.0):
    """Targets with one label a clip and probabilities that are right more often than not."""
    rng = np.random.default_rng(seed)
    target = np.eye(classes, dtype=np.float32)[rng.integers(classes, size=clips)]
    logits = 2 * strength * target + rng.standard_normal((clips, classes))
    score = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return target, score.astype(np.float32)


def multi_label(clips: int, classes: int, seed: int):
    """Targets with several labels or none, and scores in [0, 1]."""
    rng = np.random.default_rng(seed)
    target = (rng.random((clips, classes)) < 0.3).astype(np.float32)
    score = np.clip(0.3 + 0.3 * target + 0.25 * rng.standard_normal(target.shape), 0, 1)
    return target, score.astype(np.float32)


def result(
    target, score, groups=None, fold="1", seed=0, clips_per_class=None, **more
) -> FoldResult:
    """A result of clips named by their fold."""
    ids = tuple(f"audio/{fold}-{number:03d}.wav" for number in range(len(target)))
    base = {"training_clips": 4 * len(target), "steps": 120, "seconds": 12.4}
    groups = groups or (None,) * len(ids)
    return FoldResult(
        fold, seed, clips_per_class, ids, tuple(groups), target, score, **{**base, **more}
    )


def made_results(folds=5, seeds=(0,), counts=(None,), clips=40, classes=10, make=single_label):
    """Results of all folds, seeds and numbers of clips; more clips do better."""
    found = []
    for count in counts:
        strength = 1.0 if count is None else 1 - 0.8 / (1 + count) ** 0.5
        more = {"strength": strength} if make is single_label else {}
        for seed in seeds:
            for fold in range(1, folds + 1):
                target, score = make(clips, classes, seed=1000 * fold + seed, **more)
                fixed, _ = make(clips, classes, seed=1000 * fold, **more)
                if make is single_label:  # the same clips for every seed
                    logits = np.log(score) - 2 * strength * target + 2 * strength * fixed
                    score = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
                found.append(
                    result(
                        fixed,
                        score.astype(np.float32),
                        fold=str(fold),
                        seed=seed,
                        clips_per_class=count,
                    )
                )
    return found


def made_run(count: int = 10, /, **changes) -> RunInfo:
    """A run on a data set of one's own, of accuracy."""
    base = {
        "title": "My <sounds>",
        "arch": "Cnn6",
        "strategy": "finetune",
        "metric": "accuracy",
        "classes": ("<b>dog", "rain; hail", *(f"class {n}" for n in range(2, count))),
        "weights": "Cnn6_mAP=0.343.pth",
    }
    return RunInfo(**{**base, **changes})
