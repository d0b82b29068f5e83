"""What a run on a new task leaves behind: tables, curves and a page."""

from collections.abc import Sequence
from pathlib import Path

from panns_tf.plots.fewshot import ALL, fewshot
from panns_tf.transfer.records import (
    FEWSHOT,
    check_folder,
    forget,
    merged,
    predictions_of,
    read_records,
    records_of,
    write_predictions,
    write_records,
)
from panns_tf.transfer.report_page import write_page
from panns_tf.transfer.report_text import printed
from panns_tf.transfer.results import FoldResult
from panns_tf.transfer.run_info import RunInfo

__all__ = ["RunInfo", "check_folder", "forget", "printed", "write"]
#: Name of the files of the figure.
CURVES = "curves"


def write(output: Path, run: RunInfo, results: Sequence[FoldResult]) -> list[Path]:
    """Writes the results of a run into a folder, beside those of earlier runs of the same task.

    ``results.json`` holds everything, ``predictions.csv`` a row for each tested clip,
    ``fewshot.csv`` what `panns_tf.plots.fewshot` draws, ``report.html`` a page for people; with few
    clips of each class, ``curves.png``, ``.svg`` and ``.csv`` are the figure. Earlier results in
    these files stay, but for those of the same strategy, number of clips and seed.

    Args:
        output: folder; made if it does not exist.
        run: what was run.
        results: of all folds, seeds and numbers of clips; at least one.

    Returns:
        The paths of what was written.

    Raises:
        ValueError: in one line, if there is no result, or the folder holds results of another
            task, network, metric or other classes; `check_folder` says that beforehand.
        OSError: if nothing can be written there.
    """
    if not results:
        raise ValueError("no result of a fold; expected at least one")
    output = Path(output)
    check_folder(output, run)
    output.mkdir(parents=True, exist_ok=True)
    records = merged(read_records(output), records_of(run, results))
    paths = write_records(output, records)
    paths.append(write_predictions(output, predictions_of(run, results)))
    curves, drawn = None, _with_values(records)
    if any(record["clips_per_class"] != ALL for record in drawn):
        files = fewshot([output / FEWSHOT], CURVES, with_paper=run.comparable).save(output)
        paths += files
        curves = next(path for path in files if path.suffix == ".svg")
    paths.append(write_page(output, run, results, records, curves))
    return paths


def _with_values(records: Sequence[dict]) -> list[dict]:
    return [record for record in records if record["value"] is not None]
