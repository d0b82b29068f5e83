"""Scores that runs have given before, found again or made anew."""

from collections.abc import Sequence
from pathlib import Path

from panns_tf.evaluation.evaluating import Wishes, evaluate
from panns_tf.evaluation.predicting import Hearing, default_output, matching_scores
from panns_tf.evaluation.runs import find_model, model_sha256
from panns_tf.evaluation.scores import FILE_NAME, Scores, load_scores

#: What must agree for scores to be of the same clips, heard in the same way.
_SAME = ("index_sha256", "window", "hop", "aggregate", "decimation")


def scores_of(runs: Sequence[Path], hearing: Hearing | None, wishes: Wishes) -> list[Scores]:
    """Returns the scores of each run.

    Args:
        runs: run directories, models, or directories that hold ``scores.npz``.
        hearing: records on which those without matching scores are evaluated, or None.
        wishes: of these evaluations.

    Raises:
        ValueError: if scores are missing, and there are no records to make them.
    """
    if hearing is not None:
        return [_on_records(run, hearing, wishes) for run in runs]
    candidates = [_earlier(run) for run in runs]
    common = set.intersection(*({_key(scores) for scores in each} for each in candidates))
    if len(common) == 1 or all(len(each) == 1 for each in candidates):
        # One each may differ in clips or windows; what follows says in which.
        return [next(x for x in each if len(each) == 1 or _key(x) in common) for each in candidates]
    found = "; ".join(
        f"{run}: {', '.join(sorted({str(scores.meta.get('data')) for scores in each}))}"
        for run, each in zip(runs, candidates, strict=True)
    )
    what = "several evaluations" if common else "no evaluation"
    raise ValueError(
        f"the runs have {what} in common ({found}); say with --data and --window which one is "
        "meant, or give the directories of their scores.npz"
    )


def _key(scores: Scores) -> tuple:
    return tuple(scores.meta.get(name) for name in _SAME)


def _file(run: Path) -> Path | None:
    """The file of scores that a path names itself, if it does."""
    if run.name == FILE_NAME and run.is_file():
        return run
    return run / FILE_NAME if (run / FILE_NAME).is_file() else None


def _earlier(run: Path) -> list[Scores]:
    """All scores that a run's present model has given."""
    if (file := _file(run)) is not None:
        return [load_scores(file)]
    model = find_model(run)
    if not model.exists():
        raise ValueError(
            f"{run} does not exist; expected a run directory, a model or a directory that holds "
            f"{FILE_NAME}"
        )
    places = default_output(run, Path("any")).parent
    every = [load_scores(file) for file in sorted(places.glob(f"*/{FILE_NAME}"))]
    digest = model_sha256(model)
    found = [scores for scores in every if scores.meta.get("model_sha256") == digest]
    if not found:
        why = "were given by another model" if every else "are not there"
        raise ValueError(
            f"the scores of {run}, in {places}/*/{FILE_NAME}, {why}; evaluate it with --model "
            f"{run} --data RECORDS, or give --data here"
        )
    return found


def _on_records(run: Path, hearing: Hearing, wishes: Wishes) -> Scores:
    """The scores a run has given to records, or gives now."""
    if (file := _file(run)) is not None:
        scores = load_scores(file)
        if all(scores.meta.get(name) == value for name, value in hearing.as_dict().items()):
            return scores
        model = Path(str(scores.meta.get("model")))
        if not model.exists():
            raise ValueError(
                f"{file} holds scores of other records or windows than --data {hearing.data}, and "
                f"the model {model} that gave them is gone; leave --data out or give a model"
            )
        run = model
    model = find_model(run)
    output = default_output(run, hearing.data, hearing.windows)
    scores = matching_scores(output, model, hearing) if model.exists() else None
    if scores is not None:
        print(f"{run}: scores of {output} are used again")
        return scores
    print(f"{run}: evaluated on {hearing.data}")
    return evaluate(run, hearing, output, wishes)
