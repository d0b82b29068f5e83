"""Puts one deliberate fault after the other into a copy of the code; the default suite must notice.

    python benchmarks/faults.py

Each fault changes one place. The tests named beside it are some of the default suite (no ``-m``),
so that the whole takes minutes; a fault that they do not notice is an error.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# fmt: off
#: What is wrong; the file; what it says; what it says with the fault; tests of the default suite.
FAULTS = (
    ("another floor of the log", "panns_tf/layers/log_mel.py", "SMALLEST_POWER = 1e-10", "SMALLEST_POWER = 1e-9", "tests/contract/test_log_mel.py"),  # noqa: E501
    ("a biased running variance", "panns_tf/layers/batch_norm.py", "unbiased = variance * values / ops.maximum(values - 1, 1)", "unbiased = variance", "tests/panns_tf/layers/test_batch_norm.py"),  # noqa: E501
    ("Adam's epsilon where Keras has it", "panns_tf/training/optimizer.py", "epsilon = self.epsilon * correction_2", "epsilon = self.epsilon", "tests/panns_tf/training/test_optimizer.py"),  # noqa: E501
    ("ranks that take ties apart", "panns_tf/metrics/ranking.py", 'values.size - np.searchsorted(values, threshold, "left")', 'values.size - np.searchsorted(values, threshold, "right") + 1', "tests/contract/test_metrics.py"),  # noqa: E501
    ("clips of a class reseeded a round late", "tfrecords/sampling.py", "sample_round // size)", "(sample_round + 1) // size)", "tests/contract/test_sampling.py"),  # noqa: E501
    ("a window that leaves out the end", "panns_tf/windows.py", "    if starts[-1] + size < samples:\n", "    if starts[-1] + 2 * size < samples:\n", "tests/panns_tf/test_windows.py"),  # noqa: E501
    ("gaps joined that are as long as allowed twice", "panns_tf/inference/events.py", "self.settings.gap - _ROUNDING", "2 * self.settings.gap - _ROUNDING", "tests/panns_tf/inference/test_events.py"),  # noqa: E501
    ("groups divided between the parts of a split", "panns_tf/transfer/dataset.py", 'keys = [number if group is None else f"g{group}" for number, group in enumerate(groups)]', "keys = list(range(len(groups)))", "tests/panns_tf/transfer/test_splits.py"),  # noqa: E501
    ("a pickle that may name anything", "panns_tf/weights/torch_pickle.py", 'return NAMES[_check_name(f"{module} {name}")]', "return super().find_class(module, name)", "tests/panns_tf/weights/test_torch_file.py"),  # noqa: E501
    ("exports compared loosely", "panns_tf/export/check.py", "EMBEDDING_TOLERANCE, LOGIT_TOLERANCE = 2e-5, 5e-5", "EMBEDDING_TOLERANCE, LOGIT_TOLERANCE = 2e-1, 5e-1", "tests/panns_tf/export/test_check.py"),  # noqa: E501
    ("differences of runs with the wrong sign", "panns_tf/evaluation/compare.py", 'boot.minus(boots[0])', 'boots[0].minus(boot)', "tests/panns_tf/evaluation/test_compare.py"),  # noqa: E501
    ("files that are not moved to their names", "tfrecords/files.py", "        temporary.replace(path)\n    finally:", "    finally:", "tests/tfrecords/test_files.py"),  # noqa: E501
)
# fmt: on


def main() -> int:
    """Prints a line for each fault; returns 1 if one was not noticed."""
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(copy)], check=True)
        for what, file, right, wrong, tests in FAULTS:
            path = copy / file
            text = path.read_text(encoding="utf-8")
            if text.count(right) != 1:
                raise ValueError(f"{file} has {right!r} {text.count(right)} times; expected once")
            path.write_text(text.replace(right, wrong), encoding="utf-8")
            command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", *tests.split()]
            done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
            path.write_text(text, encoding="utf-8")
            noticed = done.returncode == 1
            missed += not noticed
            first = next((s for s in done.stdout.splitlines() if s.startswith("FAILED")), "")
            print(f"{'noticed' if noticed else 'NOT NOTICED'}: {what} ({file}) {first}", flush=True)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
